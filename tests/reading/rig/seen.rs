//! What came of it: rows in files, lines in the log, requests at the store.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use sandbox::{FIXED_START_MS, Order, World};

pub(crate) fn rows(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let Ok(listing) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let mut reader = csv::Reader::from_path(path).unwrap();
        all.extend(reader.deserialize().map(|row| row.unwrap()));
    }
    all
}

/// An order as its row in a file should be.
pub(crate) fn expected(order: &Order) -> BTreeMap<String, String> {
    let total = order.grand_total();
    let skus: Vec<&str> = order
        .lines
        .iter()
        .map(|line| line.sku.as_deref().unwrap_or("").trim())
        .collect();
    let fields = [
        ("id", order.id.to_string()),
        ("number", order.serial.clone().unwrap_or_default()),
        ("status", order.status.clone()),
        ("total", format!("{}.{:02}", total / 100, total % 100)),
        (
            "updated_at",
            format!("{:.3}", jiff::Timestamp::from_millisecond(order.updated_ms).unwrap()),
        ),
        ("lines", order.lines.len().to_string()),
        ("skus", skus.join("|")),
        ("note", order.note.clone().unwrap_or_default()),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What was logged while it lives, on this thread.
pub(crate) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(crate) fn start() -> Log {
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let sink = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || Sink(sink.clone()))
            .finish();
        Log {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

/// Times at which the store was asked, in milliseconds of virtual time.
pub(crate) fn times(world: &World) -> Vec<i64> {
    world
        .requests()
        .iter()
        .map(|request| request.at_ms - FIXED_START_MS)
        .collect()
}

/// The most requests within any window that is open at its end.
pub(crate) fn most_within(times: &[i64], window_ms: i64) -> usize {
    let starting = |n: usize| times[n..].iter().take_while(|at| **at < times[n] + window_ms).count();
    (0..times.len()).map(starting).max().unwrap_or(0)
}
