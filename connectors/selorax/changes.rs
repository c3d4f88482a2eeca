//! Reading what changed: newest changes first, back to behind the watermark.
//!
//! Rows move while they are read: a changed one jumps to the front, a deleted one pulls others up. So
//! the new watermark is the newest stamp of the very first answer, it counts only when the reading
//! came to its end, and a reading of several pages is repeated until it brings nothing new.

use std::collections::{BTreeSet, HashMap, HashSet};

use async_trait::async_trait;
use contract::{Error, Fault, Hash, Key, Pass, Progress, Row, Stamp, Step, Use};
use rust_decimal::Decimal;

use super::api::Listed;
use super::feed::{Ask, Feed, NEWEST_FIRST, PAGE_MAX, cursor};
use super::list::List;
use super::resource::Since;

/// Beyond 10,000 changed rows the history walk is the better way: it can be resumed.
const PAGES_MAX: u64 = 40;
const READINGS_MAX: u32 = 4;

pub(super) struct Changes {
    feed: Feed,
    watermark: Stamp,
    purpose: Use,
    /// The newest stamp of the first answer: the watermark to be.
    newest: Option<Stamp>,
    limit: u64,
    page: u64,
    readings: u32,
    /// Rows of this reading, and how many of them no earlier reading had.
    rows: u64,
    fresh: u64,
    last_keys: BTreeSet<Key>,
    /// The page before was odd and is being asked for again.
    doubting: bool,
    seen: HashSet<(Key, Hash)>,
    covered: HashMap<Key, Option<Decimal>>,
}

/// What one page says about where the reading stands.
enum Verdict {
    Odd(String),
    More,
    End,
}

impl Changes {
    pub(super) fn new(feed: Feed, watermark: Stamp, purpose: Use) -> Changes {
        Changes {
            feed,
            watermark,
            purpose,
            newest: None,
            limit: PAGE_MAX,
            page: 1,
            readings: 0,
            rows: 0,
            fresh: 0,
            last_keys: BTreeSet::new(),
            doubting: false,
            seen: HashSet::new(),
            covered: HashMap::new(),
        }
    }

    fn start_reading(&mut self) {
        self.page = 1;
        self.rows = 0;
        self.fresh = 0;
        self.last_keys.clear();
        self.doubting = false;
    }

    async fn judge(&self, list: &List) -> Result<Verdict, Error> {
        if list.rows.is_empty() {
            return self.judge_empty(list).await;
        }
        if list.keys() == self.last_keys {
            return Ok(Verdict::Odd(format!(
                "page {} is the same as the one before",
                self.page
            )));
        }
        let believable = self.feed.believable().await;
        let stamps: Vec<Stamp> = list
            .rows
            .iter()
            .filter_map(|row| row.stamp)
            .filter(|s| believable(*s))
            .collect();
        if let Some(pair) = stamps.windows(2).find(|pair| pair[0] < pair[1]) {
            let (before, after) = (cursor(pair[0]).0, cursor(pair[1]).0);
            return Ok(Verdict::Odd(format!(
                "page {} is not newest first: {after} stands behind {before}",
                self.page
            )));
        }
        if stamps.last().is_some_and(|oldest| *oldest < self.horizon()) {
            return Ok(Verdict::End);
        }
        let count = list.rows.len() as u64;
        let short = count < self.limit && list.limit.is_none_or(|limit| count < limit);
        // A short page ends the list only when the store's own count agrees; a cut-down page size would
        // otherwise look like an end.
        if short && list.total == Some(self.rows + count) {
            Ok(Verdict::End)
        } else {
            Ok(Verdict::More)
        }
    }

    async fn judge_empty(&self, list: &List) -> Result<Verdict, Error> {
        if self.page == 1 || list.total == Some(self.rows) {
            return Ok(Verdict::End);
        }
        if !self.doubting {
            return Ok(Verdict::Odd(format!(
                "page {} is empty although the page before was not the last",
                self.page
            )));
        }
        // Empty twice. If the page behind it is empty too, the list ends here and the count was off.
        match self.feed.page(&self.ask(), self.page + 1).await? {
            Listed::Page(next) if next.rows.is_empty() => Ok(Verdict::End),
            _ => Ok(Verdict::Odd(format!(
                "page {} is empty and page {} is not",
                self.page,
                self.page + 1
            ))),
        }
    }

    /// From where the store may leave rows out. One that does not mind `since` is read to the same place.
    fn since(&self) -> Option<Stamp> {
        let by_change = self.feed.shape().since == Since::Changed;
        Some(self.horizon()).filter(|horizon| by_change && *horizon > 0)
    }

    fn horizon(&self) -> Stamp {
        self.watermark.saturating_sub(millis(self.feed.overlap))
    }

    fn ask(&self) -> Ask {
        Ask {
            sort: NEWEST_FIRST,
            since: self.since(),
            until: None,
            limit: self.limit,
            purpose: self.purpose,
        }
    }

    fn take(&mut self, list: List) -> Vec<Row> {
        self.rows += list.rows.len() as u64;
        self.last_keys = list.keys();
        let mut fresh = Vec::new();
        for row in list.rows {
            self.covered.insert(row.key.clone(), row.control);
            if self.seen.insert((row.key.clone(), row.hash)) {
                fresh.push(row);
            }
        }
        self.fresh += fresh.len() as u64;
        fresh
    }

    /// Whether the reading that just ended was the last one.
    fn settled(&mut self) -> bool {
        self.readings += 1;
        let quiet = self.page == 1 || (self.readings > 1 && self.fresh == 0);
        quiet || self.readings >= READINGS_MAX
    }

    fn finish(&mut self) -> Step {
        let newest = self.newest.unwrap_or(self.watermark);
        Step {
            cursor: Some(cursor(self.watermark.max(newest))),
            done: true,
            covered: self.covered.drain().collect(),
            ..Step::default()
        }
    }

    fn odd(&mut self, what: String) -> Result<Step, Error> {
        if self.doubting {
            let doing = format!("reading the changed {}", self.feed.shape().all);
            return Err(Error::new(Fault::Transient { reached: false }, doing, what)
                .hint("the pass was given up; nothing is lost, the next one starts from the same watermark"));
        }
        self.doubting = true;
        Ok(Step {
            progress: self.progress(),
            ..Step::default()
        })
    }

    fn progress(&self) -> Progress {
        Progress {
            seen: self.covered.len() as u64,
            total: None,
        }
    }
}

#[async_trait]
impl Pass for Changes {
    async fn step(&mut self) -> Result<Step, Error> {
        self.feed.resource.prepare(&self.feed.api).await?;
        let list = match self.feed.page(&self.ask(), self.page).await? {
            Listed::Page(list) => list,
            Listed::TooLarge if self.limit > 1 => {
                self.limit /= 2;
                self.start_reading();
                return Ok(Step {
                    progress: self.progress(),
                    ..Step::default()
                });
            }
            Listed::TooLarge => return Err(self.feed.too_large()),
        };
        self.feed.resource.study(&self.feed.api, &list.rows).await?;
        let verdict = self.judge(&list).await?;
        if let Verdict::Odd(what) = verdict {
            return self.odd(what);
        }
        self.doubting = false;
        if self.newest.is_none() {
            self.newest = self.feed.newest(&list).await;
        }
        let rows = self.take(list);
        let ended = matches!(verdict, Verdict::End);
        if !ended && self.page >= PAGES_MAX {
            let from = cursor(self.newest.unwrap_or(self.watermark));
            return Ok(Step {
                rows,
                too_deep: Some(from),
                done: true,
                progress: self.progress(),
                ..Step::default()
            });
        }
        let mut step = if ended && self.settled() {
            self.finish()
        } else {
            if ended {
                self.start_reading();
            } else {
                self.page += 1;
            }
            Step::default()
        };
        step.progress = self.progress();
        step.rows = rows;
        Ok(step)
    }
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
