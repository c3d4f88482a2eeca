//! The shop's orders, their sorted indexes and the truth log; it knows neither HTTP nor faults.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::index::Index;
use crate::jsontext::Members;
use crate::make::Maker;
use crate::options::Options;
use crate::order::Order;

/// What happened to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

/// One entry of the truth log: what the shop really holds, whatever its answers said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// From 1, without gaps.
    pub seq: u64,
    /// World time, ms since 1970.
    pub at_ms: i64,
    pub id: i64,
    pub kind: Change,
    /// The order after the change (before it, for a deletion), shared rather than copied.
    pub order: Arc<Order>,
}

impl Truth {
    /// `{"seq":…,"at":…,"id":…,"kind":"created|updated|deleted","order":{…}}`
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(1_600);
        let kind = match self.kind {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Deleted => "deleted",
        };
        let mut members = Members::open(&mut out);
        members.raw("seq", &self.seq.to_string());
        members.stamp("at", self.at_ms);
        members.int("id", self.id);
        members.text("kind", kind);
        members.raw("order", &self.order.json());
        members.close();
        out
    }
}

/// A column `GET /orders` can sort by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Created,
    Updated,
    GrandTotal,
}

impl Column {
    pub(crate) fn key(self, order: &Order) -> i64 {
        match self {
            Column::Created => order.created_ms,
            Column::Updated => order.updated_ms,
            Column::GrandTotal => order.grand_total(),
        }
    }
}

/// Truth with what was there before, so that the past can be shown again.
pub(crate) struct Event {
    pub(crate) truth: Truth,
    pub(crate) before: Option<Arc<Order>>,
}

pub(crate) struct Shop {
    orders: HashMap<i64, Arc<Order>>,
    created: Index,
    updated: Index,
    totals: Index,
    events: Vec<Event>,
    /// Events of the first stock of orders; never undone by a stale view.
    first_events: usize,
    /// Counts changes, so that a cached selection knows when it is out of date.
    pub(crate) generation: u64,
    pub(crate) maker: Maker,
    truth_file: Option<BufWriter<File>>,
}

impl Shop {
    pub(crate) fn new(options: &Options, now_ms: i64) -> io::Result<Shop> {
        let mut maker = Maker::new(options.seed, options.store_id, options.odd_percent);
        let first = maker.first_orders(options.orders, options.spread_days, now_ms);
        let mut shop = Shop {
            orders: HashMap::with_capacity(first.len()),
            created: index_by(&first, Column::Created),
            updated: index_by(&first, Column::Updated),
            totals: index_by(&first, Column::GrandTotal),
            events: Vec::with_capacity(first.len()),
            first_events: first.len(),
            generation: 0,
            maker,
            truth_file: options.truth_file.as_deref().map(open_truth_file).transpose()?,
        };
        for order in first {
            let order = Arc::new(order);
            shop.orders.insert(order.id, Arc::clone(&order));
            shop.note(Change::Created, order, None, now_ms);
        }
        Ok(shop)
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Arc<Order>> {
        self.orders.get(&id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Order>> {
        self.orders.values()
    }

    pub(crate) fn sorted(&self) -> BTreeMap<i64, Arc<Order>> {
        self.orders.iter().map(|(id, order)| (*id, Arc::clone(order))).collect()
    }

    pub(crate) fn index(&self, column: Column) -> &Index {
        match column {
            Column::Created => &self.created,
            Column::Updated => &self.updated,
            Column::GrandTotal => &self.totals,
        }
    }

    /// Adds an order; an id already taken is replaced by a fresh one.
    pub(crate) fn insert(&mut self, mut order: Order, now_ms: i64) -> i64 {
        while self.orders.contains_key(&order.id) {
            order.id = self.maker.fresh_id();
        }
        let id = order.id;
        let order = Arc::new(order);
        self.index_in(&order);
        self.orders.insert(id, Arc::clone(&order));
        self.note(Change::Created, order, None, now_ms);
        id
    }

    /// Puts a new version in place of the one with its id; false if there is none.
    pub(crate) fn replace(&mut self, order: Order, now_ms: i64) -> bool {
        let Some(before) = self.orders.get(&order.id).cloned() else {
            return false;
        };
        self.index_out(&before);
        let order = Arc::new(order);
        self.index_in(&order);
        self.orders.insert(order.id, Arc::clone(&order));
        self.note(Change::Updated, order, Some(before), now_ms);
        true
    }

    pub(crate) fn remove(&mut self, id: i64, now_ms: i64) -> bool {
        let Some(before) = self.orders.remove(&id) else {
            return false;
        };
        self.index_out(&before);
        self.note(Change::Deleted, Arc::clone(&before), Some(before), now_ms);
        true
    }

    /// A random order's id.
    pub(crate) fn any_id(&mut self) -> Option<i64> {
        let rows = self.created.rows();
        let at = self.maker.rng.usize(0..rows.len().max(1));
        rows.get(at).map(|row| row.1)
    }

    pub(crate) fn truth(&self) -> impl Iterator<Item = &Truth> {
        self.events.iter().map(|event| &event.truth)
    }

    /// What happened after the first stock was laid in, oldest first.
    pub(crate) fn later_events(&self) -> &[Event] {
        self.events.get(self.first_events..).unwrap_or(&[])
    }

    fn index_in(&mut self, order: &Order) {
        self.created.insert(order.created_ms, order.id);
        self.updated.insert(order.updated_ms, order.id);
        self.totals.insert(order.grand_total(), order.id);
    }

    fn index_out(&mut self, order: &Order) {
        self.created.remove(order.created_ms, order.id);
        self.updated.remove(order.updated_ms, order.id);
        self.totals.remove(order.grand_total(), order.id);
    }

    fn note(&mut self, kind: Change, order: Arc<Order>, before: Option<Arc<Order>>, at_ms: i64) {
        self.generation += 1;
        let seq = u64::try_from(self.events.len()).unwrap_or(u64::MAX).saturating_add(1);
        let truth = Truth {
            seq,
            at_ms,
            id: order.id,
            kind,
            order,
        };
        if let Some(file) = &mut self.truth_file
            && let Err(error) = writeln!(file, "{}", truth.json()).and_then(|()| file.flush())
        {
            tracing::warn!(%error, "cannot write the truth log; the file ends here");
            self.truth_file = None;
        }
        self.events.push(Event { truth, before });
    }
}

fn index_by(orders: &[Order], column: Column) -> Index {
    Index::build(orders.iter().map(|order| (column.key(order), order.id)).collect())
}

fn open_truth_file(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::options().create(true).append(true).open(path)?))
}
