//! How the interpreter reaches into a value and puts parts of it in place: indexing, slicing,
//! iterating. Results follow jq.

use std::rc::Rc;

use contract::Number;
use jaq_core::path::Opt;
use jaq_core::val::Range;
use jaq_core::{Exn, ValX};
use jaq_json::Num;

use crate::meter;
use crate::ops::to_float;
use crate::val::{Entries, Error, List, Object, Val, ValR};

fn iterable(value: Val) -> Error {
    Error::typ(value, "iterable (array or object)")
}

pub(crate) fn items_of(list: Rc<List>) -> Vec<Val> {
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
