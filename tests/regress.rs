//! Scenarios in which several things go wrong at once, each seen from the files alone: targets that are
//! blocked while the mapping or the record moves on, flows beside one another, and stores that misbehave.

mod flows;
mod source;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use selorax_sync::store::Store;
use serde_json::Value;

use crate::support::{Desk, names};

/// One file as its reader sees it.
struct File {
    name: String,
    columns: Vec<String>,
    rows: Vec<BTreeMap<String, String>>,
}

/// All files of a folder, in name order; each is whole and has as many cells a row as columns.
#[track_caller]
fn files(folder: &Path) -> Vec<File> {
    let read = |name: String| {
        let bytes = std::fs::read(folder.join(&name)).unwrap();
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let columns: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let row = |cells: csv::Result<csv::StringRecord>| {
            let cells = cells.unwrap();
            columns.iter().cloned().zip(cells.iter().map(str::to_owned)).collect()
        };
        let rows = reader.records().map(row).collect();
        File { name, columns, rows }
    };
    names(folder).into_iter().map(read).collect()
}

/// Every row of every file, in the order of writing.
#[track_caller]
fn all_rows(folder: &Path) -> Vec<BTreeMap<String, String>> {
    files(folder).into_iter().flat_map(|file| file.rows).collect()
}

/// The ids in all files, sorted, each as often as it is there.
#[track_caller]
fn ids(folder: &Path) -> Vec<i64> {
    let rows = all_rows(folder);
    let mut ids: Vec<i64> = rows.iter().map(|row| row["id"].parse().unwrap()).collect();
    ids.sort_unstable();
    ids
}

/// Puts a file where the folder of the files is, so that nothing can be listed, staged or published.
fn block(desk: &Desk) {
    if desk.out().is_dir() {
        std::fs::rename(desk.out(), desk.path("aside")).unwrap();
    }
    std::fs::write(desk.out(), "not a folder").unwrap();
}

fn free(desk: &Desk) {
    assert_eq!(std::fs::read(desk.out()).unwrap(), b"not a folder");
    std::fs::remove_file(desk.out()).unwrap();
    if desk.path("aside").is_dir() {
        std::fs::rename(desk.path("aside"), desk.out()).unwrap();
    }
}

/// One value of the first flow's status.
#[track_caller]
fn status(desk: &Desk, name: &str) -> u64 {
    let told = desk.run(&["status", "--json"]).ends(0);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    told["flows"][0][name].as_u64().unwrap_or_else(|| panic!("{told:#}"))
}

fn failures(desk: &Desk) -> Vec<Value> {
    let told = desk.run(&["failures", "list", "--json"]).ends(0);
    serde_json::from_str(&told.out).unwrap()
}

/// The records in `failures`.
fn parked(desk: &Desk) -> BTreeSet<String> {
    let failures = failures(desk);
    let record = |failure: &Value| failure["record"].as_str().unwrap().to_owned();
    failures.iter().map(record).collect()
}

/// The batches that are begun and not published: name and bytes.
fn open_batches(desk: &Desk) -> Vec<(String, Vec<u8>)> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let store = Store::look(&desk.state()).await.unwrap().unwrap();
        let mut found = Vec::new();
        for batch in store.open_batches("drop.orders").await.unwrap() {
            let (bytes, ..) = store.content(batch.id).await.unwrap();
            found.push((batch.name, bytes));
        }
        found
    })
}
