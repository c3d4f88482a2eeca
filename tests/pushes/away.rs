//! ER-07 and A11: a target that is away for a week while orders wait.

use std::time::Duration;

use contract::Clock;

use super::erp::{Done, Fate};
use super::rig::{ALL, FLOW, Rig};

const ORDERS: i64 = 100_000;
const WEEK: Duration = Duration::from_secs(7 * 86_400);
const WIDTH: usize = 32;
/// As the courier does where it has nothing to wait for.
const LOOK_EVERY: Duration = Duration::from_secs(20);

#[tokio::test]
async fn er_07_a11_after_a_week_away_100000_orders_arrive_once_and_in_order_and_few_asked_meanwhile() {
    let rig = Rig::wide(ALL, WIDTH);
    for id in 1..=ORDERS {
        rig.shop.put(id, "paid", id % 1_000 + 1);
    }
    rig.erp.state().away = Some(Fate::Unreachable);
    let mut engine = rig.engine().await;
    engine.begin().await.unwrap();
    engine.start_flows("store.orders").await.unwrap();
    engine.finish_walks("store.orders").await.unwrap();
    assert_eq!(rig.queued().await, ORDERS.unsigned_abs());

    let began = rig.clock.monotonic();
    let asked = rig.erp.state().calls;
    while rig.clock.monotonic() - began < WEEK {
        engine.deliver_all(true).await.unwrap();
        let wait = engine.rest_left(FLOW).unwrap_or(LOOK_EVERY);
        rig.clock.advance(wait.max(Duration::from_millis(5)));
    }
    let asked = rig.erp.state().calls - asked;
    let minutes = WEEK.as_secs() / 60;
    // The first calls, side by side, find out that it is away.
    assert!(
        asked <= minutes + WIDTH as u64,
        "it was asked {asked} times in {minutes} minutes"
    );
    assert!(
        asked > minutes / 3,
        "it was asked only {asked} times in {minutes} minutes"
    );
    assert_eq!(rig.queued().await, ORDERS.unsigned_abs(), "nothing is given up");

    rig.erp.state().away = None;
    rig.clock.advance(Duration::from_secs(120));
    engine.deliver_all(true).await.unwrap();
    assert_eq!((rig.queued().await, rig.failures().await.len()), (0, 0));
    let state = rig.erp.state();
    let created = state.log.iter().filter(|entry| matches!(entry.done, Done::Create(_)));
    let created: Vec<i64> = created.map(|entry| entry.reference.parse().unwrap()).collect();
    assert_eq!(created.len(), ORDERS.unsigned_abs() as usize);
    // Those under way at a time may overtake each other; no order waits longer than that for a later one.
    for (at, id) in (1..).zip(&created) {
        assert!((at - id).abs() <= 2 * WIDTH as i64, "order {id} came as number {at}");
    }
    let mut all = created;
    all.sort_unstable();
    assert!(all.into_iter().eq(1..=ORDERS), "each of them once");
}
