//! JSON in and out of [`Value`], digit for digit. serde_json does the scanning; numbers are taken
//! from its raw text because every other road leads through a float.
//!
//! Limits: 64 levels, 64 digits a number. A name that stands twice in one object is an error.
//! A lone surrogate (`\ud800`) cannot be told in UTF-8 and becomes U+FFFD; NUL stays as it is.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::value::{Fields, Value};

const DEPTH_MAX: usize = 64;
const DIGITS_MAX: usize = 64;

/// A JSON number as it was written, without an exponent and without a sign on zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(Box<str>);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl Number {
    /// Reads plain decimal text: `-?digits[.digits]`, or a JSON exponent form, which is written
    /// out (`1e3` is `1000`). Grouping, blanks, a leading `+` and other scripts' digits are refused,
    /// not guessed at.
    pub fn parse(text: &str) -> Result<Number, ParseError> {
        let refuse = |why: &str| Err(ParseError(format!("{why}: `{}`", clip(text))));
        if text.len() > DIGITS_MAX {
            return refuse("a number of more than 64 characters");
        }
        let (mantissa, exponent) = match text.find(['e', 'E']) {
            Some(at) => (&text[..at], Some(&text[at + 1..])),
            None => (text, None),
        };
        let digits = mantissa.strip_prefix('-').unwrap_or(mantissa);
        let (whole, part) = match digits.split_once('.') {
            Some((whole, part)) => (whole, Some(part)),
            None => (digits, None),
        };
        let all_digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || part.is_some_and(|part| !all_digits(part)) {
            return refuse("not a plain decimal number");
        }
        if whole.len() > 1 && whole.starts_with('0') {
            return refuse("a number with a leading zero");
        }
        let plain = match exponent {
            None => Cow::Borrowed(mantissa),
            Some(exponent) => match exponent.strip_prefix('+').unwrap_or(exponent).parse::<i32>() {
                Ok(exponent) if exponent.abs() <= DIGITS_MAX as i32 => {
                    Cow::Owned(write_out(mantissa, whole, part.unwrap_or(""), exponent))
                }
                _ => return refuse("a number with an exponent out of range"),
            },
        };
        if plain.len() > DIGITS_MAX {
            return refuse("a number of more than 64 characters when written out");
        }
        let zero = plain.bytes().all(|b| matches!(b, b'-' | b'0' | b'.'));
        let plain = if zero { plain.trim_start_matches('-') } else { &plain };
        Ok(Number(plain.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The exact decimal, or `None` where it needs more than 28 digits.
    pub fn decimal(&self) -> Option<Decimal> {
        Decimal::from_str_exact(&self.0).ok()
    }

    pub fn is_integer(&self) -> bool {
        !self.0.contains('.')
    }
}

/// `12.5e2` as `1250`: the digits with the point moved.
fn write_out(mantissa: &str, whole: &str, part: &str, exponent: i32) -> String {
    let sign = if mantissa.starts_with('-') { "-" } else { "" };
    let digits = format!("{whole}{part}");
    let point = whole.len() as i32 + exponent;
    let body = if point <= 0 {
        format!("0.{}{digits}", "0".repeat(point.unsigned_abs() as usize))
    } else if point as usize >= digits.len() {
        format!("{digits}{}", "0".repeat(point as usize - digits.len()))
    } else {
        format!("{}.{}", &digits[..point as usize], &digits[point as usize..])
    };
    let trimmed = body.trim_start_matches('0');
    let body = match trimmed {
        "" => "0".to_owned(),
        rest if rest.starts_with('.') => format!("0{rest}"),
        rest => rest.to_owned(),
    };
    format!("{sign}{body}")
}

impl From<i64> for Number {
    fn from(number: i64) -> Self {
        Number(number.to_string().into())
    }
}

impl From<Decimal> for Number {
    fn from(number: Decimal) -> Self {
        Number(number.to_string().into())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Value {
    /// Reads one JSON text.
    pub fn parse(text: &str) -> Result<Value, ParseError> {
        parse_at(text.trim_ascii(), DEPTH_MAX)
    }

    /// Reads back what was written here: a value that was read before stands deeper in it by a few levels.
    pub fn parse_own(text: &str) -> Result<Value, ParseError> {
        parse_at(text, DEPTH_MAX + 32)
    }

    /// The JSON text, without blanks, numbers with the digits they came with.
    pub fn to_json(&self) -> String {
        let mut out = String::with_capacity(256);
        self.write_json(&mut out);
        out
    }

    pub fn write_json(&self, out: &mut String) {
        match self {
            Value::Null => out.push_str("null"),
            Value::Bool(true) => out.push_str("true"),
            Value::Bool(false) => out.push_str("false"),
            Value::Number(number) => out.push_str(number.as_str()),
            Value::Text(text) => write_text(text, out),
            Value::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write_json(out);
                }
                out.push(']');
            }
            Value::Map(fields) => {
                out.push('{');
                for (n, (name, value)) in fields.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    value.write_json(out);
                }
                out.push('}');
            }
        }
    }
}

fn write_text(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        from = at + 1;
        if escape.is_empty() {
            // Writing into a String cannot fail.
            let _ok = write!(out, "\\u{byte:04x}");
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// `levels`: how much deeper it may go.
fn parse_at(text: &str, levels: usize) -> Result<Value, ParseError> {
    let Some(below) = levels.checked_sub(1) else {
        return Err(ParseError(format!("nested more than {DEPTH_MAX} levels deep")));
    };
    match text.as_bytes().first() {
        Some(b'{') => read(text, MapAt(below)).map(Value::Map),
        Some(b'[') => read(text, ListAt(below)).map(Value::List),
        Some(b'"') => parse_text(text).map(Value::Text),
        Some(b'n') => read(text, std::marker::PhantomData::<()>).map(|()| Value::Null),
        Some(b't' | b'f') => read(text, std::marker::PhantomData::<bool>).map(Value::Bool),
        Some(_) => {
            // Let serde_json judge the grammar first, so that `01` or `.5` are refused as JSON.
            read(text, std::marker::PhantomData::<serde::de::IgnoredAny>)?;
            Number::parse(text).map(Value::Number)
        }
        None => Err(ParseError("empty text instead of JSON".to_owned())),
    }
}

fn read<'de, S: serde::de::DeserializeSeed<'de>>(text: &'de str, seed: S) -> Result<S::Value, ParseError> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = seed
        .deserialize(&mut json)
        .map_err(|error| ParseError(error.to_string()))?;
    json.end().map_err(|error| ParseError(error.to_string()))?;
    Ok(value)
}

fn parse_text(text: &str) -> Result<String, ParseError> {
    let inner = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    if let Some(inner) = inner
        && !inner.bytes().any(|b| b == b'\\' || b == b'"' || b < 0x20)
    {
        return Ok(inner.to_owned());
    }
    match serde_json::from_str::<String>(text) {
        Ok(text) => Ok(text),
        // serde_json reads a lone surrogate only as bytes; told as UTF-8 it is the replacement sign.
        Err(error) => match serde_json::from_str::<Bytes>(text) {
            Ok(Bytes(bytes)) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(_) => Err(ParseError(error.to_string())),
        },
    }
}

struct Bytes(Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AsBytes;
        impl Visitor<'_> for AsBytes {
            type Value = Bytes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Bytes, E> {
                Ok(Bytes(bytes.to_owned()))
            }
        }
        deserializer.deserialize_bytes(AsBytes)
    }
}

struct MapAt(usize);

impl<'de> serde::de::DeserializeSeed<'de> for MapAt {
    type Value = Fields;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Fields, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for MapAt {
    type Value = Fields;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::with_capacity(16);
        while let Some(name) = map.next_key::<String>()? {
            if fields.contains(&name) {
                return Err(serde::de::Error::custom(format!(
                    "the name `{}` stands twice",
                    clip(&name)
                )));
            }
            let raw: &RawValue = map.next_value()?;
            let value = parse_at(raw.get(), self.0)
                .map_err(|error| serde::de::Error::custom(format!("{}: {error}", clip(&name))))?;
            fields.push(name, value);
        }
        Ok(fields)
    }
}

struct ListAt(usize);

impl<'de> serde::de::DeserializeSeed<'de> for ListAt {
    type Value = Vec<Value>;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<Value>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListAt {
    type Value = Vec<Value>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<Value>, A::Error> {
        let mut items = Vec::new();
        while let Some(raw) = seq.next_element::<&RawValue>()? {
            let value = parse_at(raw.get(), self.0)
                .map_err(|error| serde::de::Error::custom(format!("[{}]: {error}", items.len())))?;
            items.push(value);
        }
        Ok(items)
    }
}

fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(40).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        for (given, kept) in [
            ("1460.00", "1460.00"),
            ("90.750", "90.750"),
            ("0", "0"),
            ("-0", "0"),
            ("-0.00", "0.00"),
            ("1e3", "1000"),
            ("1.5E-3", "0.0015"),
            ("-12.5e2", "-1250"),
            ("0.05e1", "0.5"),
            ("9223372036854775808", "9223372036854775808"),
        ] {
            assert_eq!(Value::parse(given).unwrap().to_json(), kept, "{given}");
        }
        for bad in [
            "1,500.00",
            "+1",
            " 1",
            "01",
            "1.",
            ".5",
            "١٢٣",
            "NaN",
            "1e999999",
            &"9".repeat(100),
        ] {
            assert!(Number::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn api_36_depth_duplicates_and_length_are_refused_without_recursion() {
        assert!(Value::parse(&format!("{}{}", "[".repeat(100_000), "]".repeat(100_000))).is_err());
        assert!(Value::parse(&"[".repeat(100_000)).is_err());
        assert!(Value::parse(r#"{"a":1,"a":2}"#).unwrap_err().0.contains("stands twice"));
        assert!(Value::parse(&"9".repeat(1_000_000)).is_err());
    }

    #[test]
    fn text_that_is_cut_off_anywhere_is_refused() {
        for cut in ["\"", "\"é", "\"a", "\"a\\\"", "\"é\\"] {
            assert!(Value::parse(cut).is_err(), "{cut}");
        }
    }

    #[test]
    fn what_was_read_can_be_written_deeper_and_read_back() {
        let deepest = format!("{}{}", "[".repeat(64), "]".repeat(64));
        let value = Value::parse(&deepest).unwrap();
        assert!(Value::parse(&format!("[{deepest}]")).is_err());
        let own = Value::List(vec![Value::List(vec![value])]);
        assert_eq!(Value::parse_own(&own.to_json()).unwrap(), own);
    }

    #[test]
    fn api_24_odd_text_is_kept_or_replaced_by_rule() {
        assert_eq!(
            Value::parse(r#""a\ud800b""#).unwrap().as_text().unwrap().chars().next(),
            Some('a')
        );
        assert!(
            Value::parse(r#""a\ud800b""#)
                .unwrap()
                .as_text()
                .unwrap()
                .contains('\u{fffd}')
        );
        assert_eq!(Value::parse(r#""a\u0000b""#).unwrap(), Value::text("a\0b"));
        assert_eq!(Value::parse(r#""\ud83d\ude00""#).unwrap(), Value::text("😀"));
        assert_eq!(Value::parse("\"রহিম\"").unwrap(), Value::text("রহিম"));
    }

    proptest::proptest! {
        #[test]
        fn text_comes_back_as_it_went(text in "\\PC*|[\\x00-\\x1f\"\\\\]*") {
            let value = Value::text(text);
            proptest::prop_assert_eq!(Value::parse(&value.to_json()).unwrap(), value);
        }
    }
}
