//! Answers and records that are not what they seem.

use sandbox::When;
use sandbox::erp::{Fault, Kind, Rule, Spoil};

use crate::erp::{ask, erp, get, order};

#[tokio::test]
async fn refused_references_get_422_in_the_erps_own_words_and_others_are_stored() {
    let erp = erp().await;
    let refuse = Fault::Refuse {
        references: vec!["13".to_owned()],
        message: "Customer 88 is blocked".to_owned(),
    };
    let refuse = erp.books().fault(Rule::new(Kind::Write, refuse));
    assert_eq!(order(&erp, "12", "k12").await.status, 201);
    let refused = order(&erp, "13", "k13").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]["message"]),
        (422, &"Customer 88 is blocked".into())
    );
    let batch = r#"[{"reference":"13"},{"reference":"14"}]"#;
    let results = ask(&erp, "POST", "/sales-orders/batch", batch).await.json();
    assert_eq!(results["results"][0]["error"], "Customer 88 is blocked");
    assert_eq!(results["results"][1]["status"], "created");
    assert_eq!(erp.books().fired(refuse), 2);
    erp.stop().await;
}

#[tokio::test]
async fn answers_that_lie_store_nothing_or_say_nothing() {
    let erp = erp().await;
    let books = erp.books();
    books.fault(Rule::create(Fault::Pretend).when(When::Nth(1)));
    books.fault(Rule::create(Fault::preset("false-200").unwrap()).when(When::Nth(2)));
    books.fault(Rule::create(Fault::EmptyBody { stored: false }).when(When::Nth(3)));
    books.fault(Rule::create(Fault::EmptyBody { stored: true }).when(When::Nth(4)));
    let pretended = order(&erp, "1", "k1").await;
    let id = pretended.json()["data"]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        (pretended.status, get(&erp, &format!("/sales-orders/{id}")).await.status),
        (201, 404)
    );
    let refused = order(&erp, "2", "k2").await;
    assert_eq!((refused.status, &refused.json()["success"]), (200, &false.into()));
    let empty = order(&erp, "3", "k3").await;
    assert_eq!((empty.status, empty.text().as_str()), (200, ""));
    assert_eq!(order(&erp, "4", "k4").await.text(), "");
    let stored: Vec<_> = books
        .truth_of("sales-orders")
        .into_iter()
        .map(|commit| commit.reference)
        .collect();
    assert_eq!(stored, [Some("4".to_owned())]);
    assert!(books.faults().iter().all(|state| state.fired == 1));
    erp.stop().await;
}

#[tokio::test]
async fn a_conflict_shows_our_own_content_or_somebody_elses() {
    let erp = erp().await;
    erp.books()
        .fault(Rule::create(Fault::Conflict { own: true }).reference("1"));
    erp.books()
        .fault(Rule::create(Fault::Conflict { own: false }).reference("2"));
    for (reference, total) in [("1", "10.50"), ("2", "1.11")] {
        let refused = order(&erp, reference, "k").await;
        assert_eq!(refused.status, 409);
        let id = refused.json()["error"]["id"].as_str().unwrap().to_owned();
        let held = erp.books().record("sales-orders", &id).unwrap();
        assert_eq!(held.document.raw("total"), Some(total));
    }
    erp.stop().await;
}

#[tokio::test]
async fn what_is_stored_may_be_cut_folded_trimmed_or_normalised() {
    let reference = "selorax:22:1234567890:create";
    let cases = [
        (
            Spoil::Cut {
                member: "reference".to_owned(),
                chars: 20,
            },
            "selorax:22:123456789",
        ),
        (Spoil::Normalise, "SELORAX:22:1234567890:CREATE"),
    ];
    for (spoil, expected) in cases {
        let erp = erp().await;
        let rule = erp.books().fault(Rule::create(Fault::Spoil(spoil)));
        let answer = order(&erp, reference, "k").await.json();
        assert_eq!(answer["data"]["reference"], expected);
        assert_eq!(
            get(&erp, &format!("/sales-orders?reference={reference}")).await.json()["total"],
            0
        );
        assert_eq!(
            erp.books().truth_of("sales-orders")[0].reference.as_deref(),
            Some(expected)
        );
        assert_eq!(erp.books().fired(rule), 1);
        erp.stop().await;
    }
}

#[tokio::test]
async fn a_batch_may_answer_out_of_order_and_in_part() {
    let erp = erp().await;
    erp.books().fault(Rule::new(Kind::Batch, Fault::BatchShuffled));
    let missing = Fault::BatchMissing { items: 1, stored: true };
    erp.books().fault(Rule::new(Kind::Batch, missing).when(When::Nth(1)));
    let missing = Fault::BatchMissing {
        items: 1,
        stored: false,
    };
    erp.books().fault(Rule::new(Kind::Batch, missing).when(When::Nth(2)));
    let items = |from: u32| {
        let items: Vec<String> = (from..from + 5)
            .map(|at| format!(r#"{{"reference":"{at}"}}"#))
            .collect();
        format!("[{}]", items.join(","))
    };
    let told = |answer: serde_json::Value| -> Vec<String> {
        let results = answer["results"].as_array().unwrap();
        results
            .iter()
            .map(|result| result["reference"].as_str().unwrap().to_owned())
            .collect()
    };
    let first = told(ask(&erp, "POST", "/sales-orders/batch", &items(1)).await.json());
    assert_eq!(first, ["3", "2", "5", "4"]);
    assert_eq!(erp.books().count("sales-orders"), 5);
    let second = told(ask(&erp, "POST", "/sales-orders/batch", &items(11)).await.json());
    assert_eq!(second.len(), 4);
    assert_eq!(erp.books().count("sales-orders"), 9);
    erp.stop().await;
}
