//! The worker of a feed: passes on schedule, reads what is due, delivers what is full or has waited long
//! enough. One a feed, so no flow ever overlaps with itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Fault, Progress, Stamp};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::patience::Delays;
use super::slots::Slot;
use crate::engine::{Engine, Flow, Lane, Patience, Voice};
use crate::store::Due;
use crate::work::{Manner, Parts, grouped};

/// The longest sleep, so that a clock that was set is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(20);
/// How long one who rings waits for others.
const GATHER: Duration = Duration::from_millis(20);
/// How long a feed or target in trouble is left alone.
const TROUBLE_DELAY: Duration = Duration::from_secs(2);
const TROUBLE_DELAY_MAX: Duration = Duration::from_secs(5 * 60);
/// Refused credentials do not get better by asking; one look in this time.
const DENIED_DELAY: Duration = Duration::from_secs(5 * 60);

pub(super) struct Worker {
    parts: Arc<Parts>,
    feed: String,
    lane: Arc<Lane>,
    /// Rung when a walk is to be done.
    walks: Arc<Notify>,
    stop: CancellationToken,
}

/// Talks to the log.
pub(super) struct LogVoice;

impl Voice for LogVoice {
    fn progress(&self, flow: &str, what: &str, progress: Progress) {
        tracing::debug!(flow, what, seen = progress.seen, total = progress.total, "going on");
    }

    fn say(&self, line: &str) {
        tracing::info!("{line}");
    }

    fn out(&self, line: &str) {
        tracing::info!("{line}");
    }

    fn would_send(&self, _flow: &str, _file: &str, _row: &str) {}
}

/// The manner in which the daemon's own tasks run.
pub(super) fn manner(stop: &CancellationToken, leaves_walks: bool) -> Manner {
    Manner {
        dry: false,
        patience: Patience {
            wait: Duration::ZERO,
            endless: !leaves_walks,
            leaves_walks,
            leaves_records: true,
        },
        voice: Arc::new(LogVoice),
        stop: stop.clone(),
    }
}

/// When each side may be tried again, on the monotonic clock.
struct Rests {
    source: Duration,
    source_delays: Delays,
    target: Duration,
    target_delays: Delays,
    /// When a folder is looked at next.
    look: Option<Duration>,
}

impl Worker {
    pub(super) fn new(parts: Arc<Parts>, feed: &str, walks: Arc<Notify>, stop: CancellationToken) -> Worker {
        let lane = parts.lanes.of(feed);
        Worker {
            parts,
            feed: feed.to_owned(),
            lane,
            walks,
            stop,
        }
    }

    async fn slots(&self) -> anyhow::Result<Vec<Slot>> {
        let mut slots = Vec::new();
        for flow in &self.parts.config.flows {
            if flow.from.to_string() == self.feed {
                let cron = flow.schedule.as_ref().map(|schedule| schedule.cron.clone());
                let served = self.parts.store.served_slot(&flow.name).await?;
                slots.push(Slot::new(&flow.name, cron, served));
            }
        }
        Ok(slots)
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let clock = &self.parts.clock;
        let flows = self.parts.scheduled(&self.feed);
        if flows.is_empty() {
            self.stop.cancelled().await;
            return Ok(());
        }
        let mut engine = self.parts.engine(&flows, manner(&self.stop, true)).await?;
        engine.begin().await?;
        let mut slots = self.slots().await?;
        let mut rests = Rests {
            source: Duration::ZERO,
            source_delays: Delays::new(TROUBLE_DELAY, TROUBLE_DELAY_MAX),
            target: Duration::ZERO,
            target_delays: Delays::new(TROUBLE_DELAY, TROUBLE_DELAY_MAX),
            look: engine.files_of(&self.feed).map(|_| Duration::ZERO),
        };
        // One that an earlier process was asked for.
        if self.parts.store.scan_wanted(&self.feed).await?.is_some() {
            self.lane.want_scan();
        }
        let mut last_look = clock.now();
        while !self.stop.is_cancelled() {
            let now = clock.now();
            if now < last_look {
                // The clock was set back: what waits for a time by it would wait too long.
                self.parts.store.forget_waits(&self.feed).await?;
            }
            last_look = now;
            if clock.monotonic() >= rests.source && !self.lane.is_paused() {
                self.pass_due(&mut engine, &mut slots, &mut rests).await?;
                self.scan(&mut engine, &mut rests).await?;
                self.look_at_files(&mut engine, &mut rests).await?;
            }
            if !self.tend(&mut engine, &mut rests).await? {
                self.wait(&engine, &slots, &rests).await?;
            }
        }
        Ok(())
    }

    /// One pass for every flow whose time has come.
    async fn pass_due(&self, engine: &mut Engine, slots: &mut [Slot], rests: &mut Rests) -> anyhow::Result<()> {
        let due = self.due(slots);
        if due.is_empty() {
            return Ok(());
        }
        let all = std::mem::take(&mut engine.flows);
        engine.flows = all
            .iter()
            .filter(|flow| due.contains_key(&flow.name))
            .cloned()
            .collect();
        let passed = self.pass(engine).await;
        let troubled = match passed {
            Ok(()) => Ok(false),
            Err(error) => self.source_trouble(engine, rests, error).await.map(|()| true),
        };
        engine.flows = all;
        if troubled? {
            return Ok(());
        }
        rests.source_delays.reset();
        self.lane.set_refused(false);
        for slot in slots {
            let Some(at) = due.get(&slot.flow) else { continue };
            slot.serve(*at);
            self.parts.store.serve_slot(&slot.flow, *at).await?;
            if let Some(ledger) = engine.ledger.get_mut(&slot.flow) {
                ledger.source_error = None;
            }
            let is_well = engine.ledger.get(&slot.flow).is_none_or(|l| l.target_error.is_none())
                && engine
                    .flows
                    .iter()
                    .all(|flow| flow.name != slot.flow || !self.is_target_down(flow));
            if is_well {
                self.parts.store.succeeded(&slot.flow).await?;
            }
        }
        Ok(())
    }

    /// What the flow's courier found, where it has one.
    fn is_target_down(&self, flow: &Flow) -> bool {
        flow.goes_by_record() && self.parts.lanes.of(&flow.target).is_down()
    }

    /// A pass of all flows that an event asked for without naming a record.
    async fn scan(&self, engine: &mut Engine, rests: &mut Rests) -> anyhow::Result<()> {
        let for_levels = self.lane.takes_sales();
        let wish = match self.lane.takes_scan() {
            true => self.parts.store.scan_wanted(&self.feed).await?,
            false => None,
        };
        if wish.is_none() && !for_levels {
            return Ok(());
        }
        match (self.pass(engine).await, wish) {
            (Ok(()), Some(wish)) => self.parts.store.scan_made(&self.feed, &wish).await,
            (Ok(()), None) => Ok(()),
            (Err(error), wish) => {
                if wish.is_some() {
                    self.lane.want_scan();
                }
                self.source_trouble(engine, rests, error).await
            }
        }
    }

    /// Of a feed of files: the folder is looked at far more often than the schedule says, so that a file is taken soon
    /// after it is complete.
    async fn look_at_files(&self, engine: &mut Engine, rests: &mut Rests) -> anyhow::Result<()> {
        let now = self.parts.clock.monotonic();
        let Some(files) = engine
            .files_of(&self.feed)
            .filter(|_| rests.look.is_some_and(|at| at <= now))
        else {
            return Ok(());
        };
        let poll = files.terms().poll;
        match engine.look_at_files(&self.feed).await {
            Ok(next) => {
                let next = next.map_or(poll, |next| next.clamp(Duration::from_millis(20), poll));
                rests.look = Some(self.parts.clock.monotonic() + next);
                Ok(())
            }
            Err(error) => {
                rests.look = Some(self.parts.clock.monotonic() + poll);
                self.source_trouble(engine, rests, error).await
            }
        }
    }

    /// Leaves the source alone for a while. That it was paused in the middle is no trouble.
    async fn source_trouble(&self, engine: &mut Engine, rests: &mut Rests, error: anyhow::Error) -> anyhow::Result<()> {
        if self.lane.is_paused() && error.is::<contract::Error>() {
            engine.leave();
            return Ok(());
        }
        let fault = error.downcast_ref::<contract::Error>().map(|error| error.fault);
        self.lane.set_refused(fault == Some(Fault::Denied));
        rests.source = self.parts.clock.monotonic() + delay_of(&error, &mut rests.source_delays);
        engine.trouble(&self.feed, error).await
    }

    /// The flows whose time has come, with that time.
    fn due(&self, slots: &mut [Slot]) -> BTreeMap<String, Stamp> {
        let (now, zone) = (self.parts.clock.now(), &self.parts.config.timezone);
        let due = slots.iter_mut().filter_map(|slot| Some((slot.due(now, zone)?, slot)));
        due.map(|(at, slot)| (slot.flow.clone(), at)).collect()
    }

    async fn pass(&self, engine: &mut Engine) -> anyhow::Result<()> {
        engine.start_flows(&self.feed).await?;
        if engine.walks_ahead(&self.feed).await? {
            self.walks.notify_one();
        }
        engine.pass(&self.feed).await
    }

    /// Reads and delivers some of what is due. `true`: there may be more.
    async fn tend(&self, engine: &mut Engine, rests: &mut Rests) -> anyhow::Result<bool> {
        let now = self.parts.clock.monotonic();
        let mut more = false;
        if now >= rests.source && !self.lane.is_paused() {
            match engine.read_some(&self.feed, self.readings()).await {
                Ok(any) => more = any,
                Err(error) => self.source_trouble(engine, rests, error).await?,
            }
            engine.leave();
        }
        if now >= rests.target {
            let sent_before = sent(engine);
            for ledger in engine.ledger.values_mut() {
                ledger.target_error = None;
            }
            let all = std::mem::take(&mut engine.flows);
            engine.flows = all
                .iter()
                .filter(|flow| !self.lane.is_at(&flow.name))
                .cloned()
                .collect();
            let delivered = engine.deliver_all(false).await;
            engine.flows = all;
            delivered?;
            if engine.ledger.values().any(|ledger| ledger.target_error.is_some()) {
                rests.target = now + rests.target_delays.next();
            } else {
                rests.target_delays.reset();
            }
            tell_sent(engine, sent_before);
        }
        Ok(more)
    }

    /// A job reads what it waits for by itself, but may be long about it.
    fn readings(&self) -> Due {
        if self.lane.has_jobs() { Due::Rung } else { Due::Any }
    }

    /// Until the next time that something is due, or somebody rings.
    async fn wait(&self, engine: &Engine, slots: &[Slot], rests: &Rests) -> anyhow::Result<()> {
        let clock = &self.parts.clock;
        let is_paused = self.lane.is_paused();
        let mut reading = None;
        if !is_paused {
            reading = self.parts.store.next_due(&self.feed, self.readings()).await?;
        }
        let lane = self.lane.clone();
        let own = |flow: &Flow| !lane.is_at(&flow.name);
        let delivery = engine.next_delivery(own).await?;
        let slots = if is_paused { &[] } else { slots };
        let wait = self.time_left(slots, rests, reading, delivery);
        tokio::select! {
            () = clock.sleep(wait) => {}
            () = self.lane.bell.notified() => self.gather().await,
            () = self.stop.cancelled() => {}
        }
        Ok(())
    }

    /// Who rings is often followed by others, as while events come by the hundred: they are seen to together.
    async fn gather(&self) {
        tokio::select! {
            () = tokio::time::sleep(GATHER) => {}
            () = self.stop.cancelled() => {}
        }
    }

    fn time_left(&self, slots: &[Slot], rests: &Rests, reading: Option<Stamp>, delivery: Option<Stamp>) -> Duration {
        let (clock, zone) = (&self.parts.clock, &self.parts.config.timezone);
        let (now, gone) = (clock.now(), clock.monotonic());
        let until = |at: Stamp| Duration::from_millis(u64::try_from(at.saturating_sub(now)).unwrap_or(0));
        let source_rest = rests.source.saturating_sub(gone);
        let target_rest = rests.target.saturating_sub(gone);
        let passes = slots
            .iter()
            .filter_map(|slot| slot.next(now, zone))
            .map(|at| until(at).max(source_rest));
        let look = rests.look.map(|at| at.saturating_sub(gone).max(source_rest));
        let rest = Some(source_rest).filter(|rest| !rest.is_zero());
        let reading = reading.map(|at| until(at).max(source_rest));
        let delivery = delivery.map(|at| until(at).max(target_rest));
        let soonest = passes.chain(rest).chain(look).chain(reading).chain(delivery).min();
        soonest
            .unwrap_or(LOOK_EVERY)
            .clamp(Duration::from_millis(5), LOOK_EVERY)
    }
}

/// How long to leave a source alone for what it said.
pub(super) fn delay_of(error: &anyhow::Error, delays: &mut Delays) -> Duration {
    match error.downcast_ref::<contract::Error>().map(|error| error.fault) {
        Some(Fault::Denied) => DENIED_DELAY,
        Some(Fault::Throttled {
            retry_after: Some(pause),
        }) => pause,
        _ => delays.next(),
    }
}

pub(super) fn sent(engine: &Engine) -> Vec<(String, u64, u64)> {
    let of = |flow: &Flow| {
        let ledger = engine.ledger.get(&flow.name);
        let count = ledger.map_or((0, 0), |ledger| (ledger.sent, ledger.files));
        (flow.name.clone(), count.0, count.1)
    };
    engine.flows.iter().map(of).collect()
}

pub(super) fn tell_sent(engine: &Engine, before: Vec<(String, u64, u64)>) {
    for ((flow, sent, files), (_, sent_before, files_before)) in sent(engine).into_iter().zip(before) {
        if sent > sent_before {
            let sent = grouped(sent - sent_before);
            match files - files_before {
                0 => tracing::info!("{flow}: {sent} sent"),
                files => tracing::info!("{flow}: {sent} sent in {}", grouped(files)),
            }
        }
    }
}
