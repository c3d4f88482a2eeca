//! A store that refuses, lags, answers with nothing, echoes secrets, or shows odd values.

use std::time::Duration;

use sandbox::{Canned, Fault, Options, RowShape, Rule, Splice, When};

use super::{all_rows, failures, files, ids, parked};
use crate::support::{CANARY, Desk, Setup, Shop, options};

const ONCE: [&str; 3] = ["--once", "--wait", "0s"];

fn bare(orders: usize) -> Shop {
    Shop::open(Options {
        rows: RowShape::Bare,
        ..options(orders)
    })
}

/// The detail lags behind the list for its first `stale` answers, and is right then.
fn lagging(stale: u64, away: bool) {
    let case = format!("{stale} answers of a lagging copy, away: {away}");
    let shop = Shop::open(Options {
        rows: RowShape::Bare,
        limit_max: 10,
        ..options(12)
    });
    let world = shop.world();
    let desk = Desk::new(&shop);
    desk.run(&ONCE).ends(0);
    let id = shop.some_ids(3)[1];
    world.advance(Duration::from_secs(60));
    world.update_order(id, |order| order.note = Some("newer".to_owned()));
    let lag = Fault::StaleCopy { lag_ms: 30_000 };
    let lag = world.fault(Rule::detail(lag).order(id).when(When::Times(stale)));
    for _ in 0..stale {
        let run = desk.run(&ONCE);
        assert!(matches!(run.code, Some(0 | 3)), "{case}: {run:?}");
    }
    assert_eq!(world.fired(lag), stale, "{case}");
    if away {
        // Nothing of this order is on the pages that the next runs look at.
        world.advance(Duration::from_secs(3_600));
        world.insert_orders(25);
        world.advance(Duration::from_secs(60));
    }
    for _ in 0..2 {
        desk.run(&ONCE);
    }
    let rows = all_rows(&desk.out());
    let notes: Vec<&str> = rows
        .iter()
        .filter(|row| row["id"] == id.to_string())
        .map(|row| &*row["note"])
        .collect();
    assert_eq!(notes.len(), 2, "{case}: {notes:?}");
    assert_eq!(notes[1], "newer", "{case}");
    desk.run(&ONCE).ends(0);
    desk.check(&shop);
}

#[test]
fn a_detail_that_lags_behind_its_list_row_is_not_believed_for_good() {
    for stale in 1..=5 {
        lagging(stale, false);
    }
}

#[test]
fn a_detail_that_lagged_is_not_skipped_when_its_row_moves_away() {
    for stale in 1..=4 {
        lagging(stale, true);
    }
}

#[test]
fn an_order_that_is_refused_for_ever_waits_for_a_person_and_is_not_asked_for_again() {
    for (code, fault) in [(403, Fault::forbidden("read:orders")), (410, Fault::gone())] {
        let shop = bare(30);
        let desk = Desk::new(&shop);
        let refused = shop.some_ids(3)[1];
        let rule = shop.world().fault(Rule::detail(fault).order(refused));
        desk.run(&["--once"]).ends(3);
        assert!(shop.world().fired(rule) > 0, "{code}");
        assert_eq!(desk.rows(), 29, "{code}: the others must not wait");
        assert_eq!(parked(&desk), [refused.to_string()].into(), "{code}");
        let fired = shop.world().fired(rule);
        assert!(fired <= 3, "{code}: asked {fired} times");
        for _ in 0..2 {
            shop.world().clear_requests();
            desk.run(&["--once"]).ends(3);
            let requests = shop.world().requests();
            let asked = requests.iter().filter(|request| request.order == Some(refused)).count();
            assert_eq!(asked, 0, "{code}: asked for again");
            assert!(requests.len() <= 3, "{code}: {} requests for nothing", requests.len());
        }
        assert_eq!(shop.world().fired(rule), fired, "{code}");
        shop.world().clear_faults();
        desk.run(&["failures", "retry", "--all"]).ends(0);
        desk.check(&shop);
    }
}

#[test]
fn an_empty_answer_with_a_total_is_not_taken_for_the_end() {
    for (rows, times) in [(RowShape::Bare, 1), (RowShape::WithLines, 1), (RowShape::WithLines, 3)] {
        let shop = Shop::open(Options {
            rows,
            limit_max: 10,
            ..options(45)
        });
        let desk = Desk::new(&shop);
        let empty = shop
            .world()
            .fault(Rule::list(Fault::EmptyPage).when(When::Times(times)));
        let first = desk.run(&["--once", "--wait", "2s"]);
        assert_eq!(shop.world().fired(empty), times, "{rows:?}");
        if first.code == Some(0) {
            assert_eq!(desk.rows(), 45, "{rows:?}, {times}: it was taken for finished");
        }
        desk.run(&["--once"]).ends(0);
        assert_eq!(desk.rows(), 45, "{rows:?}, {times}");
        desk.check(&shop);
    }
}

#[test]
fn a_store_that_echoes_the_secret_is_quoted_without_it() {
    let shop = bare(40);
    let desk = Desk::new(&shop);
    let secret = shop.world().access().client_secret;
    let plain = shop.world().access().client_id;
    let mut rules = Vec::new();
    // Of different lengths in front, so that it also lies across wherever a quote of the answer is cut off.
    let pads = [
        0, 60, 100, 140, 170, 180, 190, 220, 240, 250, 300, 480, 490, 500, 980, 1_000,
    ];
    let picked = shop.some_ids(pads.len());
    for (n, (id, pad)) in picked.iter().zip(pads).enumerate() {
        let message = format!("{} secret {secret} of {plain} is bad", "x".repeat(pad));
        // One 500 only: it is asked for several times before it is given up.
        let code = if n == 0 { 500 } else { [403, 400, 410][n % 3] };
        let answer = if n % 5 == 4 {
            Canned::html(code, &format!("<html>{message}</html>"))
        } else {
            Canned::error(code, "bad_secret", &message)
        };
        let answer = answer.header("X-Echo", &secret);
        rules.push(shop.world().fault(Rule::detail(Fault::Answer(answer)).order(*id)));
    }
    desk.run(&["-vv", "--once"]).ends(3);
    for rule in rules {
        assert!(shop.world().fired(rule) > 0);
    }
    let failed = failures(&desk);
    assert_eq!(failed.len(), pads.len());
    for failure in failed {
        let id = failure["id"].to_string();
        for args in [&["failures", "show", &id][..], &["failures", "show", &id, "--json"]] {
            let shown = desk.run(args).ends(0);
            assert!(shown.out.contains(failure["record"].as_str().unwrap()));
            // Not a piece of it either.
            assert!(!shown.out.contains("5b5b5b5b"), "{}", shown.out);
        }
    }
    shop.world().clear_faults();
    for code in [400_u16, 401, 403, 410, 500] {
        let message = format!("{} secret {secret} is bad", "x".repeat(usize::from(code) / 3));
        let echo = Canned::error(code, &secret, &message);
        let rule = shop.world().fault(Rule::any(Fault::Answer(echo)));
        // Whoever is told that does not hear the secret; `Outcome` looks at both streams.
        let said = desk.run(&["-vv", "--once", "--wait", "0s"]).ends(1);
        assert!(!said.err.contains("5b5b5b5b"), "{}", said.err);
        assert!(shop.world().fired(rule) > 0, "{code}");
        for args in [&["status"][..], &["status", "--json"]] {
            let told = desk.run(args).ends(0);
            assert!(!told.out.contains("5b5b5b5b"), "{}", told.out);
        }
        shop.world().remove_fault(rule);
    }
    let state = std::fs::read(desk.state()).unwrap();
    assert!(!state.windows(CANARY.len()).any(|part| part == CANARY.as_bytes()));
    assert!(!state.windows(8).any(|part| part == b"5b5b5b5b"));
    desk.run(&["failures", "retry", "--all"]).ends(0);
    // Looks at every file of the desk for secrets too.
    desk.check(&shop);
}

/// `[[…]]`, so many deep.
fn nested(levels: usize) -> String {
    format!("{}1{}", "[".repeat(levels), "]".repeat(levels))
}

#[test]
fn values_at_the_edge_pass_a_flow_without_map_or_wait_alone() {
    for rows in [RowShape::Bare, RowShape::WithLines] {
        let shop = Shop::open(Options { rows, ..options(20) });
        let desk = Desk::with(&shop, Setup::default());
        let yaml = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
        let (without, _) = yaml.split_once("    map:\n").unwrap();
        desk.write("sync.yaml", without);
        let odd = shop.some_ids(10);
        let number = Splice::member("store_serial_order_no", "1e64");
        let number = shop.world().fault(Rule::splice(odd[0], number));
        let extra = |id: i64, name: &str, json: String| {
            assert!(shop.world().update_order(id, |order| {
                order.extra.insert(name.to_owned(), json);
            }));
        };
        extra(odd[1], "big", "1e64".to_owned());
        for (id, levels) in odd[2..].iter().zip([60, 61, 62, 63, 64, 65, 127, 200]) {
            extra(*id, "deep", nested(levels));
        }
        let first = desk.run(&["--once"]);
        assert!(matches!(first.code, Some(0 | 3)), "{first:?}");
        assert!(shop.world().fired(number) > 0);
        let sent = ids(&desk.out());
        let parked = parked(&desk);
        for id in shop.world().final_orders().into_keys() {
            let times = sent.iter().filter(|sent| **sent == id).count();
            let is_parked = parked.contains(&id.to_string());
            assert_eq!(times + usize::from(is_parked), 1, "{rows:?}: order {id}");
            assert!(odd.contains(&id) || !is_parked, "{rows:?}: order {id} is parked");
        }
        // Well within the limit of 64 levels, and well beyond it.
        for (id, is_sent) in [(odd[2], true), (odd[9], false)] {
            assert_eq!(sent.contains(&id), is_sent, "{rows:?}: order {id}");
        }
        for file in files(&desk.out()) {
            assert!(file.rows.iter().all(|row| row.len() == file.columns.len()));
        }
        let again = desk.run(&["--once"]);
        assert_eq!(again.code, first.code, "{rows:?}");
        assert_eq!(all_rows(&desk.out()).len(), sent.len(), "{rows:?}: sent again");
    }
}
