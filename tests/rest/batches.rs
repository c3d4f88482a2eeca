//! Batches: one request for many records, answered in any order, in part, or not at all.

use std::collections::BTreeSet;

use sandbox::When;
use sandbox::erp::{Fault, Kind, Loss, Rule};

use super::{failures, once};
use crate::support::{CREATE, Erp, ErpSetup, FIND, Shop};

fn in_batches() -> ErpSetup {
    let batch = "batch: {size: 5, path: /sales-orders/batch, body: {orders: .}, results: .results, key: .reference, \
                 id: .id, error: .error}";
    ErpSetup {
        push: [CREATE, FIND, batch].map(str::to_owned).to_vec(),
        ..ErpSetup::default()
    }
}

#[test]
fn er_11_results_in_another_order_missing_or_refused_are_matched_by_key() {
    let shop = Shop::of(40);
    let erp = Erp::open(|options| options.keeps_keys = false);
    let books = erp.books();
    let refused = shop.some_ids(40)[7];
    let words = "No price list for this customer";
    let refuse = Fault::Refuse {
        references: vec![refused.to_string()],
        message: words.to_owned(),
    };
    let rules = [
        books.fault(Rule::new(Kind::Batch, Fault::BatchShuffled)),
        books.fault(Rule::new(Kind::Batch, Fault::BatchMissing { items: 2, stored: true }).when(When::Nth(2))),
        books.fault(
            Rule::new(
                Kind::Batch,
                Fault::BatchMissing {
                    items: 2,
                    stored: false,
                },
            )
            .when(When::Nth(3)),
        ),
        books.fault(Rule::new(Kind::Batch, Fault::AnswerLost(Loss::Reset)).when(When::Nth(4))),
    ];
    books.fault(Rule::new(Kind::Write, refuse));
    let desk = in_batches().desk(&shop, &erp);
    once(&desk).ends(3);
    for rule in rules {
        assert!(books.fired(rule) >= 1, "a fault never struck: {:?}", books.faults());
    }
    erp.check_but(&shop, &[refused]);
    let parked = failures(&desk);
    assert_eq!((parked.len(), &parked[0]["record"]), (1, &refused.to_string().into()));
    assert!(parked[0]["reason"].as_str().unwrap().contains(words), "{parked:?}");
    // Each id that was kept is that of its own record: changes go to the right ones.
    let ids: BTreeSet<String> = books.records("sales-orders").into_iter().map(|held| held.id).collect();
    assert_eq!(ids.len(), 39);
}
