//! What a page of a walk by keyset says about itself, and whether the store's counts agree with it. Pure.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use contract::{Key, Stamp};
use rust_decimal::Decimal;

use super::read;

const SECOND_MS: i64 = 1000;

/// What a page that begins at some stamp, oldest first, says about itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// It cannot be right; why not.
    Odd(String),
    /// Rows from before the page's beginning: the store does not mind `since`.
    Ignored,
    /// No row tells its time, so nobody knows where to go on.
    Timeless,
    /// In order, to this stamp.
    Upto(Stamp),
}

pub(super) fn shown(stamps: &[Option<Stamp>], from: Option<Stamp>) -> Shown {
    let told: Vec<Stamp> = stamps.iter().copied().flatten().collect();
    // Rows that a server with whole seconds rounds in are no sign of anything.
    if from.is_some_and(|from| told.iter().any(|stamp| *stamp < from - SECOND_MS)) {
        return Shown::Ignored;
    }
    if let Some(pair) = told.windows(2).find(|pair| pair[0] > pair[1]) {
        let (before, behind) = (read::show(pair[0]), read::show(pair[1]));
        return Shown::Odd(format!("it is not oldest first: {behind} stands behind {before}"));
    }
    told.last().map_or(Shown::Timeless, |last| Shown::Upto(*last))
}

/// What was shown from one stamp up to another, until the next page's count says whether that is all.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) from: Option<Stamp>,
    pub(super) to: Stamp,
    /// What the store counted from `from` on.
    pub(super) total: Option<u64>,
    /// All that was shown of it.
    pub(super) keys: BTreeSet<Key>,
    /// How many of these it still holds, where a later look at it told.
    pub(super) left: Option<u64>,
    /// Rows that do not tell their time: they may belong to it, or stand on its end.
    pub(super) untimed: u64,
    /// What of it the walk covers, with control amounts.
    pub(super) covered: Vec<(Key, Option<Decimal>)>,
}

impl Span {
    pub(super) fn shown(&self) -> RangeInclusive<u64> {
        let told = self.left.unwrap_or(self.keys.len() as u64);
        told..=told + self.untimed
    }

    /// How many records the store counted behind it, as far as its own page told.
    pub(super) fn to_come(&self) -> Option<u64> {
        self.total?.checked_sub(*self.shown().end())
    }
}

/// What two counts, from the span's beginning and from its end on, say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    /// As many as were shown.
    All,
    Fewer,
    More,
    /// The counts are the same, as if the store left `since` out of them.
    Nothing,
}

/// Several such answers about one span. Something may come or go between the two, which moves one count and
/// not the other. Asked in turns, that makes the difference too small at one time and too large at another:
/// so a shop that moves says both, and a row that is missing makes all of them say more.
#[derive(Debug, Default)]
pub(super) struct Counts {
    fewer: bool,
    more: bool,
    nothing: u32,
    said: u32,
}

impl Counts {
    /// `shown`: at least and at most so many.
    pub(super) fn say(&mut self, from: u64, to: u64, shown: RangeInclusive<u64>) -> Says {
        let says = match (from.checked_sub(to), *shown.end()) {
            (Some(counted), _) if shown.contains(&counted) => Says::All,
            (Some(0), _) => Says::Nothing,
            (Some(counted), shown) if counted > shown => Says::More,
            (Some(_) | None, _) => Says::Fewer,
        };
        self.said += 1;
        self.fewer |= matches!(says, Says::Fewer | Says::Nothing);
        self.more |= says == Says::More;
        self.nothing += u32::from(says == Says::Nothing);
        says
    }

    pub(super) fn contradict_themselves(&self) -> bool {
        self.fewer && self.more
    }

    /// Every answer counted the same from both ends.
    pub(super) fn are_no_counts(&self) -> bool {
        self.nothing > 2 && self.nothing == self.said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: Stamp = 1_750_000_000_000;

    #[test]
    fn a_page_is_believed_when_it_is_oldest_first_and_not_before_its_beginning() {
        let at = |seconds: &[i64]| -> Vec<Option<Stamp>> { seconds.iter().map(|s| Some(T + s * 1000)).collect() };
        assert_eq!(shown(&at(&[0, 0, 3]), Some(T)), Shown::Upto(T + 3000));
        assert_eq!(shown(&at(&[0, 0, 3]), None), Shown::Upto(T + 3000));
        assert_eq!(shown(&at(&[0]), Some(T + 1)), Shown::Upto(T), "rounded to the second");
        assert_eq!(shown(&at(&[-2, 0]), Some(T)), Shown::Ignored);
        assert!(matches!(shown(&at(&[0, 3, 2]), Some(T)), Shown::Odd(why) if why.contains("oldest first")));
        assert_eq!(shown(&[None, None], Some(T)), Shown::Timeless);
        assert_eq!(shown(&[None, Some(T), None], Some(T)), Shown::Upto(T));
        assert_eq!(shown(&[], None), Shown::Timeless);
    }

    #[test]
    fn two_counts_say_what_lies_between_them() {
        let mut counts = Counts::default();
        assert_eq!(counts.say(100, 60, 40..=40), Says::All);
        assert_eq!(counts.say(100, 60, 41..=41), Says::Fewer);
        assert!(!counts.contradict_themselves());
        assert_eq!(counts.say(100, 60, 38..=39), Says::More);
        assert!(counts.contradict_themselves());
        let mut counts = Counts::default();
        assert_eq!(counts.say(60, 100, 4..=4), Says::Fewer);
        assert_eq!(counts.say(100, 99, 0..=1), Says::All);
    }

    #[test]
    fn counts_that_leave_since_out_are_none() {
        let mut counts = Counts::default();
        for _ in 0..3 {
            assert_eq!(counts.say(100, 100, 7..=7), Says::Nothing);
        }
        assert!(counts.are_no_counts());
        counts.say(101, 100, 7..=7);
        assert!(!counts.are_no_counts());
    }
}
