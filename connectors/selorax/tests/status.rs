//! Order statuses on their way into the store: along the table only, once, and read back.

use contract::{Act, Fault};
use sandbox::{Fault as Broken, Options, Rule, StatusKey, When};
use serde_json::{Value as Json, json};

use super::rig::{Rig, create, push};

fn table() -> Json {
    json!({"order_status": {"transitions": {"pending": ["confirmed", "cancelled"], "confirmed": ["shipped"]}}})
}

fn order(rig: &Rig, status: &str) -> i64 {
    rig.world().insert_order(|order| order.status = status.to_owned())
}

fn status(rig: &Rig, order: i64) -> String {
    rig.world().order(order).unwrap().status.clone()
}

#[tokio::test]
async fn a_status_goes_along_the_table_once_and_whatever_its_spelling() {
    let rig = Rig::new(table()).await;
    let id = order(&rig, "Pending");
    let target = rig.target("order_status");
    let confirmed = push("1", json!({"order_id": id.to_string(), "status": " CONFIRMED "}));
    let receipt = create(&target, &confirmed).await.unwrap();
    assert_eq!(receipt.id.unwrap().0, id.to_string());
    assert_eq!(status(&rig, id), "confirmed");
    assert_eq!(rig.writes(), [r#"{"status":"confirmed"}"#]);
    create(&target, &confirmed).await.unwrap();
    assert_eq!(rig.writes().len(), 1, "the same status: nothing is sent");
    let canceled = order(&rig, "cancelled");
    let push = push("2", json!({"order_id": canceled, "status": "Canceled"}));
    create(&target, &push).await.unwrap();
    assert_eq!(rig.writes().len(), 1, "one status, two spellings");
}

#[tokio::test]
async fn what_the_table_does_not_allow_is_refused_and_not_sent() {
    let rig = Rig::new(table()).await;
    let target = rig.target("order_status");
    let shipped = order(&rig, "shipped");
    let pending = order(&rig, "pending");
    let cases = [
        (
            json!({"order_id": shipped, "status": "confirmed"}),
            "does not let `confirmed` follow",
        ),
        (
            json!({"order_id": pending, "status": "shipped"}),
            "allowed: confirmed, cancelled",
        ),
        (json!({"order_id": pending, "status": "lost"}), "stands nowhere in"),
        (json!({"order_id": pending, "status": ""}), "no `status`"),
        (json!({"order_id": pending, "status": 3}), "is a number"),
        (json!({"status": "confirmed"}), "no `order_id`"),
        (json!({"order_id": "../7", "status": "confirmed"}), "order_id"),
        (
            json!({"order_id": 999_999, "status": "confirmed"}),
            "has no order 999999",
        ),
    ];
    for (record, part) in cases {
        let refused = create(&target, &push("1", record)).await.unwrap_err();
        assert_eq!(refused.fault, Fault::Rejected, "{refused}");
        assert!(refused.answer.contains(part), "{refused}");
    }
    assert_eq!(rig.writes(), Vec::<String>::new());
}

#[tokio::test]
async fn a_yes_that_changed_nothing_is_found_out_and_the_third_stops_the_target() {
    let options = Options {
        orders: 5,
        status_key: StatusKey::OrderStatus,
        ..Options::default()
    };
    let rig = Rig::of(options.clone(), table()).await;
    let target = rig.target("order_status");
    for n in 1..=3 {
        let id = order(&rig, "pending");
        let push = push("1", json!({"order_id": id, "status": "confirmed"}));
        let refused = create(&target, &push).await.unwrap_err();
        let fault = if n < 3 { Fault::Rejected } else { Fault::Denied };
        assert_eq!((refused.fault, status(&rig, id).as_str()), (fault, "pending"));
        assert!(refused.hint.unwrap().contains("store.order_status"));
    }
    let mut settings = table();
    settings["order_status"]["body"] = json!("{order_status: .status}");
    let rig = Rig::of(options, settings).await;
    let id = order(&rig, "pending");
    let push = push("1", json!({"order_id": id, "status": "confirmed"}));
    create(&rig.target("order_status"), &push).await.unwrap();
    assert_eq!(status(&rig, id), "confirmed");
}

#[tokio::test]
async fn an_unanswered_change_is_in_doubt_and_a_look_decides() {
    let rig = Rig::new(table()).await;
    let target = rig.target("order_status");
    for written in [true, false] {
        let id = order(&rig, "pending");
        let rule = Rule::write(Broken::WriteFailed { written }).when(When::Nth(1));
        let rule = rig.world().fault(rule);
        let push = push("1", json!({"order_id": id, "status": "confirmed"}));
        let error = create(&target, &push).await.unwrap_err();
        rig.world().remove_fault(rule);
        assert_eq!(error.fault, Fault::Transient { reached: true }, "{error}");
        let found = target.find(&push.record).await.unwrap();
        assert_eq!(found.is_some(), written);
        create(&target, &push).await.unwrap();
        assert_eq!(status(&rig, id), "confirmed");
    }
    assert_eq!(rig.writes().len(), 3, "what was done was not sent again");
}

#[tokio::test]
async fn a_dry_run_shows_the_request_without_secrets() {
    let rig = Rig::new(table()).await;
    let target = rig.target("order_status");
    let push = push("1", json!({"order_id": 7, "status": "confirmed"}));
    let shown = target.show(Act::Create(std::slice::from_ref(&push))).unwrap();
    let path = "/api/apps/v1/orders/7/status'";
    assert!(
        shown.starts_with("curl -X PUT 'http://127.0.0.1:") && shown.contains(path),
        "{shown}"
    );
    assert!(shown.ends_with(r#"--data-binary '{"status":"confirmed"}'"#), "{shown}");
    assert!(!shown.contains(&rig.world().access().client_secret), "{shown}");
    assert_eq!(rig.world().request_count(), 0);
}

#[tokio::test]
async fn without_a_table_there_is_no_target() {
    let rig = Rig::new(json!({"order_status": {"body": "{status}"}})).await;
    assert!(rig.connector().target("order_status").is_none());
}
