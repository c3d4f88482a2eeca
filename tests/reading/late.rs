//! Changes that show themselves late, in the wrong order, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use contract::Clock;
use sandbox::{FIXED_START_MS, Fault, Options, RowShape, Rule, Splice, When};

use super::rig::{Rig, Setup};

const MINUTE: Duration = Duration::from_secs(60);

async fn settled(orders: usize) -> Rig {
    let rig = Setup::orders(orders).impatient().start().await;
    assert_eq!(rig.once().await.error, None);
    rig
}

/// The deep pass and the daily sweep are not in this version: what shows itself later than the overlap
/// reaches is found by walking the history again.
#[tokio::test]
async fn api_17_an_order_visible_late_is_taken_by_the_overlap_or_by_the_next_backfill() {
    for (late, by_overlap) in [(MINUTE, true), (30 * MINUTE, false), (26 * 60 * MINUTE, false)] {
        let rig = Setup::of(Options {
            orders: 20,
            limit_max: 10,
            ..Options::default()
        })
        .impatient()
        .start()
        .await;
        assert_eq!(rig.once().await.error, None);
        rig.clock.advance(MINUTE);
        let id = rig.world.insert_order(|_| {});
        let age_ms = i64::try_from(late.as_millis()).unwrap();
        let hidden = rig.world.fault(Rule::any(Fault::HideYoung {
            order: Some(id),
            age_ms,
        }));
        // More orders than fit on the page at which the reading ends.
        rig.clock.advance(late / 8);
        rig.world.insert_orders(25);
        rig.clock.advance(late * 3 / 8);
        rig.world.insert_order(|_| {});
        assert_eq!(rig.once().await.error, None);
        assert!(rig.world.fired(hidden) > 0);
        assert!(!rig.latest().contains_key(&id.to_string()));
        rig.clock.advance(late / 2);
        rig.world.insert_order(|_| {});
        assert_eq!(rig.once().await.error, None);
        assert_eq!(rig.latest().contains_key(&id.to_string()), by_overlap, "{late:?} late");
        if !by_overlap {
            assert_eq!(rig.backfill().await.error, None);
        }
        rig.assert_delivered();
    }
}

/// Of two copies one lags 20 s: what is delivered never goes back to an older version.
#[tokio::test]
async fn api_18_a_copy_that_lags_turns_nothing_back() {
    let mut rig = settled(12).await;
    rig.patience = Duration::from_secs(5);
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    let lag = || Fault::StaleCopy { lag_ms: 20_000 };
    let stale = [Rule::list(lag()), Rule::detail(lag())].map(|rule| rig.world.fault(rule.when(When::Every(2))));
    for round in 0..6 {
        for id in &ids {
            rig.clock.advance(Duration::from_secs(1));
            rig.world
                .update_order(*id, |order| order.note = Some(format!("round {round}")));
        }
        assert_eq!(rig.once().await.error, None);
        assert_eq!(rig.once().await.error, None);
        // The next run comes when the copy has caught up with what this one saw.
        rig.clock.advance(Duration::from_secs(25));
        assert_eq!(rig.once().await.error, None);
    }
    assert!(rig.world.fired(stale[0]) >= 9 && rig.world.fired(stale[1]) >= 9);
    let mut newest: BTreeMap<String, String> = BTreeMap::new();
    for row in rig.rows() {
        let before = newest.insert(row["id"].clone(), row["updated_at"].clone());
        assert!(
            before.as_ref() <= Some(&row["updated_at"]),
            "order {} went back",
            row["id"]
        );
    }
    rig.world.clear_faults();
    assert_eq!(rig.backfill().await.error, None);
    rig.assert_delivered();
}

#[tokio::test]
async fn api_31_stamps_that_are_none_drag_nothing_along() {
    let rig = settled(12).await;
    let ids: Vec<i64> = rig.world.final_orders().into_keys().collect();
    rig.clock.advance(60 * MINUTE);
    let year_ahead = rig.world.now_ms() + 365 * 86_400_000;
    let stamps = [
        ("\"2026-01-15T13:00:00+06:00\"", "2026-01-15T07:00:00.000Z"),
        ("\"2026-01-15T07:00:00\"", "2026-01-15T07:00:00.000Z"),
        ("\"2026-01-15 07:00:00\"", "2026-01-15T07:00:00.000Z"),
        ("\"0001-01-01T00:00:00.000Z\"", "0001-01-01T00:00:00.000Z"),
        ("null", ""),
        ("\"yesterday\"", ""),
        ("17", ""),
        ("\"0000-00-00 00:00:00\"", ""),
    ];
    let mut rules = Vec::new();
    for (id, (stamp, _)) in ids.iter().zip(stamps) {
        rig.world.update_order(*id, |order| order.note = Some("odd".to_owned()));
        rules.push(rig.world.fault(Rule::splice(*id, Splice::member("updated_at", stamp))));
    }
    let [future, back, ..] = ids[8..] else { panic!() };
    rig.world
        .update_order_quietly(future, |order| order.updated_ms = year_ahead);
    let known = rig.world.order(back).unwrap().updated_ms;
    rig.world.update_order_quietly(back, |order| {
        order.updated_ms = known - 3_600_000;
        order.note = Some("went back".to_owned());
    });
    assert_eq!(rig.once().await.error, None);
    let watermark: jiff::Timestamp = rig.watermark().await.unwrap().0.parse().unwrap();
    let cap = rig.clock.now() + 5 * 60_000;
    assert!(watermark.as_millisecond() <= cap, "{watermark}");
    assert!(watermark.as_millisecond() >= FIXED_START_MS, "{watermark}");

    // A stamp that went back is not believed at once; this version needs the walk to see it at all.
    for _ in 0..4 {
        assert_eq!(rig.backfill().await.error, None);
    }
    let latest = rig.latest();
    for ((id, (stamp, shown)), rule) in ids.iter().zip(stamps).zip(rules) {
        assert!(rig.world.fired(rule) > 0);
        let row = &latest[&id.to_string()];
        assert_eq!(
            (row["note"].as_str(), row["updated_at"].as_str()),
            ("odd", shown),
            "{stamp}"
        );
    }
    assert_eq!(latest[&back.to_string()]["note"], "went back");
    let flags = rig.journal("flagged").await;
    let flagged = |id: i64, word: &str| {
        let of = Some(id.to_string());
        flags.iter().any(|(key, detail)| *key == of && detail.contains(word))
    };
    assert!(
        flagged(ids[5], "updated_at is no time") && flagged(ids[6], "updated_at is no time"),
        "{flags:?}"
    );
    assert!(flagged(back, "its time of change went back"), "{flags:?}");
    // What comes after is still found, whatever the order from the future says.
    rig.clock.advance(MINUTE);
    let fresh = rig.world.insert_order(|_| {});
    assert_eq!(rig.once().await.error, None);
    assert!(rig.latest().contains_key(&fresh.to_string()));
}

/// The hash sweep is not in this version: the second backfill compares every row.
#[tokio::test]
async fn api_32_a_change_without_a_new_stamp_is_found_by_the_next_backfill() {
    for rows in [RowShape::WithLines, RowShape::Bare] {
        let rig = Setup::of(Options {
            orders: 15,
            rows,
            ..Options::default()
        })
        .impatient()
        .start()
        .await;
        assert_eq!(rig.backfill().await.error, None);
        rig.assert_delivered();
        let sent = rig.rows().len();
        let id = *rig.world.final_orders().keys().nth(7).unwrap();
        assert!(rig.world.update_order_quietly(id, |order| order.shipping += 1_234));
        assert_eq!(rig.backfill().await.error, None);
        rig.assert_delivered();
        assert_eq!(rig.rows().len(), sent + 1, "{rows:?}: that one and no other");
    }
}

#[tokio::test]
async fn api_33_an_order_that_disappears_takes_nothing_away_on_the_other_side() {
    let rig = settled(15).await;
    let before = rig.rows();
    let id = *rig.world.final_orders().keys().nth(7).unwrap();
    assert!(rig.world.delete_order(id));
    rig.clock.advance(MINUTE);
    assert_eq!(rig.once().await.error, None);
    let run = rig.backfill().await;
    assert_eq!(run.error, None);
    assert_eq!(rig.rows(), before, "no file more, no file less");
    assert_eq!(run.ledger.covered.records, 14, "the walk tells how many there are now");
    assert!(rig.failures().await.is_empty());
}
