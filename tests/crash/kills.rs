//! SY-01: `kill -9` at random moments, while orders move.

use std::time::Duration;

use sandbox::{Fault, Movement, Rule};

use crate::support::{Desk, Setup, Shop};

const KILLS: usize = 100;

#[test]
fn sy_01_a_hundred_kills_at_random_moments_lose_and_double_nothing() {
    let shop = Shop::of(3_000);
    let world = shop.world();
    let desk = Desk::with(
        &shop,
        Setup {
            max_records: 40,
            ..Setup::default()
        },
    );
    world.move_each_list_answer(Movement {
        moves_max: 900,
        ..Movement::default()
    });
    let slow = world.fault(Rule::list(Fault::Delay { ms: 3 }));
    let mut chance = fastrand::Rng::with_seed(7);
    let (mut killed, mut finished) = (0, 0);
    while killed < KILLS {
        // Runs that came to their end find more to do, and so do those after them.
        let command = if finished % 2 == 0 { "--backfill" } else { "--once" };
        let mut run = desk.start(&[command]);
        // Most are cut in the middle; some may get to their end.
        let most = if chance.u32(0..5) == 0 { 2_000 } else { 250 };
        run.let_run(Duration::from_millis(chance.u64(5..most)));
        let outcome = run.kill();
        match outcome.signal {
            Some(9) => killed += 1,
            _ => {
                outcome.ends(0);
                finished += 1;
                world.advance(Duration::from_secs(60));
                world.update_any(25);
                world.insert_orders(15);
            }
        }
    }
    assert!(world.fired(slow) > 0);
    assert!(finished > 0, "no run ever got to its end");
    // What moves after the last look is nobody's to know.
    world.move_each_list_answer(Movement {
        moves_max: 0,
        ..Movement::default()
    });
    desk.run(&["--backfill"]).ends(0);
    desk.run(&["--once"]).ends(0);
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
}
