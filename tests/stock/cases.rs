//! One sale at a time: what is taken off a level, when it is sent again, and when nothing is.

use std::time::Duration;

use super::rig::Rig;

async fn opened(seed: u64) -> Rig {
    let rig = Rig::new(seed);
    rig.once().await;
    rig.clock.advance(Duration::from_secs(60));
    assert_eq!(rig.world.state().levels["A1"], 20);
    rig
}

/// The level of A1, and how often any was set.
fn stands(rig: &Rig) -> (i64, u32) {
    let state = rig.world.state();
    (state.levels["A1"], state.sets)
}

#[tokio::test]
async fn st_01_an_order_that_the_flow_leaves_out_is_taken_off_the_next_figure() {
    let rig = opened(1).await;
    let id = rig.world.state().sell(&[("A1", 3)], "pending").unwrap();
    rig.world.state().count("A1", 25);
    rig.once().await;
    assert_eq!(rig.world.state().levels["A1"], 22);
    assert!(rig.world.state().booked.is_empty());
    // It is booked: the figure has less, and the level stays.
    rig.world.state().give_status(id, "paid");
    rig.clock.advance(Duration::from_secs(60));
    rig.once().await;
    rig.clock.advance(Duration::from_secs(60));
    let sets = rig.world.state().sets;
    rig.once().await;
    let state = rig.world.state();
    assert_eq!(
        (state.stock["A1"].on_hand, state.levels["A1"], state.sets),
        (22, 22, sets)
    );
}

#[tokio::test]
async fn st_01_a_cancelled_order_is_given_back_though_the_platform_does_not() {
    let rig = opened(1).await;
    rig.world.state().gives_back = false;
    let id = rig.world.state().sell(&[("A1", 3)], "pending").unwrap();
    rig.once().await;
    assert_eq!(rig.world.state().levels["A1"], 17);
    rig.world.state().give_status(id, "cancelled");
    rig.once().await;
    assert_eq!(rig.world.state().levels["A1"], 20);
}

#[tokio::test]
async fn st_04_a_sale_that_our_set_swallowed_is_corrected_once() {
    let rig = opened(1).await;
    rig.world.state().count("A1", 25);
    rig.once().await;
    // As if the set of 25 had arrived after this sale.
    {
        let mut state = rig.world.state();
        state.sell(&[("A1", 4)], "pending").unwrap();
        state.levels.insert("A1".to_owned(), 25);
    }
    let sets = rig.world.state().sets;
    rig.once().await;
    assert_eq!(stands(&rig), (21, sets + 1));
    rig.clock.advance(Duration::from_secs(300));
    rig.once().await;
    assert_eq!(stands(&rig), (21, sets + 1));
}

#[tokio::test]
async fn st_04_an_ordinary_sale_costs_no_write() {
    let rig = opened(1).await;
    let sets = rig.world.state().sets;
    for status in ["pending", "paid"] {
        rig.world.state().sell(&[("A1", 2), ("007", 1)], status).unwrap();
        rig.clock.advance(Duration::from_secs(60));
        rig.once().await;
        rig.clock.advance(Duration::from_secs(60));
        rig.once().await;
    }
    let state = rig.world.state();
    assert_eq!((state.levels["A1"], state.levels["007"], state.sets), (16, 18, sets));
    assert!(rig.now() > 0);
}

#[tokio::test]
async fn st_01_a_dry_run_tells_how_a_level_comes_about() {
    let rig = opened(1).await;
    let id = rig.world.state().sell(&[("A1", 3)], "pending").unwrap();
    rig.world.state().count("A1", 25);
    let mut engine = rig.engine(true).await;
    engine.once().await.unwrap();
    let shown = rig.voice.0.lock().unwrap().join("\n");
    assert!(
        shown.contains(&format!("A1: on hand 25 - sold and not booked 3 (order {id}: 3) = 22")),
        "{shown}"
    );
    assert_eq!(rig.world.state().levels["A1"], 17);
}
