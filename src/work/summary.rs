//! What a run tells when it is over.

use crate::engine::{Flow, Ledger, Voice};
use crate::store::{Coverage, Queue};

/// What one run did for one flow.
pub(super) fn summary(voice: &dyn Voice, flow: &Flow, ledger: &Ledger, queue: &Queue, requests: u64, dry: bool) {
    voice.out(&format!("{}: {} to {}", flow.name, flow.feed, flow.target));
    if ledger.covered.records > 0 {
        voice.out(&format!("  history  {}", told(&ledger.covered)));
    }
    voice.out(&format!("  changes  {}", told(&ledger.changed)));
    voice.out(&format!("  requests {}", grouped(requests)));
    let verb = if dry { "would send" } else { "sent" };
    let (sent, is_by_record) = (counted(ledger.sent, "record"), flow.goes_by_record());
    voice.out(&match is_by_record {
        true => format!("  {verb:<8} {sent}"),
        false => {
            let (rows, files) = (counted(ledger.rows, "row"), counted(ledger.files, "file"));
            format!("  {verb:<8} {sent} ({rows}) in {files}")
        }
    });
    if ledger.known > 0 {
        let known = counted(ledger.known, "record");
        let place = if is_by_record {
            "at the target"
        } else {
            "in files there"
        };
        let verb = if ledger.known == 1 { "was" } else { "were" };
        voice.out(&format!("  known    {known} {verb} already {place}"));
    }
    if ledger.unsent > 0 {
        voice.out(&format!(
            "  unsent   {} that the target cannot be given (no `update`, or no `cancel`)",
            counted(ledger.unsent, "change")
        ));
    }
    if ledger.flagged > 0 {
        voice.out(&format!(
            "  flagged  {} times something to look at: selorax-sync status",
            grouped(ledger.flagged)
        ));
    }
    if ledger.unproven > 0 {
        voice.out(&format!(
            "  unproven {} parts of the history do not add up to the store's count; run it again, and see selorax-sync status",
            grouped(ledger.unproven)
        ));
    }
    if ledger.gone > 0 {
        voice.out(&format!(
            "  gone     {} records were listed and then not there",
            grouped(ledger.gone)
        ));
    }
    voice.out(&format!(
        "  left     {} to read, {} queued, {} failed{}",
        grouped(queue.to_read),
        grouped(queue.queued),
        grouped(queue.failed),
        if queue.failed > 0 {
            ": selorax-sync failures list"
        } else {
            ""
        }
    ));
    if queue.waiting > 0 {
        voice.out(&format!(
            "  waiting  {} for others that they require",
            counted(queue.waiting, "record")
        ));
    }
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

pub fn grouped(number: u64) -> String {
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
