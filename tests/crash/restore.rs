//! SY-17: the state is older than the files, or gone. What the files hold is not sent again.

use std::time::Duration;

use crate::support::{Desk, Setup, Shop, names};

/// A desk with some history, a copy of its state from then, and more that happened since.
fn later_than_its_copy(shop: &Shop) -> Desk {
    let setup = Setup {
        max_records: 60,
        ..Setup::default()
    };
    let desk = Desk::with(shop, setup);
    desk.run(&["--once"]).ends(0);
    std::fs::create_dir(desk.path("copy")).unwrap();
    for name in names(&desk.path(".")) {
        if name.starts_with("state.db") {
            std::fs::copy(desk.path(&name), desk.path("copy").join(&name)).unwrap();
        }
    }
    for _ in 0..3 {
        shop.world().advance(Duration::from_secs(3600));
        shop.world().update_any(40);
        shop.world().insert_orders(70);
        desk.run(&["--once"]).ends(0);
    }
    desk.check(shop);
    desk
}

fn forget(desk: &Desk) {
    for name in names(&desk.path(".")) {
        if name.starts_with("state.db") {
            std::fs::remove_file(desk.path(&name)).unwrap();
        }
    }
}

/// More happens, and both commands find exactly that.
#[track_caller]
fn goes_on(desk: &Desk, shop: &Shop) {
    let before = names(&desk.out());
    let rows = desk.rows();
    shop.world().advance(Duration::from_secs(3600));
    let changed = shop.some_ids(7);
    for id in &changed {
        shop.world()
            .update_order(*id, |order| order.note = Some("after the restore".to_owned()));
    }
    desk.run(&["--backfill"]).ends(0);
    desk.check(shop);
    assert_eq!(desk.rows(), rows + changed.len());
    let after = names(&desk.out());
    assert_eq!(after[..before.len()], before[..], "a number was used again");
    desk.run(&["--once"]).ends(0);
    assert_eq!(names(&desk.out()), after);
}

#[test]
fn sy_17_an_older_copy_with_and_without_its_seal() {
    for seal in [true, false] {
        let shop = Shop::of(250);
        let desk = later_than_its_copy(&shop);
        forget(&desk);
        for name in names(&desk.path("copy")) {
            if seal || !name.ends_with(".seal") {
                std::fs::copy(desk.path("copy").join(&name), desk.path(&name)).unwrap();
            }
        }
        goes_on(&desk, &shop);
    }
}

#[test]
fn sy_17_an_older_copy_beside_the_seal_and_the_log_of_the_newer_one() {
    let shop = Shop::of(250);
    let desk = later_than_its_copy(&shop);
    std::fs::copy(desk.path("copy/state.db"), desk.state()).unwrap();
    goes_on(&desk, &shop);
}

#[test]
fn sy_17_an_empty_state_beside_a_full_folder() {
    let shop = Shop::of(250);
    let desk = later_than_its_copy(&shop);
    forget(&desk);
    goes_on(&desk, &shop);
}

#[test]
fn sy_17_an_empty_state_with_once() {
    let shop = Shop::of(250);
    let desk = later_than_its_copy(&shop);
    forget(&desk);
    let before = desk.rows();
    desk.run(&["--once"]).ends(0);
    assert_eq!(desk.rows(), before);
    desk.check(&shop);
}
