//! The simulated shop: thousands of random steps on both sides while the program dies, waits and is left without
//! answers. Afterwards both sides agree, no order is lost or doubled, and nothing was offered twice by our doing.

use std::time::Duration;

use super::rig::{Rig, SKUS};

/// `runs`: in a hundred steps, how many are runs of the program.
async fn live(rig: &Rig, steps: usize, runs: u32) {
    rig.once().await;
    for _ in 0..steps {
        let (act, polls, trouble, stirs, pause) = {
            let mut state = rig.world.state();
            let chance = &mut state.chance;
            (
                chance.u32(0..100),
                chance.usize(1..2_000),
                chance.choice([0, 0, 50, 150]).unwrap(),
                chance.choice([0, 30, 200]).unwrap(),
                chance.u64(1..400),
            )
        };
        match act {
            _ if act < runs => {
                {
                    let mut state = rig.world.state();
                    (state.trouble, state.stirs) = (trouble, stirs);
                }
                match act % 2 {
                    0 => rig.dies_after(polls).await,
                    _ => rig.once().await,
                }
                rig.world.state().stirs = 0;
            }
            10..=15 => rig.clock.advance(Duration::from_secs(pause)),
            _ => rig.world.state().event(),
        }
        let faults = &rig.world.state().faults;
        assert!(faults.is_empty(), "{faults:?}");
    }
}

/// No more is bought, what is pending is paid or cancelled, and every call is answered.
async fn close(rig: &Rig) {
    {
        let mut state = rig.world.state();
        (state.trouble, state.stirs) = (0, 0);
        let pending: Vec<i64> = state
            .orders
            .iter()
            .filter(|(_, order)| order.status == "pending")
            .map(|(id, _)| *id)
            .collect();
        for id in pending {
            let status = if state.chance.bool() { "paid" } else { "cancelled" };
            state.give_status(id, status);
        }
    }
    for _ in 0..4 {
        rig.once().await;
        rig.clock.advance(Duration::from_secs(400));
    }
    let failures = rig.failures().await;
    assert!(failures.is_empty(), "{failures:#?}");
}

fn check(rig: &Rig, seed: u64) {
    let state = rig.world.state();
    for (id, order) in &state.orders {
        let booked = state.booked.get(&id.to_string());
        match (order.status, booked) {
            ("cancelled", None) => {}
            ("cancelled", Some(booked)) => assert!(booked.cancelled, "seed {seed}: order {id} stands at the ERP"),
            (_, None) => panic!("seed {seed}: order {id} is lost"),
            (_, Some(booked)) => {
                assert!(
                    !booked.cancelled && booked.lines == order.lines,
                    "seed {seed}: order {id}: {booked:?}"
                );
                assert_eq!(booked.creates, 1, "seed {seed}: order {id}");
            }
        }
    }
    for sku in SKUS {
        let on_hand = state.stock[sku].on_hand.max(0);
        assert_eq!(
            state.levels[sku], on_hand,
            "seed {seed}: {sku} at the store and at the ERP"
        );
    }
}

async fn world(seed: u64, steps: usize, runs: u32) {
    let rig = Rig::new(seed);
    live(&rig, steps, runs).await;
    close(&rig).await;
    check(&rig, seed);
    let before = {
        let state = rig.world.state();
        (state.sets, state.erp_writes)
    };
    for _ in 0..12 {
        rig.clock.advance(Duration::from_secs(300));
        rig.once().await;
    }
    let state = rig.world.state();
    assert_eq!(
        (state.sets, state.erp_writes),
        before,
        "seed {seed}: writes in a quiet hour"
    );
    assert!(state.faults.is_empty(), "seed {seed}: {:?}", state.faults);
    assert!(
        state.sets > 0 && state.orders.len() > steps / 20,
        "seed {seed}: a dull world"
    );
}

#[tokio::test]
async fn st_01_ten_thousand_steps_of_a_random_shop_never_oversell() {
    world(1, 10_000, 2).await;
}

#[tokio::test]
async fn st_01_short_lives_of_other_shops_never_oversell() {
    for seed in 100..104 {
        world(seed, 400, 6).await;
    }
}

/// The same check finds what it is for.
#[tokio::test]
async fn st_01_without_the_guard_the_random_shop_oversells() {
    let mut rig = Rig::new(3);
    rig.guarded = false;
    rig.once().await;
    let mut faults = 0;
    for _ in 0..60 {
        for _ in 0..6 {
            rig.world.state().event();
        }
        rig.once().await;
        faults += std::mem::take(&mut rig.world.state().faults).len();
    }
    assert!(faults > 0);
}
