//! The log of the truth: what the shop really held and when, whatever its answers said. Entries are only ever added.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::customer::Customer;
use crate::jsontext::Members;
use crate::metafields::Metafield;
use crate::order::Order;
use crate::product::Product;
use crate::resource::Resource;
use crate::small::{Category, Discount};
use crate::table::Row;

/// What happened to a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    Created,
    Updated,
    Deleted,
}

impl Change {
    pub fn name(self) -> &'static str {
        match self {
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Deleted => "deleted",
        }
    }
}

/// Who made a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The shop itself: its staff, its customers, or the test.
    #[default]
    Shop,
    /// A write request to the platform.
    Api,
}

/// A record as it was after a change (before it, for a deletion), shared rather than copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Order(Arc<Order>),
    Customer(Arc<Customer>),
    Product(Arc<Product>),
    Category(Arc<Category>),
    Discount(Arc<Discount>),
    Metafield(Arc<Metafield>),
}

impl Record {
    pub fn resource(&self) -> Resource {
        match self {
            Record::Order(_) => Resource::Orders,
            Record::Customer(_) => Resource::Customers,
            Record::Product(_) => Resource::Products,
            Record::Category(_) => Resource::Categories,
            Record::Discount(_) => Resource::Discounts,
            Record::Metafield(_) => Resource::Metafields,
        }
    }

    pub fn json(&self) -> String {
        match self {
            Record::Order(row) => row.json(),
            Record::Customer(row) => row.json(),
            Record::Product(row) => row.json(),
            Record::Category(row) => row.json(),
            Record::Discount(row) => row.json(),
            Record::Metafield(row) => row.json(),
        }
    }
}

/// One entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// From 1, without gaps over all resources.
    pub seq: u64,
    /// World time, ms since 1970.
    pub at_ms: i64,
    pub id: i64,
    pub kind: Change,
    pub by: By,
    pub record: Record,
}

impl Event {
    pub fn resource(&self) -> Resource {
        self.record.resource()
    }

    /// `{"seq":…,"at":…,"resource":"orders","id":…,"kind":"created|updated|deleted","order":{…}}`; the last member
    /// has the name of the kind of record, and `"by":"api"` comes before it where a write request made the change.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(1_600);
        let mut members = Members::open(&mut out);
        members.raw("seq", &self.seq.to_string());
        members.stamp("at", self.at_ms);
        members.text("resource", self.resource().name());
        members.int("id", self.id);
        members.text("kind", self.kind.name());
        if self.by == By::Api {
            members.text("by", "api");
        }
        members.raw(self.resource().singular(), &self.record.json());
        members.close();
        out
    }
}

/// An entry about an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Truth {
    /// Growing; without gaps where nothing but orders changes.
    pub seq: u64,
    /// World time, ms since 1970.
    pub at_ms: i64,
    pub id: i64,
    pub kind: Change,
    pub by: By,
    /// The order after the change (before it, for a deletion), shared rather than copied.
    pub order: Arc<Order>,
}

impl Truth {
    pub(crate) fn of(event: &Event) -> Option<Truth> {
        let Record::Order(order) = &event.record else {
            return None;
        };
        Some(Truth {
            seq: event.seq,
            at_ms: event.at_ms,
            id: event.id,
            kind: event.kind,
            by: event.by,
            order: Arc::clone(order),
        })
    }
}

/// An entry with what was there before, so that the past can be shown again.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) event: Event,
    pub(crate) before: Option<Record>,
}

pub(crate) struct Journal {
    entries: Vec<Happened>,
    /// Entries of the first stock; never undone by a stale view and told to no subscriber.
    first: usize,
    /// Entries that subscribers have been told of.
    told: usize,
    /// Who makes the changes at the moment.
    pub(crate) by: By,
    file: Option<BufWriter<File>>,
}

impl Journal {
    pub(crate) fn new(file: Option<&Path>) -> io::Result<Journal> {
        Ok(Journal {
            entries: Vec::new(),
            first: 0,
            told: 0,
            by: By::Shop,
            file: file.map(open).transpose()?,
        })
    }

    pub(crate) fn note<R: Row>(&mut self, kind: Change, row: &Arc<R>, before: Option<Arc<R>>, at_ms: i64) {
        let seq = u64::try_from(self.entries.len()).unwrap_or(u64::MAX).saturating_add(1);
        let event = Event {
            seq,
            at_ms,
            id: row.id(),
            kind,
            by: self.by,
            record: R::record(Arc::clone(row)),
        };
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{}", event.json()).and_then(|()| file.flush())
        {
            tracing::warn!(%error, "cannot write the truth log; the file ends here");
            self.file = None;
        }
        self.entries.push(Happened {
            event,
            before: before.map(R::record),
        });
    }

    /// What was noted so far is the first stock.
    pub(crate) fn end_first(&mut self) {
        self.first = self.entries.len();
        self.told = self.first;
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = &Event> {
        self.entries.iter().map(|entry| &entry.event)
    }

    /// What happened after the first stock was laid in, oldest first.
    pub(crate) fn later(&self) -> &[Happened] {
        self.entries.get(self.first..).unwrap_or(&[])
    }

    pub(crate) fn has_untold(&self) -> bool {
        self.told < self.entries.len()
    }

    /// What subscribers have not been told of; from now on they have.
    pub(crate) fn untold(&mut self) -> Vec<Happened> {
        let news = self.entries.get(self.told..).unwrap_or(&[]).to_vec();
        self.told = self.entries.len();
        news
    }
}

fn open(path: &Path) -> io::Result<BufWriter<File>> {
    Ok(BufWriter::new(File::options().create(true).append(true).open(path)?))
}
