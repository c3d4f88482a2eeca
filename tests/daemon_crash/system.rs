//! SY-13, SY-14, SY-21, SY-23: a system that stops the daemon, has no files left for it, locks its state, and
//! does not read what it says.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sandbox::{Fault, Rule, busiest};

use crate::support::{Desk, Running, Setup, Shop, names};

const RATE: usize = 20;
const BURST: usize = 5;

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

/// A command that runs the daemon through a line of shell.
fn through_shell(desk: &Desk, line: &str, args: &[&str]) -> Command {
    let own = desk.command(args);
    let mut command = Command::new("bash");
    command.args(["-c", &format!("{line}; exec \"$0\" \"$@\"")]);
    command.arg(own.get_program()).args(own.get_args()).env_clear();
    command.envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(desk.path("."));
    command
}

/// How long the process has been computing, in hundredths of a second.
pub(super) fn ticks(daemon: &Running) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.id())).unwrap();
    let behind = stat.rsplit_once(')').unwrap().1;
    let fields: Vec<&str> = behind.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn open_files(daemon: &Running) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap().count()
}

#[track_caller]
fn within_the_rate(shop: &Shop) {
    let requests = shop.world().requests();
    for ms in [100, 250, 500, 1_000, 2_000, 4_000] {
        let most = RATE * ms / 1000 + BURST;
        let found = busiest(&requests, Duration::from_millis(u64::try_from(ms).unwrap()));
        assert!(
            found <= most,
            "{found} requests within {ms} ms, where {most} are allowed"
        );
    }
}

#[test]
fn sy_13_stopped_in_the_middle_of_a_walk_while_connections_break_it_goes_on_at_its_pace() {
    let shop = Shop::of(9_000);
    let world = shop.world();
    let setup = Setup {
        max_records: 100,
        rate: format!("{RATE}/s"),
        burst: 5,
        ..Setup::scheduled()
    };
    let desk = Desk::with(&shop, setup);
    let mut daemon = desk.daemon();
    daemon.until("a few requests", || world.request_count() > 8);
    // What it asks from here on is answered a little later, by a reset; it is stopped with such answers under way.
    let late = world.fault(Rule::list(Fault::Delay { ms: 1_500 }));
    let reset = world.fault(Rule::list(Fault::ResetBefore));
    daemon.until("a request that will be reset", || world.fired(late) > 0);
    daemon.signal("STOP");
    let stopped = Instant::now();
    while stopped.elapsed() < Duration::from_secs(8) {
        change(&shop);
        std::thread::sleep(Duration::from_millis(500));
    }
    assert!(world.fired(reset) > 0, "no connection was reset");
    assert!(!daemon.said("err").contains("walked"), "the walk was over");
    world.clear_faults();
    daemon.signal("CONT");
    daemon.until_said("walked");
    desk.settle_beside();
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
    within_the_rate(&shop);
}

#[test]
fn sy_14_with_few_files_the_daemon_works() {
    let shop = Shop::of(1_500);
    let desk = desk(&shop);
    let mut daemon = desk.daemon_by(through_shell(&desk, "ulimit -n 40", &["run"]));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(files.contains(" 40 "), "{files}");
    daemon.until_said("walked");
    change(&shop);
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_14_without_files_for_new_connections_it_does_not_spin_and_its_work_goes_on() {
    let shop = Shop::of(4_000);
    let world = shop.world();
    let desk = desk(&shop);
    let slow = world.fault(Rule::list(Fault::Delay { ms: 300 }));
    let mut daemon = desk.daemon();
    daemon.until("a few answers and files", || {
        world.fired(slow) > 3 && names(&desk.out()).len() > 1
    });
    let limit = format!("--nofile={}", open_files(&daemon) + 6);
    let set = Command::new("prlimit")
        .args(["--pid", &daemon.id().to_string(), &limit])
        .status();
    assert!(set.unwrap().success());
    let idle: Vec<UnixStream> = (0..60).map(|_| UnixStream::connect(desk.socket()).unwrap()).collect();
    daemon.until_said("have to wait");
    let (before, answers) = (ticks(&daemon), world.fired(slow));
    daemon.let_run(Duration::from_secs(2));
    let spent = ticks(&daemon) - before;
    assert!(spent < 60, "it computed for {spent} hundredths of a second out of 200");
    assert!(world.fired(slow) > answers, "its work stands still");
    drop(idle);
    daemon.until("that it answers again", || desk.answers());
    world.clear_faults();
    daemon.until_said("walked");
    change(&shop);
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_21_a_lock_on_the_state_is_waited_out() {
    let shop = Shop::of(4_000);
    let world = shop.world();
    let desk = desk(&shop);
    let slow = world.fault(Rule::list(Fault::Delay { ms: 100 }));
    let mut daemon = desk.daemon();
    daemon.until("a few answers", || world.fired(slow) > 3);
    let client = desk.while_locked(|| {
        let client = desk.start(&["--once"]);
        daemon.let_run(Duration::from_secs(15));
        assert!(!daemon.has_ended(), "the lock ended it: {}", daemon.said("err"));
        client
    });
    change(&shop);
    daemon.until_said("walked");
    assert!(
        daemon.said("err").contains("does not let go of it"),
        "the lock was not met: {}",
        daemon.said("err")
    );
    let outcome = client.wait();
    match outcome.code {
        Some(0 | 3) => {}
        _ => drop(outcome.ends(1).says(&["holds the state file"])),
    }
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_21_a_lock_on_the_state_of_a_daemon_that_stops_or_starts() {
    let shop = Shop::of(300);
    let desk = desk(&shop);
    let mut daemon = desk.daemon();
    daemon.until_said("walked");
    desk.settle_beside();
    let outcome = desk.while_locked(|| {
        daemon.signal("TERM");
        let told = Instant::now();
        let outcome = daemon.wait();
        assert!(told.elapsed() < Duration::from_secs(10), "it took {:?}", told.elapsed());
        outcome
    });
    // It could not put its state in order, and says so; the next start does that.
    let told = ["holds the state file", "the next start does that"];
    assert!(told.iter().any(|part| outcome.err.contains(part)), "{}", outcome.err);
    assert!(matches!(outcome.code, Some(0 | 1)), "{outcome:?}");
    desk.while_locked(|| {
        let mut starting = desk.start(&["run"]);
        starting.let_run(Duration::from_secs(1));
        assert!(!starting.has_ended() && !desk.answers(), "the lock was not met");
        starting.stop();
    });
    change(&shop);
    let daemon = desk.daemon();
    desk.settle_beside();
    daemon.stop();
    desk.check(&shop);
}

#[test]
fn sy_23_a_reader_of_the_log_who_stands_still_holds_up_nothing() {
    let shop = Shop::of(4_000);
    let desk = desk(&shop);
    let pipe = desk.path("tmp/log");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Open at both ends, so that opening it holds up nobody; and never read.
    let nonblocking = 0o4000;
    let mut held = std::fs::OpenOptions::new();
    let mut held = held
        .read(true)
        .write(true)
        .custom_flags(nonblocking)
        .open(&pipe)
        .unwrap();
    let is_full = |held: &mut std::fs::File| held.write(&[b'.'; 4096]).is_err();
    // Nearly full from the start, and soon quite full.
    for _ in 0..14 {
        held.write_all(&[b'.'; 4096]).unwrap();
    }
    let mut daemon = desk.daemon_by(through_shell(&desk, "exec 2>tmp/log", &["-vv", "run"]));
    daemon.until("all orders in files", || desk.rows() >= 4_000);
    for _ in 0..3 {
        change(&shop);
        desk.settle_beside();
    }
    while !is_full(&mut held) {}
    assert!(is_full(&mut held), "somebody reads the log");
    change(&shop);
    desk.settle_beside();
    // A config that is taken over and warned of.
    let config = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
    let secret = shop.world().access().client_secret;
    desk.write("sync.yaml", &config.replace("${file:./client-secret}", &secret));
    let readable = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(desk.path("sync.yaml"), readable).unwrap();
    daemon.signal("HUP");
    daemon.let_run(Duration::from_millis(300));
    change(&shop);
    desk.settle_beside();
    desk.write("sync.yaml", &config);
    daemon.stop();
    desk.check(&shop);
}
