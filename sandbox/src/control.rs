//! `/_sandbox/…`: the sandbox's own controls for people with `curl`. Nothing here is part of the platform or of its request log.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::controls;
use crate::fault::{Fault, Rule};
use crate::http::Incoming;
use crate::jsontext::stamp;
use crate::presets::PRESETS;
use crate::query::read_stamp;
use crate::requests::Request;
use crate::world::World;

pub(crate) const BASE: &str = "/_sandbox";

const HELP: &str = r#"The sandbox's controls. Bodies are JSON.

GET    /_sandbox                    this text
GET    /_sandbox/orders/ID          an order as the shop holds it
POST   /_sandbox/orders             {"count": 3} new orders, or one with these fields: {"order_status": "pending", "note": "x"}
POST   /_sandbox/orders/ID          {"order_status": "shipped"} changes fields and bumps updated_at
DELETE /_sandbox/orders/ID
       /_sandbox/customers[/ID]     the same for customers: {"name": "Nila", "phone": "01711111111", "is_guest": 0}
       /_sandbox/products[/ID]      the same for products: {"name": "Mug", "is_active": 0}
POST   /_sandbox/products/ID/variants   {"variant_name": "Large", "price": 120.5, "quantity": 3} a new variant
POST   /_sandbox/variants/SKU_ID    {"price": 99, "sku_code": null} changes it; DELETE takes it away
POST   /_sandbox/stock/SKU_ID       {"quantity": 5} or {"by": -2}; GET tells it
GET    /_sandbox/clock              the world's time
POST   /_sandbox/clock              {"advance_ms": 60000}, {"set": "2026-01-15T06:00:00Z"} or {"speed": 60}
GET    /_sandbox/webhooks           subscriptions with their secrets, and every delivery so far
POST   /_sandbox/webhooks           {"url": "http://127.0.0.1:8080/x"} for all topics, or with "topic" for one
POST   /_sandbox/webhooks/ID        {"is_active": 1, "secret": "whsec_…"}; DELETE takes it away
POST   /_sandbox/webhooks/publish   {"topic": "app.installed", "data": {}} an event of your own
POST   /_sandbox/webhooks/redeliver/EVENT_ID   the same event once more
POST   /_sandbox/webhooks/options   {"timeout_ms": 15000, "delay_ms": 0, "retry_scale": 60, "deactivate_after": 20,
                                    "duplicate_percent": 0, "reorder_percent": 0, "reorder_hold_ms": 100, "stale_by_ms": 0}
GET    /_sandbox/faults             the rules in force and how often each struck
GET    /_sandbox/faults/kinds       a ready-made rule of every kind of fault
POST   /_sandbox/faults             a rule, answers its id
DELETE /_sandbox/faults             removes all; /_sandbox/faults/ID removes one
GET    /_sandbox/truth?since=SEQ    what really happened, one JSON object a line
GET    /_sandbox/requests           what clients asked
DELETE /_sandbox/requests           forgets it

A rule: {"what": "429", "on": {"kind": "list", "page": 2}, "when": {"times": 3}, "name": "slow down"}
  on     kind any|list|detail|store|write, resource orders|customers|products|inventory|categories|discounts|store|
         webhooks|metafields, record ID, order ID, page N, path PREFIX, method; all optional
  when   "always" (default), {"times": N}, {"nth": N}, {"every": N}, {"after": {"skip": N, "times": N}}, {"percent": N}
  what   a ready-made fault by name (see below), or one of
         "reset_before", "hang", "repeat_previous_page", "empty_page", "last_page_for_ever",
         of writes: "answer_lost", "write_refused", "write_ignored", {"write_failed": {"written": true}},
         {"reset_after": {"bytes": 100}}, {"truncate": {"bytes": 100, "length": "whole|cut|absent"}},
         {"long_length": {"extra": 10}}, {"drip": {"bytes_per_second": 10}}, {"delay": {"ms": 2000}},
         {"gzip_bomb": {"bytes": 100000000}}, {"pad_page": {"bytes": 10000000}}, {"pad_rows": {"bytes": 50000}},
         {"clamp_limit": {"rows": 20}}, {"wrong_total": {"total": 0}}, {"stale_copy": {"lag_ms": 20000}},
         {"hide_young": {"record": null, "age_ms": 60000}}, {"header": {"name": "Sunset", "value": "…"}},
         {"body": "raw text"}, {"answer": {"code": 503, "headers": [["Retry-After", "5"]], "body": "…"}},
         {"splice": {"record": 1045, "splice": {"member": {"path": "items.0.sku", "json": "null"}}}}
         (splice: row {json}, member {path, json}, drop {path}, append {members}; a record is an order unless on.resource
         says otherwise)
"#;

/// `Err` is a refusal.
pub(crate) type Outcome = Result<Answer, Answer>;

/// `rest` is the path below `/_sandbox`.
pub(crate) fn answer(world: &World, incoming: &Incoming, rest: &str) -> Answer {
    let steps: Vec<&str> = rest.split('/').filter(|step| !step.is_empty()).collect();
    let outcome = match (incoming.method.as_str(), steps.as_slice()) {
        ("GET", []) => Ok(Answer::typed(200, "text/plain; charset=utf-8", help())),
        ("GET", ["truth"]) => Ok(truth(world, incoming)),
        ("GET", ["requests"]) => Ok(json_answer(&world.requests().iter().map(request_json).collect())),
        ("DELETE", ["requests"]) => {
            world.clear_requests();
            Ok(done())
        }
        (_, ["orders", rest @ ..]) => controls::orders(world, incoming, rest),
        (_, ["customers", rest @ ..]) => controls::customers(world, incoming, rest),
        (_, ["products", rest @ ..]) => controls::products(world, incoming, rest),
        (_, ["variants", sku_id]) => controls::variants(world, incoming, sku_id),
        (_, ["stock", sku_id]) => controls::stock(world, incoming, sku_id),
        (_, ["webhooks", rest @ ..]) => controls::webhooks(world, incoming, rest),
        ("GET", ["faults", "kinds"]) => Ok(json_answer(&json!(World::fault_kinds()))),
        (_, ["faults", ..]) => faults(world, incoming, steps.get(1).copied()),
        (_, ["clock"]) => clock(world, incoming),
        _ => Err(Answer::error(404, "not_found", "No such control; see GET /_sandbox")),
    };
    outcome.unwrap_or_else(|refusal| refusal)
}

fn help() -> String {
    format!("{HELP}\nReady-made faults: {}\n", PRESETS.join(", "))
}

pub(crate) fn done() -> Answer {
    Answer::json(200, r#"{"done":true}"#.to_owned())
}

pub(crate) fn json_answer(value: &Value) -> Answer {
    Answer::json(200, value.to_string())
}

pub(crate) fn refuse(message: &str) -> Answer {
    Answer::error(400, "bad_request", message)
}

pub(crate) fn wrong_method(allowed: &str) -> Answer {
    Answer::error(405, "method_not_allowed", allowed)
}

/// An empty body is an empty object.
pub(crate) fn body(incoming: &Incoming) -> Result<serde_json::Map<String, Value>, Answer> {
    if incoming.body.is_empty() {
        return Ok(serde_json::Map::new());
    }
    serde_json::from_slice(&incoming.body).map_err(|error| refuse(&format!("the body must be a JSON object: {error}")))
}

fn truth(world: &World, incoming: &Incoming) -> Answer {
    let since: u64 = incoming
        .query_value("since")
        .and_then(|seq| seq.parse().ok())
        .unwrap_or(0);
    let mut lines = String::new();
    for entry in world.events().iter().filter(|entry| entry.seq > since) {
        lines.push_str(&entry.json());
        lines.push('\n');
    }
    Answer::typed(200, "application/x-ndjson", lines)
}

fn request_json(request: &Request) -> Value {
    json!({
        "at": stamp(request.at_ms),
        "method": request.method,
        "body": request.body,
        "path": request.path,
        "query": request.query,
        "auth": format!("{:?}", request.auth).to_lowercase(),
        "status": request.status,
        "fault": request.fault,
    })
}

fn faults(world: &World, incoming: &Incoming, id: Option<&str>) -> Result<Answer, Answer> {
    match (incoming.method.as_str(), id) {
        ("GET", None) => {
            let state = |state: crate::plan::RuleState| json!({"id": state.id, "rule": state.rule, "seen": state.seen, "fired": state.fired});
            Ok(json_answer(&world.faults().into_iter().map(state).collect()))
        }
        ("POST", None) => {
            let rule = read_rule(body(incoming)?).map_err(|error| refuse(&error))?;
            Ok(json_answer(&json!({"id": world.fault(rule)})))
        }
        ("DELETE", None) => {
            world.clear_faults();
            Ok(done())
        }
        ("DELETE", Some(id)) => {
            world.remove_fault(id.parse().map_err(|_| refuse("the id is a number"))?);
            Ok(done())
        }
        _ => Err(Answer::error(405, "method_not_allowed", "GET, POST or DELETE")),
    }
}

/// `what` may be the name of a ready-made fault.
fn read_rule(mut fields: serde_json::Map<String, Value>) -> Result<Rule, String> {
    let preset = fields.get("what").and_then(Value::as_str).and_then(Fault::preset);
    if let Some(fault) = preset {
        let what = serde_json::to_value(fault).map_err(|error| error.to_string())?;
        fields.insert("what".to_owned(), what);
    }
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

fn clock(world: &World, incoming: &Incoming) -> Result<Answer, Answer> {
    if incoming.method == "POST" {
        let fields = body(incoming)?;
        if let Some(ms) = fields.get("advance_ms").and_then(Value::as_u64) {
            world.advance(std::time::Duration::from_millis(ms));
        } else if let Some(ms) = fields.get("set").and_then(Value::as_str).and_then(read_stamp) {
            world.set_clock(ms);
        } else if let Some(factor) = fields.get("speed").and_then(Value::as_u64) {
            world.set_clock_speed(u32::try_from(factor).map_err(|_| refuse("speed: too great"))?);
        } else {
            return Err(refuse(
                "advance_ms (a number), set (a time with zone) or speed (a whole number)",
            ));
        }
    }
    Ok(json_answer(&json!({"now": stamp(world.now_ms())})))
}
