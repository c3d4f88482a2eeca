//! The platform's endpoints under `/api/apps/v1`: who may ask, what is answered, and what the ordered faults make of it.

use std::sync::Arc;
use std::time::Instant;

use crate::answer::{Answer, http_date};
use crate::auth;
use crate::fault::{Fault, Kind};
use crate::http::Incoming;
use crate::jsontext::Members;
use crate::lists;
use crate::movement::Moment;
use crate::options::DetailShape;
use crate::order::{Form, Order};
use crate::page::{self, Overlay};
use crate::plan::{Facts, Plan, Wire};
use crate::requests::Request;
use crate::world::{Inner, World};

pub(crate) const BASE: &str = "/api/apps/v1";

/// An endpoint of the platform; each new resource adds its own.
enum Endpoint {
    Orders,
    Order(String),
    Store,
    WrongMethod,
    Unknown,
}

impl Endpoint {
    fn of(incoming: &Incoming) -> Endpoint {
        let Some(rest) = incoming.path.strip_prefix(BASE) else {
            return Endpoint::Unknown;
        };
        let endpoint = match rest.trim_end_matches('/') {
            "/orders" => Endpoint::Orders,
            "/store" => Endpoint::Store,
            rest => match rest.strip_prefix("/orders/") {
                Some(id) if !id.contains('/') => Endpoint::Order(id.to_owned()),
                _ => return Endpoint::Unknown,
            },
        };
        if incoming.method == "GET" {
            endpoint
        } else {
            Endpoint::WrongMethod
        }
    }

    fn kind(&self) -> Kind {
        match self {
            Endpoint::Orders => Kind::List,
            Endpoint::Order(_) => Kind::Detail,
            Endpoint::Store => Kind::Store,
            Endpoint::WrongMethod | Endpoint::Unknown => Kind::Any,
        }
    }

    fn scope(&self) -> &'static str {
        match self {
            Endpoint::Store => "read:store",
            _ => "read:orders",
        }
    }
}

/// Answers one request and says how the answer is to travel.
pub(crate) fn answer(world: &World, incoming: &Incoming) -> (Answer, Wire) {
    let endpoint = Endpoint::of(incoming);
    let facts = facts(incoming, &endpoint);
    let mut inner = world.lock();
    let ticket = note(&mut inner, incoming, &facts);
    let mut plan = inner.rules.plan(&facts);
    let rate = limit(&mut inner);
    let refused = rate.refusal.or_else(|| refusal(&inner, &mut plan, incoming, &endpoint));
    let listed = facts.kind == Kind::List && refused.is_none();
    let mut answer = refused.unwrap_or_else(|| endpoint_answer(&mut inner, &mut plan, incoming, &endpoint));
    for (name, value) in rate.headers {
        answer.header(name, &value);
    }
    let pad = if answer.body.first() == Some(&b'{') {
        take_padding(&mut plan)
    } else {
        None
    };
    let added = plan.take(|fault| match fault {
        Fault::Header { name, value } => Some((name.clone(), value.clone())),
        _ => None,
    });
    if let Some((name, value)) = added {
        answer.header(&name, &value);
    }
    let date = http_date(inner.time.now_ms());
    answer.header("Date", &date);
    let wire = plan.take_wire();
    let fault = inner.rules.credit(plan);
    inner.log.complete(ticket, answer.code, fault);
    if listed {
        shift(&mut inner, Moment::After);
    }
    drop(inner);
    if listed {
        world.run_hook(facts.page.unwrap_or(1));
    }
    if let Some(bytes) = pad {
        pad_page(&mut answer, bytes);
    }
    (answer, wire)
}

fn facts(incoming: &Incoming, endpoint: &Endpoint) -> Facts {
    let order = match endpoint {
        Endpoint::Order(id) => id.parse().ok(),
        _ => None,
    };
    let page = match endpoint {
        Endpoint::Orders => Some(
            incoming
                .query_value("page")
                .and_then(|page| page.parse().ok())
                .unwrap_or(1),
        ),
        _ => None,
    };
    Facts {
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        kind: endpoint.kind(),
        order,
        page,
    }
}

fn note(inner: &mut Inner, incoming: &Incoming, facts: &Facts) -> usize {
    let request = Request {
        at: Instant::now(),
        at_ms: inner.time.now_ms(),
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        query: incoming.query.clone(),
        order: facts.order,
        page: facts.page,
        header_names: incoming.headers.iter().map(|header| header.0.clone()).collect(),
        auth: auth::carried(incoming),
        store_id_with_bearer: incoming.header("authorization").is_some() && incoming.header("x-store-id").is_some(),
        status: None,
        fault: None,
    };
    inner.log.push(request)
}

/// What the server's own limit says to a request.
struct Limited {
    refusal: Option<Answer>,
    headers: Vec<(&'static str, String)>,
}

fn limit(inner: &mut Inner) -> Limited {
    let Some(rate) = inner.options.rate else {
        return Limited {
            refusal: None,
            headers: Vec::new(),
        };
    };
    let now = Instant::now();
    while inner
        .window
        .front()
        .is_some_and(|at| now.duration_since(*at) >= rate.window)
    {
        inner.window.pop_front();
    }
    let full = inner.window.len() >= rate.requests;
    let refusal = full.then(|| {
        let free = inner
            .window
            .front()
            .map_or(rate.window, |at| rate.window.saturating_sub(now.duration_since(*at)));
        let seconds = free.as_secs() + u64::from(free.subsec_nanos() > 0);
        let mut answer = Answer::error(429, "rate_limit_exceeded", "Too many requests, please try again later.");
        answer.header("Retry-After", &seconds.max(1).to_string());
        answer
    });
    if !full {
        inner.window.push_back(now);
    }
    let left = rate.requests.saturating_sub(inner.window.len());
    let announced = [
        ("RateLimit-Limit", rate.requests.to_string()),
        ("RateLimit-Remaining", left.to_string()),
    ];
    Limited {
        refusal,
        headers: if rate.announce { announced.to_vec() } else { Vec::new() },
    }
}

/// What is said instead of the endpoint's own answer: an ordered fault, no such route, or no right to it.
fn refusal(inner: &Inner, plan: &mut Plan, incoming: &Incoming, endpoint: &Endpoint) -> Option<Answer> {
    let canned = plan.take(|fault| match fault {
        Fault::Answer(canned) => Some(canned.clone()),
        _ => None,
    });
    if let Some(canned) = canned {
        return Some(Answer::canned(canned));
    }
    if matches!(endpoint, Endpoint::Unknown | Endpoint::WrongMethod) {
        return None;
    }
    if let Err(refusal) = auth::check(incoming, &inner.access, endpoint.scope()) {
        return Some(refusal);
    }
    let body = plan.take(|fault| match fault {
        Fault::Body(body) => Some(body.clone()),
        _ => None,
    });
    body.map(|body| Answer::json(200, body))
}

fn endpoint_answer(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming, endpoint: &Endpoint) -> Answer {
    match endpoint {
        Endpoint::Orders => {
            shift(inner, Moment::Before);
            lists::orders(inner, plan, incoming)
        }
        Endpoint::Order(id) => detail(inner, plan, id),
        Endpoint::Store => store(inner),
        Endpoint::Unknown | Endpoint::WrongMethod => nothing_there(incoming, endpoint),
    }
}

/// What a router without such a route says.
fn nothing_there(incoming: &Incoming, endpoint: &Endpoint) -> Answer {
    if matches!(endpoint, Endpoint::WrongMethod) {
        return Answer::error(405, "method_not_allowed", "This sandbox does not take writes here yet");
    }
    let body = format!("<!DOCTYPE html><pre>Cannot {} {}</pre>", incoming.method, incoming.path);
    Answer::typed(404, "text/html; charset=utf-8", body)
}

fn shift(inner: &mut Inner, moment: Moment) {
    let Some(moving) = &mut inner.moving else { return };
    if moving.movement.moment != moment {
        return;
    }
    let now_ms = inner.time.now_ms().saturating_add(moving.movement.advance_ms);
    if moving.round(&mut inner.shop, now_ms) {
        inner.time.advance(moving.movement.advance_ms);
    }
}

/// The version of the world the request is shown.
pub(crate) fn overlay(inner: &Inner, plan: &mut Plan) -> Overlay {
    let now_ms = inner.time.now_ms();
    let stale = plan.take(|fault| match fault {
        Fault::StaleCopy { lag_ms } => Some(*lag_ms),
        _ => None,
    });
    let mut overlay = match stale {
        Some(lag_ms) => page::as_of(&inner.shop, now_ms.saturating_sub(lag_ms)),
        None => Overlay::new(),
    };
    for (id, fault) in plan.due() {
        if let Fault::HideYoung { order, age_ms } = fault.as_ref() {
            let hidden = page::without_young(&inner.shop, *order, *age_ms, now_ms);
            if !hidden.is_empty() {
                plan.mark(id);
            }
            for (order, shown) in hidden {
                overlay.entry(order).or_insert(shown);
            }
        }
    }
    overlay
}

/// Applies the splices ordered for this order to its text.
pub(crate) fn splice(plan: &mut Plan, due: &[(u64, Arc<Fault>)], id: i64, text: &mut String) {
    for (rule, fault) in due {
        if let Fault::Splice { order, splice } = fault.as_ref()
            && order.is_none_or(|order| order == id)
            && splice.apply(text)
        {
            plan.mark(*rule);
        }
    }
}

fn detail(inner: &mut Inner, plan: &mut Plan, id: &str) -> Answer {
    let overlay = overlay(inner, plan);
    let found = id.parse().ok().and_then(|id| page::version(&inner.shop, &overlay, id));
    let Some(order) = found else {
        return Answer::error(404, "not_found", "Order not found");
    };
    let mut text = String::with_capacity(2_000);
    order.write(&mut text, detail_form(inner));
    splice(plan, &plan.due(), order.id, &mut text);
    if inner.options.detail == DetailShape::Wrapped {
        text = wrap(&order, &text);
    }
    Answer::json(200, format!(r#"{{"data":{text},"status":200}}"#))
}

fn detail_form(inner: &Inner) -> Form {
    match inner.options.detail {
        DetailShape::Aliased => Form::Aliased,
        DetailShape::Plain | DetailShape::Wrapped => Form::Detail,
    }
}

fn wrap(order: &Order, text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 500);
    let mut members = Members::open(&mut out);
    members.raw("order", text);
    order.write_lines(members.name("items"));
    members.close();
    out
}

fn store(inner: &Inner) -> Answer {
    let mut out = String::new();
    let mut members = Members::open(&mut out);
    members.int("store_id", inner.access.store_id);
    members.text("name", "নীলাচল Boutique");
    members.text("email", "owner@example.com");
    members.text("phone", "01700000000");
    members.text("currency", "BDT");
    members.raw("image", "null");
    members.text("address", "House 12, Road 5, Dhanmondi, Dhaka");
    members.text("domain", "nilachol.example.com");
    members.text("language", "bn");
    members.stamp("created_at", 1_700_000_000_000);
    members.stamp("updated_at", 1_750_000_000_000);
    members.close();
    Answer::json(
        200,
        format!(r#"{{"message":"Store fetched successfully","data":{out},"status":200}}"#),
    )
}

fn take_padding(plan: &mut Plan) -> Option<usize> {
    plan.take(|fault| match fault {
        Fault::PadPage { bytes } => Some(*bytes),
        _ => None,
    })
}

/// An unknown member in front of the envelope's others.
fn pad_page(answer: &mut Answer, bytes: usize) {
    let mut body = Vec::with_capacity(answer.body.len() + bytes + 20);
    body.extend_from_slice(br#"{"padding":""#);
    body.resize(body.len() + bytes, b'x');
    body.extend_from_slice(br#"","#);
    body.extend_from_slice(answer.body.get(1..).unwrap_or(b"}"));
    answer.body = body;
}
