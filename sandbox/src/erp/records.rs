//! The only hands on the ERP's records: what changes one also notes it, so that the log of the truth misses nothing.

use std::sync::Arc;

use crate::erp::books::{Inner, Kept};
use crate::erp::document::Document;
use crate::erp::ledger::{Commit, Deed};
use crate::erp::shelf::Held;
use crate::jsontext::stamp;

/// Where a change comes from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Source {
    pub(crate) by_hand: bool,
    pub(crate) key: Option<String>,
    pub(crate) body: String,
}

impl Source {
    pub(crate) fn by_hand() -> Source {
        Source {
            by_hand: true,
            ..Source::default()
        }
    }

    pub(crate) fn request(key: Option<&str>, body: &str) -> Source {
        Source {
            by_hand: false,
            key: key.map(str::to_owned),
            body: body.to_owned(),
        }
    }
}

/// `SO-` for `sales-orders`, `CU-` for `customers`.
fn prefix(resource: &str) -> String {
    let words: Vec<&str> = resource.split('-').filter(|word| !word.is_empty()).collect();
    let letters: String = match words.as_slice() {
        [one] => one.chars().take(2).collect(),
        many => many.iter().filter_map(|word| word.chars().next()).collect(),
    };
    letters.to_uppercase()
}

pub(crate) fn new_id(resource: &str, number: u64, number_ids: bool) -> String {
    if number_ids {
        number.to_string()
    } else {
        format!("{}-{number}", prefix(resource))
    }
}

/// Lays the id over a record's members, as a number or a text.
pub(crate) fn set_id(document: &mut Document, id: &str, number_ids: bool) {
    if number_ids {
        document.set_raw("id", id);
    } else {
        document.set_text("id", id);
    }
}

/// Stores a new record and notes it; `None` where there is no such kind of record.
pub(crate) fn store(inner: &mut Inner, resource: &str, document: Document, source: Source) -> Option<Arc<Held>> {
    let now_ms = inner.time.now_ms();
    let number_ids = inner.options.number_ids;
    let shelf = inner.shelves.get_mut(resource)?;
    let number = shelf.next_number();
    let id = new_id(resource, number, number_ids);
    let held = shelf.put(Held {
        number,
        id,
        document,
        created_ms: now_ms,
        updated_ms: now_ms,
    });
    if let Some(key) = &source.key {
        let kept = Kept {
            resource: resource.to_owned(),
            id: held.id.clone(),
            body: source.body.clone(),
            held: Arc::clone(&held),
        };
        inner.keys.insert(key.clone(), kept);
    }
    note(inner, resource, &held, Deed::Created, source);
    Some(held)
}

/// Changes a record; `None` where there is none with this id.
pub(crate) fn change(
    inner: &mut Inner,
    resource: &str,
    id: &str,
    deed: Deed,
    source: Source,
    edit: impl FnOnce(&mut Document),
) -> Option<Arc<Held>> {
    let now_ms = inner.time.now_ms();
    let shelf = inner.shelves.get_mut(resource)?;
    let mut held = Held::clone(shelf.by_id(id)?);
    edit(&mut held.document);
    held.updated_ms = now_ms;
    let held = shelf.put(held);
    note(inner, resource, &held, deed, source);
    Some(held)
}

pub(crate) fn remove(inner: &mut Inner, resource: &str, id: &str, deed: Deed, source: Source) -> bool {
    let shelf = inner.shelves.get_mut(resource);
    let gone = shelf.and_then(|shelf| {
        let number = shelf.by_id(id)?.number;
        shelf.remove(number)
    });
    match gone {
        Some(held) => {
            note(inner, resource, &held, deed, source);
            true
        }
        None => false,
    }
}

pub(crate) fn note(inner: &mut Inner, resource: &str, held: &Arc<Held>, deed: Deed, source: Source) {
    let commit = Commit {
        // The ledger numbers it.
        seq: 0,
        at_ms: inner.time.now_ms(),
        deed,
        resource: resource.to_owned(),
        id: held.id.clone(),
        reference: held.reference(),
        key: source.key,
        by_hand: source.by_hand,
        body: source.body,
        record: shown(inner, held),
    };
    inner.ledger.note(commit);
}

/// A look-up found nothing: the time of the late creates it was for may run.
pub(crate) fn looked_up_in_vain(inner: &mut Inner, resource: &str, reference: &str) {
    let now_ms = inner.time.now_ms();
    for late in &mut inner.late {
        let meant = late.resource == resource && late.reference.as_deref() == Some(reference);
        if meant && late.lookups_left > 0 {
            late.lookups_left -= 1;
            if late.lookups_left == 0 {
                late.due_ms = Some(now_ms.saturating_add(late.wait_ms));
            }
        }
    }
}

/// What clients can be told of a record.
pub(crate) fn shown(inner: &Inner, held: &Arc<Held>) -> String {
    let mut document = held.document.clone();
    set_id(&mut document, &held.id, inner.options.number_ids);
    document.set_text("created_at", &stamp(held.created_ms));
    document.set_text("updated_at", &stamp(held.updated_ms));
    document.json()
}

/// The envelope of one record.
pub(crate) fn data(inner: &Inner, held: &Arc<Held>) -> String {
    format!(r#"{{"success":true,"data":{}}}"#, shown(inner, held))
}
