//! Puts arbitrary JSON text into an answer in place of a row or a member, so that a client meets what no shop should send.

use serde::{Deserialize, Serialize};

use crate::jsontext::push_text;

/// What is put where. The text is sent as it is: it need not be valid JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Splice {
    /// Instead of the whole order.
    Row { json: String },
    /// Instead of a member's value; `path` is dotted and goes into arrays by number (`items.0.sku`).
    /// A last name that is not there is added.
    Member { path: String, json: String },
    /// The member is left out.
    Drop { path: String },
    /// Raw members added at the end (`"note":1,"note":2`), even names that are there already.
    Append { members: String },
}

impl Splice {
    /// `{"path": null}` and its like, without the words.
    pub fn member(path: &str, json: &str) -> Splice {
        Splice::Member {
            path: path.to_owned(),
            json: json.to_owned(),
        }
    }

    pub fn drop(path: &str) -> Splice {
        Splice::Drop { path: path.to_owned() }
    }

    /// Applies to the JSON text of one object; a path that leads nowhere changes nothing and gives false.
    pub(crate) fn apply(&self, text: &mut String) -> bool {
        match self {
            Splice::Row { json } => {
                json.clone_into(text);
                true
            }
            Splice::Append { members } => append(text, text.len(), members),
            Splice::Member { path, json } => set(text, path, json),
            Splice::Drop { path } => drop_member(text, path),
        }
    }
}

/// Where a member is: its name's first byte, its value's first and one past its last byte.
struct Place {
    name: usize,
    value: usize,
    end: usize,
}

fn set(text: &mut String, path: &str, json: &str) -> bool {
    if let Some(place) = find(text, path) {
        text.replace_range(place.value..place.end, json);
        return true;
    }
    let (parent, last) = path.rsplit_once('.').unwrap_or(("", path));
    let end = if parent.is_empty() {
        Some(text.len())
    } else {
        find(text, parent).map(|place| place.end)
    };
    let mut member = String::new();
    push_text(&mut member, last);
    member.push(':');
    member.push_str(json);
    end.is_some_and(|end| append(text, end, &member))
}

fn drop_member(text: &mut String, path: &str) -> bool {
    let Some(place) = find(text, path) else { return false };
    let bytes = text.as_bytes();
    // The comma after it goes too, or else the one before.
    let (from, to) = match bytes.get(place.end) {
        Some(b',') => (place.name, place.end + 1),
        _ if place.name > 0 && bytes.get(place.name - 1) == Some(&b',') => (place.name - 1, place.end),
        _ => (place.name, place.end),
    };
    text.replace_range(from..to, "");
    true
}

/// Adds members to the object whose closing brace is the last byte before `end`.
fn append(text: &mut String, end: usize, members: &str) -> bool {
    let Some(brace) = end.checked_sub(1).filter(|at| text.as_bytes().get(*at) == Some(&b'}')) else {
        return false;
    };
    let empty = brace > 0 && text.as_bytes().get(brace - 1) == Some(&b'{');
    let comma = if empty { "" } else { "," };
    text.insert_str(brace, &format!("{comma}{members}"));
    true
}

fn find(text: &str, path: &str) -> Option<Place> {
    let bytes = text.as_bytes();
    let mut place = Place {
        name: 0,
        value: 0,
        end: bytes.len(),
    };
    for step in path.split('.') {
        place = match bytes.get(place.value)? {
            b'{' => member_of(text, place.value + 1, step)?,
            b'[' => item_of(bytes, place.value + 1, step.parse().ok()?)?,
            _ => return None,
        };
    }
    Some(place)
}

fn member_of(text: &str, mut at: usize, name: &str) -> Option<Place> {
    let bytes = text.as_bytes();
    while bytes.get(at) == Some(&b'"') {
        let name_end = skip(bytes, at)?;
        let value = name_end + 1;
        let end = skip(bytes, value)?;
        if text.get(at + 1..name_end - 1) == Some(name) {
            return Some(Place { name: at, value, end });
        }
        at = end + 1;
    }
    None
}

fn item_of(bytes: &[u8], mut at: usize, number: usize) -> Option<Place> {
    for _ in 0..number {
        at = skip(bytes, at)? + 1;
    }
    let end = skip(bytes, at)?;
    (end > at).then_some(Place {
        name: at,
        value: at,
        end,
    })
}

/// One past the value that starts at `at`, in text without white space between tokens.
fn skip(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    let mut in_text = false;
    loop {
        let byte = *bytes.get(at)?;
        match byte {
            b'\\' if in_text => at += 1,
            b'"' => in_text = !in_text,
            _ if in_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth -= 1,
            b',' | b':' if depth == 0 => return Some(at),
            _ => {}
        }
        at += 1;
        let closed = !in_text && depth == 0 && matches!(byte, b'"' | b'}' | b']');
        if closed {
            return Some(at);
        }
    }
}
