//! SY-08, SY-09: signals in each phase of a daemon's work, and a second daemon on its state.

use std::time::{Duration, Instant};

use sandbox::{Fault, Rule, When};

use crate::support::{Desk, Running, Setup, Shop, names};

fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        max_records: 100,
        ..Setup::scheduled()
    };
    Desk::with(shop, setup)
}

fn change(shop: &Shop) {
    shop.world().advance(Duration::from_secs(60));
    shop.world().update_any(20);
    shop.world().insert_orders(20);
}

/// The next daemon takes up what the last one left, and nothing is lost or doubled.
#[track_caller]
fn goes_on(desk: &Desk, shop: &Shop) {
    shop.world().clear_faults();
    let daemon = desk.daemon();
    desk.settle_beside();
    daemon.stop();
    desk.check(shop);
}

/// A daemon that walks history slowly, in the middle of it.
fn walking(desk: &Desk, shop: &Shop, ms: u64) -> Running {
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms }));
    let mut daemon = desk.daemon();
    daemon.until("a few answers", || shop.world().fired(slow) > 2);
    daemon
}

#[test]
fn sy_09_sigterm_in_the_first_walk() {
    let shop = Shop::of(3_000);
    let desk = desk(&shop);
    let mut daemon = walking(&desk, &shop, 150);
    daemon.until("a file", || !names(&desk.out()).is_empty());
    let outcome = daemon.stop();
    assert!(!outcome.err.contains("walked"), "the walk was over: {}", outcome.err);
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sigterm_while_details_are_read() {
    let mut options = crate::support::options(300);
    options.rows = sandbox::RowShape::Bare;
    let shop = Shop::open(options);
    let desk = desk(&shop);
    let slow = shop.world().fault(Rule::detail(Fault::Delay { ms: 300 }));
    let mut daemon = desk.daemon();
    daemon.until("a few details", || shop.world().fired(slow) > 9);
    daemon.stop();
    assert!(shop.world().fired(slow) < 300, "all details were read");
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sigterm_while_an_answer_hangs() {
    let shop = Shop::of(1_000);
    let desk = desk(&shop);
    let after = When::After { skip: 3, times: 1_000 };
    let hang = shop.world().fault(Rule::list(Fault::Hang).when(after));
    let mut daemon = desk.daemon();
    daemon.until("the answer that hangs", || shop.world().fired(hang) > 0);
    daemon.stop();
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sigterm_while_a_file_is_published() {
    let shop = Shop::of(600);
    for (call, ms) in [("renameat2", 2_500), ("renameat2", 8_000), ("fsync", 700)] {
        let desk = desk(&shop);
        let inject = format!("{call}:delay_enter={}", ms * 1000);
        let mut daemon = desk.traced_daemon(call, Some(&inject));
        let in_the_middle = || names(&desk.out()).iter().any(|name| name.ends_with(".part"));
        daemon.until("a file that is not there yet", in_the_middle);
        daemon.stop();
        goes_on(&desk, &shop);
    }
}

#[test]
fn sy_09_sigterm_when_idle() {
    let shop = Shop::of(200);
    let desk = desk(&shop);
    let mut daemon = desk.daemon();
    daemon.until_said("walked");
    desk.settle_beside();
    daemon.let_run(Duration::from_millis(300));
    let outcome = daemon.stop();
    assert!(outcome.err.contains("stopped"), "{}", outcome.err);
    assert!(!desk.socket().exists(), "the socket was left behind");
    change(&shop);
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sigterm_while_a_job_is_carried_out() {
    let shop = Shop::of(1_500);
    let desk = desk(&shop);
    for command in ["--backfill", "--once"] {
        let mut daemon = desk.daemon();
        if command == "--once" {
            desk.settle_beside();
            change(&shop);
        }
        let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 400 }));
        let client = desk.start(&[command]);
        daemon.until_said("asked for");
        let before = shop.world().fired(slow);
        daemon.until("an answer", || shop.world().fired(slow) > before);
        daemon.stop();
        let told = Instant::now();
        let outcome = client.wait().ends(1);
        assert!(told.elapsed() < Duration::from_secs(2), "{:?}", told.elapsed());
        let clear = ["went away", "stopped; nothing is lost"];
        assert!(clear.iter().any(|part| outcome.err.contains(part)), "{}", outcome.err);
        shop.world().clear_faults();
    }
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sigterm_twice_and_sigint() {
    let shop = Shop::of(1_500);
    for names in [["TERM", "TERM"], ["INT", "TERM"]] {
        let desk = desk(&shop);
        let daemon = walking(&desk, &shop, 200);
        for name in names {
            daemon.signal(name);
        }
        daemon.stops();
        goes_on(&desk, &shop);
    }
}

#[test]
fn sy_09_sigterm_then_sigkill_a_second_later() {
    let shop = Shop::of(1_500);
    let desk = desk(&shop);
    let after = When::After { skip: 3, times: 1_000 };
    let hang = shop.world().fault(Rule::list(Fault::Hang).when(after));
    let mut daemon = desk.daemon();
    daemon.until("the answer that hangs", || shop.world().fired(hang) > 0);
    daemon.signal("TERM");
    daemon.let_run(Duration::from_secs(1));
    assert_eq!(daemon.kill().signal, Some(9), "it had ended within a second");
    goes_on(&desk, &shop);
}

#[test]
fn sy_09_sighup_in_the_middle_of_a_walk() {
    let shop = Shop::of(3_000);
    let desk = desk(&shop);
    let mut daemon = walking(&desk, &shop, 100);
    for n in 1..=3 {
        daemon.signal("HUP");
        daemon.until_said_times("the new config is in force", n);
    }
    assert!(!daemon.said("err").contains("walked"), "the walk was over");
    shop.world().clear_faults();
    daemon.until_said("walked");
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_09_sigpipe_does_nothing() {
    let shop = Shop::of(1_500);
    let desk = desk(&shop);
    let mut daemon = walking(&desk, &shop, 100);
    daemon.signal("PIPE");
    // A client that goes away in the middle of its answer makes a pipe without a reader.
    let client = desk.start(&["--backfill", "--dry-run"]);
    daemon.until_said("asked for");
    client.kill();
    shop.world().clear_faults();
    daemon.until_said("walked");
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_08_a_second_daemon_is_refused_and_harms_neither_the_first_nor_its_socket() {
    let shop = Shop::of(4_000);
    let desk = desk(&shop);
    let mut daemon = walking(&desk, &shop, 600);
    for _ in 0..3 {
        let outcome = desk.run(&["run"]);
        assert!(outcome.took < Duration::from_secs(2), "it took {:?}", outcome.took);
        outcome.ends(1).says(&["in use by another selorax-sync", "state.db"]);
        assert!(desk.answers(), "the first daemon's socket is gone");
    }
    assert!(!daemon.has_ended() && !daemon.said("err").contains("walked"));
    shop.world().clear_faults();
    daemon.until_said("walked");
    change(&shop);
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}
