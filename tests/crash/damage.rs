//! SY-07: a state file that is not what was written. It is found out before anything is sent, or it is harmless.

use std::path::Path;
use std::time::Duration;

use sandbox::{Fault, Rule};

use crate::support::{Desk, Setup, Shop, names};

const SEEDS: u64 = 120;

/// A damaged state: refused with a way out, or good enough for files that are right.
#[track_caller]
fn refused_or_harmless(desk: &Desk, shop: &Shop, what: &str) -> bool {
    let before = names(&desk.out());
    let outcome = desk.run(&["--once"]);
    let refused = outcome.code != Some(0);
    if refused {
        assert_eq!(outcome.code, Some(1), "{what}: {}", outcome.err);
        assert!(
            outcome.err.contains("is damaged") && outcome.err.contains("move it away"),
            "{what}: {}",
            outcome.err
        );
        assert_eq!(names(&desk.out()), before, "{what}: something was sent");
    } else {
        let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.check(shop)));
        assert!(told.is_ok(), "{what}: taken for sound, and the files are wrong");
    }
    refused
}

/// SY-17: the way out.
#[track_caller]
fn starts_anew(desk: &Desk, shop: &Shop) {
    for name in names(desk.state().parent().unwrap()) {
        if name.starts_with("state.db") {
            std::fs::remove_file(desk.path(&name)).unwrap();
        }
    }
    desk.run(&["--backfill"]).ends(0);
    desk.check(shop);
}

fn files_of_state(desk: &Desk) -> Vec<(String, Vec<u8>)> {
    let names = names(&desk.path("."))
        .into_iter()
        .filter(|name| name.starts_with("state.db"));
    names
        .map(|name| (name.clone(), std::fs::read(desk.path(&name)).unwrap()))
        .collect()
}

fn put_back(desk: &Desk, files: &[(String, Vec<u8>)]) {
    for name in names(&desk.path(".")) {
        if name.starts_with("state.db") {
            std::fs::remove_file(desk.path(&name)).unwrap();
        }
    }
    for (name, bytes) in files {
        std::fs::write(desk.path(name), bytes).unwrap();
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::remove_dir_all(to).unwrap_or_default();
    std::fs::create_dir(to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
}

#[test]
fn sy_07_flipped_bytes_in_a_closed_state_file_are_found_or_harmless() {
    let shop = Shop::of(150);
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(0);
    let sound = files_of_state(&desk);
    copy_folder(&desk.out(), &desk.path("sent"));
    // So that there is something to be sent.
    shop.world().advance(Duration::from_secs(60));
    shop.world().update_any(20);
    let mut refused = 0;
    for seed in 0..SEEDS {
        let mut chance = fastrand::Rng::with_seed(seed);
        put_back(&desk, &sound);
        copy_folder(&desk.path("sent"), &desk.out());
        let mut bytes = std::fs::read(desk.state()).unwrap();
        for _ in 0..chance.usize(1..4) {
            // Every fourth time in the head, where little is much.
            let end = if seed % 4 == 0 { 200 } else { bytes.len() };
            let at = chance.usize(0..end);
            bytes[at] ^= chance.u8(1..=255);
        }
        std::fs::write(desk.state(), bytes).unwrap();
        refused += u64::from(refused_or_harmless(&desk, &shop, &format!("seed {seed}")));
        if seed % 30 == 0 {
            starts_anew(&desk, &shop);
        }
    }
    assert!(
        refused * 10 >= SEEDS * 9,
        "only {refused} of {SEEDS} damages were noticed"
    );
}

#[test]
fn sy_07_a_truncated_state_file_is_found() {
    let shop = Shop::of(150);
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(0);
    let sound = files_of_state(&desk);
    let size = desk.state().metadata().unwrap().len();
    for left in [100, 4096, size / 2, size - 4096, size - 1] {
        put_back(&desk, &sound);
        let state = std::fs::OpenOptions::new().write(true).open(desk.state()).unwrap();
        state.set_len(left).unwrap();
        assert!(refused_or_harmless(&desk, &shop, &format!("cut to {left} bytes")));
    }
    starts_anew(&desk, &shop);
}

#[test]
fn sy_07_after_a_kill_a_log_that_is_cut_or_gone_is_found_or_harmless() {
    let shop = Shop::of(1_500);
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 40 }));
    for part in [0, 1, 2, 3, 4] {
        let setup = Setup {
            max_records: 50,
            ..Setup::default()
        };
        let desk = Desk::with(&shop, setup);
        let mut run = desk.start(&["--backfill"]);
        run.until("some files", || names(&desk.out()).len() > 6);
        assert_eq!(run.kill().signal, Some(9));
        let log = desk.path("state.db-wal");
        let size = log.metadata().unwrap().len();
        assert!(size > 0);
        if part == 0 {
            std::fs::remove_file(&log).unwrap();
        } else {
            let file = std::fs::OpenOptions::new().write(true).open(&log).unwrap();
            file.set_len(size * part / 5).unwrap();
        }
        let outcome = desk.run(&["--backfill"]);
        if outcome.code == Some(0) {
            desk.check(&shop);
        } else {
            outcome.ends(1).says(&["is damaged", "move it away"]);
            starts_anew(&desk, &shop);
        }
    }
    assert!(shop.world().fired(slow) > 0);
}
