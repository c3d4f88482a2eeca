//! The native functions of a filter: ours, and those of the interpreter's library that neither reach
//! outside nor run on. What is not in these lists is not in the program at all: no `env`, no clock.

use contract::{Number, Value};
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, DataT, Lut, RunPtr, ValXs};

use crate::meter;
use crate::val::{Error, Val, ValR};
use crate::{Env, decimal, lists, pattern};

pub(crate) enum Engine {}

/// What native functions can see besides their input.
#[derive(Clone, Copy)]
pub(crate) struct Data<'a> {
    pub(crate) lut: &'a Lut<Engine>,
    pub(crate) env: &'a Env,
}

impl DataT for Engine {
    type V<'a> = Val;
    type Data<'a> = Data<'a>;
}

impl<'a> jaq_core::data::HasLut<'a, Engine> for Data<'a> {
    fn lut(&self) -> &'a Lut<Engine> {
        self.lut
    }
}

const CORE: [&str; 8] = [
    "error_empty",
    "path",
    "keys_unsorted",
    "key_values",
    "first",
    "last",
    "limit",
    "skip",
];
const STD: [&str; 39] = [
    "floor",
    "round",
    "ceil",
    "sqrt",
    "pow",
    "utf8bytelength",
    "explode",
    "implode",
    "ascii_downcase",
    "ascii_upcase",
    "reverse",
    "sort",
    "sort_by",
    "group_by",
    "min_by_or_empty",
    "max_by_or_empty",
    "startswith",
    "endswith",
    "trim",
    "ltrim",
    "rtrim",
    "escape_html",
    "encode_uri",
    "decode_uri",
    "encode_base64",
    "decode_base64",
    "fromdateiso8601",
    "todateiso8601",
    "strftime",
    "gmtime",
    "strptime",
    "mktime",
    "log2",
    "log10",
    "exp",
    "log",
    "trunc",
    "matches",
    "split_matches",
];

pub(crate) fn all() -> impl Iterator<Item = Fun<Engine>> {
    let core = jaq_core::funs().filter(|(name, ..)| CORE.contains(name));
    let std = jaq_std::funs().filter(|(name, ..)| STD.contains(name) || *name == "split_");
    let std = std.map(|(name, args, fun)| match name {
        // Reached only through the prelude, which pays for the pattern first.
        "matches" => ("_matches", args, fun),
        "split_matches" => ("_split_matches", args, fun),
        "split_" => ("_split", args, fun),
        name => (name, args, fun),
    });
    core.chain(std).chain(ours())
}

fn ours() -> impl Iterator<Item = Fun<Engine>> {
    let nullary: [(&'static str, RunPtr<Engine>); 19] = [
        ("null", |_| bome(Ok(Val::Null))),
        ("true", |_| bome(Ok(Val::Bool(true)))),
        ("false", |_| bome(Ok(Val::Bool(false)))),
        ("not", |cv| bome(Ok(Val::Bool(!jaq_core::ValT::as_bool(&cv.1))))),
        ("type", |cv| bome(Ok(Val::text(cv.1.kind())))),
        ("length", |cv| bome(lists::length(cv.1))),
        ("keys", |cv| bome(lists::keys(cv.1))),
        ("add", |cv| bome(lists::add(cv.1))),
        ("abs", |cv| bome(abs(cv.1))),
        ("tostring", |cv| bome(Ok(cv.1.into_text()))),
        ("tonumber", |cv| bome(to_number(cv.1))),
        ("toboolean", |cv| bome(to_boolean(cv.1))),
        ("tojson", |cv| bome(Ok(Val::text(&cv.1.to_json())))),
        ("fromjson", |cv| bome(from_json(&cv.1))),
        ("toarray", |cv| {
            bome(Ok(match cv.1 {
                Val::List(_) => cv.1,
                other => Val::list(vec![other]),
            }))
        }),
        ("flatten", |cv| bome(lists::flatten(cv.1, usize::MAX))),
        ("from_entries", |cv| bome(lists::from_entries(cv.1))),
        ("to_entries", |cv| bome(lists::to_entries(cv.1))),
        ("dec_sum", |cv| bome(decimal::sum(&cv.1))),
    ];
    let binaries: [(&'static str, RunPtr<Engine>); 5] = [
        ("_pattern", pattern_paid),
        ("dec_add", |cv| binary(cv, decimal::add)),
        ("dec_sub", |cv| binary(cv, decimal::sub)),
        ("dec_mul", |cv| binary(cv, decimal::mul)),
        ("dec_div", |cv| binary(cv, decimal::div)),
    ];
    let nullary = nullary.into_iter().map(|(name, fun)| run::<Engine>((name, v(0), fun)));
    let unaries = unaries()
        .into_iter()
        .map(|(name, fun)| run::<Engine>((name, v(1), fun)));
    let binaries = binaries.into_iter().map(|(name, fun)| run::<Engine>((name, v(2), fun)));
    nullary.chain(unaries).chain(binaries)
}

fn unaries() -> [(&'static str, RunPtr<Engine>); 17] {
    [
        ("has", |cv| unary(cv, |value, key| lists::has(&value, &key))),
        ("contains", |cv| {
            unary(cv, |value, part| lists::contains(&value, &part).map(Val::Bool))
        }),
        ("indices", |cv| unary(cv, |value, part| lists::indices(&value, &part))),
        ("join", |cv| unary(cv, |value, separator| join(&value, &separator))),
        ("split", |cv| unary(cv, split)),
        ("flatten", |cv| {
            unary(cv, |value, depth| match lists::depth_of(&depth) {
                Some(depth) => lists::flatten(value, depth),
                None => Err(Error::str("flatten takes a depth of 0 or more")),
            })
        }),
        ("ltrimstr", |cv| {
            unary(cv, |value, fix| Ok(trim(value, &fix, true, false)))
        }),
        ("rtrimstr", |cv| {
            unary(cv, |value, fix| Ok(trim(value, &fix, false, true)))
        }),
        ("trimstr", |cv| {
            unary(cv, |value, fix| Ok(trim(value, &fix, true, true)))
        }),
        ("_delete", |cv| unary(cv, lists::delete)),
        ("dec_add", |cv| unary(cv, |l, r| decimal::add(&l, &r))),
        ("dec_sub", |cv| unary(cv, |l, r| decimal::sub(&l, &r))),
        ("dec_mul", |cv| unary(cv, |l, r| decimal::mul(&l, &r))),
        ("dec_div", |cv| unary(cv, |l, r| decimal::div(&l, &r))),
        ("dec_round", |cv| {
            unary(cv, |value, places| decimal::round(&value, &places))
        }),
        ("getpath", |cv| unary(cv, lists::get_path)),
        ("lookup", lookup),
    ]
}

/// `f(a; b)`, whatever the input is.
fn binary<'a>(mut cv: Cv<'a, Engine>, f: fn(&Val, &Val) -> ValR) -> ValXs<'a, Val> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    bome(f(&left, &right))
}

/// The input, once matching the pattern on it is paid for.
fn pattern_paid<'a>(mut cv: Cv<'a, Engine>) -> ValXs<'a, Val> {
    let flags = cv.0.pop_var();
    let pattern = cv.0.pop_var();
    bome(pattern::pay(&cv.1, &pattern, &flags).map(|()| cv.1))
}

fn lookup<'a>(mut cv: Cv<'a, Engine>) -> ValXs<'a, Val> {
    let name = cv.0.pop_var();
    let env = cv.0.data().env;
    bome(look_up(env, &name, &cv.1))
}

fn look_up(env: &Env, name: &Val, value: &Val) -> ValR {
    let Some(table) = name.as_text().and_then(|name| env.tables.get(name)) else {
        return Err(Error::str(format_args!("there is no table {name}")));
    };
    let key = match value {
        Val::List(_) | Val::Map(_) => {
            return Err(Error::str(format_args!(
                "lookup({name}) takes a text, a number or a boolean, not {value}"
            )));
        }
        Val::Text(text) => text.to_string(),
        scalar => scalar.to_json(),
    };
    match table.entries.get(&key).or(table.default.as_ref()) {
        Some(found) => Ok(Val::from(found)),
        None => Err(Error::str(format_args!(
            "the table {name} has no entry for {value} and no default"
        ))),
    }
}

pub(crate) fn abs(value: Val) -> ValR {
    match &value {
        Val::Num(num) if num.to_string().starts_with('-') => -value,
        Val::Num(_) => Ok(value),
        _ => Err(Error::typ(value, "number")),
    }
}

/// Leading zeros are dropped; grouping, blanks and other scripts' digits are refused.
fn to_number(value: Val) -> ValR {
    match &value {
        Val::Num(_) => Ok(value),
        Val::Text(text) => {
            let (sign, digits) = match text.strip_prefix('-') {
                Some(digits) => ("-", digits),
                None => ("", &**text),
            };
            let whole = digits.trim_start_matches('0');
            let zero = if whole.starts_with(|c: char| c.is_ascii_digit()) || digits.is_empty() {
                ""
            } else {
                "0"
            };
            let zero = if digits.len() == whole.len() { "" } else { zero };
            let number = Number::parse(&format!("{sign}{zero}{whole}"));
            number
                .map(|number| Val::number(&number))
                .map_err(|_| Error::str(format_args!("cannot read {value} as a number")))
        }
        other => Err(Error::str(format_args!("cannot read {other} as a number"))),
    }
}

fn to_boolean(value: Val) -> ValR {
    match value.as_text() {
        Some("true") => Ok(Val::Bool(true)),
        Some("false") => Ok(Val::Bool(false)),
        _ if matches!(value, Val::Bool(_)) => Ok(value),
        _ => Err(Error::str(format_args!("cannot read {value} as true or false"))),
    }
}

fn from_json(value: &Val) -> ValR {
    let text = value.as_text().ok_or_else(|| Error::typ(value.clone(), "string"))?;
    meter::spend(1 + text.len() / 8);
    match Value::parse(text) {
        Ok(parsed) => Ok(Val::from(&parsed)),
        Err(error) => Err(Error::str(format_args!("cannot read {value} as JSON: {error}"))),
    }
}

pub(crate) fn join(value: &Val, separator: &Val) -> ValR {
    let (Val::List(list), Val::Text(separator)) = (value, separator) else {
        return Err(Error::str(format_args!("cannot join {value} with {separator}")));
    };
    let mut joined = String::new();
    for (at, item) in list.items.iter().enumerate() {
        if at > 0 {
            joined.push_str(separator);
        }
        match item {
            Val::Null => {}
            Val::Text(text) => joined.push_str(text),
            Val::Bool(_) | Val::Num(_) => joined.push_str(&item.to_json()),
            other => return Err(Error::str(format_args!("cannot join {other}: it is no text"))),
        }
        meter::spend(1);
        meter::weigh(joined.len());
    }
    Ok(Val::text(&joined))
}

fn split(value: Val, separator: Val) -> ValR {
    match (&value, &separator) {
        (Val::Text(_), Val::Text(_)) => value / separator,
        _ => Err(Error::str(format_args!(
            "cannot split {value} at {separator}: both must be strings"
        ))),
    }
}

/// What is no text, or does not begin or end so, stays as it is.
fn trim(value: Val, fix: &Val, front: bool, back: bool) -> Val {
    let (Val::Text(text), Val::Text(fix)) = (&value, fix) else {
        return value;
    };
    let mut rest = &**text;
    if front {
        rest = rest.strip_prefix(&**fix).unwrap_or(rest);
    }
    if back {
        rest = rest.strip_suffix(&**fix).unwrap_or(rest);
    }
    if rest.len() == text.len() {
        return value;
    }
    Val::text(rest)
}
