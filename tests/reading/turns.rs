//! One budget and who gets what of it: the order in which the store is really asked.

use contract::{Key, Source, Use};

use super::rig::Setup;

/// Reads one record so many times at once.
async fn reads(orders: &dyn Source, key: &Key, purpose: Use, times: usize) {
    let all = (0..times).map(|_| orders.read(key, purpose));
    for row in futures::future::join_all(all).await {
        row.unwrap().unwrap();
    }
}

#[tokio::test]
async fn api_34_a_budget_that_is_too_small_is_shared_by_what_the_calls_are_for() {
    let mut setup = Setup::orders(4).store("rate_limit: 60/min").store("burst: 10");
    setup.exact = true;
    let rig = setup.start().await;
    let orders = rig.orders();
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let keys: Vec<Key> = ids.iter().map(|id| Key(id.to_string())).collect();
    // Everybody has enough to do for as long as is looked at.
    tokio::join!(
        reads(&*orders, &keys[3], Use::History, 120),
        reads(&*orders, &keys[1], Use::Stock, 100),
        reads(&*orders, &keys[2], Use::Feed, 100),
        reads(&*orders, &keys[0], Use::Ring, 100),
    );
    // Twenty are let go aside: history came first, before there was anything to choose.
    let asked: Vec<i64> = rig
        .world
        .requests()
        .iter()
        .filter_map(|request| request.order)
        .collect();
    let first = &asked[20..180];
    let of = |id: i64| first.iter().filter(|asked| **asked == id).count();
    let shares = [of(ids[0]), of(ids[1]), of(ids[2]), of(ids[3])];
    println!("of {} requests: {shares:?}", first.len());
    for (found, due) in shares.into_iter().zip([80, 32, 24, 24_usize]) {
        assert!(found.abs_diff(due) <= 3, "{shares:?}");
    }
    assert_eq!(asked.len(), 420);
}
