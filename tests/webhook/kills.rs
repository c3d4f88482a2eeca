//! WH-18, A1: `kill -9` at any moment between the acceptance of an event and its delivery. The schedule hardly ever
//! comes, so that what an acknowledged event says arrives by that event or not at all.

use std::time::Duration;

use super::rig::{Event, Hooked};
use crate::support::Shop;

const KILLS: usize = 200;

#[test]
fn wh_18_a1_two_hundred_kills_lose_no_acknowledged_event_and_deliver_nothing_twice() {
    let shop = Shop::of(400);
    let hooked = Hooked::with(&shop, "  coalesce: 30ms\n", |setup| setup.max_wait = "50ms".to_owned());
    let daemon = hooked.daemon();
    daemon.stop();
    let ids: Vec<i64> = shop.world().final_orders().into_keys().collect();
    let mut chance = fastrand::Rng::with_seed(18);
    let (mut acknowledged, mut unanswered, mut nth) = (0, 0, 0);
    // Events that were sent and not answered come again, as the platform does it.
    let mut again: Vec<Event> = Vec::new();
    for life in 0..KILLS {
        let mut daemon = hooked.desk.start(&["run"]);
        hooked.await_receiver(&mut daemon);
        let deadline = std::time::Instant::now() + Duration::from_millis(chance.u64(0..250));
        let (door, shop, ids) = (hooked.door(), &shop, &ids);
        std::thread::scope(|scope| {
            let queue = std::mem::take(&mut again);
            let (nth, mut pauses) = (&mut nth, chance.fork());
            let sender = scope.spawn(move || {
                let mut queue = queue;
                let mut lost = Vec::new();
                let mut done = 0;
                // Until it is cut off, so that every life is, however fast events are taken.
                for step in 0.. {
                    let event = queue.pop().unwrap_or_else(|| {
                        *nth += 1;
                        let id = ids[(*nth * 7) % ids.len()];
                        let status = ["confirmed", "shipped", "delivered"][*nth % 3];
                        // Each version differs, so that a lost event is a version that does not arrive.
                        let note = format!("{life}-{step}");
                        shop.world().update_order(id, |order| {
                            order.status = status.to_owned();
                            order.note = Some(note.clone());
                        });
                        Event::order(shop, &format!("e-{nth}"), "order.updated", id)
                    });
                    match door.try_send(&event) {
                        Some(answer) if answer.status == 200 => done += 1,
                        _ => {
                            lost.push(event);
                            break;
                        }
                    }
                    std::thread::sleep(Duration::from_millis(pauses.u64(0..30)));
                }
                lost.extend(queue);
                (done, lost)
            });
            std::thread::sleep(deadline.saturating_duration_since(std::time::Instant::now()));
            let outcome = daemon.kill();
            assert_eq!(outcome.signal, Some(9), "it ended by itself: {}", outcome.err);
            let (done, lost) = sender.join().unwrap();
            acknowledged += done;
            unanswered += lost.len();
            again.extend(lost);
        });
    }
    let mut daemon = hooked.desk.daemon();
    hooked.await_receiver(&mut daemon);
    for event in again {
        let answer = hooked.send(&event);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    hooked.wait_until(&mut daemon, &shop);
    daemon.stop();
    hooked.desk.check(&shop);
    assert!(
        acknowledged > KILLS && unanswered > KILLS / 4,
        "{acknowledged} acknowledged, {unanswered} not"
    );
    eprintln!("{KILLS} kills, {acknowledged} events acknowledged, {unanswered} cut off and sent again");
}
