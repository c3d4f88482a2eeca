//! What people and scripts read on stdout.

use std::io::Write;

use contract::Stamp;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::DONE;
use crate::engine::{Flow, Ledger};
use crate::store::{Coverage, Queue};

/// Writes a line to stdout; a reader that has gone away does not matter to what was done.
pub(super) fn write_line(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap_or_default();
}

pub(super) fn print_json(value: &serde_json::Value) -> anyhow::Result<u8> {
    outln!("{}", serde_json::to_string_pretty(value)?);
    Ok(DONE)
}

/// What one run did for one flow.
pub(super) fn summary(flow: &Flow, ledger: &Ledger, queue: &Queue, requests: u64, dry: bool) {
    outln!("{}: {} to {}", flow.name, flow.feed, flow.target);
    if ledger.covered.records > 0 {
        outln!("  history  {}", told(&ledger.covered));
    }
    outln!("  changes  {}", told(&ledger.changed));
    outln!("  requests {}", grouped(requests));
    let verb = if dry { "would send" } else { "sent" };
    outln!(
        "  {verb:<8} {} ({}) in {}",
        counted(ledger.sent, "record"),
        counted(ledger.rows, "row"),
        counted(ledger.files, "file")
    );
    if ledger.known > 0 {
        outln!(
            "  known    {} records were already in files there",
            grouped(ledger.known)
        );
    }
    if ledger.flagged > 0 {
        outln!(
            "  flagged  {} times something to look at: selorax-sync status",
            grouped(ledger.flagged)
        );
    }
    if ledger.unproven > 0 {
        outln!(
            "  unproven {} parts of the history do not add up to the store's count; run it again, and see selorax-sync status",
            grouped(ledger.unproven)
        );
    }
    if ledger.gone > 0 {
        outln!(
            "  gone     {} records were listed and then not there",
            grouped(ledger.gone)
        );
    }
    outln!(
        "  left     {} to read, {} queued, {} failed{}",
        grouped(queue.to_read),
        grouped(queue.queued),
        grouped(queue.failed),
        if queue.failed > 0 {
            ": selorax-sync failures list"
        } else {
            ""
        }
    );
}

/// Distinct records, the sum of their totals, and a fingerprint of their ids that does not depend on order.
fn told(covered: &Coverage) -> String {
    format!(
        "{} records, total {}, ids {:016x}",
        grouped(covered.records),
        covered.control,
        covered.ids
    )
}

/// `1 file`, `2,000 files`.
fn counted(number: u64, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {what}{plural}", grouped(number))
}

pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut told = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            told.push(',');
        }
        told.push(digit);
    }
    told
}

/// This machine's time, to tell how long ago something was.
pub(super) fn now() -> Stamp {
    Timestamp::now().as_millisecond()
}

/// A stamp for people, in the store's time zone.
pub(super) fn local(stamp: Stamp, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(stamp) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// A stamp for scripts: RFC 3339, UTC.
pub(super) fn utc(stamp: Stamp) -> String {
    Timestamp::from_millisecond(stamp).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

/// Seconds as a person says them.
pub(super) fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// One line, at most so long, without control characters.
pub(super) fn line(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut told: String = clean.take(most).collect();
    if told.chars().count() == most && text.chars().count() > most {
        told.pop();
        told.push('…');
    }
    told
}
