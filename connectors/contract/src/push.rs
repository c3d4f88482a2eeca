//! Targets that take records one by one: an ERP behind an API. The daemon decides what is to be sent and
//! in which order, remembers which record became what there, and keeps count of tries; a target turns one wish
//! into one request and tells truthfully what came of it.
//!
//! **Three results.** A call is done (`Ok`), known not to be done, or unknown. Unknown is
//! [`Fault::Transient`] with `reached: true`: the request left and no answer came that says what became of
//! it. Everything rests on this being told truly: what is called done is never sent again, what is called not
//! done is sent again at once, and only what is called unknown is looked for first.
//!
//! | the other side | the fault | what the daemon does |
//! |---|---|---|
//! | no connection, name not found, the circuit is open | `Transient { reached: false }` | leaves the target alone for a while; nothing is held against the record |
//! | time-out, reset, 5xx, an answer cut short, a batch answer that leaves the item out | `Transient { reached: true }` | a create is in doubt: it waits, looks twice (`find`), sends again with the same key and bytes; an update or a cancel is repeated |
//! | 429 | `Throttled` | waits as it was asked to; nothing is held against the record |
//! | a status of `conflict:` | `Conflict` | looks (`find`) and compares: ours is done, another's is parked |
//! | 400, 404, 422, an error inside a 200 | `Rejected` | tries again at most twice, then parks the record with these words |
//! | 401, 403, a wrong certificate | `Denied` | leaves the target alone until a person acts; nothing is held against the record |
//!
//! **Who repeats.** A target never repeats a create, update or cancel that may have been carried out, whatever
//! its patience: that is the daemon's business, which has it on disk. It may repeat what it knows was not
//! carried out (429, no connection) and any looking call, within the patience of its seams.
//!
//! **What an error carries.** [`Error::exchange`]: the request and the answer with every secret masked, for
//! `failures show`. `answer` has the other side's own words, short.

use async_trait::async_trait;
use std::time::Duration;

use crate::{Cursor, Error, Key, Malformed, Stamp, Value};

/// One record on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Its key at the source; for messages.
    pub key: Key,
    /// What the flow's mapping made of it. Frozen: a create that is sent again has the same, so the request
    /// made of it must depend on nothing else but the settings (no clock, no chance, no counter).
    pub record: Value,
    /// Derived from the data, so that even a lost state file makes the same ones:
    /// `selorax:{store}:{id}:create`, `…:update:{content hash}`, `…:cancel`. What the target lost is created under
    /// `…:create:{hash of its id there}`, and what it is given once more under `…:update:{content hash}:{number}`:
    /// under the old key it would answer for what it did before.
    pub idempotency: String,
    /// Pieces sold at the other side that the record's level does not contain yet; only filled in for a target with
    /// [`Abilities::levels`], which takes them off what it writes.
    pub sold: u64,
    /// When the source says that it changed. What is older than what was written last is not written any more.
    pub stamp: Option<Stamp>,
}

/// What a target can do, as its settings have it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// A record that is there can be given new content. Without: a change of one that was sent is noted.
    pub update: bool,
    /// A record that is there can be cancelled.
    pub cancel: bool,
    /// A record can be looked for by its own content ([`RecordTarget::find`]).
    pub find: bool,
    /// A record that is there can be read, and its content compared ([`RecordTarget::compare`]).
    pub compare: bool,
    /// The other side carries one idempotency key out once, however often it comes. An unanswered create is
    /// then sent again without looking first.
    pub trusts_key: bool,
    /// All records that are there can be listed ([`RecordTarget::list`]).
    pub list: bool,
    /// It takes stock levels: a record says how much there is of something, and the last word counts. Writing one
    /// twice does no harm, and [`Push::sold`] is taken off.
    pub levels: bool,
    /// How many records one call creates at the most; 1 without a batch endpoint, never 0.
    pub batch: usize,
}

/// What to do about an unanswered create (E6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unknown {
    /// Counted from the end of the try, at least as long as the other side may still be at work on it.
    pub wait: Duration,
    /// Between the first look that found nothing and the second.
    pub recheck: Duration,
}

impl Default for Unknown {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(120),
            recheck: Duration::from_secs(30),
        }
    }
}

/// The other side has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The other side's own id; `None` where it did not tell, or the settings have no `id`.
    pub id: Option<Key>,
}

/// A field that is not at the other side what the mapped record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// As `compare:` names it.
    pub field: String,
    pub ours: Value,
    pub theirs: Value,
}

/// A part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    /// The other side's own ids.
    pub ids: Vec<Key>,
    /// Where to go on; `None`: that was all.
    pub next: Option<Cursor>,
}

/// A writing call, to be shown instead of made.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// As many as one call takes.
    Create(&'a [Push]),
    Update(&'a Key, &'a Push),
    Cancel(&'a Key, &'a Push),
}

#[async_trait]
pub trait RecordTarget: Send + Sync {
    fn abilities(&self) -> Abilities;

    /// How many calls it takes at once, at the most. At least 1.
    fn concurrency(&self) -> usize;

    fn unknown(&self) -> Unknown;

    /// Makes one call that creates these records, at most [`Abilities::batch`] of them. One answer a push, in
    /// the order of the pushes; where the answer of a batch leaves one out, that one is
    /// `Transient { reached: true }`. A failure of the whole call is the answer of each. Of `Rejected` for a
    /// whole batch the daemon finds out which record is to blame by sending them one by one.
    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>>;

    /// Gives the record with that id of the other side the push's content. Repeating it must do no harm.
    async fn update(&self, id: &Key, push: &Push) -> Result<Receipt, Error>;

    /// Cancels the record with that id. `push.record` is the record as it is now. One that is cancelled already
    /// may be answered with `Conflict`, which is as good as done if it was tried before.
    async fn cancel(&self, id: &Key, push: &Push) -> Result<(), Error>;

    /// Looks for the record that a create with this mapped record would have made. `None`: it answered, and has
    /// none. Only called with [`Abilities::find`]. More than one that fits is an error (`Rejected`).
    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error>;

    /// Reads the record with that id and compares its content with the mapped record; no differences: it is
    /// ours. `None`: the other side has no such record. Only called with [`Abilities::compare`]. Decimals are
    /// compared as numbers (`10.5` is `10.50`), texts byte for byte.
    async fn compare(&self, id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error>;

    /// Whether `cancel.when` holds. Pure. It sees the canonical record, at the time of the decision; without
    /// [`Abilities::cancel`] the answer is `false`.
    fn cancels(&self, canonical: &Value) -> Result<bool, Malformed>;

    /// The ids of everything that is there, a part at a time. Only called with [`Abilities::list`].
    async fn list(&self, after: Option<&Cursor>) -> Result<Listed, Error>;

    /// The exact request as a `curl` command line, every secret masked as `***`. Pure: for `--dry-run`.
    fn show(&self, act: Act<'_>) -> Result<String, Malformed>;
}
