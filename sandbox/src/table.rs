//! One kind of record with its sorted indexes; every change goes into the journal, and none is made without it.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fastrand::Rng;

use crate::index::Index;
use crate::journal::{Change, Journal, Record};
use crate::page::Test;
use crate::resource::Column;

/// What the list machinery must know of a kind of record.
pub(crate) trait Row: Clone + Sized {
    /// Columns that are kept sorted; the first one is `Created`.
    const INDEXED: &'static [Column];

    fn id(&self) -> i64;
    fn set_id(&mut self, id: i64);
    /// Sets every stamp that a change moves.
    fn touch(&mut self, ms: i64);
    /// The value of a column that is not text.
    fn number(&self, column: Column) -> i64;
    /// The value of a text column, as it is compared.
    fn text(&self, _column: Column) -> String {
        String::new()
    }
    fn passes(&self, test: &Test) -> bool;
    /// Everything the shop knows of it.
    fn json(&self) -> String;
    fn record(row: Arc<Self>) -> Record;
    fn of(record: &Record) -> Option<&Arc<Self>>;
}

pub(crate) struct Table<R> {
    rows: HashMap<i64, Arc<R>>,
    indexes: Vec<Index>,
    /// Counts changes, so that a cached selection knows when it is out of date.
    pub(crate) generation: u64,
}

impl<R: Row> Table<R> {
    /// Takes the first stock; it is noted in the journal apart, so that its place there can be chosen.
    pub(crate) fn new(first: Vec<R>) -> Table<R> {
        let index = |column: &Column| Index::build(first.iter().map(|row| (row.number(*column), row.id())).collect());
        Table {
            indexes: R::INDEXED.iter().map(index).collect(),
            rows: first.into_iter().map(|row| (row.id(), Arc::new(row))).collect(),
            generation: 0,
        }
    }

    /// Enters every record as created, in the order of creation.
    pub(crate) fn note_all(&self, journal: &mut Journal, now_ms: i64) {
        let mut rows: Vec<&Arc<R>> = self.rows.values().collect();
        rows.sort_unstable_by_key(|row| row.id());
        for row in rows {
            journal.note(Change::Created, row, None, now_ms);
        }
    }

    pub(crate) fn get(&self, id: i64) -> Option<&Arc<R>> {
        self.rows.get(&id)
    }

    pub(crate) fn has(&self, id: i64) -> bool {
        self.rows.contains_key(&id)
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<R>> {
        self.rows.values()
    }

    pub(crate) fn sorted(&self) -> BTreeMap<i64, Arc<R>> {
        self.rows.iter().map(|(id, row)| (*id, Arc::clone(row))).collect()
    }

    /// `None` for a column that is not kept sorted.
    pub(crate) fn index(&self, column: Column) -> Option<&Index> {
        let at = R::INDEXED.iter().position(|indexed| *indexed == column)?;
        self.indexes.get(at)
    }

    /// Adds a record whose id is free.
    pub(crate) fn insert(&mut self, row: R, journal: &mut Journal, now_ms: i64) -> i64 {
        let row = Arc::new(row);
        self.put(&row);
        journal.note(Change::Created, &row, None, now_ms);
        row.id()
    }

    /// Puts a new version in place of the one with its id; false if there is none.
    pub(crate) fn replace(&mut self, row: R, journal: &mut Journal, now_ms: i64) -> bool {
        let Some(before) = self.rows.get(&row.id()).cloned() else {
            return false;
        };
        let row = Arc::new(row);
        self.take(&before);
        self.put(&row);
        journal.note(Change::Updated, &row, Some(before), now_ms);
        true
    }

    pub(crate) fn remove(&mut self, id: i64, journal: &mut Journal, now_ms: i64) -> bool {
        let Some(before) = self.rows.get(&id).cloned() else {
            return false;
        };
        self.take(&before);
        self.rows.remove(&id);
        journal.note(Change::Deleted, &before, Some(Arc::clone(&before)), now_ms);
        true
    }

    /// The record at this place, oldest first.
    pub(crate) fn nth(&self, at: usize) -> Option<&Arc<R>> {
        let row = self.indexes.first()?.rows().get(at)?;
        self.rows.get(&row.1)
    }

    /// A random record's id.
    pub(crate) fn any_id(&self, rng: &mut Rng) -> Option<i64> {
        let rows = self.indexes.first()?.rows();
        let at = rng.usize(0..rows.len().max(1));
        rows.get(at).map(|row| row.1)
    }

    fn put(&mut self, row: &Arc<R>) {
        self.generation += 1;
        for (index, column) in self.indexes.iter_mut().zip(R::INDEXED) {
            index.insert(row.number(*column), row.id());
        }
        self.rows.insert(row.id(), Arc::clone(row));
    }

    fn take(&mut self, row: &R) {
        self.generation += 1;
        for (index, column) in self.indexes.iter_mut().zip(R::INDEXED) {
            index.remove(row.number(*column), row.id());
        }
    }
}
