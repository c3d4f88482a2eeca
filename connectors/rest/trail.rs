//! Where a listing stands, and what was learnt of it so far: enough to see that it goes round in a circle.

use std::collections::HashSet;

use contract::Hash;
use reqwest::Url;

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
    pub(super) pages: u64,
    pub(super) rows: u64,
    /// Of the page before: its rows, and how many there were.
    pub(super) last: Option<(Hash, usize)>,
    /// Tokens and addresses that were asked for.
    asked: HashSet<Hash>,
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

    pub(super) fn meet(&mut self, asked: &str) -> Result<(), String> {
        match self.asked.insert(Hash::of(asked.as_bytes())) {
            true => Ok(()),
            false => Err("the listing goes round in a circle: a page leads to one that was there before".to_owned()),
        }
    }
}
