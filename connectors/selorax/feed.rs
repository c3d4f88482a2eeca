//! A resource that the store lists, as a source. Every list is read newest change first to find what
//! changed; how history is walked depends on what its `since` is about. Must never believe that a list
//! ended because of its count alone.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{Cursor, Error, Key, Malformed, Pass, Raw, Record, Row, Source, Stamp, Upkeep, Use, Value, Window};

use super::api::{Api, Listed};
use super::changes::Changes;
use super::history::History;
use super::keyset::{By, Keyset};
use super::list::List;
use super::read;
use super::resource::{Resource, Shape, Since};

/// The largest page the platform gives; it cuts larger wishes down without a word.
pub(super) const PAGE_MAX: u64 = 250;
/// How far a stamp may lie ahead of the platform's clock before it is taken for nonsense.
const FUTURE_MS: i64 = 5 * 60_000;
/// No store has records from before this; a stamp that says so is a placeholder.
const EARLIEST_MS: i64 = 946_684_800_000;
pub(super) const NEWEST_FIRST: &str = "updated_at:desc";

#[derive(Clone, Debug)]
pub(super) struct Feed {
    pub(super) store_id: i64,
    pub(super) api: Arc<Api>,
    pub(super) overlap: Duration,
    pub(super) upkeep: Upkeep,
    pub(super) resource: Arc<dyn Resource>,
}

/// One page asked for; halves itself where answers are too large to take.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) sort: &'static str,
    pub(super) since: Option<Stamp>,
    pub(super) until: Option<Stamp>,
    pub(super) limit: u64,
    pub(super) purpose: Use,
}

impl Feed {
    pub(super) fn shape(&self) -> &'static Shape {
        self.resource.shape()
    }

    fn newest_first(limit: u64) -> Ask {
        Ask {
            sort: NEWEST_FIRST,
            since: None,
            until: None,
            limit,
            purpose: Use::Feed,
        }
    }

    pub(super) async fn probe(&self) -> Result<String, Error> {
        match self.page(&Feed::newest_first(1), 1).await? {
            Listed::Page(list) => Ok(match list.total {
                Some(total) => format!("{total} {}", self.shape().all),
                None => "answered".to_owned(),
            }),
            Listed::TooLarge => Ok("answered".to_owned()),
        }
    }

    pub(super) async fn page(&self, ask: &Ask, page: u64) -> Result<Listed, Error> {
        let shape = self.shape();
        let mut params = vec![
            ("page", page.to_string()),
            ("limit", ask.limit.to_string()),
            ("sort", ask.sort.to_owned()),
        ];
        params.extend(ask.since.map(|since| ("since", read::show(since))));
        params.extend(ask.until.map(|until| ("until", read::show(until))));
        params.extend(shape.params.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let doing = format!("reading page {page} of the {}", shape.all);
        self.api.list(shape, &params, &doing, ask.purpose).await
    }

    /// The newest believable stamp of a page, which rows from the future cannot drag along.
    pub(super) async fn newest(&self, list: &List) -> Option<Stamp> {
        let cap = self.api.now().await.saturating_add(FUTURE_MS);
        let stamps: Vec<Stamp> = list.rows.iter().filter_map(|row| row.stamp).collect();
        let believable = stamps.iter().copied().filter(|stamp| *stamp <= cap).max();
        believable.or_else(|| stamps.iter().min().map(|_| cap))
    }

    /// Whether a stamp may be judged by its place in the list.
    pub(super) async fn believable(&self) -> impl Fn(Stamp) -> bool + use<> {
        let cap = self.api.now().await.saturating_add(FUTURE_MS);
        move |stamp| (EARLIEST_MS..=cap).contains(&stamp)
    }

    pub(super) fn too_large(&self) -> Error {
        let shape = self.shape();
        Error::new(
            contract::Fault::Rejected,
            format!("reading the {}", shape.all),
            format!("a single {}'s answer is larger than 32 MiB", shape.one),
        )
    }
}

#[async_trait]
impl Source for Feed {
    async fn now(&self) -> Result<Cursor, Error> {
        let mut ask = Feed::newest_first(10);
        loop {
            match self.page(&ask, 1).await? {
                Listed::Page(list) => return Ok(cursor(self.newest(&list).await.unwrap_or(0))),
                Listed::TooLarge if ask.limit > 1 => ask.limit = 1,
                Listed::TooLarge => return Err(self.too_large()),
            }
        }
    }

    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        later(a, b)
    }

    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        earlier(a, b)
    }

    fn settled(&self, at: &Cursor) -> Cursor {
        self.back(at, self.overlap)
    }

    fn back(&self, at: &Cursor, by: Duration) -> Cursor {
        back(at, by)
    }

    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        stamp(cursor)
    }

    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass> {
        Box::new(Changes::new(self.clone(), stamp(since).unwrap_or(0), purpose))
    }

    fn history(&self, window: Window, resume: Option<&Cursor>) -> Box<dyn Pass> {
        match self.shape().since {
            Since::CreatedUntil => Box::new(History::new(self.clone(), window, resume)),
            Since::Created => Box::new(Keyset::new(self.clone(), By::Created, window, resume)),
            Since::Changed => Box::new(Keyset::new(self.clone(), By::Changed, window, resume)),
            Since::Nothing => {
                if window != Window::default() {
                    tracing::warn!(
                        "the store does not tell when a product's stock came to be: all of the {} is read, whatever \
                         time was asked for",
                        self.shape().all
                    );
                }
                Box::new(History::whole(self.clone(), Window::default(), NEWEST_FIRST))
            }
        }
    }

    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        self.resource.read(&self.api, key, purpose).await
    }

    fn decode(&self, body: Raw, single: bool) -> Result<Record, Malformed> {
        match body {
            // Every row is documented to say when it changed. One that does not is not taken at its word.
            Raw::Value(value) if !single && !has_stamp(&value, self.shape().wrapper) => Ok(Record::Partial),
            Raw::Value(value) => self.resource.decode(value, single),
            Raw::Unreadable(why) => Err(Malformed(why)),
        }
    }

    fn asked_for(&self, mentions: &dyn Fn(&str) -> bool) {
        self.resource.asked_for(mentions);
    }

    /// Orders came first, and their keys are short; an order and a customer may have the same number.
    fn realm(&self) -> Option<String> {
        let (store, resource) = (self.store_id, self.shape().path);
        Some(match resource == super::orders::SHAPE.path {
            true => format!("selorax:{store}"),
            false => format!("selorax:{store}:{resource}"),
        })
    }

    fn upkeep(&self) -> Option<Upkeep> {
        Some(self.upkeep)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.probe().await.map(|_| ())
    }
}

fn has_stamp(value: &Value, wrapper: &str) -> bool {
    let stamp = read::first(read::inner(value, wrapper), &["updated_at"]);
    stamp.and_then(read::stamp).is_some()
}

pub(super) fn cursor(stamp: Stamp) -> Cursor {
    Cursor(read::show(stamp))
}

pub(super) fn stamp(cursor: &Cursor) -> Option<Stamp> {
    read::timestamp(&cursor.0).map(|time| time.as_millisecond())
}

pub(super) fn later(a: Cursor, b: Cursor) -> Cursor {
    if stamp(&a) >= stamp(&b) { a } else { b }
}

pub(super) fn earlier(a: Cursor, b: Cursor) -> Cursor {
    if stamp(&a) <= stamp(&b) { a } else { b }
}

pub(super) fn back(at: &Cursor, by: Duration) -> Cursor {
    let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
    cursor(stamp(at).unwrap_or(0).saturating_sub(by).max(0))
}
