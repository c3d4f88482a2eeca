//! The caretaker of the subscriptions: looks regularly whether the store still calls about all that flows listen to,
//! raises an alert where it does not, and has the feeds look back over the time in which events were lost. It
//! changes nothing at the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::{Fault, Stamp, Subscriptions};
use futures::future::BoxFuture;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::historian::LOOK_BACK_TO;
use super::patience::Delays;
use super::worker::delay_of;
use crate::config::STORE;
use crate::work::Parts;
use crate::work::subscriptions::{Finding, Judgement, Need, Ours, judge, needs};

/// The name of the alert about subscriptions.
const ALERT: &str = "subscriptions";
/// Whose memory tells how it stood with each topic. No connector can have this name.
const MEMORY: &str = "store.webhooks";
/// How much before the last good sign the look back begins.
const OVERLAP_MS: i64 = 60 * 60 * 1000;
/// After so many times of looking that were left out, nobody knows what was in between.
const LOOKS_MISSED: i64 = 3;
const TROUBLE_DELAY: Duration = Duration::from_secs(10);

pub(super) struct Caretaker {
    parts: Arc<Parts>,
    /// Rings the historian of each feed.
    historians: BTreeMap<String, Arc<Notify>>,
    stop: CancellationToken,
}

/// What there is to look after.
struct Charge {
    list: Arc<dyn Subscriptions>,
    ours: Ours,
    needs: Vec<Need>,
    every: Duration,
}

/// How it stood with a topic when it was last looked at: whether its events came, and when it was last known that
/// they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Standing {
    comes: bool,
    good_at: Stamp,
}

impl Standing {
    fn read(text: &str) -> Option<Standing> {
        let (word, stamp) = text.split_once(' ')?;
        let good_at = stamp.parse().ok()?;
        match word {
            "good" => Some(Standing { comes: true, good_at }),
            "bad" => Some(Standing { comes: false, good_at }),
            _ => None,
        }
    }

    fn written(self) -> String {
        let word = if self.comes { "good" } else { "bad" };
        format!("{word} {}", self.good_at)
    }

    /// How it stands now, and from when on events may have been lost, where that is news.
    fn after(before: Option<Standing>, comes: bool, now: Stamp, unseen_ms: i64) -> (Standing, Option<Stamp>) {
        let good_at = match before {
            // Nothing is known of the time before.
            None => now,
            Some(_) if comes => now,
            Some(before) => before.good_at,
        };
        let gap = before.filter(|before| {
            let unseen = now.saturating_sub(before.good_at) > unseen_ms;
            // Lost from now on, or lost until now, or who knows.
            before.comes != comes || (comes && unseen)
        });
        (Standing { comes, good_at }, gap.map(|before| before.good_at))
    }
}

impl Caretaker {
    pub(super) fn new(
        parts: Arc<Parts>,
        historians: BTreeMap<String, Arc<Notify>>,
        stop: CancellationToken,
    ) -> Caretaker {
        Caretaker {
            parts,
            historians,
            stop,
        }
    }

    /// Works until the generation ends.
    pub(super) fn work(self: Arc<Self>) -> BoxFuture<'static, anyhow::Result<()>> {
        Box::pin(self.work_on())
    }

    fn charge(&self) -> Option<Charge> {
        let webhooks = self.parts.config.webhooks.as_ref()?;
        let list = self.parts.connectors.get(STORE)?.subscriptions()?;
        let charge = Charge {
            list,
            ours: Ours::of(webhooks),
            needs: needs(&self.parts.config),
            every: webhooks.check_every,
        };
        (!charge.every.is_zero() && !charge.needs.is_empty()).then_some(charge)
    }

    async fn work_on(self: Arc<Self>) -> anyhow::Result<()> {
        let Some(charge) = self.charge() else {
            // What an earlier config had looked after is nobody's business any more.
            self.parts.store.calm(ALERT).await?;
            self.stop.cancelled().await;
            return Ok(());
        };
        let mut delays = Delays::new(TROUBLE_DELAY.min(charge.every), charge.every);
        while !self.stop.is_cancelled() {
            if self.parts.store.uninstalled_at().await?.is_some() {
                // A store that removed the app is asked nothing but whether it is back.
                tokio::select! {
                    () = self.parts.clock.sleep(charge.every) => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            let listed = tokio::select! {
                listed = charge.list.list() => listed,
                () = self.stop.cancelled() => return Ok(()),
            };
            let wait = match listed {
                Ok(listed) => {
                    delays.reset();
                    self.see_to(&charge, &judge(&charge.needs, &charge.ours, &listed))
                        .await?;
                    charge.every
                }
                Err(error) => {
                    self.tell_unseen(&error).await?;
                    delay_of(&error.into(), &mut delays).min(charge.every)
                }
            };
            tokio::select! {
                () = self.parts.clock.sleep(wait) => {}
                () = self.stop.cancelled() => {}
            }
        }
        Ok(())
    }

    /// A store that does not answer is told of by everything else; one that answers and does not show the list is not.
    async fn tell_unseen(&self, error: &contract::Error) -> anyhow::Result<()> {
        match error.fault {
            Fault::Transient { .. } | Fault::Throttled { .. } => {
                tracing::debug!("{error}");
                Ok(())
            }
            Fault::Denied | Fault::Rejected | Fault::Conflict => {
                let told = format!("nobody knows whether the store calls about what changes: {error}");
                self.raise(&told).await
            }
        }
    }

    async fn raise(&self, told: &str) -> anyhow::Result<()> {
        if self.parts.store.raise(ALERT, told).await? {
            for line in told.lines() {
                tracing::warn!("{line}");
            }
        }
        Ok(())
    }

    async fn see_to(&self, charge: &Charge, judgement: &Judgement) -> anyhow::Result<()> {
        // First what is lost, which must not be forgotten in a crash; then what it was about.
        for finding in &judgement.findings {
            self.note(charge, finding).await?;
        }
        let todos = judgement.todos();
        if !todos.is_empty() {
            return self.raise(&todos.join("\n")).await;
        }
        if self.parts.store.calm(ALERT).await? {
            tracing::info!("the store calls about everything that flows listen to");
        }
        Ok(())
    }

    /// Remembers how it stands with a topic, and has its feeds look back where events were lost.
    async fn note(&self, charge: &Charge, finding: &Finding) -> anyhow::Result<()> {
        let (store, topic) = (&self.parts.store, &finding.need.topic);
        let before = store.memory(MEMORY, topic).await?;
        let before = before.as_deref().and_then(Standing::read);
        // One that no store has to know is looked after once it was there.
        if before.is_none() && !finding.comes() && finding.need.is_optional {
            return Ok(());
        }
        let every_ms = i64::try_from(charge.every.as_millis()).unwrap_or(i64::MAX);
        let unseen_ms = every_ms.saturating_mul(LOOKS_MISSED);
        let now = self.parts.clock.now();
        let (standing, lost_from) = Standing::after(before, finding.comes(), now, unseen_ms);
        if let Some(lost_from) = lost_from {
            self.look_back(finding, lost_from.saturating_sub(OVERLAP_MS)).await?;
        }
        store.put_memory(MEMORY, topic, &standing.written()).await
    }

    async fn look_back(&self, finding: &Finding, to: Stamp) -> anyhow::Result<()> {
        let parts = &self.parts;
        let listening = parts
            .config
            .flows
            .iter()
            .filter(|flow| finding.need.flows.contains(&flow.name));
        let mut feeds: Vec<String> = listening.map(|flow| flow.from.to_string()).collect();
        feeds.sort();
        feeds.dedup();
        for feed in feeds.iter().filter(|feed| !parts.scheduled(feed).is_empty()) {
            let wished = parts.store.memory(feed, LOOK_BACK_TO).await?;
            let wished = wished.and_then(|stamp| stamp.parse::<Stamp>().ok());
            let to = wished.map_or(to, |wished| wished.min(to));
            parts.store.put_memory(feed, LOOK_BACK_TO, &to.to_string()).await?;
            if let Some(historian) = self.historians.get(feed) {
                historian.notify_one();
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNSEEN: i64 = 1_800;

    fn stood(comes: bool, good_at: Stamp) -> Option<Standing> {
        Some(Standing { comes, good_at })
    }

    fn after(before: Option<Standing>, comes: bool, now: Stamp) -> (Option<Standing>, Option<Stamp>) {
        let (standing, lost_from) = Standing::after(before, comes, now, UNSEEN);
        (Some(standing), lost_from)
    }

    #[test]
    fn wh_25_a_gap_is_told_when_it_opens_and_when_it_closes_and_begins_at_the_last_good_sign() {
        // The first look knows of nothing that was lost.
        assert_eq!(after(None, true, 1_000), (stood(true, 1_000), None));
        assert_eq!(after(None, false, 1_000), (stood(false, 1_000), None));
        assert_eq!(after(stood(true, 1_000), true, 1_600), (stood(true, 1_600), None));
        // It opens, lasts and closes.
        assert_eq!(
            after(stood(true, 1_600), false, 2_200),
            (stood(false, 1_600), Some(1_600))
        );
        assert_eq!(after(stood(false, 1_600), false, 9_000), (stood(false, 1_600), None));
        assert_eq!(
            after(stood(false, 1_600), true, 9_600),
            (stood(true, 9_600), Some(1_600))
        );
    }

    #[test]
    fn a_time_that_nobody_looked_at_counts_as_a_gap() {
        assert_eq!(
            after(stood(true, 1_000), true, 1_000 + UNSEEN),
            (stood(true, 2_800), None)
        );
        assert_eq!(
            after(stood(true, 1_000), true, 2_801),
            (stood(true, 2_801), Some(1_000))
        );
        // A clock that was set back is no gap.
        assert_eq!(after(stood(true, 9_000), true, 1_000), (stood(true, 1_000), None));
    }

    #[test]
    fn what_is_written_down_is_read_back() {
        for standing in [stood(true, 5), stood(false, -7)] {
            assert_eq!(standing.and_then(|one| Standing::read(&one.written())), standing);
        }
        for text in ["", "good", "good x", "fine 5"] {
            assert_eq!(Standing::read(text), None, "{text}");
        }
    }
}
