//! Sources whose records come in files that somebody drops into a folder. A file is a unit: it is taken whole or
//! refused whole, so a source must never hand out rows of a file without telling what is wrong with the others.

use std::sync::Arc;
use std::time::Duration;

use crate::{Hash, Malformed, Place, Value};

/// A resource that is read from files.
pub trait FileSource: Send + Sync {
    fn place(&self) -> Arc<dyn Place>;
    fn terms(&self) -> &Terms;
    /// Whether a file of this name is one of this source, and what the name says of its order among them.
    fn placed(&self, name: &str) -> Placed;
    /// The name of the file that tells that this one is complete, where one is needed.
    fn marker(&self, name: &str) -> Option<String>;
    /// Reads one file. `needed`: fields without which its rows make no sense.
    fn rows(&self, needed: &[String]) -> Box<dyn FileRows>;
    /// The number that this text is in the number format of these files.
    fn number(&self, text: &str) -> Result<crate::Number, Malformed>;
    /// The record of a key that is not in a file; for `absent_zero`.
    fn absent(&self, key: &str) -> Value;
}

/// Files in which the other side says what became of records that were written for it.
#[derive(Clone)]
pub struct Acks {
    pub files: Arc<dyn FileSource>,
    /// The columns with the record's key, what became of it, and the other side's words.
    pub id: String,
    pub status: String,
    pub message: Option<String>,
    /// What the status is of a record that was taken; any other one refuses it.
    pub ok: Vec<String>,
}

impl std::fmt::Debug for Acks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Acks").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What a name says of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It is none of this source.
    Foreign,
    /// It is; its time of change says which file is newer.
    ByTime,
    /// It is; the greater number is the newer file.
    By(i64),
}

/// What is done with the files of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// A file that has not changed for so long is complete …
    pub settle: Duration,
    /// … and so often that is looked at.
    pub poll: Duration,
    pub mode: FileMode,
    pub after: After,
    /// A row that cannot be read fails alone, instead of the whole file with it.
    pub skips_rows: bool,
    /// Of a snapshot: what is not in the file is zero.
    pub absent_zero: bool,
    /// The column that tells records apart; none where each row is a record of its own.
    pub primary_key: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileMode {
    /// Each row says how something is.
    Snapshot,
    /// Each row says by how much something changes: it counts once for each file.
    Delta,
}

/// What becomes of a file that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    Archive,
    Delete,
    Keep,
}

/// One row of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileRow {
    /// Where it begins, counted from 1.
    pub line: u64,
    /// What the key's column says; empty where there is none, or it says nothing.
    pub key: String,
    /// Of its cells.
    pub hash: Hash,
    /// The record, or what is wrong with this row.
    pub record: Result<Value, Malformed>,
}

/// Why a file is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Broken {
    /// It is wrong as a whole.
    Refused { line: Option<u64>, why: String },
    /// What tells its end is not there yet.
    Incomplete(String),
}

/// A file while it is read, from its bytes in whatever parts they come.
pub trait FileRows: Send {
    /// Takes the next bytes and adds the rows that they complete.
    fn take(&mut self, bytes: &[u8], rows: &mut Vec<FileRow>) -> Result<(), Broken>;
    /// There are no more bytes. Adds the rows that were still to come.
    fn end(&mut self, rows: &mut Vec<FileRow>) -> Result<(), Broken>;
}
