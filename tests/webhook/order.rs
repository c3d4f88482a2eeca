//! WH-09: events come in any order, late, and twice; what counts is what the store shows.

use super::rig::{Event, Hooked, secret};
use crate::support::Shop;

/// What can be said of one order; the last one is not even true.
const TOPICS: [&str; 6] = [
    "order.created",
    "order.updated",
    "order.updated",
    "order.status_changed",
    "order.cancelled",
    "order.deleted",
];

/// All orders of so many things, by Heap's method.
fn permutations(items: &mut Vec<usize>, count: usize, found: &mut Vec<Vec<usize>>) {
    if count <= 1 {
        found.push(items.clone());
        return;
    }
    for n in 0..count {
        permutations(items, count - 1, found);
        items.swap(if count.is_multiple_of(2) { n } else { 0 }, count - 1);
    }
}

#[test]
fn wh_09_all_720_orders_of_six_events_give_one_final_state() {
    let mut orders = Vec::new();
    permutations(&mut (0..6).collect(), 6, &mut orders);
    orders.sort();
    orders.dedup();
    assert_eq!(orders.len(), 720);
    let shop = Shop::of(720);
    let hooked = Hooked::with(&shop, "  coalesce: 200ms\n", |_| {});
    let mut daemon = hooked.daemon();
    let ids: Vec<i64> = shop.world().final_orders().into_keys().collect();
    let mut line = hooked.connect();
    let mut accepted = 0;
    // After each event but the last the orders change, so that every event is late for some version.
    for nth in 0..6 {
        for (id, order) in ids.iter().zip(&orders) {
            let event = Event::order(&shop, &format!("{id}-{}", order[nth]), TOPICS[order[nth]], *id);
            let answer = line.send(&event.request());
            answer.is(200, "accepted");
            accepted += 1;
        }
        if nth < 4 {
            let status = ["confirmed", "shipped", "delivered", "cancelled"][nth];
            for id in &ids {
                shop.world().update_order(*id, |order| order.status = status.to_owned());
            }
        }
    }
    assert_eq!(accepted, 4320);
    hooked.wait_until(&mut daemon, &shop);
    // An order that is said to be deleted and is not stays what it is.
    assert_eq!(shop.world().final_orders().len(), 720);
    daemon.stop();
    hooked.desk.check(&shop);
}

#[test]
fn a5_a_deleted_order_is_told_and_nothing_is_done_about_it() {
    let shop = Shop::of(20);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    let before = hooked.desk.rows();
    assert!(shop.world().delete_order(id));
    let event = Event::order(&shop, "gone", "order.deleted", id);
    hooked.send(&event).is(200, "accepted");
    let told = || {
        let status = hooked.desk.run(&["status", "--json"]).out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["flows"][0]["deleted_at_source"] == 1
    };
    daemon.until("the deletion in status", told);
    daemon.stop();
    assert_eq!(hooked.desk.rows(), before);
}

#[test]
fn a3_what_the_store_itself_sends_arrives_though_it_is_sent_twice_and_overtaken() {
    let shop = Shop::of(100);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let made = shop.world().subscribe_all(&hooked.url()).unwrap();
    for subscription in &made {
        shop.world()
            .update_subscription(subscription.id, |one| one.secret = secret());
    }
    shop.world().set_webhooks(|options| {
        options.duplicate_percent = 30;
        options.reorder_percent = 30;
    });
    shop.world().insert_orders(20);
    shop.world().update_any(60);
    daemon.until("all deliveries", || shop.world().pending_deliveries() == 0);
    hooked.wait_until(&mut daemon, &shop);
    let delivered = shop.world().deliveries();
    assert!(
        delivered.len() > 80 && delivered.iter().all(|one| one.status == Some(200)),
        "{delivered:#?}"
    );
    daemon.stop();
    hooked.desk.check(&shop);
}
