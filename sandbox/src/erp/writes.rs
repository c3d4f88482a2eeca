//! What changes the ERP's records: creates, updates, cancellations and batches, and what the ordered faults make of them.

use std::sync::Arc;

use crate::answer::Answer;
use crate::erp::books::{Inner, Late};
use crate::erp::document::Document;
use crate::erp::fault::{Fault, Loss, Rule, Spoil, failure};
use crate::erp::ledger::Deed;
use crate::erp::records::{Source, change, data, new_id, remove, set_id, store};
use crate::erp::shelf::Held;
use crate::plan::Plan;

/// An answer, and whether it arrives.
pub(crate) struct Told {
    pub(crate) answer: Answer,
    pub(crate) loss: Option<Loss>,
}

impl Told {
    pub(crate) fn arrives(answer: Answer) -> Told {
        Told { answer, loss: None }
    }
}

/// Why nothing was stored.
pub(crate) struct Refusal {
    pub(crate) code: u16,
    name: &'static str,
    pub(crate) message: String,
    /// The record that is in the way.
    id: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: u16, name: &'static str, message: impl Into<String>) -> Refusal {
        Refusal {
            code,
            name,
            message: message.into(),
            id: None,
        }
    }

    pub(crate) fn answer(&self) -> Answer {
        let mut body = serde_json::json!({
            "success": false, "error": {"code": self.name, "message": self.message}
        });
        if let Some(id) = &self.id {
            body["error"]["id"] = id.as_str().into();
        }
        Answer::json(self.code, body.to_string())
    }
}

/// What a create came to.
pub(crate) struct Stored {
    pub(crate) held: Arc<Held>,
    /// It was there already: the key was known.
    pub(crate) repeated: bool,
}

/// Carries out the late creates whose time has come.
pub(crate) fn settle_late(inner: &mut Inner) {
    if inner.late.is_empty() {
        return;
    }
    let now_ms = inner.time.now_ms();
    let due: Vec<Late> = inner
        .late
        .extract_if(.., |late| late.due_ms.is_some_and(|due| due <= now_ms))
        .collect();
    for late in due {
        carry_out_late(inner, &late);
    }
}

/// What it comes to is nobody's any more: the client has gone. The log tells what was stored.
fn carry_out_late(inner: &mut Inner, late: &Late) {
    let stored = create_one(
        inner,
        &mut Plan::none(),
        &late.resource,
        &late.text,
        late.key.as_deref(),
    );
    if let Err(refusal) = stored {
        tracing::debug!(
            reason = refusal.message,
            "a late create of the pretend ERP came to nothing"
        );
    }
}

/// The core of every create: the key, the refusals, the reference that must be the only one, and the record.
pub(crate) fn create_one(
    inner: &mut Inner,
    plan: &mut Plan<Rule>,
    resource: &str,
    text: &str,
    key: Option<&str>,
) -> Result<Stored, Refusal> {
    let mut document = Document::read(text)
        .map_err(|error| Refusal::new(400, "bad_request", format!("The body is no JSON object: {error}")))?;
    let reference = document.text("reference");
    if let Some(key) = key
        && inner.options.keeps_keys
        && let Some(known) = known_key(inner, plan, resource, text, key)
    {
        return known;
    }
    if let Some(refusal) = refusal(plan, reference.as_deref()) {
        return Err(refusal);
    }
    if inner.options.unique_references
        && let Some(reference) = &reference
        && let Some(held) = inner
            .shelves
            .get(resource)
            .and_then(|shelf| shelf.by_reference(reference).next())
    {
        return Err(Refusal {
            id: Some(held.id.clone()),
            ..Refusal::new(409, "duplicate", format!("Reference {reference} is taken"))
        });
    }
    spoil(plan, &mut document);
    store(inner, resource, document, Source::request(key, text))
        .map(|held| Stored { held, repeated: false })
        .ok_or_else(|| Refusal::new(404, "not_found", "No such resource"))
}

/// What a key that was seen before is answered; `None` for a new one.
fn known_key(
    inner: &mut Inner,
    plan: &mut Plan<Rule>,
    resource: &str,
    text: &str,
    key: &str,
) -> Option<Result<Stored, Refusal>> {
    let pending = inner.late.iter().position(|late| late.key.as_deref() == Some(key));
    if pending.is_none() && !inner.keys.contains_key(key) {
        return None;
    }
    if plan
        .take(|fault| matches!(fault, Fault::IgnoreKey).then_some(()))
        .is_some()
    {
        return None;
    }
    // The first request with this key is still being carried out: this one waits for it.
    if let Some(at) = pending {
        let late = inner.late.remove(at);
        carry_out_late(inner, &late);
    }
    let kept = inner.keys.get(key)?;
    if kept.body != text || kept.resource != resource {
        let message = "This idempotency key came with another body before";
        return Some(Err(Refusal::new(422, "key_reused", message)));
    }
    let held = inner.shelves.get(resource)?.by_id(&kept.id).unwrap_or(&kept.held);
    Some(Ok(Stored {
        held: Arc::clone(held),
        repeated: true,
    }))
}

/// The ERP's own words against this reference.
fn refusal(plan: &mut Plan<Rule>, reference: Option<&str>) -> Option<Refusal> {
    plan.take(|fault| match fault {
        Fault::Refuse { references, message } => {
            let meant = references.is_empty() || references.iter().any(|one| Some(one.as_str()) == reference);
            meant.then(|| Refusal::new(422, "invalid", message.clone()))
        }
        _ => None,
    })
}

fn spoil(plan: &mut Plan<Rule>, document: &mut Document) {
    let how = plan.take(|fault| match fault {
        Fault::Spoil(spoil) => Some(spoil.clone()),
        _ => None,
    });
    let change = |document: &mut Document, member: &str, change: &dyn Fn(&str) -> String| {
        if let Some(text) = document.text(member) {
            document.set_text(member, &change(&text));
        }
    };
    match how {
        None => {}
        Some(Spoil::Cut { member, chars }) => {
            change(document, &member, &|text| text.chars().take(chars).collect());
        }
        Some(Spoil::Fold { member }) => change(document, &member, &str::to_lowercase),
        Some(Spoil::Trim { member }) => change(document, &member, &|text| text.trim().to_owned()),
        Some(Spoil::Normalise) => document.change_texts(|text| text.trim().to_uppercase()),
    }
}

/// `POST /sales-orders`
pub(crate) fn create(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, text: &str, key: Option<&str>) -> Told {
    let reference = Document::read(text)
        .ok()
        .and_then(|document| document.text("reference"));
    let late = plan.take(|fault| match fault {
        Fault::CommitLate { lookups, ms, loss } => Some((*lookups, *ms, *loss)),
        _ => None,
    });
    if let Some((lookups, ms, loss)) = late {
        let wait_ms = i64::try_from(ms).unwrap_or(i64::MAX);
        inner.late.push(Late {
            resource: resource.to_owned(),
            text: text.to_owned(),
            key: key.map(str::to_owned),
            reference,
            lookups_left: lookups,
            wait_ms,
            due_ms: (lookups == 0).then(|| inner.time.now_ms().saturating_add(wait_ms)),
        });
        return Told {
            answer: Answer::json(201, String::new()),
            loss: Some(loss),
        };
    }
    if plan
        .take(|fault| matches!(fault, Fault::Pretend).then_some(()))
        .is_some()
    {
        return Told::arrives(pretend(inner, resource, text));
    }
    if let Some(own) = plan.take(|fault| match fault {
        Fault::Conflict { own } => Some(*own),
        _ => None,
    }) {
        lay_in_the_way(inner, resource, text, key, own);
        let id = reference.and_then(|reference| {
            let held = inner.shelves.get(resource)?.by_reference(&reference).last()?;
            Some(held.id.clone())
        });
        let refusal = Refusal {
            id,
            ..Refusal::new(409, "duplicate", "A record with this reference exists")
        };
        return Told::arrives(refusal.answer());
    }
    written(inner, plan, |inner, plan| {
        match create_one(inner, plan, resource, text, key) {
            Ok(stored) => {
                let code = if stored.repeated { 200 } else { 201 };
                let mut answer = Answer::json(code, data(inner, &stored.held));
                if stored.repeated {
                    answer.header("Idempotency-Replayed", "true");
                }
                answer
            }
            Err(refusal) => refusal.answer(),
        }
    })
}

/// The answer of a create that stored nothing.
fn pretend(inner: &mut Inner, resource: &str, text: &str) -> Answer {
    let mut document = Document::read(text).unwrap_or_default();
    let Some(shelf) = inner.shelves.get_mut(resource) else {
        return Refusal::new(404, "not_found", "No such resource").answer();
    };
    let number = shelf.next_number();
    let number_ids = inner.options.number_ids;
    set_id(&mut document, &new_id(resource, number, number_ids), number_ids);
    Answer::json(201, format!(r#"{{"success":true,"data":{}}}"#, document.json()))
}

/// Puts the record there that the create then collides with.
fn lay_in_the_way(inner: &mut Inner, resource: &str, text: &str, key: Option<&str>, own: bool) {
    let Ok(mut document) = Document::read(text) else {
        return;
    };
    let source = if own {
        Source::request(key, text)
    } else {
        document.set_raw("total", "1.11");
        document.set_text("note", "Entered by hand");
        document.set_text("customer", "Somebody else");
        Source::by_hand()
    };
    store(inner, resource, document, source);
}

/// `PUT` (in place of what was there) or `PATCH` (over it).
pub(crate) fn update(inner: &mut Inner, plan: &mut Plan<Rule>, whole: bool, place: (&str, &str), text: &str) -> Told {
    let (resource, id) = place;
    written(inner, plan, |inner, plan| {
        let mut sent = match Document::read(text) {
            Ok(document) => document,
            Err(error) => {
                let message = format!("The body is no JSON object: {error}");
                return Refusal::new(400, "bad_request", message).answer();
            }
        };
        sent.take("id");
        if let Some(refusal) = refusal(plan, sent.text("reference").as_deref()) {
            return refusal.answer();
        }
        spoil(plan, &mut sent);
        let source = Source::request(None, text);
        let changed = change(inner, resource, id, Deed::Updated, source, |document| {
            if whole {
                *document = sent;
            } else {
                document.merge(sent);
            }
        });
        match changed {
            Some(held) => Answer::json(200, data(inner, &held)),
            None => missing(id),
        }
    })
}

/// `POST /sales-orders/ID/cancel`; a second time it is done already.
pub(crate) fn cancel(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, id: &str, text: &str) -> Told {
    written(inner, plan, |inner, plan| {
        let shelf = inner.shelves.get(resource);
        let Some(held) = shelf.and_then(|shelf| shelf.by_id(id)).cloned() else {
            return missing(id);
        };
        if let Some(refusal) = refusal(plan, held.reference().as_deref()) {
            return refusal.answer();
        }
        if held.document.text("status").as_deref() == Some("cancelled") {
            return Answer::json(200, data(inner, &held));
        }
        let source = Source::request(None, text);
        let set = |document: &mut Document| document.set_text("status", "cancelled");
        match change(inner, resource, id, Deed::Cancelled, source, set) {
            Some(held) => Answer::json(200, data(inner, &held)),
            None => missing(id),
        }
    })
}

/// `DELETE /sales-orders/ID`
pub(crate) fn delete(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, id: &str) -> Told {
    written(inner, plan, |inner, _| {
        if remove(inner, resource, id, Deed::Deleted, Source::request(None, "")) {
            Answer::json(200, r#"{"success":true}"#.to_owned())
        } else {
            missing(id)
        }
    })
}

pub(crate) fn missing(id: &str) -> Answer {
    Refusal::new(404, "not_found", format!("There is no record {id}")).answer()
}

/// Carries a write out with the faults that every kind of write has in common.
pub(crate) fn written(
    inner: &mut Inner,
    plan: &mut Plan<Rule>,
    write: impl FnOnce(&mut Inner, &mut Plan<Rule>) -> Answer,
) -> Told {
    let refused = plan.take(|fault| match fault {
        Fault::SuccessFalse { message } => Some(failure("refused", message)),
        _ => None,
    });
    if let Some(body) = refused {
        return Told::arrives(Answer::json(200, body));
    }
    let empty = plan.take(|fault| match fault {
        Fault::EmptyBody { stored } => Some(*stored),
        _ => None,
    });
    if let Some(stored) = empty {
        if stored {
            write(inner, plan);
        }
        return Told::arrives(Answer::json(200, String::new()));
    }
    let answer = write(inner, plan);
    let loss = plan.take(|fault| match fault {
        Fault::AnswerLost(loss) => Some(*loss),
        _ => None,
    });
    Told { answer, loss }
}
