//! The whole of it, as a merchant has it: history while the shop goes on selling and the platform
//! stumbles, then what changes. Only the files and the shop's own truth are looked at.

mod checker;

use sandbox::{Fault, Length, Movement, Options, RowShape, Rule, When};

use crate::support::{Covered, Desk, Setup, Shop, options};

/// Stumbles of every kind, each about every `nth` answer. Returns their ids with their names.
fn stumble(shop: &Shop, rule: fn(Fault) -> Rule, nth: u64, nth_429: u64) -> Vec<(u64, &'static str)> {
    let truncated = |length| Fault::Truncate { bytes: 700, length };
    let faults = [
        ("429", Fault::too_many(1), nth_429),
        ("500", Fault::error_500(), nth + 1),
        ("502", Fault::bad_gateway(), nth - 1),
        ("reset", Fault::ResetBefore, nth + 3),
        ("reset in the body", Fault::ResetAfter { bytes: 300 }, nth - 3),
        ("cut short", truncated(Length::Whole), nth + 7),
        ("cut, and the length with it", truncated(Length::Cut), nth - 7),
    ];
    let world = shop.world();
    let ordered = faults.map(|(name, what, nth)| (world.fault(rule(what).when(When::Every(nth)).named(name)), name));
    ordered.to_vec()
}

#[track_caller]
fn all_struck(shop: &Shop, faults: &[(u64, &'static str)]) {
    for (id, name) in faults {
        assert!(shop.world().fired(*id) > 0, "the fault {name} never struck");
    }
}

/// `--once` until a run sends nothing, at most twice.
fn until_quiet(desk: &Desk) {
    for _ in 0..2 {
        let before = desk.rows();
        desk.run(&["--once"]).ends(0);
        if desk.rows() == before {
            return;
        }
    }
}

fn tell(shop: &Shop, faults: &[(u64, &'static str)], moves_max: usize) {
    tell_at(&Desk::new(shop), shop, faults, moves_max);
}

fn tell_at(desk: &Desk, shop: &Shop, faults: &[(u64, &'static str)], moves_max: usize) {
    let world = shop.world();
    // One page's edge lies within these 250: they are the newest changes.
    world.tie_updated(250, world.now_ms());
    world.move_each_list_answer(Movement {
        moves_max,
        ..Movement::default()
    });
    desk.run(&["--backfill"]).ends(0);
    assert_eq!(world.moves_left(), 0, "the shop did not move as much as was meant");
    all_struck(shop, faults);
    world.clear_faults();
    until_quiet(desk);
    desk.check(shop);

    let rows = desk.rows();
    let again = desk.run(&["--backfill"]).ends(0);
    assert_eq!(desk.rows(), rows, "a second backfill must add nothing");
    assert_eq!(Covered::told(&again.out), Covered::expected(world));

    world.advance(std::time::Duration::from_secs(3600));
    for id in shop.some_ids(3) {
        assert!(world.update_order(id, |order| order.note = Some("bell does not work".to_owned())));
    }
    desk.run(&["--once"]).ends(0);
    assert_eq!(desk.rows(), rows + 3, "three changes are three rows");
    desk.check(shop);
}

#[test]
fn a3_api_10_13_14_15_16_history_of_20000_orders_while_they_move_and_the_platform_stumbles() {
    let shop = Shop::of(20_000);
    tell(&shop, &stumble(&shop, Rule::list, 70, 70), 240);
}

#[test]
fn a3_api_14_orders_whose_lines_are_in_the_detail_only() {
    let shop = Shop::open(Options {
        rows: RowShape::Bare,
        ..options(2_000)
    });
    tell(&shop, &stumble(&shop, Rule::detail, 70, 400), 30);
}

#[test]
fn a3_history_of_20000_orders_through_the_daemon_while_they_move_and_the_platform_stumbles() {
    let shop = Shop::of(20_000);
    let faults = stumble(&shop, Rule::list, 70, 70);
    let desk = Desk::with(
        &shop,
        Setup {
            // It walks the history at its start; every command after that is carried out by it.
            flow: "    schedule: \"0 0 1 1 *\"\n".to_owned(),
            ..Setup::default()
        },
    );
    let mut daemon = desk.start(&["run"]);
    daemon.until("the control socket", || desk.path("state.db.sock").exists());
    tell_at(&desk, &shop, &faults, 240);
    daemon.signal("TERM");
    daemon.wait().ends(0);
    desk.check(&shop);
}
