//! Native functions on lists and objects.

use std::rc::Rc;

use crate::access::entries_of;
use crate::meter;
use crate::val::{Entries, Error, Val, ValR};

pub(crate) fn length(value: Val) -> ValR {
    let len = match &value {
        Val::Null => 0,
        Val::Num(_) => return crate::funs::abs(value),
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

pub(crate) fn keys(value: Val) -> ValR {
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
pub(crate) fn add(value: Val) -> ValR {
    let items = match value {
        Val::Map(map) => Val::list(entries_of(map).into_values().collect()),
        other => other,
    };
    let Val::List(list) = &items else {
        return Err(Error::typ(items, "array or object to add up"));
    };
    if list.items.iter().all(|item| matches!(item, Val::Text(_))) && !list.items.is_empty() {
        return crate::funs::join(&items, &Val::text(""));
    }
    list.items.iter().try_fold(Val::Null, |sum, item| sum + item.clone())
}

pub(crate) fn depth_of(depth: &Val) -> Option<usize> {
    jaq_std::ValT::as_isize(depth).and_then(|depth| usize::try_from(depth).ok())
}

pub(crate) fn flatten(value: Val, depth: usize) -> ValR {
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

pub(crate) fn to_entries(value: Val) -> ValR {
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

pub(crate) fn from_entries(value: Val) -> ValR {
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

pub(crate) fn has(value: &Val, key: &Val) -> ValR {
    match (value, key) {
        (Val::Map(map), Val::Text(key)) => Ok(Val::Bool(map.entries.contains_key(key))),
        (Val::List(list), Val::Num(_)) => {
            let at = jaq_std::ValT::as_isize(key).and_then(|at| usize::try_from(at).ok());
            Ok(Val::Bool(at.is_some_and(|at| at < list.items.len())))
        }
        _ => Err(Error::str(format_args!("cannot check whether {value} has a key {key}"))),
    }
}

pub(crate) fn contains(value: &Val, part: &Val) -> Result<bool, Error> {
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
pub(crate) fn indices(value: &Val, part: &Val) -> ValR {
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

pub(crate) fn get_path(value: Val, path: Val) -> ValR {
    let Val::List(path) = path else {
        return Err(Error::typ(path, "array of names and positions"));
    };
    path.items.iter().try_fold(value, |value, part| match value {
        Val::Null => Ok(Val::Null),
        value => jaq_core::ValT::index(value, part),
    })
}

/// Deletes paths, the last first, so that positions in lists keep their meaning.
pub(crate) fn delete(value: Val, paths: Val) -> ValR {
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
