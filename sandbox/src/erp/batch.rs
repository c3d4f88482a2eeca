//! Batches: many creates in one request, and a result for each, in whatever order and number was ordered.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::answer::Answer;
use crate::erp::books::Inner;
use crate::erp::document::Document;
use crate::erp::fault::{Fault, Rule};
use crate::erp::records::set_id;
use crate::erp::writes::{Refusal, Told, create_one, written};
use crate::plan::Plan;

/// `POST /sales-orders/batch` with a list, alone or as an object's only list: a result for each item.
pub(crate) fn batch(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, text: &str) -> Told {
    let Some(items) = items(text) else {
        let refusal = Refusal::new(
            400,
            "bad_request",
            "A list of records, alone or as an object's only list",
        );
        return Told::arrives(refusal.answer());
    };
    let missing = plan.take(|fault| match fault {
        Fault::BatchMissing { items, stored } => Some((*items, *stored)),
        _ => None,
    });
    let shuffled = plan.take(|fault| matches!(fault, Fault::BatchShuffled).then_some(()));
    written(inner, plan, |inner, plan| {
        let mut results = Vec::with_capacity(items.len());
        for (at, item) in items.iter().enumerate() {
            let skipped = missing.filter(|(count, _)| at < *count);
            if skipped.is_some_and(|(_, stored)| !stored) {
                continue;
            }
            let result = batch_item(inner, plan, resource, item);
            if skipped.is_none() {
                results.push(result);
            }
        }
        if shuffled.is_some() {
            // Neither the order they came in nor its reverse.
            results.reverse();
            let half = results.len() / 2;
            results.rotate_left(half);
        }
        Answer::json(200, format!(r#"{{"success":true,"results":[{}]}}"#, results.join(",")))
    })
}

fn batch_item(inner: &mut Inner, plan: &mut Plan<Rule>, resource: &str, item: &str) -> String {
    let sent = Document::read(item).unwrap_or_default();
    let key = sent.text("idempotency_key");
    let mut result = Document::default();
    if let Some(reference) = sent.raw("reference") {
        result.set_raw("reference", reference);
    }
    match create_one(inner, plan, resource, item, key.as_deref()) {
        Ok(stored) => {
            set_id(&mut result, &stored.held.id, inner.options.number_ids);
            result.set_text("status", if stored.repeated { "exists" } else { "created" });
        }
        Err(refusal) => {
            result.set_text("status", "refused");
            result.set_raw("code", &refusal.code.to_string());
            result.set_text("error", &refusal.message);
        }
    }
    result.json()
}

fn items(text: &str) -> Option<Vec<String>> {
    type Items<'a> = Vec<&'a RawValue>;
    let own = |items: Items<'_>| items.into_iter().map(|item| item.get().to_owned()).collect();
    if let Ok(items) = serde_json::from_str::<Items<'_>>(text) {
        return Some(own(items));
    }
    let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).ok()?;
    let mut lists = members.values().filter(|value| value.get().starts_with('['));
    let list = lists.next()?;
    if lists.next().is_some() {
        return None;
    }
    serde_json::from_str::<Items<'_>>(list.get()).ok().map(own)
}
