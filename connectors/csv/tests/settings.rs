use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contract::settings::{Kind, Name, Node, Problem, Problems, Reader, Settings, Span};
use contract::{Clock, Connector, Memory, RealClock, Seams, Target};
use serde_json::{Value as Json, json};
use tempfile::tempdir;

use super::super::FACTORY;

fn node(json: &Json) -> Node {
    let span = Span::default();
    let kind = match json {
        Json::Object(fields) => Kind::Map(
            fields
                .iter()
                .map(|(name, json)| {
                    (
                        Name {
                            text: name.clone(),
                            span,
                        },
                        node(json),
                    )
                })
                .collect(),
        ),
        Json::Array(items) => Kind::List(items.iter().map(node).collect()),
        scalar => Kind::Scalar {
            text: scalar.as_str().map_or_else(|| scalar.to_string(), str::to_owned),
            plain: !scalar.is_string(),
            secret: false,
            unresolved: false,
        },
    };
    Node { span, kind }
}

fn load(base: &Path, json: &Json) -> (Option<Box<dyn Settings>>, Vec<Problem>) {
    let (node, mut problems) = (node(json), Problems::default());
    let mut reader = Reader::new(&node, "connectors.drop", Arc::from(base), &mut problems);
    let settings = (FACTORY.read)(&mut reader);
    reader.finish();
    (settings, problems.0)
}

#[derive(Debug)]
struct NoMemory;

#[async_trait::async_trait]
impl Memory for NoMemory {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
    async fn put(&self, _name: &str, _value: String) {}
}

fn connect(settings: &dyn Settings) -> Arc<dyn Connector> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::default());
    let memory = Arc::new(NoMemory);
    let patience = Duration::from_secs(1);
    settings
        .connect(&Seams {
            clock,
            memory,
            patience,
        })
        .unwrap()
}

#[tokio::test]
async fn settings_become_targets_in_the_folder_beside_the_config() {
    let dir = tempdir().unwrap();
    let config = json!({
        "location": "./out",
        "dialect": {"delimiter": "tab", "encoding": "utf-16le", "line_ending": "crlf", "header": false, "raw_cells": true, "quote": "minimal"},
        "resources": {
            "orders": {"write": {"file": "orders-{timestamp}-{batch}.csv", "max_records": 500, "max_wait": "90s"}},
            "customers": {"write": {"file": "customers-{batch}.csv"}},
        },
    });
    let (settings, problems) = load(dir.path(), &config);
    assert_eq!(problems, []);
    let settings = settings.unwrap();
    assert_eq!(settings.targets(), ["customers", "orders"]);
    assert!(settings.sources().is_empty());
    let connector = connect(&*settings);
    assert!(connector.target("invoices").is_none() && connector.source("orders").is_none());
    let Some(Target::Files(orders)) = connector.target("orders") else {
        panic!("a target for orders")
    };
    assert_eq!(
        (orders.max_records(), orders.max_wait()),
        (500, Duration::from_secs(90))
    );
    let Some(Target::Files(customers)) = connector.target("customers") else {
        panic!("a target for customers")
    };
    assert_eq!(
        (customers.max_records(), customers.max_wait()),
        (1000, Duration::from_secs(60))
    );
    let encoded = customers.encode(None, &super::items(&[r#"{"a":"=x","b":"y\nz"}"#]));
    let expected: Vec<u8> = "\u{feff}=x\t\"y\nz\"\r\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    assert_eq!(encoded.bytes, expected);
    let name = customers.name("2026-11-23T15:07:09Z".parse().unwrap(), 3);
    customers.place().stage(&name, &encoded.bytes).await.unwrap();
    customers.place().publish(&name).await.unwrap();
    assert_eq!(
        std::fs::read(dir.path().join("out/customers-00000003.csv")).unwrap(),
        expected
    );
    let findings = connector.probe().await;
    assert_eq!(findings.len(), 1);
    assert!(
        findings[0].what.contains("out") && findings[0].result.is_ok(),
        "{findings:?}"
    );
}

#[test]
fn each_mistake_is_told_at_its_place() {
    let write = |file: &str| json!({"write": {"file": file}});
    let with = |location: &str, resources: Json| json!({"location": location, "resources": resources});
    let fine = json!({"orders": write("orders-{batch}.csv")});
    let dialect = |dialect: Json| json!({"location": "out", "dialect": dialect, "resources": fine});
    for (config, path, part) in [
        (
            with("sftp://u:secret@h/x", fine.clone()),
            "location",
            "sftp locations are not in this version",
        ),
        (with("ftp://h/x", fine.clone()), "location", "not an address"),
        (with("", fine.clone()), "location", "empty"),
        (json!({"resources": fine}), "location", "missing"),
        (json!({"location": "out"}), "resources", "missing"),
        (
            dialect(json!({"delimiter": "::"})),
            "dialect.delimiter",
            "expected one of",
        ),
        (
            dialect(json!({"encoding": "utf8"})),
            "dialect.encoding",
            "did you mean `utf-8`?",
        ),
        (
            dialect(json!({"line_ending": "cr"})),
            "dialect.line_ending",
            "expected one of lf, crlf",
        ),
        (dialect(json!({"raw": true})), "dialect.raw", "unknown key"),
        (dialect(json!("excel")), "dialect", "expected a map of keys"),
        (
            with("out", json!({"orders": write("orders-{bach}.csv")})),
            "resources.orders.write.file",
            "did you mean {batch}?",
        ),
        (
            with("out", json!({"orders": {}})),
            "resources.orders",
            "`write` and `read` are missing",
        ),
        (
            with("out", json!({"orders": {"write": {}}})),
            "resources.orders.write.file",
            "is missing",
        ),
        (
            with("out", json!({"stock": {"read": {"pattern": "*.csv"}}})),
            "resources.stock.read.primary_key",
            "`primary_key` is missing",
        ),
        (
            with("out", json!({"inventory": {"read": {"pattern": "in/*.csv"}}})),
            "resources.inventory.read.pattern",
            "not '/'",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv", "mode": "delta", "primary_key": "sku"}}}),
            ),
            "resources.inventory.read.primary_key",
            "has no primary key",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv", "absent": "zero"}}}),
            ),
            "resources.inventory.read.absent",
            "needs `numbers`",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv", "decimal": ",", "grouping": ","}}}),
            ),
            "resources.inventory.read.grouping",
            "are the same",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv", "marker": "done"}}}),
            ),
            "resources.inventory.read.marker",
            "{stem}.done",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv", "columns": ["sku"]}}}),
            ),
            "resources.inventory.read.columns",
            "named by the files' header",
        ),
        (
            with(
                "out",
                json!({"inventory": {"read": {"pattern": "*.csv"}}, "orders": write("orders-{batch}.csv")}),
            ),
            "resources",
            "matches the files that are written for `orders`",
        ),
        (
            with("out", json!({"a": write("x-{batch}.csv"), "b": write("X-{batch}.csv")})),
            "resources.b.write.file",
            "could have one name",
        ),
    ] {
        let (_, problems) = load(Path::new("/srv"), &config);
        let told: Vec<String> = problems.iter().map(|p| format!("{}: {}", p.path, p.message)).collect();
        assert_eq!(problems.len(), 1, "{config}: {told:?}");
        assert_eq!(problems[0].path, format!("connectors.drop.{path}"), "{told:?}");
        let shown = format!("{} {:?}", problems[0].message, problems[0].hint);
        assert!(shown.contains(part), "{shown}");
        assert!(!format!("{problems:?}").contains("secret"), "{told:?}");
    }
}

#[test]
fn the_schema_tells_keys_and_defaults() {
    let mut problems = Problems::default();
    let mut reader = Reader::describing(&mut problems);
    (FACTORY.read)(&mut reader);
    let schema = reader.finish();
    let at = |pointer: &str| schema.pointer(pointer).unwrap().clone();
    assert_eq!(at("/required"), json!(["location", "resources"]));
    assert_eq!(at("/properties/dialect/properties/quote/default"), json!("all"));
    assert_eq!(
        at("/properties/resources/additionalProperties/properties/write/properties/max_wait/default"),
        json!("1m")
    );
    assert!(problems.0.is_empty());
}
