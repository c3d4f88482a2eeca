//! The steward: carries out what a person or the store's owner asks under privacy law, lets old events leave, and
//! minds the pause of a store that removed the app. No event is believed about that: the store itself is asked, so one
//! that is stale or made up heals by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contract::{PrivacyKind, Source, Stamp};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::config::STORE;
use crate::store::{Holding, Places, Request, Round};
use crate::work::Parts;

/// The longest sleep: events come by a bell, and a daemon that was started anew has none to hear.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// When a store that removed the app is asked whether it answers all the same, and how often then.
const ASK_FIRST: Duration = Duration::from_secs(60);
const ASK_EVERY: Duration = Duration::from_secs(5 * 60);
/// After a round that found something, the next comes so much later; each after it twice as much later.
const ROUND_AGAIN: Duration = Duration::from_secs(60);
const ROUND_AGAIN_MAX: Duration = Duration::from_secs(60 * 60);
/// Longer than this no request should take.
const DEADLINE_MS: i64 = 24 * 60 * 60 * 1000;
/// So long an operator is reminded of what they owe a person: the law gives them a month.
const REMINDED_MS: i64 = 30 * 24 * 60 * 60 * 1000;
/// File names, and records, told in one alert.
const FILES_TOLD: usize = 10;

const PUT_OUT: &str = "app-removed";
/// Alerts about requests; the request's number follows.
const LATE: &str = "privacy-late-";
const OWED: &str = "privacy-";

pub(super) struct Steward {
    parts: Arc<Parts>,
    /// Rung by events about the app itself and about privacy.
    bell: Arc<Notify>,
    stop: CancellationToken,
}

/// What one steward remembers from one look to the next.
#[derive(Default)]
struct Watch {
    /// Of a store that removed the app: when it is asked next, on the monotonic clock, and the latest event that
    /// said that the app is back.
    asking: Option<(Duration, Option<Stamp>)>,
    /// When a request is seen to again, and how many rounds it had.
    rounds: BTreeMap<i64, (Duration, u32)>,
}

/// The feeds that come from the store.
fn feeds(parts: &Parts) -> BTreeSet<String> {
    let flows = parts.config.flows.iter().filter(|flow| flow.from.connector == STORE);
    flows.map(|flow| flow.from.to_string()).collect()
}

/// Before anything is asked of the store: whether it is to be asked at all.
pub(super) async fn look_first(parts: &Parts) -> anyhow::Result<()> {
    let is_out = parts.store.uninstalled_at().await?.is_some();
    for feed in feeds(parts) {
        match is_out {
            true => parts.lanes.of(&feed).pause(),
            false => parts.lanes.of(&feed).go_on(),
        }
    }
    Ok(())
}

impl Steward {
    pub(super) fn new(parts: Arc<Parts>, bell: Arc<Notify>, stop: CancellationToken) -> Steward {
        Steward { parts, bell, stop }
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let mut watch = Watch::default();
        // A daemon that starts asks at once: whoever starts it may have seen to it.
        let mut first_ask = Duration::ZERO;
        while !self.stop.is_cancelled() {
            self.mind_pause(&mut watch, first_ask).await?;
            first_ask = ASK_FIRST;
            self.carry_out(&mut watch).await?;
            self.parts.store.forget_old_events().await?;
            self.parts.store.scrub().await?;
            self.forget_reminders().await?;
            tokio::select! {
                () = self.parts.clock.sleep(self.time_left(&watch)) => {}
                () = self.bell.notified() => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    fn time_left(&self, watch: &Watch) -> Duration {
        let now = self.parts.clock.monotonic();
        let rounds = watch.rounds.values().map(|(at, _)| *at);
        let soonest = rounds.chain(watch.asking.map(|(at, _)| at)).min();
        let left = soonest.map_or(LOOK_EVERY, |at| at.saturating_sub(now));
        left.clamp(Duration::from_millis(50), LOOK_EVERY)
    }

    /// Pauses the store's feeds, asks now and then, and lets them go on when it answers.
    async fn mind_pause(&self, watch: &mut Watch, first_ask: Duration) -> anyhow::Result<()> {
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        let Some(at) = store.uninstalled_at().await? else {
            watch.asking = None;
            return self.go_on().await;
        };
        for feed in feeds(&self.parts) {
            self.parts.lanes.of(&feed).pause();
        }
        let hint = store.installed_hint().await?;
        let now = clock.monotonic();
        let due = match watch.asking {
            None => {
                self.tell_put_out(at).await?;
                now + first_ask
            }
            // It was said to be back since.
            Some((_, known)) if known != hint => now,
            Some((due, _)) => due,
        };
        watch.asking = Some((due, hint));
        if now < due {
            return Ok(());
        }
        if self.answers().await {
            store.is_installed().await?;
            watch.asking = None;
            return self.go_on().await;
        }
        watch.asking = Some((clock.monotonic() + ASK_EVERY, hint));
        Ok(())
    }

    async fn go_on(&self) -> anyhow::Result<()> {
        for feed in feeds(&self.parts) {
            self.parts.lanes.of(&feed).go_on();
        }
        if self.parts.store.calm(PUT_OUT).await? {
            tracing::info!("the store answers the app again; reading goes on");
        }
        Ok(())
    }

    async fn tell_put_out(&self, at: Stamp) -> anyhow::Result<()> {
        let told = format!(
            "the app was removed from the store at {}: nothing is read from it until it answers again; what is queued \
             is delivered. To go on, reinstall the app in the store's Settings > Apps (new credentials go into the \
             config); the store is asked every five minutes",
            shown(at)
        );
        if self.parts.store.raise(PUT_OUT, &told).await? {
            tracing::warn!("{told}");
        }
        Ok(())
    }

    /// Whether the store answers the app: one cheap call.
    async fn answers(&self) -> bool {
        let Some(source) = self.source() else { return false };
        let answer = tokio::select! {
            answer = source.ping() => answer,
            () = self.stop.cancelled() => return false,
        };
        if let Err(error) = &answer {
            tracing::debug!("the store does not answer the app: {error}");
        }
        answer.is_ok()
    }

    fn source(&self) -> Option<Arc<dyn Source>> {
        let mut flows = self.parts.config.flows.iter();
        let flow = flows.find(|flow| flow.from.connector == STORE)?;
        self.parts.connectors.get(STORE)?.source(&flow.from.resource)
    }

    fn places(&self) -> Places {
        let flows = self.parts.config.flows.iter();
        Places {
            store: STORE.to_owned(),
            customers: format!("{STORE}.customers"),
            orders: format!("{STORE}.orders"),
            flows: flows.map(|flow| (flow.name.clone(), flow.from.to_string())).collect(),
        }
    }

    /// One round for each request whose time has come.
    async fn carry_out(&self, watch: &mut Watch) -> anyhow::Result<()> {
        let requests = self.parts.store.open_requests().await?;
        watch
            .rounds
            .retain(|id, _| requests.iter().any(|request| request.id == *id));
        for request in requests {
            let (due, rounds) = watch.rounds.get(&request.id).copied().unwrap_or_default();
            if self.parts.clock.monotonic() < due {
                continue;
            }
            let is_done = match request.asked.kind {
                PrivacyKind::Tell => self.tell(&request).await?,
                PrivacyKind::Redact | PrivacyKind::RedactAll => self.redact(&request).await?,
            };
            if is_done {
                watch.rounds.remove(&request.id);
                continue;
            }
            let wait = ROUND_AGAIN.saturating_mul(1 << rounds.min(6)).min(ROUND_AGAIN_MAX);
            let next = (self.parts.clock.monotonic() + wait, rounds.saturating_add(1));
            watch.rounds.insert(request.id, next);
        }
        Ok(())
    }

    async fn redact(&self, request: &Request) -> anyhow::Result<bool> {
        let store = &self.parts.store;
        let round = store.redact(request, &self.places()).await?;
        let late = format!("{LATE}{}", request.id);
        match round {
            Round::Done(words) => {
                tracing::info!("privacy request {}: {words}", request.id);
                store.calm(&late).await?;
                Ok(true)
            }
            Round::Again { open } => {
                // What was removed is to be read, and what is under way delivered.
                for flow in &self.parts.config.flows {
                    self.parts.lanes.of(&flow.from.to_string()).bell.notify_one();
                }
                self.remind(request).await?;
                if self.parts.clock.now().saturating_sub(request.at) > DEADLINE_MS {
                    let told = format!(
                        "privacy request {} of {} is not carried out yet: {open} files and calls with the person's \
                         records wait for their target, or the store still shows what it asked to remove; see \
                         `selorax-sync status` for targets in trouble, and `selorax-sync failures list`",
                        request.id,
                        shown(request.at)
                    );
                    if store.raise(&late, &told).await? {
                        tracing::warn!("{told}");
                    }
                }
                Ok(false)
            }
        }
    }

    /// Tells the operator what a person asked for is held of them.
    async fn tell(&self, request: &Request) -> anyhow::Result<bool> {
        let store = &self.parts.store;
        let held = store.tell(request, &self.places()).await?;
        let told = format!(
            "{} asked what is held of them (customers/data_request of {}); answer within a month. In the state file: {}. {}",
            who(request),
            shown(request.at),
            in_state(&held),
            delivered(&held)
        );
        self.raise_owed(request, &told).await?;
        store
            .settle_request(request.id, &format!("told the operator: {}", in_state(&held)))
            .await?;
        Ok(true)
    }

    /// Tells the operator which files a request cannot reach, because they were handed over.
    async fn remind(&self, request: &Request) -> anyhow::Result<()> {
        let held = self.parts.store.handed_over(request, &self.places()).await?;
        if held.files.is_empty() && held.records.is_empty() {
            return Ok(());
        }
        let told = format!(
            "the data of {} is to be removed (customers/redact of {}). The state file is seen to. {}: remove it there \
             and wherever it went from there",
            who(request),
            shown(request.at),
            delivered(&held)
        );
        self.raise_owed(request, &told).await
    }

    async fn raise_owed(&self, request: &Request, told: &str) -> anyhow::Result<()> {
        if self.parts.store.raise(&format!("{OWED}{}", request.id), told).await? {
            tracing::warn!("{told}");
        }
        Ok(())
    }

    async fn forget_reminders(&self) -> anyhow::Result<()> {
        let now = self.parts.clock.now();
        for alert in self.parts.store.alerts().await? {
            let is_owed = alert
                .name
                .strip_prefix(OWED)
                .is_some_and(|id| id.parse::<i64>().is_ok());
            if is_owed && now.saturating_sub(alert.since) > REMINDED_MS {
                self.parts.store.calm(&alert.name).await?;
            }
        }
        Ok(())
    }
}

fn who(request: &Request) -> String {
    match &request.asked.customer {
        Some(key) => format!("customer {}", key.0),
        None => "a customer whose number was not given".to_owned(),
    }
}

fn in_state(held: &Holding) -> String {
    let known = held
        .known
        .iter()
        .map(|(flow, n)| format!("{flow} knows {n} records by their number"));
    let counts = [
        (held.versions, "versions that wait for delivery or failed"),
        (held.readings, "failed readings"),
        (held.lines, "lines of the journal"),
        (held.texts, "errors and alerts"),
    ];
    let counts = counts
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, what)| format!("{n} {what}"));
    let told: Vec<String> = known.chain(counts).collect();
    match told.is_empty() {
        true => "nothing".to_owned(),
        false => told.join(", "),
    }
}

fn delivered(held: &Holding) -> String {
    let told = [
        some_of("Delivered in", "files", &held.files),
        some_of("At their targets are", "records", &held.records),
    ];
    let told: Vec<String> = told.into_iter().flatten().collect();
    match told.is_empty() {
        true => "Nothing that was delivered is known to hold their records".to_owned(),
        false => told.join(". "),
    }
}

fn some_of(what: &str, kind: &str, names: &[String]) -> Option<String> {
    let shown = names.iter().take(FILES_TOLD).cloned().collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => None,
        n if n > FILES_TOLD => Some(format!("{what} {n} {kind}: {shown} and more")),
        _ => Some(format!("{what} {shown}")),
    }
}

fn shown(at: Stamp) -> String {
    jiff::Timestamp::from_millisecond(at).map_or_else(|_| at.to_string(), |at| at.to_string())
}
