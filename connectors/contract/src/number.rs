//! Decimal numbers as texts, so that no digit is lost. No number here was ever a float.

use std::borrow::Cow;
use std::fmt;

use rust_decimal::Decimal;
use smol_str::{SmolStr, ToSmolStr};

use crate::json::{ParseError, clip};

const DIGITS_MAX: usize = 64;

/// A JSON number as it was written, without an exponent and without a sign on zero.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Number(SmolStr);

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

    /// Of a text that JSON's grammar calls a number. Without an exponent it needs no second look.
    pub(crate) fn of_json(text: &str, exponent: bool) -> Result<Number, ParseError> {
        if exponent || text.len() > DIGITS_MAX || text.starts_with('-') {
            return Number::parse(text);
        }
        Ok(Number(text.into()))
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
        Number(number.to_smolstr())
    }
}

impl From<Decimal> for Number {
    fn from(number: Decimal) -> Self {
        Number(number.to_smolstr())
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
