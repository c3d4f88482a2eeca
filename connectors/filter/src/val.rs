//! The values a running filter works on. They know their own weight and depth, numbers in them keep
//! their digits until arithmetic touches them, and every operation pays the [`meter`](crate::meter).
//!
//! A number here always has a decimal text of at most 64 characters; floats that would not are
//! refused where they arise, so that going back to [`Value`] cannot fail.

use std::fmt;
use std::rc::Rc;

use contract::{Fields, Number, Value};
use jaq_json::Num;

use crate::meter::{self, DEPTH_MAX, Limit};

pub(crate) type Error = jaq_core::Error<Val>;
pub(crate) type ValR = Result<Val, Error>;
pub(crate) type Entries = jaq_json::Map<Rc<str>, Val>;

/// What a value weighs by itself.
const SCALAR_BYTES: usize = 16;

#[derive(Debug)]
pub(crate) enum Val {
    Null,
    Bool(bool),
    Num(Num),
    Text(Rc<str>),
    List(Rc<List>),
    Map(Rc<Object>),
}

#[derive(Clone, Debug)]
pub(crate) struct List {
    pub(crate) items: Vec<Val>,
    weight: usize,
    depth: u32,
}

#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) entries: Entries,
    weight: usize,
    depth: u32,
}

impl Clone for Val {
    fn clone(&self) -> Val {
        // Wherever the interpreter branches it clones, so this is what bounds nested products.
        meter::spend(1);
        match self {
            Val::Null => Val::Null,
            Val::Bool(bool) => Val::Bool(*bool),
            Val::Num(num) => Val::Num(num.clone()),
            Val::Text(text) => Val::Text(text.clone()),
            Val::List(list) => Val::List(list.clone()),
            Val::Map(map) => Val::Map(map.clone()),
        }
    }
}

impl Val {
    pub(crate) fn text(text: &str) -> Val {
        meter::weigh(text.len());
        meter::spend_bytes(text.len());
        Val::Text(text.into())
    }

    pub(crate) fn list(items: Vec<Val>) -> Val {
        let weight = items.iter().map(Val::weight).sum::<usize>() + SCALAR_BYTES;
        let depth = 1 + items.iter().map(Val::depth).max().unwrap_or(0);
        meter::spend(1 + items.len() / 4);
        Val::check(weight, depth);
        Val::List(Rc::new(List { items, weight, depth }))
    }

    pub(crate) fn map(entries: Entries) -> Val {
        let weight = entries
            .iter()
            .map(|(key, value)| entry_weight(key, value))
            .sum::<usize>();
        let depth = 1 + entries.values().map(Val::depth).max().unwrap_or(0);
        meter::spend(1 + entries.len() / 4);
        Val::check(weight, depth);
        Val::Map(Rc::new(Object { entries, weight, depth }))
    }

    fn check(weight: usize, depth: u32) {
        meter::weigh(weight);
        if depth > DEPTH_MAX {
            meter::stop(Limit::Depth);
        }
    }

    /// The right object's fields laid over the left one's; in place where nobody else holds the left.
    pub(crate) fn merge(mut left: Rc<Object>, right: &Object) -> Val {
        meter::spend(1 + right.entries.len());
        let object = Rc::make_mut(&mut left);
        for (key, value) in &right.entries {
            object.weight += entry_weight(key, value);
            if let Some(old) = object.entries.insert(key.clone(), value.clone()) {
                object.weight -= entry_weight(key, &old);
            }
        }
        object.depth = object.depth.max(right.depth);
        Val::check(object.weight, object.depth);
        Val::Map(left)
    }

    /// Bytes this value takes, shared parts counted each time they are seen.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Val::Null | Val::Bool(_) | Val::Num(_) => SCALAR_BYTES,
            Val::Text(text) => SCALAR_BYTES + text.len(),
            Val::List(list) => list.weight,
            Val::Map(map) => map.weight,
        }
    }

    fn depth(&self) -> u32 {
        match self {
            Val::List(list) => list.depth,
            Val::Map(map) => map.depth,
            _ => 0,
        }
    }

    pub(crate) fn number(number: &Number) -> Val {
        let text = number.as_str();
        Val::Num(match Num::from_str_radix(text, 10) {
            Some(integer) => integer,
            None => Num::Dec(Rc::new(text.to_owned())),
        })
    }

    /// A float becomes a number only where its digits can be written down.
    pub(crate) fn float(float: f64) -> ValR {
        if float == 0.0 || (float.abs() < 1e-40) {
            return Ok(Val::Num(Num::Int(0)));
        }
        match float.is_finite() && float.abs() < 1e40 {
            true => Ok(Val::Num(Num::Float(float))),
            false => Err(Error::str("the result is not a number that can be written down")),
        }
    }

    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Val::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Val::Null => "null",
            Val::Bool(_) => "boolean",
            Val::Num(_) => "number",
            Val::Text(_) => "string",
            Val::List(_) => "array",
            Val::Map(_) => "object",
        }
    }

    /// The text itself, or the JSON of anything else, numbers with the digits they came with.
    pub(crate) fn into_text(self) -> Val {
        match self {
            Val::Text(_) => self,
            other => Val::text(&other.to_json()),
        }
    }

    pub(crate) fn to_json(&self) -> String {
        meter::spend_bytes(self.weight() * 4);
        self.to_value().to_json()
    }

    pub(crate) fn to_value(&self) -> Value {
        match self {
            Val::Null => Value::Null,
            Val::Bool(bool) => Value::Bool(*bool),
            Val::Num(num) => Value::Number(to_number(num)),
            Val::Text(text) => Value::text(&**text),
            Val::List(list) => Value::List(list.items.iter().map(Val::to_value).collect()),
            Val::Map(map) => {
                let mut fields = Fields::with_capacity(map.entries.len());
                for (key, value) in &map.entries {
                    fields.push(key.to_string(), value.to_value());
                }
                Value::Map(fields)
            }
        }
    }
}

fn entry_weight(key: &str, value: &Val) -> usize {
    SCALAR_BYTES + key.len() + value.weight()
}

fn to_number(num: &Num) -> Number {
    let text = match num {
        Num::Int(int) => return Number::from(*int as i64),
        Num::Dec(text) => Number::parse(text),
        Num::BigInt(big) => Number::parse(&big.to_string()),
        Num::Float(float) => Number::parse(&float.to_string()),
    };
    // All numbers are made to fit; zero would be a wrong amount, so this stops the run instead.
    text.unwrap_or_else(|_| meter::stop(Limit::Weight))
}

impl From<&Value> for Val {
    fn from(value: &Value) -> Val {
        match value {
            Value::Null => Val::Null,
            Value::Bool(bool) => Val::Bool(*bool),
            Value::Number(number) => Val::number(number),
            Value::Text(text) => Val::Text(text.as_str().into()),
            Value::List(items) => Val::list(items.iter().map(Val::from).collect()),
            Value::Map(fields) => Val::map(fields.iter().map(|(key, value)| (key.into(), value.into())).collect()),
        }
    }
}

/// An excerpt for error messages: filters fail on customers' data, which belongs in no log.
impl fmt::Display for Val {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Val::List(list) if !list.items.is_empty() => write!(f, "[…{} items]", list.items.len()),
            Val::Map(map) if !map.entries.is_empty() => {
                let names: Vec<&str> = map.entries.keys().take(3).map(|key| &**key).collect();
                let more = if map.entries.len() > 3 { ",…" } else { "" };
                write!(f, "{{{}{more}}}", excerpt(&names.join(","), 40))
            }
            Val::Text(text) => write!(f, "{}", Value::text(excerpt(text, 30)).to_json()),
            other => f.write_str(&other.to_value().to_json()),
        }
    }
}

/// At most that many characters.
pub(crate) fn excerpt(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
