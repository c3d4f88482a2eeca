//! SY-06: the state file is taken away under a run.

use std::process::Command;

use sandbox::{Fault, Rule};

use crate::support::{Desk, Running, Setup, Shop, names};

/// A run that has begun to send and will go on for a while.
fn under_way(shop: &Shop) -> (Desk, Running) {
    let setup = Setup {
        max_records: 50,
        ..Setup::default()
    };
    let desk = Desk::with(shop, setup);
    let mut run = desk.start(&["--backfill"]);
    run.until("the first file", || !names(&desk.out()).is_empty());
    (desk, run)
}

fn slow_shop() -> (Shop, u64) {
    let shop = Shop::of(2_000);
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 80 }));
    (shop, slow)
}

#[track_caller]
fn stops(run: Running) {
    run.wait()
        .ends(1)
        .says(&["was moved, replaced or deleted", "put it back"]);
}

#[test]
fn sy_06_a_state_file_that_is_moved_away_stops_the_run_and_is_not_made_anew() {
    let (shop, slow) = slow_shop();
    let (desk, run) = under_way(&shop);
    std::fs::rename(desk.state(), desk.path("elsewhere.db")).unwrap();
    stops(run);
    assert!(!desk.state().exists(), "a fresh state file was made silently");
    assert!(shop.world().fired(slow) > 0);
    for name in ["-wal", "-shm"] {
        std::fs::rename(
            desk.path(&format!("state.db{name}")),
            desk.path(&format!("elsewhere.db{name}")),
        )
        .unwrap_or(());
    }
    for name in ["", "-wal", "-shm"] {
        std::fs::rename(
            desk.path(&format!("elsewhere.db{name}")),
            desk.path(&format!("state.db{name}")),
        )
        .unwrap_or(());
    }
    shop.world().clear_faults();
    desk.run(&["--backfill"]).ends(0);
    desk.check(&shop);
}

#[test]
fn sy_06_a_state_file_that_is_deleted_stops_the_run_and_nothing_is_lost_or_doubled() {
    let (shop, slow) = slow_shop();
    let (desk, run) = under_way(&shop);
    std::fs::remove_file(desk.state()).unwrap();
    stops(run);
    assert!(!desk.state().exists(), "a fresh state file was made silently");
    assert!(shop.world().fired(slow) > 0);
    shop.world().clear_faults();
    desk.run(&["--backfill"]).ends(0);
    desk.check(&shop);
}

#[test]
fn sy_06_a_state_file_that_is_replaced_stops_the_run() {
    let (shop, slow) = slow_shop();
    let (desk, run) = under_way(&shop);
    let copy = desk.path("other.db");
    std::fs::copy(desk.state(), &copy).unwrap();
    std::fs::rename(&copy, desk.state()).unwrap();
    stops(run);
    assert!(shop.world().fired(slow) > 0);
}

#[test]
fn sy_06_a_state_file_that_may_not_be_written_is_refused() {
    let shop = Shop::of(20);
    let desk = Desk::new(&shop);
    // Root may write everything, so it is somebody else who runs it.
    for name in [".", "runs", "tmp", "sync.yaml", "client-secret"] {
        std::os::unix::fs::chown(desk.path(name), Some(65534), Some(65534)).unwrap();
    }
    let nobody = |args: &[&str]| {
        let own = desk.command(args);
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(own.get_program())
            .args(own.get_args());
        command
            .env_clear()
            .envs(own.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.current_dir(desk.path("."));
        desk.launch(command).wait()
    };
    nobody(&["--once"]).ends(0);
    shop.world().insert_orders(5);
    let mut mode = desk.state().metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o444);
    std::fs::set_permissions(desk.state(), mode).unwrap();
    let before = names(&desk.out());
    nobody(&["--once"]).ends(1).says(&["state.db", "ermission denied"]);
    assert_eq!(names(&desk.out()), before);
    let mut mode = desk.state().metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o600);
    std::fs::set_permissions(desk.state(), mode).unwrap();
    nobody(&["--once"]).ends(0);
    desk.check(&shop);
}
