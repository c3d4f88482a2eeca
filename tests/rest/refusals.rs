//! Records that are refused, and an ERP that wants to be asked less often.

use std::time::Duration;

use sandbox::Rate;
use sandbox::erp::{Fault, Kind, Rule};

use super::{failures, once};
use crate::support::{Erp, ErpSetup, Shop};

#[test]
fn er_10_one_refused_record_among_1000_is_parked_and_the_others_arrive_and_retry_works() {
    let shop = Shop::of(1_000);
    let erp = Erp::open(|_| {});
    let id = shop.some_ids(2)[1];
    let words = "Customer 88 is blocked for new orders";
    let refuse = Fault::Refuse {
        references: vec![id.to_string()],
        message: words.to_owned(),
    };
    let refuse = erp.books().fault(Rule::new(Kind::Write, refuse));
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(3);
    let tries = erp.books().fired(refuse);
    assert!((1..=3).contains(&tries), "{tries} tries");
    erp.check_but(&shop, &[id]);
    let parked = failures(&desk);
    assert_eq!((parked.len(), &parked[0]["record"]), (1, &id.to_string().into()));
    assert!(parked[0]["reason"].as_str().unwrap().contains(words), "{parked:?}");

    // Parked is parked: passes do not try it again.
    once(&desk).ends(3);
    assert_eq!(erp.books().fired(refuse), tries);
    let failure = parked[0]["id"]
        .as_str()
        .map_or_else(|| parked[0]["id"].to_string(), str::to_owned);
    let shown = desk.run(&["failures", "show", &failure]).ends(0).out;
    for part in [words, "422", &id.to_string()] {
        assert!(shown.contains(part), "{part} is not in:\n{shown}");
    }
    // The ERP is put right.
    erp.books().remove_fault(refuse);
    desk.run(&["failures", "retry", &failure]).ends(0);
    once(&desk).ends(0);
    erp.check(&shop);
    assert_eq!(failures(&desk).len(), 0);
    desk.find_secrets();
}

#[test]
fn er_14_an_erp_with_a_limit_of_its_own_is_left_alone_as_long_as_it_says() {
    let shop = Shop::of(30);
    let limit = Rate {
        requests: 10,
        window: Duration::from_secs(1),
        announce: false,
    };
    let erp = Erp::open(|options| options.rate = Some(limit));
    once(&ErpSetup::default().desk(&shop, &erp)).ends(0);
    erp.check(&shop);
    let requests = erp.books().requests();
    let refused: Vec<_> = requests.iter().filter(|asked| asked.status == 429).collect();
    assert!(!refused.is_empty(), "the limit was never met");
    // Four may be under way when the first is told to wait; what comes after them obeys.
    assert!(
        refused.len() <= 4 * 4,
        "{} of {} were refused",
        refused.len(),
        requests.len()
    );
}

#[test]
fn a_mapping_that_makes_several_rows_of_a_record_is_refused_before_anything_is_sent() {
    let shop = Shop::of(3);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        flow: vec!["each: .lines[]".to_owned()],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    for command in [&["check"][..], &["--once"]] {
        let told = desk.run(command).ends(2);
        told.says(&["orders-to-erp.each", "one record at a time", "remove `each`"]);
    }
    assert_eq!(erp.created().len(), 0);
}
