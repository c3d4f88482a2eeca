//! What the pages show, in words: times in the store's zone, numbers grouped, nothing that a template would have to
//! work out.

use contract::Stamp;

use super::Desk;
use crate::store::{Delivered, Failure};
use crate::work::{FlowStanding, Standing, day_told, flow_of, grouped, line, local, span};

/// What every page has.
pub(super) struct Frame {
    pub(super) title: &'static str,
    pub(super) csrf: String,
    /// Somebody can log out.
    pub(super) has_login: bool,
    /// What was done just now.
    pub(super) told: Option<String>,
}

pub(super) struct FlowRow {
    pub(super) name: String,
    pub(super) from: String,
    pub(super) to: String,
    pub(super) state: &'static str,
    pub(super) success: String,
    pub(super) ago: String,
    pub(super) next: String,
    pub(super) to_read: String,
    pub(super) queued: String,
    pub(super) waiting: String,
    pub(super) failed: u64,
    pub(super) delivered: String,
    pub(super) error: Option<String>,
    pub(super) notes: Vec<String>,
}

pub(super) struct AlertRow {
    pub(super) name: String,
    pub(super) since: String,
    pub(super) lines: Vec<String>,
}

pub(super) struct ConnectorRow {
    pub(super) name: String,
    pub(super) circuit: &'static str,
    pub(super) told: String,
    pub(super) rate: String,
}

pub(super) struct Overview {
    pub(super) at: String,
    pub(super) alerts: Vec<AlertRow>,
    pub(super) flows: Vec<FlowRow>,
    pub(super) connectors: Vec<ConnectorRow>,
    pub(super) webhooks: Option<String>,
}

pub(super) struct FailureRow {
    pub(super) id: i64,
    pub(super) flow: String,
    pub(super) record: String,
    pub(super) stage: &'static str,
    pub(super) reason: String,
    pub(super) attempts: i64,
    pub(super) at: String,
    pub(super) since: String,
    /// What was to be sent, the last call and its answer; empty: there was none.
    pub(super) body: String,
    pub(super) request: String,
    pub(super) answer: String,
}

pub(super) struct DeliveryRow {
    pub(super) at: String,
    pub(super) flow: String,
    pub(super) what: String,
    pub(super) keys: String,
}

const REASON_CHARS: usize = 600;
const EXCHANGE_CHARS: usize = 20_000;
/// Keys of a file that are shown.
const KEYS_SHOWN: usize = 12;

impl Overview {
    pub(super) fn of(standing: &Standing<'_>, desk: &Desk) -> Overview {
        let zone = &desk.config.timezone;
        let alert = |alert: &crate::store::Alert| AlertRow {
            name: alert.name.clone(),
            since: local(alert.since, zone),
            lines: alert.told.lines().map(|told| line(told, REASON_CHARS)).collect(),
        };
        let connector = |condition: &crate::work::Condition| ConnectorRow {
            name: condition.name.clone(),
            circuit: condition.circuit(),
            told: condition.told(|stamp| local(stamp, zone)),
            rate: condition.rate_limit.clone().unwrap_or_default(),
        };
        let webhooks = standing.webhooks.as_ref().map(|report| match report.last_at {
            None => "none has come yet".to_owned(),
            Some(at) => format!("the last at {}; in 24 hours {}", local(at, zone), day_told(report)),
        });
        Overview {
            at: local(standing.at, zone),
            alerts: standing.alerts.iter().map(alert).collect(),
            flows: standing
                .flows
                .iter()
                .map(|flow| FlowRow::of(flow, standing.at, desk))
                .collect(),
            connectors: standing.connectors.iter().map(connector).collect(),
            webhooks,
        }
    }
}

impl FlowRow {
    fn of(standing: &FlowStanding<'_>, at: Stamp, desk: &Desk) -> FlowRow {
        let FlowStanding {
            flow, report, queue, ..
        } = standing;
        let stamp = |stamp: Option<Stamp>| stamp.map(|stamp| local(stamp, &desk.config.timezone));
        let state = match (&report.last_error, queue.failed) {
            (Some(_), _) => "failing",
            (None, 1..) => "failures",
            (None, 0) => "well",
        };
        let (count, kind) = match standing.by_record {
            true => (report.records, "record"),
            false => (report.files, "file"),
        };
        let plural = if count == 1 { "" } else { "s" };
        let delivered = format!("{} {kind}{plural}", grouped(count));
        let notes = [
            (report.flagged, "flagged"),
            (report.unsent, "with changes that the target cannot be told of"),
            (report.deleted, "no longer at the source"),
        ];
        let notes = notes.iter().filter(|(n, _)| *n > 0);
        FlowRow {
            name: flow.name.clone(),
            from: flow.from.to_string(),
            to: flow.to.to_string(),
            state,
            success: stamp(report.last_success_at).unwrap_or_else(|| "never".to_owned()),
            ago: standing
                .lag(at)
                .map(|seconds| format!("{} ago", span(seconds.max(0))))
                .unwrap_or_default(),
            next: stamp(standing.next_run).unwrap_or_else(|| "when asked".to_owned()),
            to_read: grouped(queue.to_read),
            queued: grouped(queue.queued),
            waiting: grouped(queue.waiting),
            failed: queue.failed,
            delivered,
            error: report.last_error.as_deref().map(|error| line(error, REASON_CHARS)),
            notes: notes.map(|(n, what)| format!("{} {what}", grouped(*n))).collect(),
        }
    }
}

impl FailureRow {
    pub(super) fn of(failure: &Failure, desk: &Desk) -> FailureRow {
        let text = |text: &Option<String>| -> String {
            let text = text.as_deref().unwrap_or_default();
            text.chars().take(EXCHANGE_CHARS).collect()
        };
        FailureRow {
            id: failure.id,
            flow: flow_of(&desk.config, failure),
            record: failure.key.clone(),
            stage: match failure.stage {
                crate::store::Place::Read => "reading",
                crate::store::Place::Deliver => "delivering",
            },
            reason: line(&failure.reason, REASON_CHARS),
            attempts: failure.attempts,
            at: local(failure.at, &desk.config.timezone),
            since: local(failure.since, &desk.config.timezone),
            body: text(&failure.body),
            request: text(&failure.request),
            answer: text(&failure.answer),
        }
    }
}

impl DeliveryRow {
    pub(super) fn of(delivered: &Delivered, desk: &Desk) -> DeliveryRow {
        let mut keys: Vec<&str> = delivered
            .keys
            .iter()
            .take(KEYS_SHOWN)
            .map(|key| key.0.as_str())
            .collect();
        let more = delivered.keys.len().saturating_sub(KEYS_SHOWN);
        let more = format!("and {} more", grouped(more as u64));
        if delivered.keys.len() > KEYS_SHOWN {
            keys.push(&more);
        }
        DeliveryRow {
            at: local(delivered.at, &desk.config.timezone),
            flow: delivered.flow.clone(),
            what: delivered.what.clone(),
            keys: keys.join(", "),
        }
    }
}
