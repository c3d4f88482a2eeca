//! The traits of a connector. A `None` says: this system cannot do that for this resource.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::settings::{Reader, Settings};
use crate::{
    Clock, Cursor, Error, Key, Malformed, Memory, Raw, Record, RecordTarget, Row, Stamp, Subscriptions, Value, Webhook,
};

/// What a connector is given at start.
#[derive(Clone, Debug)]
pub struct Seams {
    pub clock: Arc<dyn Clock>,
    pub memory: Arc<dyn Memory>,
    /// How long one call may go on through faults that pass by themselves before it gives up.
    pub patience: std::time::Duration,
}

/// How a connector is made from its part of the config.
pub struct Factory {
    pub kind: &'static str,
    /// Reads and checks the settings. Never touches network or disk, so `check` can run it anywhere;
    /// problems are collected in the reader, with their places.
    pub read: fn(&mut Reader<'_>) -> Option<Box<dyn Settings>>,
}

#[async_trait]
pub trait Connector: std::fmt::Debug + Send + Sync {
    /// Tries each credential, scope and path. For `check --connect`.
    async fn probe(&self) -> Vec<Finding>;
    fn source(&self, _resource: &str) -> Option<Arc<dyn Source>> {
        None
    }
    fn target(&self, _resource: &str) -> Option<Target> {
        None
    }
    /// What opens the calls that this system sends, signed with one of these secrets.
    fn webhook(&self, _secrets: &[secrecy::SecretString]) -> Option<Arc<dyn Webhook>> {
        None
    }
    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        None
    }
    /// The line `status` prints about pace and circuit.
    fn condition(&self) -> String {
        String::new()
    }
    /// Requests sent since start; for coverage reports.
    fn requests(&self) -> u64 {
        0
    }
    /// Saves what the next process must know of the pace. Called once, at the end of a run.
    async fn rest(&self) {}
}

/// One line of `check --connect`.
#[derive(Clone, Debug)]
pub struct Finding {
    pub what: String,
    pub result: Result<String, Error>,
    /// A failure that stops nothing, such as a missing optional scope.
    pub optional: bool,
}

/// Creation times, both ends inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Window {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

/// What a call is for. All calls to one system share its budget; where several wait, each use gets its
/// share of the turns, and what one does not need goes to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Use {
    /// A record that someone rang for: a webhook, or a person who waits for the answer.
    Ring,
    /// A stock level on its way into this system.
    Stock,
    /// What changed lately: scans, and the records they lead to.
    Feed,
    /// What can wait: backfills, deep passes and sweeps, and the records they lead to.
    History,
}

/// How the daemon looks after a feed besides its schedule. Zero: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upkeep {
    /// So often it looks so much further back than a pass does.
    pub deep_every: std::time::Duration,
    pub deep_reach: std::time::Duration,
    /// So often it goes over all records and counts.
    pub sweep_every: std::time::Duration,
}

#[async_trait]
pub trait Source: Send + Sync {
    /// The cursor of "everything up to now": a flow that starts from it sees only what comes later,
    /// and a history walk that follows it misses nothing that changes meanwhile.
    async fn now(&self) -> Result<Cursor, Error>;
    /// The later of two cursors of this source.
    fn later(&self, a: Cursor, b: Cursor) -> Cursor;
    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor;
    /// The latest cursor before which nothing new should come to light any more.
    fn settled(&self, cursor: &Cursor) -> Cursor;
    /// What the cursor says as a time, for `status`.
    fn stamp(&self, cursor: &Cursor) -> Option<Stamp>;
    /// The cursor that lies so much time before this one.
    fn back(&self, cursor: &Cursor, by: std::time::Duration) -> Cursor;
    /// Reads what changed since the cursor. May repeat rows; must never skip one.
    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass>;
    /// Walks all that was created in the window, oldest first, each part proven complete.
    fn history(&self, window: Window, resume: Option<&Cursor>) -> Box<dyn Pass>;
    /// Reads one record; `None` when the system does not have it.
    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error>;
    /// Makes the canonical record. Pure. `single`: the body is the answer of `read`, so nothing more can come.
    fn decode(&self, body: Raw, single: bool) -> Result<Record, Malformed>;
    /// What comes before a record's key where it must be unlike every other key, such as `selorax:22` of
    /// `selorax:22:1001:create`. It must not change with the names in the config. `None`: the feed's name.
    fn realm(&self) -> Option<String> {
        None
    }
    /// Told once for each flow, before anything is read: whether its mapping mentions a canonical field. A
    /// source whose lists leave fields out may then read records by their key.
    fn asked_for(&self, _mentions: &dyn Fn(&str) -> bool) {}
    /// `None`: what is read by change is all there is to know.
    fn upkeep(&self) -> Option<Upkeep> {
        None
    }
    /// Of a resource whose records come in files: all of them come that way, and the calls above bring none.
    fn files(&self) -> Option<Arc<dyn crate::FileSource>> {
        None
    }
    /// A cheap call that succeeds when the system is up, to tell a bad record from a bad day.
    async fn ping(&self) -> Result<(), Error>;
}

/// One walk over a feed. Dropping it abandons the walk; rows already handed out stay valid.
#[async_trait]
pub trait Pass: Send {
    async fn step(&mut self) -> Result<Step, Error>;
}

/// What one step brought. The rows, and then the cursor if there is one, are stored in one transaction.
#[derive(Clone, Debug, Default)]
pub struct Step {
    pub rows: Vec<Row>,
    /// What lies behind this cursor is complete once this step's rows are stored.
    pub cursor: Option<Cursor>,
    pub done: bool,
    /// The walk is deeper than reading by change is good for: walk the history instead, and then
    /// go on from this cursor. Nothing else of the pass counts.
    pub too_deep: Option<Cursor>,
    pub progress: Progress,
    /// The distinct records that this step proved complete: their keys and control amounts.
    pub covered: Vec<(Key, Option<rust_decimal::Decimal>)>,
    /// What a person should know, such as a window that could not be proven complete.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub seen: u64,
    /// How many there will be, where the system says so.
    pub total: Option<u64>,
}

/// Where records go.
#[derive(Clone)]
pub enum Target {
    /// Many records become one file.
    Files(Arc<dyn FileTarget>),
    /// Each record is a call of its own.
    Records(Arc<dyn RecordTarget>),
}

/// One mapped record on its way out. `rows` are what its mapping made: one, or several with `each`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    pub key: Key,
    pub rows: Vec<Value>,
}

pub trait FileTarget: Send + Sync {
    /// A file is closed at this many records …
    fn max_records(&self) -> usize;
    /// … or this long after its first record was queued.
    fn max_wait(&self) -> std::time::Duration;
    /// The final name of batch number `batch`, opened at `opened`.
    fn name(&self, opened: Timestamp, batch: u64) -> String;
    /// The batch number in a name that this target made; `None` for any other file.
    fn number_of(&self, name: &str) -> Option<u64>;
    /// Writes the items down. Pure: the same items give the same bytes. `columns` are the keys of the
    /// flow's `map` in order; without them the first row's fields are taken.
    fn encode(&self, columns: Option<&[String]>, items: &[Item]) -> Encoded;
    /// Takes a file of this target apart into one hash a data row, as `row_hashes` of `encode` has them.
    fn rows_of(&self, bytes: &[u8]) -> Result<Vec<crate::Hash>, Malformed>;
    fn place(&self) -> Arc<dyn Place>;
    /// Where the other side says what became of the records.
    fn acks(&self) -> Option<&crate::Acks> {
        None
    }
}

#[derive(Clone, Debug, Default)]
pub struct Encoded {
    pub bytes: Vec<u8>,
    /// Data rows in the file.
    pub rows: usize,
    /// For each item in order: the hashes of its rows, or why it cannot be written down.
    pub items: Vec<Result<Vec<crate::Hash>, Malformed>>,
}

/// A folder, here or elsewhere. A file appears under its final name whole or not at all.
#[async_trait]
pub trait Place: Send + Sync {
    /// Writes the bytes under the temporary name of `name`, to disk, replacing an earlier try.
    async fn stage(&self, name: &str, bytes: &[u8]) -> Result<(), Error>;
    /// Renames the staged file to `name`. Only called when it is recorded that it was staged:
    /// so where the temporary file is gone, it was published before.
    async fn publish(&self, name: &str) -> Result<Published, Error>;
    /// The final names whose temporary files lie there, finished or not.
    async fn staged(&self) -> Result<Vec<String>, Error>;
    /// Removes the temporary files of these final names.
    async fn discard(&self, names: &[String]) -> Result<(), Error>;
    /// The file names in the folder, temporary ones left out.
    async fn list(&self) -> Result<Vec<String>, Error>;
    async fn read(&self, name: &str) -> Result<Vec<u8>, Error>;
    /// The regular files with safe names, sorted by name; none where the folder is not there yet.
    async fn entries(&self) -> Result<Vec<Entry>, Error>;
    /// What `entries` shows of this file now; `None` where there is no such regular file.
    async fn entry(&self, name: &str) -> Result<Option<Entry>, Error>;
    /// Opens a file to be read from its beginning. One that is not there is `Transient`: its writer may have
    /// taken it back.
    async fn open(&self, name: &str) -> Result<Box<dyn Reading>, Error>;
    /// Moves the file into a folder below this one, made if it is missing, under the given name. It is left alone
    /// where it is no longer as the entry says, so that what came in its place is not taken for it. Another file
    /// is never replaced: that is a `Conflict`, for the caller to choose another name.
    async fn put_away(&self, entry: &Entry, folder: &str, as_name: &str) -> Result<Away, Error>;
    /// Removes the file, unless it is no longer as the entry says.
    async fn remove(&self, entry: &Entry) -> Result<Away, Error>;
    /// Writes a small file into a folder below this one, made if it is missing: whole or not at all, in the place
    /// of an earlier one of the same name.
    async fn note(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), Error>;
    /// The place as a person knows it.
    fn describe(&self) -> String;
    /// Checks that files can be written here, and leaves nothing behind.
    async fn probe(&self) -> Result<String, Error>;
}

/// A file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub size: u64,
    /// When its content changed last by the place's own clock; `None` where it does not say.
    pub modified: Option<Stamp>,
}

/// A file's bytes, a part at a time.
#[async_trait]
pub trait Reading: Send {
    /// The next part, never empty; `None` at the end of the file.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error>;
}

/// What became of a file that was to be put away or removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Away {
    Done,
    /// It was not there any more: an earlier run, or somebody else, had done it.
    Gone,
    /// Another file stands under its name now, or it was written to. It was not touched.
    Changed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    Now,
    /// The temporary file was gone: an earlier run had renamed it.
    Before,
}
