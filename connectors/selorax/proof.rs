//! Holding what a walk by keyset was shown against the store's counts. What does not add up is asked for
//! again; must never pass over a difference that stays.

use std::collections::BTreeSet;

use contract::{Error, Key, Row, Step};

use super::api::Listed;
use super::keyset::{By, Keyset};
use super::list::List;
use super::span::{Counts, Says, Span};

/// How often the counts of one span are asked for anew, two requests each time.
const COUNTS_MAX: u32 = 4;

impl Keyset {
    /// The span before the page at hand is done with, proven or not. `total` is the count from its end on; gives
    /// what was counted there last.
    pub(super) async fn close_span(&mut self, mut total: Option<u64>) -> Result<(Step, Option<u64>), Error> {
        let Some(mut span) = self.span.take() else {
            return Ok((self.nothing_yet(), total));
        };
        let mut step = Step::default();
        if let Some((from, to)) = span.total.zip(total).filter(|_| !self.countless) {
            total = Some(self.check(&mut span, from, to, &mut step).await?);
        }
        self.cover(&mut span.covered);
        step.covered = span.covered;
        step.cursor = Some(self.position(span.to));
        step.progress = self.nothing_yet().progress;
        Ok((step, total))
    }

    /// Counts the span from its beginning and from its end in turns, until the counts agree with what was shown,
    /// or with nothing.
    async fn check(&mut self, span: &mut Span, from: u64, to: u64, step: &mut Step) -> Result<u64, Error> {
        let (mut counts, mut from, mut to) = (Counts::default(), from, to);
        let mut settled = counts.settled_by(from, to, span);
        for turn in 0..2 * COUNTS_MAX {
            if settled {
                return Ok(to);
            }
            if turn % 2 == 0 {
                if let Listed::Page(again) = self.feed.page(&self.ask(span.from, self.limit), 1).await? {
                    from = again.total.unwrap_or(from);
                    if self.add_hidden(span, again, step) {
                        counts = Counts::default();
                    }
                }
            } else if let Listed::Page(list) = self.feed.page(&self.ask(Some(span.to), 1), 1).await? {
                to = list.total.unwrap_or(to);
            }
            settled = counts.settled_by(from, to, span);
        }
        if settled {
            return Ok(to);
        }
        if counts.are_no_counts() {
            self.countless = true;
            return Ok(to);
        }
        let (found, counted) = (*span.shown().start(), from.saturating_sub(to));
        let note = self.unproven(Some((span.from, span.to)), found, counted);
        step.notes.push(note);
        Ok(to)
    }

    /// Takes what a page shows of a span that it did not show before. By change, what was touched has left the
    /// span since: then the counts are held against what this page shows, if it reaches the span's end.
    fn add_hidden(&self, span: &mut Span, list: List, step: &mut Step) -> bool {
        let mut grew = false;
        let is_before = |row: &&Row| self.stamp(row).is_some_and(|stamp| stamp < span.to);
        let ends_behind = list.rows.iter().filter_map(|row| self.stamp(row)).next_back() >= Some(span.to);
        if self.by == By::Changed && ends_behind {
            let left = list.rows.iter().filter(is_before).map(|row| &row.key);
            let left = left.collect::<BTreeSet<&Key>>().len() as u64;
            grew = *span.shown().start() != left;
            span.left = Some(left);
        }
        for row in list.rows {
            let stamp = self.stamp(&row);
            if stamp.is_none_or(|stamp| stamp >= span.to) || !span.keys.insert(row.key.clone()) {
                continue;
            }
            grew = true;
            if self.inside(self.feed.shape().created(&row)) {
                span.covered.push((row.key.clone(), row.control));
                step.rows.push(row);
            }
        }
        grew
    }
}

impl Counts {
    fn settled_by(&mut self, from: u64, to: u64, span: &Span) -> bool {
        self.say(from, to, span.shown()) == Says::All || self.contradict_themselves()
    }
}
