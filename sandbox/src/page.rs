//! Reads the query of `GET /orders` and finds the rows of its page; it never changes the shop.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fastrand::Rng;

use crate::index::{Slice, page_ids};
use crate::order::Order;
use crate::shop::{Change, Column, Shop, Truth};

/// What a list request asks for, after defaults and clamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) page: usize,
    pub(crate) limit: usize,
    pub(crate) descending: bool,
    pub(crate) filter: Filter,
}

/// Everything that decides which rows there are and how they are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) column: Column,
    pub(crate) status: Option<String>,
    pub(crate) customer_id: Option<i64>,
    pub(crate) since_ms: Option<i64>,
    pub(crate) until_ms: Option<i64>,
}

/// The rows of one page, how many there are in all, and the last page's number.
pub(crate) struct Found {
    pub(crate) rows: Vec<Arc<Order>>,
    pub(crate) total: usize,
    pub(crate) last_page: usize,
}

/// A selection kept for the next page of the same query; valid while the shop's generation stands.
#[derive(Default)]
pub(crate) struct Selected {
    kept: Option<Kept>,
}

struct Kept {
    generation: u64,
    filter: Filter,
    rows: Vec<(i64, i64)>,
}

/// Orders shown in another version than the current one; `None` = not shown at all.
pub(crate) type Overlay = HashMap<i64, Option<Arc<Order>>>;

impl Query {
    /// `pairs` are the decoded query parameters. `strict` turns silent corrections into a complaint.
    pub(crate) fn read(pairs: &[(String, String)], limit_max: usize, strict: bool) -> Result<Query, String> {
        let value = |name: &str| pairs.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str());
        let wrong = |name: &str| format!("Invalid value for {name}");
        let count = |name: &str, default: usize| match value(name).map(|text| text.trim().parse::<i64>()) {
            None => Ok(default),
            Some(Ok(number)) if number >= 1 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            Some(_) if strict => Err(wrong(name)),
            Some(Ok(_)) => Ok(1),
            Some(Err(_)) => Ok(default),
        };
        let page = count("page", 1)?;
        let asked = count("limit", 50)?;
        if strict && asked > limit_max {
            return Err(wrong("limit"));
        }
        let (column, descending) = match value("sort").map(read_sort) {
            Some(None) if strict => return Err(wrong("sort")),
            Some(Some(sort)) => sort,
            _ => (Column::Created, true),
        };
        let time = |name: &str| match value(name).map(read_stamp) {
            Some(None) if strict => Err(wrong(name)),
            other => Ok(other.flatten()),
        };
        let filter = Filter {
            column,
            status: value("status").map(str::to_owned),
            customer_id: value("customer_id").and_then(|text| text.parse().ok()),
            since_ms: time("since")?,
            until_ms: time("until")?,
        };
        Ok(Query {
            page,
            limit: asked.clamp(1, limit_max.max(1)),
            descending,
            filter,
        })
    }
}

/// `column`, `column:asc` or `column:desc`; without direction descending.
fn read_sort(text: &str) -> Option<(Column, bool)> {
    let (name, direction) = text.split_once(':').unwrap_or((text, "desc"));
    let column = match name {
        "created_at" => Column::Created,
        "updated_at" => Column::Updated,
        "grand_total" => Column::GrandTotal,
        _ => return None,
    };
    match direction.to_ascii_lowercase().as_str() {
        "asc" => Some((column, false)),
        "desc" => Some((column, true)),
        _ => None,
    }
}

/// A time with zone, or a date alone, read as midnight UTC.
pub(crate) fn read_stamp(text: &str) -> Option<i64> {
    // A `+` that was not escaped in a query arrives as a space.
    let text = text.trim().replace(' ', "+");
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

impl Filter {
    fn accepts(&self, order: &Order) -> bool {
        self.since_ms.is_none_or(|since| order.created_ms >= since)
            && self.until_ms.is_none_or(|until| order.created_ms <= until)
            && self.status.as_ref().is_none_or(|status| *status == order.status)
            && self.customer_id.is_none_or(|customer| order.user_id == Some(customer))
    }

    /// True if the index of the sort column already holds exactly the wanted rows as one run.
    fn is_a_run(&self) -> bool {
        let by_time = self.since_ms.is_some() || self.until_ms.is_some();
        self.status.is_none() && self.customer_id.is_none() && (!by_time || self.column == Column::Created)
    }

    fn select(&self, orders: impl Iterator<Item = Arc<Order>>) -> Vec<(i64, i64)> {
        let mut rows: Vec<(i64, i64)> = orders
            .filter(|order| self.accepts(order))
            .map(|order| (self.column.key(&order), order.id))
            .collect();
        rows.sort_unstable();
        rows
    }
}

/// Finds a page. `overlay` replaces the present by another version of it; `rng` shuffles ties.
pub(crate) fn find(shop: &Shop, query: &Query, overlay: &Overlay, kept: &mut Selected, rng: Option<&mut Rng>) -> Found {
    let filter = &query.filter;
    if !overlay.is_empty() {
        let now = shop.all().filter(|order| !overlay.contains_key(&order.id)).cloned();
        let then = overlay.values().flatten().cloned();
        let rows = filter.select(now.chain(then));
        return cut(shop, query, overlay, &rows, rng);
    }
    if filter.is_a_run() {
        let low = filter.since_ms.unwrap_or(i64::MIN);
        let high = filter.until_ms.unwrap_or(i64::MAX);
        let by_time = filter.since_ms.is_some() || filter.until_ms.is_some();
        let index = shop.index(filter.column);
        let rows = if by_time {
            index.between(low, high)
        } else {
            index.rows()
        };
        return cut(shop, query, overlay, rows, rng);
    }
    let rows = match kept.kept.take() {
        Some(old) if old.generation == shop.generation && old.filter == *filter => old.rows,
        _ => filter.select(shop.all().cloned()),
    };
    let found = cut(shop, query, overlay, &rows, rng);
    kept.kept = Some(Kept {
        generation: shop.generation,
        filter: filter.clone(),
        rows,
    });
    found
}

fn cut(shop: &Shop, query: &Query, overlay: &Overlay, sorted: &[(i64, i64)], rng: Option<&mut Rng>) -> Found {
    let start = (query.page - 1).saturating_mul(query.limit);
    let slice = Slice {
        start,
        rows: query.limit,
        descending: query.descending,
    };
    let rows = page_ids(sorted, slice, rng)
        .into_iter()
        .filter_map(|id| version(shop, overlay, id))
        .collect();
    Found {
        rows,
        total: sorted.len(),
        last_page: sorted.len().div_ceil(query.limit).max(1),
    }
}

/// The version of an order the overlay shows, or else the current one.
pub(crate) fn version(shop: &Shop, overlay: &Overlay, id: i64) -> Option<Arc<Order>> {
    match overlay.get(&id) {
        Some(shown) => shown.clone(),
        None => shop.get(id).cloned(),
    }
}

/// The world as it was at `at_ms`.
pub(crate) fn as_of(shop: &Shop, at_ms: i64) -> Overlay {
    undo(shop, |truth| truth.at_ms > at_ms)
}

/// The world without versions that are younger than `age_ms` by their own stamp (of one order, or of all).
pub(crate) fn without_young(shop: &Shop, order: Option<i64>, age_ms: i64, now_ms: i64) -> Overlay {
    undo(shop, |truth| {
        truth.kind != Change::Deleted
            && order.is_none_or(|id| id == truth.id)
            && now_ms.saturating_sub(truth.order.updated_ms) < age_ms
    })
}

/// Takes back each order's newest events as long as they are to be hidden.
fn undo(shop: &Shop, hidden: impl Fn(&Truth) -> bool) -> Overlay {
    let mut overlay = Overlay::new();
    let mut settled = HashSet::new();
    for event in shop.later_events().iter().rev() {
        let truth = &event.truth;
        if settled.contains(&truth.id) {
            continue;
        }
        if hidden(truth) {
            overlay.insert(truth.id, event.before.clone());
        } else {
            settled.insert(truth.id);
        }
    }
    overlay
}
