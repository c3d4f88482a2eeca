//! What these tests run on: a source in memory, a pretend ERP, an engine over a state file of its own, and a
//! clock that stands still until somebody sleeps.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contract::{
    Abilities, Clock, Cursor, Error, Hash, Key, Malformed, Pass, Progress, Raw, Record, Row, Source, Stamp, Step,
    Target, Use, Value, Window,
};
use selorax_sync::config::{self, Mode};
use selorax_sync::engine::{Engine, Flow, Ledger, Patience, Voice};
use selorax_sync::store::{Failure, Store};
use tempfile::TempDir;

use super::erp::Erp;

pub(super) const FLOW: &str = "orders";
const START_MS: Stamp = 1_700_000_000_000;

/// Time that passes while somebody sleeps, and then at once.
#[derive(Debug, Default)]
pub(crate) struct VirtualClock(Mutex<Duration>);

impl VirtualClock {
    pub(crate) fn advance(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

#[async_trait]
impl Clock for VirtualClock {
    fn now(&self) -> Stamp {
        START_MS + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        *self.0.lock().unwrap()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::task::yield_now().await;
        self.advance(duration);
    }
}

/// Orders by number, each with the count of the change that made it what it is.
type Orders = BTreeMap<i64, (i64, Value)>;

/// A shop, which counts its changes.
#[derive(Debug, Default)]
pub(super) struct Shop {
    orders: Mutex<(i64, Orders)>,
}

impl Shop {
    /// Puts an order, or changes it. Answers with the change's number.
    pub(super) fn put(&self, id: i64, status: &str, total: i64) -> i64 {
        let mut orders = self.orders.lock().unwrap();
        orders.0 += 1;
        let change = orders.0;
        let record = format!(r#"{{"id":{id},"status":"{status}","total":{total},"change":{change}}}"#);
        orders.1.insert(id, (change, Value::parse(&record).unwrap()));
        change
    }

    fn row(id: i64, change: i64, record: &Value) -> Row {
        Row {
            key: Key(id.to_string()),
            stamp: Some(change),
            hash: Hash::of(record.to_json().as_bytes()),
            control: None,
            body: Raw::Value(record.clone()),
        }
    }
}

struct Whole(Option<Step>);

#[async_trait]
impl Pass for Whole {
    async fn step(&mut self) -> Result<Step, Error> {
        tokio::task::yield_now().await;
        Ok(self.0.take().unwrap_or(Step {
            done: true,
            ..Step::default()
        }))
    }
}

fn number(cursor: &Cursor) -> i64 {
    cursor.0.parse().unwrap_or(0)
}

#[async_trait]
impl Source for Shop {
    async fn now(&self) -> Result<Cursor, Error> {
        Ok(Cursor(self.orders.lock().unwrap().0.to_string()))
    }
    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        if number(&a) >= number(&b) { a } else { b }
    }
    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        if number(&a) <= number(&b) { a } else { b }
    }
    fn settled(&self, cursor: &Cursor) -> Cursor {
        cursor.clone()
    }
    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        Some(number(cursor))
    }
    fn back(&self, cursor: &Cursor, _by: Duration) -> Cursor {
        cursor.clone()
    }
    fn changes(&self, since: &Cursor, _purpose: Use) -> Box<dyn Pass> {
        let orders = self.orders.lock().unwrap();
        let since = number(since);
        let rows = orders.1.iter().filter(|(_, (change, _))| *change > since);
        Box::new(Whole(Some(Step {
            rows: rows
                .map(|(id, (change, record))| Shop::row(*id, *change, record))
                .collect(),
            cursor: Some(Cursor(orders.0.to_string())),
            done: true,
            ..Step::default()
        })))
    }
    fn history(&self, _window: Window, _resume: Option<&Cursor>) -> Box<dyn Pass> {
        self.changes(&Cursor("0".to_owned()), Use::History)
    }
    async fn read(&self, key: &Key, _purpose: Use) -> Result<Option<Row>, Error> {
        let orders = self.orders.lock().unwrap();
        let id: i64 = key.0.parse().unwrap();
        Ok(orders.1.get(&id).map(|(change, record)| Shop::row(id, *change, record)))
    }
    fn decode(&self, body: Raw, _single: bool) -> Result<Record, Malformed> {
        match body {
            Raw::Value(value) => Ok(Record::Whole {
                value,
                flags: Vec::new(),
            }),
            Raw::Unreadable(why) => Err(Malformed(why)),
        }
    }
    fn realm(&self) -> Option<String> {
        Some("selorax:22".to_owned())
    }
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

#[derive(Default)]
pub(crate) struct Quiet(pub(crate) Mutex<Vec<String>>);

impl Voice for Quiet {
    fn progress(&self, _flow: &str, _what: &str, _progress: Progress) {}
    fn say(&self, _line: &str) {}
    fn out(&self, _line: &str) {}
    fn would_send(&self, _flow: &str, _file: &str, row: &str) {
        self.0.lock().unwrap().push(row.to_owned());
    }
}

pub(super) struct Rig {
    pub(super) shop: Arc<Shop>,
    pub(super) erp: Arc<Erp>,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) wait: Duration,
    pub(super) voice: Arc<Quiet>,
    folder: TempDir,
}

pub(super) const ALL: Abilities = Abilities {
    update: true,
    cancel: true,
    find: true,
    compare: true,
    trusts_key: false,
    list: true,
    batch: 1,
    levels: false,
};

/// Longer than any test waits, in virtual time.
pub(super) const LONG: Duration = Duration::from_secs(3_600);

impl Rig {
    pub(super) fn new(can: Abilities, seed: u64) -> Rig {
        Rig::with(can, 4, seed)
    }

    /// With an ERP that takes so many calls at once.
    pub(super) fn wide(can: Abilities, width: usize) -> Rig {
        Rig::with(can, width, 1)
    }

    fn with(can: Abilities, width: usize, seed: u64) -> Rig {
        let clock = Arc::new(VirtualClock::default());
        Rig {
            shop: Arc::default(),
            erp: Erp::new(can, width, &clock, seed),
            clock,
            wait: LONG,
            voice: Arc::default(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(super) fn flow(&self, name: &str, lines: &str) -> Flow {
        let path = self.folder.path().join(format!("{name}.yaml"));
        let yaml = format!(
            "version: 1\nstore: {{url: http://127.0.0.1:9, store_id: 22, client_id: a, client_secret: b}}\nconnectors:\n  \
             drop: {{type: csv, location: ./out, resources: {{orders: {{write: {{file: \"o-{{batch}}.csv\"}}}}}}}}\nflows:\n  \
             {name}:\n    from: store.orders\n    to: drop.orders\n{lines}"
        );
        std::fs::write(&path, yaml).unwrap();
        let config = config::load(&path, Mode::Full, &|_| None).unwrap();
        Flow {
            name: name.to_owned(),
            feed: "store.orders".to_owned(),
            target: "erp.orders".to_owned(),
            source: self.shop.clone(),
            realm: "selorax:22".to_owned(),
            to: Target::Records(self.erp.clone()),
            mapping: config.flows[0].mapping.clone(),
            only_new: false,
            guards: true,
            requires: Vec::new(),
            required_by: Vec::new(),
            depth: 0,
            guard: None,
            counted_by: Vec::new(),
        }
    }

    pub(super) async fn engine(&self) -> Engine {
        let map = "    where: '.status != \"pending\"'\n    map: {reference: .id | tostring, total: .total, change: .change}\n";
        self.engine_of(vec![self.flow(FLOW, map)]).await
    }

    pub(super) async fn engine_of(&self, flows: Vec<Flow>) -> Engine {
        Engine {
            store: Arc::new(Store::open(&self.state(), self.clock.clone()).await.unwrap()),
            clock: self.clock.clone(),
            flows,
            neighbours: Vec::new(),
            connectors: BTreeMap::new(),
            voice: self.voice.clone(),
            dry: false,
            patience: Patience {
                wait: self.wait,
                endless: false,
                leaves_walks: false,
                leaves_records: false,
            },
            ahead: BTreeSet::new(),
            starts: BTreeMap::new(),
            ledger: BTreeMap::new(),
            lanes: Arc::default(),
            turn: None,
            stop: Default::default(),
            asked_at: 0,
        }
    }

    pub(super) async fn once(&self) -> Ledger {
        let mut engine = self.engine().await;
        engine.once().await.unwrap();
        let ledger = engine.ledger.get(FLOW).cloned().unwrap_or_default();
        let store = engine.store.clone();
        drop(engine);
        Arc::into_inner(store).unwrap().close().await.unwrap();
        ledger
    }

    /// A run that dies after so many steps of its future, wherever that is.
    pub(super) async fn dies_after(&self, polls: usize) -> bool {
        dies(self.engine().await, polls).await
    }

    /// The same, of a flow with this mapping.
    pub(super) async fn dies_with(&self, lines: &str, polls: usize) -> bool {
        dies(self.engine_of(vec![self.flow(FLOW, lines)]).await, polls).await
    }

    pub(super) async fn failures(&self) -> Vec<Failure> {
        let store = Store::look(&self.state()).await.unwrap().unwrap();
        store.failures().await.unwrap()
    }

    pub(super) async fn queued(&self) -> u64 {
        let store = Store::look(&self.state()).await.unwrap().unwrap();
        store.queue(FLOW, "store.orders").await.unwrap().queued
    }
}

async fn dies(mut engine: Engine, polls: usize) -> bool {
    let mut left = polls;
    let mut run = Box::pin(async {
        engine.once().await.unwrap();
    });
    std::future::poll_fn(|context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        run.as_mut().poll(context).map(|()| true)
    })
    .await
}
