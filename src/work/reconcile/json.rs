//! What `reconcile` tells scripts: one object, with amounts as they were written.

use std::collections::BTreeMap;

use contract::Key;
use serde::Serialize;
use serde_json::value::RawValue;

use super::{looks, word};
use crate::engine::{Account, Finding, Ids};

/// As docs/reconcile.md has it.
#[derive(Serialize)]
pub(super) struct Report<'a> {
    flows: Vec<FlowReport<'a>>,
    /// The exit code.
    code: u8,
}

#[derive(Serialize)]
struct FlowReport<'a> {
    flow: &'a str,
    from: &'a str,
    to: &'a str,
    by: Vec<&'static str>,
    cannot: Option<&'a str>,
    error: Option<&'a str>,
    held: u64,
    checked: u64,
    equal: u64,
    missing: u64,
    different: u64,
    extra: Option<u64>,
    unlisted: u64,
    skipped: BTreeMap<&'static str, u64>,
    ids: Option<IdsReport>,
    first: First<'a>,
    repair: Option<RepairReport>,
}

#[derive(Serialize)]
struct IdsReport {
    ours: Sum,
    theirs: Sum,
}

#[derive(Serialize)]
struct Sum {
    count: u64,
    hash: String,
}

#[derive(Serialize)]
struct First<'a> {
    missing: Vec<Found<'a>>,
    different: Vec<Found<'a>>,
    extra: Vec<&'a str>,
    skipped: Vec<Passed<'a>>,
}

#[derive(Serialize)]
struct Found<'a> {
    record: &'a str,
    id: Option<&'a str>,
    /// The id that it has there instead.
    found: Option<&'a str>,
    fields: Vec<Field<'a>>,
}

/// The values as they were written, to the digit.
#[derive(Serialize)]
struct Field<'a> {
    field: &'a str,
    ours: Box<RawValue>,
    theirs: Box<RawValue>,
}

#[derive(Serialize)]
struct Passed<'a> {
    record: &'a str,
    skipped: &'static str,
    why: &'a str,
}

#[derive(Serialize)]
struct RepairReport {
    wanted: u64,
    at_most: u64,
    refused: bool,
    repaired: u64,
    left: u64,
}

impl<'a> Report<'a> {
    pub(super) fn of(accounts: &'a [Account], code: u8) -> Report<'a> {
        Report {
            flows: accounts.iter().map(flow_report).collect(),
            code,
        }
    }
}

fn flow_report(account: &Account) -> FlowReport<'_> {
    let sum = |ids: &Ids| Sum {
        count: ids.count,
        hash: format!("{:016x}", ids.hash),
    };
    FlowReport {
        flow: &account.flow,
        from: &account.feed,
        to: &account.target,
        by: looks(account),
        cannot: account.cannot.as_deref(),
        error: account.error.as_deref(),
        held: account.held,
        checked: account.checked(),
        equal: account.equal,
        missing: account.missing,
        different: account.different,
        extra: account.extra,
        unlisted: account.unlisted,
        skipped: account
            .skipped
            .iter()
            .map(|(skip, count)| (word(*skip), *count))
            .collect(),
        ids: account.ids.as_ref().map(|(ours, theirs)| IdsReport {
            ours: sum(ours),
            theirs: sum(theirs),
        }),
        first: First {
            missing: account.first_missing.iter().map(found).collect(),
            different: account.first_different.iter().map(found).collect(),
            extra: account.first_extra.iter().map(text).collect(),
            skipped: account
                .first_skipped
                .iter()
                .map(|skipped| Passed {
                    record: &skipped.key.0,
                    skipped: word(skipped.skip),
                    why: &skipped.why,
                })
                .collect(),
        },
        repair: account.repair.map(|repair| RepairReport {
            wanted: repair.wanted,
            at_most: repair.at_most,
            refused: repair.refused,
            repaired: repair.repaired,
            left: repair.left,
        }),
    }
}

fn text(key: &Key) -> &str {
    &key.0
}

fn found(finding: &Finding) -> Found<'_> {
    Found {
        record: &finding.key.0,
        id: finding.id.as_ref().map(text),
        found: finding.found.as_ref().map(text),
        fields: finding
            .fields
            .iter()
            .filter_map(|difference| {
                Some(Field {
                    field: &difference.field,
                    ours: RawValue::from_string(difference.ours.to_json()).ok()?,
                    theirs: RawValue::from_string(difference.theirs.to_json()).ok()?,
                })
            })
            .collect(),
    }
}
