//! What a person must see to: credentials, scopes, redirects, retired versions, and a store that is not there.

use std::time::Duration;

use contract::{Clock, Fault as Trouble, Key, Use};
use sandbox::{Canned, Fault, Options, Recorder, RowShape, Rule, Sandbox, When};

use super::rig::{Setup, cursor, drive};

fn bare(orders: usize) -> Setup {
    Setup::of(Options {
        orders,
        rows: RowShape::Bare,
        ..Options::default()
    })
}

#[tokio::test]
async fn api_27_no_redirect_is_followed_wherever_it_leads() {
    let recorder = Recorder::start().await.unwrap();
    let port = recorder.addr().port();
    let targets = [
        recorder.url(),
        format!("http://localhost:{port}/api/apps/v1/orders"),
        format!("//127.0.0.1:{port}/"),
        format!("https://127.0.0.1:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "/api/apps/v1/orders".to_owned(),
    ];
    for (code, target) in [301, 302, 303, 307, 308]
        .into_iter()
        .flat_map(|code| targets.iter().map(move |to| (code, to)))
    {
        let rig = Setup::orders(3).start().await;
        let moved = rig.world.fault(Rule::any(Fault::redirect(code, target)));
        let error = rig.orders().ping().await.unwrap_err();
        assert_eq!(rig.world.fired(moved), 1, "{code} to {target}");
        assert_eq!(rig.world.request_count(), 1, "asked once, although it leads to itself");
        assert_eq!(error.fault, Trouble::Denied);
        assert!(error.to_string().contains("redirects are never followed"), "{error}");
    }
    assert_eq!((recorder.connections(), recorder.bytes()), (0, 0));
    // The recorder does see what comes to it.
    drop(tokio::net::TcpStream::connect(recorder.addr()).await.unwrap());
    while recorder.connections() == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn api_29_a_401_in_the_middle_stops_the_run_after_one_confirmation_and_a_new_key_resumes() {
    for (code, hint) in [
        ("invalid_token", "client_id and client_secret"),
        ("not_installed", "install the app"),
        ("session_required", "check store.url"),
    ] {
        let rig = bare(30).start().await;
        assert_eq!(rig.once().await.error, None);
        let watermark = rig.watermark().await.unwrap();
        rig.clock.advance(Duration::from_secs(3_600));
        rig.change_all();
        rig.world.clear_requests();
        let list = rig.world.fault(Rule::list(Fault::unauthorised(code)));
        let error = rig.once().await.error.unwrap();
        assert_eq!(rig.world.fired(list), 2, "{code}: confirmed once");
        assert!(error.contains(hint), "{error}");
        assert_eq!(rig.watermark().await.unwrap(), watermark);
        rig.world.remove_fault(list);

        // In the middle of the details, with readings under way.
        rig.world.clear_requests();
        let when = When::After { skip: 8, times: 1_000 };
        let denied = rig.world.fault(Rule::any(Fault::unauthorised(code)).when(when));
        let error = rig.once().await.error.unwrap();
        assert!(error.contains(hint), "{error}");
        assert!(rig.failures().await.is_empty(), "nothing is held against the records");
        let asked = rig.world.request_count();
        assert!(asked <= 8 + 2 * 8 + 2, "{code}: {asked} requests");
        rig.world.remove_fault(denied);
        assert_eq!(rig.once().await.error, None);
        rig.assert_delivered();
        assert_eq!(rig.rows().len(), 60);
    }
}

#[tokio::test]
async fn api_29_a_false_401_is_forgiven() {
    let rig = Setup::orders(5).start().await;
    let once = rig
        .world
        .fault(Rule::list(Fault::unauthorised("invalid_token")).when(When::Times(1)));
    assert_eq!(rig.once().await.error, None);
    assert_eq!(rig.world.fired(once), 1);
    rig.assert_delivered();
}

#[tokio::test]
async fn api_29_a_revoked_key_is_exit_code_1_and_the_rotated_one_goes_on() {
    let rig = bare(12).start().await;
    let (code, ..) = rig.run(&["--once"]).await;
    assert_eq!(code, 0);
    let watermark = rig.watermark().await;
    rig.clock.advance(Duration::from_secs(3_600));
    rig.change_all();
    let secret = rig.world.access().client_secret;
    rig.world
        .set_access(|access| access.client_secret = "another-secret-altogether".to_owned());
    rig.world.clear_requests();
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(stderr.contains("401") && stderr.contains("client_secret"), "{stderr}");
    assert!(!stderr.contains(&secret), "the secret is told");
    assert_eq!(rig.world.request_count(), 2, "one try and one confirmation");
    assert_eq!(rig.watermark().await, watermark);
    let yaml = std::fs::read_to_string(&rig.path)
        .unwrap()
        .replace(&secret, "another-secret-altogether");
    std::fs::write(&rig.path, yaml).unwrap();
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 0, "{stderr}");
    rig.assert_delivered();
}

#[tokio::test]
async fn api_30_a_missing_scope_is_named_and_stops_nothing_else() {
    let rig = Setup::orders(5).start().await;
    rig.world
        .set_access(|access| access.scopes = vec!["read:store".to_owned()]);
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 1);
    assert!(stderr.contains("give the app the scope read:orders"), "{stderr}");

    // Without the scope for the profile only the currency is unknown.
    let mut setup = Setup::orders(5);
    setup.store.retain(|line| !line.starts_with("currency"));
    let rig = setup.start().await;
    rig.world
        .set_access(|access| access.scopes = vec!["read:orders".to_owned()]);
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(stderr.contains("read:store") && stderr.contains("currency"), "{stderr}");
    rig.assert_delivered();
}

#[tokio::test]
async fn api_30_a_listed_order_that_is_not_there_is_told_after_three_answers() {
    let rig = bare(6).impatient().start().await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let missing = rig.world.fault(Rule::detail(Fault::not_found()).order(ids[2]));
    let ghost = ids[2].to_string();
    for run in 1..=3 {
        assert_eq!(rig.once().await.error, None);
        let gone = rig.journal("gone").await;
        assert_eq!(gone.len(), usize::from(run == 3), "run {run}: {gone:?}");
    }
    assert_eq!(rig.world.fired(missing), 3);
    assert_eq!(rig.journal("gone").await[0].0, Some(ghost.clone()));
    assert!(!rig.latest().contains_key(&ghost) && rig.latest().len() == 5);
    rig.world.remove_fault(missing);
    rig.clock.advance(Duration::from_secs(60));
    rig.world
        .update_order(ids[2], |order| order.note = Some("back".to_owned()));
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
}

#[tokio::test]
async fn api_19_a_retired_version_stops_and_a_sunset_is_told_once() {
    let rig = Setup::orders(3).start().await;
    let sunset = rig
        .world
        .fault(Rule::any(Fault::sunset("Wed, 31 Dec 2026 23:59:59 GMT")));
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(rig.world.fired(sunset) > 2);
    assert_eq!(stderr.matches("31 Dec 2026").count(), 1, "{stderr}");
    let gone = rig.world.fault(Rule::any(Fault::gone()));
    let (code, _, stderr) = rig.run(&["--once"]).await;
    assert_eq!((code, rig.world.fired(gone)), (1, 1), "{stderr}");
    assert!(stderr.contains("410") && stderr.contains("retired"), "{stderr}");
}

/// 500 for ever on one record: it is read a few times, parked, and nobody waits for it.
#[tokio::test]
async fn api_30_a_poison_record_is_in_failures_and_comes_back_when_it_changes() {
    let rig = bare(8).impatient().start().await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let poison = rig
        .world
        .fault(Rule::detail(Fault::Answer(Canned::error(500, "boom", "boom"))).order(ids[3]));
    for _ in 0..5 {
        assert_eq!(rig.once().await.error, None);
        assert_eq!(rig.latest().len(), 7, "the others are there at once");
    }
    let failures = rig.failures().await;
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].key, ids[3].to_string());
    assert!(failures[0].reason.contains("failed 5 times"), "{}", failures[0].reason);
    let tried = rig.world.fired(poison);
    assert_eq!(rig.once().await.error, None);
    assert_eq!(rig.world.fired(poison), tried, "parked is parked");
    rig.world.remove_fault(poison);
    rig.clock.advance(Duration::from_secs(60));
    rig.world
        .update_order(ids[3], |order| order.note = Some("healed".to_owned()));
    assert_eq!(rig.once().await.error, None);
    assert!(rig.failures().await.is_empty());
    rig.assert_delivered();
}

#[tokio::test]
async fn api_35_three_days_without_the_store_are_no_busy_loop_and_nothing_is_lost() {
    let rig = Setup::orders(20).start().await;
    let orders = rig.orders();
    drive(orders.changes(&cursor(0), Use::Feed)).await.unwrap();
    let (addr, options) = (
        rig.sandbox.addr(),
        Options {
            orders: 20,
            ..Options::default()
        },
    );
    rig.sandbox.stop().await;
    let gone = {
        let mut setup = Setup::orders(0);
        setup.url = Some(format!("http://{addr}"));
        setup.start().await
    };
    const OUTAGE: Duration = Duration::from_secs(3 * 86_400);
    let store = gone.store();
    let source = store.source("orders").unwrap();
    let back = async {
        gone.clock.reached(OUTAGE).await;
        Sandbox::start(Options {
            listen: addr,
            ..options
        })
        .await
        .unwrap()
    };
    let (walk, sandbox) = tokio::join!(drive(source.changes(&cursor(0), Use::Feed)), back);
    assert_eq!(
        walk.unwrap().keys(),
        sandbox.world().final_orders().into_keys().collect()
    );
    let asked = store.requests();
    let within = gone.clock.monotonic() - OUTAGE;
    assert!(within < Duration::from_secs(200), "{within:?} after it was back");
    // One in thirty seconds on average; a busy loop would be millions.
    assert!((7_000..10_500).contains(&asked), "{asked} requests in three days");
}

#[tokio::test]
async fn api_35_a_name_that_leads_nowhere_and_a_door_that_stays_shut_are_told_apart_from_bad_records() {
    let listener = tokio::net::TcpSocket::new_v4().unwrap();
    listener.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = listener.listen(1).unwrap();
    let addr = full.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(Ok(stream)) =
        tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(addr)).await
    {
        waiting.push(stream);
    }
    for url in [
        "https://no-such-host.invalid".to_owned(),
        format!("http://{addr}"),
        "http://127.0.0.1:1".to_owned(),
    ] {
        let mut setup = Setup::orders(1).impatient().store("timeout: 150ms");
        setup.url = Some(url.clone());
        let rig = setup.start().await;
        let error = rig.orders().read(&Key("1".to_owned()), Use::Feed).await.unwrap_err();
        assert!(matches!(error.fault, Trouble::Transient { .. }), "{url}: {error}");
        assert!(error.answer.contains("the store"), "{error}");
        assert_eq!(rig.world.request_count(), 0);
    }
}

/// One record is refused while others are being read: to find out whether it is only that one must not
/// wait for those.
#[tokio::test]
async fn api_30_a_403_on_single_records_parks_them_and_never_stands_still() {
    let rig = bare(40).store("concurrency: 2").start().await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let refused: Vec<u64> = ids
        .iter()
        .step_by(5)
        .map(|id| {
            rig.world
                .fault(Rule::detail(Fault::forbidden("read:orders")).order(*id))
        })
        .collect();
    let run = tokio::time::timeout(Duration::from_secs(8), rig.once()).await;
    assert_eq!(run.expect("it stands still").error, None);
    assert!(refused.iter().all(|rule| rig.world.fired(*rule) > 0));
    assert_eq!(rig.failures().await.len(), 8);
    assert_eq!(rig.latest().len(), 32);
}
