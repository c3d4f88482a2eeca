//! One reading of a listing, page by page. Rows move while it is read: one that changes jumps to another page, and
//! pulls others over the edge of a page, whatever the pages are told by: tokens and links are often numbers in
//! disguise. So a reading of several pages is repeated until it brings nothing new, and the mark that is kept is
//! one that was safe before the last reading.

use std::collections::HashMap;

use async_trait::async_trait;
use contract::{Cursor, Error, Hash, Key, Pass, Progress, Row, Step, Use};

use super::pull::{Feed, Found};
use super::reading::CursorSettings;
use super::trail::{At, Trail};

/// So many readings at the most: what changes without end is told as such.
const READINGS_MAX: u32 = 8;

pub(super) struct Walk {
    feed: Feed,
    since: String,
    purpose: Use,
    /// Over history, instead of what changed.
    is_walk: bool,
    at: At,
    trail: Trail,
    reading: Reading,
    /// Readings that were done before this one.
    readings: u32,
    /// What was handed out: the hash of each row, by that of its key.
    seen: HashMap<Hash, Hash>,
    /// The newest mark of all the readings before this one.
    safe: String,
}

/// What is learnt in one reading.
#[derive(Debug, Default)]
struct Reading {
    pages: u32,
    /// Rows that no reading before had, or had otherwise.
    news: usize,
    newest: String,
    /// Rows without any mark.
    unmarked: usize,
}

impl Walk {
    pub(super) fn new(feed: Feed, since: &str, purpose: Use) -> Walk {
        Walk {
            feed,
            since: since.to_owned(),
            purpose,
            is_walk: false,
            at: At::Start,
            trail: Trail::default(),
            reading: Reading::default(),
            readings: 0,
            seen: HashMap::new(),
            safe: String::new(),
        }
    }

    pub(super) fn over_history(feed: Feed) -> Walk {
        Walk {
            is_walk: true,
            ..Walk::new(feed, "", Use::History)
        }
    }

    /// Takes note of a page; the rows that are new.
    fn take(&mut self, rows: Vec<Found>) -> Vec<Row> {
        self.reading.pages += 1;
        let mut fresh = Vec::with_capacity(rows.len());
        for Found { row, mark } in rows {
            match mark {
                Some(mark) => self.note(mark),
                None => self.reading.unmarked += 1,
            }
            let known = self.seen.insert(Hash::of(row.key.0.as_bytes()), row.hash);
            if known != Some(row.hash) {
                self.reading.news += 1;
                fresh.push(row);
            }
        }
        fresh
    }

    fn note(&mut self, mark: String) {
        let Some(cursor) = &self.feed.settings.cursor else {
            return;
        };
        if cursor.marks.compare(&mark, &self.reading.newest).is_gt() {
            self.reading.newest = mark;
        }
    }

    fn later(&self, a: &str, b: &str) -> String {
        let is_less = |cursor: &CursorSettings| cursor.marks.compare(a, b).is_lt();
        match self.feed.settings.cursor.as_ref().is_some_and(is_less) {
            true => b.to_owned(),
            false => a.to_owned(),
        }
    }

    /// The mark that all before it is known, at the end of a reading; `None`: it must be read again.
    fn mark(&self) -> Option<String> {
        // A walk's end moves no mark: the pass that follows it looks at everything once more. Without a cursor every
        // pass does.
        if self.feed.settings.cursor.is_none() || self.is_walk {
            return Some(String::new());
        }
        // Nothing can move within one answer.
        if self.reading.pages == 1 {
            return Some(self.reading.newest.clone());
        }
        let steady = self.readings > 0 && (self.reading.news == 0 || self.readings + 1 >= READINGS_MAX);
        steady.then(|| self.safe.clone())
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.feed.settings.cursor.is_some() && self.reading.unmarked > 0 {
            notes.push(format!(
                "{} of {} records have no value at cursor.path: a pass that asks by it may not see them",
                self.reading.unmarked,
                self.seen.len()
            ));
        }
        notes
    }
}

#[async_trait]
impl Pass for Walk {
    async fn step(&mut self) -> Result<Step, Error> {
        let listed = self
            .feed
            .page(&self.since, &self.at, &mut self.trail, self.purpose)
            .await?;
        let rows = self.take(listed.rows);
        let covered: Vec<(Key, Option<rust_decimal::Decimal>)> =
            rows.iter().map(|row| (row.key.clone(), None)).collect();
        let mut step = Step {
            rows,
            covered,
            progress: Progress {
                seen: self.seen.len() as u64,
                total: None,
            },
            ..Step::default()
        };
        if let Some(next) = listed.next {
            self.at = next;
            return Ok(step);
        }
        match self.mark() {
            Some(mark) => {
                step.notes = self.notes();
                step.cursor = Some(Cursor(self.later(&self.since, &mark)));
                step.done = true;
            }
            None => {
                self.safe = self.later(&self.safe, &self.reading.newest);
                self.reading = Reading::default();
                self.readings += 1;
                self.at = At::Start;
                self.trail = Trail::default();
            }
        }
        Ok(step)
    }
}
