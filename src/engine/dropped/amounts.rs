//! Quantities of stock on their way out of a file. A text is a quantity only in the number format of its file, and
//! what is no whole number in bounds must never become one.

use contract::{Fields, FileMode, Malformed, Number, Value};

/// More than this is a mistake, not stock.
const MOST: i64 = 1_000_000_000;
const QUANTITY: &str = "quantity";
const DELTA: &str = "delta";

/// The mapped rows with their quantities as numbers, and the quantity of the record where there is one.
pub(super) fn settled(
    rows: Vec<Value>,
    mode: FileMode,
    number: impl Fn(&str) -> Result<Number, Malformed>,
) -> Result<(Vec<Value>, Option<i64>), Malformed> {
    let mut level = None;
    let rows = rows.into_iter().map(|row| {
        let Value::Map(fields) = row else { return Ok(row) };
        let other = match mode {
            FileMode::Snapshot => DELTA,
            FileMode::Delta => QUANTITY,
        };
        if fields.contains(other) {
            return Err(Malformed(match mode {
                FileMode::Snapshot => "map gives `delta`, which is for files with `mode: delta`".to_owned(),
                FileMode::Delta => "map gives `quantity`, and with `mode: delta` it has to be `delta`".to_owned(),
            }));
        }
        let mut settled = Fields::with_capacity(fields.len());
        for (name, value) in fields.iter() {
            if name != QUANTITY && name != DELTA {
                settled.push(name, value.clone());
                continue;
            }
            let wrong = |why: String| Malformed(format!("{name}: {why}"));
            let read = match value {
                Value::Text(text) => number(text).map_err(|Malformed(why)| wrong(why))?,
                Value::Number(number) => number.clone(),
                other => return Err(wrong(format!("it is {}, where a number is to be", other.kind()))),
            };
            let whole = whole(&read, mode).map_err(wrong)?;
            level = (name == QUANTITY).then_some(whole);
            settled.push(name, Value::from(whole));
        }
        Ok(Value::Map(settled))
    });
    let rows: Vec<Value> = rows.collect::<Result<_, _>>()?;
    let level = level.filter(|_| rows.len() == 1);
    Ok((rows, level))
}

fn whole(number: &Number, mode: FileMode) -> Result<i64, String> {
    let text = number.as_str();
    let digits = match text.split_once('.') {
        Some((whole, part)) if part.bytes().all(|byte| byte == b'0') => whole,
        Some(_) => return Err(format!("{text} is not a whole number")),
        None => text,
    };
    let whole: i64 = digits.parse().map_err(|_| format!("{text} is more than {MOST}"))?;
    match whole {
        whole if whole < 0 && mode == FileMode::Snapshot => Err(format!("{text} is below zero")),
        whole if whole.abs() > MOST => Err(format!("{text} is more than {MOST}")),
        whole => Ok(whole),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sf_14_only_a_whole_number_in_bounds_is_a_quantity() {
        let number = |text: &str| Number::parse(text).map_err(Malformed::from);
        for (cell, mode, level) in [
            (Value::from("13"), FileMode::Snapshot, Some("13")),
            (Value::from("13.00"), FileMode::Snapshot, Some("13")),
            (Value::from(0), FileMode::Snapshot, Some("0")),
            (Value::from("13.5"), FileMode::Snapshot, None),
            (Value::from("-1"), FileMode::Snapshot, None),
            (Value::from("1000000000000"), FileMode::Snapshot, None),
            (Value::from("N/A"), FileMode::Snapshot, None),
            (Value::from(""), FileMode::Snapshot, None),
            (Value::Null, FileMode::Snapshot, None),
            (Value::Bool(true), FileMode::Snapshot, None),
            (Value::from("-7"), FileMode::Delta, None),
        ] {
            let row = Value::Map([("quantity".into(), cell.clone())].into_iter().collect());
            let told = settled(vec![row], mode, number);
            let told = told.ok().map(|(_, level)| level.unwrap_or(-1).to_string());
            assert_eq!(told.as_deref(), level, "{cell:?}");
        }
        let delta = Value::Map([("delta".into(), Value::from("-7"))].into_iter().collect());
        let (rows, level) = settled(vec![delta], FileMode::Delta, number).unwrap();
        assert_eq!((rows[0].to_json(), level), (r#"{"delta":-7}"#.to_owned(), None));
    }
}
