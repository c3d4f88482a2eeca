//! The ERP's state behind one lock, and what a test can see and change of it while it answers.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::erp::auth::{Access, AccessCounts};
use crate::erp::document::Document;
use crate::erp::fault::{Kind, Rule};
use crate::erp::ledger::{Commit, Deed, Ledger};
use crate::erp::options::{Credentials, ErpOptions, Way};
use crate::erp::records::{self, Source};
use crate::erp::shelf::{Held, Shelf};
use crate::erp::writes;
use crate::plan::{RuleState, Rules};
use crate::time::Time;

/// One request as the ERP saw it. No credential is kept.
#[derive(Clone, Debug)]
pub struct Asked {
    /// When it was read, on the machine's monotonic clock.
    pub at: Instant,
    /// The same in ERP time, ms since 1970.
    pub at_ms: i64,
    pub method: String,
    /// Without `/api`.
    pub path: String,
    /// Undecoded, without the question mark.
    pub query: String,
    pub kind: Kind,
    pub resource: Option<String>,
    pub reference: Option<String>,
    /// The idempotency key.
    pub key: Option<String>,
    /// How it proved who it is from; `None` where it did not.
    pub way: Option<Way>,
    /// As it came; of `/token` and `/login` nothing.
    pub body: String,
    /// Lower case.
    pub header_names: Vec<String>,
    /// What was answered (of a lost answer: would have been).
    pub status: u16,
    /// The names of the faults that struck, joined by `+`.
    pub fault: Option<String>,
}

/// A create that is carried out after its connection has gone.
#[derive(Debug)]
pub(crate) struct Late {
    pub(crate) resource: String,
    pub(crate) text: String,
    pub(crate) key: Option<String>,
    pub(crate) reference: Option<String>,
    /// Look-ups that must find nothing before the time runs.
    pub(crate) lookups_left: u64,
    pub(crate) wait_ms: i64,
    pub(crate) due_ms: Option<i64>,
}

/// What an idempotency key stands for.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) resource: String,
    pub(crate) id: String,
    pub(crate) body: String,
    /// As it was created: what the key is answered with for good, also where a person deleted it since.
    pub(crate) held: Arc<Held>,
}

/// The records as they were at a moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    shelves: BTreeMap<String, Shelf>,
    keys: HashMap<String, Kept>,
}

pub(crate) struct Inner {
    pub(crate) options: ErpOptions,
    /// `http://127.0.0.1:PORT`
    pub(crate) origin: String,
    pub(crate) time: Time,
    pub(crate) shelves: BTreeMap<String, Shelf>,
    pub(crate) keys: HashMap<String, Kept>,
    pub(crate) ledger: Ledger,
    pub(crate) rules: Rules<Rule>,
    pub(crate) access: Access,
    pub(crate) late: Vec<Late>,
    pub(crate) log: Vec<Asked>,
    /// When the answered requests of the rate window came.
    pub(crate) window: VecDeque<Instant>,
}

/// Everything a test can see and change while the ERP answers. No method waits for a client.
pub struct Books {
    inner: Mutex<Inner>,
    connections: AtomicUsize,
}

impl Books {
    pub(crate) fn new(options: ErpOptions, origin: String) -> io::Result<Books> {
        let shelves = options.resources.iter().map(|name| (name.clone(), Shelf::default()));
        let mut inner = Inner {
            origin,
            time: Time::new(options.clock),
            shelves: shelves.collect(),
            keys: HashMap::new(),
            ledger: Ledger::new(options.truth_file.as_deref())?,
            rules: Rules::new(options.seed),
            access: Access::new(options.credentials.clone()),
            late: Vec::new(),
            log: Vec::new(),
            window: VecDeque::new(),
            options,
        };
        for number in 1..=inner.options.stock {
            let quantity = (number * 37) % 200;
            let text = format!(r#"{{"sku":"SKU-{number:04}","on_hand":{quantity},"warehouse":"main"}}"#);
            let document = Document::read(&text).map_err(io::Error::other)?;
            records::store(&mut inner, "stock", document, Source::by_hand());
        }
        Ok(Books {
            inner: Mutex::new(inner),
            connections: AtomicUsize::new(0),
        })
    }

    /// What was to be carried out by now has been.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of one request must not make every later one panic too.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        writes::settle_late(&mut inner);
        inner
    }

    /// Every commit so far, oldest first.
    pub fn truth(&self) -> Vec<Commit> {
        self.lock().ledger.all().to_vec()
    }

    /// What clients committed to this kind of record.
    pub fn truth_of(&self, resource: &str) -> Vec<Commit> {
        let inner = self.lock();
        let commits = inner.ledger.all().iter();
        let own = commits.filter(|commit| commit.resource == resource && !commit.by_hand);
        own.cloned().collect()
    }

    pub fn write_truth(&self, path: &Path) -> io::Result<()> {
        let lines: Vec<String> = self.truth().iter().map(Commit::json).collect();
        std::fs::write(path, lines.join("\n") + "\n")
    }

    /// What it holds, in the order of creation.
    pub fn records(&self, resource: &str) -> Vec<Held> {
        let inner = self.lock();
        let shelf = inner.shelves.get(resource);
        shelf.map_or_else(Vec::new, |shelf| shelf.rows().map(|held| Held::clone(held)).collect())
    }

    pub fn count(&self, resource: &str) -> usize {
        self.lock().shelves.get(resource).map_or(0, Shelf::len)
    }

    /// The same as clients are shown it.
    pub(crate) fn shown(&self, resource: &str) -> Vec<String> {
        let inner = self.lock();
        let shelf = inner.shelves.get(resource);
        shelf.map_or_else(Vec::new, |shelf| {
            shelf.rows().map(|held| records::shown(&inner, held)).collect()
        })
    }

    /// The records with this reference.
    pub fn with_reference(&self, resource: &str, reference: &str) -> Vec<Held> {
        let inner = self.lock();
        let shelf = inner.shelves.get(resource);
        shelf.map_or_else(Vec::new, |shelf| {
            let held = shelf.by_reference(reference);
            held.map(|held| Held::clone(held)).collect()
        })
    }

    pub fn record(&self, resource: &str, id: &str) -> Option<Held> {
        let inner = self.lock();
        let held = inner.shelves.get(resource)?.by_id(id)?;
        Some(Held::clone(held))
    }

    /// A person adds a record; returns its id. `Err` says what is wrong with the text or the kind of record.
    pub fn put(&self, resource: &str, json: &str) -> Result<String, String> {
        let document = Document::read(json)?;
        let mut inner = self.lock();
        if !inner.shelves.contains_key(resource) {
            return Err(format!("no such kind of record: {resource}"));
        }
        let held = records::store(&mut inner, resource, document, Source::by_hand());
        held.map(|held| held.id.clone())
            .ok_or_else(|| "it could not be stored".to_owned())
    }

    /// A person changes members of a record; false where there is none with this id.
    pub fn edit(&self, resource: &str, id: &str, json: &str) -> Result<bool, String> {
        let changes = Document::read(json)?;
        let mut inner = self.lock();
        let source = Source::by_hand();
        Ok(
            records::change(&mut inner, resource, id, Deed::Updated, source, |document| {
                document.merge(changes)
            })
            .is_some(),
        )
    }

    /// A person deletes a record.
    pub fn remove(&self, resource: &str, id: &str) -> bool {
        let mut inner = self.lock();
        records::remove(&mut inner, resource, id, Deed::Deleted, Source::by_hand())
    }

    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            shelves: inner.shelves.clone(),
            keys: inner.keys.clone(),
        }
    }

    /// Everything is as it was then, the keys as well; the log tells which records were lost. Returns how many.
    pub fn restore(&self, snapshot: &Snapshot) -> usize {
        let mut inner = self.lock();
        let shelves = std::mem::replace(&mut inner.shelves, snapshot.shelves.clone());
        inner.keys.clone_from(&snapshot.keys);
        let mut lost = 0;
        for (resource, shelf) in shelves {
            for held in shelf.rows() {
                let kept = inner
                    .shelves
                    .get(&resource)
                    .is_some_and(|older| older.by_id(&held.id).is_some());
                if !kept {
                    lost += 1;
                    records::note(&mut inner, &resource, held, Deed::Lost, Source::by_hand());
                }
            }
            if let Some(older) = inner.shelves.get_mut(&resource) {
                older.skip_to(shelf.last_number());
            }
        }
        lost
    }

    /// The last so many records of this kind, and their keys, are lost, as after the restore of an older copy.
    pub fn drop_last(&self, resource: &str, count: usize) -> usize {
        let mut inner = self.lock();
        let shelf = inner.shelves.get(resource);
        let ids: Vec<String> = shelf.map_or_else(Vec::new, |shelf| {
            shelf.rows().rev().take(count).map(|held| held.id.clone()).collect()
        });
        for id in &ids {
            records::remove(&mut inner, resource, id, Deed::Lost, Source::by_hand());
            inner.keys.retain(|_, kept| kept.resource != resource || kept.id != *id);
        }
        ids.len()
    }

    /// Puts a fault in force and returns the id to count and remove it by.
    pub fn fault(&self, rule: Rule) -> u64 {
        self.lock().rules.add(rule)
    }

    /// How often the rule really struck; counts stay after it is removed.
    pub fn fired(&self, rule: u64) -> u64 {
        self.lock().rules.fired(rule)
    }

    pub fn faults(&self) -> Vec<RuleState<Rule>> {
        self.lock().rules.states()
    }

    pub fn remove_fault(&self, rule: u64) {
        self.lock().rules.remove(Some(rule));
    }

    pub fn clear_faults(&self) {
        self.lock().rules.remove(None);
    }

    /// Creates that wait to be carried out late.
    pub fn late(&self) -> usize {
        self.lock().late.len()
    }

    pub fn credentials(&self) -> Credentials {
        self.lock().access.credentials.clone()
    }

    /// Changes what counts from the next request on.
    pub fn set_credentials(&self, edit: impl FnOnce(&mut Credentials)) {
        edit(&mut self.lock().access.credentials);
    }

    /// Changes how it behaves from the next request on; what it listens on and where its truth goes stay.
    pub fn set_options(&self, edit: impl FnOnce(&mut ErpOptions)) {
        edit(&mut self.lock().options);
    }

    /// Every token and session given so far is void.
    pub fn end_tokens(&self) {
        self.lock().access.end_all();
    }

    /// The refresh token that is good at the moment.
    pub fn refresh_token(&self) -> String {
        self.lock().access.refresh_token().to_owned()
    }

    pub fn access_counts(&self) -> AccessCounts {
        self.lock().access.counts
    }

    /// The requests since the log was last cleared, oldest first.
    pub fn requests(&self) -> Vec<Asked> {
        self.lock().log.clone()
    }

    pub fn request_count(&self) -> usize {
        self.lock().log.len()
    }

    pub fn clear_requests(&self) {
        self.lock().log.clear();
    }

    /// The most requests in any window of this length.
    pub fn busiest(&self, window: Duration) -> usize {
        let inner = self.lock();
        let mut most = 0;
        let mut open: VecDeque<Instant> = VecDeque::new();
        for asked in &inner.log {
            while open.front().is_some_and(|at| asked.at.duration_since(*at) >= window) {
                open.pop_front();
            }
            open.push_back(asked.at);
            most = most.max(open.len());
        }
        most
    }

    /// Connections accepted since the start.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// ERP time, ms since 1970.
    pub fn now_ms(&self) -> i64 {
        self.lock().time.now_ms()
    }

    pub fn set_clock(&self, ms: i64) {
        self.lock().time.set(ms);
    }

    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.lock().time.advance(ms);
    }
}
