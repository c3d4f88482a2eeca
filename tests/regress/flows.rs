//! Flows beside one another on one feed, and histories that are walked in part.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use sandbox::{Options, RowShape};

use super::{all_rows, ids};
use crate::support::{Desk, Setup, Shop, options};

const A: &str = "orders-to-csv";
const B: &str = "b";

fn with_b() -> Setup {
    Setup {
        connectors: "  other:
    type: csv
    location: ./other
    resources:
      orders: {write: {file: \"b-{timestamp}-{batch}.csv\"}}
"
        .to_owned(),
        flows: "  b:
    from: store.orders
    to: other.orders
    initial: new
    map: {id: .id, note: .note, lines: '.lines | length'}
"
        .to_owned(),
        ..Setup::default()
    }
}

#[test]
fn of_two_flows_on_one_feed_each_gets_what_it_asked_for() {
    for rows in [RowShape::Bare, RowShape::WithLines] {
        let shop = Shop::open(Options { rows, ..options(40) });
        let desk = Desk::with(&shop, with_b());
        let b = || -> PathBuf { desk.path("other") };
        let history: Vec<i64> = shop.world().final_orders().into_keys().collect();
        for run in 1..=2 {
            desk.run(&["--once"]).ends(0);
            assert_eq!(ids(&desk.out()), history, "{rows:?}, run {run}");
            assert_eq!(
                ids(&b()),
                Vec::<i64>::new(),
                "{rows:?}, run {run}: B began with history"
            );
        }
        shop.world().advance(Duration::from_secs(600));
        let changed = shop.some_ids(3)[1];
        shop.world()
            .update_order(changed, |order| order.note = Some("later".to_owned()));
        let new = shop.world().insert_order(|_| {});
        desk.run(&["--once"]).ends(0);
        assert_eq!(ids(&b()), [changed, new], "{rows:?}");
        assert_eq!(desk.rows(), 42, "{rows:?}");
        desk.check(&shop);

        desk.run(&["--backfill", A]).ends(0);
        desk.run(&["--once"]).ends(0);
        assert_eq!(ids(&b()), [changed, new], "{rows:?}: the backfill of A reached B");
        desk.run(&["--backfill", B]).ends(0);
        desk.run(&["--once"]).ends(0);
        assert_eq!(desk.rows(), 42, "{rows:?}");
        let all: Vec<i64> = shop.world().final_orders().into_keys().collect();
        assert_eq!(ids(&b()), all, "{rows:?}: the history of B, none twice");
        for row in all_rows(&b()) {
            let order = shop.world().order(row["id"].parse().unwrap()).unwrap();
            assert_eq!(row["lines"], order.lines.len().to_string(), "{rows:?}");
        }
        desk.check(&shop);
    }
}

/// Creation times in order, as the command line takes them.
fn created(shop: &Shop) -> Vec<(i64, String)> {
    let mut orders: Vec<(i64, i64)> = shop
        .world()
        .final_orders()
        .into_iter()
        .map(|(id, order)| (order.created_ms, id))
        .collect();
    orders.sort_unstable();
    let time = |ms| jiff::Timestamp::from_millisecond(ms).unwrap().to_string();
    orders.into_iter().map(|(ms, id)| (id, time(ms))).collect()
}

#[test]
fn a_history_to_some_time_does_not_hide_what_came_after() {
    for rows in [RowShape::Bare, RowShape::WithLines] {
        let shop = Shop::open(Options { rows, ..options(60) });
        let desk = Desk::new(&shop);
        let orders = created(&shop);
        let (_, until) = &orders[30];
        desk.run(&["--backfill", "--until", until]).ends(0);
        let (before, after) = orders.split_at(31);
        let first: BTreeSet<i64> = ids(&desk.out()).into_iter().collect();
        assert!(before.iter().all(|(id, _)| first.contains(id)), "{rows:?}: {first:?}");
        assert!(!first.contains(&after.last().unwrap().0), "{rows:?}: no end was kept");
        desk.run(&["--once"]).ends(0);
        assert_eq!(desk.rows(), 60, "{rows:?}");
        desk.check(&shop);
    }
}

#[test]
fn a_history_from_some_time_leaves_out_what_was_before() {
    for (rows, limit_max) in [
        (RowShape::Bare, 10),
        (RowShape::WithLines, 10),
        (RowShape::WithLines, 250),
    ] {
        let case = format!("{rows:?}, {limit_max} a page");
        let shop = Shop::open(Options {
            rows,
            limit_max,
            ..options(60)
        });
        let desk = Desk::new(&shop);
        let orders = created(&shop);
        let (_, since) = &orders[30];
        let (before, after) = orders.split_at(30);
        desk.run(&["--backfill", "--since", since]).ends(0);
        let mut want: Vec<i64> = after.iter().map(|(id, _)| *id).collect();
        want.sort_unstable();
        assert_eq!(ids(&desk.out()), want, "{case}: --backfill --since");
        desk.run(&["--once"]).ends(0);
        assert_eq!(ids(&desk.out()), want, "{case}: --once after it");
        shop.world().advance(Duration::from_secs(7_200));
        let changed = before[7].0;
        shop.world()
            .update_order(changed, |order| order.note = Some("later".to_owned()));
        let new = shop.world().insert_order(|_| {});
        desk.run(&["--once"]).ends(0);
        want.extend([changed, new]);
        want.sort_unstable();
        assert_eq!(ids(&desk.out()), want, "{case}: new and changed ones");
    }
}

/// The same for a flow that began with what came, and took note of all that was there.
#[test]
fn a_history_from_some_time_of_a_flow_that_began_with_new_ones_leaves_out_what_was_before() {
    let shop = Shop::of(60);
    let desk = Desk::with(&shop, with_b());
    desk.run(&["--once"]).ends(0);
    assert_eq!(ids(&desk.path("other")), Vec::<i64>::new());
    let orders = created(&shop);
    let mut want: Vec<i64> = orders[30..].iter().map(|(id, _)| *id).collect();
    want.sort_unstable();
    desk.run(&["--backfill", B, "--since", &orders[30].1]).ends(0);
    assert_eq!(ids(&desk.path("other")), want, "--backfill --since");
    desk.run(&["--once"]).ends(0);
    assert_eq!(ids(&desk.path("other")), want, "--once after it");
}
