//! Walking history by keyset: each page begins with the stamp that the page before ended with, so every
//! request is the first page of its query and nothing can shift out of it while rows come and go.
//!
//! Customers are walked by creation. Products are walked by change, because that is what their `since` is
//! about: one that is touched meanwhile jumps to the end and is met again there. What a page showed is
//! held against the store's counts from its beginning and from its end on; what never adds up is told,
//! not believed. Must never go on from a page that is out of order.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use contract::{Cursor, Error, Fault, Hash, Key, Pass, Progress, Row, Stamp, Step, Use, Value, Window};
use rust_decimal::Decimal;

use super::api::Listed;
use super::feed::{Ask, Feed, PAGE_MAX};
use super::history::History;
use super::list::List;
use super::read;
use super::second::Second;
use super::span::{Shown, Span, shown};

/// How often something doubtful is asked for before it is believed.
const DOUBTS_MAX: u32 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Created,
    Changed,
}

pub(super) struct Keyset {
    pub(super) feed: Feed,
    pub(super) by: By,
    /// Times of creation, as the user gave them.
    since: Option<Stamp>,
    until: Option<Stamp>,
    /// Where the page at hand begins; `None`: where the list does.
    pub(super) at: Option<Stamp>,
    pub(super) limit: u64,
    /// What was shown with the stamp that the page at hand begins with.
    pub(super) edge: HashSet<(Key, Hash)>,
    pub(super) span: Option<Span>,
    /// More records than fit on a page have the stamp that the page begins with.
    pub(super) second: Option<Second>,
    doubts: u32,
    /// Empty pages in a row that nothing contradicts; other doubts make none of them more believable.
    empties: u32,
    /// The page at hand was older than a count, once already.
    asked_again: bool,
    /// What was counted from the page at hand on when the span before it was closed. A page that shows less
    /// ends nothing.
    counted: Option<u64>,
    /// By change only: what was covered, because a record that is touched is met again. A walk that is gone
    /// on with does not know what was covered before, and may count such a record twice.
    met: HashSet<Key>,
    /// Records that do not tell the time the walk goes by, which may be shown at the edge of two pages.
    untimed: HashSet<Key>,
    pub(super) seen: u64,
    total: Option<u64>,
    /// The store's counts do not depend on `since`: they prove the whole only.
    pub(super) countless: bool,
    /// The store does not mind `since`: everything is listed instead.
    whole: Option<History>,
}

impl Keyset {
    pub(super) fn new(feed: Feed, by: By, window: Window, resume: Option<&Cursor>) -> Keyset {
        let stamp = |time: jiff::Timestamp| time.as_millisecond();
        let since = window.since.map(stamp);
        let mut walk = Keyset {
            feed,
            by,
            since,
            until: window.until.map(stamp),
            at: since.filter(|_| by == By::Created),
            limit: PAGE_MAX,
            edge: HashSet::new(),
            span: None,
            second: None,
            doubts: 0,
            empties: 0,
            asked_again: false,
            counted: None,
            met: HashSet::new(),
            untimed: HashSet::new(),
            seen: 0,
            total: None,
            countless: false,
            whole: None,
        };
        walk.resume(resume);
        walk
    }

    fn resume(&mut self, cursor: Option<&Cursor>) -> Option<()> {
        let position = Value::parse(&cursor?.0).ok()?;
        let number = |name| position.get(name).and_then(read::count);
        let (at, seen) = (position.get("at").and_then(read::stamp)?, number("seen")?);
        let is_whole = position.get("end").is_some();
        // A listing of everything begins where it began before, and has covered nothing.
        let at = Some(at).filter(|at| !is_whole || *at > 0).or(self.at);
        (self.at, self.seen, self.total) = (at, seen, number("total"));
        if is_whole {
            self.walk_whole();
        }
        Some(())
    }

    pub(super) fn position(&self, at: Stamp) -> Cursor {
        let total = self.total.map_or("null".to_owned(), |total| total.to_string());
        let (at, seen) = (read::show(at), self.seen);
        Cursor(format!(r#"{{"at":"{at}","seen":{seen},"total":{total}}}"#))
    }

    /// What the walk goes by.
    pub(super) fn stamp(&self, row: &Row) -> Option<Stamp> {
        match self.by {
            By::Created => self.feed.shape().created(row),
            By::Changed => row.stamp,
        }
    }

    pub(super) fn ask(&self, since: Option<Stamp>, limit: u64) -> Ask {
        Ask {
            sort: match self.by {
                By::Created => "created_at:asc",
                By::Changed => "updated_at:asc",
            },
            since,
            until: None,
            limit,
            purpose: Use::History,
        }
    }

    /// Whether a record is what the user asked for. One that does not tell when it was created is.
    pub(super) fn inside(&self, created: Option<Stamp>) -> bool {
        created.is_none_or(|created| {
            self.since.is_none_or(|since| created >= since) && self.until.is_none_or(|until| created <= until)
        })
    }

    /// Counts records, each once.
    pub(super) fn cover(&mut self, covered: &mut Vec<(Key, Option<Decimal>)>) {
        if self.by == By::Changed {
            covered.retain(|(key, _)| self.met.insert(key.clone()));
        }
        self.seen += covered.len() as u64;
    }

    pub(super) fn nothing_yet(&self) -> Step {
        let open = self.span.as_ref().map_or(0, |span| span.covered.len() as u64);
        Step {
            progress: Progress {
                seen: self.seen + open,
                total: self.total,
            },
            ..Step::default()
        }
    }

    /// Hands on what is in scope and was not handed on a moment ago.
    pub(super) fn hand_on(&self, rows: Vec<Row>) -> Vec<Row> {
        let created = |row: &Row| self.feed.shape().created(row);
        let fresh = |row: &Row| !self.edge.contains(&(row.key.clone(), row.hash)) && self.inside(created(row));
        rows.into_iter().filter(fresh).collect()
    }

    /// Asks again for what cannot be right, and fails when it comes again.
    fn doubt(&mut self, what: String) -> Result<Step, Error> {
        self.doubts += 1;
        if self.doubts < DOUBTS_MAX {
            return Ok(self.nothing_yet());
        }
        let from = self.at.map_or("the beginning".to_owned(), read::show);
        let what = format!("the page from {from} on cannot be right: {what}");
        Err(
            Error::new(Fault::Transient { reached: false }, self.feed.shape().walking(), what)
                .hint("the walk was given up at this page; run it again and it goes on from there"),
        )
    }

    /// Lists everything instead, which is proven by its count.
    fn walk_whole(&mut self) -> Step {
        // Of an open span nothing is covered yet.
        let begun = self.span.as_ref().map_or(self.at, |span| span.from);
        let not_covered = begun.filter(|_| self.by == By::Created);
        let time = |stamp: Option<Stamp>| stamp.and_then(|stamp| jiff::Timestamp::from_millisecond(stamp).ok());
        let window = Window {
            since: time(not_covered.or(self.since)),
            until: time(self.until),
        };
        self.span = None;
        self.whole = Some(History::whole(self.feed.clone(), window, "created_at:asc"));
        self.nothing_yet()
    }

    async fn empty(&mut self, total: Option<u64>) -> Result<Step, Error> {
        if let Some(counted) = self.counts_more(total, 0) {
            return self.doubt(format!("it is empty, and the store counts {counted}"));
        }
        self.empties += 1;
        if self.empties < DOUBTS_MAX {
            return Ok(self.nothing_yet());
        }
        // A page that was full counted what was to come, the record at its end at least.
        let to_come = self.span.as_ref().and_then(Span::to_come);
        let (mut step, counted) = self.close_span(total).await?;
        let counted = counted.max(to_come);
        if self.counts_more(counted, 0).is_some() {
            // What the span held is handed on all the same; the page is asked for again, and must show more.
            (self.counted, self.doubts) = (counted, self.doubts + 1);
            return Ok(step);
        }
        self.finish(&mut step, total);
        Ok(step)
    }

    /// What the store counted from the page at hand on, now or before, where that is more than was shown.
    fn counts_more(&self, total: Option<u64>, shown: u64) -> Option<u64> {
        let counted = total.max(self.counted).filter(|_| !self.countless);
        counted.filter(|counted| *counted > shown)
    }

    fn finish(&self, step: &mut Step, total: Option<u64>) {
        let unlimited = self.since.is_none() && self.until.is_none();
        if let Some(total) = total.filter(|total| self.countless && unlimited && *total != self.seen) {
            step.notes.push(self.unproven(None, self.seen, total));
        }
        step.done = true;
        step.cursor = Some(self.position(self.at.unwrap_or(0)));
        step.progress = self.nothing_yet().progress;
    }

    pub(super) fn unproven(&self, span: Option<(Option<Stamp>, Stamp)>, found: u64, counted: u64) -> String {
        let all = self.feed.shape().all;
        let by = match self.by {
            By::Created => "created",
            By::Changed => "changed",
        };
        let which = match span {
            None => all.to_owned(),
            Some((None, to)) => format!("{all} {by} before {}", read::show(to)),
            Some((Some(from), to)) => format!("{all} {by} {} to {}", read::show(from), read::show(to)),
        };
        format!("{which}: not proven complete, {found} found and {counted} counted by the store")
    }

    /// Takes a page that is in order and has rows.
    async fn take(&mut self, list: List, last: Stamp) -> Result<Step, Error> {
        let count = list.rows.len() as u64;
        let total = list.total.filter(|_| !self.countless);
        let full = count >= list.limit.unwrap_or(self.limit).min(self.limit);
        let goes_on = full || total.is_none_or(|total| total > count);
        if !goes_on && total.is_some_and(|total| total < count) && self.doubts + 1 < DOUBTS_MAX {
            self.doubts += 1;
            return Ok(self.nothing_yet());
        }
        if let Some(counted) = self.counts_more(None, count).filter(|_| !goes_on) {
            return self.doubt(format!("it ends after {count}, and the store counted {counted}"));
        }
        self.doubts = 0;
        let (mut step, counted) = self.close_span(list.total).await?;
        // The page at hand is from before what was counted since: of an older copy, or something came.
        if counted > list.total && !std::mem::replace(&mut self.asked_again, true) {
            self.counted = counted;
            return Ok(step);
        }
        (self.asked_again, self.counted) = (false, None);
        if self.total.is_none() {
            self.total = list.total;
        }
        if self.by == By::Created && self.is_behind(&list) {
            self.take_behind(list, &mut step);
            return Ok(step);
        }
        let (from, all) = (self.at, list.total);
        let is_mine = |stamp: Option<Stamp>| from.is_none_or(|from| stamp.is_none_or(|stamp| stamp >= from));
        let (mut keys, mut untimed) = (BTreeSet::new(), 0);
        let mut covered = Vec::new();
        for row in &list.rows {
            let stamp = self.stamp(row);
            let is_new = match stamp {
                Some(stamp) if goes_on && stamp >= last => continue,
                Some(_) => keys.insert(row.key.clone()),
                None => {
                    untimed += 1;
                    self.untimed.insert(row.key.clone())
                }
            };
            if is_new && is_mine(stamp) && self.inside(self.feed.shape().created(row)) {
                covered.push((row.key.clone(), row.control));
            }
        }
        let at_last = |row: &&Row| self.stamp(row) == Some(last);
        let edge = list.rows.iter().filter(at_last).map(|row| (row.key.clone(), row.hash));
        let edge: HashSet<(Key, Hash)> = edge.collect();
        step.rows.extend(self.hand_on(list.rows));
        if !goes_on {
            if let Some(total) = total.filter(|total| *total != count) {
                step.notes.push(self.unproven(Some((from, last)), count, total));
            }
            self.cover(&mut covered);
            step.covered.append(&mut covered);
            self.at = Some(last);
            self.finish(&mut step, all);
            return Ok(step);
        }
        if from.is_none_or(|from| last > from) {
            self.span = Some(Span {
                from,
                to: last,
                total: list.total,
                keys,
                left: None,
                untimed,
                covered,
            });
            (self.at, self.edge) = (Some(last), edge);
        } else if from == Some(last) {
            self.second = Some(Second::new(last));
        } else {
            // The store rounds `since` down, and all of this is from the second before.
            self.at = Some(last + 1000);
        }
        step.progress = self.nothing_yet().progress;
        Ok(step)
    }

    /// Of a page that lies behind all that was asked for, only rows that tell no time may be asked for.
    fn take_behind(&mut self, list: List, step: &mut Step) {
        let total = list.total;
        let timeless = list.rows.into_iter().filter(|row| self.stamp(row).is_none());
        let rows: Vec<Row> = timeless.collect();
        let mut covered = Vec::new();
        for row in &rows {
            if self.untimed.insert(row.key.clone()) && self.inside(self.feed.shape().created(row)) {
                covered.push((row.key.clone(), row.control));
            }
        }
        step.rows.extend(self.hand_on(rows));
        self.cover(&mut covered);
        step.covered.append(&mut covered);
        self.finish(step, total);
    }

    /// Whether a page begins behind all that was asked for.
    fn is_behind(&self, list: &List) -> bool {
        let first = list.rows.iter().find_map(|row| self.stamp(row));
        matches!((first, self.until), (Some(first), Some(until)) if first > until)
    }
}

#[async_trait]
impl Pass for Keyset {
    async fn step(&mut self) -> Result<Step, Error> {
        if let Some(whole) = &mut self.whole {
            let mut step = whole.step().await?;
            self.cover(&mut step.covered);
            return Ok(step);
        }
        self.feed.resource.prepare(&self.feed.api).await?;
        if let Some(second) = self.second.take() {
            return self.list_second(second).await;
        }
        let list = match self.feed.page(&self.ask(self.at, self.limit), 1).await? {
            Listed::Page(list) => list,
            Listed::TooLarge if self.limit > 1 => {
                self.limit /= 2;
                return Ok(self.nothing_yet());
            }
            Listed::TooLarge => return Err(self.feed.too_large()),
        };
        self.feed.resource.study(&self.feed.api, &list.rows).await?;
        if list.rows.is_empty() {
            return self.empty(list.total).await;
        }
        self.empties = 0;
        let stamps: Vec<Option<Stamp>> = list.rows.iter().map(|row| self.stamp(row)).collect();
        match shown(&stamps, self.at) {
            Shown::Upto(last) if self.at.is_none_or(|at| last + 1000 > at) => self.take(list, last).await,
            Shown::Odd(what) => self.doubt(what),
            Shown::Upto(_) | Shown::Ignored | Shown::Timeless if self.doubts + 1 < DOUBTS_MAX => {
                self.doubts += 1;
                Ok(self.nothing_yet())
            }
            Shown::Upto(_) | Shown::Ignored | Shown::Timeless => Ok(self.walk_whole()),
        }
    }
}
