//! Records as a source shows them: first as rows of a page, then in canonical form.

use rust_decimal::Decimal;
use sha2::{Digest, Sha256};

use crate::{Stamp, Value};

/// A record's identity inside one system, as text. Never compared across systems.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub String);

/// Where a feed left off. Minted and read by its source only; stored and shown by the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(pub String);

/// The first 64 bits of a SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash(pub i64);

impl Hash {
    pub fn of(bytes: &[u8]) -> Hash {
        Hash::first_bytes(Sha256::digest(bytes).as_slice())
    }

    fn first_bytes(digest: &[u8]) -> Hash {
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        Hash(i64::from_be_bytes(first))
    }

    pub fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

/// One item of a page. `body` is what the source makes a record of; `hash` covers it byte for byte.
#[derive(Clone, Debug)]
pub struct Row {
    pub key: Key,
    /// When the source says it changed last; `None` where it does not say, or says nonsense.
    pub stamp: Option<Stamp>,
    pub hash: Hash,
    /// The amount that a coverage report adds up, in the feed's currency.
    pub control: Option<Decimal>,
    pub body: Raw,
}

/// What one system said of one record, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Raw {
    Value(Value),
    /// Could not even be read as a value; the reason.
    Unreadable(String),
}

/// A record in canonical form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    Whole {
        value: Value,
        /// What a person should know of it although it is sent as it came.
        flags: Vec<String>,
    },
    /// The row is only an index entry: the record must be read by its key.
    Partial,
    /// What is read under one key is several records, such as the stock of each variant of a product. A
    /// part's key in the state is `KEY:PART`; a part that is no longer among them is gone.
    Parts(Vec<Part>),
}

/// One of several records that a system shows under one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Tells it from the others under that key, for good.
    pub id: String,
    pub value: Value,
    pub flags: Vec<String>,
}

impl Key {
    /// The key of a part of this record.
    pub fn part(&self, id: &str) -> Key {
        Key(format!("{}:{id}", self.0))
    }

    /// The key to read this record under, which is another one for a part.
    pub fn whole(&self) -> Key {
        Key(self.0.split(':').next().unwrap_or_default().to_owned())
    }
}
