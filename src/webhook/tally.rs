//! What became of calls since the start, by kind. Numbers only: no call that is refused leaves anything else behind.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    Accepted,
    Duplicate,
    Ignored,
    /// Accepted, though its signature was too old.
    Stale,
    /// A duplicate that said something else than the first.
    Conflicting,
    /// Its headers said something else than its body.
    Contradicted,
    /// A header is missing.
    Missing,
    /// Not signed with one of the secrets.
    Unsigned,
    /// Signed, and no event.
    Malformed,
    /// Not what HTTP or this address allows.
    Unfit,
    /// Could not be kept, and may come again.
    Deferred,
}

const KINDS: usize = 11;

#[derive(Debug, Default)]
pub struct Tally([AtomicU64; KINDS]);

impl Tally {
    pub(super) fn count(&self, told: Told) {
        self.0[told as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub fn of(&self, told: Told) -> u64 {
        self.0[told as usize].load(Ordering::Relaxed)
    }
}
