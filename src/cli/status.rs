//! `status`: how each flow stands. Needs nothing but the config's outline and the state file.

use std::path::Path;

use contract::Stamp;

use super::{DONE, UNFINISHED, output};
use crate::config::{Config, Flow, Mode};
use crate::daemon;
use crate::store::{Alert, EventReport, Store};
use crate::work::{FlowStanding, Standing, day_told, grouped, line, load, local, span};

pub(super) async fn status(path: &Path, as_json: bool, check: bool) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let store = Store::look(&config.state_path).await?;
    let running = daemon::is_up(&config.state_path).await;
    let standing = Standing::of(&config, store.as_ref(), running, output::now()).await?;
    if as_json {
        output::print_json(&standing.to_json())?;
    } else {
        show_all(&config, store.as_ref(), &standing).await?;
    }
    Ok(if check && !standing.is_well() { UNFINISHED } else { DONE })
}

async fn show_all(config: &Config, store: Option<&Store>, standing: &Standing<'_>) -> anyhow::Result<()> {
    if !standing.running {
        outln!("no daemon runs over {}", config.state_path.display());
    }
    for alert in &standing.alerts {
        show_alert(config, alert);
    }
    for flow in &standing.flows {
        show(config, flow, standing.at);
        if let Some(store) = store {
            show_journal(config, store, flow.flow).await?;
        }
    }
    for feed in &standing.feeds {
        if let Some(error) = &feed.error {
            outln!("{}: history and sweeps fail: {}", feed.feed, line(error, 400));
        }
    }
    if let Some(report) = &standing.webhooks {
        show_webhooks(config, report);
    }
    for condition in &standing.connectors {
        let calls = condition.told(|stamp| local(stamp, &config.timezone));
        let rate = condition
            .rate_limit
            .as_ref()
            .map(|rate| format!(", at most {rate}"))
            .unwrap_or_default();
        outln!("{}: {calls}{rate}", condition.name);
    }
    Ok(())
}

fn show_webhooks(config: &Config, report: &EventReport) {
    let Some(at) = report.last_at else {
        outln!("webhooks: none has come yet");
        return;
    };
    let day = day_told(report);
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

fn show_alert(config: &Config, alert: &Alert) {
    outln!("ALERT {} since {}", alert.name, local(alert.since, &config.timezone));
    for told in alert.told.lines() {
        outln!("  {}", line(told, 400));
    }
}

fn show(config: &Config, standing: &FlowStanding<'_>, now: Stamp) {
    let FlowStanding {
        flow, report, queue, ..
    } = standing;
    outln!("{}: {} to {}", flow.name, flow.from, flow.to);
    match report.last_success_at {
        Some(at) => {
            let lag = span((now - at) / 1000);
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
    match standing.by_record {
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
    match (&flow.schedule, standing.next_run) {
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
        outln!("  last error    {}: {}", local(at, &config.timezone), line(error, 400));
    }
}

async fn show_journal(config: &Config, store: &Store, flow: &Flow) -> anyhow::Result<()> {
    for (at, key, what, detail) in store.journal(&flow.name, 5).await? {
        let key = key.map(|key| format!(" {key}")).unwrap_or_default();
        outln!(
            "  {what:<13} {}{key}: {}",
            local(at, &config.timezone),
            line(&detail, 200)
        );
    }
    Ok(())
}
