//! The connector from its settings down to bytes and files, with the `csv` crate's own reader as the
//! importer that knows nothing of us.

#![allow(clippy::unwrap_used)]

mod folder;
mod incoming;
mod rows;
mod settings;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contract::{Encoded, FileTarget, Item, Key, Value};

use super::dialect::Dialect;
use super::folder::Folder;
use super::name::Template;
use super::target::CsvTarget;

const ORDERS: &str = "orders-{timestamp}-{batch}.csv";

fn folder(path: &Path) -> Folder {
    Folder::new(path.to_owned(), Some(Template::parse(ORDERS).unwrap()))
}

fn target(dialect: Dialect) -> CsvTarget {
    CsvTarget {
        acks: None,
        template: Template::parse(ORDERS).unwrap(),
        max_records: 1000,
        max_wait: Duration::from_secs(60),
        dialect: Arc::new(dialect),
        folder: Arc::new(folder(Path::new("unused"))),
    }
}

/// Items of one row each, from JSON texts.
fn items(rows: &[&str]) -> Vec<Item> {
    rows.iter().enumerate().map(|(n, row)| item(n, &[row])).collect()
}

fn item(n: usize, rows: &[&str]) -> Item {
    Item {
        key: Key(n.to_string()),
        rows: rows.iter().map(|row| Value::parse(row).unwrap()).collect(),
    }
}

fn encode(dialect: Dialect, rows: &[&str]) -> Encoded {
    target(dialect).encode(None, &items(rows))
}

fn text(encoded: &Encoded) -> &str {
    std::str::from_utf8(&encoded.bytes).unwrap()
}
