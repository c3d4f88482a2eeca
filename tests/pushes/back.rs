//! A record whose content goes away and comes back while a version of it is on its way or parked.

use super::erp::{Done, Fate, field};
use super::rig::{ALL, FLOW, Rig};

/// Without what makes each change another content.
const MAP: &str = "    map: {reference: .id | tostring, total: .total}\n";

async fn once(rig: &Rig) {
    let mut engine = rig.engine_of(vec![rig.flow(FLOW, MAP)]).await;
    engine.once().await.unwrap();
}

/// The totals that the ERP was given, and what it has now.
fn totals(rig: &Rig) -> (Vec<String>, Vec<String>) {
    let state = rig.erp.state();
    let given = state.log.iter().filter_map(|entry| match &entry.done {
        Done::Create(record) | Done::Update(record) => Some(field(record, "total")),
        Done::Cancel => None,
    });
    let now = state.records.values().map(|kept| field(&kept.record, "total"));
    (given.collect(), now.collect())
}

#[tokio::test]
async fn er_10_content_that_was_refused_and_comes_back_behind_another_is_tried_again() {
    let rig = Rig::new(ALL, 1);
    rig.shop.put(1, "paid", 10);
    rig.erp.state().refused.insert("1".to_owned());
    once(&rig).await;
    assert_eq!((rig.failures().await.len(), rig.queued().await), (1, 0));
    // It would be taken now, and the ERP is away.
    rig.erp.state().refused.clear();
    rig.erp.state().away = Some(Fate::Unreachable);
    rig.shop.put(1, "paid", 20);
    once(&rig).await;
    assert_eq!(rig.queued().await, 1);
    rig.shop.put(1, "paid", 10);
    once(&rig).await;
    rig.erp.state().away = None;
    once(&rig).await;
    once(&rig).await;
    assert_eq!(totals(&rig).1, ["10"], "given {:?}", totals(&rig).0);
    assert_eq!((rig.failures().await.len(), rig.queued().await), (0, 0));
}

#[tokio::test]
async fn content_that_comes_back_before_the_change_was_sent_sends_nothing() {
    let rig = Rig::new(ALL, 1);
    rig.shop.put(1, "paid", 10);
    once(&rig).await;
    rig.erp.state().away = Some(Fate::Unreachable);
    rig.shop.put(1, "paid", 20);
    once(&rig).await;
    rig.shop.put(1, "paid", 10);
    once(&rig).await;
    rig.erp.state().away = None;
    once(&rig).await;
    assert_eq!(totals(&rig), (vec!["10".to_owned()], vec!["10".to_owned()]));
    assert_eq!(rig.queued().await, 0);
}

#[tokio::test]
async fn er_01_content_that_comes_back_behind_a_lost_answer_is_what_the_erp_ends_with() {
    for fate in [Fate::LostAfter, Fate::LostBefore] {
        let rig = Rig::new(ALL, 1);
        rig.shop.put(1, "paid", 10);
        once(&rig).await;
        // The update to 20 may have been carried out.
        rig.erp.state().away = Some(fate);
        rig.shop.put(1, "paid", 20);
        rig.dies_with(MAP, 40).await;
        rig.shop.put(1, "paid", 10);
        rig.erp.state().away = None;
        once(&rig).await;
        once(&rig).await;
        assert_eq!(totals(&rig).1, ["10"], "given {:?}", totals(&rig).0);
        assert_eq!((rig.failures().await.len(), rig.queued().await), (0, 0));
    }
}
