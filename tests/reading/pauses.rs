//! Pauses a store asks for, trouble it has, and the one budget all requests share. Times are virtual, so
//! days of waiting are exact and take no time.

use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Fault as Trouble, Key, Use};
use sandbox::{Canned, FIXED_START_MS, Fault, Options, Rule, When};

use super::rig::{LONG, Log, Notebook, Setup, cursor, drive, most_within, times};

const MINUTE_MS: i64 = 60_000;

fn paged(orders: usize) -> Setup {
    Setup::of(Options {
        orders,
        limit_max: 10,
        ..Options::default()
    })
}

#[tokio::test]
async fn api_01_nobody_sends_before_retry_after_and_the_same_page_comes_next() {
    let mut setup = paged(45);
    setup.exact = true;
    let rig = setup.start().await;
    let limited = rig.world.fault(Rule::list(Fault::too_many(7)).when(When::Nth(3)));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert_eq!(rig.world.fired(limited), 1);
    assert_eq!(walk.keys(), rig.world.final_orders().into_keys().collect());
    let requests = rig.world.requests();
    assert_eq!((requests[2].page, requests[3].page), (Some(3), Some(3)));
    let pause = requests[3].at_ms - requests[2].at_ms;
    assert!((7_000..9_000).contains(&pause), "{pause} ms");
}

#[tokio::test]
async fn api_01_a_pause_of_one_store_is_none_of_another_and_a_short_patience_says_so_at_once() {
    let (one, mut two) = (
        Setup::orders(3).impatient().start().await,
        Setup::orders(3).impatient().start().await,
    );
    two.clock = one.clock.clone();
    let limited = one.world.fault(Rule::list(Fault::too_many(7)).when(When::Times(1)));
    let (limiting, other) = (one.orders(), two.orders());
    let error = limiting.ping().await.unwrap_err();
    assert_eq!(
        error.fault,
        Trouble::Throttled {
            retry_after: Some(Duration::from_secs(7))
        }
    );
    assert_eq!(one.world.fired(limited), 1);

    one.clock.advance(Duration::from_millis(6_900));
    for _ in 0..5 {
        other.ping().await.unwrap();
        let error = limiting.ping().await.unwrap_err();
        assert!(
            error.to_string().contains("asked for a pause that lasts another 1 s"),
            "{error}"
        );
    }
    assert_eq!((one.world.request_count(), two.world.request_count()), (1, 5));
    one.clock.advance(Duration::from_millis(100));
    limiting.ping().await.unwrap();
}

/// Asks once under a 429 with these headers and tells how long nothing was sent after it.
async fn pause_after(headers: &[&str], ahead_ms: i64) -> (i64, String) {
    let mut setup = Setup::orders(3);
    setup.ahead_ms = ahead_ms;
    setup.exact = true;
    let rig = setup.start().await;
    let log = Log::start();
    let limited = rig
        .world
        .fault(Rule::list(Fault::too_many_text(headers)).when(When::Times(1)));
    rig.orders().ping().await.unwrap();
    assert_eq!(rig.world.fired(limited), 1);
    let times = times(&rig.world);
    (times[1] - times[0], log.text())
}

#[tokio::test]
async fn api_02_retry_after_is_a_date_by_the_stores_own_clock_and_nonsense_is_none() {
    let date = |ms: i64| httpdate(FIXED_START_MS + ms);
    // An hour ahead or behind, this machine's clock changes nothing.
    for ahead_ms in [0, 3_600_000, -3_600_000] {
        let (pause, _) = pause_after(&[&date(9_000)], ahead_ms).await;
        assert!((9_000..11_000).contains(&pause), "ahead {ahead_ms}: {pause} ms");
    }
    let usual = 50..2_000;
    for nonsense in [
        &["-1"][..],
        &["abc"],
        &[""],
        &["1.5"],
        &["7", "30"],
        &[],
        &[&date(-86_400_000)],
        &["0"],
    ] {
        let (pause, log) = pause_after(nonsense, 0).await;
        assert!(usual.contains(&pause), "{nonsense:?}: {pause} ms");
        assert!(!log.contains("15 minutes"), "{log}");
    }
    let (pause, _) = pause_after(&["7", "7"], 0).await;
    assert!((7_000..9_000).contains(&pause), "two that agree: {pause} ms");
    let year_ahead = date(365 * 86_400_000);
    for long in [year_ahead.as_str(), "31536000", "99999999999999999999999999"] {
        let (pause, log) = pause_after(&[long], 0).await;
        assert!((900_000..902_000).contains(&pause), "{long}: {pause} ms");
        assert!(log.contains("pause of more than 15 minutes"), "{log}");
    }
}

fn httpdate(ms: i64) -> String {
    let time = jiff::Timestamp::from_millisecond(ms).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn api_03_two_hundred_429_without_a_word_are_met_with_growing_pauses_and_two_lines() {
    let rig = paged(3).start().await;
    let log = Log::start();
    let limited = rig
        .world
        .fault(Rule::any(Fault::too_many_text(&[])).when(When::Times(200)));
    rig.orders().ping().await.unwrap();
    assert_eq!(rig.world.fired(limited), 200);
    let times = times(&rig.world);
    assert_eq!(times.len(), 201);
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps[0] <= 600, "the first pause is short: {}", gaps[0]);
    assert!(gaps.iter().all(|gap| (50..=MINUTE_MS + 100).contains(gap)), "{gaps:?}");
    // Full jitter up to a minute: half a minute in the middle, so hundreds of tries take more than an hour.
    let late = gaps[8..].iter().sum::<i64>() / (gaps.len() as i64 - 8);
    assert!((22_000..38_000).contains(&late), "mean pause {late} ms");
    assert!(most_within(&times[8..], MINUTE_MS) <= 12, "hammering");
    assert_eq!(log.text().lines().count(), 2, "{}", log.text());
}

#[tokio::test]
async fn api_04_a_500_with_two_megabytes_of_html_passes_and_is_told_in_one_short_line() {
    let rig = paged(15).start().await;
    let log = Log::start();
    let broken = rig
        .world
        .fault(Rule::list(Fault::error_500_html(2 << 20)).when(When::Times(3)));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert_eq!(rig.world.fired(broken), 3);
    assert_eq!(walk.keys().len(), 15);
    let told = log.text();
    assert!(told.contains("500 (text/html; charset=utf-8)"), "{told}");
    assert!(told.len() < 1_000, "{} bytes logged", told.len());

    let nasty = "\u{1b}[2J\u{1b}]0;pwned\u{7}\r\nERROR all is lost\u{0}\u{9b}31m\u{202e}";
    let mut rig = Setup::orders(1).start().await;
    rig.patience = Duration::ZERO;
    let nasty = rig.world.fault(Rule::any(Fault::Answer(Canned::html(500, nasty))));
    let error = rig.orders().ping().await.unwrap_err();
    assert_eq!(rig.world.fired(nasty), 1);
    assert_eq!(error.fault, Trouble::Transient { reached: true });
    assert!(!error.answer.contains(char::is_control), "{error:?}");
    assert!(error.answer.len() < 512);
}

#[tokio::test]
async fn api_05_twenty_minutes_of_503_cost_few_requests_and_clients_come_back_apart() {
    const OUTAGE: Duration = Duration::from_secs(20 * 60);
    let rig = paged(3).start().await;
    let down = rig.world.fault(Rule::any(Fault::unavailable(None)));
    let asking = |notebook: Arc<Notebook>| {
        let (rig, clock) = (&rig, rig.clock.clone());
        async move {
            let store = rig.connector("store", notebook);
            store.source("orders").unwrap().ping().await.unwrap();
            (clock.monotonic(), store.requests())
        }
    };
    let clients = futures::future::join_all((0..32).map(|_| asking(Arc::default())));
    let repair = async {
        rig.clock.reached(OUTAGE).await;
        rig.world.remove_fault(down);
    };
    let (back, ()) = tokio::join!(clients, repair);
    assert!(rig.world.fired(down) > 32);
    for (at, requests) in &back {
        assert!(*at >= OUTAGE && *at < OUTAGE + Duration::from_secs(130), "{at:?}");
        assert!((15..90).contains(requests), "{requests} requests in 20 minutes");
    }
    let (first, last) = (back.iter().min().unwrap().0, back.iter().max().unwrap().0);
    assert!(last - first >= Duration::from_secs(20), "all within {:?}", last - first);
}

#[tokio::test]
async fn api_05_a_503_with_retry_after_stops_everyone_until_then() {
    let mut setup = Setup::orders(8);
    setup.exact = true;
    let rig = setup.start().await;
    let orders = rig.orders();
    let down = rig
        .world
        .fault(Rule::detail(Fault::unavailable(Some(40))).when(When::Times(1)));
    let keys: Vec<Key> = rig
        .world
        .final_orders()
        .into_keys()
        .map(|id| Key(id.to_string()))
        .collect();
    orders.read(&keys[0], Use::Feed).await.unwrap();
    assert_eq!(rig.world.fired(down), 1);
    let read = keys.iter().map(|key| orders.read(key, Use::Feed));
    for row in futures::future::join_all(read).await {
        row.unwrap().unwrap();
    }
    let times = times(&rig.world);
    assert!(times[1..].iter().all(|at| *at >= times[0] + 40_000), "{times:?}");
}

#[tokio::test]
async fn api_34_detail_reads_and_scans_share_one_limiter_which_slows_to_a_quarter_and_recovers() {
    let mut setup = Setup::orders(40).store("rate_limit: 60/min").store("burst: 10");
    setup.exact = true;
    let rig = setup.start().await;
    let orders = rig.orders();
    let limited = rig
        .world
        .fault(Rule::any(Fault::too_many(1)).when(When::After { skip: 40, times: 6 }));
    let keys: Vec<Key> = rig
        .world
        .final_orders()
        .into_keys()
        .map(|id| Key(id.to_string()))
        .collect();
    let details = async {
        for chunk in [&keys[..], &keys[..], &keys[..]].concat().chunks(3) {
            for row in futures::future::join_all(chunk.iter().map(|key| orders.read(key, Use::Feed))).await {
                row.unwrap().unwrap();
            }
        }
    };
    let scans = async {
        for _ in 0..40 {
            drive(orders.changes(&cursor(FIXED_START_MS), Use::Feed)).await.unwrap();
        }
    };
    tokio::join!(details, scans);
    assert_eq!(rig.world.fired(limited), 6);

    let requests = rig.world.requests();
    let times = times(&rig.world);
    assert!(times.len() >= 160, "{}", times.len());
    for seconds in [1, 2, 5, 10, 30, 60, 120] {
        let most = most_within(&times, seconds * 1_000);
        assert!(
            most <= usize::try_from(seconds).unwrap() + 10,
            "{most} requests in {seconds} s"
        );
    }
    let refused: Vec<i64> = requests
        .iter()
        .filter(|request| request.status == Some(429))
        .map(|request| request.at_ms - FIXED_START_MS)
        .collect();
    let last = *refused.last().unwrap();
    for at in &refused {
        let next = times.iter().find(|time| *time > at).unwrap();
        assert!(next - at >= 1_000, "{} ms after a 429", next - at);
    }
    // A quarter of 1/s is one in four seconds, and not slower however many were refused.
    let gaps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let slowest = *gaps.iter().max().unwrap();
    assert!((1_900..4_300).contains(&slowest), "the longest gap is {slowest} ms");
    let recovered: Vec<i64> = times.iter().copied().filter(|at| *at > last + 30_000).collect();
    assert!(recovered.len() > 20, "{}", recovered.len());
    let gaps: Vec<i64> = recovered.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(
        gaps.iter().all(|gap| *gap <= 1_100),
        "not back to the full rate: {gaps:?}"
    );
}

#[tokio::test]
async fn api_34_a_restart_grants_no_second_burst_and_keeps_the_pause() {
    let mut setup = Setup::orders(3).store("rate_limit: 60/min").store("burst: 10");
    setup.exact = true;
    let mut rig = setup.start().await;
    for life in 0..6 {
        let store = rig.store();
        let orders = store.source("orders").unwrap();
        for _ in 0..12 {
            orders.ping().await.unwrap();
        }
        // Every other one is killed before it can leave word.
        if life % 2 == 0 {
            store.rest().await;
        }
    }
    let times = times(&rig.world);
    assert_eq!(times.len(), 72);
    for seconds in [1, 5, 15, 30, 60] {
        let most = most_within(&times, seconds * 1_000);
        assert!(
            most <= usize::try_from(seconds).unwrap() + 10,
            "{most} requests in {seconds} s"
        );
    }

    let limited = rig.world.fault(Rule::any(Fault::too_many(45)).when(When::Times(1)));
    rig.patience = Duration::ZERO;
    rig.orders().ping().await.unwrap_err();
    assert_eq!(rig.world.fired(limited), 1);
    let refused = rig.clock.monotonic();
    let told = rig.orders().ping().await.unwrap_err();
    assert_eq!(rig.clock.monotonic(), refused, "it is told at once");
    assert!(told.answer.contains("asked for a pause"), "{told}");
    rig.patience = LONG;
    rig.orders().ping().await.unwrap();
    let requests = rig.world.requests();
    let [.., refused, next] = &requests[..] else { panic!() };
    assert_eq!(refused.status, Some(429));
    assert!(
        next.at_ms - refused.at_ms >= 45_000,
        "{} ms",
        next.at_ms - refused.at_ms
    );
}
