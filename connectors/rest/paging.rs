//! `paginator:` of the config.

use contract::settings::Reader;
use serde_json::json;

use super::jq::Jq;
use super::paginate::{Kind, Paginator};
use super::slot::Slot;

const KINDS: [&str; 6] = ["page_number", "offset", "cursor", "next_url", "link_header", "none"];

impl Paginator {
    pub(super) fn whole() -> Paginator {
        Paginator {
            kind: Kind::Whole,
            size: None,
            total: None,
            more: None,
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Paginator> {
        let given = reader.has("paginator");
        let about = "how the listing goes on from page to page; default none: all of it is one answer";
        let read = reader.field("paginator", about).object(read);
        if given { read } else { Some(Paginator::whole()) }
    }
}

/// The keys that a kind has, and those that it must have.
fn keys(kind: &str) -> (&'static [&'static str], &'static [&'static str]) {
    match kind {
        "page_number" => (
            &["page_param", "first", "size_param", "size", "total", "more"],
            &["page_param"],
        ),
        "offset" => (
            &["offset_param", "limit_param", "limit", "total", "more"],
            &["offset_param"],
        ),
        "cursor" => (
            &["path", "param", "size_param", "size", "total", "more"],
            &["path", "param"],
        ),
        "next_url" => (&["path", "size_param", "size", "more"], &["path"]),
        "link_header" => (&["size_param", "size"], &[]),
        _ => (&[], &[]),
    }
}

const ALL: [&str; 11] = [
    "page_param",
    "first",
    "size_param",
    "size",
    "offset_param",
    "limit_param",
    "limit",
    "path",
    "param",
    "total",
    "more",
];

/// Tells what does not belong to the kind, and what it lacks.
fn fits(reader: &mut Reader<'_>, kind: &str) -> bool {
    let (uses, needs) = keys(kind);
    let given: Vec<&str> = ALL.into_iter().filter(|name| reader.has(name)).collect();
    let odd: Vec<&str> = given.iter().copied().filter(|name| !uses.contains(name)).collect();
    let lacks: Vec<&str> = needs.iter().copied().filter(|name| !given.contains(name)).collect();
    for name in &odd {
        let told = if uses.is_empty() {
            "nothing else".to_owned()
        } else {
            uses.join(", ")
        };
        reader.problem_at(
            name,
            format!("a paginator of type {kind} has no `{name}`"),
            Some(format!("it has {told}")),
        );
    }
    for name in &lacks {
        reader.problem(format!("a paginator of type {kind} needs `{name}`"), None);
    }
    let (param, size) = if kind == "offset" {
        ("limit_param", "limit")
    } else {
        ("size_param", "size")
    };
    let half = given.contains(&param) != given.contains(&size);
    if half && odd.is_empty() {
        let why = format!("`{param}` and `{size}` go together: what takes the size of a page, and the size");
        reader.problem(why, None);
    }
    odd.is_empty() && lacks.is_empty() && !half
}

fn read(reader: &mut Reader<'_>) -> Option<Paginator> {
    let slot = |text: &str| Slot::parse(text);
    let schema = || json!({"type": "string"});
    let kind = reader.field("type", "the kind of paging").required().choice(&KINDS);
    let page = reader
        .field("page_param", "page_number: what takes the page's number")
        .parsed(schema(), slot);
    let about = "page_number: the number of the first page";
    let first = reader.field("first", about).default("1").integer(0, 1);
    let size_param = reader
        .field("size_param", "what takes the size of a page")
        .parsed(schema(), slot);
    let size = reader
        .field("size", "how many records a page is to have")
        .integer(1, 100_000);
    let about = "offset: what takes the number of records to leave out";
    let offset = reader.field("offset_param", about).parsed(schema(), slot);
    let limit_param = reader
        .field("limit_param", "offset: what takes the size of a page")
        .parsed(schema(), slot);
    let limit = reader
        .field("limit", "offset: how many records a page is to have")
        .integer(1, 100_000);
    let path = Jq::read(
        reader,
        "path",
        "cursor, next_url: jq over the answer, what leads to the next page",
    );
    let param = reader.field("param", "cursor: what takes it").parsed(schema(), slot);
    let total = Jq::read(reader, "total", "jq over the answer: how many records there are in all");
    let more = Jq::read(reader, "more", "jq over the answer: holds while more pages follow");
    let kind = kind?;
    if !fits(reader, kind) {
        return None;
    }
    let (sized, size) = if kind == "offset" {
        (limit_param, limit)
    } else {
        (size_param, size)
    };
    let size = match (sized, size) {
        (Some(slot), Some(size)) => Some((slot, u64::try_from(size).ok()?)),
        _ => None,
    };
    let kind = match kind {
        "page_number" => Kind::PageNumber {
            page: page?,
            first: u64::try_from(first?).ok()?,
        },
        "offset" => Kind::Offset { offset: offset? },
        "cursor" => Kind::Cursor {
            path: path?,
            param: param?,
        },
        "next_url" => Kind::NextUrl { path: path? },
        "link_header" => Kind::LinkHeader,
        _ => Kind::Whole,
    };
    Some(Paginator {
        kind,
        size,
        total,
        more,
    })
}
