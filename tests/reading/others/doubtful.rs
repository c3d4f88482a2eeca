//! Walks by keyset against answers that must not be believed at once.

use std::time::Duration;

use contract::{Fault as Trouble, Window};
use sandbox::{Fault, Rule, When};

use super::super::rig::drive;
use super::{small, source, walked};

#[tokio::test]
async fn empty_pages_that_count_nothing_end_no_walk_that_counts_more_elsewhere() {
    let nothing = r#"{"data":[],"pagination":{"page":1,"limit":10,"total":0},"status":200}"#;
    for times in [1, 2, 3, 4, 40] {
        let rig = small(45, 45).impatient().start().await;
        for (name, ids) in walked(&rig) {
            // The first page is full; then another server answers, which knows of nothing.
            let rule = Rule::list(Fault::Body(nothing.to_owned()));
            let fault = rig.world.fault(rule.when(When::After { skip: 1, times }));
            let walk = drive(source(&rig, name).history(Window::default(), None)).await;
            assert!(rig.world.fired(fault) > 0);
            rig.world.clear_faults();
            match walk {
                Ok(walk) if times < 40 => {
                    assert_eq!((walk.keys(), walk.notes), (ids, Vec::new()), "{name}, {times} times");
                }
                Ok(walk) => assert!(!walk.notes.is_empty(), "{name}, {times} times"),
                Err(error) => assert_eq!(error.fault, Trouble::Transient { reached: false }, "{name}, {error}"),
            }
        }
    }
}

#[tokio::test]
async fn a_product_that_is_touched_once_leaves_nothing_unproven() {
    let rig = small(0, 45).start().await;
    let products = rig.world.final_products();
    let third = products.values().min_by_key(|one| one.updated_ms).unwrap().id;
    let mut pass = source(&rig, "products").history(Window::default(), None);
    let first = pass.step().await.unwrap();
    assert!(first.rows.len() == 10 && first.covered.is_empty());
    rig.clock.advance(Duration::from_secs(60));
    assert!(rig.world.update_product(third, |product| product.name.push('!')));
    let rest = drive(pass).await.unwrap();
    assert_eq!((rest.notes, rest.covered.len()), (Vec::new(), 45));
}
