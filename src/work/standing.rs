//! How everything stands, as `status`, the admin page, its API and the metrics tell it. Looks at the config and the
//! state file only, and changes nothing.

use std::path::PathBuf;

use contract::Stamp;
use jiff::Timestamp;
use serde_json::{Map, Value as Json, json};

use super::summary::grouped;
use super::words::utc;
use crate::config::{self, Config};
use crate::store::{Alert, EventReport, FlowReport, HISTORY_ERROR, Queue, Store};

pub struct Standing<'c> {
    pub at: Stamp,
    pub state_path: PathBuf,
    /// There is a state file.
    pub exists: bool,
    /// A daemon works over it.
    pub running: bool,
    pub alerts: Vec<Alert>,
    pub flows: Vec<FlowStanding<'c>>,
    pub feeds: Vec<Upkeep>,
    /// `None`: none are received.
    pub webhooks: Option<EventReport>,
    pub connectors: Vec<Condition>,
}

pub struct FlowStanding<'c> {
    pub flow: &'c config::Flow,
    pub report: FlowReport,
    pub queue: Queue,
    /// Its target takes records one by one.
    pub by_record: bool,
    /// The next time of its schedule.
    pub next_run: Option<Stamp>,
}

/// When a feed was last looked at more deeply, and swept.
#[derive(Debug, Default)]
pub struct Upkeep {
    pub feed: String,
    pub deep_at: Option<Stamp>,
    pub sweep_at: Option<Stamp>,
    /// What last went wrong with that.
    pub error: Option<String>,
}

#[derive(Debug)]
pub struct Condition {
    pub name: String,
    /// The other side fails again and again: one probe at a time goes out.
    pub open_since: Option<Stamp>,
    /// It asked for a pause.
    pub paused_until: Option<Stamp>,
    pub rate_limit: Option<String>,
}

impl<'c> Standing<'c> {
    pub async fn of(
        config: &'c Config,
        store: Option<&Store>,
        running: bool,
        at: Stamp,
    ) -> anyhow::Result<Standing<'c>> {
        let mut flows = Vec::new();
        let mut feeds: Vec<Upkeep> = Vec::new();
        for flow in &config.flows {
            flows.push(FlowStanding::of(config, store, flow, at).await?);
            let feed = flow.from.to_string();
            if let Some(store) = store
                && feeds.iter().all(|known| known.feed != feed)
            {
                feeds.push(Upkeep::of(store, feed).await?);
            }
        }
        let alerts = match store {
            Some(store) => store.alerts().await?,
            None => Vec::new(),
        };
        let webhooks = match (&config.webhooks, store) {
            (Some(_), Some(store)) => Some(store.event_report().await?),
            _ => None,
        };
        Ok(Standing {
            at,
            state_path: config.state_path.clone(),
            exists: store.is_some(),
            running,
            alerts,
            flows,
            feeds,
            webhooks,
            connectors: conditions(config, store, at).await?,
        })
    }

    /// Nothing waits, failed or is alerted.
    pub fn is_well(&self) -> bool {
        self.alerts.is_empty()
            && self.feeds.iter().all(|feed| feed.error.is_none())
            && self
                .flows
                .iter()
                .all(|flow| flow.report.last_error.is_none() && flow.queue == Queue::default())
    }

    pub fn to_json(&self) -> Json {
        let upkeep: Map<String, Json> = self
            .feeds
            .iter()
            .map(|feed| (feed.feed.clone(), feed.to_json()))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": {"path": self.state_path, "exists": self.exists},
            "daemon": {"running": self.running},
            "alerts": self.alerts.iter().map(alert_json).collect::<Vec<Json>>(),
            "upkeep": upkeep,
            "webhooks": self.webhooks.as_ref().map(|report| json!({
                "last_at": report.last_at.map(utc),
                "last_day": report.last_day,
                "stale": report.stale,
            })),
            "flows": self.flows.iter().map(|flow| flow.to_json(self.at)).collect::<Vec<Json>>(),
            "connectors": self.connectors.iter().map(Condition::to_json).collect::<Vec<Json>>(),
        })
    }
}

impl<'c> FlowStanding<'c> {
    async fn of(
        config: &'c Config,
        store: Option<&Store>,
        flow: &'c config::Flow,
        at: Stamp,
    ) -> anyhow::Result<FlowStanding<'c>> {
        let (mut report, queue) = match store {
            Some(store) => (
                store.flow_report(&flow.name).await?,
                store.queue(&flow.name, &flow.from.to_string()).await?,
            ),
            None => (FlowReport::default(), Queue::default()),
        };
        let target = config.connectors.get(&flow.to.connector);
        let is_acknowledged = target.is_some_and(|target| target.is_acknowledged(&flow.to.resource));
        if let Some(store) = store.filter(|_| is_acknowledged) {
            report.unconfirmed = Some(store.unconfirmed(&flow.name).await?);
        }
        Ok(FlowStanding {
            flow,
            report,
            queue,
            by_record: target.is_some_and(|target| target.takes_records()),
            next_run: next_run(config, flow, at),
        })
    }

    /// Seconds since its last success.
    pub fn lag(&self, at: Stamp) -> Option<i64> {
        self.report.last_success_at.map(|success| (at - success) / 1000)
    }

    fn to_json(&self, at: Stamp) -> Json {
        let FlowStanding {
            flow, report, queue, ..
        } = self;
        json!({
            "name": flow.name,
            "from": flow.from.to_string(),
            "to": flow.to.to_string(),
            "last_success": report.last_success_at.map(utc),
            "last_error": report.last_error,
            "last_error_at": report.last_error_at.map(utc),
            "watermark": report.watermark,
            "lag_seconds": self.lag(at),
            "to_read": queue.to_read,
            "queued": queue.queued,
            "waiting": queue.waiting,
            "failed": queue.failed,
            "flagged": report.flagged,
            "files": report.files,
            "records": report.records,
            "unsent": report.unsent,
            "unconfirmed": report.unconfirmed,
            "backfills_under_way": report.backfills_under_way,
            "deleted_at_source": report.deleted,
            "schedule": flow.schedule.as_ref().map(|schedule| &schedule.text),
            "next_run": self.next_run.map(utc),
        })
    }
}

impl Upkeep {
    async fn of(store: &Store, feed: String) -> anyhow::Result<Upkeep> {
        let stamp = async |name: &str| -> anyhow::Result<Option<Stamp>> {
            Ok(store.memory(&feed, name).await?.and_then(|text| text.parse().ok()))
        };
        let (deep_at, sweep_at) = (stamp("deep_at").await?, stamp("sweep_at").await?);
        let error = store.memory(&feed, HISTORY_ERROR).await?;
        Ok(Upkeep {
            deep_at,
            sweep_at,
            error: error.filter(|error| !error.is_empty()),
            feed,
        })
    }

    fn to_json(&self) -> Json {
        json!({
            "last_deep_pass": self.deep_at.map(utc),
            "last_sweep": self.sweep_at.map(utc),
            "error": self.error,
        })
    }
}

impl Condition {
    /// `open` before `paused`: what fails is worse news than what waits.
    pub fn circuit(&self) -> &'static str {
        match (self.open_since, self.paused_until) {
            (Some(_), _) => "open",
            (None, Some(_)) => "paused",
            (None, None) => "closed",
        }
    }

    /// What that means, with times as `stamp` has them.
    pub fn told(&self, stamp: impl Fn(Stamp) -> String) -> String {
        let open = self.open_since.map(|since| {
            let since = stamp(since);
            format!("no calls since {since}, because they fail; it is tried now and then")
        });
        let paused = self
            .paused_until
            .map(|until| format!("paused until {}, as it asked", stamp(until)));
        let told: Vec<String> = open.into_iter().chain(paused).collect();
        match told.is_empty() {
            true => "calls go through".to_owned(),
            false => told.join("; "),
        }
    }

    fn to_json(&self) -> Json {
        json!({
            "name": self.name,
            "circuit": self.circuit(),
            "open_since": self.open_since.map(utc),
            "paused_until": self.paused_until.map(utc),
            "rate_limit": self.rate_limit,
        })
    }
}

/// `12 read, 3 ignored`: what became of the events of a day.
pub fn day_told(report: &EventReport) -> String {
    let day: Vec<String> = report
        .last_day
        .iter()
        .map(|(done, n)| format!("{} {done}", grouped(*n)))
        .collect();
    match day.is_empty() {
        true => "none".to_owned(),
        false => day.join(", "),
    }
}

fn alert_json(alert: &Alert) -> Json {
    json!({"name": alert.name, "since": utc(alert.since), "told": alert.told})
}

fn next_run(config: &Config, flow: &config::Flow, at: Stamp) -> Option<Stamp> {
    let now = Timestamp::from_millisecond(at).ok()?.to_zoned(config.timezone.clone());
    let next = flow.schedule.as_ref()?.cron.find_next_occurrence(&now, false).ok()?;
    Some(next.timestamp().as_millisecond())
}

async fn conditions(config: &Config, store: Option<&Store>, at: Stamp) -> anyhow::Result<Vec<Condition>> {
    let mut conditions = Vec::new();
    for (name, settings) in &config.connectors {
        let memory = async |what: &str| match store {
            Some(store) => store.memory(name, what).await,
            None => Ok(None),
        };
        let paused_until = memory("paused_until").await?.and_then(|text| text.parse().ok());
        let circuit = memory("circuit").await?;
        let open_since = circuit.as_deref().and_then(|text| text.strip_prefix("open since "));
        conditions.push(Condition {
            name: name.clone(),
            open_since: open_since.and_then(|stamp| stamp.parse().ok()),
            paused_until: paused_until.filter(|until| *until > at),
            rate_limit: settings
                .rate_limit()
                .map(|rate| format!("{} in {} s", rate.calls, rate.per.as_secs())),
        });
    }
    Ok(conditions)
}
