//! The herald: tells the people whom the config names of each alert, once when it is raised, again while it stands,
//! and when it is over. It also raises those that need a look at the whole. It notes as told only what was taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::Stamp;
use futures::future::BoxFuture;
use tokio_util::sync::CancellationToken;

use super::patience::Delays;
use crate::config::{Channel, Notice};
use crate::store::{HISTORY_ERROR, Turn, Untold};
use crate::work::Parts;

const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The state as a whole, which costs more, is looked at so often.
const WATCH_EVERY: Duration = Duration::from_secs(30);
const AT_END: Duration = Duration::from_secs(2);
const RETRY_FIRST: Duration = Duration::from_secs(5);
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);
/// More of one alert than this is not sent; `status` tells the rest.
const TEXT_CHARS: usize = 3_000;
/// What the connectors remember of their peer's clock.
const CLOCK_OFFSET: &str = "clock_offset";

const PARKED: &str = "parked";
const BACKLOG: &str = "backlog";
const DISK: &str = "low-disk";
const FLOW: &str = "flow-";
const HISTORY: &str = "history-";
const CLOCK: &str = "clock-";

pub(super) struct Herald {
    parts: Arc<Parts>,
    stop: CancellationToken,
}

/// A channel that refused is tried again at this time, later each time.
struct Retry {
    at: Duration,
    delays: Delays,
}

impl Herald {
    pub(super) fn new(parts: Arc<Parts>, stop: CancellationToken) -> Herald {
        Herald { parts, stop }
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let clock = &self.parts.clock;
        let mut troubled = BTreeMap::new();
        let mut retries = BTreeMap::new();
        let mut watch_at = Duration::ZERO;
        while !self.stop.is_cancelled() {
            if clock.monotonic() >= watch_at {
                self.watch(&mut troubled).await?;
                watch_at = clock.monotonic().saturating_add(WATCH_EVERY.min(self.soonest()));
            }
            for (name, channel) in &self.parts.config.alerts.channels {
                self.tell(name, channel, &mut retries).await?;
            }
            tokio::select! {
                () = clock.sleep(LOOK_EVERY) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// Who wants to hear of trouble at once is not kept waiting.
    fn soonest(&self) -> Duration {
        self.parts.config.alerts.trouble_after.max(LOOK_EVERY)
    }

    /// Tells one channel all that it was not told yet, until it refuses.
    async fn tell(&self, name: &str, channel: &Channel, retries: &mut BTreeMap<String, Retry>) -> anyhow::Result<()> {
        let (store, clock) = (&self.parts.store, &self.parts.clock);
        if retries.get(name).is_some_and(|retry| clock.monotonic() < retry.at) {
            return Ok(());
        }
        for untold in store.untold(name, self.parts.config.alerts.remind_every).await? {
            let notice = self.notice(&untold);
            // Half told is told twice: what is under way at the end gets a moment.
            let over = async {
                self.stop.cancelled().await;
                clock.sleep(AT_END).await;
            };
            let sent = tokio::select! {
                sent = channel.send(&notice) => sent,
                () = over => return Ok(()),
            };
            let Err(why) = sent else {
                store.took(name, &untold).await?;
                retries.remove(name);
                continue;
            };
            let retry = retries.entry(name.to_owned()).or_insert_with(|| {
                tracing::warn!(
                    "alerts.to.{name} was not told of {}: {why}; it is tried again",
                    untold.name
                );
                Retry {
                    at: Duration::ZERO,
                    delays: Delays::new(RETRY_FIRST, RETRY_MAX),
                }
            });
            retry.at = clock.monotonic().saturating_add(retry.delays.next());
            break;
        }
        Ok(())
    }

    fn notice(&self, untold: &Untold) -> Notice {
        let what = match untold.turn {
            Turn::New => "alert",
            Turn::Again => "still",
            Turn::Over => "over",
        };
        let since = jiff::Timestamp::from_millisecond(untold.since).unwrap_or_default();
        let since = since.to_zoned(self.parts.config.timezone.clone());
        let since = since.strftime("%Y-%m-%d %H:%M:%S %Z");
        let told: String = untold.told.chars().take(TEXT_CHARS).collect();
        let text = match untold.turn {
            Turn::Over => format!("It stood since {since} and is over.\n"),
            Turn::New | Turn::Again => format!("{told}\nSince {since}. See `selorax-sync status`.\n"),
        };
        Notice {
            subject: format!("selorax-sync: {what}: {}", untold.name),
            text,
        }
    }

    /// Raises and takes back what is seen of the state as a whole. Where nobody is to be told, `status` shows all of
    /// this by itself, and nothing is raised.
    async fn watch(&self, troubled: &mut BTreeMap<String, Duration>) -> anyhow::Result<()> {
        let mut wrong = BTreeMap::new();
        if !self.parts.config.alerts.channels.is_empty() {
            self.look_at_queues(&mut wrong).await?;
            self.look_at_flows(troubled, &mut wrong).await?;
            self.look_at_memories(&mut wrong).await?;
            self.look_at_disk(&mut wrong);
        }
        let store = &self.parts.store;
        for (name, told) in &wrong {
            if store.raise(name, told).await? {
                tracing::warn!("{name}: {told}");
            }
        }
        for alert in store.alerts().await? {
            let ours = [PARKED, BACKLOG, DISK].contains(&alert.name.as_str())
                || [FLOW, HISTORY, CLOCK].iter().any(|head| alert.name.starts_with(head));
            if ours && !wrong.contains_key(&alert.name) {
                store.calm(&alert.name).await?;
            }
        }
        Ok(())
    }

    async fn look_at_queues(&self, wrong: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
        let standing = self.parts.store.standing().await?;
        if standing.parked > 0 {
            let told = format!(
                "{} records wait for a person: look at them with `selorax-sync failures list`",
                standing.parked
            );
            wrong.insert(PARKED.to_owned(), told);
        }
        let longest = self.parts.config.alerts.backlog_after;
        let waits_ms = standing
            .oldest
            .map_or(0, |at: Stamp| self.parts.clock.now().saturating_sub(at));
        if u128::try_from(waits_ms).unwrap_or(0) > longest.as_millis() {
            let told = format!(
                "records wait for more than {} min; `selorax-sync status` tells where they are held up",
                longest.as_secs() / 60
            );
            wrong.insert(BACKLOG.to_owned(), told);
        }
        Ok(())
    }

    async fn look_at_flows(
        &self,
        troubled: &mut BTreeMap<String, Duration>,
        wrong: &mut BTreeMap<String, String>,
    ) -> anyhow::Result<()> {
        let now = self.parts.clock.monotonic();
        for flow in &self.parts.config.flows {
            let report = self.parts.store.flow_report(&flow.name).await?;
            let Some(error) = report.last_error else {
                troubled.remove(&flow.name);
                continue;
            };
            let since = *troubled.entry(flow.name.clone()).or_insert(now);
            if now.saturating_sub(since) >= self.parts.config.alerts.trouble_after {
                wrong.insert(
                    format!("{FLOW}{}", flow.name),
                    format!("{} does not go on: {error}", flow.name),
                );
            }
        }
        Ok(())
    }

    async fn look_at_memories(&self, wrong: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
        for (owner, name, value) in self.parts.store.memories().await? {
            if name == HISTORY_ERROR && !value.is_empty() {
                let told = format!("going over the history of {owner} does not go on: {value}");
                wrong.insert(format!("{HISTORY}{owner}"), told);
            }
            if name == CLOCK_OFFSET && !matches!(value.as_str(), "" | "0") {
                let told = format!(
                    "this machine's clock is more than 30 s from that of {owner}; set it right (is NTP running?)"
                );
                wrong.insert(format!("{CLOCK}{owner}"), told);
            }
        }
        Ok(())
    }

    fn look_at_disk(&self, wrong: &mut BTreeMap<String, String>) {
        let path = &self.parts.config.state_path;
        let Ok(about) = rustix::fs::statvfs(path) else { return };
        let room = about.f_bavail.saturating_mul(about.f_frsize);
        let least = self.parts.config.alerts.low_disk;
        if room < least {
            let told = format!(
                "the disk with the state file {} has less than {} MiB left; make room before it is full",
                path.display(),
                least >> 20
            );
            wrong.insert(DISK.to_owned(), told);
        }
    }
}
