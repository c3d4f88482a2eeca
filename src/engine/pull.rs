//! Pulling what changed: one pass over a feed serves every flow that has it as its source.

use contract::{Cursor, Step};

use super::take::View;
use super::{Engine, Flow, Range};
use crate::store::{Coverage, Due, Settle, Store};

/// The name of the walk that takes a flow's history before its first pass.
pub(super) const INITIAL: &str = "initial";
/// The name of the walk that takes the place of a pass which went too deep.
const CATCH_UP: &str = "catch-up";

impl Engine {
    /// Gives every flow of a feed that never ran its first watermark. One that begins with its history has
    /// that walk before it; what changes meanwhile is behind the watermark already.
    pub async fn start_flows(&mut self, feed: &str) -> anyhow::Result<()> {
        self.enter(feed).await?;
        self.learn_starts().await?;
        for flow in self.of_feed(feed) {
            if self.store.watermark(&flow.name).await?.is_some() {
                continue;
            }
            if flow.only_new {
                self.begin_now(&flow).await?;
            } else {
                // All history is what this flow begins with, whatever part of it was asked for before.
                let now = flow.source.now().await?;
                self.store.begin_history(&flow.name, INITIAL, &now).await?;
                self.learn_starts().await?;
            }
        }
        self.leave();
        Ok(())
    }

    /// The flows of a feed that have a walk before them which no person asked for.
    pub async fn walks_ahead(&self, feed: &str) -> anyhow::Result<bool> {
        for flow in self.of_feed(feed) {
            for run in [INITIAL, CATCH_UP] {
                if self.store.is_under_way(&flow.name, run).await? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Walks what flows begin with, and what passes left because it was too much for them.
    pub async fn finish_walks(&mut self, feed: &str) -> anyhow::Result<()> {
        if !self.walks_ahead(feed).await? {
            return Ok(());
        }
        // Whoever walks already is waited for; what it did is not done again.
        self.leave();
        let lane = self.lanes.of(feed);
        let _walk = lane.walk().await;
        let _jobs = self.jobs();
        for flow in self.of_feed(feed) {
            for run in [INITIAL, CATCH_UP] {
                if self.store.is_under_way(&flow.name, run).await? {
                    let flows = std::slice::from_ref(&flow);
                    self.walk(flows, run, Range::default(), View::Late).await?;
                }
            }
        }
        Ok(())
    }

    /// The flows of a feed that have a watermark, with it.
    pub(super) async fn begun(&self, feed: &str) -> anyhow::Result<Vec<(Flow, Cursor)>> {
        let mut begun = Vec::new();
        for flow in self.of_feed(feed) {
            if let Some(watermark) = self.store.watermark(&flow.name).await? {
                begun.push((flow, watermark));
            }
        }
        Ok(begun)
    }

    /// One incremental pass of a feed, for every flow that was started.
    pub async fn pass(&mut self, feed: &str) -> anyhow::Result<()> {
        if self.files_of(feed).is_some() {
            return self.take_files(feed).await;
        }
        let live = self.begun(feed).await?;
        let Some((first, _)) = live.first() else { return Ok(()) };
        let source = first.source.clone();
        let watermarks = live.iter().map(|(_, watermark)| watermark.clone());
        let Some(since) = watermarks.reduce(|a, b| source.earlier(a, b)) else {
            return Ok(());
        };
        let flows: Vec<Flow> = live.into_iter().map(|(flow, _)| flow).collect();
        self.enter(feed).await?;
        self.changes(feed, &flows, &since, View::News).await?;
        self.leave();
        Ok(())
    }

    /// Lets a flow begin with what comes. What changed lately is looked at and remembered, so that what is still
    /// to come to light of that time can be told from it; what is older is not the flow's business.
    pub(super) async fn begin_now(&mut self, flow: &Flow) -> anyhow::Result<Cursor> {
        let now = flow.source.now().await?;
        self.store.set_start(&flow.name, &flow.source.settled(&now)).await?;
        self.learn_starts().await?;
        self.changes(&flow.feed, std::slice::from_ref(flow), &now, View::Absorb)
            .await?;
        Ok(self.store.watermark(&flow.name).await?.unwrap_or(now))
    }

    /// Reads what changed since the cursor, and moves the watermarks of these flows when that is done.
    pub(super) async fn changes(
        &mut self,
        feed: &str,
        flows: &[Flow],
        since: &Cursor,
        view: View,
    ) -> anyhow::Result<()> {
        let Some(first) = flows.first() else { return Ok(()) };
        let (source, name) = (first.source.clone(), first.name.clone());
        let asked_at = self.clock.now();
        let mut pass = source.changes(since, view.purpose());
        let requests = self.requests(feed);
        loop {
            match view {
                View::News | View::Absorb => self.enter(feed).await?,
                // What can wait gives way to what cannot.
                View::Asked | View::Late => self.give_way(feed).await?,
            }
            let step = pass.step().await?;
            self.voice.progress(&name, "changes", step.progress);
            let (done, too_deep) = (step.done, step.too_deep.clone());
            self.asked_at = asked_at;
            self.keep_changes(feed, flows, step, view, requests).await?;
            if let Some(watermark) = too_deep {
                return self.leave_to_walk(flows, &watermark, view).await;
            }
            if done {
                return Ok(());
            }
            // A record that somebody rang for does not wait for the end of a long scan.
            self.read_some(feed, Due::Rung).await?;
        }
    }

    async fn keep_changes(
        &mut self,
        feed: &str,
        flows: &[Flow],
        step: Step,
        view: View,
        requests: u64,
    ) -> anyhow::Result<()> {
        let mut keep = self.take(feed, flows, step.rows, view).await?;
        if step.done && step.too_deep.is_none() {
            self.take_scan(feed, flows, &mut keep);
            self.take_confirmed(flows, &mut keep);
        }
        if let Some(position) = step.cursor {
            let mut covered = Coverage {
                requests: self.requests(feed).saturating_sub(requests),
                ..Coverage::default()
            };
            for (key, control) in &step.covered {
                covered.add(key, *control);
            }
            for flow in flows {
                self.ledger(&flow.name).changed.join(&covered);
                let position = match self.store.watermark(&flow.name).await? {
                    Some(known) => flow.source.later(known, position.clone()),
                    None => position.clone(),
                };
                keep.cursors.push(Store::live(&flow.name, position, covered));
            }
        }
        self.keep(&keep).await
    }

    /// So much changed that walking all of history is the shorter way, and one that can be resumed. Of what a
    /// deep pass finds the sweep will find it.
    async fn leave_to_walk(&mut self, flows: &[Flow], watermark: &Cursor, view: View) -> anyhow::Result<()> {
        if view == View::Late {
            return Ok(());
        }
        self.voice
            .say("more than 10,000 records changed; walking the whole history instead");
        for flow in flows {
            self.store.backfill(&flow.name, CATCH_UP, watermark).await?;
        }
        if self.patience.leaves_walks {
            return Ok(());
        }
        for flow in flows {
            self.walk(std::slice::from_ref(flow), CATCH_UP, Range::default(), View::Late)
                .await?;
        }
        Ok(())
    }

    /// A settled cursor of a walk.
    pub(super) fn walked(flow: &Flow, run: &str, position: Cursor, covered: Coverage, done: bool) -> Settle {
        Settle {
            flow: flow.name.clone(),
            run: run.to_owned(),
            position,
            covered,
            done,
        }
    }
}
