//! E4-15, E12-38: what reading by change cannot find, the deep pass and the sweep do.

use std::time::Duration;

use super::inside::{Fast, Inside};
use crate::support::{Desk, Setup, Shop};

const MINUTE: i64 = 60_000;

fn desk(shop: &Shop, upkeep: &str) -> Desk {
    Desk::with(
        shop,
        Setup {
            flow: "    schedule: \"*/10 * * * *\"\n".to_owned(),
            store: format!("  upkeep: {{{upkeep}}}\n"),
            ..Setup::default()
        },
    )
}

#[test]
fn e4_15_an_order_that_comes_to_light_late_is_found_by_the_deep_pass() {
    let shop = Shop::of(60);
    let desk = desk(&shop, "deep_every: 1h, sweep_every: 0s");
    let clock = Fast::new(shop.world().now_ms(), 900);
    let inside = Inside::start(&desk, &shop, clock, |_| {});
    inside.until("the history", || desk.rows() == 60);
    // So that there is a watermark far ahead of the late one.
    shop.world().advance(Duration::from_secs(7200));
    shop.world().insert_orders(1);
    inside.until("what is new", || desk.rows() == 61);
    let late = shop.world().now_ms() - 100 * MINUTE;
    shop.world().insert_order(|order| {
        order.created_ms = late;
        order.updated_ms = late;
    });
    inside.until("what is late", || desk.rows() == 62);
    inside.stop();
    desk.check(&shop);
}

#[test]
fn e12_38_the_sweep_finds_changes_that_moved_no_stamp_and_tells_of_what_is_gone() {
    let shop = Shop::of(700);
    let desk = desk(&shop, "deep_every: 0s, sweep_every: 3h");
    let clock = Fast::new(shop.world().now_ms(), 900);
    let inside = Inside::start(&desk, &shop, clock, |_| {});
    inside.until("the history", || desk.rows() == 700);
    let ids = shop.some_ids(4);
    shop.world()
        .update_order_quietly(ids[0], |order| order.note = Some("quietly".to_owned()));
    shop.world().delete_order(ids[1]);
    shop.world().delete_order(ids[2]);
    inside.until("the quiet change", || desk.rows() == 701);
    inside.until("what is gone", || {
        let status = desk.run(&["status", "--json"]).ends(0).out;
        let status: serde_json::Value = serde_json::from_str(&status).unwrap();
        status["flows"][0]["deleted_at_source"] == 2 && status["upkeep"]["store.orders"]["last_sweep"].is_string()
    });
    let told = desk.run(&["status"]).ends(0).out;
    for id in [ids[1], ids[2]] {
        let line = told
            .lines()
            .find(|line| line.contains("deleted  ") && line.contains(&id.to_string()));
        assert!(line.is_some(), "nothing of {id} in:\n{told}");
    }
    // Told, and nothing done about it: that is no failure, and no file says so.
    desk.run(&["failures", "list"]).ends(0);
    assert_eq!(desk.rows(), 701);
    inside.stop();
    desk.check(&shop);
    // A restart knows what is gone, and finds nothing new about it.
    let status = desk.run(&["status", "--json"]).ends(0).out;
    assert!(status.contains("\"deleted_at_source\": 2"), "{status}");
}
