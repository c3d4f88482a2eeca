//! The courier of a flow whose target takes records one by one: sends what is due, for as long as there is
//! something. Apart from the worker of its feed, so that a slow target, or one that is away for days, holds
//! up no reading and no other flow.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::worker::{manner, sent, tell_sent};
use crate::engine::{Engine, Lane};
use crate::work::Parts;

/// The longest sleep, so that a clock that was set is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How soon it looks again whether a job has left its flow.
const LOOK_AT_JOB: Duration = Duration::from_millis(200);
const SHORTEST: Duration = Duration::from_millis(5);

pub(super) struct Courier {
    parts: Arc<Parts>,
    flow: String,
    /// Of the feed: there jobs tell which flows they are at.
    feed: Arc<Lane>,
    target: Arc<Lane>,
    stop: CancellationToken,
}

impl Courier {
    pub(super) fn new(parts: Arc<Parts>, flow: &crate::engine::Flow, stop: CancellationToken) -> Courier {
        Courier {
            flow: flow.name.clone(),
            feed: parts.lanes.of(&flow.feed),
            target: parts.lanes.of(&flow.target),
            parts,
            stop,
        }
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let own = [self.flow.clone()];
        let mut manner = manner(&self.stop, false);
        manner.patience.leaves_records = false;
        let mut engine = self.parts.engine(&own, manner).await?;
        engine.begin().await?;
        while !self.stop.is_cancelled() {
            // A job delivers by itself what its flow has.
            if !self.feed.is_at(&self.flow) {
                let sent_before = sent(&engine);
                engine.deliver_all(true).await?;
                tell_sent(&engine, sent_before);
            }
            let wait = self.wait(&engine).await?;
            tokio::select! {
                () = self.parts.clock.sleep(wait) => {}
                () = self.target.bell.notified() => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Until the next record is due, or the target has had its rest.
    async fn wait(&self, engine: &Engine) -> anyhow::Result<Duration> {
        if self.feed.is_at(&self.flow) {
            return Ok(LOOK_AT_JOB);
        }
        if let Some(rest) = engine.rest_left(&self.flow) {
            return Ok(rest.clamp(SHORTEST, LOOK_EVERY));
        }
        // Left alone for good, by this run.
        if engine.is_target_down(&self.flow) {
            return Ok(LOOK_EVERY);
        }
        let due = engine.next_delivery(|_| true).await?;
        let now = self.parts.clock.now();
        let left = due.map(|at| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0)));
        Ok(left.unwrap_or(LOOK_EVERY).clamp(SHORTEST, LOOK_EVERY))
    }
}
