//! The controls for people with `curl`.

use sandbox::{Options, Sandbox};

use crate::client::{Reply, get, send, shop, started};
use crate::receiver::Receiver;

async fn ask(sandbox: &Sandbox, method: &str, path: &str, body: &str) -> Reply {
    send(sandbox.addr(), method, &format!("/_sandbox{path}"), &[], body).await
}

#[tokio::test]
async fn orders_are_made_changed_and_deleted_by_hand() {
    let sandbox = shop(2).await;
    assert!(ask(&sandbox, "GET", "", "").await.text().contains("/_sandbox/faults"));
    let made = ask(
        &sandbox,
        "POST",
        "/orders",
        r#"{"count": 3, "order_status": "pending", "gift": {"wrap": 1}}"#,
    )
    .await;
    let id = made.json()["order_ids"][2].as_i64().unwrap();
    assert_eq!(sandbox.world().order_count(), 5);
    assert_eq!(
        get(&sandbox, &format!("/orders/{id}")).await.json()["data"]["gift"]["wrap"],
        1
    );
    ask(&sandbox, "POST", "/clock", r#"{"advance_ms": 5000}"#).await;
    let body = r#"{"order_status": "shipped", "shipping": 12.5, "note": null}"#;
    assert_eq!(ask(&sandbox, "POST", &format!("/orders/{id}"), body).await.status, 200);
    let order = sandbox.world().order(id).unwrap();
    assert_eq!(
        (order.status.as_str(), order.shipping, &order.note),
        ("shipped", 1_250, &None)
    );
    assert_eq!(order.updated_ms, sandbox::FIXED_START_MS + 5_000);
    for wrong in [
        r#"{"shipping": 1.234}"#,
        r#"{"order_id": 1}"#,
        r#"{"order_status": 7}"#,
        "[]",
        "{",
    ] {
        assert_eq!(
            ask(&sandbox, "POST", &format!("/orders/{id}"), wrong).await.status,
            400,
            "{wrong}"
        );
        assert_eq!(ask(&sandbox, "POST", "/orders", wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(ask(&sandbox, "DELETE", &format!("/orders/{id}"), "").await.status, 200);
    assert_eq!(ask(&sandbox, "GET", &format!("/orders/{id}"), "").await.status, 404);
    let truth = ask(&sandbox, "GET", "/truth?since=5", "").await.text();
    assert_eq!(truth.lines().count(), 2);
}

#[tokio::test]
async fn faults_are_ordered_by_name_or_in_full_and_controls_are_not_logged() {
    let sandbox = shop(2).await;
    let rules = [
        (r#"{"what": "503", "when": {"times": 1}}"#, 503),
        (
            r#"{"what": {"answer": {"code": 418}}, "on": {"kind": "list"}, "when": {"times": 1}}"#,
            418,
        ),
    ];
    for (rule, status) in rules {
        assert_eq!(ask(&sandbox, "POST", "/faults", rule).await.status, 200, "{rule}");
        assert_eq!(get(&sandbox, "/orders").await.status, status);
        assert_eq!(get(&sandbox, "/orders").await.status, 200);
    }
    let states = ask(&sandbox, "GET", "/faults", "").await.json();
    assert_eq!((&states[0]["fired"], &states[1]["fired"]), (&1.into(), &1.into()));
    for wrong in [
        r#"{"what": "506"}"#,
        r#"{"when": "always"}"#,
        r#"{"what": "hang", "wen": "always"}"#,
    ] {
        assert_eq!(ask(&sandbox, "POST", "/faults", wrong).await.status, 400, "{wrong}");
    }
    assert_eq!(ask(&sandbox, "DELETE", "/faults", "").await.status, 200);
    assert!(sandbox.world().faults().is_empty());
    let logged = ask(&sandbox, "GET", "/requests", "").await.json();
    assert_eq!(logged.as_array().unwrap().len(), 4);
    assert_eq!(
        (&logged[0]["status"], &logged[0]["auth"]),
        (&503.into(), &"client".into())
    );
}

#[tokio::test]
async fn customers_products_and_stock_are_changed_by_hand() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let made = ask(
        &sandbox,
        "POST",
        "/customers",
        r#"{"name":"Nila","is_guest":1,"tag":[1]}"#,
    )
    .await
    .json();
    let id = made["user_ids"][0].as_i64().unwrap();
    assert_eq!(
        ask(&sandbox, "POST", &format!("/customers/{id}"), r#"{"phone":null}"#)
            .await
            .status,
        200
    );
    let shown = ask(&sandbox, "GET", &format!("/customers/{id}"), "").await.json();
    assert_eq!(
        (&shown["name"], &shown["phone"], &shown["tag"][0]),
        (&"Nila".into(), &().into(), &1.into())
    );
    assert_eq!(
        ask(&sandbox, "POST", &format!("/customers/{id}"), r#"{"phone":1}"#)
            .await
            .status,
        400
    );
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("/customers/{id}"), "").await.status,
        200
    );
    let made = ask(&sandbox, "POST", "/products", r#"{"count":2,"name":"Mug"}"#)
        .await
        .json();
    let id = made["product_ids"][1].as_i64().unwrap();
    let path = format!("/products/{id}/variants");
    let sku = ask(&sandbox, "POST", &path, r#"{"quantity":3,"price":1.5}"#)
        .await
        .json()["sku_id"]
        .as_i64()
        .unwrap();
    assert_eq!(
        ask(&sandbox, "POST", &format!("/variants/{sku}"), r#"{"sku_code":"A"}"#)
            .await
            .status,
        200
    );
    for (body, left) in [(r#"{"by":-1}"#, 2), (r#"{"quantity":9}"#, 9)] {
        let reply = ask(&sandbox, "POST", &format!("/stock/{sku}"), body).await.json();
        assert_eq!(reply["quantity"], left);
    }
    let product = world.product(id).unwrap();
    let variant = product.variant(sku).unwrap();
    assert_eq!(
        (variant.sku_code.as_deref(), variant.price, variant.quantity),
        (Some("A"), 150, 9)
    );
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("/variants/{sku}"), "").await.status,
        200
    );
    assert_eq!(ask(&sandbox, "GET", &format!("/stock/{sku}"), "").await.status, 404);
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("/products/{id}"), "").await.status,
        200
    );
    ask(&sandbox, "POST", "/clock", r#"{"speed": 1000}"#).await;
    let before = world.now_ms();
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(world.now_ms() - before >= 20_000);
}

#[tokio::test]
async fn webhooks_are_ordered_and_looked_at_by_hand() {
    let receiver = Receiver::start(|_| 200).await;
    let sandbox = started(Options {
        webhook_url: Some(receiver.url()),
        webhook_secret: Some("whsec_known".to_owned()),
        ..Options::default()
    })
    .await;
    let all = ask(&sandbox, "GET", "/webhooks", "").await.json();
    assert_eq!(all["subscriptions"].as_array().unwrap().len(), 11);
    assert_eq!(all["subscriptions"][10]["secret"], "whsec_known");
    let body = format!(r#"{{"topic":"order.created","url":"{}"}}"#, receiver.url());
    let made = ask(&sandbox, "POST", "/webhooks", &body).await.json();
    assert_ne!(made[0]["secret"], all["subscriptions"][0]["secret"]);
    let path = format!("/webhooks/{}", made[0]["id"]);
    assert_eq!(ask(&sandbox, "POST", &path, r#"{"is_active":0}"#).await.status, 200);
    ask(&sandbox, "POST", "/orders", "{}").await;
    assert!(receiver.until(1).await[0].is_signed_with("whsec_known"));
    let event = receiver.posts()[0].json()["event_id"].as_str().unwrap().to_owned();
    while sandbox.world().pending_deliveries() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        ask(&sandbox, "POST", &format!("/webhooks/redeliver/{event}"), "")
            .await
            .status,
        200
    );
    let own = r#"{"topic":"app.installed","data":{"x":1}}"#;
    assert_eq!(ask(&sandbox, "POST", "/webhooks/publish", own).await.status, 200);
    receiver.until(3).await;
    let told = ask(&sandbox, "GET", "/webhooks", "").await.json();
    assert_eq!(
        (&told["lost"], &told["deliveries"][0]["outcome"]),
        (&1.into(), &"delivered".into())
    );
    let options = r#"{"retry_scale":60,"deactivate_after":null,"duplicate_percent":5}"#;
    assert_eq!(ask(&sandbox, "POST", "/webhooks/options", options).await.status, 200);
    assert_eq!(sandbox.world().webhook_options().duplicate_percent, 5);
    assert_eq!(
        ask(&sandbox, "POST", "/webhooks/options", r#"{"dup":5}"#).await.status,
        400
    );
    assert_eq!(ask(&sandbox, "DELETE", &path, "").await.status, 200);
    let elsewhere = Sandbox::start(Options {
        webhook_url: Some("http://192.0.2.1/".to_owned()),
        ..Options::default()
    });
    assert!(elsewhere.await.is_err());
}
