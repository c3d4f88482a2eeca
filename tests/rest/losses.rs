//! Answers that never came, and creates that are carried out when nobody waits for them any more.

use sandbox::When;
use sandbox::erp::{Fault, Kind, Loss, Rule};

use super::once;
use crate::support::{CREATE, Erp, ErpSetup, Shop};

#[test]
fn er_01_committed_and_then_the_answer_is_lost_is_found_and_not_sent_again() {
    let shop = Shop::of(12);
    // It forgets keys and takes a reference twice: only the look-up keeps it at one.
    let erp = Erp::open(|options| options.keeps_keys = false);
    let losses = [
        (Loss::Reset, 2),
        (Loss::BadGateway, 5),
        (Loss::GatewayTimeout, 8),
        (Loss::Hang, 11),
    ];
    let cuts = losses.map(|(loss, nth)| {
        let rule = Rule::create(Fault::AnswerLost(loss)).when(When::Nth(nth));
        erp.books().fault(rule)
    });
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(0);
    for cut in cuts {
        assert_eq!(erp.books().fired(cut), 1);
    }
    erp.check(&shop);
    // Everything is known: a further pass writes nothing.
    let commits = erp.books().truth().len();
    once(&desk).ends(0);
    assert_eq!(erp.books().truth().len(), commits);
    desk.find_secrets();
}

#[test]
fn er_01_lost_before_it_was_carried_out_is_sent_again_with_the_same_key_and_bytes() {
    let shop = Shop::of(6);
    let erp = Erp::open(|options| options.keeps_keys = false);
    let down = erp.books().fault(Rule::create(Fault::Down).when(When::Nth(3)));
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(0);
    assert_eq!(erp.books().fired(down), 1);
    erp.check(&shop);
    let requests = erp.books().requests();
    let lost = requests
        .iter()
        .find(|asked| asked.kind == Kind::Create && asked.fault.is_some())
        .unwrap();
    let twice: Vec<_> = requests
        .iter()
        .filter(|asked| asked.kind == Kind::Create && asked.reference == lost.reference)
        .collect();
    assert_eq!(twice.len(), 2);
    assert!(twice[0].key.is_some());
    assert_eq!((&twice[0].key, &twice[0].body), (&twice[1].key, &twice[1].body));
    let looks = requests
        .iter()
        .filter(|asked| asked.kind == Kind::Find && asked.reference == lost.reference);
    assert!(looks.count() >= 2, "it looks twice before it sends again");
}

/// One order's create is carried out so long after the first look-up that found nothing.
fn late(ms: u64, keeps_keys: bool) -> (Shop, Erp) {
    let shop = Shop::of(4);
    let erp = Erp::open(|options| options.keeps_keys = keeps_keys);
    let late = Fault::CommitLate {
        lookups: 1,
        ms,
        loss: Loss::Reset,
    };
    let late = erp.books().fault(Rule::create(late).when(When::Nth(2)));
    let setup = ErpSetup {
        unknown: "{wait: 200ms, recheck: 1s}".to_owned(),
        ..ErpSetup::default()
    };
    once(&setup.desk(&shop, &erp)).ends(0);
    assert_eq!((erp.books().fired(late), erp.books().late()), (1, 0));
    (shop, erp)
}

#[test]
fn er_02_committed_after_the_first_look_found_nothing_is_found_by_the_second() {
    let (shop, erp) = late(300, false);
    erp.check(&shop);
}

#[test]
fn er_02_committed_after_both_looks_is_one_where_the_key_is_honoured() {
    let (shop, erp) = late(60_000, true);
    erp.check(&shop);
}

#[test]
fn er_01_without_a_key_and_without_a_search_the_record_is_parked_for_a_person() {
    let shop = Shop::of(5);
    let erp = Erp::open(|options| options.keeps_keys = false);
    erp.books()
        .fault(Rule::create(Fault::AnswerLost(Loss::Reset)).when(When::Nth(2)));
    let setup = ErpSetup {
        push: vec!["create: {path: /sales-orders, id: .data.id}".to_owned()],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    once(&desk).ends(3);
    assert_eq!(super::failures(&desk).len(), 1);
    erp.check(&shop);
}

#[test]
fn er_01_a_key_that_is_trusted_needs_no_search() {
    let shop = Shop::of(5);
    let erp = Erp::open(|_| {});
    erp.books()
        .fault(Rule::create(Fault::AnswerLost(Loss::Reset)).when(When::Nth(2)));
    let setup = ErpSetup {
        push: vec![CREATE.to_owned(), "idempotency: trusted".to_owned()],
        ..ErpSetup::default()
    };
    once(&setup.desk(&shop, &erp)).ends(0);
    erp.check(&shop);
}
