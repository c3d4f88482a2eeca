//! Who waits, in the state file itself: nobody is forgotten between two transactions, and a person's data goes
//! without anybody being.

use std::sync::Arc;

use contract::{Hash, RealClock};
use tempfile::TempDir;

use super::*;
use crate::store::{Aim, Call, Claim, Course, Due, End, Ended, Keep, Link, Plan, Queue, Read, Said, Want};

const COURSE: Course<'static> = Course {
    flow: "people",
    feed: "store.customers",
    target: "erp.customers",
    guard: None,
};

fn key(id: &str) -> Key {
    Key(id.to_owned())
}

struct Rig {
    _folder: TempDir,
    store: Store,
}

impl Rig {
    async fn new() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let store = Store::open(&path, Arc::new(RealClock::default())).await.unwrap();
        Rig { _folder: folder, store }
    }

    /// Customer 55 is decided on.
    async fn want(&self) {
        let body = r#"[{"name":"Nila"}]"#;
        let hash = Hash::of(body.as_bytes());
        let link = Link {
            flow: "people".to_owned(),
            key: key("55"),
            stamp: None,
            row_hash: Hash(7),
            mapping: Hash(8),
            want_hash: Some(hash),
        };
        let want = Want {
            flow: "people".to_owned(),
            key: key("55"),
            wish: Aim::Put,
            stamp: None,
            body: body.to_owned(),
            hash,
            before: None,
            doubt: false,
            first: true,
        };
        let keep = Keep {
            links: vec![link],
            wants: vec![want],
            ..Keep::default()
        };
        self.store.keep(&keep).await.unwrap();
    }

    /// The customer's call comes to this end.
    async fn deliver(&self, end: End) {
        let claim = Claim {
            most: 10,
            busy: &[],
            creates: usize::MAX,
            only_sure: false,
        };
        let plan = |_: &crate::store::Version| Plan::Send {
            call: Call::Create,
            idempotency: "k".to_owned(),
        };
        let claimed = self.store.turn_over(&COURSE, &[], &claim, &plan).await.unwrap();
        let version = &claimed[0].version;
        let ended = Ended {
            id: version.id,
            key: version.key.clone(),
            hash: version.hash,
            stamp: None,
            call: Call::Create,
            end,
        };
        let none = Claim { most: 0, ..claim };
        self.store.turn_over(&COURSE, &[ended], &none, &plan).await.unwrap();
    }

    /// An order was read by its key, and found to refer to customer 55.
    async fn wait(&self, order: &str) {
        let need = Need {
            flow: "people".to_owned(),
            feed: "store.customers".to_owned(),
            target: "erp.customers".to_owned(),
            key: key("55"),
        };
        let wait = Wait {
            flow: "orders".to_owned(),
            feed: "store.orders".to_owned(),
            key: key(order),
            again: true,
            needs: vec![need],
        };
        let read = Read {
            feed: "store.orders".to_owned(),
            key: key(order),
            rings: Some(0),
        };
        let keep = Keep {
            waits: vec![wait],
            read: vec![read],
            ..Keep::default()
        };
        self.store.keep(&keep).await.unwrap();
    }

    async fn to_read(&self, feed: &str) -> Vec<String> {
        let due = self.store.due(feed, Due::Any, 100).await.unwrap();
        due.into_iter().map(|waiting| waiting.key.0).collect()
    }

    async fn queue(&self) -> Queue {
        self.store.queue("orders", "store.orders").await.unwrap()
    }
}

fn done() -> End {
    End::Done {
        id: Some(key("CU-1")),
        settles_at: 0,
    }
}

fn refused() -> End {
    let said = Said {
        reason: "no such town".to_owned(),
        ..Said::default()
    };
    End::Parked { unsure: false, said }
}

#[tokio::test]
async fn who_waits_is_read_again_in_the_transaction_that_makes_the_id_known() {
    let rig = Rig::new().await;
    rig.want().await;
    rig.wait("1").await;
    assert_eq!(rig.queue().await.waiting, 1);
    assert!(rig.to_read("store.orders").await.is_empty());
    assert!(rig.to_read("store.customers").await.is_empty(), "it is on its way");
    rig.deliver(done()).await;
    let due = rig.store.due("store.orders", Due::Any, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert!(due[0].is_again_for("orders"), "who is to be sent again still is");
    assert_eq!(rig.queue().await.waiting, 0);
}

#[tokio::test]
async fn an_id_that_became_known_while_the_order_was_mapped_is_noticed() {
    let rig = Rig::new().await;
    rig.want().await;
    rig.deliver(done()).await;
    rig.wait("1").await;
    assert_eq!(rig.to_read("store.orders").await, ["1"]);
    assert_eq!(rig.queue().await.waiting, 0);
}

#[tokio::test]
async fn nobody_waits_in_vain_for_what_nobody_brings() {
    let rig = Rig::new().await;
    rig.wait("1").await;
    // It is read, however old it is, and then it is known that its flow does not send it.
    assert_eq!(rig.to_read("store.customers").await, ["55"]);
    let read = Read {
        feed: "store.customers".to_owned(),
        key: key("55"),
        rings: Some(0),
    };
    let keep = Keep {
        read: vec![read],
        ..Keep::default()
    };
    rig.store.keep(&keep).await.unwrap();
    let failures = rig.store.failures().await.unwrap();
    assert_eq!(failures.len(), 1);
    assert!(
        failures[0]
            .reason
            .starts_with("waits for customers 55, which `people` does not send")
    );
    assert_eq!(
        rig.queue().await,
        Queue {
            failed: 1,
            ..Queue::default()
        }
    );
    // It is sent after all.
    rig.want().await;
    rig.deliver(done()).await;
    assert_eq!(rig.to_read("store.orders").await, ["1"]);
}

#[tokio::test]
async fn who_waits_for_one_that_was_refused_is_parked_with_its_reason_and_goes_on_when_it_arrives() {
    let rig = Rig::new().await;
    rig.want().await;
    rig.wait("1").await;
    rig.deliver(refused()).await;
    let failures = rig.store.failures().await.unwrap();
    let own = failures.iter().find(|failure| failure.place == "orders").unwrap();
    assert!(own.reason.contains("no such town"), "{}", own.reason);
    // A second one comes to wait for what has failed already.
    rig.wait("2").await;
    assert_eq!(rig.queue().await.failed, 2);
    let theirs = failures.iter().find(|failure| failure.place == "people").unwrap();
    rig.store.retry(theirs, "store.customers").await.unwrap();
    rig.deliver(done()).await;
    assert_eq!(rig.to_read("store.orders").await, ["1", "2"]);
}

#[tokio::test]
async fn what_is_required_no_longer_holds_nobody_up() {
    let rig = Rig::new().await;
    rig.want().await;
    rig.wait("1").await;
    rig.store
        .forget_other_needs("orders", &[("people", "erp.customers")])
        .await
        .unwrap();
    assert_eq!(rig.queue().await.waiting, 1);
    rig.store.forget_other_needs("orders", &[]).await.unwrap();
    assert_eq!(rig.to_read("store.orders").await, ["1"]);
}

#[tokio::test]
async fn who_is_put_out_of_sight_does_not_come_back_when_what_it_waited_for_arrives() {
    let rig = Rig::new().await;
    rig.want().await;
    rig.wait("1").await;
    rig.deliver(refused()).await;
    let failures = rig.store.failures().await.unwrap();
    let of = |flow: &str| failures.iter().find(|failure| failure.place == flow).unwrap();
    rig.store.discard(of("orders")).await.unwrap();
    rig.store.retry(of("people"), "store.customers").await.unwrap();
    rig.deliver(done()).await;
    assert!(rig.to_read("store.orders").await.is_empty());
}
