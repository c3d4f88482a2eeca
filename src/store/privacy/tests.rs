//! SC-08 and D28 in the state file itself: what a request removes, and that it is gone as bytes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use contract::Hash;
use tempfile::TempDir;

use super::*;
use crate::store::hands::{Hands, START, store};
use crate::store::{
    Aim, Arrival, Call, Claim, Claimed, Course, Due, End, Ended, Frozen, Keep, Link, Need, NewBatch, Note, Parked,
    Plan, Ring, Said, Took, Unread, Wait, Want, Wish,
};

const SEEDS: [u64; 4] = [3, 4, 7, 8];
const WORDS: [&str; 3] = ["Rahima.K@example.com", "01712345678", "Rahima Khatun"];

struct Rig {
    folder: TempDir,
    clock: Arc<Hands>,
    store: Store,
    places: Places,
}

fn key(id: &str) -> Key {
    Key(id.to_owned())
}

fn asked(kind: PrivacyKind) -> Privacy {
    Privacy {
        kind,
        customer: Some(key("55")),
        orders: vec![key("1"), key("2"), key("3"), key("4")],
        words: WORDS.map(str::to_owned).to_vec(),
    }
}

fn arrival(kind: PrivacyKind) -> Arrival {
    Arrival {
        id: format!("{kind:?}"),
        topic: "customers/redact".to_owned(),
        body_hash: Hash(1),
        stale: false,
        wish: Wish::Privacy(asked(kind)),
    }
}

impl Rig {
    async fn new() -> Rig {
        let (folder, clock, store) = store().await;
        let flow = |name: &str, feed: &str| (name.to_owned(), feed.to_owned());
        let places = Places {
            store: "store".to_owned(),
            customers: "store.customers".to_owned(),
            orders: "store.orders".to_owned(),
            flows: vec![
                flow("orders", "store.orders"),
                flow("people", "store.customers"),
                flow("stock", "erp.stock"),
            ],
        };
        Rig {
            folder,
            clock,
            store,
            places,
        }
    }

    fn pass(&self, ms: i64) {
        self.clock.pass(ms);
    }

    /// Decides to send this of a record, after what went before.
    async fn want(&self, flow: &str, id: &str, body: &str, before: Option<&str>) {
        let hash = |text: &str| Hash::of(text.as_bytes());
        let keep = Keep {
            links: vec![Link {
                flow: flow.to_owned(),
                key: key(id),
                stamp: Some(START),
                row_hash: Hash(7),
                mapping: Hash(8),
                want_hash: Some(hash(body)),
            }],
            wants: vec![Want {
                flow: flow.to_owned(),
                key: key(id),
                wish: Aim::Put,
                stamp: Some(START),
                body: body.to_owned(),
                hash: hash(body),
                before: before.map(hash),
                doubt: false,
                first: before.is_none(),
            }],
            ..Keep::default()
        };
        self.store.keep(&keep).await.unwrap();
    }

    async fn freeze(&self, flow: &str, name: &str) -> i64 {
        let ready = self.store.ready(flow, 1000).await.unwrap();
        let versions: Vec<(i64, Hash)> = ready.iter().map(|version| (version.id, version.hash)).collect();
        let keys: Vec<&str> = ready.iter().map(|version| version.key.0.as_str()).collect();
        let content: String = ready.iter().map(|version| version.body.as_str()).collect();
        let new = NewBatch {
            target: "drop.x",
            flow,
            number: 1,
            name,
            versions: &versions,
            keys: &keys,
            rows: 1,
            content: content.as_bytes(),
            refused: &[],
            found: &[],
        };
        let Frozen::Batch(batch) = self.store.freeze(&new).await.unwrap() else {
            panic!("nothing to freeze");
        };
        batch.id
    }

    async fn publish(&self, batch: i64) {
        self.store.staged(batch).await.unwrap();
        self.store.published(batch).await.unwrap();
    }

    /// The event, and the request that it leaves.
    async fn ask(&self, kind: PrivacyKind) -> Request {
        let took = self.store.take_events(&[arrival(kind)], Duration::ZERO).await.unwrap();
        assert_eq!(took, [Took::New]);
        self.store.open_requests().await.unwrap().remove(0)
    }

    async fn round(&self, request: &Request) -> Round {
        self.store.redact(request, &self.places).await.unwrap()
    }

    async fn wanted(&self, flow: &str, id: &str) -> Option<Hash> {
        let links = self.store.links(flow, &[&key(id)]).await.unwrap();
        links[0].link.want_hash
    }

    async fn to_read(&self, feed: &str) -> Vec<String> {
        let due = self.store.due(feed, Due::Any, 10_000).await.unwrap();
        let mut keys: Vec<String> = due.into_iter().map(|waiting| waiting.key.0).collect();
        keys.sort();
        keys
    }

    async fn queued(&self, flow: &str) -> Vec<String> {
        let ready = self.store.ready(flow, 10_000).await.unwrap();
        ready.into_iter().map(|version| version.key.0).collect()
    }

    fn bytes(&self) -> Vec<u8> {
        let paths = ["state.db", "state.db-wal"].map(|name| self.folder.path().join(name));
        paths
            .iter()
            .flat_map(|path: &PathBuf| std::fs::read(path).unwrap_or_default())
            .collect()
    }

    fn holds(&self, text: &str) -> bool {
        self.bytes()
            .windows(text.len())
            .any(|part| part.eq_ignore_ascii_case(text.as_bytes()))
    }
}

/// Every string of the person that is put anywhere in the first test.
const THEIRS: [&str; 6] = [
    "rahima.k@example.com",
    "01712345678",
    "+8801712345678",
    "Rahima Khatun",
    "House 12",
    "Lane 7",
];

#[tokio::test]
async fn sc_08_a_customers_data_leaves_the_state_and_nothing_that_waits_is_lost() {
    let rig = Rig::new().await;
    rig.want("orders", "1", r#"[{"id":"1","phone":"01712345678"}]"#, None)
        .await;
    let batch = rig.freeze("orders", "orders-1.csv").await;
    rig.publish(batch).await;
    let delivered = rig.wanted("orders", "1").await;
    // Named, by their words, another customer's, and one of a flow that is not the store's.
    rig.want("orders", "2", r#"[{"id":"2","street":"House 12"}]"#, None)
        .await;
    rig.want(
        "orders",
        "8",
        r#"[{"id":"8","to":"Rahima Khatun, +8801712345678"}]"#,
        None,
    )
    .await;
    rig.want(
        "orders",
        "9",
        r#"[{"id":"9","to":"Karim Uddin","phone":"01812345678"}]"#,
        None,
    )
    .await;
    rig.want("people", "55", r#"[{"mail":"RAHIMA.K@example.com"}]"#, None)
        .await;
    rig.want("people", "56", r#"[{"mail":"karim@example.com"}]"#, None)
        .await;
    let keep = Keep {
        parked: vec![Parked {
            flow: "orders".to_owned(),
            key: key("3"),
            reason: "no such lane: Lane 7".to_owned(),
        }],
        ring: vec![Ring {
            feed: "store.orders".to_owned(),
            key: key("4"),
            row_hash: Hash(1),
            stamp: None,
            asked_by: None,
            urgency: contract::Use::Feed,
            due_at: START,
        }],
        notes: [
            ("1", "its parts do not add up"),
            ("9", "was for Rahima Khatun"),
            ("9", "harmless"),
        ]
        .map(|(id, detail)| Note {
            flow: "orders".to_owned(),
            key: Some(key(id)),
            what: "flagged",
            detail: detail.to_owned(),
        })
        .to_vec(),
        ..Keep::default()
    };
    rig.store.keep(&keep).await.unwrap();
    let unread = Unread {
        feed: "store.orders".to_owned(),
        key: key("4"),
        row_hash: Hash(1),
        rings: Some(0),
        reason: "cannot be read".to_owned(),
        answer: Some("{\"street\":\"House 12\"}".to_owned()),
    };
    let keep = Keep {
        unread: vec![unread],
        ..Keep::default()
    };
    rig.store.keep(&keep).await.unwrap();
    rig.store
        .failed("orders", "refused: 01712345678 is no number")
        .await
        .unwrap();
    rig.store.raise("odd", "look at rahima.k@example.com").await.unwrap();
    for theirs in THEIRS {
        assert!(rig.holds(theirs), "{theirs} was never there");
    }
    let request = rig.ask(PrivacyKind::Redact).await;
    assert_eq!(rig.round(&request).await, Round::Again { open: 0 });
    // To be read again: what was queued, parked or failed. Nobody else's.
    assert_eq!(rig.to_read("store.orders").await, ["2", "3", "4", "8"]);
    assert_eq!(rig.to_read("store.customers").await, ["55"]);
    assert_eq!(
        (rig.queued("orders").await, rig.queued("people").await),
        (vec!["9".to_owned()], vec!["56".to_owned()])
    );
    assert!(rig.store.failures().await.unwrap().is_empty());
    // As if what waited had never been decided on; what was delivered is known by its hash as before.
    assert_eq!(
        (rig.wanted("orders", "2").await, rig.wanted("orders", "1").await),
        (None, delivered)
    );
    let journal = rig.store.journal("orders", 10).await.unwrap();
    assert_eq!(journal.into_iter().map(|line| line.3).collect::<Vec<_>>(), ["harmless"]);
    // Not before all that was on its way has arrived.
    rig.pass(ON_ITS_WAY_MS - 1);
    assert_eq!(rig.round(&request).await, Round::Again { open: 0 });
    rig.pass(1);
    let Round::Done(words) = rig.round(&request).await else {
        panic!("not done")
    };
    assert_eq!(
        words,
        "removed 4 versions that waited or had failed, 1 failed readings, 2 lines of the journal, 2 errors and alerts"
    );
    assert!(rig.store.scrub().await.unwrap());
    for theirs in THEIRS {
        assert!(!rig.holds(theirs), "{theirs} is still there");
    }
    assert!(rig.holds("Karim Uddin") && rig.holds("karim@example.com"));
    // The event once more asks for nothing.
    let again = rig
        .store
        .take_events(&[arrival(PrivacyKind::Redact)], Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(again, [Took::Known]);
    assert!(rig.store.open_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn sc_08_an_update_that_waited_is_decided_on_against_what_was_delivered() {
    let rig = Rig::new().await;
    let (first, second) = (r#"[{"note":"A"}]"#, r#"[{"note":"House 12"}]"#);
    rig.want("orders", "1", first, None).await;
    let batch = rig.freeze("orders", "orders-1.csv").await;
    rig.publish(batch).await;
    rig.want("orders", "1", second, Some(first)).await;
    let request = rig.ask(PrivacyKind::Redact).await;
    rig.round(&request).await;
    assert_eq!(rig.wanted("orders", "1").await, Some(Hash::of(first.as_bytes())));
    assert_eq!(rig.to_read("store.orders").await, ["1"]);
}

#[tokio::test]
async fn sc_08_a_file_under_way_is_finished_first() {
    let rig = Rig::new().await;
    rig.want("orders", "1", r#"[{"phone":"01712345678"}]"#, None).await;
    let batch = rig.freeze("orders", "orders-1.csv").await;
    let request = rig.ask(PrivacyKind::Redact).await;
    rig.pass(ON_ITS_WAY_MS);
    assert_eq!(rig.round(&request).await, Round::Again { open: 1 });
    let (content, ..) = rig.store.content(batch).await.unwrap();
    assert!(
        String::from_utf8(content).unwrap().contains("01712345678"),
        "the file's bytes are frozen"
    );
    rig.publish(batch).await;
    assert!(matches!(rig.round(&request).await, Round::Done(_)));
    assert!(rig.store.scrub().await.unwrap());
    assert!(!rig.holds("01712345678"));
    let held = rig.store.handed_over(&request, &rig.places).await.unwrap();
    assert_eq!(held.files, ["orders-1.csv"]);
}

#[tokio::test]
async fn sc_08_what_the_store_still_shows_keeps_the_request_open_and_others_of_the_name_do_not() {
    let rig = Rig::new().await;
    let request = rig.ask(PrivacyKind::Redact).await;
    rig.pass(ON_ITS_WAY_MS + 1);
    rig.want("orders", "1", r#"[{"id":"1","to":"Rahima Khatun"}]"#, None)
        .await;
    rig.want("orders", "8", r#"[{"phone":"01712-345678"}]"#, None).await;
    assert_eq!(rig.round(&request).await, Round::Again { open: 0 });
    assert_eq!(rig.queued("orders").await, ["1"]);
    assert!(matches!(rig.round(&request).await, Round::Done(_)));
}

#[tokio::test]
async fn sc_08_the_whole_shop_is_forgotten_and_left_alone() {
    let rig = Rig::new().await;
    rig.want("orders", "9", r#"[{"to":"Karim Uddin"}]"#, None).await;
    rig.want("gone-flow", "9", r#"[{"to":"Selina Akter"}]"#, None).await;
    rig.want("stock", "9", r#"[{"sku":"HNY-1KG"}]"#, None).await;
    let request = rig.ask(PrivacyKind::RedactAll).await;
    assert_eq!(rig.store.uninstalled_at().await.unwrap(), Some(START));
    rig.round(&request).await;
    rig.pass(ON_ITS_WAY_MS + 1);
    assert!(matches!(rig.round(&request).await, Round::Done(_)));
    assert!(rig.store.scrub().await.unwrap());
    assert!(!rig.holds("Karim Uddin") && !rig.holds("Selina Akter"));
    assert_eq!(rig.queued("stock").await, ["9"]);
    assert_eq!(rig.to_read("store.orders").await, ["9"]);
}

#[tokio::test]
async fn sc_08_a_person_who_asks_is_told_of_and_nothing_changes() {
    let rig = Rig::new().await;
    rig.want("orders", "1", r#"[{"id":"1"}]"#, None).await;
    let batch = rig.freeze("orders", "orders-1.csv").await;
    rig.publish(batch).await;
    rig.want("people", "55", r#"[{"mail":"rahima.k@example.com"}]"#, None)
        .await;
    let request = rig.ask(PrivacyKind::Tell).await;
    let held = rig.store.tell(&request, &rig.places).await.unwrap();
    let known = vec![("orders".to_owned(), 1), ("people".to_owned(), 1)];
    let expected = Holding {
        known,
        versions: 1,
        files: vec!["orders-1.csv".to_owned()],
        ..Holding::default()
    };
    assert_eq!(held, expected);
    assert_eq!(rig.queued("people").await, ["55"]);
    rig.store.settle_request(request.id, "told").await.unwrap();
    assert!(rig.store.open_requests().await.unwrap().is_empty());
    assert!(rig.store.scrub().await.unwrap());
    assert!(
        !rig.holds("Rahima Khatun"),
        "what the request named is forgotten with it"
    );
}

/// Rows that move between pages leave copies behind which `secure_delete` does not see: with these numbers some are
/// left where the file is not written anew.
#[tokio::test]
async fn d28_nothing_of_hundreds_of_removed_rows_lies_in_the_file() {
    for seed in SEEDS {
        let rig = Rig::new().await;
        let mut chance = fastrand::Rng::with_seed(seed);
        let mut theirs = Vec::new();
        let mut before: Vec<String> = Vec::new();
        for n in 0..900 {
            let token = format!("TOKEN-{n:05}-X");
            let most = [40, 400, 2000, 7000][chance.usize(0..4)];
            let filling = "x".repeat(chance.usize(1..most));
            let phone = if chance.bool() { "01712345678" } else { "01812345678" };
            // New records, and newer versions of those that wait.
            let is_new = before.is_empty() || chance.bool();
            let id = if is_new {
                before.len()
            } else {
                chance.usize(0..before.len())
            };
            let body = format!(r#"[{{"a":"{token}","b":"{filling}","c":"{token}","phone":"{phone}"}}]"#);
            let earlier = before.get(id).cloned();
            rig.want("orders", &format!("{}", 1000 + id), &body, earlier.as_deref())
                .await;
            match is_new {
                true => before.push(body),
                false => before[id] = body,
            }
            theirs.push(token);
        }
        let stay: String = before
            .iter()
            .filter(|body| body.contains("01812345678"))
            .cloned()
            .collect();
        theirs.retain(|token| !stay.contains(token.as_str()));
        assert!(theirs.len() > 400);
        let request = rig.ask(PrivacyKind::Redact).await;
        rig.round(&request).await;
        rig.pass(ON_ITS_WAY_MS);
        assert!(matches!(rig.round(&request).await, Round::Done(_)));
        assert!(rig.store.scrub().await.unwrap());
        let bytes = String::from_utf8_lossy(&rig.bytes()).into_owned();
        let left: Vec<&String> = theirs.iter().filter(|token| bytes.contains(token.as_str())).collect();
        assert!(left.is_empty(), "seed {seed}: {left:?} of {} are left", theirs.len());
    }
}

#[tokio::test]
async fn d28_a_reader_puts_the_scrubbing_off_and_does_not_prevent_it() {
    let rig = Rig::new().await;
    rig.want("orders", "2", r#"[{"phone":"01712345678"}]"#, None).await;
    let path = rig.folder.path().join("state.db");
    let reader = Store::look(&path).await.unwrap().unwrap();
    let mut reading = reader.locked().await;
    let held = reading.begin().await;
    let mut held = held.unwrap();
    let _count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox")
        .fetch_one(&mut *held)
        .await
        .unwrap();
    let request = rig.ask(PrivacyKind::Redact).await;
    rig.round(&request).await;
    rig.pass(ON_ITS_WAY_MS);
    assert!(matches!(rig.round(&request).await, Round::Done(_)));
    assert!(!rig.store.scrub().await.unwrap());
    held.rollback().await.unwrap();
    assert!(rig.store.scrub().await.unwrap());
    assert!(!rig.holds("01712345678"));
}

#[tokio::test]
async fn sc_08_an_order_that_waits_for_its_customer_is_not_lost_with_what_is_removed() {
    let rig = Rig::new().await;
    rig.want("people", "55", r#"[{"mail":"RAHIMA.K@example.com"}]"#, None)
        .await;
    let need = Need {
        flow: "people".to_owned(),
        feed: "store.customers".to_owned(),
        target: "erp.people".to_owned(),
        key: key("55"),
    };
    let wait = |order: &str| Wait {
        flow: "orders".to_owned(),
        feed: "store.orders".to_owned(),
        key: key(order),
        again: false,
        needs: vec![need.clone()],
    };
    let keep = Keep {
        waits: vec![wait("2"), wait("9")],
        ..Keep::default()
    };
    rig.store.keep(&keep).await.unwrap();
    let request = rig.ask(PrivacyKind::Redact).await;
    assert_eq!(rig.round(&request).await, Round::Again { open: 0 });
    assert!(rig.queued("people").await.is_empty());
    // They wait as before for the customer, who is read again.
    let queue = rig.store.queue("orders", "store.orders").await.unwrap();
    assert_eq!((queue.waiting, queue.failed), (2, 0));
    assert_eq!(rig.to_read("store.customers").await, ["55"]);
    // The customer cannot be read any more, and the store's words are theirs: they go from the orders too.
    let unread = Unread {
        feed: "store.customers".to_owned(),
        key: key("55"),
        row_hash: Hash(7),
        rings: Some(0),
        reason: "Rahima Khatun is no customer".to_owned(),
        answer: None,
    };
    let keep = Keep {
        unread: vec![unread],
        ..Keep::default()
    };
    rig.store.keep(&keep).await.unwrap();
    let failures = rig.store.failures().await.unwrap();
    assert_eq!(failures.len(), 3);
    assert!(failures.iter().all(|failure| failure.reason.contains("Rahima Khatun")));
    rig.round(&request).await;
    assert!(rig.store.failures().await.unwrap().is_empty());
    assert_eq!(rig.to_read("store.orders").await, ["2", "9"]);
}

const COURSE: Course<'static> = Course {
    flow: "orders",
    feed: "store.orders",
    target: "erp.orders",
    guard: None,
};

impl Rig {
    /// Records what became of these calls, and claims what is due.
    async fn calls(&self, ended: &[Ended]) -> Vec<Claimed> {
        let claim = Claim {
            most: 10,
            creates: usize::MAX,
            busy: &[],
            only_sure: false,
        };
        let send = |version: &crate::store::Version| Plan::Send {
            call: Call::Create,
            idempotency: format!("selorax:22:{}:create", version.key.0),
        };
        self.store.turn_over(&COURSE, ended, &claim, &send).await.unwrap()
    }

    async fn outbox(&self) -> Vec<(String, String, Option<String>)> {
        sqlx::query_as("SELECT key, state, idem FROM outbox ORDER BY id")
            .fetch_all(&mut *self.store.locked().await)
            .await
            .unwrap()
    }
}

fn ended(claimed: &Claimed, end: End) -> Ended {
    Ended {
        id: claimed.version.id,
        key: claimed.version.key.clone(),
        hash: claimed.version.hash,
        stamp: claimed.version.stamp,
        call: Call::Create,
        end,
    }
}

fn told(who: &str) -> Said {
    Said {
        reason: format!("422: {who} has no tax code"),
        request: Some(format!("POST /sales {who}")),
        answer: Some(format!("no tax code for {who}")),
    }
}

fn arrived(id: &str) -> End {
    End::Done {
        id: Some(key(id)),
        settles_at: 0,
    }
}

#[tokio::test]
async fn sc_08_calls_to_an_erp_are_redacted_and_what_may_be_there_is_settled_first() {
    const THEIR: &str = "Rahima Khatun, 01712345678";
    const OTHER: &str = "Karim Uddin";
    let rig = Rig::new().await;
    for id in ["1", "2", "3", "4", "9"] {
        let who = if id == "9" { OTHER } else { THEIR };
        rig.want("orders", id, &format!(r#"[{{"reference":"{id}","to":"{who}"}}]"#), None)
            .await;
    }
    let claimed = rig.calls(&[]).await;
    assert_eq!(claimed.len(), 5);
    // Created; refused and due again; refused for good; unanswered; and another person's, refused for good.
    let later = START + 3_600_000;
    let ends = [
        arrived("SO-1"),
        End::Back {
            due_at: later,
            counts: true,
            said: told(THEIR),
        },
        End::Parked {
            unsure: false,
            said: told(THEIR),
        },
        End::Unsure {
            due_at: later,
            looked: 0,
            counts: true,
            said: told(THEIR),
        },
        End::Parked {
            unsure: false,
            said: told(OTHER),
        },
    ];
    let ended_now: Vec<Ended> = claimed
        .iter()
        .zip(ends)
        .map(|(claimed, end)| ended(claimed, end))
        .collect();
    assert!(rig.calls(&ended_now).await.is_empty());
    let delivered = rig.wanted("orders", "1").await;
    let request = rig.ask(PrivacyKind::Redact).await;
    assert_eq!(rig.round(&request).await, Round::Again { open: 1 });

    // What was surely not carried out is read again. The unanswered call keeps its key, for it may be there.
    assert_eq!(rig.to_read("store.orders").await, ["2", "3"]);
    let idem = |id: &str| Some(format!("selorax:22:{id}:create"));
    let left = [("4", "sending"), ("9", "parked")].map(|(id, state)| (id.to_owned(), state.to_owned(), idem(id)));
    assert_eq!(rig.outbox().await, left);
    let failures = rig.store.failures().await.unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].answer.as_deref(), Some("no tax code for Karim Uddin"));
    assert_eq!(
        (rig.wanted("orders", "1").await, rig.wanted("orders", "2").await),
        (delivered, None)
    );

    // As long as it is in doubt the request stays open; once it is settled nothing is left of the person.
    rig.pass(ON_ITS_WAY_MS);
    assert_eq!(rig.round(&request).await, Round::Again { open: 1 });
    rig.calls(&[ended(&claimed[3], arrived("SO-4"))]).await;
    assert!(matches!(rig.round(&request).await, Round::Done(_)));
    let held = rig.store.handed_over(&request, &rig.places).await.unwrap();
    assert_eq!(held.records, ["erp.orders SO-1", "erp.orders SO-4"]);
    assert!(rig.store.scrub().await.unwrap());
    for theirs in ["Rahima Khatun", "01712345678"] {
        assert!(!rig.holds(theirs), "{theirs} is still there");
    }
    assert!(rig.holds("POST /sales Karim Uddin"));

    // A redacted order that is there is known to be: it is no create any more, whatever is read of it.
    rig.want("orders", "1", r#"[{"reference":"1","to":""}]"#, None).await;
    let again = rig.calls(&[]).await;
    assert_eq!(again.len(), 1);
    assert!(!again[0].version.creates());
    let there = again[0].version.held.as_ref().and_then(|held| held.id.clone());
    assert_eq!(there, Some(key("SO-1")));
}
