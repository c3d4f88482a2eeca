//! The platform's envelope: `{"data": …, "pagination": {…}, "status": 200}`, read tolerantly, row by row,
//! so that one bad row spoils no other.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Hash, Key, ParseError, Raw, Row, Value};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::read;
use super::resource::Shape;

#[derive(Debug, Default)]
pub(super) struct List {
    pub(super) rows: Vec<Row>,
    /// What the store says there is in all. Never ends a loop.
    pub(super) total: Option<u64>,
    /// The page size that the store says it used.
    pub(super) limit: Option<u64>,
}

impl List {
    /// A page that comes again shows the same records, though rows with equal stamps may have changed places.
    pub(super) fn keys(&self) -> BTreeSet<Key> {
        self.rows.iter().map(|row| row.key.clone()).collect()
    }
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    pagination: Option<&'a RawValue>,
    #[serde(borrow)]
    total: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

pub(super) fn parse(text: &str, shape: &Shape) -> Result<List, ParseError> {
    let envelope = open(text)?;
    let data = envelope
        .data
        .ok_or_else(|| ParseError("there is no `data` in it".to_owned()))?;
    let pagination = envelope
        .pagination
        .and_then(|raw| Value::parse(raw.get()).ok())
        .unwrap_or_default();
    let total = envelope
        .total
        .and_then(|raw| Value::parse(raw.get()).ok())
        .unwrap_or_default();
    let number = |name| pagination.get(name).and_then(read::count);
    Ok(List {
        rows: items(data)?.into_iter().map(|raw| row(raw.get(), shape)).collect(),
        total: number("total").or_else(|| read::count(&total)),
        limit: number("limit"),
    })
}

/// The `data` of a single answer, as text.
pub(super) fn data(text: &str) -> Result<&str, ParseError> {
    match open(text)?.data {
        Some(data) if data.get().starts_with('{') => Ok(data.get()),
        _ => Err(ParseError("its `data` is not an object".to_owned())),
    }
}

fn open(text: &str) -> Result<Envelope<'_>, ParseError> {
    // A list would be taken for the envelope's fields in their order.
    if !text.trim_ascii_start().starts_with('{') {
        return Err(ParseError("it is not an object".to_owned()));
    }
    let envelope: Envelope<'_> = serde_json::from_str(text).map_err(|error| ParseError(error.to_string()))?;
    match envelope.status.map(RawValue::get) {
        // A status in the body that contradicts a 200 in the head: the body knows better.
        Some(status) if status.parse::<u16>().is_ok_and(|status| status >= 400) => {
            Err(ParseError(format!("it says status {status} itself")))
        }
        _ => Ok(envelope),
    }
}

/// `data`, or the first list in it: some answers say `{"data": {"orders": […]}}`.
fn items(data: &RawValue) -> Result<Vec<&RawValue>, ParseError> {
    let wrong = |error: serde_json::Error| ParseError(error.to_string());
    if data.get().starts_with('[') {
        return serde_json::from_str(data.get()).map_err(wrong);
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(data.get()).map_err(wrong)?;
    match members.into_values().find(|member| member.get().starts_with('[')) {
        Some(list) => serde_json::from_str(list.get()).map_err(wrong),
        None => Err(ParseError("its `data` holds no list".to_owned())),
    }
}

/// A record that stands alone, which some answers wrap in their resource's name: `{"inventory": {…}, "skus": […]}`.
pub(super) fn single(raw: &str, shape: &Shape) -> Row {
    named(raw, shape, &[shape.wrapper, shape.path])
}

/// One record's text with its key, stamp and fingerprint taken out.
pub(super) fn row(raw: &str, shape: &Shape) -> Row {
    named(raw, shape, &[shape.wrapper])
}

fn named(raw: &str, shape: &Shape, wrappers: &[&str]) -> Row {
    let hash = Hash::of(raw.as_bytes());
    let own = shape.ids.first().copied().unwrap_or_default();
    let unreadable = |why: String| Row {
        key: read::rescue_key(raw, own).unwrap_or_else(|| Key(format!("?{}", hash.hex()))),
        stamp: None,
        hash,
        control: None,
        body: Raw::Unreadable(why),
    };
    let value = match Value::parse(raw) {
        Ok(value) => value,
        Err(error) => return unreadable(error.0),
    };
    let mut inners = wrappers.iter().filter_map(|name| value.get(name));
    let inner = inners.find(|inner| matches!(inner, Value::Map(_))).unwrap_or(&value);
    let key = match read::first(inner, shape.ids).map(read::id) {
        Some(Ok(id)) => Key(id),
        Some(Err(error)) => return unreadable(format!("{own}: {error}")),
        None => return unreadable(format!("it has no {own}")),
    };
    Row {
        key,
        stamp: read::first(inner, &["updated_at"]).and_then(read::stamp),
        hash,
        control: read::first(inner, shape.control).and_then(|total| read::money(total).ok()?.decimal()),
        body: Raw::Value(value),
    }
}

#[cfg(test)]
mod tests {
    use super::super::inventory;
    use super::*;

    #[test]
    fn a_record_that_stands_alone_may_be_wrapped_in_its_resources_name() {
        for raw in [
            r#"{"product_id":7}"#,
            r#"{"product":{"product_id":7}}"#,
            r#"{"inventory":{"product_id":7},"skus":[]}"#,
        ] {
            assert_eq!(single(raw, &inventory::SHAPE).key, Key("7".to_owned()), "{raw}");
        }
    }
}
