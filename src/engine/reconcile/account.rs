//! What a reconciliation found and did, in numbers that add up, with the first of each kind by name.

use std::collections::BTreeMap;

use contract::{Abilities, Difference, Hash, Key};

use crate::store::Sent;

/// So many of each kind are told by name.
const FIRST: usize = 20;

/// A set of ids: how many, and a fingerprint that does not depend on their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    pub count: u64,
    pub hash: i64,
}

impl Ids {
    pub(super) fn add(&mut self, id: &Key) {
        self.count += 1;
        self.hash = self.hash.wrapping_add(Hash::of(id.0.as_bytes()).0);
    }
}

/// Why nothing was said of a record, or of its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Skip {
    /// A version of it waits to be sent, or it was sent while this went on.
    Waiting,
    Parked,
    /// It is not what was sent any more: the next pass sends it.
    Changed,
    /// The same, and the target has no `update`.
    Untold,
    /// It is what it was, and refers to a record that has another id at the target by now.
    Moved,
    /// The mapping is another one than it was sent by.
    Remapped,
    /// It is no longer at the source.
    Gone,
    /// It could not be read, mapped or looked for.
    Unclear,
}

impl Skip {
    /// Whether something is left to be done about such a record before both sides can be called equal.
    pub fn is_open(self) -> bool {
        match self {
            Skip::Waiting | Skip::Parked | Skip::Changed | Skip::Moved | Skip::Unclear => true,
            Skip::Untold | Skip::Remapped | Skip::Gone => false,
        }
    }
}

/// What a look at a record came to.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    Equal,
    /// It is there although the listing does not have it.
    Unlisted,
    Missing,
    /// `found`: it is there under another id than the one that is known.
    Different {
        fields: Vec<Difference>,
        found: Option<Key>,
    },
    Skipped(Skip, String),
}

/// A record that is not there as it should be.
#[derive(Clone, Debug)]
pub struct Finding {
    pub key: Key,
    /// What this state calls it at the target.
    pub id: Option<Key>,
    /// Of a different one.
    pub fields: Vec<Difference>,
    /// The id that it has at the target instead.
    pub found: Option<Key>,
}

/// Of one that was not looked at, or not to its end.
#[derive(Clone, Debug)]
pub struct Skipped {
    pub key: Key,
    pub skip: Skip,
    /// Where there is more to say.
    pub why: String,
}

/// What was asked of a repair and what it came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repair {
    /// Records that it could do something about.
    pub wanted: u64,
    pub at_most: u64,
    /// There are more than that, so nothing was done.
    pub refused: bool,
    /// Looked at again, and equal.
    pub repaired: u64,
    /// Missing or different still, of those that it could do something about.
    pub left: u64,
}

/// What was found of one flow.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub flow: String,
    pub feed: String,
    pub target: String,
    pub abilities: Abilities,
    /// Why the flow cannot be reconciled, and what to configure.
    pub cannot: Option<String>,
    /// It ended before its end for this.
    pub error: Option<String>,
    /// What the target should hold of it.
    pub held: u64,
    pub equal: u64,
    pub missing: u64,
    pub different: u64,
    pub skipped: BTreeMap<Skip, u64>,
    /// Of those that are there: not in the listing, which then is not one of all.
    pub unlisted: u64,
    /// Listed, and unknown to this state. `None`: there is no listing.
    pub extra: Option<u64>,
    /// The ids that the state has, and those that are listed of the same records or are unknown.
    pub ids: Option<(Ids, Ids)>,
    pub first_missing: Vec<Finding>,
    pub first_different: Vec<Finding>,
    pub first_extra: Vec<Key>,
    pub first_skipped: Vec<Skipped>,
    pub repair: Option<Repair>,
}

impl Account {
    /// How many the target was asked about and answered.
    pub fn checked(&self) -> u64 {
        self.equal + self.missing + self.different
    }

    /// Missing or different, after what was repaired.
    pub fn remaining(&self) -> u64 {
        let repaired = self.repair.map_or(0, |repair| repair.repaired);
        (self.missing + self.different).saturating_sub(repaired)
    }

    /// Records of which it cannot be said that both sides are equal, though it will be possible.
    pub fn open(&self) -> u64 {
        let open = self.skipped.iter().filter(|(skip, _)| skip.is_open());
        open.map(|(_, count)| count).sum()
    }

    pub(super) fn note(&mut self, sent: &Sent, verdict: &Verdict) {
        let finding = |fields: &[Difference], found: Option<&Key>| Finding {
            key: sent.key.clone(),
            id: sent.id.clone(),
            fields: fields.to_vec(),
            found: found.cloned(),
        };
        match verdict {
            Verdict::Equal => self.equal += 1,
            Verdict::Unlisted => {
                self.equal += 1;
                self.unlisted += 1;
            }
            Verdict::Missing => {
                self.missing += 1;
                first(&mut self.first_missing, || finding(&[], None));
            }
            Verdict::Different { fields, found } => {
                self.different += 1;
                first(&mut self.first_different, || finding(fields, found.as_ref()));
            }
            Verdict::Skipped(skip, why) => {
                *self.skipped.entry(*skip).or_default() += 1;
                first(&mut self.first_skipped, || Skipped {
                    key: sent.key.clone(),
                    skip: *skip,
                    why: why.clone(),
                });
            }
        }
    }

    pub(super) fn note_extra(&mut self, id: Key) {
        *self.extra.get_or_insert(0) += 1;
        first(&mut self.first_extra, || id);
    }
}

fn first<T>(known: &mut Vec<T>, one: impl FnOnce() -> T) {
    if known.len() < FIRST {
        known.push(one());
    }
}
