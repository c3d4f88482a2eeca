//! The ERP's endpoints: which one a request means, who may ask, and how the answer travels.

use std::time::{Duration, Instant};

use crate::answer::{Answer, http_date};
use crate::erp::books::{Asked, Books, Inner};
use crate::erp::document::Document;
use crate::erp::fault::{Facts, Fault, Kind, Loss, Rule, failure};
use crate::erp::options::Way;
use crate::erp::{batch, control, lists, records, writes};
use crate::fault::Canned;
use crate::http::{Incoming, Site};
use crate::plan::{Plan, Way as Travel, Wire};

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum Endpoint<'a> {
    Token,
    Login,
    List(&'a str),
    Read(&'a str, &'a str),
    Create(&'a str),
    /// `PUT` puts in place, `PATCH` lays over.
    Update {
        resource: &'a str,
        id: &'a str,
        whole: bool,
    },
    Cancel(&'a str, &'a str),
    Delete(&'a str, &'a str),
    Batch(&'a str),
    WrongMethod,
    Unknown,
}

impl<'a> Endpoint<'a> {
    fn of(method: &str, path: &'a str, resources: &[String]) -> Endpoint<'a> {
        let steps: Vec<&str> = path.split('/').filter(|step| !step.is_empty()).collect();
        let known = |resource: &str| resources.iter().any(|one| one == resource);
        match (method, steps.as_slice()) {
            ("POST", ["token"]) => Endpoint::Token,
            ("POST", ["login"]) => Endpoint::Login,
            (_, ["token" | "login"]) => Endpoint::WrongMethod,
            (_, [resource, ..]) if !known(resource) => Endpoint::Unknown,
            ("GET", [resource]) => Endpoint::List(resource),
            ("POST", [resource]) => Endpoint::Create(resource),
            ("POST", [resource, "batch"]) => Endpoint::Batch(resource),
            ("POST", [resource, id, "cancel"]) => Endpoint::Cancel(resource, id),
            ("GET", [resource, id]) => Endpoint::Read(resource, id),
            ("PUT", [resource, id]) => Endpoint::Update {
                resource,
                id,
                whole: true,
            },
            ("PATCH", [resource, id]) => Endpoint::Update {
                resource,
                id,
                whole: false,
            },
            ("DELETE", [resource, id]) => Endpoint::Delete(resource, id),
            (_, [_] | [_, _] | [_, _, "cancel"]) => Endpoint::WrongMethod,
            _ => Endpoint::Unknown,
        }
    }

    fn kind(&self, incoming: &Incoming) -> Kind {
        match self {
            Endpoint::Token => Kind::Token,
            Endpoint::Login => Kind::Login,
            Endpoint::List(_) if incoming.query_value("reference").is_some() => Kind::Find,
            Endpoint::List(_) => Kind::List,
            Endpoint::Read(..) => Kind::Read,
            Endpoint::Create(_) => Kind::Create,
            Endpoint::Update { .. } => Kind::Update,
            Endpoint::Cancel(..) | Endpoint::Delete(..) => Kind::Cancel,
            Endpoint::Batch(_) => Kind::Batch,
            Endpoint::WrongMethod | Endpoint::Unknown => Kind::Any,
        }
    }

    fn resource(&self) -> Option<&'a str> {
        match self {
            Endpoint::List(resource)
            | Endpoint::Read(resource, _)
            | Endpoint::Create(resource)
            | Endpoint::Update { resource, .. }
            | Endpoint::Cancel(resource, _)
            | Endpoint::Delete(resource, _)
            | Endpoint::Batch(resource) => Some(resource),
            Endpoint::Token | Endpoint::Login | Endpoint::WrongMethod | Endpoint::Unknown => None,
        }
    }

    fn id(&self) -> Option<&'a str> {
        match self {
            Endpoint::Read(_, id) | Endpoint::Update { id, .. } | Endpoint::Cancel(_, id) | Endpoint::Delete(_, id) => {
                Some(id)
            }
            _ => None,
        }
    }
}

impl Site for Books {
    fn respond(&self, incoming: &Incoming) -> (Answer, Wire) {
        if let Some(rest) = incoming.path.strip_prefix(control::BASE)
            && (rest.is_empty() || rest.starts_with('/'))
        {
            return (control::answer(self, incoming, rest), Wire::SOUND);
        }
        answer(&mut self.lock(), incoming)
    }

    fn connected(&self) {
        self.count_connection();
    }
}

fn answer(inner: &mut Inner, incoming: &Incoming) -> (Answer, Wire) {
    let path = incoming.path.strip_prefix("/api").unwrap_or(&incoming.path);
    let resources = inner.options.resources.clone();
    let endpoint = Endpoint::of(&incoming.method, path, &resources);
    let key = incoming.header(&inner.options.key_header).map(str::to_owned);
    let body = String::from_utf8_lossy(&incoming.body).into_owned();
    let facts = facts(inner, incoming, path, &endpoint, &body);
    let mut plan = inner.rules.plan(&facts);
    let mut way = None;
    let (mut answer, mut travel) = match stopped(&mut plan) {
        Some(stopped) => stopped,
        None => match admitted(inner, incoming, &endpoint) {
            Err(refusal) => (refusal, Travel::Whole),
            Ok(admitted) => {
                way = admitted;
                carry_out(inner, &mut plan, incoming, &endpoint, (&body, key.as_deref()))
            }
        },
    };
    // A token's answer gets lost as well.
    if matches!(endpoint, Endpoint::Token | Endpoint::Login)
        && let Some(loss) = plan.take(|fault| match fault {
            Fault::AnswerLost(loss) => Some(*loss),
            _ => None,
        })
    {
        (answer, travel) = lose(answer, loss);
    }
    if let Some(other) = plan.take(|fault| match fault {
        Fault::Body(body) => Some(body.clone()),
        _ => None,
    }) {
        answer.body = other.into_bytes();
    }
    let delay = plan.take(|fault| match fault {
        Fault::Delay { ms } => Some(Duration::from_millis(*ms)),
        _ => None,
    });
    answer.header("Date", &http_date(inner.time.now_ms()));
    let asked = Asked {
        at: Instant::now(),
        at_ms: inner.time.now_ms(),
        method: incoming.method.clone(),
        path: path.to_owned(),
        query: incoming.query.clone(),
        kind: facts.kind,
        resource: facts.resource,
        reference: facts.reference,
        key,
        way,
        body: if endpoint.resource().is_some() {
            body
        } else {
            String::new()
        },
        header_names: incoming.headers.iter().map(|header| header.0.clone()).collect(),
        status: answer.code,
        fault: inner.rules.credit(plan),
    };
    inner.log.push(asked);
    (answer, Wire { delay, way: travel })
}

fn facts(inner: &Inner, incoming: &Incoming, path: &str, endpoint: &Endpoint<'_>, body: &str) -> Facts {
    let kind = endpoint.kind(incoming);
    let resource = endpoint.resource();
    let named = match kind {
        Kind::Find => incoming.query_value("reference").map(str::to_owned),
        Kind::Create => Document::read(body).ok().and_then(|sent| sent.text("reference")),
        _ => None,
    };
    let held = || inner.shelves.get(resource?)?.by_id(endpoint.id()?)?.reference();
    Facts {
        method: incoming.method.clone(),
        path: path.to_owned(),
        kind,
        reference: named.or_else(held),
        resource: resource.map(str::to_owned),
    }
}

/// What is answered, or not, without anything being carried out.
fn stopped(plan: &mut Plan<Rule>) -> Option<(Answer, Travel)> {
    let silent = plan.take(|fault| match fault {
        Fault::Down => Some(Travel::ResetBefore),
        Fault::Hang => Some(Travel::Hang),
        _ => None,
    });
    if let Some(travel) = silent {
        return Some((Answer::json(503, String::new()), travel));
    }
    let canned = plan.take(|fault| match fault {
        Fault::Answer(canned) => Some(canned.clone()),
        _ => None,
    })?;
    Some((Answer::canned(canned), Travel::Whole))
}

/// The limit of requests, then the credentials; `/token` and `/login` look at their own.
fn admitted(inner: &mut Inner, incoming: &Incoming, endpoint: &Endpoint<'_>) -> Result<Option<Way>, Answer> {
    limit(inner)?;
    if matches!(endpoint, Endpoint::Token | Endpoint::Login) {
        return Ok(None);
    }
    let now_ms = inner.time.now_ms();
    let ways = inner.options.ways.clone();
    inner.access.check(incoming, &ways, now_ms).map(Some)
}

fn limit(inner: &mut Inner) -> Result<(), Answer> {
    let Some(rate) = inner.options.rate else {
        return Ok(());
    };
    let now = Instant::now();
    let window = &mut inner.window;
    while window.front().is_some_and(|at| now.duration_since(*at) >= rate.window) {
        window.pop_front();
    }
    if window.len() < rate.requests {
        window.push_back(now);
        return Ok(());
    }
    let gone = window.front().map_or(Duration::ZERO, |at| now.duration_since(*at));
    let free = rate.window.saturating_sub(gone);
    let seconds = free.as_secs() + u64::from(free.subsec_nanos() > 0);
    let mut answer = Answer::json(429, failure("too_many_requests", "Too many requests"));
    answer.header("Retry-After", &seconds.max(1).to_string());
    Err(answer)
}

/// `sent` is the body and the idempotency key.
fn carry_out(
    inner: &mut Inner,
    plan: &mut Plan<Rule>,
    incoming: &Incoming,
    endpoint: &Endpoint<'_>,
    sent: (&str, Option<&str>),
) -> (Answer, Travel) {
    let (body, key) = sent;
    let told = match endpoint {
        Endpoint::Token => return (token(inner, incoming), Travel::Whole),
        Endpoint::Login => return (login(inner, incoming), Travel::Whole),
        Endpoint::List(resource) => return (lists::list(inner, plan, resource, incoming), Travel::Whole),
        Endpoint::Read(resource, id) => return (read(inner, resource, id), Travel::Whole),
        Endpoint::WrongMethod => {
            let message = "This method does not work here";
            return (Answer::json(405, failure("method_not_allowed", message)), Travel::Whole);
        }
        Endpoint::Unknown => {
            return (
                Answer::json(404, failure("not_found", "No such resource")),
                Travel::Whole,
            );
        }
        Endpoint::Create(resource) => writes::create(inner, plan, resource, body, key),
        Endpoint::Update { resource, id, whole } => writes::update(inner, plan, *whole, (resource, id), body),
        Endpoint::Cancel(resource, id) => writes::cancel(inner, plan, resource, id, body),
        Endpoint::Delete(resource, id) => writes::delete(inner, plan, resource, id),
        Endpoint::Batch(resource) => batch::batch(inner, plan, resource, body),
    };
    match told.loss {
        Some(loss) => lose(told.answer, loss),
        None => (told.answer, Travel::Whole),
    }
}

fn token(inner: &mut Inner, incoming: &Incoming) -> Answer {
    let now_ms = inner.time.now_ms();
    inner.access.token(incoming, now_ms)
}

fn login(inner: &mut Inner, incoming: &Incoming) -> Answer {
    let now_ms = inner.time.now_ms();
    inner.access.login(incoming, now_ms)
}

fn read(inner: &Inner, resource: &str, id: &str) -> Answer {
    let held = inner.shelves.get(resource).and_then(|shelf| shelf.by_id(id));
    match held {
        Some(held) => Answer::json(200, records::data(inner, held)),
        None => writes::missing(id),
    }
}

/// The answer in the way it does not arrive.
fn lose(answer: Answer, loss: Loss) -> (Answer, Travel) {
    let page =
        |code: u16, words: &str| Canned::html(code, &format!("<html><body><h1>{code} {words}</h1></body></html>"));
    match loss {
        Loss::Reset => (answer, Travel::ResetBefore),
        Loss::Hang => (answer, Travel::Hang),
        Loss::BadGateway => (Answer::canned(page(502, "Bad Gateway")), Travel::Whole),
        Loss::GatewayTimeout => (Answer::canned(page(504, "Gateway Time-out")), Travel::Whole),
    }
}
