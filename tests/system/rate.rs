//! A12: how often the store is asked, by its own log, over one process and over several.

use std::time::Duration;

use sandbox::{Fault, Rule, When, busiest};

use crate::support::{Desk, Setup, Shop};

const RATE: usize = 20;
const BURST: usize = 5;

fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        rate: format!("{RATE}/s"),
        burst: 5,
        ..Setup::default()
    };
    Desk::with(shop, setup)
}

#[track_caller]
fn within_the_rate(shop: &Shop, least: usize) {
    let requests = shop.world().requests();
    assert!(requests.len() >= least, "only {} requests", requests.len());
    for ms in [100, 250, 500, 1_000, 2_000, 4_000] {
        let most = RATE * ms / 1000 + BURST;
        let found = busiest(&requests, Duration::from_millis(u64::try_from(ms).unwrap()));
        assert!(
            found <= most,
            "{found} requests within {ms} ms, where {most} are allowed"
        );
    }
}

#[test]
fn a12_no_window_has_more_requests_than_the_rate_and_the_burst_allow() {
    let shop = Shop::of(15_000);
    desk(&shop).run(&["--backfill"]).ends(0);
    within_the_rate(&shop, 60);
}

#[test]
fn a12_nor_has_any_window_over_runs_that_follow_one_another_or_are_killed() {
    let shop = Shop::of(5_000);
    let desk = desk(&shop);
    for ms in [100, 400, 250, 700] {
        let mut run = desk.start(&["--backfill"]);
        run.let_run(Duration::from_millis(ms));
        assert_eq!(run.kill().signal, Some(9));
    }
    desk.run(&["--backfill"]).ends(0);
    for _ in 0..4 {
        desk.run(&["--once"]).ends(0);
    }
    within_the_rate(&shop, 40);
    desk.check(&shop);
}

#[test]
fn api_01_nobody_asks_before_the_pause_is_over_not_even_the_next_process() {
    let shop = Shop::of(600);
    let world = shop.world();
    let desk = Desk::new(&shop);
    let limited = world.fault(Rule::list(Fault::too_many(3)).when(When::Nth(2)));
    let mut run = desk.start(&["--backfill"]);
    run.until("the 429", || world.fired(limited) == 1);
    let answered = world.requests().last().unwrap().at;
    // The answer has to reach the other side and be kept before the kill.
    run.let_run(Duration::from_millis(300));
    assert_eq!(run.kill().signal, Some(9));
    let told = desk.run(&["--once", "--wait", "0s"]);
    if told.code != Some(0) {
        told.ends(1);
    }
    desk.run(&["--backfill"]).ends(0);
    let next = world.first_after(answered).unwrap();
    let waited = next.at.duration_since(answered);
    assert!(waited >= Duration::from_millis(2_950), "asked again after {waited:?}");
    desk.check(&shop);
}

#[test]
fn api_05_status_tells_that_nothing_comes_through_and_then_that_it_does_again() {
    let shop = Shop::of(300);
    let desk = Desk::new(&shop);
    let store = || {
        let told = desk.run(&["status", "--json"]).ends(0).out;
        let told: serde_json::Value = serde_json::from_str(&told).unwrap();
        let connectors = told["connectors"].as_array().unwrap().clone();
        connectors.into_iter().find(|one| one["name"] == "store").unwrap()
    };
    let down = shop.world().fault(Rule::any(Fault::unavailable(None)));
    let mut run = desk.start(&["--backfill"]);
    run.until("an open circuit", || store()["circuit"] == "open");
    assert!(store()["open_since"].is_string(), "{}", store());
    let told = desk.run(&["status"]).ends(0).out;
    assert!(told.contains("store: no calls since 20"), "{told}");
    assert!(shop.world().fired(down) >= 5);
    shop.world().remove_fault(down);
    run.wait().ends(0);
    assert_eq!(
        (&store()["circuit"], &store()["open_since"]),
        (&"closed".into(), &serde_json::Value::Null)
    );
    desk.check(&shop);
}
