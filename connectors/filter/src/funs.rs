//! The native functions of a filter: ours, and those of the interpreter's library that neither reach
//! outside nor run on. What is not in these lists is not in the program at all: no `env`, no clock.

use std::rc::Rc;

use contract::{Number, Value};
use jaq_core::native::{Fun, bome, run, unary, v};
use jaq_core::{Cv, DataT, Lut, RunPtr, ValXs};

use crate::meter;
use crate::ops::entries_of;
use crate::val::{Entries, Error, Val, ValR};
use crate::{Env, decimal, pattern};

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
        ("length", |cv| bome(length(cv.1))),
        ("keys", |cv| bome(keys(cv.1))),
        ("add", |cv| bome(add(cv.1))),
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
        ("flatten", |cv| bome(flatten(cv.1, usize::MAX))),
        ("from_entries", |cv| bome(from_entries(cv.1))),
        ("to_entries", |cv| bome(to_entries(cv.1))),
        ("dec_sum", |cv| bome(decimal::sum(&cv.1))),
    ];
    let unaries: [(&'static str, RunPtr<Engine>); 18] = [
        ("has", |cv| unary(cv, |value, key| has(&value, &key))),
        ("contains", |cv| {
            unary(cv, |value, part| contains(&value, &part).map(Val::Bool))
        }),
        ("indices", |cv| unary(cv, |value, part| indices(&value, &part))),
        ("join", |cv| unary(cv, |value, separator| join(&value, &separator))),
        ("split", |cv| unary(cv, split)),
        ("flatten", |cv| {
            unary(cv, |value, depth| match depth_of(&depth) {
                Some(depth) => flatten(value, depth),
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
        ("_delete", |cv| unary(cv, delete)),
        ("_pattern", |cv| {
            unary(cv, |text, pattern| pattern::pay(&text, &pattern).map(|()| text))
        }),
        ("dec_add", |cv| unary(cv, |l, r| decimal::add(&l, &r))),
        ("dec_sub", |cv| unary(cv, |l, r| decimal::sub(&l, &r))),
        ("dec_mul", |cv| unary(cv, |l, r| decimal::mul(&l, &r))),
        ("dec_div", |cv| unary(cv, |l, r| decimal::div(&l, &r))),
        ("dec_round", |cv| {
            unary(cv, |value, places| decimal::round(&value, &places))
        }),
        ("getpath", |cv| unary(cv, get_path)),
        ("lookup", lookup),
    ];
    let binaries: [(&'static str, RunPtr<Engine>); 4] = [
        ("dec_add", |cv| binary(cv, decimal::add)),
        ("dec_sub", |cv| binary(cv, decimal::sub)),
        ("dec_mul", |cv| binary(cv, decimal::mul)),
        ("dec_div", |cv| binary(cv, decimal::div)),
    ];
    let nullary = nullary.into_iter().map(|(name, fun)| run::<Engine>((name, v(0), fun)));
    let unaries = unaries.into_iter().map(|(name, fun)| run::<Engine>((name, v(1), fun)));
    let binaries = binaries.into_iter().map(|(name, fun)| run::<Engine>((name, v(2), fun)));
    nullary.chain(unaries).chain(binaries)
}

/// `f(a; b)`, whatever the input is.
fn binary<'a>(mut cv: Cv<'a, Engine>, f: fn(&Val, &Val) -> ValR) -> ValXs<'a, Val> {
    let right = cv.0.pop_var();
    let left = cv.0.pop_var();
    bome(f(&left, &right))
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

fn length(value: Val) -> ValR {
    let len = match &value {
        Val::Null => 0,
        Val::Num(_) => return abs(value),
        Val::Bool(_) => return Err(Error::str(format_args!("{value} has no length"))),
        Val::Text(text) => {
            meter::spend_bytes(text.len());
            text.chars().count()
        }
        Val::List(list) => list.items.len(),
        Val::Map(map) => map.entries.len(),
    };
    Ok(Val::from(len))
}

fn abs(value: Val) -> ValR {
    match &value {
        Val::Num(num) if num.to_string().starts_with('-') => -value,
        Val::Num(_) => Ok(value),
        _ => Err(Error::typ(value, "number")),
    }
}

fn keys(value: Val) -> ValR {
    match value {
        Val::Map(map) => {
            meter::spend(map.entries.len() * 4);
            let mut keys: Vec<Rc<str>> = map.entries.keys().cloned().collect();
            keys.sort();
            Ok(Val::list(keys.into_iter().map(Val::Text).collect()))
        }
        Val::List(list) => Ok((0..list.items.len()).map(Val::from).collect()),
        other => Err(Error::typ(other, "object or array to take the keys of")),
    }
}

/// Texts are joined in one go: adding them one by one would copy the growing text each time.
fn add(value: Val) -> ValR {
    let items = match value {
        Val::Map(map) => Val::list(entries_of(map).into_values().collect()),
        other => other,
    };
    let Val::List(list) = &items else {
        return Err(Error::typ(items, "array or object to add up"));
    };
    if list.items.iter().all(|item| matches!(item, Val::Text(_))) && !list.items.is_empty() {
        return join(&items, &Val::text(""));
    }
    list.items.iter().try_fold(Val::Null, |sum, item| sum + item.clone())
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

fn depth_of(depth: &Val) -> Option<usize> {
    jaq_std::ValT::as_isize(depth).and_then(|depth| usize::try_from(depth).ok())
}

fn flatten(value: Val, depth: usize) -> ValR {
    fn gather(items: &[Val], depth: usize, flat: &mut Vec<Val>) {
        for item in items {
            match item {
                Val::List(list) if depth > 0 => gather(&list.items, depth - 1, flat),
                other => flat.push(other.clone()),
            }
        }
    }
    let Val::List(list) = &value else {
        return Err(Error::typ(value, "array"));
    };
    let mut flat = Vec::new();
    gather(&list.items, depth, &mut flat);
    Ok(Val::list(flat))
}

fn to_entries(value: Val) -> ValR {
    let Val::Map(map) = value else {
        return Err(Error::typ(value, "object"));
    };
    let entry = |(key, value)| {
        Val::map(
            [("key".into(), Val::Text(key)), ("value".into(), value)]
                .into_iter()
                .collect(),
        )
    };
    Ok(Val::list(entries_of(map).into_iter().map(entry).collect()))
}

fn from_entries(value: Val) -> ValR {
    let Val::List(list) = &value else {
        return Err(Error::typ(value, "array"));
    };
    let mut entries = Entries::default();
    for item in &list.items {
        let Val::Map(map) = item else {
            return Err(Error::typ(item.clone(), "object with a key and a value"));
        };
        let field = |names: &[&str]| names.iter().find_map(|name| map.entries.get(*name)).cloned();
        let key = match field(&["key", "k", "name", "Key", "Name", "K"]) {
            Some(Val::Text(key)) => key,
            Some(key @ (Val::Num(_) | Val::Bool(_))) => key.to_json().into(),
            _ => return Err(Error::typ(item.clone(), "object with a key and a value")),
        };
        entries.insert(key, field(&["value", "v", "Value", "V"]).unwrap_or(Val::Null));
    }
    Ok(Val::map(entries))
}

fn has(value: &Val, key: &Val) -> ValR {
    match (value, key) {
        (Val::Map(map), Val::Text(key)) => Ok(Val::Bool(map.entries.contains_key(key))),
        (Val::List(list), Val::Num(_)) => {
            let at = jaq_std::ValT::as_isize(key).and_then(|at| usize::try_from(at).ok());
            Ok(Val::Bool(at.is_some_and(|at| at < list.items.len())))
        }
        _ => Err(Error::str(format_args!("cannot check whether {value} has a key {key}"))),
    }
}

fn contains(value: &Val, part: &Val) -> Result<bool, Error> {
    meter::spend(1);
    match (value, part) {
        (Val::Map(l), Val::Map(r)) => {
            for (key, part) in &r.entries {
                match l.entries.get(key) {
                    Some(value) if contains(value, part)? => {}
                    _ => return Ok(false),
                }
            }
            Ok(true)
        }
        (Val::List(l), Val::List(r)) => {
            let held = |part: &Val| l.items.iter().any(|item| contains(item, part).unwrap_or(false));
            Ok(r.items.iter().all(held))
        }
        (Val::Text(l), Val::Text(r)) => {
            meter::spend_bytes(l.len() + r.len());
            Ok(l.contains(&**r))
        }
        (l, r) if l.kind() == r.kind() => Ok(l == r),
        (l, r) => Err(Error::str(format_args!("cannot check whether {l} contains {r}"))),
    }
}

/// Positions of a part, in characters for a text.
fn indices(value: &Val, part: &Val) -> ValR {
    match (value, part) {
        (Val::Null, _) => Ok(Val::Null),
        (Val::Text(_), Val::Text(part)) if part.is_empty() => Ok(Val::Null),
        (Val::Text(text), Val::Text(part)) => {
            meter::spend_bytes(text.len());
            let (mut chars, mut from) = (0, 0);
            let at = |(byte, _): (usize, &str)| {
                chars += text[from..byte].chars().count();
                from = byte;
                Val::from(chars)
            };
            Ok(text.match_indices(&**part).map(at).collect())
        }
        (Val::List(list), Val::List(part)) if !part.items.is_empty() => {
            let windows = list.items.windows(part.items.len()).enumerate();
            Ok(windows
                .filter(|(_, window)| *window == part.items)
                .map(|(at, _)| Val::from(at))
                .collect())
        }
        (Val::List(_), Val::List(_)) => Ok(Val::Null),
        (Val::List(list), part) => {
            let found = list.items.iter().enumerate().filter(|(_, item)| *item == part);
            Ok(found.map(|(at, _)| Val::from(at)).collect())
        }
        (value, part) => Err(Error::str(format_args!("cannot look for {part} in {value}"))),
    }
}

fn join(value: &Val, separator: &Val) -> ValR {
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

fn get_path(value: Val, path: Val) -> ValR {
    let Val::List(path) = path else {
        return Err(Error::typ(path, "array of names and positions"));
    };
    path.items.iter().try_fold(value, |value, part| match value {
        Val::Null => Ok(Val::Null),
        value => jaq_core::ValT::index(value, part),
    })
}

/// Deletes paths, the last first, so that positions in lists keep their meaning.
fn delete(value: Val, paths: Val) -> ValR {
    let mut paths: Vec<Val> = match paths {
        Val::List(paths) => paths.items.clone(),
        other => return Err(Error::typ(other, "array of paths")),
    };
    paths.sort();
    paths.dedup();
    paths.into_iter().rev().try_fold(value, |value, path| match path {
        Val::List(path) => remove(value, &path.items),
        other => Err(Error::typ(other, "path")),
    })
}

fn remove(value: Val, path: &[Val]) -> ValR {
    use jaq_core::ValT;
    use jaq_core::path::Opt;
    let Some((first, rest)) = path.split_first() else {
        return Ok(Val::Null);
    };
    if matches!(value, Val::Null) {
        return Ok(Val::Null);
    }
    let missing = match (&value, first) {
        (Val::Map(map), Val::Text(key)) => !map.entries.contains_key(key),
        (_, Val::Num(_)) => matches!(value.clone().index(first)?, Val::Null) && !rest.is_empty(),
        _ => false,
    };
    if missing {
        return Ok(value);
    }
    let inner = |child: Val| {
        let kept = (!rest.is_empty()).then(|| remove(child, rest).map_err(jaq_core::Exn::from));
        kept.into_iter()
    };
    let removed = value.map_index(first, Opt::Optional, inner);
    removed.map_err(|error| error.get_err().unwrap_or_else(|_| Error::str("cannot delete")))
}
