//! Tolerant readings of the platform's fields: aliases, numbers as text, 0/1 as booleans. What is
//! ambiguous is refused, never guessed.

use contract::{Key, Malformed, Number, ParseError, Stamp, Value};
use jiff::Timestamp;
use jiff::civil::DateTime;

/// The first of the names that is there and not null.
pub(super) fn first<'v>(value: &'v Value, names: &[&str]) -> Option<&'v Value> {
    names
        .iter()
        .filter_map(|name| value.get(name))
        .find(|value| !value.is_null())
}

/// Some answers wrap the record: `{"order": {…}, "items": […]}`.
pub(super) fn inner<'v>(value: &'v Value, wrapper: &str) -> &'v Value {
    match value.get(wrapper) {
        Some(record @ Value::Map(_)) => record,
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
pub(super) fn rescue_key(raw: &str, name: &str) -> Option<Key> {
    let name = format!("\"{name}\"");
    let at = raw.find(&name)? + name.len();
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

/// Joined from the variant, so it may be blank; blank is none. Leading zeros stay.
pub(super) fn sku(value: Option<&Value>) -> Result<Value, Malformed> {
    let sku = value.map_or(Ok(Value::Null), |value| text_of(value, "sku"))?;
    Ok(match sku.as_text().map(str::trim) {
        Some("") => Value::Null,
        Some(trimmed) => Value::from(trimmed),
        None => sku,
    })
}

pub(super) fn text_of(value: &Value, name: &str) -> Result<Value, Malformed> {
    match value {
        Value::Null => Ok(Value::Null),
        Value::Text(text) => Ok(Value::Text(text.clone())),
        Value::Number(number) => Ok(Value::from(number.as_str())),
        Value::Bool(_) | Value::List(_) | Value::Map(_) => {
            Err(Malformed(format!("{name}: expected a text, found {}", value.kind())))
        }
    }
}

pub(super) fn named(name: &str, error: ParseError) -> Malformed {
    Malformed(format!("{name}: {error}"))
}

/// 0 and 1, and all the ways that they are written.
pub(super) fn yes_or_no(value: Option<&Value>, name: &str) -> Result<Value, Malformed> {
    let word = match value {
        None => return Ok(Value::Null),
        Some(Value::Bool(yes)) => return Ok(Value::Bool(*yes)),
        Some(Value::Number(number)) => number.as_str(),
        Some(Value::Text(text)) => text.trim(),
        Some(_) => "",
    };
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(Value::Bool(true)),
        "0" | "false" => Ok(Value::Bool(false)),
        _ => {
            let found = value.map(Value::to_json).unwrap_or_default();
            Err(Malformed(format!("{name}: expected 0 or 1, found {}", clip(&found))))
        }
    }
}

/// A whole number, however it is written: `12`, `"12"` and `12.0` are the same.
pub(super) fn whole(value: Option<&Value>, name: &str) -> Result<Value, Malformed> {
    let Some(value) = value else { return Ok(Value::Null) };
    let number = money(value).map_err(|error| named(name, error))?;
    match number.as_str().split_once('.') {
        None => Ok(Value::Number(number)),
        Some((whole, part)) if part.bytes().all(|digit| digit == b'0') => {
            let whole = Number::parse(whole).map_err(|error| named(name, error))?;
            Ok(Value::Number(whole))
        }
        Some(_) => Err(Malformed(format!("{name}: expected a whole number, found {number}"))),
    }
}

/// A time in UTC. One that cannot be read is told and is null.
pub(super) fn time(value: Option<&Value>, name: &str, flags: &mut Vec<String>) -> Value {
    let Some(value) = value else { return Value::Null };
    match value.as_text().and_then(utc_text) {
        Some(text) => Value::Text(text),
        None => {
            flags.push(format!("{name} is no time: {}", clip(&value.to_json())));
            Value::Null
        }
    }
}
