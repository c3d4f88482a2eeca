//! Keeps a store from selling a piece twice: what it sold is told beside each figure of the ERP, and a figure waits
//! until the orders are known up to it. Must never let a level go out on orders that are older than its figure.

use std::collections::BTreeMap;

use contract::{Key, Stamp, Target, Value};

use super::{Engine, Flow};
use crate::decide::Known;
use crate::store::{Confirmed, Keep, Sale, Scan, Sighting, Unbooked, Version, matched, sku_of};

impl Flow {
    /// Whether its records are levels that orders are taken off.
    pub(super) fn guards_levels(&self) -> bool {
        let takes_levels = matches!(&self.to, Target::Records(to) if to.abilities().levels);
        takes_levels && self.guard.is_some()
    }
}

impl Engine {
    /// An order is counted whatever the flow makes of it; one that was cancelled takes nothing.
    pub(super) fn take_sale(&mut self, flow: &Flow, known: &Known<'_>, value: &Value, keep: &mut Keep) {
        if flow.counted_by.is_empty() {
            return;
        }
        let (lines, unknown) = lines_of(value);
        if unknown > 0 {
            self.ledger(&flow.name).unmatched += unknown;
        }
        keep.sales.push(Sale {
            flow: flow.name.clone(),
            key: known.key.clone(),
            lines,
            known: known.link.is_some_and(|row| row.link.want_hash.is_some()),
            counted_by: flow.counted_by.iter().map(|by| by.flow.clone()).collect(),
        });
    }

    /// The source shows this figure, new or as it is known.
    pub(super) fn take_figure(
        &self,
        flow: &Flow,
        key: &Key,
        stamp: Option<Stamp>,
        record: Option<&str>,
        keep: &mut Keep,
    ) {
        let Some(guard) = flow.guard.as_ref().filter(|_| flow.guards_levels()) else {
            return;
        };
        let as_of = match stamp {
            Some(stamp) if guard.by_stamp => stamp.min(self.asked_at),
            _ => self.asked_at,
        };
        keep.figures.push(Sighting {
            flow: flow.name.clone(),
            key: key.clone(),
            sku: record
                .and_then(crate::store::only_row)
                .filter(is_level)
                .as_ref()
                .and_then(sku_of),
            as_of,
            guard: guard.clone(),
        });
    }

    /// A reading of changes came to its end: what was sold before it began is known, or waits in the inbox.
    pub(super) fn take_scan(&self, feed: &str, flows: &[Flow], keep: &mut Keep) {
        if flows.iter().any(|flow| !flow.counted_by.is_empty()) {
            keep.scanned = Some(Scan {
                feed: feed.to_owned(),
                at: self.asked_at,
            });
        }
    }

    /// Their changes were read to the end. Figures with times of their own say themselves what they contain.
    pub(super) fn take_confirmed(&self, flows: &[Flow], keep: &mut Keep) {
        for flow in flows.iter().filter(|flow| flow.guards_levels()) {
            if let Some(guard) = flow.guard.as_ref().filter(|guard| !guard.by_stamp) {
                keep.confirmed.push(Confirmed {
                    flow: flow.name.clone(),
                    as_of: self.asked_at,
                    guard: guard.clone(),
                });
            }
        }
    }

    /// What `Keep` has to know of flows whose orders are counted.
    pub(super) fn counted_by(&self) -> BTreeMap<String, Vec<String>> {
        let flows = self.flows.iter().chain(&self.neighbours);
        let counted = flows.filter(|flow| !flow.counted_by.is_empty());
        let by = |flow: &Flow| flow.counted_by.iter().map(|by| by.flow.clone()).collect();
        counted.map(|flow| (flow.name.clone(), by(flow))).collect()
    }

    /// Wakes those who deliver levels, and those who have to look for orders first.
    pub(super) fn ring_guards(&self, keep: &Keep) {
        let flows = || self.flows.iter().chain(&self.neighbours);
        let is_news =
            !(keep.sales.is_empty() && keep.read.is_empty() && keep.unread.is_empty() && keep.scanned.is_none());
        if is_news {
            for by in flows().flat_map(|flow| &flow.counted_by) {
                self.lanes.of(&by.target).bell.notify_one();
            }
        }
        if !keep.figures.is_empty() {
            for guard in flows().filter_map(|flow| flow.guard.as_ref()) {
                guard.feeds.iter().for_each(|feed| self.lanes.of(feed).want_sales());
            }
        }
    }

    /// Looks for the orders that levels of this run wait for. `false`: none wait for any that this run can read.
    pub(super) async fn look_for_sales(&mut self) -> anyhow::Result<bool> {
        if self.dry {
            return Ok(false);
        }
        let mut feeds = Vec::new();
        for flow in self.flows.iter().filter(|flow| flow.guards_levels()) {
            let Some(guard) = &flow.guard else { continue };
            if self.store.waits_for_sales(&flow.name, guard).await? {
                feeds.extend(guard.feeds.iter().cloned());
            }
        }
        feeds.sort();
        feeds.dedup();
        let mut looked = false;
        for feed in feeds {
            if self.of_feed(&feed).is_empty() || self.is_feed_stopped(&feed) {
                continue;
            }
            if let Err(error) = self.pass(&feed).await {
                self.trouble(&feed, error).await?;
                continue;
            }
            if let Err(error) = self.read_due(&feed).await {
                self.trouble(&feed, error).await?;
            }
            self.leave();
            looked = true;
        }
        Ok(looked)
    }
}

/// A movement is made once; only a level can be set again.
fn is_level(record: &Value) -> bool {
    record.get("quantity").is_some() && record.get("delta").is_none_or(Value::is_null)
}

/// The pieces of each SKU, and how many lines have none that could be matched. What is cancelled takes nothing.
fn lines_of(order: &Value) -> (BTreeMap<String, i64>, u64) {
    let mut pieces: BTreeMap<String, i64> = BTreeMap::new();
    let mut unknown = 0;
    let status = order.get("status").and_then(Value::as_text).unwrap_or_default();
    if matches!(status.trim().to_lowercase().as_str(), "cancelled" | "canceled") {
        return (pieces, 0);
    }
    let Some(Value::List(lines)) = order.get("lines") else {
        return (pieces, 0);
    };
    for line in lines {
        let sku = line.get("sku").and_then(Value::as_text).and_then(matched);
        let quantity = match line.get("quantity") {
            Some(Value::Number(number)) => number.decimal().and_then(|number| i64::try_from(number.ceil()).ok()),
            _ => None,
        };
        match (sku, quantity) {
            (Some(sku), Some(quantity)) => *pieces.entry(sku.to_owned()).or_default() += quantity.max(0),
            _ => unknown += 1,
        }
    }
    (pieces, unknown)
}

/// How a level comes about, for people; `None`: nothing is taken off it.
pub(super) fn told(version: &Version) -> Option<String> {
    (!version.sold_in.is_empty()).then(|| told_level(&version.record, &version.sold_in))
}

/// `A1: on hand 25 - sold and not booked 3 (order 1001: 3) = 22`
pub fn told_level(record: &Value, sold_in: &[Unbooked]) -> String {
    let sold: i64 = sold_in.iter().map(|order| order.pieces).sum();
    let level = record.get("quantity").map(Value::to_json).unwrap_or_default();
    let level = level.trim_matches('"');
    let orders: Vec<String> = sold_in
        .iter()
        .map(|order| format!("order {}: {}", order.order, order.pieces))
        .collect();
    let pushed = level
        .parse::<rust_decimal::Decimal>()
        .map(|level| (level.floor() - rust_decimal::Decimal::from(sold)).max(rust_decimal::Decimal::ZERO))
        .map_or_else(|_| "?".to_owned(), |left| left.normalize().to_string());
    let sku = sku_of(record).unwrap_or_default();
    match orders.is_empty() {
        true => format!("{sku}: on hand {level}, nothing sold and not booked = {pushed}"),
        false => format!(
            "{sku}: on hand {level} - sold and not booked {sold} ({}) = {pushed}",
            orders.join(", ")
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn st_01_lines_count_by_their_sku_and_a_cancelled_order_takes_nothing() {
        let order = |status: &str| {
            let json = format!(
                r#"{{"status":"{status}","lines":[{{"sku":" a ","quantity":2}},{{"sku":"a","quantity":1.5}},
                {{"sku":"  ","quantity":3}},{{"sku":"b"}},{{"sku":"c","quantity":-1}}]}}"#
            );
            lines_of(&Value::parse(&json).unwrap())
        };
        let counted = BTreeMap::from([("a".to_owned(), 4), ("c".to_owned(), 0)]);
        assert_eq!(order("pending"), (counted, 2));
        assert_eq!(order("Cancelled"), (BTreeMap::new(), 0));
    }
}
