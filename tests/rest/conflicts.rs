//! 409: what is there already is ours, or somebody else's.

use sandbox::erp::{Fault, Rule};

use super::{failures, once};
use crate::support::{Erp, ErpSetup, Shop};

#[test]
fn er_03_a_conflict_with_our_own_content_is_success_and_with_another_content_is_parked() {
    let shop = Shop::of(6);
    let erp = Erp::open(|options| options.keeps_keys = false);
    let ids = shop.some_ids(6);
    let (ours, theirs) = (ids[1], ids[4]);
    let ours = erp
        .books()
        .fault(Rule::create(Fault::Conflict { own: true }).reference(&ours.to_string()));
    let foreign = Rule::create(Fault::Conflict { own: false }).reference(&theirs.to_string());
    let foreign = erp.books().fault(foreign);
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(3);
    assert_eq!(erp.books().fired(ours), 1);
    assert!(erp.books().fired(foreign) >= 1);
    let parked = failures(&desk);
    assert_eq!(parked.len(), 1, "{parked:?}");
    assert_eq!(parked[0]["record"], theirs.to_string());
    let reason = parked[0]["reason"].as_str().unwrap();
    assert!(reason.contains("total"), "it names what differs: {reason}");
    // The foreign record is the only one with that reference, and it was left alone.
    let held = erp.books().with_reference("sales-orders", &theirs.to_string());
    assert_eq!(held.len(), 1);
    assert_eq!(held[0].document.raw("total"), Some("1.11"));
    erp.check_but(&shop, &[theirs]);
}
