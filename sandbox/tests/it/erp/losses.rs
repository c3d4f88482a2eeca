//! Answers that never arrive, and what had been carried out by then.

use std::time::Duration;

use sandbox::When;
use sandbox::erp::{Fault, Kind, Loss, Rule};

use crate::client::End;
use crate::erp::{ask, erp, get, order};

#[tokio::test]
async fn a_create_whose_answer_is_lost_is_committed() {
    let erp = erp().await;
    let cut = erp
        .books()
        .fault(Rule::create(Fault::AnswerLost(Loss::Reset)).when(When::Nth(1)));
    let gateway = erp
        .books()
        .fault(Rule::create(Fault::AnswerLost(Loss::BadGateway)).when(When::Nth(2)));
    assert_eq!(order(&erp, "1", "k1").await.end, End::Reset);
    let second = order(&erp, "2", "k2").await;
    assert_eq!(second.status, 502);
    assert!(second.text().contains("<h1>"), "no JSON: {}", second.text());
    assert_eq!((erp.books().fired(cut), erp.books().fired(gateway)), (1, 1));
    assert_eq!(erp.books().truth_of("sales-orders").len(), 2);
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 1);
    erp.stop().await;
}

#[tokio::test]
async fn a_late_create_is_committed_only_after_a_look_up_had_found_nothing() {
    let erp = erp().await;
    let late = Fault::CommitLate {
        lookups: 1,
        ms: 20_000,
        loss: Loss::Reset,
    };
    let late = erp.books().fault(Rule::create(late).when(When::Times(1)));
    assert_eq!(order(&erp, "1", "k1").await.end, End::Reset);
    erp.books().advance(Duration::from_secs(3600));
    assert_eq!(erp.books().count("sales-orders"), 0);
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 0);
    erp.books().advance(Duration::from_millis(19_999));
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 0);
    assert_eq!(erp.books().late(), 1);
    erp.books().advance(Duration::from_millis(1));
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 1);
    assert_eq!((erp.books().fired(late), erp.books().late()), (1, 0));
    let truth = erp.books().truth_of("sales-orders");
    assert_eq!(truth[0].key.as_deref(), Some("k1"));
    erp.stop().await;
}

#[tokio::test]
async fn the_same_key_waits_for_a_create_that_is_late_and_without_keys_there_are_two() {
    for (keeps_keys, expected) in [(true, 1), (false, 2)] {
        let erp = crate::erp::erp_with(|options| options.keeps_keys = keeps_keys).await;
        let late = Fault::CommitLate {
            lookups: 0,
            ms: 1_000,
            loss: Loss::Reset,
        };
        erp.books().fault(Rule::create(late).when(When::Times(1)));
        assert_eq!(order(&erp, "1", "k1").await.end, End::Reset);
        let again = order(&erp, "1", "k1").await.status;
        assert!(again == 200 || again == 201, "{again}");
        erp.books().advance(Duration::from_secs(1));
        assert_eq!(erp.books().count("sales-orders"), expected, "keeps keys: {keeps_keys}");
        erp.stop().await;
    }
}

#[tokio::test]
async fn an_ignored_key_counts_only_where_the_key_was_known() {
    let erp = erp().await;
    let ignored = erp.books().fault(Rule::create(Fault::IgnoreKey));
    order(&erp, "1", "k1").await;
    assert_eq!(erp.books().fired(ignored), 0);
    order(&erp, "1", "k1").await;
    assert_eq!(erp.books().fired(ignored), 1);
    assert_eq!(erp.books().with_reference("sales-orders", "1").len(), 2);
    erp.stop().await;
}

#[tokio::test]
async fn down_refuses_and_hang_is_silent_and_neither_carries_anything_out() {
    let erp = erp().await;
    let down = erp.books().fault(Rule::any(Fault::Down));
    assert_eq!(order(&erp, "1", "k1").await.end, End::Reset);
    assert_eq!(get(&erp, "/stock").await.end, End::Reset);
    erp.books().clear_faults();
    assert_eq!(erp.books().fired(down), 2, "the count outlives the rule");
    assert_eq!(order(&erp, "1", "k1").await.status, 201);
    let html = Fault::preset("500-html").unwrap();
    erp.books().fault(Rule::new(Kind::Update, html));
    let refused = ask(&erp, "PUT", "/sales-orders/SO-1001", "{}").await;
    assert_eq!(
        (refused.status, refused.header("content-type")),
        (500, Some("text/html; charset=utf-8"))
    );
    assert_eq!(erp.books().truth_of("sales-orders").len(), 1);
    erp.stop().await;
}
