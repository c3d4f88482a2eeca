//! What the config may say, and what is said about it when it is wrong.

use serde_json::{Value as Json, json};

use super::rig::{Server, connect, erp, ok, read, status};

fn problems(settings: Json) -> Vec<String> {
    read(&settings).1
}

fn with(resources: Json) -> Json {
    json!({"base_url": "https://erp.example.com/api", "resources": resources})
}

/// The example of the contract, as it stands there.
#[test]
fn the_contracts_example_is_good() {
    let settings = json!({
        "base_url": "https://erp.example.com/api",
        "auth": {"type": "bearer", "token": "secret-token"},
        "rate_limit": "10/s",
        "concurrency": 4,
        "headers": {"Accept": "application/json"},
        "unknown": {"wait": "120s", "recheck": "30s"},
        "resources": {
            "orders": {"push": {
                "create": {"method": "POST", "path": "/sales-orders", "id": ".data.id", "idempotency_header": "Idempotency-Key"},
                "update": {"method": "PUT", "path": "/sales-orders/{id}"},
                "find": {"path": "/sales-orders", "params": {"reference": ".reference"}, "id": ".items[0].id"},
                "read": {"path": "/sales-orders/{id}", "compare": {"total": ".data.total"}},
                "cancel": {"method": "POST", "path": "/sales-orders/{id}/cancel", "when": ".status == \"cancelled\""},
                "conflict": [409],
                "batch": {"size": 100, "body": "{orders: .}", "results": ".results", "id": ".id", "error": ".error"},
            }},
            "inventory": {"pull": {
                "path": "/stock",
                "params": {"warehouse": "main"},
                "data_selector": ".items",
                "primary_key": ".sku",
                "cursor": {"path": ".updated_at", "param": "updated_since"},
                "paginator": {"type": "page_number", "page_param": "page", "size_param": "limit", "size": 200},
            }},
        },
    });
    let (settings, problems) = read(&settings);
    assert_eq!(problems, Vec::<String>::new());
    let settings = settings.unwrap();
    assert_eq!(
        (settings.sources(), settings.targets()),
        (vec!["inventory".to_owned()], vec!["orders".to_owned()])
    );
}

#[test]
fn every_mistake_is_told_with_its_place() {
    let settings = json!({
        "base_url": "http://erp.example.com/api?x=1",
        "auth": {"type": "bearer", "username": "u"},
        "concurency": 4,
        "resources": {
            "orders": {"push": {
                "create": {"path": "orders/{id", "id": ".data.["},
                "find": {"path": "/orders", "id": ".a"},
                "cancel": {"path": "/x"},
                "conflict": [200],
            }},
            "stock": {"pull": {
                "path": "/stock/{id}", "data_selector": ".items", "primary_key": ".sku",
                "paginator": {"type": "offset", "page_param": "page"},
                "cursor": {"path": ".at", "param": "since", "format": "iso"},
            }},
            "nothing": {},
        },
    });
    let told = problems(settings).join("\n");
    for part in [
        "connectors.erp.base_url: expected https",
        "connectors.erp.auth.username: auth of type bearer has no `username` (it has token, scheme)",
        "connectors.erp.auth: auth of type bearer needs `token`",
        "connectors.erp.concurency: unknown key `concurency` (did you mean `concurrency`?)",
        "connectors.erp.resources.orders.push.create.path: expected a path that begins with /",
        "connectors.erp.resources.orders.push.create.id: `.data.[`",
        "connectors.erp.resources.orders.push.cancel.when: the key `when` is missing",
        "connectors.erp.resources.orders.push.conflict[0]: expected an HTTP status",
        "connectors.erp.resources.stock.pull.paginator.page_param: a paginator of type offset has no `page_param`",
        "connectors.erp.resources.stock.pull.paginator: a paginator of type offset needs `offset_param`",
        "connectors.erp.resources.stock.pull.cursor.format: expected time, unix",
        "connectors.erp.resources.nothing: the resource does nothing",
    ] {
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
}

#[test]
fn what_cannot_work_is_told_before_it_runs() {
    let push = |push: Json| problems(with(json!({"orders": {"push": push}}))).join("\n");
    for (settings, part) in [
        (json!({"create": {"path": "/orders/{id}"}}), "has no {id}"),
        (
            json!({"create": {"path": "/orders"}, "update": {"path": "/orders/{id}"}}),
            "nothing tells it",
        ),
        (
            json!({"create": {"path": "/orders"}, "idempotency": "trusted"}),
            "no key is sent",
        ),
        (
            json!({"create": {"path": "/orders", "headers": {"Host": "\"x\""}}}),
            "not yours to set",
        ),
        (
            json!({"create": {"path": "/orders", "body": "def f: f; f"}}),
            "create.body",
        ),
    ] {
        let told = push(settings);
        assert!(told.contains(part), "{part}\n---\n{told}");
    }
    let pull = |pull: Json| problems(with(json!({"stock": {"pull": pull}}))).join("\n");
    let told = pull(json!({"path": "/stock/{id}", "data_selector": ".", "primary_key": ".a"}));
    assert!(told.contains("a listing has no record to fill {id} from"), "{told}");
    let told = pull(json!({"path": "/stock", "data_selector": ".", "primary_key": ".a", "body": {"x": 1}}));
    assert!(told.contains("a GET has no body"), "{told}");
}

#[tokio::test]
async fn check_connect_tells_what_works() {
    let resources = json!({
        "stock": {"pull": {"path": "/stock", "data_selector": ".items", "primary_key": ".sku"}},
        "prices": {"pull": {"path": "/prices", "data_selector": ".items", "primary_key": ".sku"}},
        "odd": {"pull": {"path": "/stock", "data_selector": ".items", "primary_key": ".id"}},
        "orders": {"push": {"create": {"path": "/orders"}}},
    });
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/stock" => ok(json!({"items": [{"sku": "1"}, {"sku": "2"}]})),
        _ => status(404, json!({})),
    })
    .await;
    let rig = connect(&erp(&server.url(), json!({"type": "none"}), resources));
    let findings = rig.connector.probe().await;
    let told: Vec<(String, String)> = findings
        .into_iter()
        .map(|finding| (finding.what, finding.result.unwrap_or_else(|error| error.answer)))
        .collect();
    let of = |what: &str| &told.iter().find(|(of, _)| of == what).unwrap().1;
    assert_eq!(of("reading stock"), "2 records");
    assert!(of("reading prices").contains("404"));
    assert!(of("reading odd").contains("no value at primary_key"));
    // Nothing is written to try it.
    assert!(server.asked().iter().all(|asked| asked.method == "GET"));
}

#[tokio::test]
async fn check_connect_of_what_is_only_written_asks_whether_it_is_there() {
    let resources = json!({"orders": {"push": {"create": {"path": "/orders"}}}});
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/ping" => ok(json!({})),
        _ => status(404, json!({})),
    })
    .await;
    let mut settings = erp(&server.url(), json!({"type": "none"}), resources);
    let findings = connect(&settings).connector.probe().await;
    assert!(findings[1].result.is_ok() && findings[1].optional);
    settings["ping"] = json!("/ping");
    let findings = connect(&settings).connector.probe().await;
    assert!(findings[1].result.is_ok() && !findings[1].optional);
    settings["ping"] = json!("/pong");
    assert!(connect(&settings).connector.probe().await[1].result.is_err());
}
