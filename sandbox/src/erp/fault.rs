//! What can go wrong in the ERP on request, and which requests it strikes.

use serde::{Deserialize, Serialize};

use crate::fault::{Canned, When};
use crate::plan::Ordered;

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
    /// On every request of this kind.
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

    pub fn any(what: Fault) -> Rule {
        Rule::new(Kind::Any, what)
    }

    pub fn create(what: Fault) -> Rule {
        Rule::new(Kind::Create, what)
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

    /// Only on requests about this kind of record.
    #[must_use]
    pub fn of(mut self, resource: &str) -> Rule {
        self.on.resource = Some(resource.to_owned());
        self
    }

    /// Only on requests about the record with this reference.
    #[must_use]
    pub fn reference(mut self, reference: &str) -> Rule {
        self.on.reference = Some(reference.to_owned());
        self
    }
}

/// Which requests; every given condition must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub method: Option<String>,
    /// Prefix of the path, without `/api`.
    pub path: Option<String>,
    pub kind: Kind,
    /// `sales-orders`, `customers`, `stock`.
    pub resource: Option<String>,
    /// Of the record asked for, written or looked up.
    pub reference: Option<String>,
}

/// What a request wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    #[default]
    Any,
    /// `POST /sales-orders`
    Create,
    /// `PUT` or `PATCH /sales-orders/ID`
    Update,
    /// `POST /sales-orders/ID/cancel`, `DELETE /sales-orders/ID`
    Cancel,
    /// `POST /sales-orders/batch`
    Batch,
    /// Any of the four above.
    Write,
    /// `GET /sales-orders/ID`
    Read,
    /// `GET /sales-orders` with `reference=`
    Find,
    /// `GET /sales-orders` without it
    List,
    /// `POST /token`
    Token,
    /// `POST /login`
    Login,
}

/// What the rules look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) resource: Option<String>,
    pub(crate) reference: Option<String>,
}

impl Kind {
    pub(crate) fn writes(self) -> bool {
        matches!(
            self,
            Kind::Create | Kind::Update | Kind::Cancel | Kind::Batch | Kind::Write
        )
    }

    fn takes(self, other: Kind) -> bool {
        self == Kind::Any || self == other || (self == Kind::Write && other.writes())
    }
}

impl Ordered for Rule {
    type Facts = Facts;
    type What = Fault;

    fn is_for(&self, facts: &Facts) -> bool {
        let on = &self.on;
        on.method
            .as_ref()
            .is_none_or(|method| method.eq_ignore_ascii_case(&facts.method))
            && on.path.as_ref().is_none_or(|path| facts.path.starts_with(path))
            && on.kind.takes(facts.kind)
            && (on.resource.is_none() || on.resource == facts.resource)
            && (on.reference.is_none() || on.reference == facts.reference)
    }

    fn when(&self) -> When {
        self.when
    }

    fn what(&self) -> &Fault {
        &self.what
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// What goes wrong. Each strikes at most once in a request and is counted only when it did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// Another answer altogether, and nothing is carried out.
    Answer(Canned),
    /// The right answer with another body, after the request was carried out.
    Body(String),
    /// RST instead of an answer, and nothing is carried out: the ERP is down.
    Down,
    /// No answer ever, and nothing is carried out.
    Hang,
    /// The answer comes this much later; the request was carried out at once.
    Delay { ms: u64 },
    /// It is carried out, and the answer does not arrive.
    AnswerLost(Loss),
    /// Of a create: the answer does not arrive, and it is carried out only `ms` after the `lookups`-th look-up for its
    /// reference that found nothing (0: after the request itself).
    CommitLate { lookups: u64, ms: u64, loss: Loss },
    /// Of a create: answered as if there had been no idempotency key; strikes where the key was known.
    IgnoreKey,
    /// Of a create: answered 201 with an id, and nothing is stored.
    Pretend,
    /// Of a write: 422 in the ERP's own words for these references (none: for all), in a batch for its items.
    Refuse {
        #[serde(default)]
        references: Vec<String>,
        message: String,
    },
    /// Of a write: 200 `{"success":false}`, and nothing is stored.
    SuccessFalse { message: String },
    /// Of a write: 200 with no body.
    EmptyBody { stored: bool },
    /// Of a create: 409, because a record with its reference is there: its own content (as after a lost answer), or
    /// somebody else's.
    Conflict { own: bool },
    /// Of a write: what is stored is not what was sent.
    Spoil(Spoil),
    /// Of a batch: the results come in another order.
    BatchShuffled,
    /// Of a batch: the first so many items are missing from the results, whether stored or not.
    BatchMissing { items: usize, stored: bool },
    /// Of a list: records younger than this are not shown yet.
    HideYoung { ms: i64 },
    /// Of a list: the filter is ignored.
    IgnoreFilter { param: String },
    /// Of a list: the next link points to another host.
    NextElsewhere { origin: String },
    /// Of a list: the next page is this page.
    NextLoops,
    /// Of a list: the rows come under another name.
    Renamed { member: String },
}

/// Where an answer is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// RST
    Reset,
    /// Silence, until the client gives up.
    Hang,
    /// 502 from a proxy in between.
    BadGateway,
    /// 504 from a proxy in between.
    GatewayTimeout,
}

/// What an ERP does to what it is sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// The member keeps so many characters.
    Cut { member: String, chars: usize },
    /// The member in lower case.
    Fold { member: String },
    /// The member without the spaces around it.
    Trim { member: String },
    /// All texts trimmed and in upper case.
    Normalise,
}

/// The names [`Fault::preset`] knows.
pub const FAULTS: [&str; 12] = [
    "429",
    "500-html",
    "502",
    "503",
    "401",
    "403",
    "down",
    "hang",
    "false-200",
    "empty-200",
    "answer-lost",
    "refresh-refused",
];

impl Fault {
    /// 429 with `Retry-After` in seconds.
    pub fn too_many(seconds: u32) -> Fault {
        let canned = Canned {
            body: failure("too_many_requests", "Too many requests"),
            ..Canned::error(429, "", "")
        };
        Fault::Answer(canned.header("Retry-After", &seconds.to_string()))
    }

    /// An answer with the ERP's own envelope.
    pub fn error(code: u16, name: &str, message: &str) -> Fault {
        Fault::Answer(Canned {
            body: failure(name, message),
            ..Canned::error(code, "", "")
        })
    }

    /// A ready-made one by its name in [`FAULTS`].
    pub fn preset(name: &str) -> Option<Fault> {
        Some(match name {
            "429" => Fault::too_many(1),
            "500-html" => Fault::Answer(Canned::html(
                500,
                "<html><head><title>Internal Server Error</title></head><body><h1>Internal Server Error</h1></body></html>",
            )),
            "502" => Fault::Answer(Canned::html(502, "<html><body><h1>502 Bad Gateway</h1></body></html>")),
            "503" => Fault::error(503, "maintenance", "Down for maintenance"),
            "401" => Fault::error(401, "unauthorized", "The token is not valid"),
            "403" => Fault::error(403, "forbidden", "This user may not do that"),
            "down" => Fault::Down,
            "hang" => Fault::Hang,
            "false-200" => Fault::SuccessFalse {
                message: "The period is closed".to_owned(),
            },
            "empty-200" => Fault::EmptyBody { stored: false },
            "answer-lost" => Fault::AnswerLost(Loss::Reset),
            "refresh-refused" => Fault::Answer(Canned {
                body: r#"{"error":"invalid_grant","error_description":"The refresh token has been revoked"}"#
                    .to_owned(),
                ..Canned::error(400, "", "")
            }),
            _ => return None,
        })
    }
}

/// The ERP's envelope of an error.
pub(crate) fn failure(name: &str, message: &str) -> String {
    serde_json::json!({"success": false, "error": {"code": name, "message": message}}).to_string()
}
