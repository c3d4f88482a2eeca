//! Orders as a source. The list can be sorted by change but filtered only by creation, so what
//! changed is found by reading newest changes first, and history by windows of creation time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{Cursor, Error, Key, Malformed, Pass, Raw, Record, Row, Source, Stamp, Use, Window};

use super::StoreSettings;
use super::api::{Api, Listed};
use super::changes::Changes;
use super::history::History;
use super::learned::Learned;
use super::list::List;
use super::{order, read};

/// The largest page the platform gives; it cuts larger wishes down without a word.
pub(super) const PAGE_MAX: u64 = 250;
/// How far a stamp may lie ahead of the platform's clock before it is taken for nonsense.
const FUTURE_MS: i64 = 5 * 60_000;
/// No store has orders from before this; a stamp that says so is a placeholder.
const EARLIEST_MS: i64 = 946_684_800_000;

#[derive(Clone, Debug)]
pub(super) struct Orders {
    pub(super) api: Arc<Api>,
    pub(super) overlap: Duration,
    pub(super) learned: Learned,
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

impl Orders {
    pub(super) fn new(api: Arc<Api>, settings: &StoreSettings) -> Orders {
        Orders {
            api,
            overlap: settings.overlap,
            learned: Learned::new(settings.currency.clone()),
        }
    }

    pub(super) async fn probe(&self) -> Result<String, Error> {
        let ask = Ask {
            sort: "updated_at:desc",
            since: None,
            until: None,
            limit: 1,
            purpose: Use::Feed,
        };
        match self.page(&ask, 1).await? {
            Listed::Page(list) => Ok(match list.total {
                Some(total) => format!("{total} orders"),
                None => "answered".to_owned(),
            }),
            Listed::TooLarge => Ok("answered".to_owned()),
        }
    }

    pub(super) async fn page(&self, ask: &Ask, page: u64) -> Result<Listed, Error> {
        let mut params = vec![
            ("page", page.to_string()),
            ("limit", ask.limit.to_string()),
            ("sort", ask.sort.to_owned()),
        ];
        params.extend(ask.since.map(|since| ("since", read::show(since))));
        params.extend(ask.until.map(|until| ("until", read::show(until))));
        self.api
            .list(
                "orders",
                &params,
                &format!("reading page {page} of the orders"),
                ask.purpose,
            )
            .await
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
}

#[async_trait]
impl Source for Orders {
    async fn now(&self) -> Result<Cursor, Error> {
        let mut ask = Ask {
            sort: "updated_at:desc",
            since: None,
            until: None,
            limit: 10,
            purpose: Use::Feed,
        };
        loop {
            match self.page(&ask, 1).await? {
                Listed::Page(list) => return Ok(cursor(self.newest(&list).await.unwrap_or(0))),
                Listed::TooLarge if ask.limit > 1 => ask.limit = 1,
                Listed::TooLarge => return Err(too_large()),
            }
        }
    }

    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        if self.stamp(&a) >= self.stamp(&b) { a } else { b }
    }

    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        if self.stamp(&a) <= self.stamp(&b) { a } else { b }
    }

    fn settled(&self, at: &Cursor) -> Cursor {
        self.back(at, self.overlap)
    }

    fn back(&self, at: &Cursor, by: Duration) -> Cursor {
        let by = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        cursor(self.stamp(at).unwrap_or(0).saturating_sub(by).max(0))
    }

    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        read::timestamp(&cursor.0).map(|time| time.as_millisecond())
    }

    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass> {
        Box::new(Changes::new(self.clone(), self.stamp(since).unwrap_or(0), purpose))
    }

    fn history(&self, window: Window, resume: Option<&Cursor>) -> Box<dyn Pass> {
        Box::new(History::new(self.clone(), window, resume))
    }

    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        self.learned.learn_currency(&self.api).await?;
        let doing = format!("reading order {}", key.0);
        self.api.one("orders", key, &doing, purpose).await
    }

    fn decode(&self, body: Raw, single: bool) -> Result<Record, Malformed> {
        let value = match body {
            Raw::Value(value) => value,
            Raw::Unreadable(why) => return Err(Malformed(why)),
        };
        if !single && self.learned.lacks_contact(&value) {
            return Ok(Record::Partial);
        }
        order::decode(value, single, self.learned.currency().as_deref())
    }

    fn asked_for(&self, mentions: &dyn Fn(&str) -> bool) {
        if mentions("customer") || mentions("shipping_address") {
            self.learned.want_contact();
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.probe().await.map(|_| ())
    }
}

pub(super) fn cursor(stamp: Stamp) -> Cursor {
    Cursor(read::show(stamp))
}

pub(super) fn too_large() -> Error {
    Error::new(
        contract::Fault::Rejected,
        "reading the orders",
        "a single order's answer is larger than 32 MiB",
    )
}
