//! Faults of the answer and of the wire: each strikes, is counted and is named in the log.

use std::io::Read as _;
use std::time::{Duration, Instant};

use sandbox::{Fault, Length, PRESETS, Recorder, Rule, When};

use tokio::io::AsyncWriteExt as _;

use crate::client::{End, get, get_impatiently, shop};

#[tokio::test]
async fn every_ready_made_fault_gives_its_answer_and_is_counted() {
    let sandbox = shop(3).await;
    let mut cases: Vec<Fault> = PRESETS.iter().map(|name| Fault::preset(name).unwrap()).collect();
    cases.push(Fault::redirect(307, "http://169.254.169.254/"));
    cases.push(Fault::too_many_until(sandbox.world().now_ms() + 60_000));
    for fault in cases {
        let rule = sandbox
            .world()
            .fault(Rule::list(fault.clone()).named("mine").when(When::Times(1)));
        let reply = get(&sandbox, "/orders").await;
        match &fault {
            Fault::Answer(canned) => {
                assert_eq!((reply.status, reply.text()), (canned.code, canned.body.clone()));
                assert_eq!(reply.header("Content-Type"), Some(&*canned.content_type));
                for (name, value) in &canned.headers {
                    assert!(reply.headers(name).contains(&value.as_str()));
                }
            }
            Fault::Body(body) => assert_eq!((reply.status, &reply.text()), (200, body)),
            _ => assert_eq!((reply.status, reply.header("Sunset").is_some()), (200, true)),
        }
        assert_eq!(sandbox.world().fired(rule), 1);
        assert_eq!(
            sandbox.world().requests().last().unwrap().fault.as_deref(),
            Some("mine")
        );
        assert_eq!(get(&sandbox, "/orders").await.status, 200);
        sandbox.world().clear_faults();
        assert_eq!(sandbox.world().fired(rule), 1, "the count outlives the rule");
    }
}

#[tokio::test]
async fn retry_after_can_be_nonsense_or_come_twice() {
    let sandbox = shop(1).await;
    sandbox.world().fault(Rule::any(Fault::too_many_text(&["abc", "-1"])));
    assert_eq!(get(&sandbox, "/orders").await.headers("Retry-After"), ["abc", "-1"]);
}

#[tokio::test]
async fn when_decides_which_requests_are_hit() {
    let sandbox = shop(1).await;
    let cases = [
        (When::Always, "xxxxxx"),
        (When::Times(2), "xx...."),
        (When::Nth(3), "..x..."),
        (When::Every(2), ".x.x.x"),
        (When::After { skip: 1, times: 2 }, ".xx..."),
        (When::Percent(100), "xxxxxx"),
        (When::Percent(0), "......"),
    ];
    for (when, expected) in cases {
        let rule = sandbox.world().fault(Rule::any(Fault::error_500()).when(when));
        let mut seen = String::new();
        for _ in 0..6 {
            seen.push(if get(&sandbox, "/store").await.status == 500 {
                'x'
            } else {
                '.'
            });
        }
        assert_eq!(seen, expected, "{when:?}");
        assert_eq!(sandbox.world().faults()[0].seen, 6);
        sandbox.world().remove_fault(rule);
    }
}

#[tokio::test]
async fn a_rule_can_be_for_one_order_or_one_page_or_one_path() {
    let sandbox = shop(5).await;
    let ids: Vec<i64> = sandbox.world().final_orders().into_keys().collect();
    sandbox.world().fault(Rule::detail(Fault::not_found()).order(ids[1]));
    sandbox.world().fault(Rule::list(Fault::error_500()).page(2));
    let mut store = Rule::any(Fault::bad_gateway());
    store.on.path = Some("/api/apps/v1/st".to_owned());
    sandbox.world().fault(store);
    assert_eq!(get(&sandbox, &format!("/orders/{}", ids[0])).await.status, 200);
    assert_eq!(get(&sandbox, &format!("/orders/{}", ids[1])).await.status, 404);
    assert_eq!(get(&sandbox, "/orders?limit=2").await.status, 200);
    assert_eq!(get(&sandbox, "/orders?limit=2&page=2").await.status, 500);
    assert_eq!(get(&sandbox, "/store").await.status, 502);
}

#[tokio::test]
async fn a_reset_comes_before_the_answer_or_in_its_middle() {
    let sandbox = shop(5).await;
    let before = sandbox
        .world()
        .fault(Rule::any(Fault::ResetBefore).when(When::Times(1)));
    let reply = get(&sandbox, "/orders").await;
    assert_eq!((reply.end, reply.status), (End::Reset, 0));
    let middle = sandbox.world().fault(Rule::any(Fault::ResetAfter { bytes: 30 }));
    let reply = get(&sandbox, "/orders").await;
    assert_eq!((reply.end, reply.status, reply.body.len()), (End::Reset, 200, 30));
    assert_eq!((sandbox.world().fired(before), sandbox.world().fired(middle)), (1, 1));
}

#[tokio::test]
async fn a_body_is_cut_with_each_kind_of_length() {
    let sandbox = shop(5).await;
    let whole = get(&sandbox, "/orders").await.body;
    for (length, end, said) in [
        (Length::Whole, End::Closed, Some(whole.len())),
        (Length::Cut, End::Complete, Some(100)),
        (Length::Absent, End::Closed, None),
    ] {
        let rule = sandbox
            .world()
            .fault(Rule::list(Fault::Truncate { bytes: 100, length }).when(When::Times(1)));
        let reply = get(&sandbox, "/orders").await;
        assert_eq!((reply.end, reply.body.len()), (end, 100), "{length:?}");
        assert_eq!(
            reply.header("Content-Length").map(|length| length.parse().unwrap()),
            said
        );
        assert_eq!(sandbox.world().fired(rule), 1);
    }
}

#[tokio::test]
async fn a_length_too_long_and_a_hang_leave_the_client_waiting() {
    let sandbox = shop(5).await;
    let long = sandbox
        .world()
        .fault(Rule::any(Fault::LongLength { extra: 10 }).when(When::Times(1)));
    let reply = get_impatiently(&sandbox, "/orders").await;
    assert_eq!(reply.end, End::Silent);
    assert!(reply.json()["data"].is_array());
    let hang = sandbox.world().fault(Rule::any(Fault::Hang).when(When::Times(1)));
    let reply = get_impatiently(&sandbox, "/orders").await;
    assert_eq!((reply.end, reply.status), (End::Silent, 0));
    assert_eq!((sandbox.world().fired(long), sandbox.world().fired(hang)), (1, 1));
    assert_eq!(get(&sandbox, "/orders").await.status, 200, "the others are served");
}

#[tokio::test]
async fn a_body_drips_and_an_answer_is_late() {
    let sandbox = shop(1).await;
    sandbox.world().fault(Rule::any(Fault::Body("x".repeat(30))));
    let drip = sandbox
        .world()
        .fault(Rule::any(Fault::Drip { bytes_per_second: 200 }).when(When::Times(1)));
    let start = Instant::now();
    assert_eq!(get(&sandbox, "/orders").await.body.len(), 30);
    assert!(start.elapsed() >= Duration::from_millis(90));
    let delay = sandbox.world().fault(Rule::any(Fault::Delay { ms: 100 }));
    let start = Instant::now();
    get(&sandbox, "/orders").await;
    assert!(start.elapsed() >= Duration::from_millis(100));
    assert_eq!((sandbox.world().fired(drip), sandbox.world().fired(delay)), (1, 1));
}

#[tokio::test]
async fn a_small_gzip_answer_unpacks_to_a_large_valid_one() {
    let sandbox = shop(2).await;
    sandbox.world().fault(Rule::list(Fault::GzipBomb { bytes: 5_000_000 }));
    let reply = get(&sandbox, "/orders").await;
    assert_eq!(reply.header("Content-Encoding"), Some("gzip"));
    assert!(reply.body.len() < 100_000);
    let mut text = String::new();
    flate2::read::GzDecoder::new(reply.body.as_slice())
        .read_to_string(&mut text)
        .unwrap();
    assert!(text.len() > 5_000_000);
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["data"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[tokio::test]
async fn a_recorder_counts_what_it_is_sent() {
    let recorder = Recorder::start().await.unwrap();
    assert_eq!((recorder.connections(), recorder.bytes()), (0, 0));
    let mut stream = tokio::net::TcpStream::connect(recorder.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    while recorder.bytes() < 18 {
        tokio::task::yield_now().await;
    }
    assert_eq!(recorder.connections(), 1);
    assert!(recorder.url().ends_with(&recorder.addr().port().to_string()));
}
