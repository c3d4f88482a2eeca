//! Tolerant readings of the platform's fields: aliases, numbers as text, 0/1 as booleans. What is
//! ambiguous is refused, never guessed.

use contract::{Key, Number, ParseError, Raw, Row, Stamp, Value};
use jiff::Timestamp;
use jiff::civil::DateTime;

/// The first of the names that is there and not null.
pub(super) fn first<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names
        .iter()
        .filter_map(|name| value.get(name))
        .find(|value| !value.is_null())
}

/// Some answers wrap the order: `{"order": {…}, "items": […]}`.
pub(super) fn inner(value: &Value) -> &Value {
    match value.get("order") {
        Some(order @ Value::Map(_)) => order,
        _ => value,
    }
}

/// A whole number or digit text of any length, without leading zeros.
pub(super) fn id(value: &Value) -> Result<String, ParseError> {
    let text = match value {
        Value::Number(number) if number.is_integer() => number.as_str(),
        Value::Text(text) => text.trim(),
        other => return Err(ParseError(format!("expected a whole number, found {}", other.kind()))),
    };
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || digits.len() > 40 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(ParseError(format!("expected a whole number, found `{}`", clip(text))));
    }
    let sign = if text.starts_with('-') { "-" } else { "" };
    match digits.trim_start_matches('0') {
        "" => Ok("0".to_owned()),
        digits => Ok(format!("{sign}{digits}")),
    }
}

/// The same as a value: a number, so that mappings see what the platform documents.
pub(super) fn id_value(value: Option<&Value>, name: &str) -> Result<Value, ParseError> {
    match value {
        None => Ok(Value::Null),
        Some(value) => match id(value).and_then(|id| Number::parse(&id)) {
            Ok(id) => Ok(Value::Number(id)),
            Err(error) => Err(ParseError(format!("{name}: {error}"))),
        },
    }
}

/// A number, or its plain text.
pub(super) fn money(value: &Value) -> Result<Number, ParseError> {
    match value {
        Value::Number(number) => Ok(number.clone()),
        Value::Text(text) => Number::parse(text.trim()),
        other => Err(ParseError(format!("expected a decimal number, found {}", other.kind()))),
    }
}

pub(super) fn count(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_str().parse().ok(),
        Value::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// Milliseconds UTC; `None` for what is no time. A time without a zone is UTC, as all of the platform's are.
pub(super) fn stamp(value: &Value) -> Option<Stamp> {
    timestamp(value.as_text()?).map(Timestamp::as_millisecond)
}

pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time);
    }
    let local: DateTime = text.parse().ok()?;
    local
        .to_zoned(jiff::tz::TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// When the order came in.
pub(super) fn created(row: &Row) -> Option<Stamp> {
    let Raw::Value(value) = &row.body else { return None };
    first(inner(value), &["created_at"]).and_then(stamp)
}

/// RFC 3339 in UTC. Text that is so already stays as it is.
pub(super) fn utc_text(text: &str) -> Option<String> {
    let time = timestamp(text)?;
    if text.ends_with('Z') && text.as_bytes().get(10) == Some(&b'T') {
        return Some(text.to_owned());
    }
    Some(show(time.as_millisecond()))
}

/// A stamp as the platform writes it: `2025-06-15T10:30:00.000Z`.
pub(super) fn show(stamp: Stamp) -> String {
    match Timestamp::from_millisecond(stamp) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => "1970-01-01T00:00:00.000Z".to_owned(),
    }
}

/// The id in a row that cannot be read as a whole, so that the failure has a name.
pub(super) fn rescue_key(raw: &str) -> Option<Key> {
    let at = raw.find("\"order_id\"")? + "\"order_id\"".len();
    let rest = raw[at..]
        .trim_start()
        .strip_prefix(':')?
        .trim_start()
        .trim_start_matches('"');
    let digits: String = rest.chars().take_while(char::is_ascii_digit).take(40).collect();
    let digits = digits.trim_start_matches('0');
    if digits.is_empty() {
        None
    } else {
        Some(Key(digits.to_owned()))
    }
}

pub(super) fn clip(text: &str) -> String {
    text.chars().take(40).collect()
}
