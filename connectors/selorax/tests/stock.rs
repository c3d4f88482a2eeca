//! ST-02 to ST-05 at the connector: levels and movements on their way into the store.

use contract::{Abilities, Act, Fault};
use sandbox::{Canned, Fault as Broken, Rule, When};
use serde_json::json;

use super::rig::{Rig, create, push};

/// A product with these variants: their SKU and stock. Gives their numbers.
fn goods(rig: &Rig, variants: &[(&str, i64)]) -> Vec<i64> {
    let product = rig.world().insert_product(|product| {
        product.name = format!("Goods {}", variants[0].0);
        product.variants.truncate(1);
    });
    let first = rig.world().product(product).unwrap().variants[0].sku_id;
    let mut ids = vec![first];
    for _ in variants.iter().skip(1) {
        ids.push(rig.world().insert_variant(product, |_| {}).unwrap());
    }
    for (id, (sku, stock)) in ids.iter().zip(variants) {
        rig.world().update_variant(*id, |variant| {
            variant.sku_code = Some((*sku).to_owned());
            variant.quantity = *stock;
        });
    }
    ids
}

#[tokio::test]
async fn st_01_a_level_is_written_without_what_was_sold_and_only_where_it_differs() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("T-1", 5), (" 007 ", 5)]);
    let target = rig.target("inventory");
    let can = Abilities {
        update: true,
        trusts_key: true,
        levels: true,
        batch: 1,
        ..Abilities::default()
    };
    assert_eq!(target.abilities(), can);
    let mut level = push("1", json!({"sku": "T-1", "quantity": "12.9"}));
    level.sold = 4;
    let receipt = create(&target, &level).await.unwrap();
    assert_eq!(receipt.id.unwrap().0, ids[0].to_string());
    assert_eq!(rig.world().stock(ids[0]), Some(8));
    create(&target, &push("2", json!({"sku": "007", "quantity": -3})))
        .await
        .unwrap();
    assert_eq!((rig.world().stock(ids[1]), rig.writes().len()), (Some(0), 2));
    create(&target, &level).await.unwrap();
    assert_eq!(rig.writes().len(), 2, "equal: nothing is sent");
    assert_eq!(rig.writes()[0], format!(r#"{{"sku_id":{},"quantity":8}}"#, ids[0]));
    let refused = create(&target, &push("3", json!({"sku": "T-1", "quantity": ""})))
        .await
        .unwrap_err();
    assert_eq!((refused.fault, rig.world().stock(ids[0])), (Fault::Rejected, Some(8)));
}

#[tokio::test]
async fn a_sku_is_found_after_a_restart_and_when_it_is_new_and_never_guessed() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("A-1", 1), ("TWICE", 1)]);
    goods(&rig, &[("TWICE", 1)]);
    let target = rig.target("inventory");
    let twice = create(&target, &push("1", json!({"sku": "TWICE", "quantity": 3})))
        .await
        .unwrap_err();
    assert_eq!(twice.fault, Fault::Rejected);
    assert!(
        twice.to_string().contains("Goods A-1") && twice.to_string().contains("Goods TWICE"),
        "{twice}"
    );
    let unknown = create(&target, &push("2", json!({"sku": "NEW-1", "quantity": 3})))
        .await
        .unwrap_err();
    assert!(
        unknown.to_string().contains("no variant in the store has this SKU"),
        "{unknown}"
    );
    let new = goods(&rig, &[("NEW-1", 0)]);
    rig.clock.by(150);
    create(&target, &push("2", json!({"sku": "NEW-1", "quantity": 3})))
        .await
        .unwrap();
    assert_eq!(rig.world().stock(new[0]), Some(3));

    // The next process knows them: it asks what changed, reads the product, writes and reads it again.
    rig.world().clear_requests();
    create(
        &rig.target("inventory"),
        &push("3", json!({"sku": "A-1", "quantity": 4})),
    )
    .await
    .unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(4));
    let asked = rig.world().request_count();
    assert!(
        asked < 12,
        "{asked} requests with {} products",
        rig.world().product_count()
    );

    // The code went to another variant meanwhile.
    rig.world().advance(std::time::Duration::from_secs(60));
    rig.world()
        .update_variant(ids[0], |variant| variant.sku_code = Some("B-1".to_owned()));
    rig.world()
        .update_variant(new[0], |variant| variant.sku_code = Some("A-1".to_owned()));
    rig.clock.by(3);
    let target = rig.target("inventory");
    create(&target, &push("4", json!({"sku": "A-1", "quantity": 9})))
        .await
        .unwrap();
    assert_eq!(
        (rig.world().stock(ids[0]), rig.world().stock(new[0])),
        (Some(4), Some(9))
    );
}

#[tokio::test]
async fn st_02_an_older_level_never_follows_a_newer_one_not_even_in_another_process() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 1)]);
    let at = |stamp: i64, quantity: i64| {
        let mut level = push(&format!("k{stamp}"), json!({"sku": "S-1", "quantity": quantity}));
        level.stamp = Some(stamp);
        level
    };
    let target = rig.target("inventory");
    create(&target, &at(2_000, 20)).await.unwrap();
    create(&target, &at(1_000, 10)).await.unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(20));
    create(&rig.target("inventory"), &at(1_999, 11)).await.unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(20));
    // Together, and whichever comes first.
    let (newer, older) = (at(4_000, 40), at(3_000, 30));
    let (first, second) = tokio::join!(create(&target, &older), create(&target, &newer));
    first.unwrap();
    second.unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(40));
}

#[tokio::test]
async fn st_03_a_set_that_went_unanswered_is_simply_written_again() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 1)]);
    rig.world().fault(Rule::write(Broken::AnswerLost).when(When::Nth(1)));
    let level = push("1", json!({"sku": "S-1", "quantity": 7}));
    let error = create(&rig.target("inventory"), &level).await.unwrap_err();
    assert_eq!(error.fault, Fault::Transient { reached: true });
    create(&rig.target("inventory"), &level).await.unwrap();
    assert_eq!((rig.world().stock(ids[0]), rig.writes().len()), (Some(7), 1));
}

#[tokio::test]
async fn st_03_a_movement_that_was_made_is_not_made_again() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 10)]);
    rig.world().fault(Rule::write(Broken::AnswerLost).when(When::Nth(1)));
    let movement = push("1", json!({"sku": "S-1", "delta": -3}));
    let error = create(&rig.target("inventory"), &movement).await.unwrap_err();
    assert_eq!(error.fault, Fault::Transient { reached: true });
    // Another process, which has nothing but the memory.
    let target = rig.target("inventory");
    create(&target, &movement).await.unwrap();
    create(&target, &movement).await.unwrap();
    assert_eq!((rig.world().stock(ids[0]), rig.writes().len()), (Some(7), 1));
    // A changed one is not taken for another one.
    let changed = target
        .update(
            &contract::Key("x".to_owned()),
            &push("1", json!({"sku": "S-1", "delta": -4})),
        )
        .await;
    assert_eq!(changed.unwrap_err().fault, Fault::Conflict);
    assert_eq!(rig.world().stock(ids[0]), Some(7));
}

#[tokio::test]
async fn st_03_a_movement_that_was_not_made_is_made_when_the_store_cannot_be_at_work_on_it_any_more() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 10)]);
    rig.world()
        .fault(Rule::write(Broken::WriteFailed { written: false }).when(When::Nth(1)));
    let movement = push("1", json!({"sku": "S-1", "delta": 5}));
    let target = rig.target("inventory");
    let error = create(&target, &movement).await.unwrap_err();
    assert_eq!(error.fault, Fault::Transient { reached: true });
    // Too early for this one, and for every other of the SKU.
    for key in ["1", "2"] {
        let early = create(&target, &push(key, json!({"sku": "S-1", "delta": 5})))
            .await
            .unwrap_err();
        assert!(
            matches!(early.fault, Fault::Throttled { retry_after: Some(_) }),
            "{early}"
        );
    }
    assert_eq!(rig.writes().len(), 1);
    rig.clock.by(61);
    create(&target, &movement).await.unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(15));
}

#[tokio::test]
async fn st_03_a_movement_nobody_can_tell_of_goes_to_a_person_with_its_figures() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 10)]);
    rig.world().fault(Rule::write(Broken::AnswerLost).when(When::Nth(1)));
    let movement = push("1", json!({"sku": "S-1", "delta": -3}));
    create(&rig.target("inventory"), &movement).await.unwrap_err();
    rig.world().move_stock(ids[0], -2);
    rig.clock.by(61);
    for _ in 0..3 {
        let error = create(&rig.target("inventory"), &movement).await.unwrap_err();
        assert_eq!(error.fault, Fault::Conflict);
        for part in ["it was 10 before", "7 would be there", "there is 5"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
    // It stands in nobody's way.
    create(&rig.target("inventory"), &push("2", json!({"sku": "S-1", "delta": 1})))
        .await
        .unwrap();
    assert_eq!((rig.world().stock(ids[0]), rig.writes().len()), (Some(6), 2));
}

#[tokio::test]
async fn st_03_a_movement_that_was_refused_is_nobodys_doubt() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 10)]);
    rig.world()
        .fault(Rule::write(Broken::Answer(Canned::error(429, "rate_limited", "slow down"))).when(When::Nth(1)));
    let movement = push("1", json!({"sku": "S-1", "delta": -3}));
    let error = create(&rig.target("inventory"), &movement).await.unwrap_err();
    assert!(matches!(error.fault, Fault::Throttled { .. }), "{error}");
    // A sale meanwhile changes nothing about that.
    rig.world().move_stock(ids[0], -2);
    create(&rig.target("inventory"), &movement).await.unwrap();
    assert_eq!(rig.world().stock(ids[0]), Some(5));
}

#[tokio::test]
async fn st_05_a_store_that_says_yes_and_does_nothing_stops_the_target_after_three() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 1), ("S-2", 1), ("S-3", 1), ("S-4", 1)]);
    rig.world().fault(Rule::write(Broken::WriteIgnored));
    let target = rig.target("inventory");
    let mut faults = Vec::new();
    for sku in ["S-1", "S-2", "S-3", "S-4"] {
        let error = create(&target, &push(sku, json!({"sku": sku, "quantity": 9})))
            .await
            .unwrap_err();
        faults.push(error.fault);
        if sku == "S-1" {
            assert!(
                error.to_string().contains("9 was asked for, and the store shows 1"),
                "{error}"
            );
            assert!(error.exchange.unwrap().request.contains("PUT inventory/"));
        }
    }
    assert_eq!(faults, [Fault::Rejected, Fault::Rejected, Fault::Denied, Fault::Denied]);
    assert_eq!(rig.writes().len(), 6, "two tries of three, and none of the fourth");
    assert!(ids.iter().all(|id| rig.world().stock(*id) == Some(1)));
}

#[tokio::test]
async fn st_05_another_variant_that_changed_instead_is_named() {
    // A template that names the wrong variant.
    let body = "{sku_id: (.other | tonumber), quantity}";
    let rig = Rig::new(json!({"inventory": {"set": {"body": body}}})).await;
    let ids = goods(&rig, &[("S-1", 1), ("S-2", 2)]);
    let record = json!({"sku": "S-1", "quantity": 9, "other": ids[1].to_string()});
    let error = create(&rig.target("inventory"), &push("1", record)).await.unwrap_err();
    assert_eq!(error.fault, Fault::Rejected);
    assert!(error.to_string().contains("store.inventory.set"), "{error}");
    assert_eq!(rig.world().stock(ids[0]), Some(1));
}

#[tokio::test]
async fn a_dry_run_shows_the_exact_request_without_a_secret() {
    let rig = Rig::new(json!({})).await;
    let ids = goods(&rig, &[("S-1", 1)]);
    let target = rig.target("inventory");
    let level = push("1", json!({"sku": "S-1", "quantity": 9}));
    let shown = target.show(Act::Create(std::slice::from_ref(&level))).unwrap();
    assert!(shown.contains("are looked up"), "{shown}");
    create(&target, &level).await.unwrap();
    let shown = target.show(Act::Create(std::slice::from_ref(&level))).unwrap();
    let product = rig.world().product_of(ids[0]).unwrap();
    assert!(shown.contains(&format!("/api/apps/v1/inventory/{product}'")), "{shown}");
    assert!(
        shown.contains(&format!(r#"{{"sku_id":{},"quantity":9}}"#, ids[0])),
        "{shown}"
    );
    assert!(
        shown.contains("x-client-secret: ***") && !shown.contains("5b5b"),
        "{shown}"
    );
}
