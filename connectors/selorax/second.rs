//! More records of one stamp than fit on a page: the pages behind the first of that query are listed, again
//! and again, until as many distinct records came as the store counts. Rows with equal stamps have no order
//! of their own, so each listing may hide others. Must never take one quiet listing for a proof where the
//! store counts.

use contract::{Error, Key, Row, Stamp, Step};

use super::api::Listed;
use super::keyset::Keyset;
use super::list::List;
use super::listing::{Listing, Union, Verdict};

const SECOND_MS: i64 = 1000;
/// How often it is tried to count while the count moves.
const COUNTS_MAX: u32 = 4;

pub(super) struct Second {
    stamp: Stamp,
    listing: Listing,
    union: Union,
    /// Rows of this listing, those behind the stamp among them.
    shown: u64,
}

impl Second {
    pub(super) fn new(stamp: Stamp) -> Second {
        Second {
            stamp,
            listing: Listing::default(),
            union: Union::default(),
            shown: 0,
        }
    }

    fn start_over(&mut self) {
        self.listing = Listing::default();
        self.shown = 0;
    }
}

impl Keyset {
    /// One page of a listing of the records with one stamp.
    pub(super) async fn list_second(&mut self, mut second: Second) -> Result<Step, Error> {
        let at = second.stamp;
        second.listing.page += 1;
        let ask = self.ask(Some(at), self.limit);
        let list = match self.feed.page(&ask, second.listing.page).await? {
            Listed::Page(list) => list,
            Listed::TooLarge if self.limit > 1 => {
                self.limit /= 2;
                second.start_over();
                self.second = Some(second);
                return Ok(self.nothing_yet());
            }
            Listed::TooLarge => return Err(self.feed.too_large()),
        };
        self.feed.resource.study(&self.feed.api, &list.rows).await?;
        second.listing.check_repeats(&list, self.feed.shape())?;
        second.shown += list.rows.len() as u64;
        let full = list.rows.len() as u64 >= list.limit.unwrap_or(self.limit).min(self.limit);
        let counted = list.total.filter(|_| !self.countless);
        let is_behind = |row: &Row| self.stamp(row).is_some_and(|stamp| stamp > at);
        let behind = list.rows.iter().position(is_behind);
        let ended = list.rows.is_empty()
            || behind.is_some()
            || (!full && counted.is_some_and(|counted| counted <= second.shown));
        let mut mine = List {
            rows: list.rows,
            ..List::default()
        };
        mine.rows.truncate(behind.unwrap_or(mine.rows.len()));
        second.union.take(&mut second.listing, &mine, self.feed.shape());
        let mut step = self.nothing_yet();
        step.rows = self.hand_on(mine.rows);
        self.edge
            .extend(step.rows.iter().map(|row| (row.key.clone(), row.hash)));
        if !ended {
            self.second = Some(second);
            return Ok(step);
        }
        let counted = self.count_second(at).await?;
        second.listing.counted(counted);
        match second.union.judge(&second.listing) {
            Verdict::Again => {
                second.start_over();
                self.second = Some(second);
            }
            Verdict::Proven => self.close_second(second, &mut step),
            Verdict::Short(counted) => {
                let (found, counted) = (second.union.found.len() as u64, counted.unwrap_or(0));
                step.notes.push(self.unproven(Some((Some(at), at)), found, counted));
                self.close_second(second, &mut step);
            }
        }
        Ok(step)
    }

    fn close_second(&mut self, second: Second, step: &mut Step) {
        let found = second.union.found.into_iter();
        let inside = found.filter(|(_, (_, created))| self.inside(*created));
        step.covered = inside
            .map(|(key, (control, _))| (key, control))
            .collect::<Vec<(Key, _)>>();
        self.cover(&mut step.covered);
        // A store that keeps finer times than seconds may have records within this one.
        let next = second.stamp + 1;
        self.at = Some(next);
        self.edge.clear();
        step.cursor = Some(self.position(next));
        step.progress = self.nothing_yet().progress;
    }

    /// How many records have this stamp, told by the counts from it on and from behind it on. `None` where the
    /// store does not say, or where it never stands still for three answers.
    async fn count_second(&mut self, at: Stamp) -> Result<Option<u64>, Error> {
        if self.countless {
            return Ok(None);
        }
        let behind = if at % SECOND_MS == 0 { at + SECOND_MS } else { at + 1 };
        let mut before = self.count(at).await?;
        for _ in 0..COUNTS_MAX {
            let beyond = self.count(behind).await?;
            let after = self.count(at).await?;
            let (Some(all), Some(beyond), Some(again)) = (before, beyond, after) else {
                return Ok(None);
            };
            if all == again {
                return Ok(all.checked_sub(beyond));
            }
            before = after;
        }
        Ok(None)
    }

    async fn count(&self, since: Stamp) -> Result<Option<u64>, Error> {
        match self.feed.page(&self.ask(Some(since), 1), 1).await? {
            Listed::Page(list) => Ok(list.total),
            Listed::TooLarge => Ok(None),
        }
    }
}
