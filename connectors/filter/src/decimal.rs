//! Exact arithmetic on amounts. Operands are numbers or numeric strings; a result that would not be
//! exact in 28 digits is an error, except that a quotient is rounded to what fits.

use contract::Number;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::val::{Error, Val, ValR};

const DIGITS: &str = "the exact result needs more than 28 digits";

fn operand(name: &str, value: &Val) -> Result<Decimal, Error> {
    let number = match value {
        Val::Num(num) => Number::parse(&num.to_string()),
        Val::Text(text) => Number::parse(text),
        other => return Err(Error::str(format_args!("{name} takes numbers, not {other}"))),
    };
    let number = number.map_err(|error| Error::str(format_args!("{name} takes numbers: {error}")))?;
    let decimal = number.decimal();
    decimal.ok_or_else(|| Error::str(format_args!("{name}: a number of more than 28 digits: {number}")))
}

fn result(name: &str, value: Option<Decimal>) -> ValR {
    match value {
        Some(decimal) => Ok(Val::number(&Number::from(decimal))),
        None => Err(Error::str(format_args!("{name}: {DIGITS}"))),
    }
}

/// The sum, unless digits were lost: an exact sum has as many decimals as its finer operand.
fn exact_sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    let mut sum = left.checked_add(right)?;
    let decimals = left.scale().max(right.scale());
    if sum.scale() != decimals {
        // Zero and a zero operand come back with fewer decimals although nothing is lost.
        sum.rescale(decimals);
    }
    (sum.scale() == decimals && sum.checked_sub(right)? == left).then_some(sum)
}

fn exact_product(left: Decimal, right: Decimal) -> Option<Decimal> {
    let decimals = left.scale() + right.scale();
    let product = left.checked_mul(right)?;
    if left.is_zero() || right.is_zero() {
        let mut zero = Decimal::ZERO;
        zero.rescale(decimals.min(Decimal::MAX_SCALE));
        return Some(zero);
    }
    (product.scale() == decimals).then_some(product)
}

pub(crate) fn add(left: &Val, right: &Val) -> ValR {
    let name = "dec_add";
    result(name, exact_sum(operand(name, left)?, operand(name, right)?))
}

pub(crate) fn sub(left: &Val, right: &Val) -> ValR {
    let name = "dec_sub";
    result(name, exact_sum(operand(name, left)?, -operand(name, right)?))
}

pub(crate) fn mul(left: &Val, right: &Val) -> ValR {
    let name = "dec_mul";
    result(name, exact_product(operand(name, left)?, operand(name, right)?))
}

pub(crate) fn div(left: &Val, right: &Val) -> ValR {
    let name = "dec_div";
    let divisor = operand(name, right)?;
    if divisor.is_zero() {
        return Err(Error::str("dec_div: cannot divide by zero"));
    }
    result(name, operand(name, left)?.checked_div(divisor))
}

pub(crate) fn sum(items: &Val) -> ValR {
    let Val::List(list) = items else {
        return Err(Error::str(format_args!(
            "dec_sum takes an array of numbers, not {items}"
        )));
    };
    let mut total = Decimal::ZERO;
    for item in &list.items {
        match exact_sum(total, operand("dec_sum", item)?) {
            Some(sum) => total = sum,
            None => return result("dec_sum", None),
        }
    }
    result("dec_sum", Some(total))
}

/// To exactly that many decimals, a half away from zero: `2.345 | dec_round(2)` is `2.35`.
pub(crate) fn round(value: &Val, decimals: &Val) -> ValR {
    let name = "dec_round";
    let wanted = operand(name, decimals)?;
    let places = u32::try_from(wanted)
        .ok()
        .filter(|places| *places <= Decimal::MAX_SCALE);
    let Some(places) = places.filter(|_| wanted.fract().is_zero()) else {
        return Err(Error::str("dec_round takes a whole number of decimals from 0 to 28"));
    };
    let mut rounded = operand(name, value)?.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    rounded.rescale(places);
    result(name, (rounded.scale() == places).then_some(rounded))
}
