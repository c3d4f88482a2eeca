//! The real program against a pretend ERP with a log of what it really committed: the cases ER-01 to ER-16.

mod answers;
mod batches;
mod conflicts;
mod examples;
mod hooks;
mod kills;
mod losses;
mod reconcile;
mod references;
mod refusals;
mod requires;
mod stock;
mod tail;
mod tokens;
mod tryton;

use serde_json::Value;

use crate::support::{Desk, Outcome};

const FLOW: &str = "orders-to-erp";

/// `failures list --json`
pub(crate) fn failures(desk: &Desk) -> Vec<Value> {
    let told = desk.run(&["failures", "list", "--json"]).ends(0).out;
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

pub(crate) fn once(desk: &Desk) -> Outcome {
    desk.run(&["--once", FLOW])
}
