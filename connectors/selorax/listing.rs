//! One window's listings, and whether they prove that nothing of it is missing. Pure.

use std::collections::{BTreeSet, HashMap};

use contract::{Error, Fault, Key, Stamp};
use rust_decimal::Decimal;

use super::list::List;
use super::resource::Shape;

const LISTINGS_MAX: u32 = 8;
const PAGES_MAX: u64 = 10_000;
/// A count that goes up and down without end must not keep a listing from its end.
const REACH_BACK_MAX: u32 = 50;

/// One go over one window, page by page.
#[derive(Default)]
pub(super) struct Listing {
    /// The page at hand, counted from 1.
    pub(super) page: u64,
    pub(super) rows: u64,
    keys: BTreeSet<Key>,
    first_total: Option<u64>,
    last_total: Option<u64>,
    grew: bool,
    /// The count at the page before.
    counted_before: Option<u64>,
    reached_back: u32,
    last_keys: BTreeSet<Key>,
    /// How many pages in a row were the same as the one before.
    repeated: u32,
}

/// What the listings of one window found together.
#[derive(Default)]
pub(super) struct Union {
    /// Control amount and creation time by key.
    pub(super) found: HashMap<Key, (Option<Decimal>, Option<Stamp>)>,
    listings: u32,
    /// What the store counted in the listings that the union is made of.
    counted: Option<u64>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Proven,
    Again,
    /// It will not add up. What the store counted at last.
    Short(Option<u64>),
}

impl Listing {
    /// A page that keeps coming back would never let the listing end.
    pub(super) fn check_repeats(&mut self, list: &List, shape: &Shape) -> Result<(), Error> {
        let keys = list.keys();
        let same = !list.rows.is_empty() && keys == self.last_keys;
        self.repeated = if same { self.repeated + 1 } else { 0 };
        self.last_keys = keys;
        if self.repeated < 2 && self.page < PAGES_MAX {
            return Ok(());
        }
        let what = format!("page {} is the same as the one before, again and again", self.page);
        Err(Error::new(Fault::Transient { reached: false }, shape.walking(), what)
            .hint("the walk was given up at this window; run it again and it goes on from there"))
    }
}

impl Listing {
    /// What the store counted in all while this listing went on, where its pages do not say it themselves.
    pub(super) fn counted(&mut self, total: Option<u64>) {
        (self.first_total, self.last_total) = (total, total);
    }

    /// Goes back by as many pages as rows were pulled up across an edge that was read already: one for each
    /// that is gone since the page before. Rows that came in between push others down and hide none.
    pub(super) fn reach_back(&mut self, limit: u64) {
        let before = std::mem::replace(&mut self.counted_before, self.last_total);
        let (Some(before), Some(now)) = (before, self.last_total) else {
            return;
        };
        let pages = before.saturating_sub(now).div_ceil(limit.max(1));
        if pages > 0 && self.page > 1 && self.reached_back < REACH_BACK_MAX {
            self.reached_back += 1;
            // The page at hand is behind the gap. The next one asked for is the one after `page`.
            self.page = self.page.saturating_sub(pages + 1);
        }
    }
}

impl Union {
    pub(super) fn take(&mut self, listing: &mut Listing, list: &List, shape: &Shape) {
        listing.rows += list.rows.len() as u64;
        if listing.page == 1 {
            listing.first_total = list.total;
        }
        listing.last_total = list.total;
        for row in &list.rows {
            listing.keys.insert(row.key.clone());
            let known = self.found.insert(row.key.clone(), (row.control, shape.created(row)));
            listing.grew |= known.is_none();
        }
    }

    /// One listing came to its end.
    pub(super) fn judge(&mut self, listing: &Listing) -> Verdict {
        self.listings += 1;
        let steady = listing.first_total == listing.last_total;
        if self.counted != listing.first_total {
            // Something came or went since the listing before: only this one can add up.
            self.found.retain(|key, _| listing.keys.contains(key));
            self.counted = listing.first_total;
        }
        let (distinct, union) = (listing.keys.len() as u64, self.found.len() as u64);
        let proven = match listing.first_total {
            // As many distinct orders as were counted, in this listing or in all of them.
            Some(total) => steady && (distinct == total || union == total),
            None => listing.page == 1 || (self.listings > 1 && !listing.grew),
        };
        // A count that stays off while nothing new turns up is the store's own mistake.
        let hopeless = self.listings >= LISTINGS_MAX || (self.listings >= 3 && steady && !listing.grew);
        match (proven, hopeless) {
            (true, _) => Verdict::Proven,
            (false, true) => Verdict::Short(listing.last_total),
            (false, false) => Verdict::Again,
        }
    }
}

#[cfg(test)]
mod tests {
    use contract::{Hash, Raw, Row, Value};

    use super::*;

    fn list(keys: &[u64], total: Option<u64>) -> List {
        let row = |key: &u64| Row {
            key: Key(key.to_string()),
            stamp: None,
            hash: Hash(0),
            control: None,
            body: Raw::Value(Value::Null),
        };
        List {
            rows: keys.iter().map(row).collect(),
            total,
            limit: None,
        }
    }

    fn go(union: &mut Union, pages: &[(&[u64], u64)]) -> Verdict {
        let mut listing = Listing::default();
        for (keys, total) in pages {
            listing.page += 1;
            union.take(&mut listing, &list(keys, Some(*total)), &crate::selorax::orders::SHAPE);
        }
        union.judge(&listing)
    }

    #[test]
    fn a_listing_proves_itself_by_its_count_and_several_do_together() {
        assert_eq!(go(&mut Union::default(), &[(&[1, 2], 3), (&[3], 3)]), Verdict::Proven);
        let mut union = Union::default();
        // A tie that changes places hides another order each time.
        assert_eq!(go(&mut union, &[(&[1, 2], 3), (&[2], 3)]), Verdict::Again);
        assert_eq!(go(&mut union, &[(&[1, 3], 3), (&[1], 3)]), Verdict::Proven);
    }

    #[test]
    fn a_deletion_between_two_listings_does_not_fill_a_gap() {
        let mut union = Union::default();
        assert_eq!(go(&mut union, &[(&[1, 2], 4), (&[2], 4)]), Verdict::Again);
        // 1 is gone, 4 was hidden both times: 1, 2 and 3 are three, and not the three that are there.
        assert_eq!(go(&mut union, &[(&[2, 3], 3), (&[3], 3)]), Verdict::Again);
        assert_eq!(go(&mut union, &[(&[2, 3], 3), (&[4], 3)]), Verdict::Proven);
    }

    #[test]
    fn a_count_that_stays_off_is_given_up_after_three() {
        let mut union = Union::default();
        let verdicts: Vec<Verdict> = (0..3).map(|_| go(&mut union, &[(&[1, 2], 9)])).collect();
        assert_eq!(verdicts, [Verdict::Again, Verdict::Again, Verdict::Short(Some(9))]);
    }
}
