//! SY-02, SY-04, SY-22: a kill or an error at the k-th call of a kind, for k after k. The calls of a
//! fixed piece of work are counted first; then it is done again and again, each time cut at another place.

use std::collections::BTreeMap;

use crate::support::{Desk, Outcome, Setup, Shop};

/// Everything that changes a disk.
const CALLS: &str = "fsync,pwrite64,write,renameat2,rename,unlink,unlinkat,ftruncate,openat";
/// Places at which the work is cut, over all kinds.
const POINTS: usize = 64;

fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        max_records: 10,
        ..Setup::default()
    };
    Desk::with(shop, setup)
}

/// How often each kind of call comes, in the thread that makes most of them: strace counts by thread.
pub(crate) fn counted(traced: &str) -> BTreeMap<String, usize> {
    let mut by_thread: BTreeMap<(String, String), usize> = BTreeMap::new();
    for line in traced.lines() {
        let mut words = line.split_whitespace();
        let (Some(thread), Some(call)) = (words.next(), words.next()) else {
            continue;
        };
        if let Some((name, _)) = call.split_once('(') {
            *by_thread.entry((thread.to_owned(), name.to_owned())).or_default() += 1;
        }
    }
    let mut most = BTreeMap::new();
    for ((_, call), count) in by_thread {
        let known: &mut usize = most.entry(call).or_default();
        *known = count.max(*known);
    }
    most
}

/// So many points spread over these kinds of calls, the rare ones whole.
pub(crate) fn points(counts: &BTreeMap<String, usize>, kinds: &[&str], most: usize) -> Vec<(String, usize)> {
    let mut rarest: Vec<(&str, usize)> = kinds
        .iter()
        .filter_map(|kind| Some((*kind, *counts.get(*kind)?)))
        .collect();
    rarest.sort_by_key(|(_, count)| *count);
    let mut points = Vec::new();
    for (n, (call, count)) in rarest.iter().enumerate() {
        let take = ((most - points.len()) / (rarest.len() - n)).min(*count);
        points.extend((0..take).map(|i| ((*call).to_owned(), 1 + i * count / take)));
    }
    points
}

fn scenario(shop: &Shop) -> Vec<(String, usize)> {
    let desk = desk(shop);
    desk.strace(CALLS, None, &["--backfill"]).ends(0);
    desk.check(shop);
    let counts = counted(&desk.traced());
    for call in ["fsync", "pwrite64", "renameat2", "unlink"] {
        assert!(counts.contains_key(call), "the work makes no {call}: {counts:?}");
    }
    let kinds: Vec<&str> = CALLS.split(',').filter(|call| *call != "openat").collect();
    points(&counts, &kinds, POINTS)
}

#[test]
fn sy_02_a_kill_at_every_kind_of_call_loses_and_doubles_nothing() {
    let shop = Shop::of(45);
    let points = scenario(&shop);
    let mut struck = 0;
    for (n, (call, k)) in points.iter().enumerate() {
        let desk = desk(&shop);
        let inject = format!("{call}:signal=SIGKILL:when={k}");
        desk.strace(call, Some(&inject), &["--backfill"]);
        struck += usize::from(desk.traced().contains("killed by SIGKILL"));
        // Every other time the recovery is killed too.
        if n % 2 == 1 {
            desk.strace("fsync", Some("fsync:signal=SIGKILL:when=3"), &["--backfill"]);
        }
        desk.run(&["--backfill"]).ends(0);
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.check(&shop)));
        assert!(told.is_ok(), "killed at {call} number {k}");
    }
    let most = points.len();
    assert!(struck * 10 >= most * 9, "only {struck} of {most} kills struck");
}

#[test]
fn sy_04_sy_22_a_call_that_fails_once_stops_the_run_or_nothing_and_the_next_run_is_right() {
    let shop = Shop::of(45);
    let counts: BTreeMap<String, usize> = {
        let desk = desk(&shop);
        desk.strace(CALLS, None, &["--backfill"]).ends(0);
        counted(&desk.traced())
    };
    let mut struck = 0;
    let mut tried = 0;
    for (call, error) in [
        ("fsync", "EIO"),
        ("pwrite64", "EIO"),
        ("pwrite64", "ENOSPC"),
        ("pwrite64", "EROFS"),
        ("renameat2", "EIO"),
    ] {
        let count = counts.get(call).copied().unwrap_or(0);
        assert!(count > 0, "the work makes no {call}");
        for k in (1..=count).step_by(count.div_ceil(6)) {
            let desk = desk(&shop);
            let inject = format!("{call}:error={error}:when={k}");
            let outcome = desk.strace(call, Some(&inject), &["--backfill"]);
            tried += 1;
            struck += usize::from(desk.traced().contains("(INJECTED)"));
            judge(&outcome, &inject);
            desk.run(&["--backfill"]).ends(0);
            let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.check(&shop)));
            assert!(told.is_ok(), "after {inject}; it had said: {}", outcome.err);
        }
    }
    assert!(struck * 10 >= tried * 9, "only {struck} of {tried} faults struck");
}

/// Either the run got over it, or it says what happened and exits with 1.
fn judge(outcome: &Outcome, inject: &str) {
    match outcome.code {
        Some(0) => {}
        Some(1) => assert!(outcome.err.contains("error: "), "{inject}: {}", outcome.err),
        _ => panic!(
            "{inject}: ended with {:?}, {:?}: {}",
            outcome.code, outcome.signal, outcome.err
        ),
    }
}
