//! Walking history. A backfill is one more cursor: interrupted it resumes, finished it walks afresh, and
//! either way only what differs from what was sent before goes out.

use std::time::Duration;

use contract::Window;
use jiff::Timestamp;

use super::take::View;
use super::{Engine, Flow, passes};
use crate::store::{Coverage, Note};

/// Tries in a row without getting further, before a walk is given up.
const FRUITLESS_MAX: u32 = 8;

/// Creation times, as the user gave them; both ends inclusive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Range {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
}

impl Range {
    /// The identity of a backfill, beside its flow.
    fn run(&self) -> String {
        let told = |time: Option<Timestamp>| time.map_or_else(|| "…".to_owned(), |time| time.to_string());
        format!("backfill {} to {}", told(self.since), told(self.until))
    }

    fn is_all(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }
}

impl Engine {
    /// Walks the history of every flow, delivers it, and takes what changed meanwhile.
    pub async fn backfill(&mut self, range: Range) -> anyhow::Result<()> {
        self.begin().await?;
        let mut flows = self.flows.clone();
        // What is read for one flow of a feed is decided on for all of them.
        flows.sort_by_key(|flow| self.depth_of(&flow.feed));
        for flow in flows {
            if self.is_feed_stopped(&flow.feed) {
                continue;
            }
            let lane = self.lanes.of(&flow.feed);
            let _walk = lane.walk().await;
            let _job = lane.job(&flow.name, true);
            if let Err(error) = self.backfill_flow(&flow, range).await {
                self.trouble(&flow.feed, error).await?;
            }
            self.go_first(&flow.feed).await?;
        }
        let _jobs = self.jobs();
        self.drain().await
    }

    async fn backfill_flow(&mut self, flow: &Flow, range: Range) -> anyhow::Result<()> {
        self.enter(&flow.feed).await?;
        self.mark_start(flow, range).await?;
        self.walk(std::slice::from_ref(flow), &range.run(), range, View::Asked)
            .await?;
        // What changed while the walk went on is behind it; the watermark was fixed before it began.
        if range.until.is_none()
            && let Some(watermark) = self.store.watermark(&flow.name).await?
        {
            self.changes(&flow.feed, std::slice::from_ref(flow), &watermark, View::News)
                .await?;
        }
        Ok(())
    }

    /// Who asks for all history of a flow that began without it wants it from now on. Who asks only for what
    /// came since some time leaves out what was before: from then on that is not the flow's business.
    async fn mark_start(&mut self, flow: &Flow, range: Range) -> anyhow::Result<()> {
        if range.is_all() {
            self.store.forget_start(&flow.name).await?;
        } else if range.since.is_some()
            && self.store.watermark(&flow.name).await?.is_none()
            && !self.store.is_under_way(&flow.name, super::pull::INITIAL).await?
        {
            self.begin_now(flow).await?;
        }
        self.learn_starts().await
    }

    /// Walks to the end, starting over from the last finished window after trouble that passes.
    pub(super) async fn walk(&mut self, flows: &[Flow], run: &str, range: Range, view: View) -> anyhow::Result<()> {
        let mut fruitless = 0;
        for flow in flows {
            loop {
                let before = self.ledger(&flow.name).covered.records;
                let Err(error) = self.walk_once(flow, run, range, view).await else {
                    break;
                };
                // While the system as a whole is away, nothing can be said against this walk.
                let is_down = passes(&error) && flow.source.ping().await.is_err();
                fruitless = if is_down || self.ledger(&flow.name).covered.records > before {
                    0
                } else {
                    fruitless + 1
                };
                if !passes(&error) || !self.patience.endless || fruitless >= FRUITLESS_MAX {
                    return Err(error);
                }
                tracing::warn!("{error:#}; the walk goes on from its last finished window");
                self.leave();
                // What is queued does not wait for the source.
                self.deliver_all(false).await?;
                self.pause(Duration::from_secs(1 << fruitless.min(6))).await?;
            }
        }
        Ok(())
    }

    async fn walk_once(&mut self, flow: &Flow, run: &str, range: Range, view: View) -> anyhow::Result<()> {
        self.enter(&flow.feed).await?;
        let watermark = flow.source.now().await?;
        let known = self.store.backfill(&flow.name, run, &watermark).await?;
        if known.position.is_some() {
            self.voice
                .say(&format!("{}: going on with the {run} that was interrupted", flow.name));
        }
        let window = Window {
            since: range.since,
            until: range.until,
        };
        let asked_at = self.clock.now();
        let mut walk = flow.source.history(window, known.position.as_ref());
        let mut requests = self.requests(&flow.feed);
        let mut last = known.position;
        loop {
            self.give_way(&flow.feed).await?;
            let step = walk.step().await?;
            self.voice.progress(&flow.name, "history", step.progress);
            self.asked_at = asked_at;
            let mut keep = self
                .take(&flow.feed, std::slice::from_ref(flow), step.rows, view)
                .await?;
            for detail in step.notes {
                let note = self.unproven(flow, detail);
                keep.notes.push(note);
            }
            if step.cursor.is_some() || step.done {
                let mut covered = Coverage::default();
                for (key, control) in &step.covered {
                    covered.add(key, *control);
                }
                covered.requests = self.requests(&flow.feed).saturating_sub(requests);
                requests = self.requests(&flow.feed);
                self.ledger(&flow.name).covered.join(&covered);
                last = step.cursor.or(last);
                let position = last.clone().unwrap_or(contract::Cursor(String::new()));
                keep.cursors
                    .push(Engine::walked(flow, run, position, covered, step.done));
                if step.done && range.is_all() {
                    // All of it was walked, so no other walk over all of it is still to be done.
                    keep.walked.push(flow.name.clone());
                }
                if step.done {
                    keep.cursors
                        .extend(self.handed_over(flow, range, known.watermark.clone()).await?);
                }
            }
            self.keep(&keep).await?;
            if last.is_some() || step.done {
                self.read_due(&flow.feed).await?;
                self.deliver_all(false).await?;
            }
            if step.done {
                return Ok(());
            }
        }
    }

    /// The flow's watermark after a walk over everything. A walk over part of the history says nothing of
    /// the rest: it leaves the watermark where it is.
    async fn handed_over(
        &self,
        flow: &Flow,
        range: Range,
        fixed: Option<contract::Cursor>,
    ) -> anyhow::Result<Option<crate::store::Settle>> {
        let Some(fixed) = fixed else { return Ok(None) };
        let watermark = match self.store.watermark(&flow.name).await? {
            None if range.is_all() => fixed,
            None => return Ok(None),
            Some(known) if range.is_all() => flow.source.later(known, fixed),
            Some(_) => return Ok(None),
        };
        Ok(Some(crate::store::Store::live(
            &flow.name,
            watermark,
            Coverage::default(),
        )))
    }

    fn unproven(&mut self, flow: &Flow, detail: String) -> Note {
        self.ledger(&flow.name).unproven += 1;
        tracing::warn!(flow = flow.name, "{detail}");
        Note {
            flow: flow.name.clone(),
            key: None,
            what: "unproven",
            detail,
        }
    }
}
