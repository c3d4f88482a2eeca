//! The platform's endpoints under `/api/apps/v1`: who may ask, what is answered, and what the ordered faults make of it.

use std::collections::VecDeque;
use std::time::Instant;

use crate::answer::{Answer, http_date};
use crate::auth;
use crate::endpoint::Endpoint;
use crate::fault::{Fault, Kind};
use crate::filters;
use crate::http::Incoming;
use crate::jsontext::Members;
use crate::lists;
use crate::metafields;
use crate::movement::Moment;
use crate::options::Rate;
use crate::page::Test;
use crate::plan::{Facts, Plan, Wire};
use crate::requests::Request;
use crate::resource::Resource;
use crate::view::{Categories, Customers, Discounts, Filtered, Inventory, Orders, Products, View as _};
use crate::webhook;
use crate::world::{Inner, World};
use crate::writes;

/// Answers one request and says how the answer is to travel.
pub(crate) fn answer(world: &World, incoming: &Incoming) -> (Answer, Wire) {
    let endpoint = Endpoint::of(incoming);
    let facts = facts(incoming, endpoint);
    let mut inner = world.lock();
    let ticket = note(&mut inner, incoming, &facts);
    let mut plan = inner.rules.plan(&facts);
    let rate = limit(&mut inner, facts.resource);
    let refused = rate.refusal.or_else(|| refusal(&inner, &mut plan, incoming, endpoint));
    let listed = facts.resource.filter(|_| facts.kind == Kind::List && refused.is_none());
    let mut answer = refused.unwrap_or_else(|| endpoint_answer(&mut inner, &mut plan, incoming, endpoint));
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
    let wire = plan.take_wire(facts.kind);
    let fault = inner.rules.credit(plan);
    inner.log.complete(ticket, answer.code, fault);
    if let Some(resource) = listed {
        shift(&mut inner, resource, Moment::After);
    }
    drop(inner);
    if let Some(resource) = listed {
        world.run_hook(resource, facts.page.unwrap_or(1));
    }
    if let Some(bytes) = pad {
        pad_page(&mut answer, bytes);
    }
    (answer, wire)
}

fn facts(incoming: &Incoming, endpoint: Endpoint) -> Facts {
    let page = (endpoint.kind() == Kind::List).then(|| {
        incoming
            .query_value("page")
            .and_then(|page| page.parse().ok())
            .unwrap_or(1)
    });
    Facts {
        method: incoming.method.clone(),
        path: incoming.path.clone(),
        kind: endpoint.kind(),
        resource: endpoint.resource(),
        record: endpoint.record(),
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
        resource: facts.resource,
        kind: facts.kind,
        record: facts.record,
        order: facts.order(),
        page: facts.page,
        body: String::from_utf8_lossy(&incoming.body).into_owned(),
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

/// Metafields have a limit of their own beside the common one.
fn limit(inner: &mut Inner, resource: Option<Resource>) -> Limited {
    let own = inner
        .options
        .metafield_rate
        .filter(|_| resource == Some(Resource::Metafields));
    if let Some(rate) = own {
        let limited = within(&mut inner.metafield_window, rate);
        if limited.refusal.is_some() {
            return limited;
        }
    }
    match inner.options.rate {
        Some(rate) => within(&mut inner.window, rate),
        None => Limited {
            refusal: None,
            headers: Vec::new(),
        },
    }
}

/// `window` holds when the answered requests came.
fn within(window: &mut VecDeque<Instant>, rate: Rate) -> Limited {
    let now = Instant::now();
    while window.front().is_some_and(|at| now.duration_since(*at) >= rate.window) {
        window.pop_front();
    }
    let full = window.len() >= rate.requests;
    let refusal = full.then(|| {
        let free = window
            .front()
            .map_or(rate.window, |at| rate.window.saturating_sub(now.duration_since(*at)));
        let seconds = free.as_secs() + u64::from(free.subsec_nanos() > 0);
        let mut answer = Answer::error(429, "rate_limit_exceeded", "Too many requests, please try again later.");
        answer.header("Retry-After", &seconds.max(1).to_string());
        answer
    });
    if !full {
        window.push_back(now);
    }
    let left = rate.requests.saturating_sub(window.len());
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
fn refusal(inner: &Inner, plan: &mut Plan, incoming: &Incoming, endpoint: Endpoint) -> Option<Answer> {
    let canned = plan.take(|fault| match fault {
        Fault::Answer(canned) => Some(canned.clone()),
        _ => None,
    });
    if let Some(canned) = canned {
        return Some(Answer::canned(canned));
    }
    let Ok(scope) = endpoint.scope() else { return None };
    if let Err(refusal) = auth::check(incoming, &inner.access, scope.as_deref()) {
        return Some(refusal);
    }
    if endpoint.resource() == Some(Resource::Metafields)
        && !inner.options.metafields
        && let Fault::Answer(canned) = Fault::metafields_missing()
    {
        return Some(Answer::canned(canned));
    }
    let body = plan.take(|fault| match fault {
        Fault::Body(body) => Some(body.clone()),
        _ => None,
    });
    body.map(|body| Answer::json(200, body))
}

fn endpoint_answer(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming, endpoint: Endpoint) -> Answer {
    if let Some(resource) = endpoint.resource()
        && endpoint.kind() == Kind::List
    {
        shift(inner, resource, Moment::Before);
    }
    match endpoint {
        Endpoint::List(resource) => list(inner, plan, incoming, resource),
        Endpoint::Detail(resource, id) => detail(inner, plan, resource, id),
        Endpoint::OrdersOf(customer) => match customer.filter(|id| inner.shop.customers.has(*id)) {
            Some(id) => lists::list::<Orders>(inner, plan, incoming.pairs(), vec![Test::Customer(id)]),
            None => Answer::error(404, "not_found", Customers::MISSING),
        },
        Endpoint::Filters => match writes::read(incoming) {
            Ok(body) => {
                let query = filters::read(&body, inner.options.limit_max);
                lists::rows::<Filtered>(inner, plan, query)
            }
            Err(refusal) => refusal,
        },
        Endpoint::Store => store(inner),
        Endpoint::Subscriptions => webhook::list(inner),
        Endpoint::Definitions => metafields::definitions(inner, incoming),
        Endpoint::Values => metafields::values(inner, incoming),
        Endpoint::Write(write) => writes::answer(inner, plan, incoming, write),
        Endpoint::Unknown | Endpoint::WrongMethod => nothing_there(incoming, endpoint),
    }
}

fn list(inner: &mut Inner, plan: &mut Plan, incoming: &Incoming, resource: Resource) -> Answer {
    let read = match resource {
        Resource::Orders => lists::list::<Orders>,
        Resource::Customers => lists::list::<Customers>,
        Resource::Products => lists::list::<Products>,
        Resource::Inventory => lists::list::<Inventory>,
        Resource::Categories => lists::list::<Categories>,
        Resource::Discounts => lists::list::<Discounts>,
        _ => return nothing_there(incoming, Endpoint::Unknown),
    };
    read(inner, plan, incoming.pairs(), Vec::new())
}

fn detail(inner: &mut Inner, plan: &mut Plan, resource: Resource, id: Option<i64>) -> Answer {
    let read = match resource {
        Resource::Customers => lists::detail::<Customers>,
        Resource::Products => lists::detail::<Products>,
        Resource::Inventory => lists::detail::<Inventory>,
        Resource::Discounts => lists::detail::<Discounts>,
        _ => lists::detail::<Orders>,
    };
    read(inner, plan, id)
}

/// What a router without such a route says.
fn nothing_there(incoming: &Incoming, endpoint: Endpoint) -> Answer {
    if matches!(endpoint, Endpoint::WrongMethod) {
        return Answer::error(405, "method_not_allowed", "Method not allowed");
    }
    let body = format!("<!DOCTYPE html><pre>Cannot {} {}</pre>", incoming.method, incoming.path);
    Answer::typed(404, "text/html; charset=utf-8", body)
}

fn shift(inner: &mut Inner, resource: Resource, moment: Moment) {
    let Some(moving) = &mut inner.moving else { return };
    if moving.movement.moment != moment {
        return;
    }
    let now_ms = inner.time.now_ms().saturating_add(moving.movement.advance_ms);
    if moving.round(&mut inner.shop, resource, now_ms) {
        inner.time.advance(moving.movement.advance_ms);
    }
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
