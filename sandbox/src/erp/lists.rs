//! Lists of the ERP: filters, every style of paging at once, and what the ordered faults make of them.

use std::sync::Arc;

use crate::answer::Answer;
use crate::erp::books::Inner;
use crate::erp::fault::{Fault, Rule, failure};
use crate::erp::records::{looked_up_in_vain, shown};
use crate::erp::shelf::Held;
use crate::http::Incoming;
use crate::jsontext::Members;
use crate::plan::Plan;

/// The parameters that choose a page rather than records.
const PAGING: [&str; 4] = ["page", "offset", "cursor", "limit"];
/// Belongs to the credentials.
const OTHERS: [&str; 1] = ["api_key"];

/// Which rows of the filtered and sorted ones.
struct Page {
    first: usize,
    limit: usize,
    /// As asked, or worked out.
    number: usize,
}

/// `GET /sales-orders`
pub(crate) fn list(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, incoming: &Incoming) -> Answer {
    let rows = match rows(inner, plan, resource, incoming) {
        Ok(rows) => rows,
        Err(complaint) => return Answer::json(400, failure("bad_request", &complaint)),
    };
    if rows.is_empty()
        && let Some(reference) = incoming.query_value("reference")
    {
        looked_up_in_vain(inner, resource, reference);
    }
    let sorted_by_time = incoming.query_value("updated_since").is_some();
    let page = match page(inner, incoming, &rows, sorted_by_time) {
        Ok(page) => page,
        Err(complaint) => return Answer::json(400, failure("bad_request", &complaint)),
    };
    let end = page.first.saturating_add(page.limit).min(rows.len());
    let shown_rows = rows.get(page.first.min(end)..end).unwrap_or(&[]);
    let looping = plan.take(|fault| matches!(fault, Fault::NextLoops).then_some(()));
    let next = match (looping, shown_rows.last()) {
        (Some(()), _) => incoming
            .query_value("cursor")
            .map(str::to_owned)
            .or(Some(START.to_owned())),
        (None, Some(last)) if end < rows.len() => Some(cursor(last, sorted_by_time)),
        (None, _) => None,
    };
    let next = next.map(|cursor| (link(inner, plan, incoming, &cursor, page.limit), cursor));
    let renamed = plan.take(|fault| match fault {
        Fault::Renamed { member } => Some(member.clone()),
        _ => None,
    });
    let items: Vec<String> = shown_rows.iter().map(|held| shown(inner, held)).collect();
    let mut body = String::with_capacity(200 + items.len() * 300);
    let mut members = Members::open(&mut body);
    members.raw("success", "true");
    members.foreign(renamed.as_deref().unwrap_or("items"), &format!("[{}]", items.join(",")));
    members.raw("total", &rows.len().to_string());
    members.raw("page", &page.number.to_string());
    members.raw("limit", &page.limit.to_string());
    members.text_or_null("next_cursor", next.as_ref().map(|next| next.1.as_str()));
    members.text_or_null("next", next.as_ref().map(|next| next.0.as_str()));
    members.close();
    let mut answer = Answer::json(200, body);
    if let Some((url, _)) = next {
        answer.header("Link", &format!("<{url}>; rel=\"next\""));
    }
    answer
}

/// The rows that pass the filters, in the list's order.
fn rows(inner: &Inner, plan: &mut Plan<Rule>, resource: &str, incoming: &Incoming) -> Result<Vec<Arc<Held>>, String> {
    let ignored = plan.take(|fault| match fault {
        Fault::IgnoreFilter { param } => incoming.query_value(param).map(|_| param.clone()),
        _ => None,
    });
    let young_ms = plan.take(|fault| match fault {
        Fault::HideYoung { ms } => Some(*ms),
        _ => None,
    });
    let Some(shelf) = inner.shelves.get(resource) else {
        return Ok(Vec::new());
    };
    let is_filter = |name: &str| !PAGING.contains(&name) && !OTHERS.contains(&name) && ignored.as_deref() != Some(name);
    let mut since_ms = None;
    let mut equal = Vec::new();
    for (name, value) in incoming.pairs().iter().filter(|pair| is_filter(&pair.0)) {
        if name == "updated_since" {
            since_ms = Some(read_time(value).ok_or_else(|| format!("updated_since: {value} is no time"))?);
        } else {
            equal.push((name.as_str(), value.as_str()));
        }
    }
    let now_ms = inner.time.now_ms();
    let passes = |held: &Arc<Held>| {
        equal.iter().all(|(name, value)| {
            held.document.text(name).as_deref() == Some(*value) || (*name == "id" && held.id == *value)
        }) && since_ms.is_none_or(|since| held.updated_ms >= since)
            && young_ms.is_none_or(|young| now_ms.saturating_sub(held.updated_ms) >= young)
    };
    let reference = equal.iter().find(|pair| pair.0 == "reference").map(|pair| pair.1);
    let mut rows: Vec<Arc<Held>> = match reference {
        // By the index: a list of many is walked for no look-up.
        Some(reference) => shelf
            .by_reference(reference)
            .filter(|held| passes(held))
            .cloned()
            .collect(),
        None => shelf.rows().filter(|held| passes(held)).cloned().collect(),
    };
    if since_ms.is_some() {
        rows.sort_by_key(|held| (held.updated_ms, held.number));
    }
    Ok(rows)
}

/// Before the first row.
const START: &str = "0_0";

/// The place behind a row, opaque to clients.
fn cursor(held: &Held, by_time: bool) -> String {
    let ms = if by_time { held.updated_ms } else { 0 };
    format!("{ms}_{}", held.number)
}

fn page(inner: &Inner, incoming: &Incoming, rows: &[Arc<Held>], by_time: bool) -> Result<Page, String> {
    let count = |name: &str| match incoming.query_value(name) {
        None => Ok(None),
        Some(text) => match text.parse::<usize>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(format!("{name}: {text} is no whole number")),
        },
    };
    let limit = count("limit")?.unwrap_or(50).clamp(1, inner.options.limit_max);
    let first = if let Some(text) = incoming.query_value("cursor") {
        let place = text
            .split_once('_')
            .and_then(|(ms, number)| Some((ms.parse::<i64>().ok()?, number.parse::<u64>().ok()?)));
        let (ms, number) = place.ok_or_else(|| format!("cursor: {text} is none of ours"))?;
        rows.partition_point(|held| {
            let at = if by_time { held.updated_ms } else { 0 };
            (at, held.number) <= (ms, number)
        })
    } else if let Some(offset) = count("offset")? {
        offset
    } else {
        match count("page")?.unwrap_or(1) {
            0 => return Err("page: pages are counted from 1".to_owned()),
            page => (page - 1).saturating_mul(limit),
        }
    };
    Ok(Page {
        first,
        limit,
        number: first / limit + 1,
    })
}

/// The address of the next page.
fn link(inner: &Inner, plan: &mut Plan<Rule>, incoming: &Incoming, cursor: &str, limit: usize) -> String {
    let elsewhere = plan.take(|fault| match fault {
        Fault::NextElsewhere { origin } => Some(origin.clone()),
        _ => None,
    });
    let origin = elsewhere.unwrap_or_else(|| inner.origin.clone());
    let mut url = format!("{origin}{}?limit={limit}&cursor={cursor}", incoming.path);
    let kept = incoming
        .pairs()
        .iter()
        .filter(|pair| !PAGING.contains(&pair.0.as_str()) && !OTHERS.contains(&pair.0.as_str()));
    for (name, value) in kept {
        url.push_str(&format!("&{}={}", escape(name), escape(value)));
    }
    url
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// A time with zone, `YYYY-MM-DD HH:MM:SS` or a date in UTC, or seconds since 1970.
fn read_time(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return seconds.checked_mul(1000);
    }
    let time: jiff::civil::DateTime = text.parse().ok()?;
    Some(
        time.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_millisecond(),
    )
}
