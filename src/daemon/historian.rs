//! The historian of a feed: what takes long and can wait. Walks that flows begin with, an hourly look
//! further back, and a daily sweep over everything. It gives way to the feed's worker at every step.

use std::sync::Arc;
use std::time::Duration;

use contract::Stamp;
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::patience::Delays;
use super::worker::{delay_of, manner};
use crate::engine::{Engine, Lane};
use crate::store::HISTORY_ERROR;
use crate::work::{Parts, grouped};

/// What a feed is to look at once more, from this stamp of our clock on: events about it may have been lost since.
/// Empty: nothing.
pub(super) const LOOK_BACK_TO: &str = "look_back_to";
/// The longest sleep, so that a clock that was set is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// When the daemon began to look after the feed.
const WATCHED_SINCE: &str = "watched_since";
const TROUBLE_DELAY: Duration = Duration::from_secs(10);
const TROUBLE_DELAY_MAX: Duration = Duration::from_secs(15 * 60);

pub(super) struct Historian {
    parts: Arc<Parts>,
    feed: String,
    lane: Arc<Lane>,
    walks: Arc<Notify>,
    stop: CancellationToken,
}

/// Something that comes back after a time, also over restarts.
struct Recurring {
    name: &'static str,
    every: Duration,
    /// On the monotonic clock, so that a wall clock that is set does not matter.
    due: Duration,
}

#[derive(Default)]
struct Rounds {
    deep: Option<Recurring>,
    /// How much further back than a pass the deep one looks.
    reach: Duration,
    sweep: Option<Recurring>,
}

impl Historian {
    pub(super) fn new(parts: Arc<Parts>, feed: &str, walks: Arc<Notify>, stop: CancellationToken) -> Historian {
        let lane = parts.lanes.of(feed);
        Historian {
            parts,
            feed: feed.to_owned(),
            lane,
            walks,
            stop,
        }
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let flows = self.parts.scheduled(&self.feed);
        if flows.is_empty() {
            self.stop.cancelled().await;
            return Ok(());
        }
        let mut engine = self.parts.engine(&flows, manner(&self.stop, false)).await?;
        // Before anything is looked at: what the targets hold already, and since when flows count.
        engine.begin().await?;
        let mut rounds = self.rounds(&engine).await?;
        let mut delays = Delays::new(TROUBLE_DELAY, TROUBLE_DELAY_MAX);
        while !self.stop.is_cancelled() {
            let mut wait = LOOK_EVERY;
            let done = match self.lane.is_paused() {
                true => Ok(()),
                false => self.round(&mut engine, &mut rounds).await,
            };
            engine.leave();
            let is_paused = self.lane.is_paused();
            match done {
                // Nothing is known of how it goes, and what was begun goes on from there.
                Ok(()) if is_paused => {}
                Err(error) if is_paused && error.is::<contract::Error>() => engine.ledger.clear(),
                Ok(()) => {
                    delays.reset();
                    self.parts.store.put_memory(&self.feed, HISTORY_ERROR, "").await?;
                }
                Err(error) => {
                    wait = delay_of(&error, &mut delays);
                    let told = format!("{error:#}");
                    engine.trouble(&self.feed, error).await?;
                    engine.ledger.clear();
                    // By itself, because the next pass that goes well says nothing of the history.
                    self.parts.store.put_memory(&self.feed, HISTORY_ERROR, &told).await?;
                }
            }
            if !delays.has_failed() && !is_paused {
                let now = self.parts.clock.monotonic();
                for recurring in rounds.deep.iter().chain(&rounds.sweep) {
                    let left = recurring.due.saturating_sub(now);
                    wait = wait.min(left.max(Duration::from_millis(50)));
                }
            }
            tokio::select! {
                () = self.parts.clock.sleep(wait) => {}
                () = self.walks.notified(), if !delays.has_failed() => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    async fn rounds(&self, engine: &Engine) -> anyhow::Result<Rounds> {
        let Some(upkeep) = engine.flows.first().and_then(|flow| flow.source.upkeep()) else {
            return Ok(Rounds::default());
        };
        Ok(Rounds {
            reach: upkeep.deep_reach,
            deep: self.recurring("deep_at", upkeep.deep_every).await?,
            sweep: self.recurring("sweep_at", upkeep.sweep_every).await?,
        })
    }

    /// Everything that is due.
    async fn round(&self, engine: &mut Engine, rounds: &mut Rounds) -> anyhow::Result<()> {
        self.look_back(engine).await?;
        self.walk(engine).await?;
        if let Some(deep) = &mut rounds.deep
            && self.is_due(deep)
        {
            engine.prepare().await?;
            engine.deep_pass(&self.feed, rounds.reach).await?;
            self.done(deep).await?;
        }
        if let Some(sweep) = &mut rounds.sweep
            && self.is_due(sweep)
        {
            engine.prepare().await?;
            self.sweep(engine).await?;
            self.done(sweep).await?;
        }
        Ok(())
    }

    /// Walks what flows begin with, and delivers it.
    async fn walk(&self, engine: &mut Engine) -> anyhow::Result<()> {
        if !engine.walks_ahead(&self.feed).await? {
            return Ok(());
        }
        engine.prepare().await?;
        engine.finish_walks(&self.feed).await?;
        let jobs = engine.jobs();
        engine.drain().await?;
        drop(jobs);
        for flow in &engine.flows {
            if let Some(ledger) = engine.ledger.get(&flow.name) {
                tracing::info!(
                    "{}: walked {} records of history, {} sent",
                    flow.name,
                    grouped(ledger.covered.records),
                    grouped(ledger.sent)
                );
            }
        }
        engine.ledger.clear();
        Ok(())
    }

    /// What is new at once, and then all that may have been missed. The wish stays until that is done.
    async fn look_back(&self, engine: &mut Engine) -> anyhow::Result<()> {
        let Some(wish) = self.parts.store.memory(&self.feed, LOOK_BACK_TO).await? else {
            return Ok(());
        };
        if let Ok(to) = wish.parse::<Stamp>() {
            let reach = self.parts.clock.now().saturating_sub(to);
            let reach = Duration::from_millis(u64::try_from(reach).unwrap_or(0));
            engine.prepare().await?;
            engine.pass(&self.feed).await?;
            engine.deep_pass(&self.feed, reach).await?;
            tracing::info!(
                "{}: looked {} min back, because events about it may have been lost",
                self.feed,
                reach.as_secs() / 60
            );
            self.lane.bell.notify_one();
        }
        self.parts.store.forget(&self.feed, LOOK_BACK_TO, &wish).await
    }

    async fn sweep(&self, engine: &mut Engine) -> anyhow::Result<()> {
        let report = engine.sweep(&self.feed).await?;
        tracing::info!(
            "{}: swept {} records, {} had been missed or changed unnoticed, {} are gone",
            self.feed,
            grouped(report.records),
            grouped(report.missed),
            grouped(report.gone)
        );
        self.lane.bell.notify_one();
        Ok(())
    }

    /// When it is due next: so long after it was done last, or after now if it never was. `None`: never.
    async fn recurring(&self, name: &'static str, every: Duration) -> anyhow::Result<Option<Recurring>> {
        if every.is_zero() {
            return Ok(None);
        }
        let clock = &self.parts.clock;
        let mut last = None;
        for name in [name, WATCHED_SINCE] {
            let told = self.parts.store.memory(&self.feed, name).await?;
            last = last.or(told.and_then(|text| text.parse::<Stamp>().ok()));
        }
        if last.is_none() {
            self.remember(WATCHED_SINCE).await?;
        }
        let gone = last.map_or(0, |last| clock.now().saturating_sub(last).max(0));
        let left = every.saturating_sub(Duration::from_millis(u64::try_from(gone).unwrap_or(0)));
        let due = clock.monotonic() + left;
        Ok(Some(Recurring { name, every, due }))
    }

    fn is_due(&self, recurring: &Recurring) -> bool {
        self.parts.clock.monotonic() >= recurring.due
    }

    async fn done(&self, recurring: &mut Recurring) -> anyhow::Result<()> {
        recurring.due = self.parts.clock.monotonic() + recurring.every;
        self.remember(recurring.name).await
    }

    async fn remember(&self, name: &str) -> anyhow::Result<()> {
        let now = self.parts.clock.now().to_string();
        self.parts.store.put_memory(&self.feed, name, &now).await
    }
}
