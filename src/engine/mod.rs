//! The three steps that move everything: pull (network, then keep), read (network, then keep), deliver
//! (claim, network, settle). Each does one unit, can be killed anywhere, and is called until it says idle.

mod backfill;
mod calls;
mod deliver;
mod dropped;
mod files;
mod found;
mod guard;
mod lanes;
mod proof;
mod pull;
mod read;
mod reconcile;
mod records;
mod refs;
mod sweep;
mod take;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Connector, Fault, Progress, Source, Target};
use tokio::sync::OwnedMutexGuard;
use tokio_util::sync::CancellationToken;

use crate::mapping::Mapping;
use crate::store::{CountedBy, Course, Coverage, Due, Guard, Keep, Queue, Store};

pub use crate::decide::References;
pub use backfill::Range;
pub use guard::told_level;
pub use lanes::{Job, Lane, Lanes};
pub use reconcile::{Account, Aftermath, Finding, Ids, Repair, Skip, Skipped};
pub use refs::references;
pub use sweep::SweepReport;

/// A flow with everything it needs to run.
#[derive(Clone)]
pub struct Flow {
    pub name: String,
    /// `store.orders`
    pub feed: String,
    /// `drop.orders`
    pub target: String,
    pub source: Arc<dyn Source>,
    /// What idempotency keys begin with.
    pub realm: String,
    pub to: Target,
    pub mapping: Arc<Mapping>,
    /// Starts with what comes, instead of with all history.
    pub only_new: bool,
    /// A file that looks wrong as a whole is held for a person.
    pub guards: bool,
    /// Who delivers what its records refer to; in the order of the mapping's `requires`.
    pub requires: Vec<Provider>,
    /// The feeds whose records wait for those of this flow.
    pub required_by: Vec<String>,
    /// It comes after all flows with less.
    pub depth: usize,
    /// Of stock: whose orders are taken off its levels.
    pub guard: Option<Guard>,
    /// Of orders: the flows from whose levels they are taken off.
    pub counted_by: Vec<CountedBy>,
}

/// The flow that delivers what another one requires, the feed it reads and where it delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Provider {
    pub flow: String,
    pub feed: String,
    pub target: String,
}

impl Flow {
    /// Whether its target takes records one by one; they are delivered apart from the reading, because each
    /// may take its time.
    pub fn goes_by_record(&self) -> bool {
        matches!(self.to, Target::Records(_))
    }

    pub(crate) fn course(&self) -> Course<'_> {
        Course {
            flow: &self.name,
            feed: &self.feed,
            target: &self.target,
            guard: self.guard.as_ref().filter(|_| self.guards_levels()),
        }
    }
}

/// Whom the engine tells how it goes.
pub trait Voice: Send + Sync {
    fn progress(&self, flow: &str, what: &str, progress: Progress);
    /// One line that stays.
    fn say(&self, line: &str);
    /// One line of the result.
    fn out(&self, line: &str);
    /// In a dry run: what would be sent.
    fn would_send(&self, flow: &str, file: &str, row: &str);
    /// How much of what was said is not read yet; a run that has much to say waits for its reader.
    fn backlog(&self) -> usize {
        0
    }
}

pub struct Engine {
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub connectors: BTreeMap<String, Arc<dyn Connector>>,
    /// The flows of this run.
    pub flows: Vec<Flow>,
    /// Flows that share a feed with those of this run. What is read for one is decided on for all, because a
    /// record leaves the inbox once; they deliver in their own runs.
    pub neighbours: Vec<Flow>,
    pub voice: Arc<dyn Voice>,
    /// Nothing is written to the other side.
    pub dry: bool,
    pub patience: Patience,
    /// Targets that hold rows which the state does not account for.
    pub ahead: BTreeSet<String>,
    /// Since when the flows count that start with what comes.
    pub starts: BTreeMap<String, contract::Stamp>,
    /// What this run covered and sent, by flow.
    pub ledger: BTreeMap<String, Ledger>,
    pub lanes: Arc<Lanes>,
    /// The feed whose turn this run has.
    pub turn: Option<(String, OwnedMutexGuard<()>)>,
    /// Cancelled when the run is to end between two steps.
    pub stop: CancellationToken,
    /// When what is looked at now was asked for, or the reading began that brought it.
    pub asked_at: contract::Stamp,
}

/// The run was told to stop, and did so between two steps.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("stopped; nothing is lost, and the same command goes on from here")]
pub struct Stopped;

/// How a run treats trouble that passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long to wait for rows that become due.
    pub wait: Duration,
    /// Keep on until nothing is left but what is parked.
    pub endless: bool,
    /// Somebody else does the walks that this run finds to be necessary.
    pub leaves_walks: bool,
    /// Somebody else delivers what goes record by record.
    pub leaves_records: bool,
}

/// What a run did for a flow.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// History that was walked; of a walk that was resumed, all of it.
    pub covered: Coverage,
    /// What was looked at because it changed lately.
    pub changed: Coverage,
    pub sent: u64,
    pub rows: u64,
    pub files: u64,
    /// Versions that were found at the target already.
    pub known: u64,
    pub flagged: u64,
    pub gone: u64,
    /// Parts of the history that did not add up to what the source counts.
    pub unproven: u64,
    /// Changes that the target cannot be told of.
    pub unsent: u64,
    /// Lines of orders without a SKU or a quantity: no level counts them.
    pub unmatched: u64,
    pub source_error: Option<String>,
    pub target_error: Option<String>,
    /// Until when a target in trouble that passes is left alone, on the monotonic clock, and how often in a row
    /// it failed.
    target_rest: Option<(Duration, u32)>,
    /// Calls in a row that the target left unanswered.
    unanswered: u32,
    /// Tries again of records that the target refused.
    retried: u64,
    /// When it was looked whether the target said what became of records.
    acks_at: Option<Duration>,
    /// What it created at the target was found there.
    pub(crate) proven: bool,
}

/// How long a target in trouble is left alone at first, where the run goes on until it is well again.
const TARGET_REST: Duration = Duration::from_secs(2);

impl Ledger {
    pub fn errors(&self) -> impl Iterator<Item = &str> {
        self.source_error.iter().chain(&self.target_error).map(String::as_str)
    }
}

impl Engine {
    /// One incremental pass of every flow, then everything that is due.
    pub async fn once(&mut self) -> anyhow::Result<()> {
        let _jobs = self.jobs();
        self.begin().await?;
        for feed in self.feeds() {
            if let Err(error) = self.catch_up_and_pass(&feed).await {
                self.trouble(&feed, error).await?;
            }
            self.go_first(&feed).await?;
        }
        self.drain().await
    }

    async fn catch_up_and_pass(&mut self, feed: &str) -> anyhow::Result<()> {
        self.start_flows(feed).await?;
        self.finish_walks(feed).await?;
        self.pass(feed).await
    }

    /// Held while this run sees to what its flows have to read and deliver.
    pub(crate) fn jobs(&self) -> Vec<Job> {
        let of = |flow: &Flow| self.lanes.of(&flow.feed).job(&flow.name, self.delivers(flow));
        self.flows.iter().map(of).collect()
    }

    fn delivers(&self, flow: &Flow) -> bool {
        !(self.patience.leaves_records && flow.goes_by_record())
    }

    /// Everything that is due, without looking for more.
    pub async fn settle(&mut self) -> anyhow::Result<()> {
        let _jobs = self.jobs();
        self.begin().await?;
        self.drain().await
    }

    /// What every run does first: settle what an earlier one left in the middle.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        for feed in self.feeds() {
            self.store.forget_waits(&feed).await?;
        }
        self.store.trim_journal().await?;
        self.store.trim_sold().await?;
        self.prepare().await
    }

    /// Learns what the state and the targets say of these flows.
    pub async fn prepare(&mut self) -> anyhow::Result<()> {
        self.learn_starts().await?;
        for flow in self.flows.clone() {
            let providers: Vec<(&str, &str)> = flow
                .requires
                .iter()
                .map(|provider| (provider.flow.as_str(), provider.target.as_str()))
                .collect();
            self.store.forget_other_needs(&flow.name, &providers).await?;
            // A row of a file is not read by itself.
            if flow.source.files().is_some() {
                continue;
            }
            for failure in self
                .store
                .parked_by_older_mapping(&flow.name, flow.mapping.print().0)
                .await?
            {
                self.store.retry(&failure, &flow.feed).await?;
            }
            self.forget_search(&flow).await?;
        }
        self.meet_targets().await
    }

    /// Reads and delivers until nothing is left that this run may still wait for.
    pub(crate) async fn drain(&mut self) -> anyhow::Result<()> {
        // Work that leads to more of it, as where one record goes before another, is no waiting.
        let mut waited = Duration::ZERO;
        loop {
            for feed in self.feeds() {
                if !self.is_feed_stopped(&feed)
                    && let Err(error) = self.read_due(&feed).await
                {
                    self.trouble(&feed, error).await?;
                }
            }
            self.leave();
            self.look_for_sales().await?;
            self.deliver_all(true).await?;
            let waits = [self.next_wait().await?, self.target_rest().await?];
            let Some(wait) = waits.into_iter().flatten().min() else {
                return Ok(());
            };
            if !self.patience.endless && waited + wait > self.patience.wait {
                return Ok(());
            }
            let wait = wait.max(Duration::from_millis(20));
            self.pause(wait).await?;
            waited += wait;
        }
    }

    /// Stores a unit of facts, and tells those who deliver records that there are new ones.
    pub(crate) async fn keep(&self, keep: &Keep) -> anyhow::Result<()> {
        self.store.keep(keep).await?;
        self.ring_guards(keep);
        let all = self.flows.iter().chain(&self.neighbours);
        for flow in all.filter(|flow| flow.goes_by_record()) {
            if keep.wants.iter().any(|want| want.flow == flow.name) {
                self.lanes.of(&flow.target).bell.notify_one();
            }
        }
        self.ring_feeds(
            keep.waits
                .iter()
                .flat_map(|wait| wait.needs.iter().map(|need| &need.feed)),
        );
        Ok(())
    }

    fn check_stop(&self) -> Result<(), Stopped> {
        if self.stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    pub(crate) async fn pause(&self, time: Duration) -> Result<(), Stopped> {
        tokio::select! {
            () = self.clock.sleep(time) => Ok(()),
            () = self.stop.cancelled() => Err(Stopped),
        }
    }

    /// Waits for the turn at a feed, and keeps it until `leave`. Every request to a source is made in such a turn,
    /// so one that is paused is asked nothing.
    pub(crate) async fn enter(&mut self, feed: &str) -> anyhow::Result<()> {
        if self.turn.as_ref().is_none_or(|(own, _)| own != feed) {
            self.turn = None;
            let turn = self.lanes.of(feed).turn().await;
            self.turn = Some((feed.to_owned(), turn));
        }
        if self.lanes.of(feed).is_paused() {
            return Err(put_out(feed).into());
        }
        Ok(self.check_stop()?)
    }

    pub fn leave(&mut self) {
        self.turn = None;
    }

    /// Lets whoever waits for the feed have a turn first.
    pub(crate) async fn give_way(&mut self, feed: &str) -> anyhow::Result<()> {
        self.leave();
        self.enter(feed).await
    }

    /// How long until something becomes due; `None` when nothing will.
    async fn next_wait(&self) -> anyhow::Result<Option<Duration>> {
        let mut next: Option<i64> = None;
        for feed in self.feeds() {
            if self.is_feed_stopped(&feed) {
                continue;
            }
            if let Some(at) = self.store.next_due(&feed, Due::Any).await? {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        // Of a target in trouble what is due waits for the end of its rest.
        let by_record = self.flows.iter().filter(|flow| flow.goes_by_record());
        for flow in by_record.filter(|flow| !self.is_target_down(&flow.name)) {
            if let Some(at) = self.store.next_call(&flow.course()).await? {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        let left = next.map(|at| at.saturating_sub(self.clock.now()).max(0));
        Ok(left.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0))))
    }

    /// The source is in trouble: nothing more is read for the flows of this feed. What they have queued is
    /// delivered all the same. Errors of the state file end the run for all, at once.
    pub async fn trouble(&mut self, feed: &str, error: anyhow::Error) -> anyhow::Result<()> {
        self.leave();
        let told = error.downcast::<contract::Error>()?.to_string();
        for flow in self.of_feed(feed) {
            self.store.failed(&flow.name, &told).await?;
            self.ledger(&flow.name).source_error.get_or_insert(told.clone());
        }
        Ok(())
    }

    /// The target is in trouble: what a flow has queued waits for the next run.
    pub(crate) async fn stop_target(&mut self, flow: &Flow, error: anyhow::Error) -> anyhow::Result<()> {
        let comes_back = passes(&error) && self.patience.endless;
        let told = error.downcast::<contract::Error>()?.to_string();
        self.store.failed(&flow.name, &told).await?;
        let now = self.clock.monotonic();
        let ledger = self.ledger(&flow.name);
        if comes_back {
            // Nobody waits for it meanwhile: not the walk, and not the other flows of the feed or the target.
            let failed = ledger.target_rest.map_or(0, |(_, failed)| failed + 1);
            let rest = TARGET_REST.saturating_mul(1 << failed.min(5));
            tracing::warn!(flow = flow.name, "{told}; trying again in {} s", rest.as_secs());
            ledger.target_rest = Some((now + rest, failed));
        }
        ledger.target_error.get_or_insert(told);
        Ok(())
    }

    pub(crate) fn is_target_down(&self, flow: &str) -> bool {
        let now = self.clock.monotonic();
        self.ledger.get(flow).is_some_and(|ledger| match ledger.target_rest {
            Some((until, _)) => now < until,
            None => ledger.target_error.is_some(),
        })
    }

    /// How long the target of a flow is still left alone.
    pub fn rest_left(&self, flow: &str) -> Option<Duration> {
        let (until, _) = self.ledger.get(flow)?.target_rest?;
        let left = until.saturating_sub(self.clock.monotonic());
        (!left.is_zero()).then_some(left)
    }

    /// The target took something: what it had said before is over.
    pub(crate) fn target_is_well(&mut self, flow: &str) {
        let ledger = self.ledger(flow);
        ledger.target_rest = None;
        ledger.target_error = None;
        ledger.unanswered = 0;
    }

    /// How long the flows whose target is left alone for a while have to wait, if they have anything to send.
    async fn target_rest(&self) -> anyhow::Result<Option<Duration>> {
        let now = self.clock.monotonic();
        let mut soonest: Option<Duration> = None;
        for flow in &self.flows {
            let rest = self.ledger.get(&flow.name).and_then(|ledger| ledger.target_rest);
            let Some((until, _)) = rest else { continue };
            if self.queue(flow).await?.queued > 0 {
                let left = until.saturating_sub(now);
                soonest = Some(soonest.map_or(left, |soonest| soonest.min(left)));
            }
        }
        Ok(soonest)
    }

    /// A feed whose source is in trouble is left alone.
    pub(crate) fn is_feed_stopped(&self, feed: &str) -> bool {
        let down = |flow: &Flow| {
            self.ledger
                .get(&flow.name)
                .is_some_and(|ledger| ledger.source_error.is_some())
        };
        self.of_feed(feed).iter().any(down)
    }

    /// Learns since when flows count that start with what comes. One that never ran starts never, as yet.
    pub(crate) async fn learn_starts(&mut self) -> anyhow::Result<()> {
        for flow in self.flows.iter().chain(&self.neighbours) {
            let start = match self.store.start(&flow.name).await? {
                Some(cursor) => flow.source.stamp(&cursor),
                None if !flow.only_new => None,
                None if self.store.watermark(&flow.name).await?.is_some() => None,
                None => Some(contract::Stamp::MAX),
            };
            match start {
                Some(start) => self.starts.insert(flow.name.clone(), start),
                None => self.starts.remove(&flow.name),
            };
        }
        Ok(())
    }

    pub(crate) fn start_of(&self, flow: &Flow) -> Option<contract::Stamp> {
        self.starts.get(&flow.name).copied()
    }

    /// Those that others wait for come first.
    pub fn feeds(&self) -> Vec<String> {
        let mut feeds: Vec<String> = self.flows.iter().map(|flow| flow.feed.clone()).collect();
        feeds.sort_by_cached_key(|feed| (self.depth_of(feed), feed.clone()));
        feeds.dedup();
        feeds
    }

    pub(crate) fn of_feed(&self, feed: &str) -> Vec<Flow> {
        self.flows.iter().filter(|flow| flow.feed == feed).cloned().collect()
    }

    pub(crate) fn ledger(&mut self, flow: &str) -> &mut Ledger {
        self.ledger.entry(flow.to_owned()).or_default()
    }

    pub async fn queue(&self, flow: &Flow) -> anyhow::Result<Queue> {
        self.store.queue(&flow.name, &flow.feed).await
    }

    pub fn requests(&self, feed: &str) -> u64 {
        let connector = feed.split('.').next().unwrap_or(feed);
        self.connectors
            .get(connector)
            .map_or(0, |connector| connector.requests())
    }

    /// When the oldest version that waits for its file to fill has waited long enough, or the next record is due
    /// for its target; `None`: none waits. Of the flows that `counts`.
    pub async fn next_delivery(&self, counts: impl Fn(&Flow) -> bool) -> anyhow::Result<Option<contract::Stamp>> {
        let mut next: Option<i64> = None;
        for flow in self.flows.iter().filter(|flow| self.delivers(flow) && counts(flow)) {
            let due = match &flow.to {
                Target::Files(files) => {
                    let oldest = self.store.ready_since(&flow.name).await?;
                    let wait = i64::try_from(files.max_wait().as_millis()).unwrap_or(i64::MAX);
                    oldest.map(|oldest| oldest.saturating_add(wait))
                }
                Target::Records(_) => self.store.next_call(&flow.course()).await?,
            };
            if let Some(at) = due {
                next = Some(next.map_or(at, |next| next.min(at)));
            }
        }
        Ok(next)
    }
}

/// What is told of a feed whose store has removed the app.
fn put_out(feed: &str) -> contract::Error {
    let told = contract::Error::new(
        Fault::Denied,
        format!("reading {feed}"),
        "the app was removed from the store",
    );
    told.hint("reinstall the app; the store is asked every five minutes whether it answers again")
}

/// Faults that pass by themselves.
pub(crate) fn passes(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<contract::Error>()
        .is_some_and(|error| matches!(error.fault, Fault::Transient { .. } | Fault::Throttled { .. }))
}
