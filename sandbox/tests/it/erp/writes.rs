//! Creates, updates and cancellations, and that the log tells all of them.

use sandbox::erp::Deed;

use crate::erp::{ask, erp, erp_with, get, order, with_headers};

#[tokio::test]
async fn every_commit_is_in_the_log_in_order_with_its_key_and_the_bytes_that_came() {
    let erp = erp().await;
    let body = r#"{"reference":"1042","total":1460.00,"lines":[{"qty":1,"price":1460.00}]}"#;
    let created = with_headers(&erp, "POST", "/sales-orders", &[("Idempotency-Key", "k1")], body).await;
    assert_eq!(created.status, 201);
    let id = created.json()["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(id, "SO-1001");
    // No digit is lost on the way in and out.
    assert!(created.text().contains(r#""total":1460.00"#), "{}", created.text());
    let changed = r#"{"reference":"1042","total":99.90}"#;
    assert_eq!(
        ask(&erp, "PUT", &format!("/sales-orders/{id}"), changed).await.status,
        200
    );
    assert_eq!(
        ask(&erp, "PATCH", &format!("/sales-orders/{id}"), r#"{"note":"x"}"#)
            .await
            .status,
        200
    );
    let cancelled = ask(&erp, "POST", &format!("/sales-orders/{id}/cancel"), "{}").await;
    assert_eq!(cancelled.json()["data"]["status"], "cancelled");
    // Done already: no second commit.
    assert_eq!(
        ask(&erp, "POST", &format!("/sales-orders/{id}/cancel"), "{}")
            .await
            .status,
        200
    );

    let read = get(&erp, &format!("/sales-orders/{id}")).await.json();
    assert_eq!(read["data"]["note"], "x");
    assert!(read["data"]["lines"].is_null(), "PUT puts in place of what was there");
    let truth = erp.books().truth_of("sales-orders");
    let deeds: Vec<(u64, Deed)> = truth.iter().map(|commit| (commit.seq, commit.deed)).collect();
    assert_eq!(
        deeds,
        [
            (1, Deed::Created),
            (2, Deed::Updated),
            (3, Deed::Updated),
            (4, Deed::Cancelled)
        ]
    );
    assert_eq!(truth[0].key.as_deref(), Some("k1"));
    assert_eq!(truth[0].body, body);
    assert_eq!(truth[0].reference.as_deref(), Some("1042"));
    erp.stop().await;
}

#[tokio::test]
async fn a_known_key_is_answered_with_the_first_record_and_another_body_is_refused() {
    let erp = erp().await;
    let first = order(&erp, "1", "k").await.json()["data"]["id"].clone();
    let again = order(&erp, "1", "k").await;
    assert_eq!((again.status, &again.json()["data"]["id"]), (200, &first));
    assert_eq!(order(&erp, "2", "k").await.status, 422);
    // Without a key the same reference is taken twice, as real ERPs do.
    let bare = r#"{"reference":"1"}"#;
    assert_eq!(ask(&erp, "POST", "/sales-orders", bare).await.status, 201);
    assert_eq!(erp.books().with_reference("sales-orders", "1").len(), 2);
    erp.stop().await;
}

#[tokio::test]
async fn a_reference_that_must_be_the_only_one_gets_409_with_the_record_in_the_way() {
    let erp = erp_with(|options| options.unique_references = true).await;
    let id = erp
        .books()
        .put("sales-orders", r#"{"reference":"7","total":3}"#)
        .unwrap();
    let refused = order(&erp, "7", "k").await;
    assert_eq!((refused.status, &refused.json()["error"]["id"]), (409, &id.into()));
    assert_eq!(erp.books().count("sales-orders"), 1);
    erp.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_404_and_a_wrong_method_405() {
    let erp = erp().await;
    for (method, path, status) in [
        ("GET", "/sales-orders/SO-9", 404),
        ("PUT", "/sales-orders/SO-9", 404),
        ("POST", "/sales-orders/SO-9/cancel", 404),
        ("GET", "/invoices", 404),
        ("DELETE", "/sales-orders", 405),
        ("GET", "/token", 405),
    ] {
        assert_eq!(ask(&erp, method, path, "{}").await.status, status, "{method} {path}");
    }
    assert_eq!(ask(&erp, "POST", "/sales-orders", "[").await.status, 400);
    erp.stop().await;
}

#[tokio::test]
async fn a_batch_answers_for_each_item_by_its_reference() {
    let erp = erp_with(|options| options.number_ids = true).await;
    let items = r#"{"orders":[{"reference":"a","idempotency_key":"ka"},{"reference":"b"}]}"#;
    let first = ask(&erp, "POST", "/sales-orders/batch", items).await.json();
    assert_eq!(first["results"][0]["reference"], "a");
    assert_eq!(first["results"][1]["id"], 1002);
    let again = ask(
        &erp,
        "POST",
        "/sales-orders/batch",
        r#"[{"reference":"a","idempotency_key":"ka"}]"#,
    )
    .await;
    assert_eq!(again.status, 200);
    // The key is known, but with other words around it the item is the same text.
    assert_eq!(again.json()["results"][0]["status"], "exists");
    assert_eq!(erp.books().count("sales-orders"), 2);
    erp.stop().await;
}
