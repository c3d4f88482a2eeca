//! The checker. It knows the files and the shop's own log of the truth, and nothing of the program.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sandbox::{Change, Order, World};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The columns that tell one version of an order from another, in the order of the test's mapping.
pub(crate) const COLUMNS: [&str; 7] = ["id", "number", "status", "total", "updated", "note", "lines"];

/// One version of an order, as far as the files show it. Money in paisa.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    number: String,
    pub(crate) status: String,
    pub(crate) total: i64,
    updated_ms: i64,
    pub(crate) note: String,
    lines: Vec<Line>,
}

/// SKU, quantity, total.
type Line = (Option<String>, Option<i64>, Option<i64>);

#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) file: String,
    pub(crate) id: i64,
    pub(crate) version: Version,
}

impl Version {
    fn of(order: &Order) -> Version {
        let line = |line: &sandbox::Line| {
            let total = line.quantity.map(|quantity| quantity * line.price);
            (line.sku.clone(), line.quantity, total)
        };
        Version {
            number: order.serial.clone().unwrap_or_default(),
            status: order.status.clone(),
            total: order.grand_total(),
            updated_ms: order.updated_ms,
            note: order.note.clone().unwrap_or_default(),
            lines: order.lines.iter().map(line).collect(),
        }
    }

    fn read(cells: &csv::StringRecord) -> Result<Version, String> {
        #[derive(Deserialize)]
        struct Cell<'c> {
            sku: Option<String>,
            quantity: Option<i64>,
            #[serde(borrow)]
            total: Option<&'c RawValue>,
        }
        let lines: Vec<Cell<'_>> = serde_json::from_str(&cells[6]).map_err(|error| error.to_string())?;
        let line = |cell: &Cell<'_>| {
            let total = cell.total.filter(|total| total.get() != "null");
            let total = total.map(|total| paisa(total.get())).transpose()?;
            Ok::<Line, String>((cell.sku.clone(), cell.quantity, total))
        };
        let updated: jiff::Timestamp = cells[4].parse().map_err(|error: jiff::Error| error.to_string())?;
        Ok(Version {
            number: cells[1].to_owned(),
            status: cells[2].to_owned(),
            total: paisa(&cells[3])?,
            updated_ms: updated.as_millisecond(),
            note: cells[5].to_owned(),
            lines: lines.iter().map(line).collect::<Result<_, _>>()?,
        })
    }
}

/// `1460.00` is 146000; exact or refused.
pub(crate) fn paisa(text: &str) -> Result<i64, String> {
    let wrong = || format!("{text:?} is no amount with at most two decimals");
    let (whole, cents) = text.split_once('.').unwrap_or((text, "0"));
    let digits = !whole.is_empty() && cents.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    if !digits {
        return Err(wrong());
    }
    let whole: i64 = whole.parse().map_err(|_| wrong())?;
    let cents: i64 = format!("{cents:0<2}").parse().map_err(|_| wrong())?;
    Ok(whole * 100 + cents)
}

/// All names in a folder, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

/// The batch number of a final name.
fn number(name: &str) -> Option<u64> {
    let rest = name.strip_prefix("orders-")?.strip_suffix(".csv")?;
    let (stamp, number) = rest.split_once('-')?;
    let shape: String = stamp
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    (shape == "00000000T000000000Z" && number.len() == 8).then(|| number.parse().ok())?
}

/// Every row of every file, in name order, and what is wrong with the files as files.
pub(crate) fn rows(folder: &Path, most: usize) -> (Vec<Row>, Vec<String>) {
    let (mut rows, mut wrong) = (Vec::new(), Vec::new());
    let (mut last_number, mut last_time) = (0, std::time::UNIX_EPOCH);
    for name in names(folder) {
        let Some(number) = number(&name) else {
            wrong.push(format!("{name} is not a name of a finished file"));
            continue;
        };
        let path = folder.join(&name);
        let written = path.metadata().unwrap().modified().unwrap();
        if number <= last_number || written < last_time {
            wrong.push(format!("{name} sorts behind a later file"));
        }
        (last_number, last_time) = (number, written);
        let before = rows.len();
        if let Err(error) = read_file(&path, &name, &mut rows) {
            wrong.push(format!("{name}: {error}"));
        }
        let records: BTreeSet<i64> = rows[before..].iter().map(|row| row.id).collect();
        if records.is_empty() || records.len() > most {
            wrong.push(format!("{name} holds {} records", records.len()));
        }
    }
    (rows, wrong)
}

fn read_file(path: &Path, name: &str, rows: &mut Vec<Row>) -> Result<(), String> {
    let bytes = std::fs::read(path).unwrap();
    if bytes.last() != Some(&b'\n') {
        return Err("it does not end with a line's end".to_owned());
    }
    let mut reader = csv::Reader::from_reader(bytes.as_slice());
    let header = reader.headers().map_err(|error| error.to_string())?;
    if header.iter().ne(COLUMNS) {
        return Err(format!("its header is {header:?}"));
    }
    for cells in reader.records() {
        let cells = cells.map_err(|error| error.to_string())?;
        let version = Version::read(&cells).map_err(|error| format!("{cells:?}: {error}"))?;
        rows.push(Row {
            file: name.to_owned(),
            id: cells[0].parse().map_err(|_| format!("{:?} is no id", &cells[0]))?,
            version,
        });
    }
    Ok(())
}

/// All that is wrong: a lost order, a version sent twice, out of order or never true, a file that is not whole.
pub(crate) fn complaints(folder: &Path, world: &World, most: usize) -> Vec<String> {
    let (rows, mut wrong) = rows(folder, most);
    let mut history: BTreeMap<i64, Vec<Version>> = BTreeMap::new();
    for event in world.truth() {
        let version = Version::of(&event.order);
        let versions = history.entry(event.id).or_default();
        if event.kind != Change::Deleted && versions.last() != Some(&version) {
            versions.push(version);
        }
    }
    // How far each order has been delivered.
    let mut at: BTreeMap<i64, usize> = BTreeMap::new();
    let mut last: BTreeMap<i64, Version> = BTreeMap::new();
    for row in rows {
        let versions = history.get(&row.id).map(Vec::as_slice).unwrap_or_default();
        let from = at.entry(row.id).or_default();
        match versions.iter().skip(*from).position(|version| *version == row.version) {
            Some(ahead) => *from += ahead + 1,
            None if versions.contains(&row.version) => {
                wrong.push(format!("order {} in {}: twice, or out of order", row.id, row.file));
            }
            None => wrong.push(format!("order {} in {}: never was so", row.id, row.file)),
        }
        last.insert(row.id, row.version);
    }
    for (id, order) in world.final_orders() {
        match last.get(&id) {
            Some(version) if *version == Version::of(&order) => {}
            Some(_) => wrong.push(format!("order {id}: its last row is not its final version")),
            None => wrong.push(format!("order {id} is lost")),
        }
    }
    wrong
}
