//! Order ids sorted by one column, kept sorted through every change so that any page is found at once.

use fastrand::Rng;

/// `(key, id)` pairs, ascending.
#[derive(Default)]
pub(crate) struct Index {
    rows: Vec<(i64, i64)>,
}

impl Index {
    pub(crate) fn build(mut rows: Vec<(i64, i64)>) -> Index {
        rows.sort_unstable();
        Index { rows }
    }

    pub(crate) fn insert(&mut self, key: i64, id: i64) {
        if let Err(at) = self.rows.binary_search(&(key, id)) {
            self.rows.insert(at, (key, id));
        }
    }

    pub(crate) fn remove(&mut self, key: i64, id: i64) {
        if let Ok(at) = self.rows.binary_search(&(key, id)) {
            self.rows.remove(at);
        }
    }

    pub(crate) fn rows(&self) -> &[(i64, i64)] {
        &self.rows
    }

    /// The rows with `low <= key <= high`.
    pub(crate) fn between(&self, low: i64, high: i64) -> &[(i64, i64)] {
        let from = self.rows.partition_point(|row| row.0 < low);
        let to = self.rows.partition_point(|row| row.0 <= high);
        self.rows.get(from..to).unwrap_or(&[])
    }
}

/// Which part of a sorted list a page shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) start: usize,
    pub(crate) rows: usize,
    pub(crate) descending: bool,
}

/// The ids of one page of `sorted` (ascending). With `rng`, rows of equal key come in a new order at every call.
pub(crate) fn page_ids(sorted: &[(i64, i64)], slice: Slice, rng: Option<&mut Rng>) -> Vec<i64> {
    let len = sorted.len();
    let start = slice.start.min(len);
    let end = slice.start.saturating_add(slice.rows).min(len);
    let (low, high) = if slice.descending {
        (len - end, len - start)
    } else {
        (start, end)
    };
    let mut ids = match rng {
        Some(rng) => shuffled_ties(sorted, low, high, rng),
        None => sorted.get(low..high).unwrap_or(&[]).iter().map(|row| row.1).collect(),
    };
    if slice.descending {
        ids.reverse();
    }
    ids
}

fn shuffled_ties(sorted: &[(i64, i64)], low: usize, high: usize, rng: &mut Rng) -> Vec<i64> {
    let mut ids = Vec::with_capacity(high - low);
    let mut at = low;
    while at < high {
        let Some(&(key, id)) = sorted.get(at) else { break };
        let tied_before = at > 0 && at == low && sorted.get(at - 1).is_some_and(|row| row.0 == key);
        let tied_after = sorted.get(at + 1).is_some_and(|row| row.0 == key);
        if !tied_before && !tied_after {
            ids.push(id);
            at += 1;
            continue;
        }
        let from = sorted.partition_point(|row| row.0 < key);
        let to = sorted.partition_point(|row| row.0 <= key);
        let mut tie: Vec<i64> = sorted[from..to].iter().map(|row| row.1).collect();
        rng.shuffle(&mut tie);
        let stop = to.min(high);
        ids.extend_from_slice(&tie[at - from..stop - from]);
        at = stop;
    }
    ids
}
