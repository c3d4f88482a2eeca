//! Answers that are too much: huge pages, compression bombs, JSON that is deep or says things twice.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use contract::{Fault as Trouble, Use, Window};
use sandbox::{Fault, Options, Rule, Splice, When};

use super::rig::{Rig, Setup, cursor, drive, expected};

/// Above what any run may take, in KiB.
const PEAK_MAX: u64 = 128 << 10;

/// Runs the binary and gives its exit code, its stderr and the most memory it ever held, in KiB.
async fn peak(rig: &Rig, args: &[&str]) -> (i32, String, u64) {
    let log = rig.folder.path().join("stderr");
    let mut child = Command::new(env!("CARGO_BIN_EXE_selorax-sync"))
        .arg("--config")
        .arg(&rig.path)
        .args(args)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    let code = loop {
        most = most.max(high_water(Path::new(&status)));
        if let Some(done) = child.try_wait().unwrap() {
            break done.code().unwrap_or(-1);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    (code, std::fs::read_to_string(log).unwrap(), most)
}

fn high_water(status: &Path) -> u64 {
    let text = std::fs::read_to_string(status).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn api_25_a_page_of_ten_megabytes_is_read_within_the_memory_there_is() {
    let rig = Setup::orders(50).start().await;
    let padded = rig.world.fault(Rule::list(Fault::PadRows { bytes: 200_000 }));
    let (code, stderr, most) = peak(&rig, &["--once"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert!(rig.world.fired(padded) > 2);
    assert!((1_000..PEAK_MAX).contains(&most), "{most} KiB");
    rig.assert_delivered();
}

#[tokio::test]
async fn api_25_a_page_of_300_megabytes_is_cut_off_and_asked_for_in_halves() {
    let rig = Setup::orders(240).start().await;
    let padded = rig
        .world
        .fault(Rule::list(Fault::PadRows { bytes: 1_250_000 }).when(When::After { skip: 0, times: 9 }));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert!(rig.world.fired(padded) >= 4);
    assert_eq!(walk.keys(), rig.world.final_orders().into_keys().collect());
    let limits: Vec<u64> = rig
        .world
        .requests()
        .iter()
        .map(|request| limit(&request.query))
        .collect();
    assert_eq!(limits[..5], [250, 125, 62, 31, 15]);
    rig.world.remove_fault(padded);

    let padded = rig
        .world
        .fault(Rule::list(Fault::PadRows { bytes: 1_250_000 }).when(When::Times(4)));
    let (code, stderr, most) = peak(&rig, &["--once"]).await;
    assert_eq!(code, 0, "{stderr}");
    assert_eq!(rig.world.fired(padded), 4);
    assert!((1_000..PEAK_MAX).contains(&most), "{most} KiB");
    rig.assert_delivered();
}

fn limit(query: &str) -> u64 {
    let limit = query.split('&').find_map(|pair| pair.strip_prefix("limit="));
    limit.unwrap().parse().unwrap()
}

#[tokio::test]
async fn api_26_a_gzip_bomb_of_ten_gigabytes_is_stopped_while_it_unpacks() {
    let rig = Setup::orders(5).start().await;
    let bomb = rig
        .world
        .fault(Rule::list(Fault::GzipBomb { bytes: 10 << 30 }).when(When::Times(1)));
    let (code, stderr, most) = peak(&rig, &["--once"]).await;
    assert_eq!((code, rig.world.fired(bomb)), (0, 1), "{stderr}");
    assert!((1_000..PEAK_MAX).contains(&most), "{most} KiB");
    rig.assert_delivered();

    // Where every answer is one, it is said so, and nothing is taken.
    let rig = Setup::orders(5).start().await;
    let bomb = rig.world.fault(Rule::list(Fault::GzipBomb { bytes: 10 << 30 }));
    let (code, stderr, most) = peak(&rig, &["--once", "--wait", "1s"]).await;
    assert_eq!(code, 1, "{stderr}");
    assert!(rig.world.fired(bomb) > 1);
    assert!(stderr.contains("larger than 32 MiB"), "{stderr}");
    assert!((1_000..PEAK_MAX).contains(&most), "{most} KiB");
    assert!(rig.rows().is_empty());
}

#[tokio::test]
async fn api_36_deep_doubled_and_endless_json_is_parked_and_nothing_else_waits() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deeper = "{\"a\":".repeat(100_000) + "1" + &"}".repeat(100_000);
    let digits = "9".repeat(1_000_000);
    let cases = [
        (Splice::member("note", &deep), "levels deep"),
        (Splice::member("unknown", &deeper), "levels deep"),
        (Splice::member("grand_total", &digits), "more than 64"),
        (Splice::member("grand_total", &format!("\"{digits}\"")), "more than 64"),
        (
            Splice::member("grand_total", &format!("1e{}", "9".repeat(50))),
            "exponent",
        ),
        (
            Splice::Append {
                members: r#""order_status":"paid","order_status":"unpaid""#.to_owned(),
            },
            "order_status",
        ),
        (
            Splice::Append {
                members: r#""grand\u005ftotal":1"#.to_owned(),
            },
            "grand_total",
        ),
        (Splice::Row { json: "7".to_owned() }, ""),
        (Splice::Row { json: "[]".to_owned() }, ""),
        (
            Splice::Row {
                json: "null".to_owned(),
            },
            "",
        ),
    ];
    let rig = Setup::of(Options {
        orders: cases.len() + 4,
        ..Options::default()
    })
    .impatient()
    .start()
    .await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let rules: Vec<u64> = ids
        .iter()
        .zip(&cases)
        .map(|(id, (splice, _))| rig.world.fault(Rule::splice(*id, splice.clone())))
        .collect();
    let (code, stderr, most) = peak(&rig, &["--once"]).await;
    assert_eq!(code, 3, "some failed: {stderr}");
    assert!((1_000..PEAK_MAX).contains(&most), "{most} KiB");
    let (failures, latest) = (rig.failures().await, rig.latest());
    for (n, (splice, word)) in cases.iter().enumerate() {
        assert!(rig.world.fired(rules[n]) > 0);
        let id = ids[n].to_string();
        assert!(!latest.contains_key(&id), "{n}");
        if matches!(splice, Splice::Row { .. }) {
            continue;
        }
        let failure = failures
            .iter()
            .find(|failure| failure.key == id)
            .unwrap_or_else(|| panic!("{n}: {failures:.300?}"));
        assert!(failure.reason.contains(word), "{n}: {:.300}", failure.reason);
        assert!(
            failure.reason.len() < 1_000,
            "{n}: {} bytes of reason",
            failure.reason.len()
        );
    }
    // Rows without any name share none: each is told by its own fingerprint.
    assert_eq!(
        failures.len(),
        cases.len(),
        "{:?}",
        failures.iter().map(|failure| &failure.key).collect::<Vec<_>>()
    );
    for id in &ids[cases.len()..] {
        assert_eq!(latest[&id.to_string()], expected(&rig.world.order(*id).unwrap()));
    }
}

#[tokio::test]
async fn api_36_an_envelope_that_is_deep_or_doubled_is_no_answer() {
    let envelopes = [
        "[".repeat(100_000),
        format!("{{\"data\":{}", "[".repeat(100_000)),
        format!("{{\"data\":[],\"x\":{}", "{\"a\":".repeat(100_000)),
        r#"{"data":[],"data":[],"status":200}"#.to_owned(),
    ];
    for envelope in envelopes {
        let rig = Setup::orders(5).impatient().start().await;
        let body = rig.world.fault(Rule::list(Fault::Body(envelope.clone())));
        for pass in [
            rig.orders().changes(&cursor(0), Use::Feed),
            rig.orders().history(Window::default(), None),
        ] {
            let error = drive(pass).await.unwrap_err();
            assert_eq!(
                error.fault,
                Trouble::Transient { reached: true },
                "{envelope:.40}: {error}"
            );
            assert!(error.answer.len() < 1_000);
        }
        assert_eq!(rig.world.fired(body), 2);
    }
}
