//! SY-01: `kill -9` of the daemon at random moments, while orders move and commands run beside it.

use std::time::{Duration, Instant};

use sandbox::{Fault, Movement, Rule};

use crate::support::{Desk, Outcome, Running, Setup, Shop};

const KILLS: usize = 200;
/// Far above what a client takes to see that nobody is at the other end any more.
const CLIENT_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// How the clients ended whose daemon was killed.
#[derive(Debug, Default)]
struct Clients {
    told: usize,
    done: usize,
}

impl Clients {
    /// Its daemon is gone: it says so and ends, unless it was done before, or found none and did the job itself.
    fn end(&mut self, client: Running) {
        let killed = Instant::now();
        let outcome = client.wait();
        match outcome.code {
            Some(0 | 3) => self.done += 1,
            _ => {
                self.told += 1;
                let took = killed.elapsed();
                assert!(took < CLIENT_ENDS_WITHIN, "the client took {took:?}: {}", outcome.err);
                outcome.ends(1).says(&["went away", "nothing is lost", "again"]);
            }
        }
    }
}

/// One life of the daemon, cut off at some moment of it. Every second one has a command beside it.
fn live_and_die(desk: &Desk, nth: usize, chance: &mut fastrand::Rng, clients: &mut Clients) -> Outcome {
    let moment = |chance: &mut fastrand::Rng| Duration::from_millis(chance.u64(0..200));
    if nth.is_multiple_of(4) {
        // While it opens its state, or soon after.
        let mut daemon = desk.start(&["run"]);
        daemon.let_run(moment(chance));
        return daemon.kill();
    }
    let mut daemon = desk.daemon();
    if nth % 4 == 1 {
        daemon.let_run(moment(chance));
        return daemon.kill();
    }
    let client = desk.start(&[if nth % 4 == 2 { "--backfill" } else { "--once" }]);
    daemon.until_said("asked for");
    // Some commands get to their end.
    daemon.let_run(moment(chance) * if nth % 40 == 3 { 20 } else { 1 });
    let outcome = daemon.kill();
    clients.end(client);
    outcome
}

#[test]
fn sy_01_two_hundred_kills_of_the_daemon_lose_and_double_nothing() {
    let shop = Shop::of(2_000);
    let world = shop.world();
    let setup = Setup {
        max_records: 40,
        ..Setup::scheduled()
    };
    let desk = Desk::with(&shop, setup);
    world.move_each_list_answer(Movement {
        moves_max: 1_500,
        ..Movement::default()
    });
    let slow = world.fault(Rule::list(Fault::Delay { ms: 4 }));
    let mut chance = fastrand::Rng::with_seed(11);
    let mut clients = Clients::default();
    for nth in 0..KILLS {
        let outcome = live_and_die(&desk, nth, &mut chance, &mut clients);
        assert_eq!(outcome.signal, Some(9), "it ended by itself: {}", outcome.err);
        if nth.is_multiple_of(3) {
            world.advance(Duration::from_secs(60));
            world.update_any(10);
            world.insert_orders(4);
        }
    }
    assert!(world.fired(slow) > 0);
    assert!(clients.told > KILLS / 4, "few clients were cut off: {clients:?}");
    // What moves after the last look is nobody's to know: on a slow machine some of it is still to come.
    world.move_each_list_answer(Movement {
        moves_max: 0,
        ..Movement::default()
    });
    let daemon = desk.daemon();
    desk.settle_beside();
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
    eprintln!("{KILLS} kills, {clients:?}, {} rows", desk.rows());
}
