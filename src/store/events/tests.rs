use std::sync::Arc;

use tempfile::TempDir;

use super::*;
use crate::store::hands::{Hands, store};
use crate::store::{Due, Waiting};

const FEED: &str = "store.orders";
const DAY_MS: i64 = 86_400_000;

struct Rig {
    _folder: TempDir,
    clock: Arc<Hands>,
    store: Store,
}

impl Rig {
    async fn new() -> Rig {
        let (folder, clock, store) = store().await;
        Rig {
            _folder: folder,
            clock,
            store,
        }
    }

    async fn take(&self, arrivals: &[Arrival]) -> Vec<Took> {
        self.store.take_events(arrivals, Duration::from_secs(2)).await.unwrap()
    }

    /// What is due, once it is.
    async fn due(&self) -> Vec<Waiting> {
        self.store.due(FEED, Due::Rung, 100).await.unwrap()
    }

    async fn kept(&self) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM events");
        count.fetch_one(&mut *self.store.locked().await).await.unwrap()
    }
}

fn event(id: &str, order: &str) -> Arrival {
    Arrival {
        id: id.to_owned(),
        topic: "order.updated".to_owned(),
        body_hash: Hash(1),
        stale: false,
        wish: Wish::Read {
            feeds: vec![FEED.to_owned()],
            key: Key(order.to_owned()),
            said_gone: false,
        },
    }
}

#[tokio::test]
async fn wh_02_in_a_group_with_known_events_the_others_are_taken() {
    let rig = Rig::new().await;
    assert_eq!(rig.take(&[event("a", "1"), event("b", "2")]).await, [Took::New; 2]);
    let other_topic = Arrival {
        topic: "order.created".to_owned(),
        ..event("a", "4")
    };
    let other_body = Arrival {
        body_hash: Hash(2),
        ..event("b", "5")
    };
    let group = [
        event("c", "3"),
        event("a", "1"),
        other_topic,
        other_body,
        event("c", "3"),
    ];
    let took = rig.take(&group).await;
    assert_eq!(
        took,
        [Took::New, Took::Known, Took::New, Took::Conflicting, Took::Known]
    );
    rig.clock.pass(2_000);
    let due: Vec<String> = rig.due().await.into_iter().map(|due| due.key.0).collect();
    assert_eq!(
        due,
        ["1", "2", "3", "4", "5"],
        "each is read, whatever it came together with"
    );
    assert_eq!(rig.kept().await, 4);
}

#[tokio::test]
async fn e8_a_record_that_waits_already_is_read_no_later_and_a_reading_that_began_before_does_not_count() {
    let rig = Rig::new().await;
    rig.take(&[event("a", "1")]).await;
    rig.clock.pass(1_500);
    rig.take(&[event("b", "1")]).await;
    rig.take(&[event("c", "1"), event("d", "2")]).await;
    rig.clock.pass(500);
    let due = rig.due().await;
    assert_eq!(due.len(), 1, "the first of them says when");
    let begun = &due[0];
    rig.take(&[event("e", "1")]).await;
    let again = &rig.due().await[0];
    assert!(again.rings > begun.rings && again.rung_at == begun.rung_at);
    // The reading that began before says that it is gone; the later event has it looked at once more.
    rig.store.gone(begun).await.unwrap();
    rig.clock.pass(2_000);
    let due: Vec<Waiting> = rig.due().await;
    let one = due.iter().find(|due| due.key.0 == "1").unwrap();
    assert_eq!(one.rings, again.rings);
    // Parked as gone, it comes back with the next event, by which it waits two seconds anew.
    rig.store.gone(one).await.unwrap();
    assert!(rig.due().await.iter().all(|due| due.key.0 != "1"));
    rig.take(&[event("f", "1"), event("g", "2")]).await;
    assert!(rig.due().await.iter().all(|due| due.key.0 != "1"));
    rig.clock.pass(2_000);
    assert!(rig.due().await.iter().any(|due| due.key.0 == "1"));
}

#[tokio::test]
async fn wh_04_a_hint_makes_no_wait_longer_and_a_good_event_makes_a_hint_urgent() {
    let rig = Rig::new().await;
    let stale = Arrival {
        stale: true,
        ..event("a", "1")
    };
    rig.take(&[stale]).await;
    rig.take(&[event("b", "1")]).await;
    rig.clock.pass(2_000);
    assert_eq!(rig.due().await[0].urgency, Use::Ring);
    let later = Arrival {
        stale: true,
        ..event("c", "1")
    };
    rig.take(&[later]).await;
    assert_eq!(rig.due().await[0].urgency, Use::Ring);
}

#[tokio::test]
async fn wh_02_events_are_known_for_35_days_and_then_leave() {
    let rig = Rig::new().await;
    for n in 0..FORGOTTEN_AT_ONCE + 1 {
        rig.take(&[event(&format!("old-{n}"), "1")]).await;
    }
    rig.clock.pass(34 * DAY_MS);
    rig.take(&[event("young", "1")]).await;
    rig.store.forget_old_events().await.unwrap();
    assert_eq!(rig.kept().await, FORGOTTEN_AT_ONCE + 2);
    assert_eq!(rig.take(&[event("old-0", "1")]).await, [Took::Known]);
    rig.clock.pass(DAY_MS + 1);
    rig.store.forget_old_events().await.unwrap();
    assert_eq!(
        rig.kept().await,
        1,
        "all that are too old left, in as many steps as it took"
    );
    assert_eq!(rig.take(&[event("young", "1")]).await, [Took::Known]);
}
