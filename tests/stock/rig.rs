//! The world that these tests look into: what the store offers and has sold, what the ERP has and has booked, and an
//! engine between them that can die anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use contract::{Clock, Stamp, Target, Value};
use selorax_sync::config::{self, Mode};
use selorax_sync::engine::{Engine, Flow, Patience};
use selorax_sync::store::{CountedBy, Failure, Guard, Store};
use tempfile::TempDir;

use super::sides::{ErpOrders, Feed, Shown, StoreLevels};
use crate::pushes::{Quiet, VirtualClock};

pub(super) const SKUS: [&str; 5] = ["A1", "B2", "C3", "007", "E-5"];

#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    pub(super) status: &'static str,
    pub(super) lines: BTreeMap<String, i64>,
    pub(super) change: i64,
}

impl Order {
    /// The store keeps blanks around a SKU.
    pub(super) fn json(&self, id: i64) -> String {
        let line = |(sku, pieces): (&String, &i64)| format!(r#"{{"sku":" {sku}","quantity":{pieces}}}"#);
        let lines: Vec<String> = self.lines.iter().map(line).collect();
        let (status, change) = (self.status, self.change);
        format!(
            r#"{{"id":{id},"status":"{status}","change":{change},"lines":[{}]}}"#,
            lines.join(",")
        )
    }
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Stock {
    pub(super) on_hand: i64,
    pub(super) change: i64,
}

/// An order at the ERP.
#[derive(Clone, Debug, Default)]
pub(super) struct Booked {
    pub(super) lines: BTreeMap<String, i64>,
    pub(super) cancelled: bool,
    pub(super) creates: u32,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) chance: fastrand::Rng,
    /// In thousandths: how often a call comes to nothing, or its answer is lost; and how often the world goes on while
    /// the program is at work.
    pub(super) trouble: u32,
    pub(super) stirs: u32,
    pub(super) changes: i64,
    pub(super) levels: BTreeMap<String, i64>,
    pub(super) orders: BTreeMap<i64, Order>,
    /// Orders that are neither cancelled nor booked; once they are, they stay it.
    open: BTreeSet<i64>,
    pub(super) stock: BTreeMap<String, Stock>,
    pub(super) booked: BTreeMap<String, Booked>,
    /// What could be offered of each SKU, at the most, at any moment since the run began.
    most_free: BTreeMap<String, i64>,
    /// Levels that were set above what could be offered since the run began: these are our fault.
    pub(super) faults: Vec<String>,
    /// Levels that were right when they were worked out and too high when they arrived.
    pub(super) overtaken: u32,
    pub(super) sets: u32,
    pub(super) erp_writes: u32,
    /// The platform gives pieces of a cancelled order back.
    pub(super) gives_back: bool,
}

impl State {
    /// What the ERP has, less what was sold and it has not booked.
    pub(super) fn free(&self, sku: &str) -> i64 {
        let pieces = |id: &i64| self.orders[id].lines.get(sku).copied().unwrap_or(0);
        let sold: i64 = self.open.iter().map(pieces).sum();
        (self.stock[sku].on_hand - sold).max(0)
    }

    fn note(&mut self) {
        for sku in SKUS {
            let free = self.free(sku);
            let most = self.most_free.entry(sku.to_owned()).or_default();
            *most = free.max(*most);
        }
    }

    fn change(&mut self) -> i64 {
        self.changes += 1;
        self.changes
    }

    pub(super) fn count(&mut self, sku: &str, on_hand: i64) {
        let change = self.change();
        self.stock.insert(sku.to_owned(), Stock { on_hand, change });
    }

    pub(super) fn sell(&mut self, lines: &[(&str, i64)], status: &'static str) -> Option<i64> {
        if lines.iter().any(|(sku, pieces)| self.levels[*sku] < *pieces) {
            return None;
        }
        for (sku, pieces) in lines {
            *self.levels.get_mut(*sku).unwrap() -= pieces;
        }
        let id = i64::try_from(self.orders.len()).unwrap() + 1001;
        let lines = lines.iter().map(|(sku, pieces)| ((*sku).to_owned(), *pieces)).collect();
        let change = self.change();
        self.open.insert(id);
        self.orders.insert(id, Order { status, lines, change });
        Some(id)
    }

    pub(super) fn give_status(&mut self, id: i64, status: &'static str) {
        let change = self.change();
        let order = self.orders.get_mut(&id).unwrap();
        let cancels = status == "cancelled" && order.status != "cancelled";
        (order.status, order.change) = (status, change);
        if status == "cancelled" {
            self.open.remove(&id);
        }
        if cancels && self.gives_back {
            for (sku, pieces) in self.orders[&id].lines.clone() {
                *self.levels.get_mut(&sku).unwrap() += pieces;
            }
        }
    }

    /// Something happens on one of the sides.
    pub(super) fn event(&mut self) {
        let sku = SKUS[self.chance.usize(0..SKUS.len())];
        match self.chance.u32(0..20) {
            0..=9 => {
                let other = SKUS[self.chance.usize(0..SKUS.len())];
                let mut lines = vec![(sku, self.chance.i64(1..4))];
                if other != sku && self.chance.bool() {
                    lines.push((other, self.chance.i64(1..3)));
                }
                let status = ["pending", "paid", "paid"][self.chance.usize(0..3)];
                self.sell(&lines, status);
            }
            10..=13 => {
                if let Some(id) = self.some_order("pending") {
                    self.give_status(id, "paid");
                }
            }
            14..=15 => {
                let from = ["pending", "paid"][self.chance.usize(0..2)];
                if let Some(id) = self.some_order(from) {
                    self.give_status(id, "cancelled");
                }
            }
            16..=17 => {
                let on_hand = self.stock[sku].on_hand + self.chance.i64(0..15);
                self.count(sku, on_hand);
            }
            _ => {
                let on_hand = (self.stock[sku].on_hand - self.chance.i64(0..6)).max(0);
                self.count(sku, on_hand);
            }
        }
        self.note();
    }

    fn some_order(&mut self, status: &str) -> Option<i64> {
        let ids: Vec<i64> = self
            .orders
            .iter()
            .rev()
            .filter(|(_, order)| order.status == status)
            .map(|(id, _)| *id)
            .take(8)
            .collect();
        let n = self.chance.usize(0..ids.len().max(1));
        ids.get(n).copied()
    }
}

#[derive(Debug)]
pub(super) struct World(Mutex<State>);

pub(super) fn field(record: &Value, name: &str) -> String {
    match record.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(other) => other.to_json(),
        None => String::new(),
    }
}

impl World {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// The world goes on while the program is at work.
    pub(super) fn stir(&self) {
        let mut state = self.state();
        let stirs = state.stirs;
        if state.chance.u32(0..1000) < stirs {
            state.event();
        }
    }

    pub(super) fn set_level(&self, sku: &str, level: i64) {
        let mut state = self.state();
        let (free, most) = (state.free(sku), state.most_free[sku]);
        if level > most {
            state.faults.push(format!(
                "{sku} was set to {level}, and {most} could be offered at the most"
            ));
        } else if level > free {
            state.overtaken += 1;
        }
        state.levels.insert(sku.to_owned(), level);
        state.sets += 1;
    }

    /// The ERP takes an order's lines off its stock, or what they are now instead of what they were.
    pub(super) fn book(&self, id: &str, record: &Value, creates: bool) {
        let mut state = self.state();
        let mut lines = BTreeMap::new();
        if let Some(Value::List(list)) = record.get("lines") {
            for line in list {
                let pieces: i64 = field(line, "quantity").parse().unwrap();
                *lines.entry(field(line, "sku").trim().to_owned()).or_default() += pieces;
            }
        }
        let before = state.booked.get(id).cloned().unwrap_or_default();
        if !before.cancelled {
            for (sku, pieces) in &before.lines {
                let on_hand = state.stock[sku].on_hand + pieces;
                state.count(sku, on_hand);
            }
        }
        for (sku, pieces) in &lines {
            let on_hand = state.stock[sku].on_hand - pieces;
            state.count(sku, on_hand);
        }
        state.open.remove(&id.parse().unwrap());
        let creates = before.creates + u32::from(creates);
        state.booked.insert(
            id.to_owned(),
            Booked {
                lines,
                cancelled: false,
                creates,
            },
        );
        state.erp_writes += 1;
    }

    pub(super) fn unbook(&self, id: &str) {
        let mut state = self.state();
        let booked = state.booked.get_mut(id).unwrap();
        if !std::mem::replace(&mut booked.cancelled, true) {
            for (sku, pieces) in booked.lines.clone() {
                let on_hand = state.stock[&sku].on_hand + pieces;
                state.count(&sku, on_hand);
            }
        }
        state.note();
        state.erp_writes += 1;
    }
}

pub(super) struct Rig {
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) voice: Arc<Quiet>,
    pub(super) guarded: bool,
    folder: TempDir,
}

impl Rig {
    pub(super) fn new(seed: u64) -> Rig {
        let mut chance = fastrand::Rng::with_seed(seed);
        let gives_back = chance.bool();
        let levels = SKUS.iter().map(|sku| ((*sku).to_owned(), 0)).collect();
        let stock = SKUS
            .iter()
            .map(|sku| ((*sku).to_owned(), Stock { on_hand: 20, change: 1 }))
            .collect();
        let state = State {
            chance,
            trouble: 0,
            stirs: 0,
            changes: 1,
            levels,
            orders: BTreeMap::new(),
            open: BTreeSet::new(),
            stock,
            booked: BTreeMap::new(),
            most_free: BTreeMap::new(),
            faults: Vec::new(),
            overtaken: 0,
            sets: 0,
            erp_writes: 0,
            gives_back,
        };
        Rig {
            world: Arc::new(World(Mutex::new(state))),
            clock: Arc::default(),
            voice: Arc::default(),
            guarded: true,
            // What survives a power cut is tested elsewhere; here only the process dies.
            folder: tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap(),
        }
    }

    fn state_path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    fn flow(&self, name: &str, lines: &str) -> Flow {
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
            source: Arc::new(Feed(self.world.clone(), Shown::Orders)),
            realm: "selorax:22".to_owned(),
            to: Target::Records(Arc::new(ErpOrders(self.world.clone()))),
            mapping: config.flows[0].mapping.clone(),
            only_new: false,
            guards: true,
            requires: Vec::new(),
            required_by: Vec::new(),
            depth: 0,
            guard: None,
            counted_by: vec![CountedBy {
                flow: "stock".to_owned(),
                target: "store.inventory".to_owned(),
            }],
        }
    }

    fn flows(&self) -> Vec<Flow> {
        let orders = self.flow(
            "orders",
            "    where: '.status != \"pending\"'\n    map: {reference: .id | tostring, lines: .lines}\n",
        );
        let guard = Guard {
            flows: vec!["orders".to_owned()],
            feeds: vec!["store.orders".to_owned()],
            booked_after_ms: 0,
            by_stamp: false,
        };
        let stock = Flow {
            feed: "erp.stock".to_owned(),
            target: "store.inventory".to_owned(),
            source: Arc::new(Feed(self.world.clone(), Shown::Stock)),
            to: Target::Records(Arc::new(StoreLevels(self.world.clone()))),
            counted_by: Vec::new(),
            guard: self.guarded.then_some(guard),
            ..self.flow("stock", "    map: {sku: .sku, quantity: .quantity}\n")
        };
        vec![orders, stock]
    }

    pub(super) async fn engine(&self, dry: bool) -> Engine {
        // What could be offered before this run began does not excuse what it sets.
        {
            let mut state = self.world.state();
            state.most_free.clear();
            state.note();
        }
        let store = match dry {
            true => Store::scratch(&self.state_path(), self.clock.clone()).await.unwrap(),
            false => Store::open(&self.state_path(), self.clock.clone()).await.unwrap(),
        };
        Engine {
            store: Arc::new(store),
            clock: self.clock.clone(),
            flows: self.flows(),
            neighbours: Vec::new(),
            connectors: BTreeMap::new(),
            voice: self.voice.clone(),
            dry,
            patience: Patience {
                wait: Duration::from_secs(600),
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

    pub(super) async fn once(&self) {
        let mut engine = self.engine(false).await;
        engine.once().await.unwrap();
        self.clock.advance(Duration::from_millis(7));
    }

    /// A run that dies after so many steps of its future, wherever that is.
    pub(super) async fn dies_after(&self, polls: usize) {
        let mut engine = self.engine(false).await;
        let mut left = polls;
        let mut run = Box::pin(async { engine.once().await.unwrap() });
        std::future::poll_fn(|context| {
            if left == 0 {
                return std::task::Poll::Ready(());
            }
            left -= 1;
            run.as_mut().poll(context)
        })
        .await;
        self.clock.advance(Duration::from_millis(7));
    }

    pub(super) async fn failures(&self) -> Vec<Failure> {
        let store = Store::look(&self.state_path()).await.unwrap().unwrap();
        store.failures().await.unwrap()
    }

    pub(super) fn now(&self) -> Stamp {
        self.clock.now()
    }
}
