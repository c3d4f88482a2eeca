//! Delivering record by record: claim, call, settle. What may be on the wire is on disk before its first byte
//! leaves, and so many calls are under way as the target takes. Of one record one call is under way at a time.
//!
//! The memory holds what is under way and nothing else; what waits is in the state file, however much it is.

use std::collections::VecDeque;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use contract::{Act, Error, Fault, Push, RecordTarget};
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};

use super::calls::{Calling, Outcome, Terms, millis};
use super::deliver::Portion;
use super::{Engine, Flow, TARGET_REST};
use crate::store::{Aim, Call, Claim, Claimed, End, Ended, Plan, Recovery, Version};

/// After so long others have a turn at the target, if they wait for one.
const STAY: Duration = Duration::from_secs(5);
/// So many unanswered calls in a row are the target's trouble, not some record's.
const UNANSWERED_IN_A_ROW: u32 = 3;
/// Refused credentials do not get better by asking.
const DENIED_REST: Duration = Duration::from_secs(5 * 60);
/// A target in trouble is tried again after this at the latest.
const REST_MAX: Duration = Duration::from_secs(64);
/// Tries again of refused records that a run has from the start; more come with every tenth record it sends.
const RETRIES_AT_START: u64 = 20;
/// Lines of a dry run that may wait to be read.
const BACKLOG_MAX: usize = 2_000;
/// Versions that a dry run takes at once.
const SHOWN_AT_ONCE: usize = 100;

/// A flow whose records are sent one by one.
#[derive(Clone)]
pub(super) struct RecordFlow {
    flow: Flow,
    pub(super) to: Arc<dyn RecordTarget>,
}

impl RecordFlow {
    pub(super) fn new(flow: &Flow, to: &Arc<dyn RecordTarget>) -> RecordFlow {
        RecordFlow {
            flow: flow.clone(),
            to: to.clone(),
        }
    }
}

impl Deref for RecordFlow {
    type Target = Flow;
    fn deref(&self) -> &Flow {
        &self.flow
    }
}

type UnderWay = FuturesUnordered<BoxFuture<'static, Outcome>>;

impl Engine {
    /// Sends what is due to a target, until nothing is, the target is in trouble, or the portion is used up.
    pub(super) async fn deliver_records(&mut self, flow: &RecordFlow, portion: Portion) -> anyhow::Result<()> {
        if self.dry {
            return self.show_records(flow).await;
        }
        let started = self.clock.monotonic();
        while !self.is_target_down(&flow.name) {
            self.check_stop()?;
            let gone = self.clock.monotonic().saturating_sub(started);
            let left = match portion {
                Portion::All => STAY,
                Portion::For(time) => time.saturating_sub(gone).min(STAY),
            };
            if left.is_zero() || !self.stay(flow, left).await? {
                break;
            }
        }
        Ok(())
    }

    /// One turn at the target. `false`: nothing more is due.
    async fn stay(&mut self, flow: &RecordFlow, time: Duration) -> anyhow::Result<bool> {
        let lane = self.lanes.of(&flow.target);
        let _turn = lane.turn().await;
        self.store.recover(&flow.target, &self.recovery(flow)).await?;
        let until = self.clock.monotonic().saturating_add(time);
        let mut under_way = UnderWay::new();
        let mut waiting: VecDeque<Calling> = VecDeque::new();
        let (mut busy, mut ended): (Vec<i64>, Vec<Ended>) = (Vec::new(), Vec::new());
        let mut pace = Pace::new(self.clock.monotonic());
        let mut ending = false;
        // Until it is known that what is created can be found: the only record that is being created.
        let mut creating: Option<i64> = None;
        loop {
            let mut outcomes = Vec::new();
            let mut any = true;
            if waiting.is_empty() || ending || pace.is_over(self.clock.monotonic()) {
                let batch = match self.is_unproven(flow) {
                    true => 1,
                    false => flow.to.abilities().batch.max(1),
                };
                let calls = pace.turn(self.clock.monotonic(), self.width(flow), self.may_run_ahead(flow));
                let room = match ending {
                    true => 0,
                    false => calls.saturating_sub(under_way.len() + waiting.len()),
                };
                let claim = Claim {
                    most: room * batch,
                    creates: match self.is_unproven(flow) {
                        true => usize::from(creating.is_none()),
                        false => usize::MAX,
                    },
                    busy: &busy,
                    only_sure: false,
                };
                let terms = self.terms(flow);
                let plan = |version: &Version| plan(flow, &terms, version);
                let course = flow.course();
                let turn_over = self.store.turn_over(&course, &ended, &claim, &plan);
                let claimed = beside(&mut under_way, &mut outcomes, turn_over).await?;
                // Who waited for one of these is due to be read.
                if ended.iter().any(|row| matches!(row.end, End::Done { .. })) {
                    self.ring_feeds(flow.required_by.iter());
                }
                ended.clear();
                any = !claimed.is_empty();
                let first = claimed.iter().find(|claimed| claimed.version.creates());
                creating = creating.or(first.map(|claimed| claimed.version.id));
                self.count_unsent(flow, &claimed);
                let calls = calls_of(claimed, batch);
                busy.extend(calls.iter().flat_map(Calling::versions).map(|version| version.id));
                waiting.extend(calls);
            }
            while under_way.len() < self.width(flow)
                && let Some(call) = waiting.pop_front()
            {
                under_way.push(self.call(flow, call));
            }
            if outcomes.is_empty() {
                // What came of others is not left unrecorded as long as this takes.
                let turn = async {
                    match ended.is_empty() {
                        true => std::future::pending().await,
                        false => self.clock.sleep(TURN).await,
                    }
                };
                let first = tokio::select! {
                    biased;
                    first = under_way.next() => first,
                    () = turn => continue,
                };
                let Some(first) = first else {
                    if ending || !any {
                        return Ok(ending);
                    }
                    continue;
                };
                outcomes.push(first);
            }
            while let Some(Some(more)) = under_way.next().now_or_never() {
                outcomes.push(more);
            }
            let mut outcomes = VecDeque::from(outcomes);
            while let Some(outcome) = outcomes.pop_front() {
                pace.finished += 1;
                busy.retain(|id| outcome.ended.iter().all(|ended| ended.id != *id));
                creating = creating.filter(|id| busy.contains(id));
                self.count(flow, &outcome);
                ended.extend(outcome.ended);
                let mut more = Vec::new();
                let is_found = !matches!(outcome.proof, Some(Err(_)));
                if let Some(proof) = outcome.proof {
                    let proved = self.proved(flow, proof);
                    beside(&mut under_way, &mut more, proved).await?;
                }
                if let Some(error) = outcome.trouble {
                    let trouble = self.target_trouble(flow, error, outcome.answered);
                    beside(&mut under_way, &mut more, trouble).await?;
                } else if outcome.answered && is_found {
                    beside(&mut under_way, &mut more, self.target_answers(flow)).await?;
                }
                outcomes.extend(more);
            }
            if self.is_target_down(&flow.name) || self.stop.is_cancelled() {
                ending = true;
                ended.extend(waiting.drain(..).flat_map(Calling::unmade));
            }
            ending |= self.clock.monotonic() >= until;
        }
    }

    /// How many calls are under way at once: one is enough to find out whether a target is well again.
    fn width(&self, flow: &RecordFlow) -> usize {
        if self.is_in_trouble(&flow.name) {
            1
        } else {
            flow.to.concurrency().max(1)
        }
    }

    /// Whether calls may be claimed long before they are made. After a kill each of those is in doubt, so only where
    /// doubts are settled without a person, and not while one call has to show how the target is.
    fn may_run_ahead(&self, flow: &RecordFlow) -> bool {
        let can = flow.to.abilities();
        (can.find || can.trusts_key) && !self.is_in_trouble(&flow.name)
    }

    fn is_in_trouble(&self, flow: &str) -> bool {
        let ledger = self.ledger.get(flow);
        ledger.is_some_and(|ledger| ledger.target_rest.is_some() || ledger.unanswered > 0)
    }

    fn terms(&self, flow: &RecordFlow) -> Terms {
        let ledger = self.ledger.get(&flow.name);
        let (sent, retried) = ledger.map_or((0, 0), |ledger| (ledger.sent, ledger.retried));
        Terms {
            abilities: flow.to.abilities(),
            unknown: flow.to.unknown(),
            now: self.clock.now(),
            in_trouble: self.is_in_trouble(&flow.name),
            retries: retried < RETRIES_AT_START + sent / 10,
        }
    }

    fn recovery(&self, flow: &RecordFlow) -> Recovery {
        let terms = self.terms(flow);
        let longest = terms.unknown.wait.max(terms.unknown.recheck).max(REST_MAX);
        Recovery {
            create_due: terms.create_due(),
            latest: terms.now.saturating_add(millis(longest)),
        }
    }

    fn call(&self, flow: &RecordFlow, call: Calling) -> BoxFuture<'static, Outcome> {
        let (terms, clock) = (self.terms(flow), self.clock.clone());
        let at_end = move || Terms {
            now: clock.now(),
            ..terms
        };
        let unproven = self.is_unproven(flow).then(|| self.clock.clone());
        call.make(flow.to.clone(), at_end, unproven).boxed()
    }

    fn count(&mut self, flow: &RecordFlow, outcome: &Outcome) {
        let is_done = |ended: &&Ended| matches!(ended.end, End::Done { .. });
        let done = outcome.ended.iter().filter(is_done).count() as u64;
        let ledger = self.ledger(&flow.name);
        ledger.sent += done - outcome.known.min(done);
        ledger.known += outcome.known;
        ledger.retried += outcome.retried;
        for ended in &outcome.ended {
            if let End::Parked { said, .. } = &ended.end {
                tracing::warn!(flow = flow.name, record = ended.key.0, "{}", said.reason);
            }
        }
    }

    fn count_unsent(&mut self, flow: &RecordFlow, claimed: &[Claimed]) {
        let unsent = claimed.iter().filter(|claimed| claimed.plan == Plan::Unsent).count();
        self.ledger(&flow.name).unsent += unsent as u64;
    }

    /// A call came to nothing. One that went unanswered may be its record's fault; several in a row are not.
    async fn target_trouble(&mut self, flow: &RecordFlow, error: Error, answered: bool) -> anyhow::Result<()> {
        let told = error.to_string();
        let endless = self.patience.endless;
        let ledger = self.ledger(&flow.name);
        if answered {
            ledger.unanswered = 0;
        }
        ledger.unanswered += 1;
        let is_records = error.fault == Fault::Transient { reached: true };
        if is_records && ledger.unanswered < UNANSWERED_IN_A_ROW && ledger.target_rest.is_none() {
            tracing::warn!(flow = flow.name, "{told}");
            return Ok(());
        }
        let failed = ledger.target_rest.map_or(0, |(_, failed)| failed + 1);
        let rest = match error.fault {
            Fault::Denied => DENIED_REST,
            Fault::Throttled {
                retry_after: Some(pause),
            } => pause,
            _ => TARGET_REST.saturating_mul(1 << failed.min(5)).min(REST_MAX),
        };
        ledger.target_error = Some(told.clone());
        // Several calls that were under way together came to nothing for one reason.
        let now = self.clock.monotonic();
        let ledger = self.ledger(&flow.name);
        if ledger.target_rest.is_some_and(|(until, _)| until > now) {
            return Ok(());
        }
        // A run that ends does not wait for a person: it leaves the target alone for good, whatever rest it had before.
        let waits = error.fault != Fault::Denied || endless;
        ledger.target_rest = waits.then(|| (now.saturating_add(rest), failed));
        tracing::warn!(
            flow = flow.name,
            rest = rest.as_secs(),
            "{told}; it is left alone for a while"
        );
        let lane = self.lanes.of(&flow.target);
        lane.set_down(true);
        lane.set_refused(error.fault == Fault::Denied);
        self.store.failed(&flow.name, &told).await
    }

    async fn target_answers(&mut self, flow: &RecordFlow) -> anyhow::Result<()> {
        let was_down = self.ledger(&flow.name).target_error.is_some();
        self.target_is_well(&flow.name);
        if was_down {
            tracing::info!(flow = flow.name, "the target answers again");
            let lane = self.lanes.of(&flow.target);
            lane.set_down(false);
            lane.set_refused(false);
            self.store.succeeded(&flow.name).await?;
        }
        Ok(())
    }

    /// In a dry run on a scratch state: prints the requests and counts them as sent.
    async fn show_records(&mut self, flow: &RecordFlow) -> anyhow::Result<()> {
        let batch = flow.to.abilities().batch.max(1);
        let mut ended = Vec::new();
        loop {
            self.check_stop()?;
            let claim = Claim {
                most: SHOWN_AT_ONCE,
                creates: usize::MAX,
                busy: &[],
                only_sure: true,
            };
            let terms = self.terms(flow);
            let plan = |version: &Version| plan(flow, &terms, version);
            let claimed = self.store.turn_over(&flow.course(), &ended, &claim, &plan).await?;
            if claimed.is_empty() {
                return Ok(());
            }
            self.count_unsent(flow, &claimed);
            ended.clear();
            for call in calls_of(claimed, batch) {
                while self.voice.backlog() > BACKLOG_MAX {
                    self.pause(Duration::from_millis(20)).await?;
                }
                let mut line = shown(flow, &call);
                for told in call.versions().into_iter().filter_map(super::guard::told) {
                    line = format!("{line}\n# {told}");
                }
                self.voice.would_send(&flow.name, &flow.target, &line);
                let shown = call.shown();
                self.ledger(&flow.name).sent += shown.len() as u64;
                ended.extend(shown);
            }
        }
    }
}

/// How many calls are claimed with one commit: as many as the target answered lately in the time of one turn. A slow
/// target gets them one by one, and what it answered is on the disk soon; a fast one does not wait for the disk.
struct Pace {
    turned_at: Duration,
    /// Calls that came to something since then.
    finished: usize,
}

/// What came of calls is on the disk after this at the latest.
const TURN: Duration = Duration::from_millis(250);
const AHEAD_MAX: usize = 256;

impl Pace {
    fn new(now: Duration) -> Pace {
        Pace {
            turned_at: now,
            finished: 0,
        }
    }

    fn is_over(&self, now: Duration) -> bool {
        now.saturating_sub(self.turned_at) >= TURN
    }

    /// Begins the next turn, with so many calls.
    fn turn(&mut self, now: Duration, width: usize, ahead: bool) -> usize {
        let took = now.saturating_sub(self.turned_at).as_millis().max(1);
        let finished = std::mem::take(&mut self.finished) as u128;
        self.turned_at = now;
        if !ahead {
            return width;
        }
        let calls = usize::try_from(finished * TURN.as_millis() / took).unwrap_or(AHEAD_MAX);
        calls.clamp(width, AHEAD_MAX.max(width))
    }
}

/// Waits for some work while the calls go on. A call may stand in line for the state file, as for a new token that is
/// kept before it is used: were it left alone meanwhile, it would hold its place there and never take it.
async fn beside<T>(under_way: &mut UnderWay, outcomes: &mut Vec<Outcome>, work: impl Future<Output = T>) -> T {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            biased;
            result = &mut work => return result,
            Some(outcome) = under_way.next() => outcomes.push(outcome),
        }
    }
}

/// The request of a call, or why there can be none.
fn shown(flow: &RecordFlow, call: &Calling) -> String {
    let unknown = contract::Key("{id}".to_owned());
    let id = |version: &Version| {
        let held = version.held.as_ref().and_then(|held| held.id.clone());
        held.unwrap_or_else(|| unknown.clone())
    };
    let line = match call {
        Calling::Create(pushes) => {
            let pushes: Vec<Push> = pushes.iter().map(|(_, push)| push.clone()).collect();
            flow.to.show(Act::Create(&pushes))
        }
        Calling::Update(version, push) => flow.to.show(Act::Update(&id(version), push)),
        Calling::Cancel(version, push) => flow.to.show(Act::Cancel(&id(version), push)),
        Calling::Look(_) => Ok(String::new()),
    };
    line.unwrap_or_else(|error| format!("# {error}"))
}

/// What is to be done about a version. Pure.
fn plan(flow: &Flow, terms: &Terms, version: &Version) -> Plan {
    let can = &terms.abilities;
    if let Some(doubt) = &version.doubt {
        if doubt.call == Call::Create && can.find && doubt.looked < terms.looks(version.attempts) {
            return Plan::Look;
        }
        return Plan::Send {
            call: doubt.call,
            idempotency: doubt.idempotency.clone(),
        };
    }
    let send = |call: Call| Plan::Send {
        call,
        idempotency: key_of(flow, version, call),
    };
    let Some(held) = &version.held else {
        return match version.wish {
            Aim::Put => send(Call::Create),
            // What was never there need not be cancelled.
            Aim::Cancel => Plan::Drop,
        };
    };
    // Of several flows into one resource the newest source stamp wins.
    if held.flow != flow.name && held.stamp > version.stamp {
        return Plan::Drop;
    }
    match version.wish {
        Aim::Cancel if held.cancelled && !version.again => Plan::Drop,
        Aim::Cancel if can.cancel => send(Call::Cancel),
        Aim::Put if held.hash == version.hash && !(version.again && can.update) => Plan::Drop,
        Aim::Put if can.update => send(Call::Update),
        Aim::Put | Aim::Cancel => Plan::Unsent,
    }
}

/// The key of a call is made of the data alone, so that even a lost state file makes the same ones. One that is to be
/// carried out once more although it was before has the number of its version in it.
fn key_of(flow: &Flow, version: &Version, call: Call) -> String {
    let record = format!("{}:{}", flow.realm, version.key.0);
    match (call, &version.generation) {
        (Call::Create, None) => format!("{record}:create"),
        (Call::Create, Some(generation)) => create_again(&record, generation),
        (Call::Update, _) if version.again => format!("{record}:update:{}:{}", version.hash.hex(), version.id),
        (Call::Update, _) => format!("{record}:update:{}", version.hash.hex()),
        (Call::Cancel, _) => format!("{record}:cancel"),
    }
}

/// The key of the create of a record that the target had and lost.
fn create_again(record: &str, generation: &str) -> String {
    format!("{record}:create:{generation}")
}

impl RecordFlow {
    /// As `create_again`, for a create that has to be looked for before it is sent.
    pub(super) fn key_of_lost(&self, key: &contract::Key, generation: &str) -> String {
        create_again(&format!("{}:{}", self.flow.realm, key.0), generation)
    }
}

/// The calls that these versions make. Creates travel together where the target takes several at once; one that
/// was refused before, or is in doubt, goes alone, so that no other suffers for it.
fn calls_of(claimed: Vec<Claimed>, batch: usize) -> Vec<Calling> {
    let mut calls = Vec::with_capacity(claimed.len());
    let mut together: Vec<(Version, Push)> = Vec::new();
    for Claimed { version, plan } in claimed {
        let (call, idempotency) = match plan {
            Plan::Send { call, idempotency } => (call, idempotency),
            Plan::Look => {
                calls.push(Calling::Look(version));
                continue;
            }
            Plan::Unsent | Plan::Drop => continue,
        };
        let push = Push {
            key: version.key.clone(),
            record: version.record.clone(),
            idempotency,
            sold: version.sold,
            stamp: version.stamp,
        };
        match call {
            Call::Create if version.attempts > 0 || version.doubt.is_some() => {
                calls.push(Calling::Create(vec![(version, push)]));
            }
            Call::Create => {
                together.push((version, push));
                if together.len() == batch {
                    calls.push(Calling::Create(std::mem::take(&mut together)));
                }
            }
            Call::Update => calls.push(Calling::Update(version, push)),
            Call::Cancel => calls.push(Calling::Cancel(version, push)),
        }
    }
    if !together.is_empty() {
        calls.push(Calling::Create(together));
    }
    calls
}
