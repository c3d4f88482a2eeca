//! Finds the rows of a list's page, in the present or in another version of it; it never changes the shop.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use fastrand::Rng;

use crate::index::{Slice, page_ids};
use crate::journal::{Change, Happened, Journal};
use crate::resource::Column;
use crate::table::{Row, Table};

/// What a list request asks for, after defaults and clamps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Query {
    pub(crate) page: usize,
    pub(crate) limit: usize,
    pub(crate) descending: bool,
    pub(crate) filter: Filter,
}

/// Everything that decides which rows there are and how they are sorted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    pub(crate) sort: Column,
    /// Rows whose column lies between these, both included.
    pub(crate) between: Option<(Column, i64, i64)>,
    pub(crate) tests: Vec<Test>,
}

/// A condition on a row; a kind of record that does not know it lets every row pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Test {
    Status(String),
    StatusIn(Vec<String>),
    IdIn(Vec<i64>),
    CourierIn(Vec<String>),
    HasCourier,
    HasTracking,
    WithoutMetafield(String),
    Customer(i64),
    NoGuests,
    OrdersMin(i64),
    SpentMin(i64),
    /// Lower case.
    Search(String),
    Active(bool),
    InStock(bool),
    Category(i64),
    Price {
        low: i64,
        high: i64,
    },
    Parent(Option<i64>),
}

/// The rows of one page, how many there are in all, and the last page's number.
pub(crate) struct Found<R> {
    pub(crate) rows: Vec<Arc<R>>,
    pub(crate) total: usize,
    pub(crate) last_page: usize,
}

/// A selection kept for the next page of the same query; valid while the table's generation stands.
pub(crate) struct Selected {
    generation: u64,
    filter: Filter,
    rows: Vec<(i64, i64)>,
}

/// What one list remembers between its answers.
pub(crate) struct Kept<R> {
    selected: Option<Selected>,
    /// Of the page sent last: for a fault that repeats it.
    pub(crate) last_rows: Vec<Arc<R>>,
}

impl<R> Default for Kept<R> {
    fn default() -> Kept<R> {
        Kept {
            selected: None,
            last_rows: Vec::new(),
        }
    }
}

/// Records shown in another version than the current one; `None` = not shown at all.
pub(crate) type Overlay<R> = HashMap<i64, Option<Arc<R>>>;

impl Filter {
    fn accepts<R: Row>(&self, row: &R) -> bool {
        self.between
            .is_none_or(|(column, low, high)| (low..=high).contains(&row.number(column)))
            && self.tests.iter().all(|test| row.passes(test))
    }

    /// True if the index of the sort column already holds exactly the wanted rows as one run.
    fn is_a_run(&self) -> bool {
        self.tests.is_empty() && self.between.is_none_or(|(column, _, _)| column == self.sort)
    }

    fn select<R: Row>(&self, rows: impl Iterator<Item = Arc<R>>) -> Vec<(i64, i64)> {
        let wanted = rows.filter(|row| self.accepts(row.as_ref()));
        if self.sort.is_text() {
            return ranked(wanted.map(|row| (row.text(self.sort), row.id())).collect());
        }
        let mut keys: Vec<(i64, i64)> = wanted.map(|row| (row.number(self.sort), row.id())).collect();
        keys.sort_unstable();
        keys
    }
}

/// Texts by their rank, so that everything after this sorts numbers; equal texts keep an equal rank.
fn ranked(mut texts: Vec<(String, i64)>) -> Vec<(i64, i64)> {
    texts.sort_unstable();
    let mut rank = 0;
    let mut keys = Vec::with_capacity(texts.len());
    for (at, (text, id)) in texts.iter().enumerate() {
        let same = at
            .checked_sub(1)
            .and_then(|at| texts.get(at))
            .is_some_and(|before| before.0 == *text);
        rank += i64::from(!same);
        keys.push((rank, *id));
    }
    keys
}

/// Finds a page. `overlay` replaces the present by another version of it; `rng` shuffles ties.
pub(crate) fn find<R: Row>(
    table: &Table<R>,
    query: &Query,
    overlay: &Overlay<R>,
    kept: &mut Kept<R>,
    rng: Option<&mut Rng>,
) -> Found<R> {
    let filter = &query.filter;
    if !overlay.is_empty() {
        let now = table.all().filter(|row| !overlay.contains_key(&row.id())).cloned();
        let then = overlay.values().flatten().cloned();
        let rows = filter.select(now.chain(then));
        return cut(table, query, overlay, &rows, rng);
    }
    if filter.is_a_run()
        && let Some(index) = table.index(filter.sort)
    {
        let rows = match filter.between {
            Some((_, low, high)) => index.between(low, high),
            None => index.rows(),
        };
        return cut(table, query, overlay, rows, rng);
    }
    let rows = match kept.selected.take() {
        Some(old) if old.generation == table.generation && old.filter == *filter => old.rows,
        _ => filter.select(table.all().cloned()),
    };
    let found = cut(table, query, overlay, &rows, rng);
    kept.selected = Some(Selected {
        generation: table.generation,
        filter: filter.clone(),
        rows,
    });
    found
}

fn cut<R: Row>(
    table: &Table<R>,
    query: &Query,
    overlay: &Overlay<R>,
    sorted: &[(i64, i64)],
    rng: Option<&mut Rng>,
) -> Found<R> {
    let start = (query.page - 1).saturating_mul(query.limit);
    let slice = Slice {
        start,
        rows: query.limit,
        descending: query.descending,
    };
    let rows = page_ids(sorted, slice, rng)
        .into_iter()
        .filter_map(|id| version(table, overlay, id))
        .collect();
    Found {
        rows,
        total: sorted.len(),
        last_page: sorted.len().div_ceil(query.limit).max(1),
    }
}

/// The version of a record the overlay shows, or else the current one.
pub(crate) fn version<R: Row>(table: &Table<R>, overlay: &Overlay<R>, id: i64) -> Option<Arc<R>> {
    match overlay.get(&id) {
        Some(shown) => shown.clone(),
        None => table.get(id).cloned(),
    }
}

/// The world as it was at `at_ms`.
pub(crate) fn as_of<R: Row>(journal: &Journal, at_ms: i64) -> Overlay<R> {
    undo(journal, |entry| entry.event.at_ms > at_ms)
}

/// The world without versions whose own `stamp` is later than `after_ms` (of one record, or of all).
pub(crate) fn without_young<R: Row>(journal: &Journal, stamp: Column, id: Option<i64>, after_ms: i64) -> Overlay<R> {
    undo(journal, |entry| {
        let stamp_ms = R::of(&entry.event.record).map(|row| row.number(stamp));
        entry.event.kind != Change::Deleted
            && id.is_none_or(|id| id == entry.event.id)
            && stamp_ms.is_some_and(|ms| ms > after_ms)
    })
}

/// Takes back each record's newest events as long as they are to be hidden.
fn undo<R: Row>(journal: &Journal, hidden: impl Fn(&Happened) -> bool) -> Overlay<R> {
    let mut overlay = Overlay::new();
    let mut settled = HashSet::new();
    for entry in journal.later().iter().rev() {
        let id = entry.event.id;
        if R::of(&entry.event.record).is_none() || settled.contains(&id) {
            continue;
        }
        if hidden(entry) {
            let before = entry.before.as_ref().and_then(R::of).cloned();
            overlay.insert(id, before);
        } else {
            settled.insert(id);
        }
    }
    overlay
}
