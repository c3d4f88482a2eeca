//! The controls for people with `curl`.

use sandbox::Sandbox;

use crate::client::{Reply, get, send, shop};

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
