//! Answers that say one thing in their status and another in their body.

use sandbox::erp::{Fault, Rule, Spoil};
use sandbox::{Order, When};

use super::{failures, once};
use crate::support::{Erp, ErpSetup, Shop};

#[test]
fn er_08_200_with_success_false_is_a_refusal_in_the_erps_own_words() {
    let shop = Shop::of(4);
    let erp = Erp::open(|_| {});
    let id = shop.some_ids(4)[1];
    let closed = Fault::SuccessFalse {
        message: "The period 11/2026 is closed".to_owned(),
    };
    let closed = erp.books().fault(Rule::create(closed).reference(&id.to_string()));
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(3);
    assert!((1..=3).contains(&erp.books().fired(closed)));
    let parked = failures(&desk);
    assert_eq!((parked.len(), &parked[0]["record"]), (1, &id.to_string().into()));
    assert!(
        parked[0]["reason"]
            .as_str()
            .unwrap()
            .contains("The period 11/2026 is closed"),
        "{parked:?}"
    );
    erp.check_but(&shop, &[id]);
}

#[test]
fn er_08_200_with_an_empty_body_is_not_believed_whether_it_was_stored_or_not() {
    let shop = Shop::of(6);
    let erp = Erp::open(|options| options.keeps_keys = false);
    erp.books()
        .fault(Rule::create(Fault::EmptyBody { stored: true }).when(When::Nth(2)));
    erp.books()
        .fault(Rule::create(Fault::EmptyBody { stored: false }).when(When::Nth(4)));
    once(&ErpSetup::default().desk(&shop, &erp)).ends(0);
    assert!(erp.books().faults().iter().all(|state| state.fired == 1));
    erp.check(&shop);
}

#[test]
fn er_15_an_erp_that_normalises_what_it_is_sent_is_not_written_to_again() {
    let shop = Shop::of(20);
    let erp = Erp::open(|_| {});
    let normal = erp.books().fault(Rule::any(Fault::Spoil(Spoil::Normalise)));
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(0);
    assert_eq!(erp.books().fired(normal), 20);
    let commits = erp.books().truth().len();
    for _ in 0..3 {
        once(&desk).ends(0);
    }
    assert_eq!(erp.books().truth().len(), commits, "no write without a change");
    // A change is written, once.
    shop.world().advance(std::time::Duration::from_secs(3600));
    let id = shop.some_ids(3)[1];
    assert!(
        shop.world()
            .update_order(id, |order: &mut Order| order.status = "delivered".to_owned())
    );
    once(&desk).ends(0);
    once(&desk).ends(0);
    assert_eq!(erp.books().truth().len(), commits + 1);
}
