//! The truth log, the shop's own movement, and changes at an exact place.

use std::collections::BTreeMap;
use std::sync::Arc;

use sandbox::{Change, Moment, Movement, Options, Order, Sandbox, Truth};

use crate::client::{get, only, set, shop, walk};

fn replayed(truth: &[Truth]) -> BTreeMap<i64, Arc<Order>> {
    let mut orders = BTreeMap::new();
    for (at, entry) in truth.iter().enumerate() {
        assert_eq!(entry.seq, at as u64 + 1);
        match entry.kind {
            Change::Created => assert!(orders.insert(entry.id, Arc::clone(&entry.order)).is_none()),
            Change::Updated => assert!(orders.insert(entry.id, Arc::clone(&entry.order)).is_some()),
            Change::Deleted => assert!(orders.remove(&entry.id).is_some()),
        }
    }
    orders
}

#[tokio::test]
async fn the_truth_log_replayed_is_the_shop() {
    let sandbox = shop(60).await;
    let world = sandbox.world();
    for moment in [Moment::Before, Moment::After] {
        world.move_each_list_answer(Movement {
            inserts: 2,
            updates: 3,
            deletes: 1,
            moves_max: 40,
            moment,
            ..Movement::default()
        });
        walk(&sandbox, "?sort=updated_at:desc&limit=10").await;
        walk(&sandbox, "?sort=updated_at:desc&limit=10").await;
        assert_eq!(world.moves_left(), 0, "the shop comes to rest");
    }
    world.tie_updated(10, world.now_ms());
    assert_eq!(world.truth().len(), 60 + 80 + 10);
    assert_eq!(replayed(&world.truth()), world.final_orders());
    let ids = walk(&sandbox, "?sort=created_at:asc&limit=250").await;
    assert_eq!(set(&ids), world.final_orders().into_keys().collect());
}

#[tokio::test]
async fn the_truth_file_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.jsonl");
    let options = Options {
        truth_file: Some(path.clone()),
        ..only(5)
    };
    let sandbox = Sandbox::start(options).await.unwrap();
    let id = sandbox
        .world()
        .insert_order(|order| order.note = Some("\"পূজা\"\n\u{7}".to_owned()));
    sandbox.world().delete_order(id);
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 7);
    assert_eq!((&lines[6]["kind"], &lines[6]["id"]), (&"deleted".into(), &id.into()));
    assert_eq!(lines[5]["order"]["note"], "\"পূজা\"\n\u{7}");
    let copy = folder.path().join("copy.jsonl");
    sandbox.world().write_truth(&copy).unwrap();
    assert_eq!(std::fs::read_to_string(copy).unwrap(), text);
}

#[tokio::test]
async fn updates_are_stamped_unless_they_are_quiet() {
    let sandbox = shop(3).await;
    let world = sandbox.world();
    let id = *world.final_orders().keys().next().unwrap();
    let stamp = world.order(id).unwrap().updated_ms;
    assert!(world.update_order_quietly(id, |order| order.note = Some("quiet".to_owned())));
    assert_eq!(world.order(id).unwrap().updated_ms, stamp);
    world.set_clock(world.now_ms() + 1_999);
    assert!(world.update_order(id, |_| {}));
    assert_eq!(world.order(id).unwrap().updated_ms, sandbox::FIXED_START_MS + 1_000);
    assert!(!world.update_order(1, |_| {}) && !world.delete_order(1));
    let taken = world.insert_order(|order| order.id = id);
    assert_ne!(taken, id);
    assert_eq!(
        world.insert_order(|order| order.id = 9_007_199_254_740_993),
        9_007_199_254_740_993
    );
}

#[tokio::test]
async fn a_hook_changes_the_shop_exactly_between_two_pages() {
    let sandbox = shop(20).await;
    let first = get(&sandbox, "/orders?sort=created_at:desc&limit=10").await.ids();
    let gone = first[0];
    sandbox.world().after_each_list(move |world, page| {
        if page == 1 {
            world.delete_order(gone);
        }
    });
    let seen = walk(&sandbox, "?sort=created_at:desc&limit=10").await;
    assert_eq!(
        (seen.len(), set(&seen).len()),
        (19, 19),
        "the first row of page two moved up and was skipped"
    );
    assert_eq!(sandbox.world().order_count(), 19);
    assert!(sandbox.world().final_orders().keys().any(|id| !seen.contains(id)));
}

#[tokio::test]
async fn a_large_shop_answers_at_once() {
    let sandbox = shop(20_000).await;
    let reply = get(&sandbox, "/orders?limit=250&page=80&sort=updated_at:desc").await;
    assert_eq!(reply.ids().len(), 250);
}
