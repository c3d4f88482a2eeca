//! The records of one kind, by number and by reference.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::erp::document::Document;

/// One record as the ERP holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub(crate) number: u64,
    pub id: String,
    /// Without `id` and the stamps.
    pub document: Document,
    pub created_ms: i64,
    pub updated_ms: i64,
}

impl Held {
    pub fn reference(&self) -> Option<String> {
        self.document.text("reference")
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf {
    rows: BTreeMap<u64, Arc<Held>>,
    by_reference: BTreeMap<String, Vec<u64>>,
    last: u64,
}

impl Shelf {
    /// The number of the next record; none is given twice, not even after a restore of an older copy.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last = self.last.max(1000) + 1;
        self.last
    }

    pub(crate) fn last_number(&self) -> u64 {
        self.last
    }

    pub(crate) fn skip_to(&mut self, number: u64) {
        self.last = self.last.max(number);
    }

    pub(crate) fn put(&mut self, held: Held) -> Arc<Held> {
        self.remove(held.number);
        if let Some(reference) = held.reference() {
            self.by_reference.entry(reference).or_default().push(held.number);
        }
        let held = Arc::new(held);
        self.rows.insert(held.number, Arc::clone(&held));
        held
    }

    pub(crate) fn remove(&mut self, number: u64) -> Option<Arc<Held>> {
        let gone = self.rows.remove(&number)?;
        if let Some(reference) = gone.reference()
            && let Some(numbers) = self.by_reference.get_mut(&reference)
        {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.by_reference.remove(&reference);
            }
        }
        Some(gone)
    }

    pub(crate) fn rows(&self) -> impl DoubleEndedIterator<Item = &Arc<Held>> {
        self.rows.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// By id; ids end in the number.
    pub(crate) fn by_id(&self, id: &str) -> Option<&Arc<Held>> {
        let digits = id.rsplit('-').next()?;
        let held = self.rows.get(&digits.parse().ok()?)?;
        (held.id == id).then_some(held)
    }

    pub(crate) fn by_reference(&self, reference: &str) -> impl Iterator<Item = &Arc<Held>> {
        let numbers = self.by_reference.get(reference).map_or(&[][..], Vec::as_slice);
        numbers.iter().filter_map(|number| self.rows.get(number))
    }
}
