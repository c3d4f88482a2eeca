//! One wish, one request, and what became of it told truly.

use contract::{Act, Error, Fault, Key, Receipt};
use serde_json::{Value as Json, json};

use super::rig::{Asked, Reply, Server, connect, erp, ok, push, status, text, value, with};

fn orders(push: Json) -> Json {
    json!({"orders": {"push": push}})
}

fn none() -> Json {
    json!({"type": "none"})
}

fn simple() -> Json {
    json!({
        "create": {"path": "/orders", "id": ".data.id", "idempotency_header": "Idempotency-Key"},
        "update": {"path": "/orders/{id}"},
        "find": {"path": "/orders", "params": {"reference": ".reference"}, "id": ".items[0].id"},
        "read": {"path": "/orders/{id}", "compare": {"total": ".data.total", "customer.name": ".data.who"}},
        "cancel": {"path": "/orders/{id}/cancel", "when": ".status == \"cancelled\""},
    })
}

async fn create(server: &Server, settings: Json, record: Json) -> Result<Receipt, Error> {
    let rig = connect(&erp(&server.url(), none(), orders(settings)));
    let mut answers = rig.target("orders").create(&[push(7, record)]).await;
    assert_eq!(answers.len(), 1);
    answers.remove(0)
}

#[tokio::test]
async fn a_record_is_created_updated_and_cancelled() {
    let server = Server::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", "/api/orders") => status(201, json!({"data": {"id": 4711}})),
        ("PUT", "/api/orders/4711") => ok(json!({"data": {"id": 4711}})),
        ("POST", "/api/orders/4711/cancel") => Reply::Answer(204, Vec::new(), String::new()),
        _ => status(404, json!({})),
    })
    .await;
    let rig = connect(&erp(&server.url(), none(), orders(simple())));
    let target = rig.target("orders");
    let order = push(7, json!({"reference": "7", "total": "19.90"}));
    let receipt = target.create(std::slice::from_ref(&order)).await.remove(0).unwrap();
    let id = receipt.id.unwrap();
    assert_eq!(id, Key("4711".to_owned()));
    assert_eq!(target.update(&id, &order).await.unwrap().id, Some(id.clone()));
    target.cancel(&id, &order).await.unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 3);
    assert_eq!(asked[0].body, r#"{"reference":"7","total":"19.90"}"#);
    assert_eq!(asked[0].header("idempotency-key"), Some("selorax:22:7:create"));
    assert_eq!(asked[0].header("content-type"), Some("application/json"));
    assert_eq!(asked[2].body, "");
    assert!(target.cancels(&value(json!({"status": "cancelled"}))).unwrap());
    assert!(!target.cancels(&value(json!({"status": "open"}))).unwrap());
}

/// A number goes out as it came in, however a float would spell it.
#[tokio::test]
async fn money_keeps_its_digits() {
    let server = Server::start(|_| ok(json!({"data": {"id": 1}}))).await;
    let rig = connect(&erp(&server.url(), none(), orders(simple())));
    let record = contract::Value::parse(r#"{"total":1460.00,"big":9007199254740993.10}"#).unwrap();
    let order = contract::Push {
        record,
        ..push(7, json!({}))
    };
    rig.target("orders").create(&[order]).await.remove(0).unwrap();
    assert_eq!(server.asked()[0].body, r#"{"total":1460.00,"big":9007199254740993.10}"#);
}

#[tokio::test]
async fn er_01_an_answer_that_never_comes_is_unknown_and_nothing_is_sent_again() {
    for reply in [
        Reply::Reset,
        Reply::Silence,
        text(502, "text/html", "<h1>bad gateway</h1>"),
        status(500, json!({})),
    ] {
        let told = reply.clone();
        let server = Server::start(move |_| told.clone()).await;
        let error = create(&server, simple(), json!({"reference": "7"})).await.unwrap_err();
        assert_eq!(error.fault, Fault::Transient { reached: true }, "{reply:?}: {error}");
        assert_eq!(server.count("POST", "/api/orders"), 1, "{reply:?}");
        let exchange = error.exchange.unwrap();
        assert!(
            exchange.request.contains("POST http://127.0.0.1") && exchange.request.contains(r#"{"reference":"7"}"#)
        );
    }
}

#[tokio::test]
async fn er_01_what_was_never_sent_is_known_not_to_be_done() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let rig = connect(&erp(&format!("http://127.0.0.1:{port}"), none(), orders(simple())));
    let error = rig
        .target("orders")
        .create(&[push(7, json!({}))])
        .await
        .remove(0)
        .unwrap_err();
    assert_eq!(error.fault, Fault::Transient { reached: false }, "{error}");
}

#[tokio::test]
async fn er_03_a_conflict_is_looked_up_and_compared_by_content() {
    let server = Server::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("POST", _) => status(409, json!({"error": "reference exists"})),
        ("GET", "/api/orders") if asked.param("reference") == Some("7") => ok(json!({"items": [{"id": 12}]})),
        ("GET", "/api/orders") => ok(json!({"items": []})),
        ("GET", "/api/orders/12") => ok(json!({"data": {"total": "19.9", "who": "Rahim"}})),
        _ => status(404, json!({})),
    })
    .await;
    let rig = connect(&erp(&server.url(), none(), orders(simple())));
    let target = rig.target("orders");
    let ours = json!({"reference": "7", "total": 19.90, "customer": {"name": "Rahim"}});
    let error = target.create(&[push(7, ours.clone())]).await.remove(0).unwrap_err();
    assert_eq!(error.fault, Fault::Conflict, "{error}");
    let found = target.find(&value(ours.clone())).await.unwrap().unwrap();
    assert_eq!(found.id, Some(Key("12".to_owned())));
    assert_eq!(target.find(&value(json!({"reference": "8"}))).await.unwrap(), None);
    let id = found.id.unwrap();
    assert_eq!(target.compare(&id, &value(ours)).await.unwrap(), Some(Vec::new()));
    let other = json!({"reference": "7", "total": 19.91, "customer": {"name": "rahim"}});
    let differences = target.compare(&id, &value(other)).await.unwrap().unwrap();
    let told: Vec<&str> = differences.iter().map(|difference| difference.field.as_str()).collect();
    assert_eq!(told, ["customer.name", "total"]);
    assert_eq!(
        target.compare(&Key("99".to_owned()), &value(json!({}))).await.unwrap(),
        None
    );
}

#[tokio::test]
async fn er_03_two_that_fit_are_told_and_none_is_taken() {
    let server = Server::start(|_| ok(json!({"items": [{"id": 1}, {"id": 2}]}))).await;
    let mut settings = simple();
    settings["find"]["id"] = json!(".items[].id");
    let rig = connect(&erp(&server.url(), none(), orders(settings)));
    let error = rig
        .target("orders")
        .find(&value(json!({"reference": "7"})))
        .await
        .unwrap_err();
    assert_eq!(error.fault, Fault::Rejected);
    assert!(error.answer.contains("1 and 2"), "{error}");
}

#[tokio::test]
async fn er_08_an_error_inside_a_200_is_one() {
    let mut settings = simple();
    settings["create"]["success"] = json!(".success != false");
    settings["create"]["error"] = json!(".error.message");
    settings["create"]["conflict_when"] = json!(".error.code == 7");
    let cases = [
        (ok(json!({"success": false})), Fault::Rejected, "success"),
        (
            ok(json!({"error": {"message": "no such customer"}})),
            Fault::Rejected,
            "no such customer",
        ),
        (
            ok(json!({"error": {"code": 7, "message": "twice"}})),
            Fault::Conflict,
            "twice",
        ),
        (
            status(422, json!({"error": {"message": "bad phone"}})),
            Fault::Rejected,
            "bad phone",
        ),
        (
            text(200, "application/json", ""),
            Fault::Transient { reached: true },
            "empty body",
        ),
        (
            text(200, "text/html", "<form>login</form>"),
            Fault::Transient { reached: true },
            "cannot be read",
        ),
        (
            text(200, "application/json", r#"{"data":"#),
            Fault::Transient { reached: true },
            "cannot be read",
        ),
        (status(403, json!({})), Fault::Denied, "403"),
        (status(405, json!({})), Fault::Denied, "405"),
        (status(408, json!({})), Fault::Transient { reached: false }, "408"),
    ];
    for (reply, fault, part) in cases {
        let told = reply.clone();
        let server = Server::start(move |_| told.clone()).await;
        let error = create(&server, settings.clone(), json!({})).await.unwrap_err();
        assert_eq!(error.fault, fault, "{reply:?}: {error}");
        assert!(error.answer.contains(part), "{reply:?}: {error}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test]
async fn er_08_an_empty_body_is_good_only_where_it_is_allowed() {
    let server = Server::start(|_| text(200, "application/json", " ")).await;
    let mut settings = simple();
    settings["create"]["empty"] = json!(true);
    assert_eq!(
        create(&server, settings, json!({})).await.unwrap(),
        Receipt { id: None }
    );
}

/// Some answer 500 and HTML to a field that they do not know.
#[tokio::test]
async fn a_500_that_is_about_the_record_is_a_refusal_where_the_config_says_so() {
    let server = Server::start(|_| text(500, "text/html", "<title>unknown field foo</title>")).await;
    let mut settings = simple();
    settings["create"]["refused"] = json!([500]);
    let error = create(&server, settings, json!({})).await.unwrap_err();
    assert_eq!(error.fault, Fault::Rejected);
    assert!(error.answer.contains("unknown field foo"), "{error}");
    assert!(error.exchange.unwrap().answer.contains("unknown field foo"));
}

#[tokio::test]
async fn api_27_a_redirect_is_not_followed() {
    let (port, touched) = super::rig::tripwire().await;
    let server = Server::start(move |_| {
        with(
            status(307, json!({})),
            "Location",
            &format!("http://127.0.0.1:{port}/x"),
        )
    })
    .await;
    let error = create(&server, simple(), json!({})).await.unwrap_err();
    assert_eq!(error.fault, Fault::Denied, "{error}");
    assert_eq!(touched.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_429_is_told_with_its_pause() {
    let server = Server::start(|_| with(status(429, json!({})), "Retry-After", "7")).await;
    let error = create(&server, simple(), json!({})).await.unwrap_err();
    assert_eq!(
        error.fault,
        Fault::Throttled {
            retry_after: Some(std::time::Duration::from_secs(7))
        }
    );
}

fn batch() -> Json {
    let mut settings = simple();
    settings["batch"] = json!({
        "size": 100, "path": "/orders/batch", "body": "{orders: .}", "results": ".results",
        "id": ".id", "error": ".error", "key": ".reference",
    });
    settings
}

fn three() -> Vec<contract::Push> {
    (1..=3).map(|n| push(n, json!({"reference": n.to_string()}))).collect()
}

#[tokio::test]
async fn er_11_results_of_a_batch_are_matched_by_key() {
    let server = Server::start(|_| {
        ok(json!({"results": [
            {"reference": 3, "id": 33},
            {"reference": "1", "error": "no such customer"},
        ]}))
    })
    .await;
    let rig = connect(&erp(&server.url(), none(), orders(batch())));
    let answers = rig.target("orders").create(&three()).await;
    let refused = answers[0].as_ref().unwrap_err();
    assert_eq!(refused.fault, Fault::Rejected);
    assert!(refused.answer.contains("no such customer"), "{refused}");
    assert_eq!(
        answers[1].as_ref().unwrap_err().fault,
        Fault::Transient { reached: true }
    );
    assert_eq!(answers[2].as_ref().unwrap().id, Some(Key("33".to_owned())));
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].path, "/api/orders/batch");
    assert_eq!(asked[0].json()["orders"].as_array().unwrap().len(), 3);
    let key = asked[0].header("idempotency-key").unwrap();
    assert!(key.starts_with("selorax-batch:"), "{key}");
}

#[tokio::test]
async fn er_11_what_a_batch_does_not_tell_clearly_is_unknown() {
    let unknown = Fault::Transient { reached: true };
    for results in [
        json!([]),
        json!([{"reference": "1", "id": 1}, {"reference": "1", "id": 2}]),
        json!([{"reference": "1"}]),
        json!(null),
        json!([{"id": 1}, {"id": 2}, {"id": 3}]),
    ] {
        let told = results.clone();
        let server = Server::start(move |_| ok(json!({"results": told}))).await;
        let rig = connect(&erp(&server.url(), none(), orders(batch())));
        for answer in rig.target("orders").create(&three()).await {
            assert_eq!(answer.unwrap_err().fault, unknown, "{results}");
        }
    }
    let server = Server::start(|_| status(422, json!({"why": "all of it"}))).await;
    let rig = connect(&erp(&server.url(), none(), orders(batch())));
    let answers = rig.target("orders").create(&three()).await;
    assert!(
        answers
            .iter()
            .all(|answer| answer.as_ref().unwrap_err().fault == Fault::Rejected)
    );
}

#[tokio::test]
async fn er_11_without_a_key_results_count_by_place_only_if_there_is_one_for_each() {
    let mut settings = batch();
    settings["batch"].as_object_mut().unwrap().remove("key");
    for (results, good) in [
        (json!([{"id": 1}, {"id": 2}, {"id": 3}]), true),
        (json!([{"id": 1}, {"id": 3}]), false),
    ] {
        let server = Server::start(move |_| ok(json!({"results": results}))).await;
        let rig = connect(&erp(&server.url(), none(), orders(settings.clone())));
        let answers = rig.target("orders").create(&three()).await;
        assert!(answers.iter().all(|answer| answer.is_ok() == good));
    }
}

/// Method and params in the body, and errors inside a 200.
#[tokio::test]
async fn json_rpc_is_spoken() {
    let settings = json!({
        "create": {
            "path": "/jsonrpc",
            "body": {
                "jsonrpc": "\"2.0\"", "method": "\"call\"", "id": 1,
                "params": {"service": "\"object\"", "args": "[\"db\", \"sale.order\", \"create\", [.]]"},
            },
            "id": ".result[0]", "error": ".error.data.message",
        },
        "update": {
            "method": "POST", "path": "/jsonrpc", "error": ".error.data.message",
            "body": "{method: \"call\", params: {args: [\"write\", [[$record.id | tonumber], .]]}}",
        },
    });
    let server = Server::start(|asked| match asked.json()["params"]["args"][2].as_str() {
        Some("create") => ok(json!({"jsonrpc": "2.0", "id": 1, "result": [42]})),
        _ => ok(json!({"jsonrpc": "2.0", "id": 1, "error": {"data": {"message": "Access Denied"}}})),
    })
    .await;
    let rig = connect(&erp(&server.url(), none(), orders(settings)));
    let target = rig.target("orders");
    let order = push(7, json!({"client_order_ref": "7"}));
    let receipt = target.create(std::slice::from_ref(&order)).await.remove(0).unwrap();
    assert_eq!(receipt.id, Some(Key("42".to_owned())));
    let error = target.update(&Key("42".to_owned()), &order).await.unwrap_err();
    assert!(
        error.fault == Fault::Rejected && error.answer.contains("Access Denied"),
        "{error}"
    );
    let bodies: Vec<String> = server.asked().into_iter().map(|asked| asked.body).collect();
    assert_eq!(
        bodies[0],
        r#"{"id":1,"jsonrpc":"2.0","method":"call","params":{"args":["db","sale.order","create",[{"client_order_ref":"7"}]],"service":"object"}}"#
    );
    assert_eq!(
        bodies[1],
        r#"{"method":"call","params":{"args":["write",[[42],{"client_order_ref":"7"}]]}}"#
    );
}

/// Decimals and dates as objects with a class, the context in a header, child rows as commands, actions with `{}`.
#[tokio::test]
async fn an_erp_with_classes_in_its_json_is_spoken_to() {
    let settings = json!({
        "create": {
            "path": "/rest/model/sale.sale", "id": ".id",
            "headers": {"X-Context": "{company: 1, language: \"bn\"} | tojson | @base64url"},
            "body": {
                "reference": ".reference",
                "sale_date": "{\"__class__\": \"date\", year: .day[0], month: .day[1], day: .day[2]}",
                "lines": "[[\"create\", [.lines[] | {quantity: .qty, unit_price: {\"__class__\": \"Decimal\", decimal: (.price | tostring)}}]]]",
            },
        },
        "cancel": {"path": "/rest/model/sale.sale/{id}/cancel", "when": "false", "body": {}},
    });
    let server = Server::start(|_| ok(json!({"id": 5}))).await;
    let rig = connect(&erp(&server.url(), none(), orders(settings)));
    let target = rig.target("orders");
    let record =
        contract::Value::parse(r#"{"reference":"7","day":[2026,11,26],"lines":[{"qty":2,"price":19.90}]}"#).unwrap();
    let order = contract::Push {
        record,
        ..push(7, json!({}))
    };
    target.create(std::slice::from_ref(&order)).await.remove(0).unwrap();
    target.cancel(&Key("5".to_owned()), &order).await.unwrap();
    let asked = server.asked();
    assert_eq!(
        asked[0].body,
        concat!(
            r#"{"lines":[["create",[{"quantity":2,"unit_price":{"__class__":"Decimal","decimal":"19.90"}}]]],"#,
            r#""reference":"7","sale_date":{"__class__":"date","year":2026,"month":11,"day":26}}"#
        )
    );
    assert_eq!(
        asked[0].header("x-context"),
        Some("eyJjb21wYW55IjoxLCJsYW5ndWFnZSI6ImJuIn0=")
    );
    assert_eq!(asked[1].body, "{}");
}

#[tokio::test]
async fn what_a_request_says_of_itself_goes_before_what_all_have() {
    let server = Server::start(|_| ok(json!({"data": {"id": 1}}))).await;
    let mut settings = simple();
    settings["create"]["headers"] = json!({"content-type": "\"application/vnd.api+json\"", "X-Way": "\"own\""});
    settings["create"]["params"] = json!({"org": "\"own\""});
    let mut json = erp(&server.url(), none(), orders(settings));
    json["headers"] = json!({"x-way": "all", "X-All": "yes"});
    json["params"] = json!({"org": "all", "more": "yes"});
    connect(&json)
        .target("orders")
        .create(&[push(7, json!({}))])
        .await
        .remove(0)
        .unwrap();
    let asked: Asked = server.asked().remove(0);
    assert_eq!(asked.header("content-type"), Some("application/vnd.api+json"));
    assert_eq!(
        (asked.header("x-way"), asked.header("x-all")),
        (Some("own"), Some("yes"))
    );
    let query: Vec<String> = asked
        .query
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(query, ["org=own", "more=yes"]);
}

#[tokio::test]
async fn a_form_is_sent_as_a_browser_would() {
    let mut settings = simple();
    settings["create"]["encoding"] = json!("form");
    let server = Server::start(|_| ok(json!({"data": {"id": 1}}))).await;
    let record = json!({"name": "A & B", "tags": ["x", "y"], "none": null, "lines": {"a": 1}});
    create(&server, settings, record).await.unwrap();
    let asked: Asked = server.asked().remove(0);
    assert_eq!(asked.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(asked.body, "lines=%7B%22a%22%3A1%7D&name=A+%26+B&tags=x&tags=y");
}

#[tokio::test]
async fn a_record_that_the_path_or_a_filter_cannot_take_is_refused_before_anything_is_sent() {
    let server = Server::start(|_| ok(json!({}))).await;
    let mut settings = simple();
    settings["create"]["path"] = json!("/orders/{reference}");
    let error = create(&server, settings.clone(), json!({"reference": "../../users"}))
        .await
        .unwrap_err();
    assert_eq!(error.fault, Fault::Rejected);
    settings["create"]["path"] = json!("/orders");
    settings["create"]["body"] = json!(".reference | tonumber");
    let error = create(&server, settings, json!({"reference": "x"})).await.unwrap_err();
    assert!(
        error.fault == Fault::Rejected && error.answer.contains("create.body"),
        "{error}"
    );
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn the_request_is_shown_as_curl_would_send_it() {
    let server = Server::start(|_| ok(json!({}))).await;
    let mut json = erp(
        &server.url(),
        json!({"type": "bearer", "token": "t0ps3cret"}),
        orders(simple()),
    );
    json["headers"] = json!({"Accept": "application/json"});
    let rig = connect(&json);
    let order = push(7, json!({"note": "it's t0ps3cret"}));
    let target = rig.target("orders");
    let shown = target.show(Act::Create(std::slice::from_ref(&order))).unwrap();
    let base = server.url();
    assert_eq!(
        shown,
        format!(
            "curl -X POST '{base}/orders' -H 'Accept: application/json' -H 'Idempotency-Key: selorax:22:7:create' \
             -H 'Content-Type: application/json' -H 'authorization: ***' --data-binary '{{\"note\":\"it'\\''s ***\"}}'"
        )
    );
    let shown = target.show(Act::Update(&Key("4".to_owned()), &order)).unwrap();
    assert!(shown.starts_with(&format!("curl -X PUT '{base}/orders/4'")), "{shown}");
    assert!(server.asked().is_empty());
}

#[tokio::test]
async fn all_that_is_there_is_listed_part_by_part() {
    let server = Server::start(|asked| {
        let page = asked.number("page");
        let ids: Vec<Json> = (0..250)
            .skip((page - 1) * 100)
            .take(100)
            .map(|n| json!({"id": n}))
            .collect();
        ok(json!({"items": ids}))
    })
    .await;
    let mut settings = simple();
    settings["list"] = json!({
        "path": "/orders", "data_selector": ".items", "id": ".id",
        "paginator": {"type": "page_number", "page_param": "page", "size_param": "limit", "size": 100},
    });
    let rig = connect(&erp(&server.url(), none(), orders(settings)));
    let target = rig.target("orders");
    assert!(target.abilities().list);
    let (mut after, mut ids) = (None, Vec::new());
    loop {
        let listed = target.list(after.as_ref()).await.unwrap();
        ids.extend(listed.ids.into_iter().map(|id| id.0));
        match listed.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let expected: Vec<String> = (0..250).map(|n: u32| n.to_string()).collect();
    assert_eq!(ids, expected);
}
