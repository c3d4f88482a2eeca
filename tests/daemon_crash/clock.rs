//! SY-11: a wall clock that jumps under the daemon.

use std::path::Path;
use std::time::Duration;

use sandbox::{Fault, Rule};

use super::system::ticks;
use crate::support::{Desk, Setup, Shop};

/// The loader puts its own word for the folder in place of `$LIB`.
const FAKETIME: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";
/// Offsets from the machine's time, and a time by itself.
const JUMPS: [&str; 6] = ["-1h", "+1d", "+10y", "@1970-01-02 00:00:00", "-24h", "+0"];

#[test]
fn sy_11_a_clock_that_jumps_loses_and_doubles_nothing() {
    let found = Path::new("/usr/bin/faketime").is_file();
    assert!(
        found,
        "this test needs faketime: apt-get install --no-install-recommends faketime"
    );
    let shop = Shop::of(4_000);
    let world = shop.world();
    let setup = Setup {
        max_records: 100,
        ..Setup::scheduled()
    };
    let desk = Desk::with(&shop, setup);
    desk.write("clock", "+0");
    let mut command = desk.command(&["run"]);
    command
        .env("LD_PRELOAD", FAKETIME)
        .env("FAKETIME_TIMESTAMP_FILE", desk.path("clock"));
    command
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    let slow = world.fault(Rule::list(Fault::Delay { ms: 250 }));
    let mut daemon = desk.daemon_by(command);
    for jump in JUMPS {
        let answers = world.fired(slow);
        daemon.until("an answer", || world.fired(slow) > answers || daemon_done(&desk, &shop));
        desk.write("clock", jump);
    }
    world.clear_faults();
    daemon.until_said("walked");
    for jump in JUMPS {
        desk.write("clock", jump);
        world.advance(Duration::from_secs(60));
        world.update_any(20);
        world.insert_orders(20);
        desk.settle_beside();
        let before = ticks(&daemon);
        daemon.let_run(Duration::from_secs(1));
        let spent = ticks(&daemon) - before;
        assert!(
            spent < 40,
            "{jump}: it computed for {spent} hundredths of a second out of 100"
        );
    }
    let outcome = daemon.stop();
    for year in ["1970-", "2036-"] {
        assert!(
            outcome.err.contains(year),
            "the clock did not jump to {year}: {}",
            outcome.err
        );
    }
    assert!(!outcome.err.contains("broke down"), "{}", outcome.err);
    desk.check(&shop);
}

fn daemon_done(desk: &Desk, shop: &Shop) -> bool {
    desk.rows() >= shop.world().order_count()
}
