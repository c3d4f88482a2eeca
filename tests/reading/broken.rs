//! Answers that are no answers: the wrong kind, cut short, too slow, or broken off.

use std::time::{Duration, Instant};

use contract::{Fault as Trouble, Key, Use};
use sandbox::{Fault, Length, Options, Rule, When};

use super::rig::{Setup, cursor, drive};

#[tokio::test]
async fn api_06_a_200_that_is_no_answer_moves_nothing_and_names_its_kind() {
    let lies = [
        (Fault::login_page(), "text/html"),
        (Fault::false_200(), "it says status 500 itself"),
        (
            Fault::Body(r#"{"data":[],"status":503}"#.to_owned()),
            "it says status 503 itself",
        ),
        (Fault::Body("[]".to_owned()), "cannot be read"),
        (Fault::Body(r#"[[],null,null,null]"#.to_owned()), "cannot be read"),
        (Fault::Body("null".to_owned()), "cannot be read"),
        (Fault::Body(String::new()), "cannot be read"),
        (
            Fault::Body(r#"{"data":null,"status":200}"#.to_owned()),
            "there is no `data`",
        ),
        (
            Fault::Body(r#"{"data":{"orders":7},"status":200}"#.to_owned()),
            "holds no list",
        ),
        (
            Fault::Body(r#"{"data":"none","status":200}"#.to_owned()),
            "cannot be read",
        ),
    ];
    let rig = Setup::orders(12).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    let watermark = rig.watermark().await.unwrap();
    rig.clock.advance(Duration::from_secs(5));
    rig.world.update_any(3);
    for (lie, told) in lies {
        let lying = rig.world.fault(Rule::list(lie.clone()));
        let error = rig.once().await.error.unwrap_or_else(|| panic!("{lie:?} was believed"));
        assert!(rig.world.fired(lying) > 0);
        assert!(error.contains(told), "{lie:?}: {error}");
        assert_eq!(rig.watermark().await.unwrap(), watermark, "{lie:?}");
        rig.world.remove_fault(lying);
    }
    assert_eq!(rig.once().await.error, None);
    rig.assert_delivered();
    assert_ne!(rig.watermark().await.unwrap(), watermark);
}

#[tokio::test]
async fn api_07_a_page_cut_at_every_byte_is_never_taken() {
    let rig = Setup::orders(2).start().await;
    let orders = rig.orders();
    let whole = drive(orders.changes(&cursor(0), Use::Feed)).await.unwrap();
    let length = body_length(&rig).await;
    assert!(length > 1_000, "{length} bytes");
    for bytes in 0..length {
        rig.world.clear_requests();
        let cut = Fault::Truncate {
            bytes,
            length: Length::Cut,
        };
        let cut = rig.world.fault(Rule::list(cut).when(When::Times(1)));
        let walk = drive(orders.changes(&cursor(0), Use::Feed)).await.unwrap();
        assert_eq!(rig.world.fired(cut), 1);
        assert_eq!(rig.world.request_count(), 2, "cut at {bytes}: asked for once more");
        assert_eq!(walk.rows.len(), 2, "cut at {bytes}");
        let hashes = |rows: &[contract::Row]| rows.iter().map(|row| row.hash).collect::<Vec<_>>();
        assert_eq!(hashes(&walk.rows), hashes(&whole.rows), "cut at {bytes}");
        assert_eq!(walk.cursor, whole.cursor, "cut at {bytes}");
        rig.world.remove_fault(cut);
    }
}

#[tokio::test]
async fn api_07_an_order_cut_at_every_byte_is_never_taken() {
    let rig = Setup::orders(1).start().await;
    let orders = rig.orders();
    let id = *rig.world.final_orders().keys().next().unwrap();
    let key = Key(id.to_string());
    let whole = orders.read(&key, Use::Feed).await.unwrap().unwrap();
    let length = format!(r#"{{"data":{},"status":200}}"#, rig.world.order(id).unwrap().json()).len();
    for bytes in 0..length {
        let cut = Fault::Truncate {
            bytes,
            length: Length::Cut,
        };
        let cut = rig.world.fault(Rule::detail(cut).when(When::Times(1)));
        let row = orders.read(&key, Use::Feed).await.unwrap().unwrap();
        assert_eq!(rig.world.fired(cut), 1);
        assert_eq!(row.hash, whole.hash, "cut at {bytes}");
        rig.world.remove_fault(cut);
    }
}

/// How long the first page is, by cutting it where it certainly has ended.
async fn body_length(rig: &super::rig::Rig) -> usize {
    let client = tokio::net::TcpStream::connect(rig.sandbox.addr()).await.unwrap();
    let access = rig.world.access();
    let ask = format!(
        "GET /api/apps/v1/orders?page=1&limit=250&sort=updated_at:desc HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Connection: close\r\n\r\n",
        access.access_token
    );
    let (mut reader, mut writer) = client.into_split();
    tokio::io::AsyncWriteExt::write_all(&mut writer, ask.as_bytes())
        .await
        .unwrap();
    let mut answer = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut reader, &mut answer)
        .await
        .unwrap();
    let text = String::from_utf8(answer).unwrap();
    text.split_once("\r\n\r\n").unwrap().1.len()
}

#[tokio::test]
async fn api_08_a_body_that_does_not_have_its_length_is_never_a_short_last_page() {
    for length in [Length::Whole, Length::Cut, Length::Absent] {
        let rig = Setup::orders(30).start().await;
        let short = Fault::Truncate { bytes: 9_000, length };
        let short = rig.world.fault(Rule::list(short).when(When::Times(2)));
        let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
        assert_eq!(rig.world.fired(short), 2);
        assert_eq!(walk.rows.len(), 30, "{length:?}");
    }
    let rig = Setup::orders(30).store("timeout: 150ms").start().await;
    let long = rig
        .world
        .fault(Rule::list(Fault::LongLength { extra: 10 }).when(When::Times(1)));
    let walk = drive(rig.orders().changes(&cursor(0), Use::Feed)).await.unwrap();
    assert_eq!(rig.world.fired(long), 1);
    assert_eq!(
        (walk.rows.len(), rig.world.request_count()),
        (30, 2),
        "waited for in vain, asked for again"
    );
}

#[tokio::test]
async fn api_09_headers_that_never_come_and_bodies_that_drip_end_in_time() {
    let slow = [
        (Fault::Hang, "in time"),
        (Fault::Drip { bytes_per_second: 1 }, "in time"),
        // Fast enough for each wait, far too slow for the whole.
        (Fault::Drip { bytes_per_second: 100 }, "no complete answer within 0.6 s"),
    ];
    for (slow, told) in slow {
        let rig = Setup::orders(5).store("timeout: 150ms").impatient().start().await;
        let orders = rig.orders();
        let ids: Vec<Key> = rig
            .world
            .final_orders()
            .into_keys()
            .map(|id| Key(id.to_string()))
            .collect();
        let first = ids[0].0.parse().unwrap();
        let stuck = rig.world.fault(Rule::detail(slow.clone()).order(first));
        let started = Instant::now();
        let others = async {
            for key in &ids[1..] {
                orders.read(key, Use::Feed).await.unwrap().unwrap();
            }
            started.elapsed()
        };
        let (error, others) = tokio::join!(orders.read(&ids[0], Use::Feed), others);
        let error = error.unwrap_err();
        assert!(rig.world.fired(stuck) > 0, "{slow:?}");
        assert!(matches!(error.fault, Trouble::Transient { .. }), "{error:?}");
        assert!(error.answer.contains(told), "{slow:?}: {error}");
        assert!(others < started.elapsed(), "the others did not wait");
        assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
        rig.world.remove_fault(stuck);
        orders.read(&ids[0], Use::Feed).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn api_10_a_reset_at_any_page_keeps_what_was_read_and_the_watermark() {
    let options = || Options {
        orders: 45,
        limit_max: 10,
        ..Options::default()
    };
    for (page, reset) in (1..=5).flat_map(|page| [(page, Fault::ResetBefore), (page, Fault::ResetAfter { bytes: 700 })])
    {
        let rig = Setup::of(options()).impatient().start().await;
        assert_eq!(rig.once().await.error, None);
        let watermark = rig.watermark().await.unwrap();
        rig.clock.advance(Duration::from_secs(3_600));
        let before = rig.rows().len();
        rig.change_all();
        let reset_id = rig
            .world
            .fault(Rule::list(reset.clone()).page(page).when(When::Times(1)));
        let error = rig.once().await.error.unwrap();
        assert_eq!(rig.world.fired(reset_id), 1);
        assert!(error.contains(&format!("reading page {page} of the orders")), "{error}");
        assert_eq!(rig.watermark().await.unwrap(), watermark, "page {page}, {reset:?}");
        let kept = rig.rows().len() - before + rig.queued().await;
        assert_eq!(kept, 10 * (page - 1), "what was read is kept: page {page}");

        assert_eq!(rig.once().await.error, None);
        rig.assert_delivered();
        assert_eq!(rig.rows().len() - before, 45, "nothing twice: page {page}");
        assert_ne!(rig.watermark().await.unwrap(), watermark);
    }
}
