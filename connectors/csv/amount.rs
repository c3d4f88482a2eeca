//! Numbers as the files of one resource spell them. Only the declared format is a number: what another format would
//! make of a text must never be tried.

use contract::{Malformed, Number};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NumberFormat {
    pub(super) decimal: char,
    /// What stands between groups of three digits, where groups are written.
    pub(super) grouping: Option<char>,
}

impl Default for NumberFormat {
    fn default() -> Self {
        NumberFormat {
            decimal: '.',
            grouping: None,
        }
    }
}

impl NumberFormat {
    pub(super) fn read(self, text: &str) -> Result<Number, Malformed> {
        let no_number = || {
            let shown: String = text.chars().take(40).collect();
            match text.is_empty() {
                true => Malformed("it is empty, where a number is to be".to_owned()),
                false => Malformed(format!("{shown:?} is no number as `decimal` and `grouping` have it")),
            }
        };
        let (sign, digits) = match text.strip_prefix('-') {
            Some(digits) => ("-", digits),
            None => ("", text),
        };
        let (whole, part) = match digits.split_once(self.decimal) {
            Some((whole, part)) => (whole, Some(part)),
            None => (digits, None),
        };
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let whole = self
            .ungrouped(whole)
            .filter(|whole| is_digits(whole))
            .ok_or_else(no_number)?;
        if part.is_some_and(|part| !is_digits(part)) {
            return Err(no_number());
        }
        let whole = match whole.trim_start_matches('0') {
            "" => "0",
            whole => whole,
        };
        let plain = match part {
            Some(part) => format!("{sign}{whole}.{part}"),
            None => format!("{sign}{whole}"),
        };
        Number::parse(&plain).map_err(|_| no_number())
    }

    /// The digits without their groups; `None` where the groups are not of three digits.
    fn ungrouped(self, whole: &str) -> Option<String> {
        let Some(grouping) = self.grouping.filter(|grouping| whole.contains(*grouping)) else {
            return Some(whole.to_owned());
        };
        let mut groups = whole.split(grouping);
        let first = groups.next()?;
        let fits = (1..=3).contains(&first.len()) && groups.all(|group| group.len() == 3);
        fits.then(|| whole.replace(grouping, ""))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sf_15_only_the_declared_format_is_a_number() {
        let plain = NumberFormat::default();
        let german = NumberFormat {
            decimal: ',',
            grouping: Some('.'),
        };
        let french = NumberFormat {
            decimal: ',',
            grouping: Some(' '),
        };
        for (format, text, number) in [
            (plain, "13", Some("13")),
            (plain, "-4", Some("-4")),
            (plain, "007", Some("7")),
            (plain, "13.750", Some("13.750")),
            (plain, "13,75", None),
            (plain, "1,234", None),
            (german, "13,75", Some("13.75")),
            (german, "1.234,56", Some("1234.56")),
            (german, "1234,56", Some("1234.56")),
            (german, "1.23", None),
            (german, "12.3456", None),
            (german, "1..234", None),
            (french, "1 234", Some("1234")),
            (plain, "1 234", None),
            (french, "1,2,3", None),
        ] {
            let read = format.read(text).ok();
            assert_eq!(read.as_ref().map(Number::as_str), number, "{text:?}");
        }
    }

    #[test]
    fn sf_14_what_is_no_number_is_never_one() {
        for text in [
            "", " ", "N/A", "1e3", "1E3", "+5", " 5", "5 ", "--5", "-", ".5", "5.", "0x10", "١٢٣", "12-", "∞", "NaN",
        ] {
            assert!(NumberFormat::default().read(text).is_err(), "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_number_is_its_digits(number in proptest::prelude::any::<i64>()) {
            let text = number.to_string();
            let read = NumberFormat::default().read(&text).unwrap();
            proptest::prop_assert_eq!(read.as_str(), text);
        }
    }
}
