//! Keeps a spreadsheet from running a cell, and takes that protection off again. It must never
//! change a text in a way that [`unguard`] does not undo exactly.
//!
//! **What is guarded** (OWASP, CSV Injection; ASVS 1.2.10): a text that starts with a tab, a carriage
//! return or a line feed, and one whose first character behind blanks is `=`, `+`, `-`, `@` or the
//! full-width form of one of these.
//!
//! **What is left alone**, since a spreadsheet has nothing to run there and a machine must read it as
//! it was: plain numbers with a sign (`-5`, `+8801712345678`, `-1,234.50`), and telephone numbers:
//! `+`, a digit, then digits, blanks, hyphens and round brackets, 7 to 15 digits in all (E.164), such as
//! `+880 1712-345678`. No letter stands in either, so no function, name, cell or link does.
//!
//! **How**: one `'` is put in front. A text that already begins with such quotes gets one more when
//! what follows them would be guarded. So a reader restores every text by one rule: drop the first
//! `'` of a cell whose part behind all leading `'` is guarded text; leave every other cell as it is.

use std::borrow::Cow;

const MARK: char = '\'';
const PHONE_DIGITS_MIN: usize = 7;
const PHONE_DIGITS_MAX: usize = 15;

/// The text as a cell that no spreadsheet runs.
pub fn guard(text: &str) -> Cow<'_, str> {
    if runs(text.trim_start_matches(MARK)) {
        Cow::Owned(format!("{MARK}{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// The text that [`guard`] made this cell of.
pub fn unguard(cell: &str) -> &str {
    match cell.strip_prefix(MARK) {
        Some(text) if runs(text.trim_start_matches(MARK)) => text,
        _ => cell,
    }
}

/// Whether a spreadsheet may take the text for a formula.
fn runs(text: &str) -> bool {
    if text.bytes().next().is_none_or(|first| first.is_ascii_alphanumeric()) {
        return false;
    }
    if text.starts_with(['\t', '\r', '\n']) {
        return true;
    }
    let body = text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}');
    match body.chars().next() {
        Some('=' | '@' | '＝' | '＠' | '＋' | '－') => true,
        Some('+') => !is_number(&body[1..]) && !is_telephone(&body[1..]),
        Some('-') => !is_number(&body[1..]),
        _ => false,
    }
}

/// Digits, with single dots or commas between them.
fn is_number(text: &str) -> bool {
    text.split(['.', ','])
        .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
}

fn is_telephone(text: &str) -> bool {
    let digits = text.bytes().filter(u8::is_ascii_digit).count();
    text.bytes().next().is_some_and(|first| first.is_ascii_digit())
        && (PHONE_DIGITS_MIN..=PHONE_DIGITS_MAX).contains(&digits)
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b' ' | b'-' | b'(' | b')'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sf_22_what_a_spreadsheet_would_run_is_quoted_and_the_rest_is_not() {
        for text in [
            "=cmd|' /C calc'!A0",
            "@x",
            "@SUM(1+1)*cmd|' /C calc'!A0",
            "\tx",
            "\rx",
            "\nx",
            "\t",
            "-2+3+cmd|' /C calc'!A0",
            "+1+1",
            "-1-1",
            "-",
            "+",
            "=",
            "- milk",
            "+A1",
            "-1E5",
            "+1-2",
            "  =1+1",
            "\u{a0}=1+1",
            "\u{feff}=1+1",
            "\u{1}=1+1",
            "＝1+1",
            "+880-1712-345678|calc",
            "+12345678901234567 1",
        ] {
            assert_eq!(guard(text), format!("'{text}"), "{text:?}");
        }
        for text in [
            "",
            "00123",
            "+8801712345678",
            "+880 1712-345678",
            "+1 (212) 555-0100",
            "-5",
            "-5.00",
            "-1,234.50",
            "1E5",
            "90.750",
            "2024-01-02",
            "'",
            "'quoted'",
            "it's = fine",
            " -5",
            "a=b",
            "রহিম",
        ] {
            assert_eq!(guard(text), text, "{text:?}");
            assert_eq!(unguard(text), text, "{text:?}");
        }
    }

    #[test]
    fn sf_22_quotes_that_were_there_before_stay() {
        for (text, cell) in [("'=x", "''=x"), ("''=x", "'''=x"), ("' =x", "'' =x"), ("'x", "'x")] {
            assert_eq!(guard(text), cell);
            assert_eq!(unguard(cell), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn sf_22_every_text_is_restored(text in "['=+@ \t\r\n0-9a-]{0,6}|\\PC*") {
            let cell = guard(&text);
            proptest::prop_assert_eq!(unguard(&cell), text.as_str());
        }

        #[test]
        fn sf_22_no_guarded_cell_runs(text in "['=+@ \t\r\n0-9a|!-]{0,6}") {
            proptest::prop_assert!(!runs(&guard(&text)));
        }
    }
}
