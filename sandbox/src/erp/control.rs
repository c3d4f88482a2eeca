//! `/_sandbox/…`: the pretend ERP's controls for people with `curl`. Nothing here is in its request log.

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::control::{body, done, json_answer, refuse, wrong_method};
use crate::erp::books::{Asked, Books};
use crate::erp::fault::{FAULTS, Fault, Rule};
use crate::http::Incoming;
use crate::jsontext::stamp;

pub(crate) const BASE: &str = "/_sandbox";

const HELP: &str = r#"The pretend ERP's controls. Bodies are JSON. RESOURCE is sales-orders, customers or stock.

GET    /_sandbox                    this text
GET    /_sandbox/records/RESOURCE   what it holds
POST   /_sandbox/records/RESOURCE   {"reference": "1042", "total": 12.50} a person adds a record
PATCH  /_sandbox/records/RESOURCE/ID   {"on_hand": 3} a person changes it; DELETE takes it away
POST   /_sandbox/restore            {"resource": "sales-orders", "drop": 5}: the last five are lost, as after a restore
                                    of an older copy
POST   /_sandbox/tokens/end         every token and session given so far is void
GET    /_sandbox/tokens             how clients got in
POST   /_sandbox/options            {"unique_references": true, "keeps_keys": false, "rate_per_minute": 10}
POST   /_sandbox/clock              {"advance_ms": 60000}; GET tells the time
GET    /_sandbox/faults             the rules in force and how often each struck
POST   /_sandbox/faults             a rule, answers its id
DELETE /_sandbox/faults             removes all; /_sandbox/faults/ID removes one
GET    /_sandbox/truth?since=SEQ    what it really committed, one JSON object a line, in order
GET    /_sandbox/requests           what clients asked
DELETE /_sandbox/requests           forgets it

A rule: {"what": "answer-lost", "on": {"kind": "create", "reference": "1042"}, "when": {"times": 1}, "name": "cut"}
  on     kind any|create|update|cancel|batch|write|read|find|list|token|login, resource NAME, reference TEXT,
         path PREFIX (without /api), method; all optional. find is a list with reference=
  when   "always" (default), {"times": N}, {"nth": N}, {"every": N}, {"after": {"skip": N, "times": N}}, {"percent": N}
  what   a ready-made fault by name (see below), or one of
         "down", "hang", {"delay": {"ms": 2000}}, {"body": "raw text"},
         {"answer": {"code": 503, "headers": [["Retry-After", "5"]], "body": "…"}},
         {"answer_lost": "reset|hang|bad_gateway|gateway_timeout"} after it was carried out,
         {"commit_late": {"lookups": 1, "ms": 20000, "loss": "reset"}} carried out only so long after that many look-ups
         for its reference found nothing,
         "ignore_key", "pretend", {"conflict": {"own": false}}, {"refuse": {"references": ["1042"], "message": "…"}},
         {"success_false": {"message": "…"}}, {"empty_body": {"stored": true}},
         {"spoil": "normalise"}, {"spoil": {"cut": {"member": "reference", "chars": 20}}}, or fold or trim of a member,
         "batch_shuffled", {"batch_missing": {"items": 2, "stored": true}},
         {"hide_young": {"ms": 5000}}, {"ignore_filter": {"param": "reference"}}, "next_loops",
         {"next_elsewhere": {"origin": "http://127.0.0.2:9"}}, {"renamed": {"member": "rows"}}
"#;

/// `rest` is the path below `/_sandbox`.
pub(crate) fn answer(books: &Books, incoming: &Incoming, rest: &str) -> Answer {
    let steps: Vec<&str> = rest.split('/').filter(|step| !step.is_empty()).collect();
    let outcome = match (incoming.method.as_str(), steps.as_slice()) {
        ("GET", []) => {
            let text = format!("{HELP}\nReady-made faults: {}\n", FAULTS.join(", "));
            Ok(Answer::typed(200, "text/plain; charset=utf-8", text))
        }
        ("GET", ["truth"]) => Ok(truth(books, incoming)),
        ("GET", ["requests"]) => Ok(json_answer(&books.requests().iter().map(asked).collect())),
        ("DELETE", ["requests"]) => {
            books.clear_requests();
            Ok(done())
        }
        (_, ["records", rest @ ..]) => records(books, incoming, rest),
        ("POST", ["restore"]) => restore(books, incoming),
        (_, ["tokens", rest @ ..]) => tokens(books, incoming, rest),
        ("POST", ["options"]) => options(books, incoming),
        (_, ["clock"]) => clock(books, incoming),
        (_, ["faults"]) => faults(books, incoming, None),
        (_, ["faults", id]) => faults(books, incoming, Some(id)),
        _ => Err(Answer::error(404, "not_found", "No such control; see GET /_sandbox")),
    };
    outcome.unwrap_or_else(|refusal| refusal)
}

fn truth(books: &Books, incoming: &Incoming) -> Answer {
    let since = incoming.query_value("since").and_then(|seq| seq.parse().ok());
    let since: u64 = since.unwrap_or(0);
    let mut lines = String::new();
    for commit in books.truth().iter().filter(|commit| commit.seq > since) {
        lines.push_str(&commit.json());
        lines.push('\n');
    }
    Answer::typed(200, "application/x-ndjson", lines)
}

fn asked(asked: &Asked) -> Value {
    json!({
        "at": stamp(asked.at_ms),
        "method": asked.method,
        "path": asked.path,
        "query": asked.query,
        "kind": asked.kind,
        "reference": asked.reference,
        "key": asked.key,
        "auth": asked.way.map(|way| format!("{way:?}").to_lowercase()),
        "body": asked.body,
        "status": asked.status,
        "fault": asked.fault,
    })
}

fn records(books: &Books, incoming: &Incoming, rest: &[&str]) -> Result<Answer, Answer> {
    let text = String::from_utf8_lossy(&incoming.body);
    match (incoming.method.as_str(), rest) {
        ("GET", [resource]) => {
            let held: Vec<String> = books.shown(resource);
            Ok(Answer::json(200, format!("[{}]", held.join(","))))
        }
        ("POST", [resource]) => {
            let id = books.put(resource, &text).map_err(|complaint| refuse(&complaint))?;
            Ok(json_answer(&json!({"id": id})))
        }
        ("PATCH", [resource, id]) => match books.edit(resource, id, &text) {
            Ok(true) => Ok(done()),
            Ok(false) => Err(Answer::error(404, "not_found", "No such record")),
            Err(complaint) => Err(refuse(&complaint)),
        },
        ("DELETE", [resource, id]) if books.remove(resource, id) => Ok(done()),
        ("DELETE", [_, _]) => Err(Answer::error(404, "not_found", "No such record")),
        _ => Err(wrong_method("GET, POST, PATCH or DELETE")),
    }
}

fn restore(books: &Books, incoming: &Incoming) -> Result<Answer, Answer> {
    let fields = body(incoming)?;
    let drop = fields.get("drop").and_then(Value::as_u64);
    let drop = drop.ok_or_else(|| refuse("drop: how many records are lost"))?;
    let resource = fields.get("resource").and_then(Value::as_str).unwrap_or("sales-orders");
    let lost = books.drop_last(resource, usize::try_from(drop).unwrap_or(usize::MAX));
    Ok(json_answer(&json!({"lost": lost})))
}

fn tokens(books: &Books, incoming: &Incoming, rest: &[&str]) -> Result<Answer, Answer> {
    match (incoming.method.as_str(), rest) {
        ("GET", []) => {
            let counts = books.access_counts();
            Ok(json_answer(&json!({
                "granted": counts.granted,
                "refreshed": counts.refreshed,
                "bad_refreshes": counts.bad_refreshes,
                "logins": counts.logins,
                "refused": counts.refused,
            })))
        }
        ("POST", ["end"]) => {
            books.end_tokens();
            Ok(done())
        }
        _ => Err(wrong_method("GET, or POST /_sandbox/tokens/end")),
    }
}

fn options(books: &Books, incoming: &Incoming) -> Result<Answer, Answer> {
    let fields = body(incoming)?;
    let flag = |name: &str| match fields.get(name) {
        None => Ok(None),
        Some(value) => value.as_bool().map(Some).ok_or_else(|| refuse("true or false")),
    };
    let (unique, keeps) = (flag("unique_references")?, flag("keeps_keys")?);
    let rate = fields.get("rate_per_minute").and_then(Value::as_u64);
    books.set_options(|options| {
        options.unique_references = unique.unwrap_or(options.unique_references);
        options.keeps_keys = keeps.unwrap_or(options.keeps_keys);
        if let Some(requests) = rate {
            // 0 takes the limit away.
            options.rate = (requests > 0).then(|| crate::options::Rate {
                requests: usize::try_from(requests).unwrap_or(usize::MAX),
                window: std::time::Duration::from_secs(60),
                announce: false,
            });
        }
    });
    Ok(done())
}

fn clock(books: &Books, incoming: &Incoming) -> Result<Answer, Answer> {
    if incoming.method == "POST" {
        let fields = body(incoming)?;
        let ms = fields.get("advance_ms").and_then(Value::as_u64);
        let ms = ms.ok_or_else(|| refuse("advance_ms: a whole number"))?;
        books.advance(std::time::Duration::from_millis(ms));
    }
    Ok(json_answer(&json!({"now": stamp(books.now_ms())})))
}

fn faults(books: &Books, incoming: &Incoming, id: Option<&str>) -> Result<Answer, Answer> {
    match (incoming.method.as_str(), id) {
        ("GET", None) => {
            let states = books.faults().into_iter();
            let states = states
                .map(|state| json!({"id": state.id, "rule": state.rule, "seen": state.seen, "fired": state.fired}));
            Ok(json_answer(&states.collect()))
        }
        ("POST", None) => {
            let mut fields = body(incoming)?;
            // `what` may be the name of a ready-made fault.
            let preset = fields.get("what").and_then(Value::as_str).and_then(Fault::preset);
            if let Some(fault) = preset {
                let what = serde_json::to_value(fault).map_err(|error| refuse(&error.to_string()))?;
                fields.insert("what".to_owned(), what);
            }
            let rule: Rule =
                serde_json::from_value(Value::Object(fields)).map_err(|error| refuse(&error.to_string()))?;
            Ok(json_answer(&json!({"id": books.fault(rule)})))
        }
        ("DELETE", None) => {
            books.clear_faults();
            Ok(done())
        }
        ("DELETE", Some(id)) => {
            books.remove_fault(id.parse().map_err(|_| refuse("the id is a number"))?);
            Ok(done())
        }
        _ => Err(wrong_method("GET, POST or DELETE")),
    }
}
