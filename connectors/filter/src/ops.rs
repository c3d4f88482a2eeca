//! Arithmetic, order and conversions, as the interpreter asks for them. Results follow jq,
//! save that arithmetic that leaves the range of numbers is an error and never `null` or infinity.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use contract::Number;
use jaq_core::ops::Math;
use jaq_core::val::Range;
use jaq_json::Num;

use crate::access::{entries_of, items_of};
use crate::meter::{self, Limit};
use crate::val::{Entries, Error, Object, Val, ValR};

/// An integer result keeps this many bits at most: the length of a number's text is bounded.
const INTEGER_BITS_MAX: u64 = 200;

pub(crate) fn to_float(num: &Num) -> f64 {
    match num {
        Num::Int(int) => *int as f64,
        Num::Float(float) => *float,
        Num::BigInt(big) => big.to_string().parse().unwrap_or(f64::MAX),
        Num::Dec(text) => text.parse().unwrap_or(f64::MAX),
    }
}

/// What arithmetic gives, held to the numbers that can be written down.
fn computed(num: Num) -> ValR {
    match num {
        Num::Float(float) => Val::float(float),
        Num::BigInt(big) if big.bits() > INTEGER_BITS_MAX => {
            Err(Error::str("the result is an integer of more than 60 digits"))
        }
        num => Ok(Val::Num(num)),
    }
}

impl Add for Val {
    type Output = ValR;
    fn add(self, right: Val) -> ValR {
        meter::spend(1);
        match (self, right) {
            (Val::Null, other) | (other, Val::Null) => Ok(other),
            (Val::Num(l), Val::Num(r)) => computed(l + r),
            (Val::Text(l), Val::Text(r)) => {
                meter::weigh(l.len() + r.len());
                let mut joined = String::with_capacity(l.len() + r.len());
                joined.push_str(&l);
                joined.push_str(&r);
                Ok(Val::text(&joined))
            }
            (Val::List(l), Val::List(r)) => {
                let mut items = items_of(l);
                items.extend(r.items.iter().cloned());
                Ok(Val::list(items))
            }
            (Val::Map(l), Val::Map(r)) => Ok(Val::merge(l, &r)),
            (l, r) => Err(Error::math(l, Math::Add, r)),
        }
    }
}

impl Sub for Val {
    type Output = ValR;
    fn sub(self, right: Val) -> ValR {
        meter::spend(1);
        match (self, right) {
            (Val::Num(l), Val::Num(r)) => computed(l - r),
            (Val::List(l), Val::List(r)) => {
                let kept = l.items.iter().filter(|item| !r.items.contains(item));
                Ok(Val::list(kept.cloned().collect()))
            }
            (l, r) => Err(Error::math(l, Math::Sub, r)),
        }
    }
}

impl Mul for Val {
    type Output = ValR;
    fn mul(self, right: Val) -> ValR {
        meter::spend(1);
        match (self, right) {
            (Val::Num(l), Val::Num(r)) => computed(l * r),
            (Val::Text(text), Val::Num(times)) | (Val::Num(times), Val::Text(text)) => {
                let times = to_float(&times);
                if times <= 0.0 {
                    return Ok(Val::Null);
                }
                let times = times.ceil() as usize;
                let Some(bytes) = text.len().checked_mul(times) else {
                    meter::stop(Limit::Weight)
                };
                meter::weigh(bytes);
                Ok(Val::text(&text.repeat(times)))
            }
            (Val::Map(l), Val::Map(r)) => Ok(merge_deep(l, &r)),
            (l, r) => Err(Error::math(l, Math::Mul, r)),
        }
    }
}

fn merge_deep(left: Rc<Object>, right: &Object) -> Val {
    let mut entries = entries_of(left);
    for (key, value) in &right.entries {
        let merged = match (entries.get(key), value) {
            (Some(Val::Map(l)), Val::Map(r)) => merge_deep(l.clone(), r),
            _ => value.clone(),
        };
        entries.insert(key.clone(), merged);
    }
    Val::map(entries)
}

impl Div for Val {
    type Output = ValR;
    fn div(self, right: Val) -> ValR {
        meter::spend(1);
        match (self, right) {
            (Val::Num(_), Val::Num(r)) if to_float(&r) == 0.0 => Err(Error::str("cannot divide by zero")),
            (Val::Num(l), Val::Num(r)) => computed(l / r),
            (Val::Text(l), Val::Text(r)) => Ok(split(&l, &r)),
            (l, r) => Err(Error::math(l, Math::Div, r)),
        }
    }
}

fn split(text: &str, separator: &str) -> Val {
    meter::spend_bytes(text.len());
    Val::list(match (text, separator) {
        ("", _) => Vec::new(),
        (_, "") => text.chars().map(|c| Val::text(c.encode_utf8(&mut [0; 4]))).collect(),
        _ => text.split(separator).map(Val::text).collect(),
    })
}

impl Rem for Val {
    type Output = ValR;
    fn rem(self, right: Val) -> ValR {
        meter::spend(1);
        match (self, right) {
            (Val::Num(_), Val::Num(r)) if to_float(&r) == 0.0 => Err(Error::str("cannot divide by zero")),
            (Val::Num(l), Val::Num(r)) => computed(l % r),
            (l, r) => Err(Error::math(l, Math::Rem, r)),
        }
    }
}

impl Neg for Val {
    type Output = ValR;
    fn neg(self) -> ValR {
        meter::spend(1);
        match self {
            Val::Num(Num::Int(0)) => Ok(Val::Num(Num::Int(0))),
            Val::Num(num) => {
                let negated = -num;
                match Number::parse(&negated.to_string()) {
                    Ok(_) => Ok(Val::Num(negated)),
                    Err(error) => Err(Error::str(error)),
                }
            }
            other => Err(Error::typ(other, "number")),
        }
    }
}

impl PartialEq for Val {
    fn eq(&self, other: &Val) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Val {}

impl PartialOrd for Val {
    fn partial_cmp(&self, other: &Val) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// null, booleans, numbers, strings, arrays, objects; objects by their sorted names first.
impl Ord for Val {
    fn cmp(&self, other: &Val) -> Ordering {
        meter::spend(1);
        let rank = |value: &Val| match value {
            Val::Null => 0,
            Val::Bool(_) => 1,
            Val::Num(_) => 2,
            Val::Text(_) => 3,
            Val::List(_) => 4,
            Val::Map(_) => 5,
        };
        match (self, other) {
            (Val::Bool(l), Val::Bool(r)) => l.cmp(r),
            (Val::Num(l), Val::Num(r)) => compare(l, r),
            (Val::Text(l), Val::Text(r)) => {
                meter::spend_bytes(l.len().min(r.len()));
                l.cmp(r)
            }
            (Val::List(l), Val::List(r)) => l.items.cmp(&r.items),
            (Val::Map(l), Val::Map(r)) => {
                meter::spend(l.entries.len() + r.entries.len());
                let sorted = |entries: &Entries| {
                    let mut sorted: Vec<(Rc<str>, Val)> = entries.clone().into_iter().collect();
                    sorted.sort_by(|(l, _), (r, _)| l.cmp(r));
                    sorted
                };
                let (l, r) = (sorted(&l.entries), sorted(&r.entries));
                let keys = l.iter().map(|(key, _)| key).cmp(r.iter().map(|(key, _)| key));
                keys.then_with(|| l.iter().map(|(_, value)| value).cmp(r.iter().map(|(_, value)| value)))
            }
            (l, r) => rank(l).cmp(&rank(r)),
        }
    }
}

/// Exact where both are exact: amounts that differ in their last digit are different.
fn compare(left: &Num, right: &Num) -> Ordering {
    let decimal = |num: &Num| match num {
        Num::Int(int) => Some((*int as i64).into()),
        Num::Dec(text) => rust_decimal::Decimal::from_str_exact(text).ok(),
        Num::BigInt(_) | Num::Float(_) => None,
    };
    match (left, right) {
        (Num::Int(l), Num::Int(r)) => l.cmp(r),
        _ => match (decimal(left), decimal(right)) {
            (Some(l), Some(r)) => l.cmp(&r),
            _ => left.cmp(right),
        },
    }
}

impl From<bool> for Val {
    fn from(bool: bool) -> Val {
        meter::spend(1);
        Val::Bool(bool)
    }
}

impl From<isize> for Val {
    fn from(int: isize) -> Val {
        meter::spend(1);
        Val::Num(Num::Int(int))
    }
}

impl From<usize> for Val {
    fn from(int: usize) -> Val {
        meter::spend(1);
        Val::Num(Num::from_integral(int))
    }
}

impl From<f64> for Val {
    /// What is no number, or none that can be written down, is null, as jq prints it.
    fn from(float: f64) -> Val {
        meter::spend(1);
        Val::float(float).unwrap_or(Val::Null)
    }
}

impl From<String> for Val {
    fn from(text: String) -> Val {
        Val::text(&text)
    }
}

impl From<Range<Val>> for Val {
    fn from(range: Range<Val>) -> Val {
        let named = [("start", range.start), ("end", range.end)].into_iter();
        Val::map(
            named
                .flat_map(|(name, bound)| bound.map(|bound| (name.into(), bound)))
                .collect(),
        )
    }
}

impl FromIterator<Val> for Val {
    fn from_iter<I: IntoIterator<Item = Val>>(items: I) -> Val {
        let mut collected = Vec::new();
        let mut weight = 0;
        for item in items {
            // Stopping here, not at the end, bounds the memory as well.
            weight += item.weight();
            meter::weigh(weight);
            meter::spend(1);
            collected.push(item);
        }
        Val::list(collected)
    }
}

impl jaq_std::ValT for Val {
    fn into_seq<S: FromIterator<Val>>(self) -> Result<S, Val> {
        match self {
            Val::List(list) => Ok(items_of(list).into_iter().collect()),
            other => Err(other),
        }
    }

    fn is_int(&self) -> bool {
        matches!(self, Val::Num(Num::Int(_) | Num::BigInt(_)))
    }

    fn as_isize(&self) -> Option<isize> {
        match self {
            Val::Num(num) => num.as_isize(),
            _ => None,
        }
    }

    fn as_f64(&self) -> Option<f64> {
        match self {
            Val::Num(num) => Some(to_float(num)),
            _ => None,
        }
    }

    fn is_utf8_str(&self) -> bool {
        matches!(self, Val::Text(_))
    }

    fn as_bytes(&self) -> Option<&[u8]> {
        let text = self.as_text()?;
        meter::spend_bytes(text.len());
        Some(text.as_bytes())
    }

    fn as_sub_str(&self, part: &[u8]) -> Val {
        Val::text(&String::from_utf8_lossy(part))
    }

    fn from_utf8_bytes(bytes: impl AsRef<[u8]> + Send + 'static) -> Val {
        Val::text(&String::from_utf8_lossy(bytes.as_ref()))
    }
}
