//! What a record wants of one SKU's stock: a level, or a movement. Pure. It must never make a level of what is none.

use contract::{Malformed, Value};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::read;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// So many pieces, whatever was there.
    Level(i64),
    /// So many more, or fewer.
    Move(i64),
}

/// The SKU, trimmed, and what is wanted of it.
pub(super) fn wanted(record: &Value, sold: u64) -> Result<(String, Want), Malformed> {
    if !matches!(record, Value::Map(_)) {
        return Err(Malformed(format!(
            "a stock record is an object with `sku` and `quantity` (or `delta`), and this is {}",
            record.kind()
        )));
    }
    let sku = sku(record)?;
    let given = |name: &str| record.get(name).filter(|value| !value.is_null());
    let want = match (given("quantity"), given("delta")) {
        (Some(_), Some(_)) => {
            let why = "it has a `quantity` and a `delta`: map one of them";
            return Err(Malformed(format!("SKU {sku}: {why}")));
        }
        (Some(quantity), None) => Want::Level(level(quantity, sold, &sku)?),
        (None, Some(delta)) => Want::Move(movement(delta, &sku)?),
        (None, None) => {
            let why = "it has no `quantity` (or it is null), and nothing is ever set to 0 for that";
            return Err(Malformed(format!("SKU {sku}: {why}")));
        }
    };
    Ok((sku, want))
}

fn sku(record: &Value) -> Result<String, Malformed> {
    let sku = match record.get("sku") {
        Some(Value::Text(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.as_str().to_owned(),
        _ => String::new(),
    };
    match sku.is_empty() {
        true => Err(Malformed("it names no SKU: `sku` is missing or blank".to_owned())),
        false => Ok(sku),
    }
}

fn number(value: &Value, name: &str, sku: &str) -> Result<Decimal, Malformed> {
    let number = read::money(value).map_err(|error| Malformed(format!("SKU {sku}: {name}: {error}")))?;
    let too_long = || Malformed(format!("SKU {sku}: {name}: {number} has too many digits"));
    number.decimal().ok_or_else(too_long)
}

/// Half a piece cannot be sold, and fewer than none cannot be had: rounded down, and 0 at the least.
fn level(value: &Value, sold: u64, sku: &str) -> Result<i64, Malformed> {
    let whole = number(value, "quantity", sku)?.floor().to_i64();
    let whole = whole.ok_or_else(|| Malformed(format!("SKU {sku}: quantity: {} is no stock", value.to_json())))?;
    let sold = i64::try_from(sold).unwrap_or(i64::MAX);
    Ok(whole.saturating_sub(sold).max(0))
}

/// A part of a movement cannot be left out, so it must be whole.
fn movement(value: &Value, sku: &str) -> Result<i64, Malformed> {
    let delta = number(value, "delta", sku)?;
    let whole = delta.is_integer().then(|| delta.to_i64()).flatten();
    whole.ok_or_else(|| {
        Malformed(format!(
            "SKU {sku}: delta: expected a whole number, found {}",
            value.to_json()
        ))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn want(json: &str, sold: u64) -> Result<(String, Want), String> {
        wanted(&Value::parse(json).unwrap(), sold).map_err(|error| error.0)
    }

    #[test]
    fn levels_are_rounded_down_never_negative_and_without_what_was_sold() {
        for (json, sold, sku, expected) in [
            (r#"{"sku":" 007 ","quantity":12}"#, 0, "007", Want::Level(12)),
            (r#"{"sku":"a","quantity":"12.9"}"#, 0, "a", Want::Level(12)),
            (r#"{"sku":"a","quantity":12.9}"#, 3, "a", Want::Level(9)),
            (r#"{"sku":"a","quantity":-4}"#, 0, "a", Want::Level(0)),
            (r#"{"sku":"a","quantity":-0.5}"#, 0, "a", Want::Level(0)),
            (r#"{"sku":"a","quantity":2}"#, 9, "a", Want::Level(0)),
            (r#"{"sku":55,"quantity":0}"#, 0, "55", Want::Level(0)),
            (r#"{"sku":"a","delta":-3}"#, 7, "a", Want::Move(-3)),
            (r#"{"sku":"a","quantity":null,"delta":"4"}"#, 0, "a", Want::Move(4)),
        ] {
            assert_eq!(want(json, sold), Ok((sku.to_owned(), expected)), "{json}");
        }
    }

    #[test]
    fn what_is_no_level_is_refused_and_never_0() {
        for (json, part) in [
            (r#"{"sku":"a"}"#, "no `quantity`"),
            (r#"{"sku":"a","quantity":null}"#, "no `quantity`"),
            (r#"{"sku":"a","quantity":""}"#, "quantity"),
            (r#"{"sku":"a","quantity":" "}"#, "quantity"),
            (r#"{"sku":"a","quantity":"1,5"}"#, "quantity"),
            (r#"{"sku":"a","quantity":"many"}"#, "quantity"),
            (r#"{"sku":"a","quantity":true}"#, "quantity"),
            (r#"{"sku":"a","quantity":99999999999999999999999}"#, "quantity"),
            (r#"{"sku":"a","delta":1.5}"#, "whole number"),
            (r#"{"sku":"a","quantity":1,"delta":1}"#, "map one"),
            (r#"{"sku":" ","quantity":1}"#, "names no SKU"),
            (r#"{"quantity":1}"#, "names no SKU"),
            ("[1]", "is an object"),
        ] {
            let found = want(json, 0).unwrap_err();
            assert!(found.contains(part), "{json}: {found}");
        }
    }
}
