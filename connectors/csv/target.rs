//! Records to CSV files and back: one row a mapped row, one column a key of the mapping. What is
//! written depends on the items alone, so that a batch written again after a crash is the same file,
//! byte for byte. An item that cannot be written whole must never be written in part.
//!
//! | value | cell |
//! |---|---|
//! | text | as it is, guarded by [`formula`](super::formula) |
//! | number | its digits as they came: `90.750`, `1460.00` |
//! | boolean | `true`, `false` |
//! | null | nothing; reads back as an empty text |
//! | list, map | compact JSON text |

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use ::csv::StringRecord;
use contract::{Encoded, FileTarget, Hash, Item, Malformed, Place, Value};
use jiff::Timestamp;

use super::dialect::{Dialect, Sheet, read};
use super::folder::Folder;
use super::name::Template;

/// A first guess at the size of a cell, to allocate once for most files.
const CELL_BYTES: usize = 24;

#[derive(Clone, Debug)]
pub(super) struct CsvTarget {
    pub(super) template: Template,
    pub(super) max_records: usize,
    pub(super) max_wait: Duration,
    pub(super) dialect: Arc<Dialect>,
    pub(super) folder: Arc<Folder>,
    pub(super) acks: Option<contract::Acks>,
}

impl FileTarget for CsvTarget {
    fn max_records(&self) -> usize {
        self.max_records
    }

    fn max_wait(&self) -> Duration {
        self.max_wait
    }

    fn name(&self, opened: Timestamp, batch: u64) -> String {
        self.template.name(opened, batch)
    }

    fn number_of(&self, name: &str) -> Option<u64> {
        self.template.number_of(name)
    }

    /// A row's hash covers the texts of its cells before any protection, quoting and encoding, so it
    /// does not depend on these. Without any row to take columns from, no header is written.
    fn encode(&self, columns: Option<&[String]>, items: &[Item]) -> Encoded {
        let columns = columns_of(columns, items);
        encode(&self.dialect, &columns, items).unwrap_or_else(|malformed| Encoded {
            items: vec![Err(malformed); items.len()],
            ..Encoded::default()
        })
    }

    fn rows_of(&self, bytes: &[u8]) -> Result<Vec<Hash>, Malformed> {
        let mut text = String::new();
        let rows = read(&self.dialect, bytes)?;
        let hashes = rows.iter().map(|cells| {
            text.clear();
            cells.iter().for_each(|cell| push_hashed(&mut text, cell));
            Hash::of(text.as_bytes())
        });
        Ok(hashes.collect())
    }

    fn place(&self) -> Arc<dyn Place> {
        self.folder.clone()
    }

    fn acks(&self) -> Option<&contract::Acks> {
        self.acks.as_ref()
    }
}

/// The given columns, else those of the first row that has any.
fn columns_of<'a>(columns: Option<&'a [String]>, items: &'a [Item]) -> Vec<&'a str> {
    if let Some(columns) = columns {
        return columns.iter().map(String::as_str).collect();
    }
    let rows = items.iter().flat_map(|item| &item.rows);
    rows.filter_map(|row| match row {
        Value::Map(fields) if !fields.is_empty() => Some(fields.names().collect()),
        _ => None,
    })
    .next()
    .unwrap_or_default()
}

/// Fails when no item at all can be written, as with a column name that the encoding lacks.
fn encode(dialect: &Dialect, columns: &[&str], items: &[Item]) -> Result<Encoded, Malformed> {
    let rows: usize = items.iter().map(|item| item.rows.len()).sum();
    let mut sheet = Sheet::new(dialect, (rows + 1) * columns.len() * CELL_BYTES);
    if dialect.header && !columns.is_empty() {
        let names = columns.iter().map(|column| {
            let cell = dialect.cell(column);
            cell.map_err(|Malformed(why)| Malformed(format!("the column name {column:?}: {why}")))
        });
        sheet.write(&names.collect::<Result<StringRecord, _>>()?)?;
    }
    let mut encoded = Encoded::default();
    let mut rows = Rows {
        dialect,
        columns,
        hashed: String::new(),
    };
    let mut cells = Vec::new();
    for item in items {
        let hashes = rows.take(item, &mut cells);
        if hashes.is_ok() {
            cells[..item.rows.len()].iter().try_for_each(|row| sheet.write(row))?;
            encoded.rows += item.rows.len();
        }
        encoded.items.push(hashes);
    }
    encoded.bytes = sheet.finish()?;
    Ok(encoded)
}

struct Rows<'a> {
    dialect: &'a Dialect,
    columns: &'a [&'a str],
    /// Scratch space for the text that a row's hash covers.
    hashed: String,
}

impl Rows<'_> {
    /// Fills the first places of `cells` with the item's rows; what lay there is reused space.
    fn take(&mut self, item: &Item, cells: &mut Vec<StringRecord>) -> Result<Vec<Hash>, Malformed> {
        if cells.len() < item.rows.len() {
            cells.resize(item.rows.len(), StringRecord::new());
        }
        let rows = item.rows.iter().zip(cells).enumerate();
        rows.map(|(n, (row, cells))| {
            self.fill(row, cells).map_err(|Malformed(why)| match item.rows.len() {
                1 => Malformed(why),
                _ => Malformed(format!("row {}: {why}", n + 1)),
            })
        })
        .collect()
    }

    fn fill(&mut self, row: &Value, cells: &mut StringRecord) -> Result<Hash, Malformed> {
        let Value::Map(fields) = row else {
            return Err(Malformed(format!(
                "a row must be an object with columns, not {}",
                row.kind()
            )));
        };
        if self.columns.is_empty() {
            return Err(Malformed("the row has no columns".to_owned()));
        }
        cells.clear();
        self.hashed.clear();
        // Rows mostly have their fields in the order of the columns.
        let mut in_order = fields.iter();
        for column in self.columns {
            let value = match in_order.next() {
                Some((name, value)) if name == *column => value,
                _ => fields
                    .get(column)
                    .ok_or_else(|| Malformed(format!("the row lacks the column `{column}`")))?,
            };
            let text = text_of(value);
            let cell = self.dialect.cell(&text);
            cells.push_field(&cell.map_err(|Malformed(why)| Malformed(format!("the column `{column}`: {why}")))?);
            push_hashed(&mut self.hashed, &text);
        }
        // Every column was found, so equal counts leave no field over.
        if fields.len() != self.columns.len()
            && let Some(extra) = fields.names().find(|name| !self.columns.contains(name))
        {
            return Err(Malformed(format!("the file has no column `{extra}`")));
        }
        Ok(Hash::of(self.hashed.as_bytes()))
    }
}

/// A cell holds no NUL, so NUL keeps the cells of a row apart.
fn push_hashed(hashed: &mut String, text: &str) {
    hashed.push_str(text);
    hashed.push('\0');
}

fn text_of(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => Cow::Borrowed(""),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => Cow::Borrowed(number.as_str()),
        Value::Text(text) => Cow::Borrowed(text),
        Value::List(_) | Value::Map(_) => Cow::Owned(value.to_json()),
    }
}
