//! How a listing goes on from page to page. A listing must never end without a word before its end: only an empty
//! page, or an answer that says so, is one.

use contract::{Error, Fault, Hash, Malformed, Number, Value};
use reqwest::Url;

use super::api::Api;
use super::jq::Jq;
use super::link::next_link;
use super::slot::Slot;
use super::trail::{At, Trail};
use crate::http::Answer;

/// A listing of more pages than this is a loop.
const PAGES_MAX: u64 = 1_000_000;

#[derive(Debug)]
pub(super) struct Paginator {
    pub(super) kind: Kind,
    pub(super) size: Option<(Slot, u64)>,
    /// jq over the answer: how many records there are in all.
    pub(super) total: Option<Jq>,
    /// jq over the answer: whether more pages follow.
    pub(super) more: Option<Jq>,
}

#[derive(Debug)]
pub(super) enum Kind {
    PageNumber { page: Slot, first: u64 },
    Offset { offset: Slot },
    Cursor { path: Jq, param: Slot },
    NextUrl { path: Jq },
    LinkHeader,
    Whole,
}

impl Paginator {
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
        page: &Page<'_>,
        trail: &mut Trail,
    ) -> Result<Option<At>, Error> {
        let unsound = |why: String| Error::new(Fault::Transient { reached: true }, asked.doing, why);
        let count = page.rows.len();
        trail.pages += 1;
        trail.rows += count as u64;
        if trail.pages > PAGES_MAX {
            return Err(unsound(format!("the listing has more than {PAGES_MAX} pages")));
        }
        let hash = hash_of(page.rows);
        let repeated = count > 0 && trail.last.is_some_and(|(last, _)| last == hash);
        let before = trail.last.replace((hash, count));
        let (more, total) = self.told(page.value).map_err(|Malformed(why)| unsound(why))?;
        let Some(next) = self.follow(api, asked, page)? else {
            return Ok(None);
        };
        if more == Some(false) {
            return Ok(None);
        }
        match &next {
            At::Token(token) => trail.meet(token).map_err(unsound)?,
            At::Url(url) => trail.meet(url.as_str()).map_err(unsound)?,
            At::Offset(_) if count == 0 && more == Some(true) => {
                return Err(unsound("a page without records says that more follow".to_owned()));
            }
            _ if count == 0 && more != Some(true) => {
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

    /// Whether more pages follow, and how many records there are, where the answer says so.
    fn told(&self, value: &Value) -> Result<(Option<bool>, Option<u64>), Malformed> {
        let more = self
            .more
            .as_ref()
            .map(|more| more.holds(value, &Value::Null))
            .transpose()?;
        let total = match &self.total {
            Some(total) => total.text(value, &Value::Null)?,
            None => None,
        };
        let whole = total.and_then(|text| text.split('.').next().and_then(|whole| whole.parse().ok()));
        Ok((more, whole))
    }

    /// What comes behind this page, if anything does.
    fn follow(&self, api: &Api, asked: &Asked<'_>, page: &Page<'_>) -> Result<Option<At>, Error> {
        let doing = asked.doing;
        let text = |jq: &Jq| {
            let told = jq.text(page.value, &Value::Null);
            let told = told.map_err(|Malformed(why)| Error::new(Fault::Transient { reached: true }, doing, why))?;
            Ok::<_, Error>(told.filter(|told| !told.is_empty() && told != "false"))
        };
        let pinned = |told: Option<String>| match told {
            Some(told) => api
                .pinned(asked.url, &told)
                .map(|url| Some(At::Url(url)))
                .map_err(elsewhere(doing)),
            None => Ok(None),
        };
        match &self.kind {
            Kind::Whole => Ok(None),
            Kind::PageNumber { first, .. } => {
                let page = if let At::Page(page) = asked.at { *page } else { *first };
                Ok(Some(At::Page(page + 1)))
            }
            // Counted in records, so that a page that is shorter than it was asked to be costs none of them.
            Kind::Offset { .. } => {
                let offset = if let At::Offset(offset) = asked.at { *offset } else { 0 };
                Ok(Some(At::Offset(offset + page.rows.len() as u64)))
            }
            Kind::Cursor { path, .. } => Ok(text(path)?.map(At::Token)),
            Kind::NextUrl { path } => pinned(text(path)?),
            Kind::LinkHeader => pinned(next_link(page.answer)),
        }
    }

    fn is_short(&self, page: Option<(Hash, usize)>) -> bool {
        match (page, &self.size) {
            (Some((_, rows)), Some((_, size))) => (rows as u64) < *size,
            _ => false,
        }
    }
}

/// A page as it came.
pub(super) struct Page<'a> {
    pub(super) answer: &'a Answer,
    pub(super) value: &'a Value,
    /// A hash of each of its records.
    pub(super) rows: &'a [Hash],
}

/// A request for a page, as far as going on from it depends on it.
pub(super) struct Asked<'a> {
    pub(super) at: &'a At,
    pub(super) url: &'a Url,
    pub(super) doing: &'a str,
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
