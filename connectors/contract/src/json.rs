//! JSON in and out of [`Value`], digit for digit: no number passes through a float on its way.
//!
//! Limits: 64 levels, 64 digits a number. A name that stands twice in one object is an error.
//! A lone surrogate (`\ud800`) cannot be told in UTF-8 and becomes U+FFFD; NUL stays as it is.

use crate::scan::{Scan, special};
use crate::value::Value;

pub(crate) const DEPTH_MAX: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ParseError(pub String);

impl Value {
    /// Reads one JSON text.
    pub fn parse(text: &str) -> Result<Value, ParseError> {
        Scan::whole(text.trim_ascii(), DEPTH_MAX)
    }

    /// Reads back what was written here: a value that was read before stands deeper in it by a few levels.
    pub fn parse_own(text: &str) -> Result<Value, ParseError> {
        Scan::whole(text, DEPTH_MAX + 32)
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

/// The text as JSON, in its quotes.
pub fn write_text(text: &str, out: &mut String) {
    use std::fmt::Write;
    out.push('"');
    let bytes = text.as_bytes();
    let mut from = 0;
    loop {
        let at = special(bytes, from);
        out.push_str(&text[from..at]);
        let Some(byte) = bytes.get(at) else { break };
        from = at + 1;
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\r' => out.push_str("\\r"),
            b'\t' => out.push_str("\\t"),
            other => {
                // Writing into a String cannot fail.
                let _ok = write!(out, "\\u{other:04x}");
            }
        }
    }
    out.push('"');
}

pub(crate) fn clip(text: &str) -> String {
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
    use crate::Number;

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
