//! Reads a JSON text in one pass, without looking at any byte twice for each level it lies deep. It must
//! accept exactly what the grammar of JSON accepts, within the limits of [`json`](crate::json), and never
//! recurse deeper than these allow.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};

use crate::json::{DEPTH_MAX, ParseError, clip};
use crate::name::Name;
use crate::number::Number;
use crate::value::{Fields, Value};

/// Fields to make room for: a record has more of them than what lies in it.
const FIELDS_OUTSIDE: usize = 24;
const FIELDS_INSIDE: usize = 10;

pub(crate) struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scan<'t> {
    /// One value that is the whole text. `levels`: how deep it may go.
    pub(crate) fn whole(text: &'t str, levels: usize) -> Result<Value, ParseError> {
        if text.is_empty() {
            return Err(ParseError("empty text instead of JSON".to_owned()));
        }
        let mut scan = Scan { text, at: 0 };
        scan.blanks();
        let value = scan.value(levels, FIELDS_OUTSIDE)?;
        scan.blanks();
        if scan.at < text.len() {
            return scan.refuse("something follows the value");
        }
        Ok(value)
    }

    fn value(&mut self, levels: usize, fields: usize) -> Result<Value, ParseError> {
        let Some(below) = levels.checked_sub(1) else {
            return Err(ParseError(format!("nested more than {DEPTH_MAX} levels deep")));
        };
        match self.peek() {
            Some(b'{') => self.map(below, fields),
            Some(b'[') => self.list(below),
            Some(b'"') => self.quoted(str::to_owned).map(Value::Text),
            Some(b'n') => self.word("null", Value::Null),
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            _ => self.refuse("expected a value"),
        }
    }

    fn map(&mut self, levels: usize, expected: usize) -> Result<Value, ParseError> {
        self.at += 1;
        self.blanks();
        if self.take(b'}') {
            return Ok(Value::Map(Fields::default()));
        }
        let mut fields = Fields::with_capacity(expected);
        let mut seen = Seen::default();
        loop {
            if self.peek() != Some(b'"') {
                return self.refuse("expected a name");
            }
            let name = self.quoted(Name::new)?;
            if seen.again(&name, &fields) {
                return Err(ParseError(format!("the name `{}` stands twice", clip(&name))));
            }
            self.blanks();
            if !self.take(b':') {
                return self.refuse("expected a colon");
            }
            self.blanks();
            let value = self.value(levels, FIELDS_INSIDE);
            let value = value.map_err(|error| ParseError(format!("{}: {error}", clip(&name))))?;
            fields.push(name, value);
            if self.ends(b'}')? {
                return Ok(Value::Map(fields));
            }
        }
    }

    fn list(&mut self, levels: usize) -> Result<Value, ParseError> {
        self.at += 1;
        let mut items = Vec::new();
        self.blanks();
        if self.take(b']') {
            return Ok(Value::List(items));
        }
        loop {
            let item = self.value(levels, FIELDS_INSIDE);
            items.push(item.map_err(|error| ParseError(format!("[{}]: {error}", items.len())))?);
            if self.ends(b']')? {
                return Ok(Value::List(items));
            }
        }
    }

    /// Behind a member: whether the end follows, else the next member does.
    fn ends(&mut self, end: u8) -> Result<bool, ParseError> {
        self.blanks();
        if self.take(end) {
            return Ok(true);
        }
        if !self.take(b',') {
            return self.refuse("expected a comma or the end of the list or object");
        }
        self.blanks();
        Ok(false)
    }

    fn word(&mut self, word: &str, value: Value) -> Result<Value, ParseError> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return self.refuse("expected a value");
        }
        self.at += word.len();
        Ok(value)
    }

    fn number(&mut self) -> Result<Number, ParseError> {
        let from = self.at;
        self.take(b'-');
        let leading_zero = self.peek() == Some(b'0');
        let whole = self.digits();
        let mut sound = whole > 0 && !(leading_zero && whole > 1);
        if self.take(b'.') {
            sound &= self.digits() > 0;
        }
        let exponent = self.take(b'e') || self.take(b'E');
        if exponent {
            let _sign = self.take(b'+') || self.take(b'-');
            sound &= self.digits() > 0;
        }
        if !sound {
            return self.refuse("not a number");
        }
        Number::of_json(&self.text[from..self.at], exponent)
    }

    fn digits(&mut self) -> usize {
        let from = self.at;
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        self.at - from
    }

    /// A text, handed on without its quotes. Escapes are resolved by serde_json.
    fn quoted<T>(&mut self, made: impl Fn(&str) -> T) -> Result<T, ParseError> {
        let bytes = self.text.as_bytes();
        let from = self.at;
        let mut at = from + 1;
        let mut escaped = false;
        loop {
            at = special(bytes, at);
            match bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    at += 2;
                }
                Some(_) => return self.refuse("a control character stands in a text"),
                None => return self.refuse("a text without its end"),
            }
        }
        self.at = at + 1;
        match escaped {
            false => Ok(made(&self.text[from + 1..at])),
            true => unescaped(&self.text[from..=at]).map(|text| made(&text)),
        }
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.at += usize::from(there);
        there
    }

    fn refuse<T>(&self, why: &str) -> Result<T, ParseError> {
        Err(ParseError(format!("{why} at byte {}", self.at)))
    }
}

/// Where the next quote, backslash or control character is, or the end. Eight bytes at a time.
pub(crate) fn special(bytes: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The lowest of the marked bytes is one that is sought; those above it need not be.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & HIGHS;
    while let Some(Ok(chunk)) = bytes.get(at..at + 8).map(<[u8; 8]>::try_from) {
        let word = u64::from_le_bytes(chunk);
        let controls = word.wrapping_sub(ONES * 0x20) & !word & HIGHS;
        let found = controls | zeros(word ^ (ONES * u64::from(b'"'))) | zeros(word ^ (ONES * u64::from(b'\\')));
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes
        .get(at)
        .is_some_and(|byte| !matches!(byte, b'"' | b'\\' | 0..=0x1f))
    {
        at += 1;
    }
    at
}

/// The names of one object. Comparing each with all before it is quick only while they are few.
#[derive(Default)]
struct Seen {
    marks: [u64; 4],
    many: HashSet<Name>,
}

impl Seen {
    const FEW: usize = 64;

    /// Takes note of the name; whether it stands in the fields already.
    fn again(&mut self, name: &Name, fields: &Fields) -> bool {
        if fields.len() >= Seen::FEW {
            if self.many.is_empty() {
                self.many.extend(fields.names().map(Name::new));
            }
            return !self.many.insert(name.clone());
        }
        let bytes = name.as_bytes();
        let byte = |at: usize| usize::from(bytes.get(at).copied().unwrap_or(0));
        let last = bytes.len().saturating_sub(1);
        let mark = byte(0) ^ (byte(last / 2) << 1) ^ (byte(last) << 3) ^ (bytes.len() << 5);
        let (word, bit) = (mark / 64 % 4, 1 << (mark % 64));
        let marked = self.marks[word] & bit != 0;
        self.marks[word] |= bit;
        marked && fields.contains(name)
    }
}

/// A text in its quotes, with escapes in it.
fn unescaped(text: &str) -> Result<String, ParseError> {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;

    use super::*;

    /// Texts that are JSON, nearly JSON, or neither.
    fn texts() -> impl Strategy<Value = String> {
        let words = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"a\"",
            "\"b\"",
            "\"\\n\"",
            "\"\\u00e9\"",
            "\"\\ud800\"",
            "\"",
            "\\",
            "null",
            "true",
            "false",
            "nul",
            "0",
            "-0",
            "12",
            "-1.50",
            "1e3",
            "1E+2",
            "01",
            "1.",
            ".5",
            "-",
            "\"রহিম\"",
            "\"a longer text than a word\"",
            "\"tab\t\"",
            "\u{c}",
        ]);
        prop::collection::vec(words, 0..12).prop_map(|words| words.concat())
    }

    fn documents() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec![
            "null",
            "true",
            "-7",
            "0.10",
            "2e2",
            "\"x\"",
            "\"\\\"\"",
            "\"é\\u0041\"",
        ]);
        let leaf = leaf.prop_map(str::to_owned);
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[ {} ]", items.join(" ,"))),
                prop::collection::btree_map("[a-f]{1,3}", inner, 0..5).prop_map(|members| {
                    let members: Vec<String> = members
                        .iter()
                        .map(|(name, value)| format!("\"{name}\" :{value}"))
                        .collect();
                    format!("{{{}}}", members.join(","))
                }),
            ]
        })
    }

    /// What JSON's grammar accepts and this does not, for a reason that is told.
    fn by_rule(error: &ParseError) -> bool {
        ["stands twice", "levels deep", "exponent out of range"]
            .iter()
            .any(|rule| error.0.contains(rule))
    }

    proptest! {
        #[test]
        fn it_accepts_what_json_is_and_nothing_else(text in prop_oneof![texts(), documents()]) {
            let json = serde_json::from_str::<IgnoredAny>(text.trim_ascii()).is_ok();
            match Value::parse(&text) {
                Ok(_) => prop_assert!(json, "taken: {text:?}"),
                Err(error) => prop_assert!(!json || by_rule(&error), "refused: {text:?}: {error}"),
            }
        }

        #[test]
        fn it_reads_what_others_read(text in documents()) {
            let ours: serde_json::Value = serde_json::from_str(&Value::parse(&text).unwrap().to_json()).unwrap();
            let mut theirs: serde_json::Value = serde_json::from_str(&text).unwrap();
            // An exponent is written out here, so that a float there becomes a whole number.
            round(&mut theirs);
            prop_assert_eq!(ours, theirs);
        }
    }

    fn round(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Number(number) if number.as_f64() == Some(200.0) => *number = 200.into(),
            serde_json::Value::Array(items) => items.iter_mut().for_each(round),
            serde_json::Value::Object(members) => members.values_mut().for_each(round),
            _ => {}
        }
    }

    #[test]
    fn a_name_that_stands_twice_is_found_among_few_and_among_many() {
        for count in [1, 2, 60, 63, 64, 65, 66, 500] {
            let names: Vec<String> = (0..count).map(|n| format!("\"n{n}\":{n}")).collect();
            let sound = format!("{{{}}}", names.join(","));
            assert_eq!(Value::parse(&sound).unwrap().to_json(), sound);
            for again in [0, count / 2, count - 1] {
                let twice = format!("{{{},\"n{again}\":0}}", names.join(","));
                assert!(
                    Value::parse(&twice).unwrap_err().0.contains("stands twice"),
                    "{count} {again}"
                );
            }
        }
    }
}
