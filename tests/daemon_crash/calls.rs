//! SY-02: a kill of the daemon at the k-th call of a kind, for k after k, over its whole life: the start,
//! the first walk, a pass that was asked for, the end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::crash::calls::{counted, points};
use crate::support::{Desk, Outcome, Running, Setup, Shop};

/// What changes a disk, a peer, or what a peer knows of us.
const CALLS: [&str; 11] = [
    "pwrite64",
    "fsync",
    "fdatasync",
    "sendto",
    "writev",
    "renameat2",
    "rename",
    "unlink",
    "unlinkat",
    "ftruncate",
    "write",
];
/// Places at which the daemon is killed, over all kinds.
const POINTS: usize = 200;
/// Points are worked off side by side, each worker with a shop of its own.
const WORKERS: usize = 2;
const ORDERS: usize = 45;

fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        max_records: 10,
        ..Setup::scheduled()
    };
    Desk::with(shop, setup)
}

/// Until something is so, or the daemon is gone. `false`: it is gone.
fn lives_until(daemon: &mut Running, mut is_so: impl FnMut(&Running) -> bool) -> bool {
    while !is_so(daemon) {
        if daemon.has_ended() {
            return false;
        }
        daemon.let_run(Duration::from_millis(3));
    }
    true
}

/// The life of a daemon, as far as it gets. The first one of a state is left alone until it has walked; a later one
/// may have walked already, and is asked for a pass as soon as it answers.
fn life(desk: &Desk, shop: &Shop, trace: &str, inject: Option<&str>) -> Outcome {
    let is_first = !desk.state().exists();
    let command = desk.traced_command(&["-D"], trace, inject, &["run"]);
    let mut daemon = desk.launch(command);
    let begun = |daemon: &Running| daemon.said("err").contains("walked") || !is_first && desk.answers();
    if lives_until(&mut daemon, begun) {
        change(shop);
        desk.run(&["--once"]);
        if !daemon.has_ended() {
            daemon.signal("TERM");
        }
    }
    daemon.wait()
}

fn change(shop: &Shop) {
    shop.world().advance(Duration::from_secs(60));
    shop.world().update_any(6);
    shop.world().insert_orders(6);
}

fn scenario() -> Vec<(String, usize)> {
    let shop = Shop::of(ORDERS);
    let desk = desk(&shop);
    life(&desk, &shop, &CALLS.join(","), None).ends(0);
    desk.check(&shop);
    let counts: BTreeMap<String, usize> = counted(&desk.traced());
    for call in ["fsync", "pwrite64", "renameat2", "unlink", "sendto", "write"] {
        assert!(counts.contains_key(call), "the daemon makes no {call}: {counts:?}");
    }
    let points = points(&counts, &CALLS, POINTS);
    eprintln!("{} points of {counts:?}", points.len());
    points
}

/// Killed at one point, and at every second one killed again while it recovers. `true`: the kill struck.
fn cut(call: &str, k: usize, again: bool) -> bool {
    let shop = Shop::of(ORDERS);
    let desk = desk(&shop);
    let killed = life(&desk, &shop, call, Some(&format!("{call}:signal=SIGKILL:when={k}")));
    let struck = killed.signal == Some(9);
    if !struck {
        killed.ends(0);
    }
    if again {
        life(&desk, &shop, "fsync", Some("fsync:signal=SIGKILL:when=3"));
    }
    change(&shop);
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    struck
}

#[test]
fn sy_02_a_kill_of_the_daemon_at_every_kind_of_call_loses_and_doubles_nothing() {
    let points = scenario();
    let work = |worker: usize| {
        let own = points.iter().enumerate().skip(worker).step_by(WORKERS);
        let cut = |(n, (call, k)): (usize, &(String, usize))| {
            let struck = std::panic::catch_unwind(|| cut(call, *k, n / WORKERS % 2 == 1));
            struck.unwrap_or_else(|_| panic!("killed at {call} number {k}"))
        };
        own.map(cut).filter(|struck| *struck).count()
    };
    let struck: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS).map(|worker| scope.spawn(move || work(worker))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let most = points.len();
    eprintln!("{struck} of {most} kills struck");
    assert!(struck * 10 >= most * 9, "only {struck} of {most} kills struck");
}
