//! What the interpreter asks of a value: indexing, slicing, arithmetic, order. Results follow jq,
//! save that arithmetic that leaves the range of numbers is an error and never `null` or infinity.

use std::cmp::Ordering;
use std::ops::{Add, Div, Mul, Neg, Rem, Sub};
use std::rc::Rc;

use contract::Number;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Exn, ValX, ops::Math};
use jaq_json::Num;

use crate::meter::{self, Limit};
use crate::val::{Entries, Error, List, Object, Val, ValR};

/// An integer result keeps this many bits at most: the length of a number's text is bounded.
const INTEGER_BITS_MAX: u64 = 200;

fn iterable(value: Val) -> Error {
    Error::typ(value, "iterable (array or object)")
}

fn items_of(list: Rc<List>) -> Vec<Val> {
    meter::spend(1 + list.items.len());
    Rc::try_unwrap(list).unwrap_or_else(|shared| (*shared).clone()).items
}

pub(crate) fn entries_of(map: Rc<Object>) -> Entries {
    meter::spend(1 + map.entries.len());
    Rc::try_unwrap(map).unwrap_or_else(|shared| (*shared).clone()).entries
}

/// A whole position, counted from the end where it is negative. Fractions round down, as in jq.
fn position(num: &Num, len: usize) -> Option<usize> {
    let at = match num {
        Num::Int(int) => *int,
        other => to_float(other).floor() as isize,
    };
    match at < 0 {
        true => len.checked_sub(at.unsigned_abs()),
        false => Some(at.unsigned_abs()).filter(|at| *at < len),
    }
}

pub(crate) fn to_float(num: &Num) -> f64 {
    match num {
        Num::Int(int) => *int as f64,
        Num::Float(float) => *float,
        Num::BigInt(big) => big.to_string().parse().unwrap_or(f64::MAX),
        Num::Dec(text) => text.parse().unwrap_or(f64::MAX),
    }
}

/// Where a slice starts and how many it takes. A missing or null bound is the end on that side.
fn slice(range: &Range<&Val>, len: usize) -> Result<(usize, usize), Error> {
    let bound = |bound: Option<&Val>, missing: usize, round: fn(f64) -> f64| match bound {
        None | Some(Val::Null) => Ok(missing),
        Some(Val::Num(num)) => {
            let at = match num {
                Num::Int(int) => *int,
                other => round(to_float(other)) as isize,
            };
            Ok(match at < 0 {
                true => len.saturating_sub(at.unsigned_abs()),
                false => at.unsigned_abs().min(len),
            })
        }
        Some(other) => Err(Error::typ(other.clone(), "position of a slice")),
    };
    let start = bound(range.start, 0, f64::floor)?;
    let end = bound(range.end, len, f64::ceil)?;
    Ok((start, end.saturating_sub(start)))
}

impl jaq_core::ValT for Val {
    fn from_num(text: &str) -> ValR {
        meter::spend(1);
        Number::parse(text)
            .map(|number| Val::number(&number))
            .map_err(Error::str)
    }

    fn from_map<I: IntoIterator<Item = (Val, Val)>>(fields: I) -> ValR {
        let mut entries = Entries::default();
        for (key, value) in fields {
            match key {
                Val::Text(key) => entries.insert(key, value),
                other => return Err(Error::typ(other, "key of an object: keys are strings")),
            };
        }
        Ok(Val::map(entries))
    }

    fn key_values(self) -> Box<dyn Iterator<Item = Result<(Val, Val), Error>>> {
        match self {
            Val::List(list) => Box::new(
                items_of(list)
                    .into_iter()
                    .enumerate()
                    .map(|(at, item)| Ok((Val::from(at), item))),
            ),
            Val::Map(map) => Box::new(
                entries_of(map)
                    .into_iter()
                    .map(|(key, value)| Ok((Val::Text(key), value))),
            ),
            other => Box::new(std::iter::once(Err(iterable(other)))),
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = ValR>> {
        match self {
            Val::List(list) => Box::new(items_of(list).into_iter().map(Ok)),
            Val::Map(map) => Box::new(entries_of(map).into_iter().map(|(_, value)| Ok(value))),
            other => Box::new(std::iter::once(Err(iterable(other)))),
        }
    }

    fn index(self, index: &Val) -> ValR {
        meter::spend(1);
        match (&self, index) {
            (Val::Null, Val::Null | Val::Text(_) | Val::Num(_)) => Ok(Val::Null),
            (Val::Map(map), Val::Text(key)) => Ok(map.entries.get(key).cloned().unwrap_or(Val::Null)),
            (Val::List(list), Val::Num(num)) => {
                let at = position(num, list.items.len());
                Ok(at.map_or(Val::Null, |at| list.items[at].clone()))
            }
            _ => Err(Error::index(self, index.clone())),
        }
    }

    fn range(self, range: Range<&Val>) -> ValR {
        match self {
            Val::Null => Ok(Val::Null),
            Val::List(list) => {
                let (start, len) = slice(&range, list.items.len())?;
                Ok(Val::list(list.items[start..start + len].to_vec()))
            }
            Val::Text(text) => {
                meter::spend_bytes(text.len());
                let (start, len) = slice(&range, text.chars().count())?;
                Ok(Val::text(&text.chars().skip(start).take(len).collect::<String>()))
            }
            other => Err(Error::typ(other, "array or string to take a slice of")),
        }
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Val>>>(self, opt: Opt, f: impl Fn(Val) -> I) -> ValX<'a, Val> {
        match self {
            Val::List(list) => {
                let items = items_of(list).into_iter().flat_map(f);
                Ok(Val::list(items.collect::<Result<_, _>>()?))
            }
            Val::Map(map) => {
                let kept = |(key, value)| f(value).next().map(|value| Ok((key, value?)));
                let entries = entries_of(map).into_iter().filter_map(kept);
                Ok(Val::map(entries.collect::<Result<_, Exn<'a, Val>>>()?))
            }
            other => opt.fail(other, |other| Exn::from(iterable(other))),
        }
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        index: &Val,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match (self, index) {
            (Val::Null, Val::Text(key)) => {
                let value = f(Val::Null).next().transpose()?;
                Ok(Val::map(value.map(|value| (key.clone(), value)).into_iter().collect()))
            }
            (Val::Map(map), Val::Text(key)) => {
                let mut entries = entries_of(map);
                let old = entries.get(key).cloned().unwrap_or(Val::Null);
                match f(old).next().transpose()? {
                    Some(value) => entries.insert(key.clone(), value),
                    None => entries.shift_remove(key),
                };
                Ok(Val::map(entries))
            }
            (Val::List(list), Val::Num(num)) => {
                let mut items = items_of(list);
                let Some(at) = position(num, items.len()) else {
                    let beyond = |_| Exn::from(Error::str(format_args!("index {num} is out of bounds")));
                    return opt.fail(Val::list(items), beyond);
                };
                match f(std::mem::replace(&mut items[at], Val::Null)).next().transpose()? {
                    Some(value) => items[at] = value,
                    None => drop(items.remove(at)),
                }
                Ok(Val::list(items))
            }
            (other, index) => opt.fail(other, |other| Exn::from(Error::index(other, index.clone()))),
        }
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Val>>>(
        self,
        range: Range<&Val>,
        opt: Opt,
        f: impl Fn(Val) -> I,
    ) -> ValX<'a, Val> {
        match self {
            Val::List(list) => {
                let mut items = items_of(list);
                let (start, len) = slice(&range, items.len())?;
                let part = Val::list(items[start..start + len].to_vec());
                let new = match f(part).next().transpose()? {
                    Some(Val::List(new)) => items_of(new),
                    Some(other) => return Err(Exn::from(Error::typ(other, "array"))),
                    None => Vec::new(),
                };
                items.splice(start..start + len, new);
                Ok(Val::list(items))
            }
            other => opt.fail(other, |other| Exn::from(Error::typ(other, "array"))),
        }
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Val::Null | Val::Bool(false))
    }

    fn into_string(self) -> Val {
        self.into_text()
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
