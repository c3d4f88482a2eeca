//! Faults of the data: pages and rows that are valid HTTP and JSON and still not the truth.

use std::time::Duration;

use sandbox::{Fault, Rule, Splice, When};

use crate::client::{get, set, shop};

#[tokio::test]
async fn pages_repeat_go_empty_or_never_end() {
    let sandbox = shop(25).await;
    let world = sandbox.world();
    let first = get(&sandbox, "/orders?limit=10").await.ids();
    let repeat = world.fault(Rule::list(Fault::RepeatPreviousPage).when(When::Times(1)));
    assert_eq!(get(&sandbox, "/orders?limit=10").await.ids().len(), 10);
    assert_eq!(world.fired(repeat), 0, "the first page has none before it");
    let reply = get(&sandbox, "/orders?limit=10&page=2").await;
    assert_eq!(
        (set(&reply.ids()), &reply.json()["pagination"]["page"]),
        (set(&first), &2.into())
    );
    assert_eq!(world.fired(repeat), 1);
    let empty = world.fault(Rule::list(Fault::EmptyPage).page(2));
    let reply = get(&sandbox, "/orders?limit=10&page=2").await;
    assert_eq!(
        (reply.ids().len(), &reply.json()["pagination"]["total"]),
        (0, &25.into())
    );
    let last = world.fault(Rule::list(Fault::LastPageForEver));
    let third = get(&sandbox, "/orders?limit=10&page=3").await.ids();
    assert_eq!(world.fired(last), 0);
    assert_eq!(set(&get(&sandbox, "/orders?limit=10&page=9").await.ids()), set(&third));
    assert_eq!((world.fired(empty), world.fired(last)), (1, 1));
}

#[tokio::test]
async fn limits_shrink_and_totals_lie() {
    let sandbox = shop(25).await;
    let clamp = sandbox.world().fault(Rule::list(Fault::ClampLimit { rows: 5 }));
    let reply = get(&sandbox, "/orders?limit=10&page=2").await;
    assert_eq!(
        (reply.ids().len(), &reply.json()["pagination"]["limit"]),
        (5, &5.into())
    );
    for total in [Some(0), Some(1_000), None] {
        let rule = sandbox
            .world()
            .fault(Rule::list(Fault::WrongTotal { total }).when(When::Times(1)));
        let reply = get(&sandbox, "/orders").await;
        assert_eq!(
            reply.json()["pagination"]
                .get("total")
                .and_then(serde_json::Value::as_i64),
            total
        );
        assert_eq!(sandbox.world().fired(rule), 1);
    }
    assert_eq!(sandbox.world().fired(clamp), 4);
}

#[tokio::test]
async fn a_stale_copy_shows_the_world_of_then() {
    let sandbox = shop(10).await;
    let world = sandbox.world();
    let before = world.final_orders();
    let ids: Vec<i64> = before.keys().copied().collect();
    world.advance(Duration::from_secs(60));
    world.update_order(ids[0], |order| order.status = "odd".to_owned());
    world.delete_order(ids[1]);
    let new = world.insert_order(|_| {});
    world.advance(Duration::from_secs(10));
    let stale = world.fault(Rule::any(Fault::StaleCopy { lag_ms: 20_000 }));
    assert_eq!(
        set(&get(&sandbox, "/orders?limit=250").await.ids()),
        before.keys().copied().collect()
    );
    let old = get(&sandbox, &format!("/orders/{}", ids[0])).await.json();
    assert_eq!(old["data"]["order_status"], before[&ids[0]].status.as_str());
    assert_eq!(get(&sandbox, &format!("/orders/{}", ids[1])).await.status, 200);
    assert_eq!(get(&sandbox, &format!("/orders/{new}")).await.status, 404);
    assert_eq!(world.fired(stale), 4);
    world.advance(Duration::from_secs(20));
    assert_eq!(
        set(&get(&sandbox, "/orders?limit=250").await.ids()),
        world.final_orders().into_keys().collect()
    );
}

#[tokio::test]
async fn a_young_version_stays_hidden_until_its_stamp_is_old_enough() {
    let sandbox = shop(5).await;
    let world = sandbox.world();
    let old = *world.final_orders().keys().next().unwrap();
    let status = world.order(old).unwrap().status.clone();
    let new = world.insert_order(|_| {});
    world.update_order(old, |order| order.status = "odd".to_owned());
    let hide = world.fault(Rule::any(Fault::HideYoung {
        order: None,
        age_ms: 60_000,
    }));
    assert!(!get(&sandbox, "/orders").await.ids().contains(&new));
    assert_eq!(
        get(&sandbox, &format!("/orders/{old}")).await.json()["data"]["order_status"],
        status.as_str()
    );
    assert_eq!(world.fired(hide), 2);
    world.advance(Duration::from_secs(60));
    assert!(get(&sandbox, "/orders").await.ids().contains(&new));
    assert_eq!(
        get(&sandbox, &format!("/orders/{old}")).await.json()["data"]["order_status"],
        "odd"
    );
    assert_eq!(world.fired(hide), 2);
}

#[tokio::test]
async fn padding_makes_pages_or_rows_heavy() {
    let sandbox = shop(4).await;
    sandbox
        .world()
        .fault(Rule::list(Fault::PadPage { bytes: 1_000_000 }).when(When::Times(1)));
    let reply = get(&sandbox, "/orders").await;
    assert!(reply.body.len() > 1_000_000);
    assert_eq!(reply.ids().len(), 4);
    sandbox.world().fault(Rule::list(Fault::PadRows { bytes: 10_000 }));
    let (four, two) = (get(&sandbox, "/orders").await, get(&sandbox, "/orders?limit=2").await);
    assert!(four.body.len() > 40_000 && two.body.len() < 30_000);
    assert_eq!(four.ids().len(), 4);
}

#[tokio::test]
async fn any_text_can_stand_in_any_place() {
    let sandbox = shop(3).await;
    let world = sandbox.world();
    let id = *world.final_orders().keys().next().unwrap();
    let cases = [
        (
            Splice::member("grand_total", "\"1,500.00\""),
            r#""grand_total":"1,500.00","#,
        ),
        (Splice::member("note", r#""\ud800""#), r#""note":"\ud800","#),
        (Splice::member("items.0.quantity", "null"), r#""quantity":null,"#),
        (
            Splice::member("order_id", "9223372036854775808"),
            r#"{"order_id":9223372036854775808,"#,
        ),
        (
            Splice::member("channel.deep", "[[[["),
            r#""channel":{"kind":"web","v":3,"deep":[[[[}"#,
        ),
        (Splice::drop("updated_at"), r#".000Z","is_guest":"#),
        (Splice::drop("order_id"), r#"{"store_id":"#),
        (
            Splice::Append {
                members: r#""note":1,"note":2"#.to_owned(),
            },
            r#","note":1,"note":2}"#,
        ),
        (
            Splice::Row {
                json: "<row>".to_owned(),
            },
            "<row>",
        ),
    ];
    for (splice, expected) in cases {
        let rule = world.fault(Rule::splice(id, splice.clone()));
        let detail = get(&sandbox, &format!("/orders/{id}")).await.text();
        let list = get(&sandbox, "/orders").await.text();
        assert!(detail.contains(expected), "{splice:?}: {detail}");
        assert!(list.contains(expected), "{splice:?}: {list}");
        let other = world.final_orders().into_keys().next_back().unwrap();
        get(&sandbox, &format!("/orders/{other}")).await;
        assert_eq!(world.fired(rule), 2, "{splice:?}");
        world.clear_faults();
    }
    let nowhere = world.fault(Rule::splice(id, Splice::drop("items.99.sku")));
    get(&sandbox, "/orders").await;
    assert_eq!(world.fired(nowhere), 0);
}
