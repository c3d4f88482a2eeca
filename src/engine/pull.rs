//! Pulling what changed: one pass over a feed serves every flow that has it as its source.

use contract::{Cursor, Step};

use super::take::View;
use super::{Engine, Flow, Range};
use crate::store::{Coverage, Settle, Store};

/// The name of the walk that takes a flow's history before its first pass.
pub(super) const INITIAL: &str = "initial";
/// The name of the walk that takes the place of a pass which went too deep.
const CATCH_UP: &str = "catch-up";

impl Engine {
    /// One incremental pass of a feed. Flows that never ran begin with their history, or with now.
    pub(super) async fn pass(&mut self, feed: &str) -> anyhow::Result<()> {
        let mut live: Vec<(Flow, Cursor)> = Vec::new();
        for flow in self.of_feed(feed) {
            if self.store.is_under_way(&flow.name, CATCH_UP).await? {
                self.walk(std::slice::from_ref(&flow), CATCH_UP, Range::default(), View::Late)
                    .await?;
            }
            let watermark = match self.store.watermark(&flow.name).await? {
                Some(watermark) => watermark,
                None => self.first_pass(&flow).await?,
            };
            live.push((flow, watermark));
        }
        let Some((first, _)) = live.first() else { return Ok(()) };
        let source = first.source.clone();
        let since = live
            .iter()
            .map(|(_, watermark)| watermark.clone())
            .reduce(|a, b| source.earlier(a, b));
        let Some(since) = since else { return Ok(()) };
        let flows: Vec<Flow> = live.into_iter().map(|(flow, _)| flow).collect();
        self.changes(feed, &flows, &since, View::News).await
    }

    /// Gives a flow its first watermark.
    async fn first_pass(&mut self, flow: &Flow) -> anyhow::Result<Cursor> {
        let flows = std::slice::from_ref(flow);
        if flow.only_new {
            return self.begin_now(flow).await;
        }
        // All history is what this flow begins with, whatever part of it was asked for before.
        self.store.forget_start(&flow.name).await?;
        self.learn_starts().await?;
        self.walk(flows, INITIAL, Range::default(), View::Late).await?;
        match self.store.watermark(&flow.name).await? {
            Some(watermark) => Ok(watermark),
            None => Ok(flow.source.now().await?),
        }
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
        let mut pass = source.changes(since, view.purpose());
        let requests = self.requests(feed);
        loop {
            let step = pass.step().await?;
            self.voice.progress(&name, "changes", step.progress);
            let (done, too_deep) = (step.done, step.too_deep.clone());
            self.keep_changes(feed, flows, step, view, requests).await?;
            if let Some(watermark) = too_deep {
                return self.catch_up(flows, &watermark).await;
            }
            if done {
                return Ok(());
            }
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
        self.store.keep(&keep).await
    }

    /// So much changed that walking all of history is the shorter way, and one that can be resumed.
    async fn catch_up(&mut self, flows: &[Flow], watermark: &Cursor) -> anyhow::Result<()> {
        self.voice
            .say("more than 10,000 records changed; walking the whole history instead");
        for flow in flows {
            self.store.backfill(&flow.name, CATCH_UP, watermark).await?;
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
