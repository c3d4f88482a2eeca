//! The rows of one CSV file that somebody else wrote, as records: one text a column, numbers where the settings say
//! so. It must never make up a cell, and never hand out the rows of a file that is not whole without saying so at its
//! end.

use std::sync::Arc;

use contract::settings::nearest;
use contract::{Broken, Fields, FileRow, FileRows, Hash, Malformed, Value};

use super::amount::NumberFormat;
use super::decode::Text;
use super::dialect::Dialect;
use super::formula;
use super::split::{Cells, Splitter, Stray};

/// How the files of a resource are laid out.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) dialect: Arc<Dialect>,
    /// The columns' names, where the files have no header.
    pub(super) columns: Option<Vec<String>>,
    pub(super) primary_key: Option<String>,
    pub(super) required: Vec<String>,
    /// Columns that hold numbers.
    pub(super) numbers: Vec<String>,
    pub(super) format: NumberFormat,
    /// The cells of the last row; `{rows}` among them stands for the number of rows.
    pub(super) footer: Option<Vec<String>>,
}

pub(super) struct CsvRows {
    layout: Arc<Layout>,
    needed: Vec<String>,
    text: Text,
    splitter: Splitter,
    header: Option<Vec<Column>>,
    /// The latest row, where it may be the footer.
    held: Option<Cells>,
    rows: u64,
    cells: Vec<Cells>,
}

#[derive(Clone, Debug)]
struct Column {
    name: String,
    is_number: bool,
    is_key: bool,
}

fn refused(line: Option<u64>, why: impl Into<String>) -> Broken {
    Broken::Refused { line, why: why.into() }
}

impl CsvRows {
    pub(super) fn new(layout: Arc<Layout>, needed: &[String]) -> CsvRows {
        let mut all: Vec<String> = layout.primary_key.iter().cloned().collect();
        all.extend(layout.required.iter().chain(&layout.numbers).chain(needed).cloned());
        CsvRows {
            text: Text::new(layout.dialect.encoding),
            splitter: Splitter::new(layout.dialect.delimiter),
            layout,
            needed: all,
            header: None,
            held: None,
            rows: 0,
            cells: Vec::new(),
        }
    }

    fn cells(&mut self, rows: &mut Vec<FileRow>) -> Result<(), Broken> {
        if self.header.is_none()
            && let Some(columns) = self.layout.columns.clone()
        {
            self.header = Some(self.columns(columns)?);
        }
        let mut cells = std::mem::take(&mut self.cells);
        for row in cells.drain(..) {
            if self.header.is_none() {
                let names = row.iter().map(|cell| self.restored(cell).to_owned()).collect();
                self.header = Some(self.columns(names)?);
            } else if self.layout.footer.is_some() {
                if let Some(before) = self.held.replace(row) {
                    self.row(&before, rows);
                }
            } else {
                self.row(&row, rows);
            }
        }
        self.cells = cells;
        Ok(())
    }

    fn columns(&self, names: Vec<String>) -> Result<Vec<Column>, Broken> {
        let line = self.layout.dialect.header.then_some(1);
        for (n, name) in names.iter().enumerate() {
            if !name.is_empty() && names[..n].contains(name) {
                return Err(refused(line, format!("two columns are called `{name}`")));
            }
        }
        if let Some(missing) = self.needed.iter().find(|needed| !names.contains(needed)) {
            let near = nearest(missing, names.iter().map(String::as_str));
            let hint = near.map(|near| format!("; is it `{near}`?")).unwrap_or_default();
            let shown: Vec<String> = names.iter().take(20).map(|name| format!("`{}`", clip(name))).collect();
            let told = format!(
                "the column `{missing}` is missing{hint} The columns are {}",
                shown.join(", ")
            );
            let told = told.replace("missing The", "missing; the").replace("`? The", "`? the");
            return Err(refused(line, told));
        }
        let column = |name: String| Column {
            is_number: self.layout.numbers.contains(&name),
            is_key: self.layout.primary_key.as_ref() == Some(&name),
            name,
        };
        Ok(names.into_iter().map(column).collect())
    }

    fn restored<'c>(&self, cell: &'c str) -> &'c str {
        match self.layout.dialect.raw_cells {
            true => cell,
            false => formula::unguard(cell),
        }
    }

    fn row(&mut self, cells: &Cells, rows: &mut Vec<FileRow>) {
        self.rows += 1;
        let mut hashed = String::new();
        for cell in cells.iter() {
            hashed.push_str(cell);
            hashed.push('\0');
        }
        let columns = self.header.as_deref().unwrap_or_default();
        let key = columns.iter().position(|column| column.is_key);
        let key = key.and_then(|at| cells.get(at)).map(|cell| self.restored(cell));
        rows.push(FileRow {
            line: cells.line,
            key: key.unwrap_or_default().to_owned(),
            hash: Hash::of(hashed.as_bytes()),
            record: self.record(columns, cells),
        });
    }

    fn record(&self, columns: &[Column], cells: &Cells) -> Result<Value, Malformed> {
        if cells.len() != columns.len() {
            let of = if self.layout.dialect.header {
                "the header has"
            } else {
                "`columns` names"
            };
            return Err(Malformed(format!(
                "it has {} cells, and {of} {}",
                cells.len(),
                columns.len()
            )));
        }
        let mut fields = Fields::with_capacity(columns.len());
        for (column, cell) in columns.iter().zip(cells.iter()) {
            if column.name.is_empty() {
                continue;
            }
            let cell = self.restored(cell);
            let wrong = |why: String| Malformed(format!("the column `{}`: {why}", column.name));
            if column.is_key && cell.trim().is_empty() {
                return Err(wrong(
                    "it is empty, and it tells which record the row is about".to_owned(),
                ));
            }
            let value = match column.is_number {
                true => Value::Number(self.layout.format.read(cell).map_err(|Malformed(why)| wrong(why))?),
                false => Value::text(cell),
            };
            fields.push(column.name.as_str(), value);
        }
        Ok(Value::Map(fields))
    }

    /// The last row of the file, which may lack its line's end.
    fn last(&mut self, open: Option<Cells>, rows: &mut Vec<FileRow>) -> Result<(), Broken> {
        let Some(footer) = self.layout.footer.clone() else {
            return match open {
                Some(cells) if self.header.is_none() || cells.line > 0 => Err(refused(
                    Some(cells.line),
                    "the last row has no line's end: the file is cut short",
                )),
                _ => Ok(()),
            };
        };
        let footing = match open {
            Some(cells) => {
                if let Some(before) = self.held.take() {
                    self.row(&before, rows);
                }
                Some(cells)
            }
            None => self.held.take(),
        };
        let missing = || Broken::Incomplete("its footer is not there yet".to_owned());
        let footing = footing.ok_or_else(missing)?;
        let cells: Vec<&str> = footing.iter().collect();
        let (own, over) = cells.split_at_checked(footer.len()).ok_or_else(missing)?;
        let fits = own
            .iter()
            .zip(&footer)
            .all(|(cell, wanted)| wanted == ROWS || cell == wanted);
        if !fits || over.iter().any(|cell| !cell.is_empty()) {
            return Err(missing());
        }
        for (cell, _) in own.iter().zip(&footer).filter(|(_, wanted)| *wanted == ROWS) {
            let said = self
                .layout
                .format
                .read(cell)
                .map_err(|Malformed(why)| refused(Some(footing.line), format!("the footer: {why}")))?;
            if said.as_str() != self.rows.to_string() {
                let why = format!("the footer says {said} rows, and there are {}", self.rows);
                return Err(refused(Some(footing.line), why));
            }
        }
        Ok(())
    }
}

/// Stands in a footer for the number of rows.
pub(super) const ROWS: &str = "{rows}";

impl FileRows for CsvRows {
    fn take(&mut self, bytes: &[u8], rows: &mut Vec<FileRow>) -> Result<(), Broken> {
        let text = self.text.take(bytes, false).map_err(|why| refused(None, why))?;
        let split = self.splitter.take(&text, &mut self.cells);
        split.map_err(|(line, why): Stray| refused(Some(line), why))?;
        self.cells(rows)
    }

    fn end(&mut self, rows: &mut Vec<FileRow>) -> Result<(), Broken> {
        // Where a footer is to come, a file without its end is one that is still written.
        let proven = self.layout.footer.is_some();
        let short = |line: Option<u64>, why: String| match proven {
            true => Broken::Incomplete("its footer is not there yet".to_owned()),
            false => refused(line, why),
        };
        let text = self.text.take(&[], true).map_err(|why| short(None, why))?;
        let split = self.splitter.take(&text, &mut self.cells);
        split.map_err(|(line, why)| short(Some(line), why))?;
        self.cells(rows)?;
        let open = self.splitter.end().map_err(|(line, why)| short(Some(line), why))?;
        if self.header.is_none() && open.is_none() {
            return Err(short(None, "the file is empty".to_owned()));
        }
        self.last(open, rows)?;
        match self.rows {
            0 => Err(refused(
                None,
                "the file has no rows: that says nothing, and not that all is zero",
            )),
            _ => Ok(()),
        }
    }
}

fn clip(text: &str) -> String {
    text.chars()
        .take(40)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
