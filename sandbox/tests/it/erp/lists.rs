//! Every style of paging joins the same rows, and filters do what they say until they are ordered not to.

use std::time::Duration;

use sandbox::When;
use sandbox::erp::{Erp, Fault, Kind, Rule};
use serde_json::Value;

use crate::erp::{erp_with, get};

async fn stocked() -> Erp {
    erp_with(|options| options.stock = 23).await
}

fn skus(answer: &Value) -> Vec<String> {
    let items = answer["items"].as_array().unwrap();
    items
        .iter()
        .map(|row| row["sku"].as_str().unwrap().to_owned())
        .collect()
}

/// The target of a link without its host.
fn path(url: &str) -> String {
    url.split_once("/api").unwrap().1.to_owned()
}

#[tokio::test]
async fn every_style_of_paging_joins_the_same_rows_with_no_gap() {
    let erp = stocked().await;
    let all: Vec<String> = (1..=23).map(|number| format!("SKU-{number:04}")).collect();
    let mut by_page = Vec::new();
    let mut by_offset = Vec::new();
    for page in 0..4 {
        by_page.extend(skus(
            &get(&erp, &format!("/stock?limit=7&page={}", page + 1)).await.json(),
        ));
        by_offset.extend(skus(
            &get(&erp, &format!("/stock?limit=7&offset={}", page * 7)).await.json(),
        ));
    }
    assert_eq!((&by_page, &by_offset), (&all, &all));

    let (mut by_cursor, mut at) = (Vec::new(), "/stock?limit=7".to_owned());
    loop {
        let answer = get(&erp, &at).await.json();
        by_cursor.extend(skus(&answer));
        let Some(cursor) = answer["next_cursor"].as_str() else {
            break;
        };
        at = format!("/stock?limit=7&cursor={cursor}");
    }
    let (mut by_url, mut at) = (Vec::new(), "/stock?limit=7&warehouse=main".to_owned());
    loop {
        let answer = get(&erp, &at).await.json();
        by_url.extend(skus(&answer));
        let Some(url) = answer["next"].as_str() else { break };
        at = path(url);
        assert!(at.contains("warehouse=main"), "the filter is kept: {at}");
    }
    let (mut by_link, mut at) = (Vec::new(), "/stock?limit=7".to_owned());
    loop {
        let reply = get(&erp, &at).await;
        by_link.extend(skus(&reply.json()));
        let Some(link) = reply.header("link") else { break };
        at = path(
            link.strip_prefix('<')
                .unwrap()
                .strip_suffix(r#">; rel="next""#)
                .unwrap(),
        );
    }
    assert_eq!((&by_cursor, &by_url, &by_link), (&all, &all, &all));
    erp.stop().await;
}

#[tokio::test]
async fn filters_and_updated_since_choose_rows() {
    let erp = stocked().await;
    erp.books().advance(Duration::from_secs(60));
    let id = get(&erp, "/stock?sku=SKU-0003").await.json()["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(erp.books().edit("stock", &id, r#"{"on_hand":0}"#).unwrap());
    let stamp = get(&erp, &format!("/stock/{id}")).await.json()["data"]["updated_at"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        skus(&get(&erp, &format!("/stock?updated_since={stamp}")).await.json()),
        ["SKU-0003"]
    );
    assert_eq!(get(&erp, "/stock?warehouse=other").await.json()["total"], 0);
    assert_eq!(get(&erp, "/stock?updated_since=yesterday").await.status, 400);
    let ignored = Fault::IgnoreFilter {
        param: "sku".to_owned(),
    };
    let ignored = erp.books().fault(Rule::new(Kind::List, ignored));
    assert_eq!(get(&erp, "/stock?sku=none").await.json()["total"], 23);
    get(&erp, "/stock").await;
    assert_eq!(
        erp.books().fired(ignored),
        1,
        "only where the filter was there to ignore"
    );
    erp.stop().await;
}

#[tokio::test]
async fn a_next_link_may_point_elsewhere_or_at_itself_and_rows_may_change_their_name() {
    let erp = stocked().await;
    let elsewhere = Fault::NextElsewhere {
        origin: "http://127.0.0.2:9".to_owned(),
    };
    erp.books().fault(Rule::new(Kind::List, elsewhere).when(When::Nth(1)));
    let reply = get(&erp, "/stock?limit=7").await;
    assert!(
        reply.json()["next"]
            .as_str()
            .unwrap()
            .starts_with("http://127.0.0.2:9/api/stock?")
    );
    assert!(reply.header("link").unwrap().starts_with("<http://127.0.0.2:9/"));
    erp.books().fault(Rule::new(Kind::List, Fault::NextLoops));
    let first = get(&erp, "/stock?limit=7").await.json();
    let second = get(&erp, &path(first["next"].as_str().unwrap())).await.json();
    assert_eq!(first["next"], second["next"]);
    erp.books().clear_faults();
    let renamed = Fault::Renamed {
        member: "rows".to_owned(),
    };
    erp.books().fault(Rule::new(Kind::List, renamed));
    let answer = get(&erp, "/stock?limit=7").await.json();
    assert!(answer["items"].is_null());
    assert_eq!(answer["rows"].as_array().unwrap().len(), 7);
    erp.stop().await;
}

#[tokio::test]
async fn a_young_record_is_not_found_yet() {
    let erp = stocked().await;
    erp.books().put("sales-orders", r#"{"reference":"1"}"#).unwrap();
    erp.books().fault(Rule::new(Kind::Find, Fault::HideYoung { ms: 5_000 }));
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 0);
    erp.books().advance(Duration::from_secs(5));
    assert_eq!(get(&erp, "/sales-orders?reference=1").await.json()["total"], 1);
    erp.stop().await;
}
