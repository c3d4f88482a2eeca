//! `tail`: calls to an ERP as they are done, those of before it began included.

use super::once;
use crate::support::{Erp, ErpSetup, Shop};

#[test]
fn calls_are_shown_one_a_line_those_of_before_first_and_new_ones_as_they_come() {
    let shop = Shop::of(5);
    let erp = Erp::open(|_| {});
    let desk = ErpSetup::default().desk(&shop, &erp);
    once(&desk).ends(0);
    let mut tail = desk.start(&["tail"]);
    let lines = |tail: &crate::support::Running| tail.said("out").lines().map(str::to_owned).collect::<Vec<_>>();
    for _ in 0..1_000 {
        if lines(&tail).len() >= 5 {
            break;
        }
        tail.let_run(std::time::Duration::from_millis(20));
    }
    let before = lines(&tail);
    assert_eq!(before.len(), 5, "{before:?}");
    assert!(before.iter().all(|line| line.contains("created")), "{before:?}");
    shop.world().advance(std::time::Duration::from_secs(3_600));
    let id = shop.some_ids(5)[2];
    assert!(shop.world().update_order(id, |order| order.shipping += 100));
    once(&desk).ends(0);
    for _ in 0..1_000 {
        if lines(&tail).len() >= 6 {
            break;
        }
        tail.let_run(std::time::Duration::from_millis(20));
    }
    let all = lines(&tail);
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(
        all[5].contains("updated") && all[5].contains(&id.to_string()),
        "{all:?}"
    );
    tail.kill();
}
