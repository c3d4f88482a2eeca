//! Finding what reading by change cannot: rows that came to light late (the deep pass), and records that
//! were missed or have vanished (the sweep, a walk over everything that counts). What was missed takes
//! the normal way; what has vanished is told, never acted on.

use std::time::Duration;

use contract::{Cursor, Hash, Record, Row, Window};

use super::take::View;
use super::{Engine, Flow};
use crate::store::{Coverage, Note, Ring, Settle, Sweep, Swept};

/// So many sweeps together read every record whose rows show only a part of it: a week of them.
const SWEEPS_A_READING: i64 = 7;
/// The name of the walk.
const SWEEP: &str = "sweep";

/// What a sweep came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepReport {
    pub records: u64,
    /// Records that the flows did not know.
    pub missed: u64,
    pub gone: u64,
}

impl Engine {
    /// Reads what changed since so much before the watermark. Where that is too much to read by change, the
    /// sweep has to find it.
    pub async fn deep_pass(&mut self, feed: &str, reach: Duration) -> anyhow::Result<()> {
        let flows = self.begun(feed).await?;
        let Some((first, _)) = flows.first() else { return Ok(()) };
        let source = first.source.clone();
        let earliest = flows.iter().map(|(_, watermark)| watermark.clone());
        let Some(since) = earliest.reduce(|a, b| source.earlier(a, b)) else {
            return Ok(());
        };
        let since = source.back(&since, reach);
        let flows: Vec<Flow> = flows.into_iter().map(|(flow, _)| flow).collect();
        self.enter(feed).await?;
        self.changes(feed, &flows, &since, View::Late).await?;
        self.leave();
        Ok(())
    }

    /// Goes over all records of a feed. Interrupted, the next call goes on.
    pub async fn sweep(&mut self, feed: &str) -> anyhow::Result<SweepReport> {
        let lane = self.lanes.of(feed);
        let _walk = lane.walk().await;
        let flows: Vec<Flow> = self.begun(feed).await?.into_iter().map(|(flow, _)| flow).collect();
        let Some(first) = flows.first() else {
            return Ok(SweepReport::default());
        };
        self.enter(feed).await?;
        let resumed = self.store.is_under_way(feed, SWEEP).await?;
        let mut sweep = self.store.sweep(feed, resumed).await?;
        let known = self.store.backfill(feed, SWEEP, &Cursor(String::new())).await?;
        let asked_at = self.clock.now();
        let mut walk = first.source.history(Window::default(), known.position.as_ref());
        let mut last = known.position;
        let mut outcome = SweepReport::default();
        loop {
            self.give_way(feed).await?;
            let step = walk.step().await?;
            self.asked_at = asked_at;
            let keys = step.rows.iter().map(|row| row.key.clone()).collect::<Vec<_>>();
            let share = self.share_of(feed, &flows, &step.rows, sweep.id);
            let mut keep = self.take(feed, &flows, step.rows, View::Late).await?;
            outcome.missed += (keep.wants.len() + keep.ring.len()) as u64;
            keep.ring.extend(share);
            // Also for flows that begin while it goes on.
            let names = self.of_feed(feed).into_iter().map(|flow| flow.name).collect();
            keep.swept = Some(Swept {
                sweep: sweep.id,
                flows: names,
                keys,
            });
            for detail in step.notes {
                self.store.sweep_fell_short(feed, &mut sweep).await?;
                keep.notes.extend(flows.iter().map(|flow| note(flow, detail.clone())));
            }
            if step.cursor.is_some() || step.done {
                let mut covered = Coverage::default();
                for (key, control) in &step.covered {
                    covered.add(key, *control);
                }
                outcome.records += covered.records;
                last = step.cursor.or(last);
                keep.cursors.push(Settle {
                    flow: feed.to_owned(),
                    run: SWEEP.to_owned(),
                    position: last.clone().unwrap_or(Cursor(String::new())),
                    covered,
                    done: step.done,
                });
            }
            self.keep(&keep).await?;
            if step.done {
                break;
            }
        }
        if sweep.whole {
            outcome.gone = self.tell_gone(&flows, sweep).await?;
        }
        self.leave();
        Ok(outcome)
    }

    /// Records whose rows do not show all of them, and so may have changed without a sign: each is read by its
    /// key in one of so many sweeps.
    fn share_of(&self, feed: &str, flows: &[Flow], rows: &[Row], sweep: i64) -> Vec<Ring> {
        let Some(first) = flows.first() else { return Vec::new() };
        let is_in_turn = |row: &&Row| {
            Hash::of(row.key.0.as_bytes())
                .0
                .wrapping_add(sweep)
                .rem_euclid(SWEEPS_A_READING)
                == 0
        };
        let shows_part = |row: &&Row| matches!(first.source.decode(row.body.clone(), false), Ok(Record::Partial));
        let in_turn = rows.iter().filter(is_in_turn).filter(shows_part);
        in_turn
            .map(|row| self.ring(feed, &row.key, (row.hash, row.stamp), View::Late, None))
            .collect()
    }

    async fn tell_gone(&mut self, flows: &[Flow], sweep: Sweep) -> anyhow::Result<u64> {
        let mut count = 0;
        for flow in flows {
            let gone = self.store.find_gone(&flow.name, sweep).await?;
            count = count.max(gone.len() as u64);
            let notes = gone.into_iter().map(|key| Note {
                flow: flow.name.clone(),
                key: Some(key),
                what: "deleted",
                detail: "the source no longer lists it; nothing was done at the target".to_owned(),
            });
            let keep = crate::store::Keep {
                notes: notes.collect(),
                ..crate::store::Keep::default()
            };
            self.keep(&keep).await?;
        }
        Ok(count)
    }
}

fn note(flow: &Flow, detail: String) -> Note {
    Note {
        flow: flow.name.clone(),
        key: None,
        what: "unproven",
        detail,
    }
}
