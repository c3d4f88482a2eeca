//! `/metrics` in the text format of Prometheus (version 0.0.4). Most of it is read off the state file, so it tells the
//! same after a restart. Names end in their unit: seconds, bytes; times are seconds since 1970 UTC.

use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use contract::Stamp;

use super::gate::not_now;
use super::routes::Office;
use super::{Desk, Hands};
use crate::work::Standing;

pub(super) async fn metrics(State(office): State<Arc<Office>>, Extension(desk): Extension<Arc<Desk>>) -> Response {
    match desk.standing().await {
        Ok(standing) => {
            let text = render(&standing, &desk, office.hands.as_ref());
            ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => {
            tracing::warn!("metrics cannot be told: {error:#}");
            not_now()
        }
    }
}

/// One page of metrics, a family at a time.
#[derive(Default)]
struct Page(String);

impl Page {
    /// The head of a family; its samples follow.
    fn family(&mut self, name: &str, kind: &str, help: &str) -> Family<'_> {
        let full = format!("selorax_sync_{name}");
        writeln!(self.0, "# HELP {full} {help}\n# TYPE {full} {kind}").unwrap_or_default();
        Family { page: self, name: full }
    }
}

struct Family<'p> {
    page: &'p mut Page,
    name: String,
}

impl Family<'_> {
    fn is(&mut self, labels: &[(&str, &str)], value: impl std::fmt::Display) -> &mut Self {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        writeln!(self.page.0, "{}{labels} {value}", self.name).unwrap_or_default();
        self
    }
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// Seconds with their milliseconds.
fn seconds(stamp: Stamp) -> String {
    format!("{}.{:03}", stamp.div_euclid(1000), stamp.rem_euclid(1000))
}

fn render(standing: &Standing<'_>, desk: &Desk, hands: &dyn Hands) -> String {
    let mut page = Page::default();
    page.family("build_info", "gauge", "Always 1; the version is a label.")
        .is(&[("version", env!("CARGO_PKG_VERSION"))], 1);
    flows(&mut page, standing);
    let mut alerts = page.family("alert", "gauge", "1 for each alert that stands.");
    for alert in &standing.alerts {
        alerts.is(&[("name", &alert.name)], 1);
    }
    connectors(&mut page, standing, desk);
    let mut calls = page.family(
        "webhook_calls_total",
        "counter",
        "Webhook calls since the start, by what became of them.",
    );
    for (outcome, count) in hands.calls() {
        calls.is(&[("outcome", outcome)], count);
    }
    state(&mut page, &standing.state_path);
    process(&mut page, desk.started_at);
    page.0
}

fn flows(page: &mut Page, standing: &Standing<'_>) {
    let mut family = page.family(
        "flow_last_success_timestamp_seconds",
        "gauge",
        "When the flow was last well; 0: never.",
    );
    for flow in &standing.flows {
        let at = flow.report.last_success_at.unwrap_or(0);
        family.is(&[("flow", &flow.flow.name)], seconds(at));
    }
    let mut family = page.family(
        "flow_failing",
        "gauge",
        "1 while the flow's last pass or delivery went wrong.",
    );
    for flow in &standing.flows {
        let failing = u8::from(flow.report.last_error.is_some());
        family.is(&[("flow", &flow.flow.name)], failing);
    }
    let mut family = page.family(
        "flow_records",
        "gauge",
        "Records of the flow, by where they wait: to_read, queued, waiting (for a record that they need), failed.",
    );
    for flow in &standing.flows {
        for (place, count) in [
            ("to_read", flow.queue.to_read),
            ("queued", flow.queue.queued),
            ("waiting", flow.queue.waiting),
            ("failed", flow.queue.failed),
        ] {
            family.is(&[("flow", &flow.flow.name), ("place", place)], count);
        }
    }
    let mut family = page.family(
        "flow_delivered",
        "gauge",
        "What the target has of the flow: records, or files where it takes files.",
    );
    for flow in &standing.flows {
        let (kind, count) = match flow.by_record {
            true => ("records", flow.report.records),
            false => ("files", flow.report.files),
        };
        family.is(&[("flow", &flow.flow.name), ("kind", kind)], count);
    }
    let mut family = page.family(
        "flow_noted",
        "gauge",
        "Records with something to look at: flagged, unsent (changes that the target cannot be told of), deleted (at the source).",
    );
    for flow in &standing.flows {
        for (what, count) in [
            ("flagged", flow.report.flagged),
            ("unsent", flow.report.unsent),
            ("deleted", flow.report.deleted),
        ] {
            family.is(&[("flow", &flow.flow.name), ("what", what)], count);
        }
    }
    let mut family = page.family(
        "feed_last_sweep_timestamp_seconds",
        "gauge",
        "When all records of the feed were last gone over; 0: never.",
    );
    for feed in &standing.feeds {
        family.is(&[("feed", &feed.feed)], seconds(feed.sweep_at.unwrap_or(0)));
    }
}

fn connectors(page: &mut Page, standing: &Standing<'_>, desk: &Desk) {
    let mut family = page.family(
        "connector_circuit",
        "gauge",
        "1 for the state that the connector is in: closed (calls go through), open (they fail), paused (it asked for that).",
    );
    for connector in &standing.connectors {
        for state in ["closed", "open", "paused"] {
            let is = u8::from(connector.circuit() == state);
            family.is(&[("connector", &connector.name), ("state", state)], is);
        }
    }
    let mut family = page.family(
        "connector_requests_total",
        "counter",
        "Requests since the start or the last reload.",
    );
    for (name, connector) in &desk.connectors {
        family.is(&[("connector", name)], connector.requests());
    }
}

fn state(page: &mut Page, path: &Path) {
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |about| about.len());
    let mut wal = path.file_name().unwrap_or_default().to_owned();
    wal.push("-wal");
    let mut family = page.family("state_bytes", "gauge", "The size of the state file and of its log.");
    family
        .is(&[("file", "main")], size(path))
        .is(&[("file", "wal")], size(&path.with_file_name(wal)));
}

fn process(page: &mut Page, started_at: Stamp) {
    page.family("start_timestamp_seconds", "gauge", "When this process began.")
        .is(&[], seconds(started_at));
    let resident = std::fs::read_to_string("/proc/self/status").ok().and_then(|status| {
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    if let Some(kib) = resident {
        page.family("resident_memory_bytes", "gauge", "Memory of this process.")
            .is(&[], kib * 1024);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        page.family("open_files", "gauge", "Open files of this process.")
            .is(&[], files.count());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_written_as_prometheus_reads_them() {
        let mut page = Page::default();
        page.family("x_seconds", "gauge", "What it is.")
            .is(&[], seconds(1_500))
            .is(&[("flow", "a\"b\\c\nd")], seconds(-1));
        assert_eq!(
            page.0,
            "# HELP selorax_sync_x_seconds What it is.\n# TYPE selorax_sync_x_seconds gauge\n\
             selorax_sync_x_seconds 1.500\nselorax_sync_x_seconds{flow=\"a\\\"b\\\\c\\nd\"} -1.999\n"
        );
    }
}
