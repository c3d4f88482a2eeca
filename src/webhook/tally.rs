//! What became of calls since the start, by kind. Numbers only: no call that is refused leaves anything else behind.

use std::sync::atomic::{AtomicU64, Ordering};

/// What became of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
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

/// With a word for programs and some for people.
const KINDS: [(Told, &str, &str); 11] = [
    (Told::Accepted, "accepted", "accepted"),
    (Told::Duplicate, "duplicate", "duplicate"),
    (Told::Ignored, "ignored", "ignored"),
    (Told::Stale, "stale", "with an old signature"),
    (Told::Conflicting, "conflicting", "of a known id with another body"),
    (
        Told::Contradicted,
        "contradicted",
        "with headers that contradict the body",
    ),
    (Told::Missing, "missing_header", "without a header"),
    (Told::Unsigned, "unsigned", "not signed by any of the secrets"),
    (Told::Malformed, "malformed", "signed and no event"),
    (Told::Unfit, "unfit", "not fit for this address"),
    (Told::Deferred, "deferred", "put off"),
];

#[derive(Debug, Default)]
pub(super) struct Tally([AtomicU64; KINDS.len()]);

impl Tally {
    pub(super) fn count(&self, told: Told) {
        self.0[told as usize].fetch_add(1, Ordering::Relaxed);
    }

    fn of(&self, told: Told) -> u64 {
        self.0[told as usize].load(Ordering::Relaxed)
    }

    /// All kinds, by a word for programs.
    pub(super) fn counts(&self) -> Vec<(&'static str, u64)> {
        KINDS.iter().map(|(told, word, _)| (*word, self.of(*told))).collect()
    }

    /// All kinds that there were, in words; `None`: there was no call.
    pub(super) fn told(&self) -> Option<String> {
        let counts = KINDS.iter().map(|(told, _, words)| (self.of(*told), words));
        let words: Vec<String> = counts
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}"))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_counted_by_itself_and_told_if_there_was_any() {
        let tally = Tally::default();
        assert_eq!(tally.told(), None);
        for (n, (told, ..)) in KINDS.iter().enumerate() {
            (0..=n).for_each(|_| tally.count(*told));
        }
        let told = tally.told().unwrap_or_default();
        for (n, (_, _, word)) in KINDS.iter().enumerate() {
            assert!(told.contains(&format!("{} {word}", n + 1)), "{told}");
        }
    }
}
