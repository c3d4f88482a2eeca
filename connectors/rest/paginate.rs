//! How a listing goes on from page to page. A listing must never end without a word before its end: only an empty
//! page, or an answer that says so, is one.

use contract::settings::Reader;
use contract::{Error, Fault, Fields, Hash, Malformed, Name, Number, Value};
use reqwest::Url;
use reqwest::header::LINK;
use serde_json::json;

use super::api::Api;
use super::jq::Jq;
use crate::http::Answer;

/// A listing of more pages than this is a loop.
const PAGES_MAX: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Paginator {
    kind: Kind,
    size: Option<(Slot, u64)>,
    /// jq over the answer: how many records there are in all.
    total: Option<Jq>,
    /// jq over the answer: whether more pages follow.
    more: Option<Jq>,
}

#[derive(Debug)]
enum Kind {
    PageNumber { page: Slot, first: u64 },
    Offset { offset: Slot },
    Cursor { path: Jq, param: Slot },
    NextUrl { path: Jq },
    LinkHeader,
    Whole,
}

/// Where a value goes: a query parameter, or a place in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Query(String),
    Body(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    At(usize),
}

/// Where a listing stands: what the next request asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum At {
    Start,
    Page(u64),
    Offset(u64),
    Token(String),
    Url(Url),
}

/// What was learnt from the pages so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Trail {
    pages: u64,
    rows: u64,
    /// Of the page before: its rows, and how many there were.
    last: Option<(Hash, usize)>,
    /// Tokens and addresses that were asked for.
    asked: std::collections::HashSet<Hash>,
}

impl Slot {
    pub(super) fn parse(text: &str) -> Result<Slot, String> {
        let Some(path) = text.strip_prefix('.') else {
            return match text.is_empty() {
                true => Err("expected the name of a query parameter, or .a.path in the body".to_owned()),
                false => Ok(Slot::Query(text.to_owned())),
            };
        };
        let mut steps = Vec::new();
        for part in path.split('.') {
            let (name, rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !name.is_empty() {
                steps.push(Step::Name(name.to_owned()));
            }
            for index in rest.split_terminator(']') {
                let index = index.strip_prefix('[').and_then(|index| index.parse().ok());
                steps.push(Step::At(index.ok_or("expected a path such as .params.args[0]")?));
            }
        }
        match steps.is_empty() {
            true => Err("expected a path such as .params.offset".to_owned()),
            false => Ok(Slot::Body(steps)),
        }
    }

    /// Puts the value where it belongs.
    pub(super) fn put(&self, value: Value, params: &mut Vec<(String, String)>, body: &mut Option<Value>) {
        match self {
            Slot::Query(name) => {
                params.retain(|(known, _)| known != name);
                params.push((name.clone(), super::jq::text_of(value)));
            }
            Slot::Body(steps) => *body = Some(with(body.take().unwrap_or_default(), steps, value)),
        }
    }
}

/// The value with another one at a place in it; what is not there yet is made.
fn with(within: Value, steps: &[Step], value: Value) -> Value {
    let Some((step, rest)) = steps.split_first() else {
        return value;
    };
    match (step, within) {
        (Step::At(at), within) => {
            let mut items = match within {
                Value::List(items) => items,
                _ => Vec::new(),
            };
            if items.len() <= *at {
                items.resize((*at).min(100) + 1, Value::Null);
            }
            if let Some(item) = items.get_mut(*at) {
                *item = with(std::mem::take(item), rest, value);
            }
            Value::List(items)
        }
        (Step::Name(name), within) => {
            let mut fields = Fields::default();
            let mut old = Value::Null;
            let mut place = None;
            if let Value::Map(members) = within {
                for (n, (key, member)) in members.iter().enumerate() {
                    if key == name {
                        old = member.clone();
                        place = Some(n);
                    }
                    fields.push(Name::new(key), member.clone());
                }
            }
            let new = with(old, rest, value);
            match place {
                None => {
                    fields.push(Name::new(name), new);
                    Value::Map(fields)
                }
                Some(place) => {
                    let mut replaced = Fields::with_capacity(fields.len());
                    let mut new = Some(new);
                    for (n, (key, member)) in fields.iter().enumerate() {
                        let member = if n == place {
                            new.take().unwrap_or_default()
                        } else {
                            member.clone()
                        };
                        replaced.push(Name::new(key), member);
                    }
                    Value::Map(replaced)
                }
            }
        }
    }
}

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
        let given = reader
            .node()
            .is_some_and(|node| node.get("paginator").is_some_and(|node| !node.is_null()));
        let about = "how the listing goes on from page to page; default none: all of it is one answer";
        let read = reader.field("paginator", about).object(read);
        if given { read } else { Some(Paginator::whole()) }
    }

    /// Whether pages hold still while others are read: each begins where the one before ended, not at a number.
    pub(super) fn is_anchored(&self) -> bool {
        matches!(self.kind, Kind::Cursor { .. } | Kind::NextUrl { .. } | Kind::LinkHeader)
    }

    /// Puts into a request what asks for this page.
    pub(super) fn ask(&self, at: &At, params: &mut Vec<(String, String)>, body: &mut Option<Value>) {
        if let Some((slot, size)) = &self.size {
            slot.put(number(*size), params, body);
        }
        match (&self.kind, at) {
            (Kind::PageNumber { page, first }, At::Start) => page.put(number(*first), params, body),
            (Kind::PageNumber { page, .. }, At::Page(n)) => page.put(number(*n), params, body),
            (Kind::Offset { offset }, At::Start) => offset.put(number(0), params, body),
            (Kind::Offset { offset }, At::Offset(n)) => offset.put(number(*n), params, body),
            (Kind::Cursor { param, .. }, At::Token(token)) => param.put(Value::text(token), params, body),
            _ => {}
        }
    }

    /// Where to go on after a page of these rows; `None`: that was all. `rows`: a hash of each.
    pub(super) fn next(
        &self,
        api: &Api,
        asked: &Asked<'_>,
        answer: &Answer,
        value: &Value,
        rows: &[Hash],
        trail: &mut Trail,
    ) -> Result<Option<At>, Error> {
        let doing = asked.doing;
        let unsound = |why: String| Error::new(Fault::Transient { reached: true }, doing, why);
        let malformed = |Malformed(why): Malformed| unsound(why);
        trail.pages += 1;
        trail.rows += rows.len() as u64;
        if trail.pages > PAGES_MAX {
            return Err(unsound(format!("the listing has more than {PAGES_MAX} pages")));
        }
        let page = hash_of(rows);
        let repeated = !rows.is_empty() && trail.last.is_some_and(|(last, _)| last == page);
        let before = trail.last.replace((page, rows.len()));
        let more = match &self.more {
            Some(more) => Some(more.holds(value, &Value::Null).map_err(malformed)?),
            None => None,
        };
        let total = match &self.total {
            Some(total) => {
                let text = total.text(value, &Value::Null).map_err(malformed)?;
                text.and_then(|text| text.split('.').next().and_then(|whole| whole.parse::<u64>().ok()))
            }
            None => None,
        };
        let next = match &self.kind {
            Kind::Whole => return Ok(None),
            Kind::PageNumber { first, .. } => {
                let page = if let At::Page(page) = asked.at { *page } else { *first };
                At::Page(page + 1)
            }
            // Counted in records, so that a page that is shorter than it was asked to be costs none of them.
            Kind::Offset { .. } => {
                let offset = if let At::Offset(offset) = asked.at { *offset } else { 0 };
                At::Offset(offset + rows.len() as u64)
            }
            Kind::Cursor { path, .. } => {
                let token = path.text(value, &Value::Null).map_err(malformed)?;
                match token.filter(|token| !token.is_empty() && token != "false") {
                    Some(token) => At::Token(token),
                    None => return Ok(None),
                }
            }
            Kind::NextUrl { path } => {
                let told = path.text(value, &Value::Null).map_err(malformed)?;
                match told.filter(|told| !told.is_empty() && told != "false") {
                    Some(told) => At::Url(api.pinned(asked.url, &told).map_err(elsewhere(doing))?),
                    None => return Ok(None),
                }
            }
            Kind::LinkHeader => match next_link(answer) {
                Some(told) => At::Url(api.pinned(asked.url, &told).map_err(elsewhere(doing))?),
                None => return Ok(None),
            },
        };
        if more == Some(false) {
            return Ok(None);
        }
        match &next {
            At::Token(token) => trail.meet(token).map_err(unsound)?,
            At::Url(url) => trail.meet(url.as_str()).map_err(unsound)?,
            At::Offset(_) if rows.is_empty() && more == Some(true) => {
                return Err(unsound("a page without records says that more follow".to_owned()));
            }
            _ if rows.is_empty() && more != Some(true) => {
                return match total.filter(|total| *total > trail.rows) {
                    Some(total) => {
                        let rows = trail.rows;
                        Err(unsound(format!(
                            "the listing ends after {rows} records, and {total} are said to be there"
                        )))
                    }
                    None => Ok(None),
                };
            }
            _ if total.is_some_and(|total| trail.rows >= total) => return Ok(None),
            // Some give the last page again, whatever number is asked for behind it.
            At::Page(_) if repeated && self.is_short(before) => return Ok(None),
            _ => {}
        }
        if repeated {
            return Err(unsound(
                "the same page came twice; is the paging right as it is configured?".to_owned(),
            ));
        }
        Ok(Some(next))
    }

    fn is_short(&self, page: Option<(Hash, usize)>) -> bool {
        match (page, &self.size) {
            (Some((_, rows)), Some((_, size))) => (rows as u64) < *size,
            _ => false,
        }
    }
}

/// A request for a page, as far as going on from it depends on it.
pub(super) struct Asked<'a> {
    pub(super) at: &'a At,
    pub(super) url: &'a Url,
    pub(super) doing: &'a str,
}

impl Trail {
    /// What is read next, for a message.
    pub(super) fn place(&self) -> String {
        format!("page {}", self.pages + 1)
    }

    /// Where a listing stands, as a text, for one that goes on in another call.
    pub(super) fn tell(&self, at: &At) -> String {
        let (kind, value) = match at {
            At::Start => ("start", String::new()),
            At::Page(page) => ("page", page.to_string()),
            At::Offset(offset) => ("offset", offset.to_string()),
            At::Token(token) => ("token", token.clone()),
            At::Url(url) => ("url", url.to_string()),
        };
        let (last, rows) = self.last.unwrap_or((Hash(0), 0));
        format!("{kind} {} {} {} {rows} {value}", self.pages, self.rows, last.0)
    }

    pub(super) fn resume(text: &str) -> Option<(At, Trail)> {
        let mut parts = text.splitn(6, ' ');
        let kind = parts.next()?;
        let (pages, rows) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
        let last = (Hash(parts.next()?.parse().ok()?), parts.next()?.parse().ok()?);
        let value = parts.next()?;
        let at = match kind {
            "start" => At::Start,
            "page" => At::Page(value.parse().ok()?),
            "offset" => At::Offset(value.parse().ok()?),
            "token" => At::Token(value.to_owned()),
            "url" => At::Url(Url::parse(value).ok()?),
            _ => return None,
        };
        let trail = Trail {
            pages,
            rows,
            last: Some(last),
            ..Trail::default()
        };
        Some((at, trail))
    }

    fn meet(&mut self, asked: &str) -> Result<(), String> {
        match self.asked.insert(Hash::of(asked.as_bytes())) {
            true => Ok(()),
            false => Err("the listing goes round in a circle: a page leads to one that was there before".to_owned()),
        }
    }
}

/// Nothing of it is asked; a person must look at that.
fn elsewhere(doing: &str) -> impl Fn(Malformed) -> Error {
    move |Malformed(why)| {
        Error::new(Fault::Denied, doing, why).hint("no page outside base_url's own host is ever asked for")
    }
}

fn number(n: u64) -> Value {
    Number::parse(&n.to_string()).map_or(Value::Null, Value::Number)
}

fn hash_of(rows: &[Hash]) -> Hash {
    let bytes: Vec<u8> = rows.iter().flat_map(|row| row.0.to_be_bytes()).collect();
    Hash::of(&bytes)
}

/// `Link: <https://…>; rel="next"` (RFC 8288).
fn next_link(answer: &Answer) -> Option<String> {
    let all = answer
        .headers
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok());
    all.flat_map(links)
        .find_map(|(url, rel)| rel.split_ascii_whitespace().any(|rel| rel == "next").then_some(url))
}

fn links(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, from)) = rest.split_once('<') {
        let Some((url, after)) = from.split_once('>') else {
            break;
        };
        // The parameters go on to a comma that is not in quotes.
        let mut quoted = false;
        let end = after.find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (params, next) = after.split_at(end.unwrap_or(after.len()));
        let rel = params.split(';').find_map(|param| {
            let (name, value) = param.trim().split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("rel")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        found.push((url.to_owned(), rel.unwrap_or_default()));
        rest = next;
    }
    found
}

const KINDS: [&str; 6] = ["page_number", "offset", "cursor", "next_url", "link_header", "none"];

fn read(reader: &mut Reader<'_>) -> Option<Paginator> {
    let kind = reader.field("type", "the kind of paging").required().choice(&KINDS);
    let slot = |text: &str| Slot::parse(text);
    let schema = || json!({"type": "string"});
    let page_param = reader
        .field("page_param", "page_number: what takes the page's number")
        .parsed(schema(), slot);
    let first = reader
        .field("first", "page_number: the number of the first page")
        .default("1")
        .integer(0, 1);
    let size_param = reader
        .field("size_param", "what takes the size of a page")
        .parsed(schema(), slot);
    let size = reader
        .field("size", "how many records a page is to have")
        .integer(1, 100_000);
    let offset_param = reader
        .field("offset_param", "offset: what takes the number of records to leave out")
        .parsed(schema(), slot);
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
    let uses: &[&str] = match kind {
        "page_number" => &["page_param", "first", "size_param", "size", "total", "more"],
        "offset" => &["offset_param", "limit_param", "limit", "total", "more"],
        "cursor" => &["path", "param", "size_param", "size", "total", "more"],
        "next_url" => &["path", "size_param", "size", "more"],
        "link_header" => &["size_param", "size"],
        _ => &[],
    };
    let all = [
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
    let present = |name: &str| {
        reader
            .node()
            .is_some_and(|node| node.get(name).is_some_and(|node| !node.is_null()))
    };
    let odd: Vec<&str> = all
        .into_iter()
        .filter(|name| present(name) && !uses.contains(name))
        .collect();
    let needs: &[&str] = match kind {
        "page_number" => &["page_param"],
        "offset" => &["offset_param"],
        "cursor" => &["path", "param"],
        "next_url" => &["path"],
        _ => &[],
    };
    let lacks: Vec<&str> = needs.iter().copied().filter(|name| !present(name)).collect();
    let (sized, bare) = if kind == "offset" {
        (limit_param, limit)
    } else {
        (size_param, size)
    };
    let half = present("size_param") != present("size") || present("limit_param") != present("limit");
    for name in odd.iter().copied() {
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
    for name in lacks.iter().copied() {
        reader.problem(format!("a paginator of type {kind} needs `{name}`"), None);
    }
    if half && odd.is_empty() {
        let (param, size) = if kind == "offset" {
            ("limit_param", "limit")
        } else {
            ("size_param", "size")
        };
        reader.problem(
            format!("`{param}` and `{size}` go together: what takes the size of a page, and the size"),
            None,
        );
    }
    if !odd.is_empty() || !lacks.is_empty() || half {
        return None;
    }
    let size = match (sized, bare) {
        (Some(slot), Some(size)) => Some((slot, u64::try_from(size).ok()?)),
        _ => None,
    };
    let kind = match kind {
        "page_number" => Kind::PageNumber {
            page: page_param?,
            first: u64::try_from(first?).ok()?,
        },
        "offset" => Kind::Offset { offset: offset_param? },
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
