//! A resource that is read: its listing page by page, and single records. What a record is, and what tells it from
//! the others, the config says; what changed is told by content, so a record that is seen twice is one.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{Cursor, Error, Fault, Hash, Key, Malformed, Pass, Raw, Record, Row, Source, Stamp, Use, Value, Window};
use reqwest::{Method, Url};

use super::api::{Api, Manner};
use super::paginate::{Asked, Page};
use super::reading::{PullSettings, ReadSettings};
use super::request::{Prepared, Sent};
use super::trail::{At, Trail};
use super::walk::Walk;
use crate::http::{Answer, Tries};

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) api: Arc<Api>,
    /// As the config calls it.
    pub(super) name: String,
    pub(super) settings: Arc<PullSettings>,
}

/// One page of a listing.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) rows: Vec<Found>,
    pub(super) next: Option<At>,
}

/// A record of a page, and how far it says the feed has come.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) row: Row,
    pub(super) mark: Option<String>,
}

impl Feed {
    fn manner(&self, doing: String, purpose: Use, tries: Tries) -> Manner {
        Manner {
            doing,
            purpose,
            looks: Some(tries),
            judged: self.settings.rules.judged(),
        }
    }

    /// One page of what changed since the mark; of everything where there is none.
    pub(super) async fn page(&self, since: &str, at: &At, trail: &mut Trail, purpose: Use) -> Result<Listed, Error> {
        let doing = format!("reading {} of {}", trail.place(), self.name);
        let prepared = self
            .prepare(since, at)
            .map_err(|Malformed(why)| Error::new(Fault::Denied, &doing, why))?;
        let url = prepared.url.clone();
        let manner = self.manner(doing.clone(), purpose, Tries::Patient);
        let tries = std::sync::Mutex::new(trail);
        self.api
            .call(prepared, &manner, |answer| {
                let value = self.settings.rules.judge(answer, &doing)?;
                let rows = self
                    .rows(&value)
                    .map_err(|Malformed(why)| unreadable(&doing, answer, why))?;
                let hashes: Vec<Hash> = rows.iter().map(|found| found.row.hash).collect();
                let asked = Asked {
                    at,
                    url: &url,
                    doing: &doing,
                };
                // An answer that is refused here is asked for again, so what was learnt of it must not count.
                let mut trail = tries.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let mut learnt = trail.clone();
                let page = Page {
                    answer,
                    value: &value,
                    rows: &hashes,
                };
                let next = self.settings.pages.next(&self.api, &asked, &page, &mut learnt)?;
                **trail = learnt;
                Ok(Listed { rows, next })
            })
            .await
    }

    fn prepare(&self, since: &str, at: &At) -> Result<Prepared, Malformed> {
        let settings = &self.settings;
        if let At::Url(url) = at {
            return Ok(Prepared {
                method: Method::GET,
                url: url.clone(),
                headers: settings.headers.clone(),
                body: None,
            });
        }
        let mut url = settings.place.url(&self.api.base, &Value::Null, None)?;
        let (mut params, mut body) = (settings.params.clone(), settings.body.clone());
        if let Some(cursor) = &settings.cursor {
            cursor.ask(since, &mut params, &mut body)?;
        }
        settings.pages.ask(at, &mut params, &mut body);
        super::request::add_params(&mut url, &params);
        let body = body.map(|body| Sent::of(body, settings.encoding)).transpose()?;
        Ok(Prepared {
            method: settings.method.clone(),
            url,
            headers: settings.headers.clone(),
            body,
        })
    }

    fn rows(&self, value: &Value) -> Result<Vec<Found>, Malformed> {
        let mut records = self.settings.data.all(value, &Value::Null)?;
        // `.items` gives the list, `.items[]` its records one by one.
        if records.len() == 1
            && let Some(Value::List(_)) = records.first()
            && let Some(Value::List(listed)) = records.pop()
        {
            records = listed;
        }
        match records.iter().find(|record| !matches!(record, Value::Map(_))) {
            Some(odd) if matches!(odd, Value::Null) && records.len() == 1 => Err(Malformed(
                "the answer has no list where data_selector looks for it".to_owned(),
            )),
            Some(odd) => Err(Malformed(format!(
                "data_selector gives {} where records are wanted",
                odd.kind()
            ))),
            None => Ok(records.into_iter().map(|record| self.found(record)).collect()),
        }
    }

    /// A record that has no key is told by its content, and goes no further than that.
    fn found(&self, record: Value) -> Found {
        let hash = Hash::of(record.to_json().as_bytes());
        let key = match self.settings.key.text(&record, &Value::Null) {
            Ok(Some(key)) if !key.is_empty() => Ok(key),
            Ok(_) => Err("the record has no value at primary_key".to_owned()),
            Err(Malformed(why)) => Err(why),
        };
        let mark = self.settings.cursor.as_ref().and_then(|cursor| cursor.mark(&record));
        let stamp = match (&self.settings.cursor, &mark) {
            // What contradicts its own stamp is read again, which takes an address for that.
            (Some(cursor), Some(mark)) if self.settings.read.is_some() => cursor.marks.stamp(mark),
            _ => None,
        };
        let (key, body) = match key {
            Ok(key) => (escaped(&key), Raw::Value(record)),
            Err(why) => (format!("?{}", hash.hex()), Raw::Unreadable(why)),
        };
        let row = Row {
            key: Key(key),
            stamp,
            hash,
            control: None,
            body,
        };
        Found { row, mark }
    }

    /// The record at an address of its own.
    async fn at_address(&self, read: &ReadSettings, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        let doing = format!("reading {} {} ", self.name, plain(&key.0));
        let doing = doing.trim_end().to_owned();
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let url = read
            .place
            .url(&self.api.base, &Value::Null, Some(&plain(&key.0)))
            .map_err(wrong)?;
        let prepared = self.simple(url, &read.params);
        let manner = self.manner(doing.clone(), purpose, Tries::Few(2));
        self.api
            .call(prepared, &manner, |answer| {
                if answer.status.as_u16() == 404 {
                    return Ok(None);
                }
                let value = self.settings.rules.judge(answer, &doing)?;
                let record = match &read.data {
                    Some(data) => data.value(&value, &Value::Null).map_err(wrong)?,
                    None => value,
                };
                let record = match record {
                    Value::List(mut records) if records.len() == 1 => records.remove(0),
                    Value::List(records) if records.is_empty() => return Ok(None),
                    record => record,
                };
                if record.is_null() {
                    return Ok(None);
                }
                let row = self.found(record).row;
                if row.key != *key {
                    let said = format!("it answered with {} instead", plain(&row.key.0));
                    return Err(Error::new(Fault::Transient { reached: true }, &doing, said));
                }
                Ok(Some(row))
            })
            .await
    }

    fn simple(&self, mut url: Url, params: &[(String, String)]) -> Prepared {
        super::request::add_params(&mut url, params);
        Prepared {
            method: Method::GET,
            url,
            headers: self.settings.headers.clone(),
            body: None,
        }
    }

    /// Without an address of its own, the record is looked for in the listing.
    async fn in_listing(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        let (mut at, mut trail) = (At::Start, Trail::default());
        loop {
            let listed = self.page("", &at, &mut trail, purpose).await?;
            let found = listed.rows.into_iter().find(|found| found.row.key == *key);
            match (found, listed.next) {
                (Some(found), _) => return Ok(Some(found.row)),
                (None, Some(next)) => at = next,
                (None, None) => return Ok(None),
            }
        }
    }

    /// What a first look at the listing says.
    pub(super) async fn probe(&self) -> Result<String, Error> {
        let listed = self.page("", &At::Start, &mut Trail::default(), Use::Feed).await?;
        let count = listed.rows.len();
        let unreadable = listed.rows.iter().find_map(|found| match &found.row.body {
            Raw::Unreadable(why) => Some(why.clone()),
            Raw::Value(_) => None,
        });
        match (unreadable, listed.next) {
            (Some(why), _) => Err(Error::new(Fault::Denied, format!("reading {}", self.name), why)
                .hint("check data_selector and primary_key")),
            (None, Some(_)) => Ok(format!("{count} records on the first page, and more follow")),
            (None, None) => Ok(format!("{count} records")),
        }
    }
}

fn unreadable(doing: &str, answer: &Answer, why: String) -> Error {
    let status = answer.status.as_u16();
    Error::new(
        Fault::Denied,
        doing,
        format!("its answer is not what is expected: {why}"),
    )
    .status(status)
    .hint("check data_selector against a real answer; `preview` shows what comes of it")
}

/// In the state a colon tells parts of a record apart, so none may stand in a key.
fn escaped(key: &str) -> String {
    key.replace('%', "%25").replace(':', "%3A")
}

pub(super) fn plain(key: &str) -> String {
    key.replace("%3A", ":").replace("%25", "%")
}

#[async_trait]
impl Source for Feed {
    /// Nothing is known before the first listing, and a clock is not asked: whatever is seen first is told from
    /// what changes later by what the first listing showed.
    async fn now(&self) -> Result<Cursor, Error> {
        Ok(Cursor(String::new()))
    }

    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        if self.compare(&a, &b).is_lt() { b } else { a }
    }

    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        if self.compare(&a, &b).is_gt() { b } else { a }
    }

    fn settled(&self, cursor: &Cursor) -> Cursor {
        let lag = self
            .settings
            .cursor
            .as_ref()
            .map_or(Duration::ZERO, |cursor| cursor.marks.lag);
        self.back(cursor, lag)
    }

    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        self.settings.cursor.as_ref()?.marks.stamp(&cursor.0)
    }

    fn back(&self, cursor: &Cursor, by: Duration) -> Cursor {
        match &self.settings.cursor {
            Some(settings) => Cursor(settings.marks.back(&cursor.0, by)),
            None => cursor.clone(),
        }
    }

    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass> {
        Box::new(Walk::new(self.clone(), &since.0, purpose))
    }

    fn history(&self, window: Window, _resume: Option<&Cursor>) -> Box<dyn Pass> {
        if window != Window::default() {
            tracing::warn!(
                "{} does not tell when a record came to be: all of it is read, whatever time was asked for",
                self.name
            );
        }
        Box::new(Walk::over_history(self.clone()))
    }

    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        match &self.settings.read {
            Some(read) => self.at_address(read, key, purpose).await,
            None => self.in_listing(key, purpose).await,
        }
    }

    fn decode(&self, body: Raw, _single: bool) -> Result<Record, Malformed> {
        match body {
            Raw::Value(value) => Ok(Record::Whole {
                value,
                flags: Vec::new(),
            }),
            Raw::Unreadable(why) => Err(Malformed(why)),
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.page("", &At::Start, &mut Trail::default(), Use::Feed)
            .await
            .map(|_| ())
    }
}

impl Feed {
    fn compare(&self, a: &Cursor, b: &Cursor) -> std::cmp::Ordering {
        match &self.settings.cursor {
            Some(settings) => settings.marks.compare(&a.0, &b.0),
            None => std::cmp::Ordering::Equal,
        }
    }
}

impl Clone for Feed {
    fn clone(&self) -> Feed {
        Feed {
            api: self.api.clone(),
            name: self.name.clone(),
            settings: self.settings.clone(),
        }
    }
}
