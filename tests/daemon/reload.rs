//! SY-09, SY-10, A18: SIGHUP takes a new config over whole, or not at all.

use std::time::Duration;

use sandbox::{Fault, Rule};

use super::rig::{daemon, settled, setup, stop};
use crate::support::{Desk, Running, Setup, Shop, names};

/// Sends SIGHUP and waits until the daemon has said what came of it.
fn reload(desk: &Desk, running: &mut Running, says: &str) {
    let before = log(desk).matches(says).count();
    running.signal("HUP");
    running.until(says, || log(desk).matches(says).count() > before);
}

/// What all runs of the desk have said on stderr.
fn log(desk: &Desk) -> String {
    let runs = std::fs::read_dir(desk.path("runs")).unwrap();
    let errs = runs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "err"));
    errs.map(|path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned())
        .collect()
}

#[test]
fn a18_a_new_config_is_taken_over_and_a_broken_one_is_told_and_left() {
    let shop = Shop::of(40);
    let mut desk = Desk::with(&shop, setup());
    let mut running = settled(&desk, &shop);
    let whole = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
    for broken in ["", "version: 1\nflows: {", &whole.replace("rate_limit", "rate_limt")] {
        desk.write("sync.yaml", broken);
        reload(&desk, &mut running, "the one at work stays in force");
        desk.write("sync.yaml", &whole);
        desk.run(&["--once"]).ends(0);
    }
    assert!(log(&desk).contains("did you mean"), "{}", log(&desk));
    desk.write(
        "sync.yaml",
        &whole.replace("state: {path: ./state.db}", "state: {path: ./other.db}"),
    );
    reload(&desk, &mut running, "state.path cannot change");
    desk.write("sync.yaml", &whole);
    // A new mapping counts from a record's next change.
    desk.setup.max_records = 3;
    desk.configure();
    reload(&desk, &mut running, "the new config is in force");
    shop.world().advance(Duration::from_secs(60));
    shop.world().insert_orders(7);
    desk.run(&["--once"]).ends(0);
    desk.setup.max_records = 1000;
    desk.check(&shop);
    assert_eq!(names(&desk.out()).len(), 1 + 3, "seven records in files of three");
    stop(running);
}

#[test]
fn sy_09_a_job_goes_on_over_a_reload() {
    let shop = Shop::of(3_000);
    let desk = Desk::with(
        &shop,
        Setup {
            max_records: 100,
            flow: "    schedule: manual\n".to_owned(),
            ..Setup::default()
        },
    );
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 40 }));
    let mut running = daemon(&desk);
    let mut client = desk.start(&["--backfill"]);
    client.until("the first file", || !names(&desk.out()).is_empty());
    reload(&desk, &mut running, "the new config is in force");
    reload(&desk, &mut running, "the new config is in force");
    assert!(!client.has_ended(), "the walk was over before the reload");
    shop.world().clear_faults();
    client.wait().ends(0);
    assert!(shop.world().fired(slow) > 0);
    desk.check(&shop);
    stop(running);
}
