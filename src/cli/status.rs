//! `status`: how each flow stands. Needs nothing but the config's outline and the state file.

use std::path::Path;

use contract::Stamp;
use serde_json::{Value as Json, json};

use super::output::{local, span, utc};
use super::{DONE, UNFINISHED, output};
use crate::config::{Config, Flow, Mode};
use crate::daemon;
use crate::store::{Alert, EventReport, FlowReport, HISTORY_ERROR, Queue, Store};
use crate::work::{grouped, load};

pub(super) async fn status(path: &Path, as_json: bool, check: bool) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let store = Store::look(&config.state_path).await?;
    let mut flows = Vec::new();
    for flow in &config.flows {
        let (mut report, queue) = match &store {
            Some(store) => (
                store.flow_report(&flow.name).await?,
                store.queue(&flow.name, &flow.from.to_string()).await?,
            ),
            None => (FlowReport::default(), Queue::default()),
        };
        let target = config.connectors.get(&flow.to.connector);
        if let Some(store) = store
            .as_ref()
            .filter(|_| target.is_some_and(|t| t.is_acknowledged(&flow.to.resource)))
        {
            report.unconfirmed = Some(store.unconfirmed(&flow.name).await?);
        }
        flows.push((flow, report, queue));
    }
    let alerts = match &store {
        Some(store) => store.alerts().await?,
        None => Vec::new(),
    };
    let connectors = conditions(&config, store.as_ref()).await?;
    let running = daemon::is_up(&config.state_path).await;
    let upkeep = upkeep(&config, store.as_ref()).await?;
    let webhooks = match (&config.webhooks, &store) {
        (Some(_), Some(store)) => Some(store.event_report().await?),
        _ => None,
    };
    let upkeep_errors: Vec<(String, String)> = upkeep
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(feed, told)| Some((feed.clone(), told.get("error")?.as_str()?.to_owned())))
        .collect();
    if as_json {
        let flows: Vec<Json> = flows
            .iter()
            .map(|(flow, report, queue)| flow_json(&config, flow, report, queue))
            .collect();
        let connectors: Vec<Json> = connectors
            .iter()
            .map(|c| {
                json!({
                    "name": c.name,
                    "circuit": c.circuit(),
                    "open_since": c.open_since.map(utc),
                    "paused_until": c.paused_until.map(utc),
                    "rate_limit": c.rate_limit,
                })
            })
            .collect();
        output::print_json(&json!({
            "version": env!("CARGO_PKG_VERSION"),
            "state": {"path": config.state_path, "exists": store.is_some()},
            "daemon": {"running": running},
            "alerts": alerts.iter().map(alert_json).collect::<Vec<Json>>(),
            "upkeep": upkeep,
            "webhooks": webhooks_json(webhooks.as_ref()),
            "flows": flows,
            "connectors": connectors,
        }))?;
    } else {
        if !running {
            outln!("no daemon runs over {}", config.state_path.display());
        }
        for alert in &alerts {
            show_alert(&config, alert);
        }
        for (flow, report, queue) in &flows {
            show(&config, flow, report, queue);
            if let Some(store) = &store {
                show_journal(&config, store, flow).await?;
            }
        }
        for (feed, error) in &upkeep_errors {
            outln!("{feed}: history and sweeps fail: {}", output::line(error, 400));
        }
        if let Some(report) = &webhooks {
            show_webhooks(&config, report);
        }
        for condition in &connectors {
            let calls = condition.told(&config);
            let rate = condition
                .rate_limit
                .as_ref()
                .map(|rate| format!(", at most {rate}"))
                .unwrap_or_default();
            outln!("{}: {calls}{rate}", condition.name);
        }
    }
    let unwell = !upkeep_errors.is_empty()
        || !alerts.is_empty()
        || flows
            .iter()
            .any(|(_, report, queue)| report.last_error.is_some() || *queue != Queue::default());
    Ok(if check && unwell { UNFINISHED } else { DONE })
}

fn webhooks_json(report: Option<&EventReport>) -> Json {
    let Some(report) = report else { return Json::Null };
    json!({
        "last_at": report.last_at.map(utc),
        "last_day": report.last_day,
        "stale": report.stale,
    })
}

fn show_webhooks(config: &Config, report: &EventReport) {
    let Some(at) = report.last_at else {
        outln!("webhooks: none has come yet");
        return;
    };
    let day: Vec<String> = report
        .last_day
        .iter()
        .map(|(done, n)| format!("{} {done}", grouped(*n)))
        .collect();
    let day = if day.is_empty() {
        "none".to_owned()
    } else {
        day.join(", ")
    };
    let stale = match report.stale {
        0 => String::new(),
        n => format!(
            "; of {} the signature was too old: is this machine's clock right?",
            grouped(n)
        ),
    };
    outln!(
        "webhooks: the last at {}; in 24 hours {day}{stale}",
        local(at, &config.timezone)
    );
}

struct Condition {
    name: String,
    /// The other side fails again and again: one probe at a time goes out.
    open_since: Option<Stamp>,
    /// It asked for a pause.
    paused_until: Option<Stamp>,
    rate_limit: Option<String>,
}

/// The next time of the flow's schedule.
fn next_run(config: &Config, flow: &Flow) -> Option<Stamp> {
    let now = jiff::Timestamp::from_millisecond(output::now()).ok()?;
    let now = now.to_zoned(config.timezone.clone());
    let next = flow.schedule.as_ref()?.cron.find_next_occurrence(&now, false).ok()?;
    Some(next.timestamp().as_millisecond())
}

/// When each feed was last looked at more deeply, and swept.
async fn upkeep(config: &Config, store: Option<&Store>) -> anyhow::Result<Json> {
    let mut told = serde_json::Map::new();
    let Some(store) = store else {
        return Ok(Json::Object(told));
    };
    for flow in &config.flows {
        let feed = flow.from.to_string();
        let mut at = serde_json::Map::new();
        for (name, shown) in [("deep_at", "last_deep_pass"), ("sweep_at", "last_sweep")] {
            let stamp = store.memory(&feed, name).await?.and_then(|text| text.parse().ok());
            at.insert(shown.to_owned(), stamp.map(utc).into());
        }
        let error = store.memory(&feed, HISTORY_ERROR).await?;
        at.insert("error".to_owned(), error.filter(|error| !error.is_empty()).into());
        told.insert(feed, Json::Object(at));
    }
    Ok(Json::Object(told))
}

impl Condition {
    /// `open` before `paused`: what fails is worse news than what waits.
    fn circuit(&self) -> &'static str {
        match (self.open_since, self.paused_until) {
            (Some(_), _) => "open",
            (None, Some(_)) => "paused",
            (None, None) => "closed",
        }
    }

    fn told(&self, config: &Config) -> String {
        let stamp = |stamp| local(stamp, &config.timezone);
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
}

async fn conditions(config: &Config, store: Option<&Store>) -> anyhow::Result<Vec<Condition>> {
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
            paused_until: paused_until.filter(|until| *until > output::now()),
            rate_limit: settings
                .rate_limit()
                .map(|rate| format!("{} in {} s", rate.calls, rate.per.as_secs())),
        });
    }
    Ok(conditions)
}

fn alert_json(alert: &Alert) -> Json {
    json!({"name": alert.name, "since": utc(alert.since), "told": alert.told})
}

fn show_alert(config: &Config, alert: &Alert) {
    outln!("ALERT {} since {}", alert.name, local(alert.since, &config.timezone));
    for line in alert.told.lines() {
        outln!("  {}", output::line(line, 400));
    }
}

fn flow_json(config: &Config, flow: &Flow, report: &FlowReport, queue: &Queue) -> Json {
    json!({
        "name": flow.name,
        "from": flow.from.to_string(),
        "to": flow.to.to_string(),
        "last_success": report.last_success_at.map(utc),
        "last_error": report.last_error,
        "last_error_at": report.last_error_at.map(utc),
        "watermark": report.watermark,
        "lag_seconds": report.last_success_at.map(|at| (output::now() - at) / 1000),
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
        "next_run": next_run(config, flow).map(utc),
    })
}

fn by_record(config: &Config, flow: &Flow) -> bool {
    let target = config.connectors.get(&flow.to.connector);
    target.is_some_and(|target| target.takes_records())
}

fn show(config: &Config, flow: &Flow, report: &FlowReport, queue: &Queue) {
    outln!("{}: {} to {}", flow.name, flow.from, flow.to);
    match report.last_success_at {
        Some(at) => {
            let lag = span((output::now() - at) / 1000);
            outln!("  last success  {} ({lag} ago)", local(at, &config.timezone));
        }
        None => outln!("  last success  never"),
    }
    outln!("  watermark     {}", report.watermark.as_deref().unwrap_or("none yet"));
    outln!(
        "  waiting       {} to read, {} queued, {} failed",
        grouped(queue.to_read),
        grouped(queue.queued),
        grouped(queue.failed)
    );
    if queue.waiting > 0 {
        outln!(
            "  required      {} wait for others that they require",
            grouped(queue.waiting)
        );
    }
    match by_record(config, flow) {
        true => outln!("  delivered     {} records are at the target", grouped(report.records)),
        false => outln!("  delivered     {} files", grouped(report.files)),
    }
    if let Some(unconfirmed) = report.unconfirmed {
        outln!(
            "  unconfirmed   {} records were written and not confirmed yet",
            grouped(unconfirmed)
        );
    }
    if report.unsent > 0 {
        outln!(
            "  unsent        {} records changed since and cannot be changed there (no `update`, or no `cancel`)",
            grouped(report.unsent)
        );
    }
    if report.deleted > 0 {
        outln!(
            "  deleted       {} records are no longer at the source",
            grouped(report.deleted)
        );
    }
    match (&flow.schedule, next_run(config, flow)) {
        (Some(schedule), Some(at)) => {
            outln!(
                "  schedule      {}, next {}",
                schedule.text,
                local(at, &config.timezone)
            );
        }
        _ => outln!("  schedule      only when it is asked for"),
    }
    for run in &report.backfills_under_way {
        outln!("  under way     {run}");
    }
    if let (Some(error), Some(at)) = (&report.last_error, report.last_error_at) {
        outln!(
            "  last error    {}: {}",
            local(at, &config.timezone),
            output::line(error, 400)
        );
    }
}

async fn show_journal(config: &Config, store: &Store, flow: &Flow) -> anyhow::Result<()> {
    for (at, key, what, detail) in store.journal(&flow.name, 5).await? {
        let key = key.map(|key| format!(" {key}")).unwrap_or_default();
        outln!(
            "  {what:<13} {}{key}: {}",
            local(at, &config.timezone),
            output::line(&detail, 200)
        );
    }
    Ok(())
}
