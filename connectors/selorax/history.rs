//! Walking history by windows of creation time, oldest first. Creation times do not change, so a
//! window holds still but for deletions. A window is complete when one listing of it returned as many
//! distinct orders as the store counted before and after; else it is listed again, in smaller pieces:
//! what fits on one page cannot shift. A window that never adds up is said to be so.
//!
//! Where the store cannot be asked by time of creation, all of it is one window, proven in the same way.

use async_trait::async_trait;
use contract::{Cursor, Error, Fault, Pass, Progress, Stamp, Step, Use, Value, Window};

use super::api::Listed;
use super::feed::{Ask, Feed, PAGE_MAX};
use super::list::List;
use super::listing::{Listing, Union, Verdict};
use super::read;

/// A window with more rows than this is cut before it is listed: ten pages.
const ROWS_MAX: u64 = 10 * PAGE_MAX;
const SECOND_MS: i64 = 1000;
const SORT: &str = "created_at:asc";

pub(super) struct History {
    feed: Feed,
    since: Option<Stamp>,
    until: Option<Stamp>,
    /// Start of the window at hand, end of the walk; known after the first step.
    at: Option<Stamp>,
    end: Stamp,
    width: i64,
    /// The store does not mind `since` and `until`: all of it is one window.
    unbounded: bool,
    /// It was not even asked to: this order of rows, and nothing else, goes with every page.
    whole: Option<&'static str>,
    limit: u64,
    listing: Listing,
    union: Union,
    seen: u64,
    total: Option<u64>,
    /// The count that made the last window be cut, and how often cutting did not change it.
    stuck: (u64, u32),
    /// The store's counts do not depend on the window: they prove nothing and cut nothing.
    countless: bool,
}

impl History {
    pub(super) fn new(feed: Feed, window: Window, resume: Option<&Cursor>) -> History {
        let stamp = |time: jiff::Timestamp| time.as_millisecond();
        let mut walk = History {
            feed,
            since: window.since.map(stamp),
            until: window.until.map(stamp),
            at: None,
            end: 0,
            width: i64::MAX,
            unbounded: false,
            whole: None,
            limit: PAGE_MAX,
            listing: Listing::default(),
            union: Union::default(),
            seen: 0,
            total: None,
            stuck: (0, 0),
            countless: false,
        };
        walk.resume(resume);
        walk
    }

    /// All there is in one window that cannot be gone on with. What the user's window leaves out is left out here.
    pub(super) fn whole(feed: Feed, window: Window, sort: &'static str) -> History {
        History {
            at: Some(0),
            unbounded: true,
            whole: Some(sort),
            ..History::new(feed, window, None)
        }
    }

    fn resume(&mut self, cursor: Option<&Cursor>) -> Option<()> {
        let position = Value::parse(&cursor?.0).ok()?;
        let stamp = |name| position.get(name).and_then(read::stamp);
        let number = |name| position.get(name).and_then(read::count);
        let at = stamp("at")?;
        self.end = stamp("end")?;
        self.width = i64::try_from(number("width_ms")?).ok()?.max(SECOND_MS);
        self.seen = number("seen")?;
        self.total = number("total");
        self.at = Some(at);
        Some(())
    }

    fn position(&self, at: Stamp) -> Cursor {
        let total = self.total.map_or("null".to_owned(), |total| total.to_string());
        Cursor(format!(
            r#"{{"at":"{}","end":"{}","width_ms":{},"seen":{},"total":{total}}}"#,
            read::show(at),
            read::show(self.end),
            self.width.min(1 << 50),
            self.seen
        ))
    }

    /// Finds the first and the last creation time in scope; `false` when there is nothing.
    async fn open(&mut self) -> Result<bool, Error> {
        let Some((first, total)) = self.edge(SORT).await? else {
            return Ok(false);
        };
        let Some((last, _)) = self.edge("created_at:desc").await? else {
            return Ok(false);
        };
        self.at = Some(first.min(last));
        self.end = first.max(last);
        self.width = (self.end - first.min(last)).max(SECOND_MS);
        self.total = total;
        Ok(true)
    }

    /// The outermost creation time in scope. An empty answer is believed when it came twice, and when the
    /// store counts nothing either.
    async fn edge(&mut self, sort: &'static str) -> Result<Option<(Stamp, Option<u64>)>, Error> {
        let mut ask = Ask {
            sort,
            since: self.since,
            until: self.until,
            limit: 10,
            purpose: Use::History,
        };
        let mut doubting = false;
        let list = loop {
            match self.feed.page(&ask, 1).await? {
                Listed::Page(list) if list.rows.is_empty() && !doubting => doubting = true,
                Listed::Page(list) => break list,
                Listed::TooLarge if ask.limit > 1 => ask.limit = 1,
                Listed::TooLarge => return Err(self.feed.too_large()),
            }
        };
        if list.rows.is_empty() && list.total.is_some_and(|total| total > 0) {
            let what = format!(
                "the first page is empty, and the store counts {} {}",
                list.total.unwrap_or(0),
                self.feed.shape().all
            );
            let doing = self.feed.shape().walking();
            return Err(Error::new(Fault::Transient { reached: false }, doing, what));
        }
        let mut stamps = list.rows.iter().filter_map(|row| self.feed.shape().created(row));
        match (stamps.next(), list.rows.is_empty()) {
            (Some(stamp), _) => Ok(Some((stamp, list.total))),
            (None, true) => Ok(None),
            (None, false) => Err(Error::new(
                Fault::Rejected,
                self.feed.shape().walking(),
                format!(
                    "none of the outermost {} has a creation time that can be read",
                    self.feed.shape().all
                ),
            )),
        }
    }

    fn window(&self, at: Stamp) -> (Stamp, Stamp) {
        if self.unbounded {
            return (at, self.end);
        }
        (at, at.saturating_add(self.width).min(self.end))
    }

    fn ask(&self, at: Stamp) -> Ask {
        let (since, until) = self.window(at);
        if self.unbounded {
            let asked = |stamp: Option<Stamp>| stamp.filter(|_| self.whole.is_none());
            return Ask {
                sort: self.whole.unwrap_or(SORT),
                since: asked(self.since),
                until: asked(self.until),
                limit: self.limit,
                purpose: Use::History,
            };
        }
        Ask {
            sort: SORT,
            since: Some(since),
            until: Some(until),
            limit: self.limit,
            purpose: Use::History,
        }
    }

    /// Cuts the window down where it holds too much to be listed in one go. Whole seconds, because the
    /// platform keeps no finer ones.
    fn narrow(&mut self, at: Stamp, rows: u64) -> bool {
        let (since, until) = self.window(at);
        let width = until - since;
        if self.unbounded || rows <= ROWS_MAX || width <= SECOND_MS {
            return false;
        }
        let share = i128::from(width) * i128::from(ROWS_MAX) * 4 / 5 / i128::from(rows.max(1));
        let share = i64::try_from(share).unwrap_or(width / 2).clamp(width / 16, width / 2);
        let (count, times) = self.stuck;
        self.stuck = (rows, if count == rows { times + 1 } else { 0 });
        if self.stuck.1 >= 3 {
            self.countless = true;
            self.width = self.end - since;
        } else {
            self.set_width(share);
        }
        true
    }

    fn set_width(&mut self, width: i64) {
        self.width = (width / SECOND_MS).max(1) * SECOND_MS;
    }

    fn outside(&self, at: Stamp, list: &List) -> bool {
        let (since, until) = self.window(at);
        let mut stamps = list.rows.iter().filter_map(|row| self.feed.shape().created(row));
        !self.unbounded && stamps.any(|stamp| stamp < since - SECOND_MS || stamp > until + SECOND_MS)
    }

    /// Leaves the window as it stands: it will be listed from its start, in smaller pieces or whole.
    fn start_over(&mut self) {
        self.listing = Listing::default();
        self.union = Union::default();
    }

    /// One listing came to its end. `true`: the window is done with, proven or not.
    fn judge(&mut self, at: Stamp, notes: &mut Vec<String>) -> bool {
        let listing = std::mem::take(&mut self.listing);
        let verdict = self.union.judge(&listing);
        if verdict == Verdict::Proven {
            return true;
        }
        let (since, until) = self.window(at);
        if !self.unbounded && until - since > SECOND_MS && listing.page > 1 {
            self.set_width((until - since) / 2);
            self.start_over();
            return false;
        }
        let Verdict::Short(counted) = verdict else { return false };
        let counted = counted.map_or("nothing".to_owned(), |total| total.to_string());
        let which = match self.whole {
            Some(_) => self.feed.shape().all.to_owned(),
            None => {
                let (all, since, until) = (self.feed.shape().all, read::show(since), read::show(until));
                format!("{all} created {since} to {until}")
            }
        };
        notes.push(format!(
            "{which}: not proven complete, {} found and {counted} counted by the store",
            self.union.found.len()
        ));
        true
    }

    /// Whether a record is in scope where the store was not asked for this alone.
    fn inside(&self, created: Option<Stamp>) -> bool {
        let inside =
            |stamp| self.since.is_none_or(|since| stamp >= since) && self.until.is_none_or(|until| stamp <= until);
        !self.unbounded || created.is_none_or(inside)
    }

    /// Closes the window: what it holds is covered, and the walk goes on behind it.
    fn close(&mut self, at: Stamp) -> Step {
        let (_, until) = self.window(at);
        let last = until >= self.end;
        // The next window begins on the second this one ends with, so those rows count there.
        let mine = |created: Option<Stamp>| last || created.is_none_or(|created| created < until);
        let found = std::mem::take(&mut self.union).found;
        let rows = found.len() as u64;
        let covered: Vec<_> = found
            .into_iter()
            .filter(|(_, (_, created))| mine(*created) && self.inside(*created))
            .map(|(key, (control, _))| (key, control))
            .collect();
        self.seen += covered.len() as u64;
        if rows < ROWS_MAX / 2 {
            self.set_width(self.width.saturating_mul(2));
        }
        self.at = Some(until);
        Step {
            cursor: Some(self.position(until)),
            done: last,
            covered,
            ..Step::default()
        }
    }

    fn progress(&self) -> Progress {
        Progress {
            seen: self.seen + self.union.found.len() as u64,
            total: self.total,
        }
    }

    fn nothing_yet(&self) -> Step {
        Step {
            progress: self.progress(),
            ..Step::default()
        }
    }
}

#[async_trait]
impl Pass for History {
    async fn step(&mut self) -> Result<Step, Error> {
        self.feed.resource.prepare(&self.feed.api).await?;
        let Some(at) = self.at else {
            let done = !self.open().await?;
            return Ok(Step {
                done,
                ..self.nothing_yet()
            });
        };
        self.listing.page += 1;
        let mut list = match self.feed.page(&self.ask(at), self.listing.page).await? {
            Listed::Page(list) => list,
            Listed::TooLarge if self.limit > 1 => {
                self.limit /= 2;
                self.listing = Listing::default();
                return Ok(self.nothing_yet());
            }
            Listed::TooLarge => return Err(self.feed.too_large()),
        };
        if self.outside(at, &list) {
            self.unbounded = true;
            self.start_over();
            return Ok(self.nothing_yet());
        }
        self.feed.resource.study(&self.feed.api, &list.rows).await?;
        if self.countless {
            list.total = None;
        }
        self.listing.check_repeats(&list, self.feed.shape())?;
        self.union.take(&mut self.listing, &list, self.feed.shape());
        if self.whole.is_some() {
            self.total = list.total;
            self.listing
                .reach_back(list.limit.unwrap_or(self.limit).min(self.limit));
        }
        let (listed, counted) = (self.listing.rows, list.total.unwrap_or(0));
        let mut rows = list.rows;
        let shown = rows.len() as u64;
        rows.retain(|row| self.inside(self.feed.shape().created(row)));
        if self.narrow(at, counted.max(listed)) {
            self.start_over();
            return Ok(Step {
                rows,
                ..self.nothing_yet()
            });
        }
        // The end of a listing is an empty page, or one that is not full once as many rows came as were
        // counted. A count alone ends nothing: it may be wrong.
        let full = shown >= list.limit.unwrap_or(self.limit).min(self.limit);
        let may_go_on = full || listed < counted || list.total.is_none();
        if shown > 0 && may_go_on {
            return Ok(Step {
                rows,
                ..self.nothing_yet()
            });
        }
        let mut notes = Vec::new();
        let mut step = if self.judge(at, &mut notes) {
            self.close(at)
        } else {
            Step::default()
        };
        step.progress = self.progress();
        step.rows = rows;
        step.notes = notes;
        Ok(step)
    }
}
