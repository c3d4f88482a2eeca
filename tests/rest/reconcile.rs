//! ER-12, RC-01 to RC-03: the ERP is not what it was. It is told what is missing, different or unknown there, and
//! repaired once, within a bound.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use sandbox::When;
use sandbox::erp::{Deed, Fault, Kind, Loss, Rule, Way};
use serde_json::Value;

use super::{FLOW, once};
use crate::support::{CREATE, Desk, Erp, ErpSetup, FIND, READ, Shop, UPDATE};

const LIST: &str = "list: {path: /sales-orders, data_selector: .items, id: .id, paginator: {type: page_number, page_param: page, size_param: limit, size: 7}}";

fn setup(push: &[&str]) -> ErpSetup {
    ErpSetup {
        push: push.iter().map(|line| (*line).to_owned()).collect(),
        // What was sent less than `wait` ago is never missing.
        unknown: "{wait: 20ms, recheck: 50ms}".to_owned(),
        ..ErpSetup::default()
    }
}

/// A shop whose orders are all at the ERP.
fn filled(orders: usize, push: &[&str]) -> (Shop, Erp, Desk) {
    let shop = Shop::of(orders);
    let erp = Erp::open(|_| {});
    let desk = setup(push).desk(&shop, &erp);
    once(&desk).ends(0);
    erp.check(&shop);
    (shop, erp, desk)
}

const ALL: [&str; 5] = [CREATE, UPDATE, FIND, READ, LIST];

#[track_caller]
fn reconcile(desk: &Desk, more: &[&str], code: i32) -> String {
    let args: Vec<&str> = ["reconcile", FLOW].iter().chain(more).copied().collect();
    desk.run(&args).ends(code).out
}

/// What `--json` tells of the flow.
#[track_caller]
fn told(desk: &Desk, more: &[&str], code: i32) -> Value {
    let args: Vec<&str> = ["--json"].iter().chain(more).copied().collect();
    let out = reconcile(desk, &args, code);
    let told: Value = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"));
    assert_eq!(told["code"], code);
    assert_eq!(told["flows"].as_array().unwrap().len(), 1);
    told["flows"][0].clone()
}

#[track_caller]
fn counts(told: &Value, expected: &[(&str, u64)]) {
    for (name, count) in expected {
        assert_eq!(told[name], *count, "{name} of {told:#}");
    }
}

/// Every order of the shop is there once, with its total.
#[track_caller]
fn all_there_once(shop: &Shop, erp: &Erp) {
    for (id, order) in shop.world().final_orders() {
        let held = erp.books().with_reference("sales-orders", &id.to_string());
        assert_eq!(held.len(), 1, "order {id}");
        let total = held[0].document.raw("total").unwrap_or_default();
        assert_eq!(
            crate::support::paisa(total),
            Ok(order.grand_total()),
            "the total of {id}"
        );
    }
}

/// The references that were created more than once, and how often.
fn created_again(erp: &Erp) -> BTreeMap<String, usize> {
    let mut created = erp.created();
    created.retain(|_, times| *times > 1);
    created
}

fn writes(erp: &Erp) -> usize {
    erp.books().truth_of("sales-orders").len()
}

#[test]
fn er_12_what_a_restore_lost_is_told_and_brought_back_exactly_once() {
    let (shop, erp, desk) = filled(40, &ALL);
    counts(
        &told(&desk, &[], 0),
        &[
            ("held", 40),
            ("checked", 40),
            ("equal", 40),
            ("missing", 0),
            ("extra", 0),
        ],
    );
    let (before, backup) = (writes(&erp), erp.books().snapshot());
    let lost: Vec<String> = erp.books().records("sales-orders")[33..]
        .iter()
        .map(|held| held.reference().unwrap())
        .collect();
    assert_eq!(erp.books().drop_last("sales-orders", 7), 7);
    let found = told(&desk, &[], 3);
    counts(
        &found,
        &[
            ("held", 40),
            ("equal", 33),
            ("missing", 7),
            ("different", 0),
            ("extra", 0),
        ],
    );
    assert_eq!(found["ids"]["ours"]["count"], 40);
    assert_eq!(found["ids"]["theirs"]["count"], 33);
    assert_ne!(found["ids"]["ours"]["hash"], found["ids"]["theirs"]["hash"]);
    assert_eq!(found["repair"], Value::Null);
    let mut named: Vec<&str> = found["first"]["missing"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["record"].as_str().unwrap())
        .collect();
    named.sort_unstable();
    let mut expected: Vec<&str> = lost.iter().map(String::as_str).collect();
    expected.sort_unstable();
    assert_eq!(named, expected);
    assert_eq!(writes(&erp), before, "looking writes nothing");

    let repaired = told(&desk, &["--repair"], 0);
    assert_eq!(repaired["repair"]["repaired"], 7, "{repaired:#}");
    all_there_once(&shop, &erp);
    let again = created_again(&erp);
    assert_eq!(again.keys().map(String::as_str).collect::<Vec<_>>(), expected);
    assert!(again.values().all(|times| *times == 2), "{again:?}");

    let after = writes(&erp);
    let equal = told(&desk, &[], 0);
    counts(
        &equal,
        &[
            ("held", 40),
            ("equal", 40),
            ("missing", 0),
            ("different", 0),
            ("extra", 0),
        ],
    );
    assert_eq!(equal["ids"]["ours"], equal["ids"]["theirs"]);
    reconcile(&desk, &["--repair"], 0);
    once(&desk).ends(0);
    assert_eq!(writes(&erp), after, "nothing is left to do");
    // Restored once more, to a copy that has the dead ids: they are there under ids that are not known any more.
    erp.books().restore(&backup);
    let moved = told(&desk, &[], 3);
    counts(&moved, &[("equal", 33), ("missing", 0), ("different", 7), ("extra", 7)]);
    let one = &moved["first"]["different"][0];
    assert!(one["found"].is_string() && one["found"] != one["id"], "{one}");
    assert_eq!(told(&desk, &["--repair"], 0)["repair"]["repaired"], 7);
    all_there_once(&shop, &erp);
    desk.find_secrets();
}

#[test]
fn rc_03_a_changed_amount_is_told_with_both_values_and_put_right() {
    let (shop, erp, desk) = filled(12, &ALL);
    let held = erp.books().records("sales-orders")[4].clone();
    assert!(
        erp.books()
            .edit("sales-orders", &held.id, r#"{"total": 0.01}"#)
            .unwrap()
    );
    let out = reconcile(&desk, &[], 3);
    let reference = held.reference().unwrap();
    let line = out.lines().find(|line| line.contains("different:")).unwrap();
    assert!(
        line.contains(&reference) && line.contains("total 0.01 instead of "),
        "{line}"
    );
    let found = told(&desk, &[], 3);
    counts(&found, &[("equal", 11), ("missing", 0), ("different", 1)]);
    let field = &found["first"]["different"][0]["fields"][0];
    assert_eq!(field["field"], "total");
    assert_eq!(field["theirs"].to_string(), "0.01");
    let created = erp.commits(Deed::Created).len();
    assert_eq!(told(&desk, &["--repair"], 0)["repair"]["repaired"], 1);
    all_there_once(&shop, &erp);
    assert_eq!(erp.commits(Deed::Created).len(), created, "an update, not a create");
    reconcile(&desk, &[], 0);
    // The same damage once more: the second repair is not taken for the first.
    erp.books()
        .edit("sales-orders", &held.id, r#"{"total": 0.01}"#)
        .unwrap();
    reconcile(&desk, &["--repair"], 0);
    all_there_once(&shop, &erp);
}

#[test]
fn rc_02_what_is_unknown_is_told_and_never_touched() {
    let (_shop, erp, desk) = filled(9, &ALL);
    let foreign: Vec<String> = (0..25)
        .map(|n| {
            let record = format!(r#"{{"reference": "by-hand-{n}", "total": 5.00}}"#);
            erp.books().put("sales-orders", &record).unwrap()
        })
        .collect();
    let before = erp.books().truth().len();
    for more in [&[][..], &["--repair"]] {
        let found = told(&desk, more, 0);
        counts(&found, &[("equal", 9), ("missing", 0), ("different", 0), ("extra", 25)]);
        let named = found["first"]["extra"].as_array().unwrap();
        assert_eq!(named.len(), 20);
        assert!(named.iter().all(|id| foreign.iter().any(|known| id == known)));
    }
    assert!(reconcile(&desk, &[], 0).contains("they are left alone"));
    assert_eq!(erp.books().truth().len(), before);
}

#[test]
fn rc_02_a_double_entered_by_hand_is_told_with_both_numbers_and_not_repaired() {
    let (shop, erp, desk) = filled(6, &[CREATE, UPDATE, FIND]);
    let id = shop.some_ids(3)[1];
    let double = erp
        .books()
        .put("sales-orders", &format!(r#"{{"reference": "{id}", "total": 1.00}}"#))
        .unwrap();
    let before = erp.books().truth().len();
    let found = told(&desk, &["--repair"], 3);
    counts(&found, &[("equal", 5), ("missing", 0), ("different", 0)]);
    assert_eq!(found["skipped"]["unclear"], 1);
    let why = found["first"]["skipped"][0]["why"].as_str().unwrap();
    assert!(why.contains(&double) && why.contains("more than one fits"), "{why}");
    assert_eq!(erp.books().truth().len(), before);
}

#[test]
fn er_12_without_a_listing_what_is_missing_and_different_is_found_by_looking() {
    for push in [
        &[CREATE, UPDATE, FIND, READ][..],
        &[CREATE, UPDATE, READ],
        &[CREATE, UPDATE, FIND],
    ] {
        let (shop, erp, desk) = filled(10, push);
        erp.books().drop_last("sales-orders", 2);
        let held = erp.books().records("sales-orders")[1].clone();
        erp.books()
            .edit("sales-orders", &held.id, r#"{"total": 0.01}"#)
            .unwrap();
        let found = told(&desk, &[], 3);
        let reads = u64::from(push.contains(&READ));
        counts(&found, &[("equal", 8 - reads), ("missing", 2), ("different", reads)]);
        assert_eq!((&found["extra"], &found["ids"]), (&Value::Null, &Value::Null));
        let repaired = told(&desk, &["--repair"], 0);
        assert_eq!(repaired["repair"]["repaired"], 2 + reads, "{push:?}");
        assert_eq!(created_again(&erp).len(), 2);
        if reads == 1 {
            all_there_once(&shop, &erp);
        }
        reconcile(&desk, &[], 0);
    }
}

#[test]
fn er_12_with_a_listing_alone_what_is_missing_is_found_by_it() {
    let (shop, erp, desk) = filled(20, &[CREATE, LIST]);
    erp.books().clear_requests();
    erp.books().drop_last("sales-orders", 3);
    counts(&told(&desk, &[], 3), &[("equal", 17), ("missing", 3), ("extra", 0)]);
    // What one listing lacks is looked for in a second one.
    let lists = erp
        .books()
        .requests()
        .into_iter()
        .filter(|asked| asked.kind == Kind::List)
        .count();
    assert!(lists >= 6, "{lists} pages");
    assert_eq!(told(&desk, &["--repair"], 0)["repair"]["repaired"], 3);
    all_there_once(&shop, &erp);
    assert!(reconcile(&desk, &[], 0).contains("by list"));
}

#[test]
fn er_12_a_trusted_key_does_not_answer_for_the_dead_record() {
    for push in [
        &[CREATE, READ, "idempotency: trusted"][..],
        &[CREATE, FIND, "idempotency: trusted"],
        &ALL,
    ] {
        let (shop, erp, desk) = filled(8, push);
        // A person deletes it; the key it was created under is known for good.
        let held = erp.books().records("sales-orders")[3].clone();
        let remove_and_repair = |id: &str| {
            assert!(erp.books().remove("sales-orders", id));
            told(&desk, &["--repair"], 0);
            all_there_once(&shop, &erp);
        };
        remove_and_repair(&held.id);
        let again = erp.books().with_reference("sales-orders", &held.reference().unwrap());
        remove_and_repair(&again[0].id);
        let commits = erp.commits(Deed::Created);
        let keys = commits.iter().filter(|commit| commit.reference == held.reference());
        let keys: BTreeSet<_> = keys.map(|commit| commit.key.clone()).collect();
        assert_eq!(keys.len(), 3, "each under a key of its own: {keys:?}");
    }
}

#[test]
fn er_12_more_than_the_bound_changes_nothing_until_a_person_says_how_many() {
    let (shop, erp, desk) = filled(80, &ALL);
    erp.books().drop_last("sales-orders", 60);
    let before = writes(&erp);
    let told_by = |more: &[&str], code| told(&desk, more, code)["repair"].clone();
    let refused = told_by(&["--repair"], 3);
    assert_eq!(
        (&refused["refused"], &refused["at_most"], &refused["wanted"]),
        (&true.into(), &50.into(), &60.into())
    );
    let out = reconcile(&desk, &["--repair", "--at-most", "59"], 3);
    assert!(
        out.contains("60 to repair are more than 59") && out.contains("--at-most 60"),
        "{out}"
    );
    once(&desk).ends(0);
    assert_eq!(writes(&erp), before, "nothing was sent");
    assert_eq!(told_by(&["--repair", "--at-most", "60"], 0)["repaired"], 60);
    all_there_once(&shop, &erp);
}

#[test]
fn rc_05_er_12_killed_anywhere_in_a_repair_nothing_is_brought_back_twice() {
    let (shop, erp, desk) = filled(40, &ALL);
    erp.books().set_options(|options| options.keeps_keys = false);
    erp.books().drop_last("sales-orders", 25);
    let slow = erp.books().fault(Rule::create(Fault::Delay { ms: 30 }));
    let cut = Fault::AnswerLost(Loss::Reset);
    erp.books().fault(Rule::create(cut).when(When::Every(9)));
    let mut chance = fastrand::Rng::with_seed(5);
    let (mut killed, mut ended) = (0, 0);
    while killed < 16 {
        assert!(ended < 40, "only {killed} kills came in time");
        let before = writes(&erp);
        let mut run = desk.start(&["reconcile", FLOW, "--repair"]);
        // Half of them while it sends, half of them anywhere.
        while killed % 2 == 0 && writes(&erp) == before && !run.has_ended() {
            run.let_run(Duration::from_millis(2));
        }
        run.let_run(Duration::from_millis(chance.u64(1..250)));
        match run.kill().signal {
            Some(9) => killed += 1,
            _ => {
                ended += 1;
                erp.books().drop_last("sales-orders", 25);
            }
        }
    }
    erp.books().remove_fault(slow);
    once(&desk).ends(0);
    reconcile(&desk, &["--repair"], 0);
    reconcile(&desk, &[], 0);
    all_there_once(&shop, &erp);
    let gone = erp
        .books()
        .truth()
        .iter()
        .filter(|commit| commit.deed == Deed::Lost)
        .count();
    assert_eq!(erp.commits(Deed::Created).len(), 40 + gone, "each once for each loss");
}

#[test]
fn a_record_that_changed_meanwhile_is_left_to_the_next_pass() {
    let (shop, erp, desk) = filled(10, &ALL);
    let id = shop.some_ids(10)[2];
    shop.world().advance(Duration::from_secs(60));
    shop.world()
        .update_order(id, |order| order.status = "delivered".to_owned());
    let before = writes(&erp);
    let found = told(&desk, &["--repair"], 3);
    counts(&found, &[("equal", 9), ("different", 0), ("missing", 0)]);
    assert_eq!(found["skipped"]["changed"], 1);
    assert_eq!(writes(&erp), before);
    once(&desk).ends(0);
    counts(&told(&desk, &[], 0), &[("equal", 10)]);
}

#[test]
fn what_cannot_be_reconciled_says_why_and_what_to_configure() {
    let (shop, erp, desk) = filled(3, &[CREATE, UPDATE]);
    let before = writes(&erp);
    let outcome = desk.run(&["reconcile", FLOW, "--repair"]).ends(2);
    outcome.says(&["erp.orders cannot be asked what it holds", "`list`", "`read`", "`find`"]);
    assert!(told(&desk, &[], 2)["cannot"].is_string());
    desk.run(&["reconcile", "orders-to-csv"])
        .ends(2)
        .says(&["writes files", "type: rest"]);
    desk.run(&["reconcile", "orders-to-erq"])
        .ends(2)
        .says(&["did you mean `orders-to-erp`?"]);
    desk.run(&["reconcile", FLOW, "--at-most", "3"]).ends(2);
    Desk::new(&shop)
        .run(&["reconcile"])
        .ends(2)
        .says(&["nothing to reconcile"]);
    assert_eq!(writes(&erp), before);
}

#[test]
fn er_12_beside_a_live_daemon_it_is_carried_out_by_it() {
    let shop = Shop::of(15);
    let erp = Erp::open(|options| options.ways = vec![Way::Bearer]);
    let desk = setup(&ALL).desk(&shop, &erp);
    let daemon = desk.daemon();
    desk.run(&["--once", FLOW]).ends(0);
    erp.books().drop_last("sales-orders", 4);
    counts(&told(&desk, &[], 3), &[("equal", 11), ("missing", 4)]);
    assert_eq!(told(&desk, &["--repair"], 0)["repair"]["repaired"], 4);
    all_there_once(&shop, &erp);
    // Without a name: every flow that can be asked; files cannot.
    let all = desk.run(&["reconcile"]).ends(0).out;
    assert!(all.contains("orders-to-erp") && !all.contains("orders-to-csv"), "{all}");
    desk.run(&["reconcile", "orders-to-csv"])
        .ends(2)
        .says(&["writes files"]);
    daemon.stop();
    assert_eq!(created_again(&erp).len(), 4);
    desk.find_secrets();
}

#[test]
fn an_erp_that_does_not_answer_ends_it_with_1_and_nothing_is_taken_for_missing() {
    let (_shop, erp, desk) = filled(5, &[CREATE, UPDATE, FIND, READ]);
    let refused = Fault::error(403, "forbidden", "Not this one");
    let rule = erp.books().fault(Rule::new(Kind::Read, refused));
    let before = writes(&erp);
    let found = told(&desk, &["--repair"], 1);
    assert!(found["error"].is_string(), "{found:#}");
    assert_eq!(writes(&erp), before);
    erp.books().remove_fault(rule);
    reconcile(&desk, &["--repair"], 0);
    assert_eq!(writes(&erp), before);
}
