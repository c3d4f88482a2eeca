use std::sync::Arc;

use contract::settings::{Kind, Name, Node, Problem, Problems, Span};
use filter::Table;

use super::*;

fn span(line: usize, column: usize) -> Span {
    Span { line, column }
}

fn scalar(text: &str, plain: bool, line: usize) -> Node {
    let kind = Kind::Scalar {
        text: text.to_owned(),
        plain,
        secret: false,
        unresolved: false,
    };
    Node {
        span: span(line, 10),
        kind,
    }
}

fn map(fields: Vec<(&str, Node)>) -> Node {
    let name = |text: &str| Name {
        text: text.to_owned(),
        span: span(1, 1),
    };
    let fields = fields.into_iter().map(|(text, node)| (name(text), node));
    Node {
        span: span(1, 1),
        kind: Kind::Map(fields.collect()),
    }
}

fn list(items: Vec<Node>) -> Node {
    Node {
        span: span(1, 1),
        kind: Kind::List(items),
    }
}

fn env() -> Env {
    let entries = [("pending".to_owned(), Value::from("P"))];
    let table = Table {
        entries: entries.into(),
        default: None,
    };
    Env {
        tables: [("status".to_owned(), table)].into(),
        ..Env::default()
    }
}

fn read_with(flow: &Node, env: &Env) -> (Option<Mapping>, Vec<Problem>) {
    let mut problems = Problems::default();
    let base = Arc::from(std::path::Path::new(""));
    let mut reader = Reader::new(flow, "flows.f", base, &mut problems);
    let mapping = Mapping::read(&mut reader, env);
    reader.finish();
    (mapping, problems.0)
}

fn read(flow: &Node) -> Mapping {
    let (mapping, problems) = read_with(flow, &env());
    assert!(problems.is_empty(), "{problems:?}");
    mapping.unwrap()
}

fn problems(flow: &Node) -> Vec<Problem> {
    let (mapping, problems) = read_with(flow, &env());
    assert!(mapping.is_none());
    problems
}

/// The rows, which are the same whether they are made as values or written down at once.
fn rows_of(mapping: &Mapping) -> Vec<Value> {
    let rows = mapping.apply(&record(), &Value::Null).unwrap();
    assert_eq!(
        mapping.apply_as_json(&record(), &Value::Null).unwrap(),
        Value::List(rows.clone()).to_json()
    );
    rows
}

fn record() -> Value {
    let text = r#"{"id":7,"status":"pending","grand_total":1460.00,"lines":[{"sku":"a","quantity":2},{"sku":"b","quantity":1}]}"#;
    Value::parse(text).unwrap()
}

#[test]
fn texts_are_filters_and_the_rest_is_itself() {
    let flow = map(vec![(
        "map",
        map(vec![
            ("reference", scalar(".id | tostring", true, 2)),
            ("total", scalar(".grand_total", true, 3)),
            ("currency", scalar("\"BDT\"", false, 4)),
            ("rate", scalar("1.50", true, 5)),
            ("five", scalar("5", false, 6)),
            ("yes", scalar("true", true, 7)),
            ("nothing", scalar("~", true, 8)),
            ("code", scalar(".status | lookup(\"status\")", true, 9)),
            (
                "nested",
                map(vec![(
                    "list",
                    list(vec![scalar(".id", true, 10), scalar("0", true, 10)]),
                )]),
            ),
        ]),
    )]);
    let mapping = read(&flow);
    let rows = rows_of(&mapping);
    assert_eq!(rows.len(), 1);
    assert_eq!(
        rows[0].to_json(),
        r#"{"reference":"7","total":1460.00,"currency":"BDT","rate":1.50,"five":5,"yes":true,"nothing":null,"code":"P","nested":{"list":[7,0]}}"#
    );
    assert_eq!(mapping.columns().unwrap()[..3], ["reference", "total", "currency"]);
}

#[test]
fn each_makes_rows_and_sees_the_record() {
    let fields = vec![
        ("sku", scalar(".sku", true, 3)),
        ("order", scalar("$record.id", true, 4)),
    ];
    let mapping = read(&map(vec![("each", scalar(".lines[]", true, 2)), ("map", map(fields))]));
    let rows: Vec<String> = rows_of(&mapping).iter().map(Value::to_json).collect();
    assert_eq!(rows, [r#"{"sku":"a","order":7}"#, r#"{"sku":"b","order":7}"#]);
    let mapping = read(&map(vec![("each", scalar(".lines[]", true, 2))]));
    assert_eq!(
        mapping.apply(&record(), &Value::Null).unwrap()[1].to_json(),
        r#"{"sku":"b","quantity":1}"#
    );
    assert_eq!(mapping.columns(), None);
}

#[test]
fn without_a_map_the_record_passes_and_where_decides() {
    let mapping = read(&map(vec![]));
    assert_eq!(rows_of(&mapping), [record()]);
    assert!(mapping.admits(&record()).unwrap());
    for (filter, admitted) in [
        (".status == \"pending\"", true),
        (".status != \"pending\"", false),
        (".missing", false),
        ("empty", false),
        (".id", true),
    ] {
        let mapping = read(&map(vec![("where", scalar(filter, false, 2))]));
        assert_eq!(mapping.admits(&record()), Ok(admitted), "{filter}");
    }
}

#[test]
fn a_failed_leaf_names_its_key_its_filter_and_the_error() {
    let lines = list(vec![map(vec![("total", scalar(".status | tonumber", true, 3))])]);
    let mapping = read(&map(vec![("map", map(vec![("lines", lines)]))]));
    let error = mapping.apply(&record(), &Value::Null).unwrap_err().0;
    assert_eq!(mapping.apply_as_json(&record(), &Value::Null).unwrap_err().0, error);
    assert_eq!(
        error,
        "map.lines[0].total: .status | tonumber: cannot read \"pending\" as a number"
    );
    let mapping = read(&map(vec![("where", scalar(".id.x", true, 3))]));
    let error = mapping.admits(&record()).unwrap_err().0;
    assert_eq!(error, "where: .id.x: cannot index 7 with \"x\"");
}

#[test]
fn every_mistake_is_reported_at_its_place_in_the_filter() {
    let flow = map(vec![
        ("where", scalar(".a | tostrng", true, 2)),
        ("each", list(vec![])),
        (
            "map",
            map(vec![
                ("currency", scalar("BDT", true, 4)),
                ("code", scalar(".s | lookup(\"staus\")", false, 5)),
                ("block", scalar(".a |\n env\n", false, 6)),
                ("good", scalar(".a", true, 7)),
            ]),
        ),
    ]);
    let found = problems(&flow);
    let shown: Vec<_> = found.iter().map(|p| (p.path.as_str(), p.span)).collect();
    let expected = [
        ("flows.f.where", span(2, 15)),
        ("flows.f.each", span(1, 1)),
        ("flows.f.map.currency", span(4, 10)),
        ("flows.f.map.code", span(5, 16)),
        ("flows.f.map.block", span(6, 10)),
    ];
    assert_eq!(shown, expected);
    assert_eq!(
        found[0].message,
        "unknown function `tostrng` in the filter `.a | tostrng`"
    );
    assert_eq!(found[2].hint.as_deref(), Some("a literal text is written '\"BDT\"'"));
    assert_eq!(found[3].hint.as_deref(), Some("did you mean `status`?"));
}

#[test]
fn a_filter_from_outside_the_file_is_never_shown() {
    let secret = |text: &str| {
        let kind = Kind::Scalar {
            text: text.to_owned(),
            plain: true,
            secret: true,
            unresolved: false,
        };
        Node {
            span: span(2, 10),
            kind,
        }
    };
    let found = problems(&map(vec![("map", map(vec![("a", secret("hunter2"))]))]));
    assert!(!format!("{found:?}").contains("hunter2"));
    let mapping = read(&map(vec![("map", map(vec![("a", secret(".hunter2.x | tonumber"))]))]));
    assert!(
        !mapping
            .apply(&record(), &Value::Null)
            .unwrap_err()
            .0
            .contains("hunter2")
    );
}

#[test]
fn the_print_follows_the_text_and_the_tables_it_uses() {
    let looked = map(vec![(
        "map",
        map(vec![("a", scalar(".status | lookup(\"status\")", true, 2))]),
    )]);
    let plain = map(vec![(
        "map",
        map(vec![("a", scalar(".a", true, 2)), ("b", scalar("1", true, 3))]),
    )]);
    let swapped = map(vec![(
        "map",
        map(vec![("b", scalar("1", true, 3)), ("a", scalar(".a", true, 2))]),
    )]);
    let text = map(vec![(
        "map",
        map(vec![("a", scalar(".a", true, 2)), ("b", scalar("1", false, 3))]),
    )]);
    let print = |flow: &Node, env: &Env| read_with(flow, env).0.unwrap().print();
    let mut other = env();
    other.tables.insert("unused".to_owned(), Table::default());
    assert_eq!(print(&looked, &env()), print(&looked, &other));
    other.tables.get_mut("status").unwrap().default = Some(Value::Null);
    assert_ne!(print(&looked, &env()), print(&looked, &other));
    assert_eq!(print(&plain, &env()), print(&plain, &other));
    assert_ne!(print(&plain, &env()), print(&swapped, &env()));
    assert_ne!(print(&plain, &env()), print(&text, &env()));
    assert_ne!(print(&map(vec![]), &env()), print(&plain, &env()));
}

#[test]
fn sums_of_money_are_warned_of_at_their_place() {
    let flow = map(vec![("map", map(vec![("t", scalar(".a + .tax_total", true, 2))]))]);
    let mut problems = Problems::default();
    let base = Arc::from(std::path::Path::new(""));
    let mapping = Mapping::read(&mut Reader::new(&flow, "flows.f", base, &mut problems), &env());
    assert!(mapping.is_some() && problems.0.is_empty());
    let [warning] = problems.warnings() else {
        panic!("{problems:?}")
    };
    assert_eq!((warning.path.as_str(), warning.span), ("flows.f.map.t", span(2, 16)));
    assert!(warning.hint.as_ref().unwrap().contains("dec_add"));
}

#[test]
fn what_a_record_requires_is_one_key_or_a_list_of_keys_or_none() {
    let keys = |filter: &str| {
        let flow = map(vec![("requires", map(vec![("things", scalar(filter, true, 2))]))]);
        let mapping = read(&flow);
        let id = |_: &Reference, key: &Key| (key.0 != "8").then(|| Key(format!("T-{}", key.0)));
        mapping.keys(&Value::Null).map(|keys| mapping.refs(&keys, id).to_json())
    };
    for (filter, refs) in [
        ("7", r#"{"things":"T-7"}"#),
        ("\"7\"", r#"{"things":"T-7"}"#),
        ("8", r#"{"things":null}"#),
        ("null", r#"{"things":null}"#),
        ("empty", r#"{"things":null}"#),
        ("[7, \"9\", null, 7, 8]", r#"{"things":{"7":"T-7","9":"T-9","8":null}}"#),
        ("[]", r#"{"things":{}}"#),
    ] {
        assert_eq!(keys(filter).unwrap(), refs, "{filter}");
    }
    for filter in ["true", "\" \"", "{a: 1}", "[[7]]", "7, 8"] {
        let error = keys(filter).unwrap_err().0;
        assert!(error.starts_with("requires.things: "), "{filter}: {error}");
    }
}
