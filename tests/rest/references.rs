//! ER-13: an ERP that does not keep a reference as it was sent.

use std::time::Duration;

use sandbox::erp::{Deed, Fault, Kind, Rule, Spoil};

use super::{failures, once};
use crate::support::{Erp, ErpSetup, FIND, Shop};

fn cut() -> Rule {
    let member = "reference".to_owned();
    Rule::create(Fault::Spoil(Spoil::Cut { member, chars: 2 }))
}

#[test]
fn er_13_a_reference_that_is_cut_shows_at_the_first_create_and_nothing_more_is_sent() {
    let shop = Shop::of(30);
    let erp = Erp::open(|_| {});
    let cut = erp.books().fault(cut());
    let desk = ErpSetup::default().desk(&shop, &erp);
    let said = once(&desk).ends(1).err;
    assert!(said.contains("`find` does not find it"), "{said}");
    assert_eq!(erp.books().truth_of("sales-orders").len(), 1, "one order, and no probe");
    let status = desk.run(&["status", "--check"]);
    let told = status.ends(3).out;
    assert!(told.contains("Nothing more is sent until the reference"), "{told}");
    assert_eq!(failures(&desk).len(), 0, "no record is to blame");

    // As long as nothing is mended, a run adds one order and no more.
    once(&desk).ends(1);
    assert_eq!(erp.books().truth_of("sales-orders").len(), 2);

    erp.books().remove_fault(cut);
    once(&desk).ends(0);
    let created = erp.created();
    assert_eq!((created.len(), erp.books().truth_of("sales-orders").len()), (29, 30));
    let told = desk.run(&["status"]).ends(0).out;
    assert!(!told.contains("Nothing more is sent"), "{told}");
}

#[test]
fn er_13_the_alert_goes_with_the_search_that_it_was_about() {
    let shop = Shop::of(4);
    let erp = Erp::open(|_| {});
    erp.books().fault(cut());
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(1);
    let told = desk.run(&["status"]).ends(0).out;
    assert!(told.contains("Nothing more is sent"), "{told}");
    let yaml = std::fs::read_to_string(desk.path("sync.yaml")).unwrap();
    assert!(yaml.contains(FIND));
    desk.write("sync.yaml", &yaml.replace(FIND, ""));
    once(&desk).ends(0);
    let told = desk.run(&["status"]).ends(0).out;
    assert!(!told.contains("Nothing more is sent"), "{told}");
}

/// Far longer than a call takes, so that calls that may run side by side do.
const SLOW: Fault = Fault::Delay { ms: 400 };

/// Changes all these orders and says how many calls were under way at once.
fn most_at_once(erp: &Erp, kind: Kind) -> usize {
    let asked = erp.books().requests();
    let begun: Vec<_> = asked
        .iter()
        .filter(|asked| asked.kind == kind)
        .map(|asked| asked.at)
        .collect();
    let beside = |at: &std::time::Instant| {
        let under_way = begun
            .iter()
            .filter(|other| *other <= at && at.duration_since(**other) < Duration::from_millis(400));
        under_way.count()
    };
    begun.iter().map(beside).max().unwrap_or_default()
}

#[test]
fn er_13_a_run_that_changes_what_is_there_does_not_wait_for_a_proof() {
    let shop = Shop::of(16);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        connector: vec!["concurrency: 4".to_owned()],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    once(&desk).ends(0);
    shop.world().advance(Duration::from_secs(3_600));
    for id in shop.some_ids(16) {
        shop.world().update_order(id, |order| order.shipping += 100);
    }
    erp.books().clear_requests();
    erp.books().fault(Rule::new(Kind::Update, SLOW));
    once(&desk).ends(0);
    assert_eq!(erp.commits(Deed::Updated).len(), 16);
    assert!(
        (2..=4).contains(&most_at_once(&erp, Kind::Update)),
        "{}",
        most_at_once(&erp, Kind::Update)
    );
    erp.check(&shop);
}

#[test]
fn er_13_beside_changes_no_second_create_leaves_before_the_first_is_found() {
    let shop = Shop::of(8);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        connector: vec!["concurrency: 4".to_owned()],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    once(&desk).ends(0);
    shop.world().advance(Duration::from_secs(3_600));
    let old = shop.some_ids(8);
    shop.world().insert_orders(8);
    for id in old {
        shop.world().update_order(id, |order| order.shipping += 100);
    }
    erp.books().clear_requests();
    erp.books().fault(Rule::new(Kind::Create, SLOW));
    erp.books().fault(Rule::new(Kind::Update, SLOW));
    once(&desk).ends(0);
    erp.check(&shop);
    assert_eq!(erp.commits(Deed::Updated).len(), 8);
    let requests = erp.books().requests();
    let looked = requests.iter().position(|asked| asked.kind == Kind::Find).unwrap();
    let before = |kind: Kind| requests[..looked].iter().filter(|asked| asked.kind == kind).count();
    assert_eq!(before(Kind::Create), 1, "alone until it is found");
    assert!(before(Kind::Update) >= 2, "changes go on meanwhile");
}

#[test]
fn er_13_what_was_created_first_is_looked_for_once_a_run() {
    let shop = Shop::of(20);
    let erp = Erp::open(|_| {});
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(0);
    erp.check(&shop);
    let requests = erp.books().requests();
    let looks = requests.iter().filter(|asked| asked.kind == Kind::Find);
    assert_eq!(looks.count(), 1);
    let kinds: Vec<Kind> = requests.iter().take(3).map(|asked| asked.kind).collect();
    assert_eq!(
        kinds,
        [Kind::Create, Kind::Find, Kind::Create],
        "before the second create"
    );
}

#[test]
fn er_13_a_search_that_finds_another_record_is_told() {
    let shop = Shop::of(10);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        push: vec![
            crate::support::CREATE.to_owned(),
            // It asks for nothing in particular, and the ERP answers with the first that it has.
            "find: {path: /sales-orders, params: {limit: 1}, id: '.items[0].id'}".to_owned(),
        ],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    // The first of all is found all the same.
    once(&desk).ends(0);
    shop.world().advance(std::time::Duration::from_secs(60));
    shop.world().insert_orders(5);
    let said = once(&desk).ends(1).err;
    assert!(said.contains("it looks for too little"), "{said}");
    assert_eq!(erp.books().truth_of("sales-orders").len(), 11);
}
