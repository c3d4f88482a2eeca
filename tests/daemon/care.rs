//! WH-25: subscriptions that are switched off, gone or doubled are found within one time of looking, told until they
//! are in order, and what was missed meanwhile is brought without waiting for a schedule.

use std::sync::Arc;
use std::time::Duration;

use sandbox::{Fault, Resource, Rule};
use serde_json::Value;

use super::inside::{Fast, Inside};
use super::rig::HARDLY_EVER;
use crate::support::{Desk, Setup, Shop};

const URL: &str = "http://127.0.0.1:9/webhooks/selorax";
const TOPICS: [&str; 3] = ["order.created", "order.updated", "order.status_changed"];
const MINUTE: i64 = 60_000;
/// Ten minutes in a second.
const FACTOR: u32 = 600;
const ORDERS: usize = 40;

/// A shop that calls about everything that the flow of its desk listens to. Nobody is there when it calls.
fn shop() -> Shop {
    let shop = Shop::of(ORDERS);
    shop.world().set_webhooks(|options| options.deactivate_after = None);
    for topic in TOPICS {
        shop.world().subscribe(topic, URL).unwrap();
    }
    shop
}

fn webhooks(every: &str) -> String {
    format!("webhooks:\n  listen: 127.0.0.1:0\n  secrets: [0123456789abcdef]\n  check_every: {every}\n")
}

/// Nothing but the care of the subscriptions finds anything once the daemon has begun.
fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        flow: format!("{HARDLY_EVER}    triggers: [{}]\n", TOPICS.join(", ")),
        store: "  upkeep: {deep_every: 0s, sweep_every: 0s}\n".to_owned(),
        flows: webhooks("10m"),
        ..Setup::default()
    };
    Desk::with(shop, setup)
}

fn begin(shop: &Shop, desk: &Desk) -> (Arc<Fast>, Inside) {
    let clock = Fast::new(shop.world().now_ms(), FACTOR);
    let inside = Inside::start(desk, shop, clock.clone(), |_| {});
    inside.until("the history", || desk.rows() >= ORDERS);
    inside.until("the first look", || looks(shop) > 0);
    (clock, inside)
}

fn looks(shop: &Shop) -> usize {
    let requests = shop.world().requests();
    requests
        .iter()
        .filter(|request| request.path.ends_with("/webhooks"))
        .count()
}

fn alerts(desk: &Desk) -> Vec<String> {
    let status = desk.run(&["status", "--json"]).ends(0).out;
    let status: Value = serde_json::from_str(&status).unwrap();
    let alerts = status["alerts"].as_array().unwrap().iter();
    alerts
        .map(|alert| {
            assert!(alert["since"].is_string(), "{alert}");
            format!(
                "{}: {}",
                alert["name"].as_str().unwrap(),
                alert["told"].as_str().unwrap()
            )
        })
        .collect()
}

/// Waits for an alert that says this. The first look from now on finds it: it has begun before the second does.
fn alerted(shop: &Shop, desk: &Desk, inside: &Inside, parts: &[&str]) {
    let before = looks(shop);
    inside.until("the alert", || {
        // One may have been under way.
        let over = looks(shop) >= before + 3;
        let told = alerts(desk);
        let found = told.len() == 1 && parts.iter().all(|part| told[0].contains(part));
        assert!(found || !over, "two looks have not found it: {told:?}");
        found
    });
    desk.run(&["status", "--check"]).ends(3);
    let text = desk.run(&["status"]).ends(0).out;
    assert!(text.contains("ALERT subscriptions since "), "{text}");
}

fn calmed(desk: &Desk, inside: &Inside) {
    inside.until("calm", || alerts(desk).is_empty());
}

/// An order that is new, and one that comes to light late, so that no pass finds it: it lies behind the watermark.
fn missed(shop: &Shop) {
    let world = shop.world();
    world.insert_orders(1);
    let late = world.now_ms() - 40 * MINUTE;
    world.insert_order(|order| {
        order.created_ms = late;
        order.updated_ms = late;
    });
}

fn id_of(shop: &Shop, topic: &str) -> i64 {
    let all = shop.world().subscriptions();
    all.iter().find(|one| one.topic == topic).unwrap().id
}

#[test]
fn wh_25_one_that_is_switched_off_is_found_and_what_was_missed_is_brought() {
    let shop = shop();
    let desk = desk(&shop);
    let (_, inside) = begin(&shop, &desk);
    assert!(alerts(&desk).is_empty());
    desk.run(&["status", "--check"]).ends(0);
    shop.world().advance(Duration::from_secs(3600));
    let id = id_of(&shop, "order.created");
    shop.world()
        .update_subscription(id, |one| (one.is_active, one.failures) = (false, 20));
    missed(&shop);
    let words = ["subscriptions: ", "order.created", "switched off after 20 failed calls"];
    alerted(&shop, &desk, &inside, &words);
    inside.until("what was missed when it was found", || desk.rows() == ORDERS + 2);
    // Lost as well, and found when it is in order again.
    missed(&shop);
    shop.world().update_subscription(id, |one| one.is_active = true);
    inside.until("what was missed until it was in order", || desk.rows() == ORDERS + 4);
    calmed(&desk, &inside);
    // Nothing more is read once all is well.
    shop.world().clear_requests();
    inside.until("three looks", || looks(&shop) >= 3);
    assert_eq!(shop.world().requests().len(), looks(&shop));
    inside.stop();
    desk.check(&shop);
}

#[test]
fn wh_25_one_that_is_deleted_is_found_and_made_again_by_the_command_that_is_told() {
    let shop = shop();
    let desk = desk(&shop);
    let (_, inside) = begin(&shop, &desk);
    shop.world().advance(Duration::from_secs(3600));
    shop.world().delete_subscription(id_of(&shop, "order.updated"));
    missed(&shop);
    alerted(&shop, &desk, &inside, &["order.updated", "webhooks create --url"]);
    inside.until("what was missed", || desk.rows() == ORDERS + 2);
    desk.run(&["webhooks", "create", "--url", URL]).ends(0);
    assert_eq!(shop.world().subscriptions().len(), 3);
    calmed(&desk, &inside);
    inside.stop();
    desk.check(&shop);
}

#[test]
fn wh_25_three_copies_are_told_and_nothing_is_read_for_them() {
    let shop = shop();
    let desk = desk(&shop);
    let (_, inside) = begin(&shop, &desk);
    let copies: Vec<i64> = (0..2)
        .map(|_| shop.world().subscribe("order.created", URL).unwrap().id)
        .collect();
    shop.world().clear_requests();
    alerted(&shop, &desk, &inside, &["order.created: there are 3 subscriptions"]);
    assert_eq!(shop.world().requests().len(), looks(&shop));
    for id in copies {
        shop.world().delete_subscription(id);
    }
    calmed(&desk, &inside);
    inside.stop();
}

#[test]
fn wh_25_what_happens_while_the_daemon_is_down_is_found_at_its_start() {
    let shop = shop();
    let mut desk = desk(&shop);
    let (clock, inside) = begin(&shop, &desk);
    inside.stop();
    shop.world().advance(Duration::from_secs(3600));
    shop.world().delete_subscription(id_of(&shop, "order.created"));
    missed(&shop);
    // So slow that what is found is found by the first look.
    let slow = Fast::new(contract::Clock::now(&*clock), 20);
    let inside = Inside::start(&desk, &shop, slow.clone(), |_| {});
    inside.until("what was missed", || desk.rows() == ORDERS + 2);
    inside.until("the alert", || alerts(&desk).len() == 1);
    inside.stop();
    // Nobody is to look any more, so nobody knows of anything wrong.
    desk.setup.flows = webhooks("0s");
    desk.configure();
    shop.world().clear_requests();
    let inside = Inside::start(&desk, &shop, slow, |_| {});
    calmed(&desk, &inside);
    assert_eq!(looks(&shop), 0);
    inside.stop();
    desk.check(&shop);
}

#[test]
fn a_list_that_the_store_does_not_show_is_told_until_it_does() {
    let shop = shop();
    let desk = desk(&shop);
    let denied = shop
        .world()
        .fault(Rule::any(Fault::forbidden("read:webhooks")).of(Resource::Webhooks));
    let (_, inside) = begin(&shop, &desk);
    alerted(&shop, &desk, &inside, &["nobody knows", "read:webhooks"]);
    shop.world().remove_fault(denied);
    calmed(&desk, &inside);
    inside.stop();
    desk.check(&shop);
}
