//! SY-04: disks that are full, at several levels, and get space back.

use crate::support::{Desk, Mount, Setup, Shop};

const DISK_KIB: usize = 8 * 1024;

#[test]
fn sy_04_a_full_disk_under_the_state_file_says_so_and_the_next_run_goes_on() {
    let shop = Shop::of(1_200);
    let mut stopped = 0;
    for leave_kib in [0, 4, 40, 80, 150, 300, 600, 1100, 1300] {
        let setup = Setup {
            state: "./disk/state.db".to_owned(),
            max_records: 100,
            ..Setup::default()
        };
        let desk = Desk::with(&shop, setup);
        let disk = Mount::tmpfs(&desk.path("disk"), DISK_KIB);
        disk.fill(leave_kib * 1024);
        let outcome = desk.run(&["--backfill"]);
        if outcome.code != Some(0) {
            outcome.ends(1).says(&["full", "free some space"]);
            stopped += 1;
        }
        disk.free();
        desk.run(&["--backfill"]).ends(0);
        desk.check(&shop);
    }
    assert!(stopped >= 5, "the disk was full for {stopped} runs only");
}

#[test]
fn sy_04_a_disk_that_fills_up_between_two_runs() {
    let shop = Shop::of(300);
    let setup = Setup {
        state: "./disk/state.db".to_owned(),
        ..Setup::default()
    };
    let desk = Desk::with(&shop, setup);
    let disk = Mount::tmpfs(&desk.path("disk"), DISK_KIB);
    desk.run(&["--once"]).ends(0);
    for leave_kib in [0, 8, 64] {
        disk.fill(leave_kib * 1024);
        shop.world().advance(std::time::Duration::from_secs(3600));
        shop.world().insert_orders(150);
        let outcome = desk.run(&["--once"]);
        if outcome.code != Some(0) {
            outcome.ends(1).says(&["full", "free some space"]);
        }
        disk.free();
        desk.run(&["--once"]).ends(0);
        desk.check(&shop);
    }
}

fn beside_a_small_disk(shop: &Shop) -> (Desk, Mount) {
    let setup = Setup {
        location: "./disk".to_owned(),
        max_records: 100,
        ..Setup::default()
    };
    let desk = Desk::with(shop, setup);
    let disk = Mount::tmpfs(&desk.path("disk"), 1024);
    (desk, disk)
}

#[test]
fn sy_04_a_full_disk_under_the_target_folder_says_so_and_the_next_run_goes_on() {
    let shop = Shop::of(600);
    for leave_kib in [0, 4, 40] {
        let (desk, disk) = beside_a_small_disk(&shop);
        disk.fill(leave_kib * 1024);
        desk.run(&["--once", "--wait", "1s"])
            .ends(1)
            .says(&["the disk is full", "free space"]);
        disk.free();
        desk.run(&["--once"]).ends(0);
        desk.check(&shop);
    }
}

#[test]
fn sy_04_a_backfill_waits_for_space_in_the_target_folder() {
    let shop = Shop::of(600);
    let (desk, disk) = beside_a_small_disk(&shop);
    disk.fill(40 * 1024);
    let mut run = desk.start(&["--backfill"]);
    run.until("a word about the disk", || run_said(&desk).contains("No space left"));
    disk.free();
    run.wait().ends(0);
    desk.check(&shop);
}

fn run_said(desk: &Desk) -> String {
    std::fs::read_to_string(desk.path("runs/0001.err")).unwrap()
}
