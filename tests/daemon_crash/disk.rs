//! SY-04, SY-06, SY-22: disks that are full or fail under the daemon, and a state file that is taken away.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{Fault, Rule};

use crate::crash::calls::counted;
use crate::support::{Desk, Mount, Running, STOPS_WITHIN, Setup, Shop, names};

const DISK_KIB: usize = 8 * 1024;
const BALLAST_BYTES: u64 = 1 << 20;
/// The promise of A14.
const RESUMES_WITHIN: Duration = Duration::from_secs(60);
/// Points at which the disk fails once.
const POINTS: usize = 14;

fn setup() -> Setup {
    Setup {
        max_records: 100,
        ..Setup::scheduled()
    }
}

fn change(shop: &Shop) {
    shop.world().advance(Duration::from_secs(60));
    shop.world().update_any(20);
    shop.world().insert_orders(20);
}

fn has_ballast(desk: &Desk) -> bool {
    let ballast = desk.path("disk/state.db.ballast");
    ballast.metadata().is_ok_and(|file| file.len() == BALLAST_BYTES)
}

#[test]
fn sy_04_a14_a_daemon_whose_disk_was_full_goes_on_by_itself() {
    let shop = Shop::of(4_000);
    let world = shop.world();
    for leave_kib in [0, 40, 300] {
        let setup = Setup {
            state: "./disk/state.db".to_owned(),
            ..setup()
        };
        let desk = Desk::with(&shop, setup);
        let disk = Mount::tmpfs(&desk.path("disk"), DISK_KIB);
        let slow = world.fault(Rule::list(Fault::Delay { ms: 120 }));
        let mut daemon = desk.daemon();
        daemon.until("a few answers", || world.fired(slow) > 3);
        assert!(has_ballast(&desk));
        disk.fill(leave_kib * 1024);
        daemon.until_said("is full");
        // Full for a while, so that the daemon tries more than once.
        daemon.let_run(Duration::from_secs(6));
        assert!(!daemon.has_ended(), "the full disk ended it: {}", daemon.said("err"));
        assert!(!daemon.said("err").contains("walked"), "there was room enough");
        disk.free();
        let freed = Instant::now();
        let known = world.fired(slow);
        daemon.until("that it goes on", || {
            world.fired(slow) > known + 1 || desk.rows() >= world.order_count()
        });
        assert!(
            freed.elapsed() < RESUMES_WITHIN,
            "it went on after {:?}",
            freed.elapsed()
        );
        world.clear_faults();
        daemon.until_said("walked");
        change(&shop);
        desk.settle_beside();
        assert!(
            has_ballast(&desk),
            "the ballast was not rebuilt: {:?}",
            names(&desk.path("disk"))
        );
        daemon.stop();
        desk.check(&shop);
    }
}

#[test]
fn sy_04_a14_a_job_meets_the_full_disk_and_the_daemon_outlives_it() {
    let shop = Shop::of(300);
    let setup = Setup {
        state: "./disk/state.db".to_owned(),
        ..setup()
    };
    let desk = Desk::with(&shop, setup);
    let disk = Mount::tmpfs(&desk.path("disk"), DISK_KIB);
    let mut daemon = desk.daemon();
    daemon.until_said("walked");
    desk.settle_beside();
    disk.fill(0);
    for _ in 0..3 {
        change(&shop);
        shop.world().insert_orders(300);
    }
    let mut client = desk.start(&["--once"]);
    daemon.until_said("is full");
    client.let_run(Duration::from_secs(3));
    disk.free();
    let freed = Instant::now();
    let outcome = client.wait();
    match outcome.code {
        Some(0 | 3) => {}
        _ => drop(outcome.ends(1).says(&["is full"])),
    }
    desk.settle_beside();
    assert!(
        freed.elapsed() < RESUMES_WITHIN,
        "it went on after {:?}",
        freed.elapsed()
    );
    assert!(has_ballast(&desk), "the ballast was not rebuilt");
    daemon.stop();
    desk.check(&shop);
}

/// The state is gone: the daemon says so, ends with 1 and makes no other one. Put back, all goes on.
fn moved_away(desk: &Desk, shop: &Shop, daemon: Running) {
    let outcome = daemon.wait().ends(1);
    let outcome = outcome.says(&["was moved, replaced or deleted", "put it back"]);
    assert!(!desk.state().exists(), "a new state file was made: {}", outcome.err);
    std::fs::rename(desk.path("elsewhere.db"), desk.state()).unwrap();
    let daemon = desk.daemon();
    desk.settle_beside();
    daemon.stop();
    desk.check(shop);
}

#[test]
fn sy_06_a_state_file_that_is_moved_away_from_an_idle_daemon_ends_it() {
    let shop = Shop::of(300);
    let desk = Desk::with(&shop, setup());
    let mut daemon = desk.daemon();
    daemon.until_said("walked");
    desk.settle_beside();
    std::fs::rename(desk.state(), desk.path("elsewhere.db")).unwrap();
    change(&shop);
    let before = names(&desk.out());
    let told = desk.run(&["--once"]).ends(1);
    told.says(&["was moved, replaced or deleted"]);
    assert_eq!(names(&desk.out()), before, "something was sent without a state");
    moved_away(&desk, &shop, daemon);
}

#[test]
fn sy_06_a_state_file_that_is_moved_away_from_a_working_daemon_ends_it() {
    let shop = Shop::of(4_000);
    let desk = Desk::with(&shop, setup());
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 150 }));
    let mut daemon = desk.daemon();
    daemon.until("a few answers", || shop.world().fired(slow) > 3);
    std::fs::rename(desk.state(), desk.path("elsewhere.db")).unwrap();
    shop.world().clear_faults();
    moved_away(&desk, &shop, daemon);
}

/// How many times each thread that writes the state syncs it in a daemon's life.
fn syncs(shop: &Shop) -> usize {
    let desk = Desk::with(shop, setup());
    let mut daemon = desk.traced_daemon("fsync,fdatasync", None);
    daemon.until_said("walked");
    change(shop);
    desk.settle_beside();
    daemon.stop().ends(0);
    let counts: BTreeMap<String, usize> = counted(&desk.traced());
    assert!(!counts.contains_key("fdatasync"), "{counts:?}");
    counts["fsync"]
}

/// Lets strace go, which leaves the daemon to itself: the next thread would meet its own n-th call.
fn untrace(daemon: &Running) {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap_or_default();
    let tracer = status.lines().find_map(|line| line.strip_prefix("TracerPid:"));
    let tracer = tracer.map(str::trim).filter(|id| *id != "0");
    if let Some(tracer) = tracer {
        Command::new("kill").args(["-KILL", tracer]).status().unwrap();
    }
}

/// A daemon under which one sync fails. It is asked for a pass and told to stop if its first walk ends well.
fn until_it_fails(desk: &Desk, shop: &Shop, inject: &str) -> Running {
    let mut daemon = desk.launch(desk.traced_command(&["-D"], "fsync", Some(inject), &["run"]));
    let started = Instant::now();
    let mut asked = false;
    while !has_failed(desk) && !daemon.has_ended() && started.elapsed() < Duration::from_secs(20) {
        if !asked && daemon.said("err").contains("walked") {
            asked = true;
            change(shop);
            let outcome = desk.run(&["--once"]);
            assert!(matches!(outcome.code, Some(0 | 1 | 3)), "{inject}: {outcome:?}");
            daemon.signal("TERM");
        }
        daemon.let_run(Duration::from_millis(5));
    }
    untrace(&daemon);
    // One that ends does so now, or when it has put its state in order.
    daemon.let_run(if asked {
        STOPS_WITHIN
    } else {
        Duration::from_millis(300)
    });
    daemon
}

fn has_failed(desk: &Desk) -> bool {
    desk.path("runs/strace").exists() && desk.traced().contains("(INJECTED)")
}

#[track_caller]
fn rests(desk: &Desk, shop: &Shop, daemon: Running, inject: &str) {
    desk.settle_beside();
    daemon.stop();
    let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.check(shop)));
    assert!(checked.is_ok(), "after {inject}");
}

#[test]
fn sy_22_a_sync_that_fails_once_loses_and_doubles_nothing() {
    let shop = Shop::of(400);
    let count = syncs(&shop);
    let (mut struck, mut went_on) = (0, 0);
    for k in 0..POINTS {
        let inject = format!("fsync:error=EIO:when={}", 1 + k * count / POINTS);
        let desk = Desk::with(&shop, setup());
        let mut daemon = until_it_fails(&desk, &shop, &inject);
        struck += usize::from(has_failed(&desk));
        change(&shop);
        if daemon.has_ended() {
            let outcome = daemon.wait();
            match outcome.code {
                Some(0) => {}
                _ => drop(outcome.ends(1).says(&["error: "])),
            }
        } else {
            went_on += 1;
            daemon.until("that it answers", || desk.answers());
            rests(&desk, &shop, daemon, &inject);
        }
        rests(&desk, &shop, desk.daemon(), &inject);
    }
    eprintln!("{struck} of {POINTS} failures struck, {went_on} daemons went on");
    assert!(struck * 10 >= POINTS * 9, "only {struck} of {POINTS} failures struck");
    assert!(went_on > 0, "no daemon went on");
}
