//! Seeded worlds: lost answers, late commits, refusals, and a process that dies anywhere. Afterwards the ERP's
//! own log says whether anything was lost, done twice, or turned back.

use std::collections::BTreeMap;

use contract::Abilities;

use super::erp::{Done, field};
use super::rig::{ALL, Rig};

/// What an order should be at the ERP: its latest change, and whether it is cancelled; `None`: never sent.
type Expected = BTreeMap<i64, Option<(i64, bool)>>;

async fn live(rig: &Rig, chance: &mut fastrand::Rng) -> Expected {
    let mut expected = Expected::new();
    let mut sent: BTreeMap<i64, bool> = BTreeMap::new();
    let refused = [7, 13];
    rig.erp.state().refused.extend(refused.iter().map(i64::to_string));
    for _ in 0..chance.usize(10..25) {
        rig.erp.state().trouble = chance.choice([0, 100, 300, 600]).unwrap();
        for _ in 0..chance.usize(0..6) {
            let id = chance.i64(1..20);
            let status = chance.choice(["new", "paid", "paid", "pending", "cancelled"]).unwrap();
            rig.shop.put(id, status, chance.i64(1..1000));
            sent.insert(id, false);
        }
        let polls = chance.usize(1..3_000);
        rig.dies_after(polls).await;
        if chance.bool() {
            rig.clock.advance(std::time::Duration::from_secs(chance.u64(0..400)));
        }
    }
    rig.erp.state().trouble = 0;
    // Every order ends as one that is to be there, so that its last content tells whether it arrived.
    for id in 1..20 {
        let cancelled = chance.u32(0..4) == 0 && sent.contains_key(&id) && !refused.contains(&id);
        let change = rig.shop.put(id, "paid", chance.i64(1..1000));
        rig.dies_after(chance.usize(1..400)).await;
        let last = match cancelled {
            true => rig.shop.put(id, "cancelled", 5),
            false => change,
        };
        expected.insert(id, Some((last, cancelled)));
    }
    for id in refused {
        expected.insert(id, None);
    }
    rig.once().await;
    rig.once().await;
    expected
}

fn check(rig: &Rig, seed: u64, expected: &Expected) {
    rig.erp.catch_up();
    let state = rig.erp.state();
    let mut created: BTreeMap<i64, usize> = BTreeMap::new();
    let mut newest: BTreeMap<i64, i64> = BTreeMap::new();
    for entry in &state.log {
        let id: i64 = entry.reference.parse().unwrap();
        let (record, is_create) = match &entry.done {
            Done::Create(record) => (record, true),
            Done::Update(record) => (record, false),
            Done::Cancel => continue,
        };
        *created.entry(id).or_default() += usize::from(is_create);
        let change: i64 = field(record, "change").parse().unwrap();
        let before = newest.insert(id, change).unwrap_or(0);
        assert!(
            change >= before,
            "seed {seed}: order {id} went back from {before} to {change}"
        );
    }
    for (id, wanted) in expected {
        let count = created.get(id).copied().unwrap_or(0);
        let Some((change, cancelled)) = wanted else {
            assert_eq!(count, 0, "seed {seed}: order {id} is refused");
            continue;
        };
        let kept = state
            .records
            .values()
            .find(|kept| field(&kept.record, "reference") == id.to_string());
        match kept {
            None => assert!(*cancelled, "seed {seed}: order {id} is lost"),
            Some(kept) => {
                assert_eq!(count, 1, "seed {seed}: order {id} was created {count} times");
                assert_eq!(kept.cancelled, *cancelled, "seed {seed}: order {id}");
                if !cancelled {
                    let there: i64 = field(&kept.record, "change").parse().unwrap();
                    assert_eq!(there, *change, "seed {seed}: order {id} is not up to date");
                }
            }
        }
    }
    // A key that comes again after a create that was not refused brings the same bytes.
    let mut bodies: BTreeMap<&str, &str> = BTreeMap::new();
    for (key, body) in &state.keys_seen {
        let first = bodies.entry(key).or_insert(body);
        assert_eq!(first, body, "seed {seed}: one key with two bodies");
    }
}

async fn worlds(can: Abilities, seeds: std::ops::Range<u64>) {
    for seed in seeds {
        let mut chance = fastrand::Rng::with_seed(seed);
        let rig = Rig::new(can, seed);
        let expected = live(&rig, &mut chance).await;
        check(&rig, seed, &expected);
        let failed = rig.failures().await;
        let keys: Vec<&str> = failed.iter().map(|failure| failure.key.as_str()).collect();
        assert!(
            failed.len() == 2 && keys.contains(&"7") && keys.contains(&"13"),
            "seed {seed}: {failed:#?}"
        );
        assert_eq!(rig.queued().await, 0, "seed {seed}");
    }
}

#[tokio::test]
async fn er_01_er_02_sy_17_nothing_is_lost_or_doubled_where_the_erp_can_be_searched() {
    worlds(ALL, 0..40).await;
}

#[tokio::test]
async fn er_01_nothing_is_lost_or_doubled_where_the_erp_honours_the_key() {
    let can = Abilities {
        find: false,
        trusts_key: true,
        ..ALL
    };
    worlds(can, 100..130).await;
}

#[tokio::test]
async fn er_01_nothing_is_lost_or_doubled_where_it_can_do_both() {
    let can = Abilities {
        trusts_key: true,
        ..ALL
    };
    worlds(can, 200..220).await;
}
