//! The faults a test or a person can order, and when they strike.

use serde::{Deserialize, Serialize};

use crate::resource::Resource;
use crate::splice::Splice;

/// A fault, the requests it is for, and when it strikes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Shown in the request log; free.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub on: Match,
    #[serde(default)]
    pub when: When,
    pub what: Fault,
}

impl Rule {
    /// On every request to `kind`.
    pub fn new(kind: Kind, what: Fault) -> Rule {
        Rule {
            name: String::new(),
            on: Match {
                kind,
                ..Match::default()
            },
            when: When::Always,
            what,
        }
    }

    /// On every list, `GET /orders` and the others; see [`Rule::of`].
    pub fn list(what: Fault) -> Rule {
        Rule::new(Kind::List, what)
    }

    /// On every detail, `GET /orders/ID` and the others; see [`Rule::of`].
    pub fn detail(what: Fault) -> Rule {
        Rule::new(Kind::Detail, what)
    }

    /// On every write.
    pub fn write(what: Fault) -> Rule {
        Rule::new(Kind::Write, what)
    }

    /// On every request.
    pub fn any(what: Fault) -> Rule {
        Rule::new(Kind::Any, what)
    }

    /// An order's text replaced or patched wherever the order is shown.
    pub fn splice(order: i64, splice: Splice) -> Rule {
        Rule::any(Fault::Splice {
            order: Some(order),
            splice,
        })
    }

    #[must_use]
    pub fn when(mut self, when: When) -> Rule {
        self.when = when;
        self
    }

    #[must_use]
    pub fn named(mut self, name: &str) -> Rule {
        name.clone_into(&mut self.name);
        self
    }

    /// Only on this page of the list.
    #[must_use]
    pub fn page(mut self, page: usize) -> Rule {
        self.on.page = Some(page);
        self
    }

    /// Only on requests for this kind of record.
    #[must_use]
    pub fn of(mut self, resource: Resource) -> Rule {
        self.on.resource = Some(resource);
        self
    }

    /// Only on requests that name this record in their path, whatever its kind.
    #[must_use]
    pub fn record(mut self, id: i64) -> Rule {
        self.on.record = Some(id);
        self
    }

    /// Only on this order's detail.
    #[must_use]
    pub fn order(mut self, id: i64) -> Rule {
        self.on.order = Some(id);
        self
    }
}

/// Which requests; every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub method: Option<String>,
    /// Prefix of the path, `/api/apps/v1/…`.
    pub path: Option<String>,
    pub kind: Kind,
    /// The kind of record; without it every kind that fits.
    pub resource: Option<Resource>,
    /// The record whose id is in the path.
    pub record: Option<i64>,
    /// The order a detail request is for.
    pub order: Option<i64>,
    /// The page a list request asks for.
    pub page: Option<usize>,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Any,
    /// Several records.
    List,
    /// One record.
    Detail,
    Store,
    /// To change something.
    Write,
}

/// Which of the matching requests are hit; they are counted per rule from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    Always,
    /// Until it has struck so often.
    Times(u64),
    /// Only the nth request.
    Nth(u64),
    /// The nth request, the 2nth, and so on.
    Every(u64),
    /// `skip` requests pass, then it strikes `times` times.
    After { skip: u64, times: u64 },
    /// By chance, from the sandbox's seed.
    Percent(u32),
}

/// What goes wrong. Faults of the data, of the answer and of the wire can strike together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Another answer altogether; a write is then not carried out.
    Answer(Canned),
    /// The right answer with another body, still 200 and JSON.
    Body(String),
    /// One more header on the answer.
    Header { name: String, value: String },
    /// RST instead of an answer; a write is carried out all the same, as it is with every fault of the wire.
    ResetBefore,
    /// RST after so many bytes of the body.
    ResetAfter { bytes: usize },
    /// The body ends after so many bytes.
    Truncate { bytes: usize, length: Length },
    /// `Content-Length` promises so many bytes more than come; the connection then stays open and silent.
    LongLength { extra: usize },
    /// No byte of an answer ever comes; the connection stays open.
    Hang,
    /// The body comes at this rate.
    Drip { bytes_per_second: usize },
    /// Of a write: it is carried out, and RST comes instead of its answer.
    AnswerLost,
    /// Of a write: 400, and nothing is changed.
    WriteRefused,
    /// Of a write: 200, and nothing is changed.
    WriteIgnored,
    /// Of a write: 500, although it was carried out, or because it was not.
    WriteFailed { written: bool },
    /// The answer comes this much later.
    Delay { ms: u64 },
    /// `Content-Encoding: gzip`, so many spaces inside a valid JSON answer.
    GzipBomb { bytes: u64 },
    /// So many bytes more in the envelope.
    PadPage { bytes: usize },
    /// So many bytes more in each row, so that a smaller page helps.
    PadRows { bytes: usize },
    /// The rows of the page sent last (or of the page before) under this page's number.
    RepeatPreviousPage,
    /// No rows, total unchanged.
    EmptyPage,
    /// A lower limit than the documented one, silently.
    ClampLimit { rows: usize },
    /// Beyond the end the last page comes again.
    LastPageForEver,
    /// Another `total`; `None` leaves it out.
    WrongTotal { total: Option<i64> },
    /// Served from a copy that is so far behind.
    StaleCopy { lag_ms: i64 },
    /// A version (of one record, or of any) is not shown until its `updated_at` is so old. The id is an order's unless
    /// the rule names another kind of record.
    HideYoung {
        #[serde(alias = "record")]
        order: Option<i64>,
        age_ms: i64,
    },
    /// JSON text put in place of (a part of) a record, or of every record. The id is an order's unless the rule names
    /// another kind of record.
    Splice {
        #[serde(alias = "record")]
        order: Option<i64>,
        splice: Splice,
    },
}

/// What a truncated answer says about its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Length {
    /// The whole length, then the connection closes: the client can tell.
    Whole,
    /// The cut length: correct HTTP, broken JSON.
    Cut,
    /// None; the end is the connection's end.
    Absent,
}

/// An answer given instead of the real one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Canned {
    pub code: u16,
    #[serde(default = "json_type")]
    pub content_type: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub body: String,
}

fn json_type() -> String {
    "application/json; charset=utf-8".to_owned()
}

impl Canned {
    /// The platform's error envelope.
    pub fn error(code: u16, name: &str, message: &str) -> Canned {
        let body = serde_json::json!({"message": message, "code": name, "status": code}).to_string();
        Canned {
            code,
            content_type: json_type(),
            headers: Vec::new(),
            body,
        }
    }

    pub fn html(code: u16, body: &str) -> Canned {
        let content_type = "text/html; charset=utf-8".to_owned();
        Canned {
            code,
            content_type,
            headers: Vec::new(),
            body: body.to_owned(),
        }
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Canned {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
