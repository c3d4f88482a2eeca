//! Older copies, and the controls people use with curl.

use sandbox::erp::Deed;

use crate::client::send;
use crate::erp::{ask, erp, order};

#[tokio::test]
async fn an_older_copy_forgets_records_and_keys_and_the_log_tells_which() {
    let erp = erp().await;
    order(&erp, "1", "k1").await;
    let copy = erp.books().snapshot();
    order(&erp, "2", "k2").await;
    order(&erp, "3", "k3").await;
    assert_eq!(erp.books().restore(&copy), 2);
    assert_eq!(erp.books().count("sales-orders"), 1);
    let truth = erp.books().truth();
    let lost: Vec<_> = truth.iter().filter(|commit| commit.deed == Deed::Lost).collect();
    assert_eq!(
        lost.iter()
            .map(|commit| commit.reference.as_deref())
            .collect::<Vec<_>>(),
        [Some("2"), Some("3")]
    );
    // The key is forgotten too, and no id is given a second time.
    let again = order(&erp, "2", "k2").await;
    assert_eq!((again.status, &again.json()["data"]["id"]), (201, &"SO-1004".into()));
    assert_eq!(erp.books().drop_last("sales-orders", 1), 1);
    assert_eq!(order(&erp, "2", "k2").await.status, 201);
    erp.stop().await;
}

#[tokio::test]
async fn people_order_faults_and_read_the_truth_with_curl() {
    let erp = erp().await;
    let control = async |method: &str, path: &str, body: &str| {
        send(erp.addr(), method, &format!("/_sandbox{path}"), &[], body).await
    };
    assert!(control("GET", "", "").await.text().contains("Ready-made faults: 429"));
    let rule = r#"{"what":"answer-lost","on":{"kind":"create","reference":"7"},"when":{"times":1}}"#;
    let id = control("POST", "/faults", rule).await.json()["id"].as_u64().unwrap();
    order(&erp, "7", "k7").await;
    let faults = control("GET", "/faults", "").await.json();
    assert_eq!((&faults[0]["id"], &faults[0]["fired"]), (&id.into(), &1.into()));
    let late = r#"{"what":{"commit_late":{"lookups":1,"ms":5,"loss":"hang"}}}"#;
    assert_eq!(control("POST", "/faults", late).await.status, 200);
    assert_eq!(
        control("POST", "/faults", r#"{"what":"no-such-thing"}"#).await.status,
        400
    );
    assert_eq!(control("DELETE", "/faults", "").await.status, 200);

    let added = control("POST", "/records/stock", r#"{"sku":"A","on_hand":1}"#)
        .await
        .json();
    let id = added["id"].as_str().unwrap().to_owned();
    assert_eq!(
        control("PATCH", &format!("/records/stock/{id}"), r#"{"on_hand":2}"#)
            .await
            .status,
        200
    );
    assert_eq!(control("GET", "/records/stock", "").await.json()[0]["on_hand"], 2);
    assert_eq!(control("DELETE", "/records/stock/ST-9", "").await.status, 404);
    let lines = control("GET", "/truth?since=1", "").await.text();
    let deeds: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        deeds
            .iter()
            .map(|line| line["deed"].as_str().unwrap())
            .collect::<Vec<_>>(),
        ["created", "updated"]
    );
    let requests = control("GET", "/requests", "").await.json();
    assert_eq!(
        (&requests[0]["key"], &requests[0]["fault"]),
        (&"k7".into(), &"answer_lost".into())
    );
    assert_eq!(control("POST", "/restore", r#"{"drop":1}"#).await.json()["lost"], 1);
    assert_eq!(
        control("POST", "/options", r#"{"unique_references":true}"#)
            .await
            .status,
        200
    );
    erp.books().put("sales-orders", r#"{"reference":"8"}"#).unwrap();
    assert_eq!(
        ask(&erp, "POST", "/sales-orders", r#"{"reference":"8"}"#).await.status,
        409
    );
    erp.stop().await;
}
