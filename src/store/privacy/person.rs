//! Whether a text or a record that was mapped says something of a person whom a request names. Pure. What it takes
//! for the person's and is somebody else's does no harm: it is read again from the store.

use std::collections::BTreeSet;

use contract::{Privacy, PrivacyKind, Value};
use unicode_normalization::UnicodeNormalization;

/// Digits of a telephone number; fewer are some other number.
const PHONE_DIGITS_MIN: usize = 7;
/// Bangladesh, in which numbers are written with and without it.
const COUNTRY: &str = "880";
const SUBSCRIBER_DIGITS: usize = 10;
/// Names of fields that hold a customer's id, or the customer.
const HOLDERS: [&str; 4] = ["customer", "user", "client", "buyer"];

/// How surely a record is the person's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Sign {
    /// By a name, which others have too, or by a number, which says nothing to others.
    Likely,
    /// By an e-mail address or a telephone number.
    Sure,
}

/// Whose data a request is about.
#[derive(Debug, Default)]
pub(super) struct Person {
    everybody: bool,
    pub(super) customer: Option<String>,
    pub(super) orders: BTreeSet<String>,
    emails: Vec<String>,
    /// Their digits without country code and leading zero.
    phones: Vec<String>,
    names: Vec<String>,
}

impl Person {
    pub(super) fn of(asked: &Privacy) -> Person {
        let mut person = Person {
            everybody: asked.kind == PrivacyKind::RedactAll,
            customer: asked.customer.as_ref().map(|key| key.0.clone()),
            orders: asked.orders.iter().map(|key| key.0.clone()).collect(),
            ..Person::default()
        };
        for word in &asked.words {
            match (word.contains('@'), phone(word)) {
                (true, _) => person.emails.push(plain(word)),
                (false, Some(digits)) => person.phones.push(digits),
                (false, None) => person.names.push(plain(word)),
            }
        }
        person
    }

    pub(super) fn is_everybody(&self) -> bool {
        self.everybody
    }

    /// What a text for people says of the person.
    pub(super) fn in_text(&self, text: &str) -> Option<Sign> {
        if self.everybody {
            return Some(Sign::Likely);
        }
        self.sign(text, &|_| true)
    }

    /// What mapped rows, a JSON text, say of the person.
    pub(super) fn in_rows(&self, json: &str) -> Option<Sign> {
        if self.everybody {
            return Some(Sign::Likely);
        }
        match Value::parse_own(json) {
            Ok(rows) => self.in_value(&rows, false),
            Err(_) => self.in_text(json),
        }
    }

    fn in_value(&self, value: &Value, of_holder: bool) -> Option<Sign> {
        match value {
            Value::Null | Value::Bool(_) => None,
            Value::Text(text) => self.in_cell(text, of_holder),
            Value::Number(number) => self.in_cell(number.as_str(), of_holder),
            Value::List(items) => items.iter().filter_map(|item| self.in_value(item, of_holder)).max(),
            Value::Map(fields) => {
                let inner = fields.iter().filter_map(|(name, value)| {
                    let name = name.to_lowercase();
                    let of_holder = of_holder || HOLDERS.iter().any(|holder| name.contains(holder));
                    self.in_value(value, of_holder)
                });
                inner.max()
            }
        }
    }

    fn in_cell(&self, text: &str, of_holder: bool) -> Option<Sign> {
        let is_id = of_holder && self.customer.as_deref() == Some(text);
        // A name of one word is too common to be looked for in everybody's records.
        let found = self.sign(text, &|name| name.contains(' '));
        found.max(is_id.then_some(Sign::Likely))
    }

    fn sign(&self, text: &str, counts: &dyn Fn(&str) -> bool) -> Option<Sign> {
        if self.phones.iter().any(|phone| holds_phone(text, phone)) {
            return Some(Sign::Sure);
        }
        if self.emails.is_empty() && self.names.is_empty() {
            return None;
        }
        let text = plain(text);
        if self.emails.iter().any(|email| text.contains(email.as_str())) {
            return Some(Sign::Sure);
        }
        let named = |name: &String| counts(name) && text.contains(name.as_str());
        self.names.iter().any(named).then_some(Sign::Likely)
    }
}

/// Lower case, one form for each letter, single blanks.
fn plain(text: &str) -> String {
    let text: String = text.nfc().flat_map(char::to_lowercase).collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn digit(c: char) -> Option<char> {
    const BENGALI_ZERO: u32 = 0x09e6;
    let value = c.to_digit(10).or_else(|| {
        let behind = u32::from(c).checked_sub(BENGALI_ZERO)?;
        (behind < 10).then_some(behind)
    })?;
    char::from_digit(value, 10)
}

/// What may stand between the digits of one number.
fn is_between(c: char) -> bool {
    matches!(
        c,
        ' ' | '-' | '(' | ')' | '.' | '/' | '\u{a0}' | '\u{2010}'..='\u{2015}'
    )
}

/// The digits of a telephone number that every way of writing it has; `None` for what is none.
fn phone(word: &str) -> Option<String> {
    if !word.chars().all(|c| digit(c).is_some() || is_between(c) || c == '+') {
        return None;
    }
    let digits: String = word.chars().filter_map(digit).collect();
    if digits.len() < PHONE_DIGITS_MIN {
        return None;
    }
    let digits = digits.strip_prefix("00").unwrap_or(&digits);
    let national = digits.strip_prefix(COUNTRY).map(|rest| rest.trim_start_matches('0'));
    let national = national.filter(|rest| rest.len() == SUBSCRIBER_DIGITS);
    Some(national.unwrap_or(digits.trim_start_matches('0')).to_owned())
}

/// Whether the text has the number in any way of writing it. Digits in a row that only contain it, such as a
/// time in milliseconds, are another number; with blanks or dashes between them another number may stand beside.
fn holds_phone(text: &str, phone: &str) -> bool {
    let (mut row, mut joined, mut is_joined) = (String::new(), String::new(), false);
    for c in text.chars().chain(['\n']) {
        if let Some(digit) = digit(c) {
            row.push(digit);
            joined.push(digit);
            continue;
        }
        if is_phone(&row, phone) {
            return true;
        }
        row.clear();
        if is_between(c) {
            is_joined = true;
            continue;
        }
        let beside = |lead: &str| joined.contains(&format!("{lead}{phone}"));
        if is_phone(&joined, phone) || is_joined && (beside("0") || beside(COUNTRY)) {
            return true;
        }
        joined.clear();
        is_joined = false;
    }
    false
}

fn is_phone(digits: &str, phone: &str) -> bool {
    let lead = digits.strip_suffix(phone);
    lead.is_some_and(|lead| ["", "0", "00", COUNTRY, "0880", "00880"].contains(&lead))
}

#[cfg(test)]
mod tests {
    use contract::Key;

    use super::*;

    fn person(words: &[&str]) -> Person {
        Person::of(&Privacy {
            kind: PrivacyKind::Redact,
            customer: Some(Key("55".to_owned())),
            orders: vec![Key("7".to_owned())],
            words: words.iter().map(|word| (*word).to_owned()).collect(),
        })
    }

    #[test]
    fn sc_08_a_telephone_number_is_found_however_it_is_written() {
        for written in [
            "01712345678",
            "+8801712345678",
            "8801712-345678",
            "০১৭১২৩৪৫৬৭৮",
            "1712345678",
        ] {
            let person = person(&[written]);
            for text in [
                "01712345678",
                "+8801712345678",
                "call 01712-345678 today",
                "+880 1712 345 678",
                "008801712345678",
                "(0171) 2345678, 2 pieces",
                "01712345678 2",
                "ফোন ০১৭১২৩৪৫৬৭৮",
                "1712345678",
            ] {
                assert_eq!(person.in_text(text), Some(Sign::Sure), "{written} in {text}");
            }
            for text in [
                "1712345678000",
                "1601712345678",
                "01712345679",
                "0171234567",
                "2026-01-17 12:34:56",
            ] {
                assert_eq!(person.in_text(text), None, "{written} in {text}");
            }
        }
        let abroad = person(&["+44 7911 123456"]);
        assert_eq!(abroad.in_text("00447911123456"), Some(Sign::Sure));
    }

    #[test]
    fn sc_08_names_and_addresses_are_found_in_any_case_and_form() {
        let person = person(&["Rahima.K@Example.com", "Rahima  Khatun", "রহিমা বেগম", "Rahima"]);
        for (text, sign) in [
            ("write to RAHIMA.K@EXAMPLE.COM", Some(Sign::Sure)),
            ("for rahima khatun, 2nd floor", Some(Sign::Likely)),
            ("রহিমা বেগম", Some(Sign::Likely)),
            ("Rahima", Some(Sign::Likely)),
            ("Karim", None),
        ] {
            assert_eq!(person.in_text(text), sign, "{text}");
        }
        // য় in two code points, and in one.
        let composed = super::tests::person(&["রায়হান কবির"]);
        assert_eq!(composed.in_text("রা\u{9df}হান কবির"), Some(Sign::Likely));
    }

    #[test]
    fn sc_08_rows_tell_a_customer_by_fields_that_hold_one() {
        let person = person(&["Rahima Khatun", "Karim"]);
        for (rows, sign) in [
            (r#"[{"id":"7","customer_id":55}]"#, Some(Sign::Likely)),
            (r#"[{"customer":{"id":"55"}}]"#, Some(Sign::Likely)),
            (r#"[{"buyers":["1","55"]}]"#, Some(Sign::Likely)),
            (r#"[{"quantity":55,"customer_id":155}]"#, None),
            (r#"[{"to":"Rahima \"R\" Khatun"}]"#, None),
            (r#"[{"to":"c/o\trahima\nkhatun"}]"#, Some(Sign::Likely)),
            // One word alone may be anybody's.
            (r#"[{"to":"Karim"}]"#, None),
        ] {
            assert_eq!(person.in_rows(rows), sign, "{rows}");
        }
    }
}
