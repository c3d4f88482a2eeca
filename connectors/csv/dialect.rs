//! How the files of one connector spell rows (RFC 4180 with the deviations that importers ask for),
//! in both directions. What [`Sheet`] wrote, [`read`] must give back cell for cell, or refuse.

use std::borrow::Cow;

use ::csv::{QuoteStyle, ReaderBuilder, StringRecord, Terminator, Writer, WriterBuilder};
use contract::Malformed;
use contract::settings::Reader;
use serde_json::json;

use super::encoding::Encoding;
use super::formula;

/// The default quotes every field: then no importer trims, guesses a delimiter, takes `#` for a
/// comment or `00123` for a number where it can be told that quoted cells are text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialect {
    pub delimiter: u8,
    pub encoding: Encoding,
    pub line_ending: LineEnding,
    /// The first row holds the column names.
    pub header: bool,
    /// Cells are written without the protection of `formula`.
    pub raw_cells: bool,
    pub quote: Quote,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LineEnding {
    #[default]
    Lf,
    CrLf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Quote {
    /// Only cells that could not be told apart otherwise.
    Minimal,
    #[default]
    All,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            encoding: Encoding::default(),
            line_ending: LineEnding::default(),
            header: true,
            raw_cells: false,
            quote: Quote::default(),
        }
    }
}

impl Dialect {
    pub(super) fn from_settings(reader: &mut Reader<'_>) -> Option<Dialect> {
        let delimiter = reader
            .field("delimiter", "what stands between two cells: , ; | or tab")
            .default(",")
            .parsed(json!({"enum": [",", ";", "|", "\t", "tab"]}), delimiter);
        let encoding = reader
            .field("encoding", "the character encoding")
            .default("utf-8")
            .choice(Encoding::NAMES);
        let line_ending = reader
            .field("line_ending", "how a row ends; line ends inside cells stay as they are")
            .default("lf")
            .choice(&["lf", "crlf"]);
        let header = reader
            .field("header", "whether the first row holds the column names")
            .default("true")
            .boolean();
        let raw_cells = reader
            .field(
                "raw_cells",
                "true: cells that a spreadsheet would run as a formula are not defused",
            )
            .default("false")
            .boolean();
        let quote = reader
            .field("quote", "which cells are quoted: all, or only those that need it")
            .default("all")
            .choice(&["all", "minimal"]);
        Some(Dialect {
            delimiter: delimiter?,
            encoding: Encoding::named(encoding?)?,
            line_ending: if line_ending? == "crlf" {
                LineEnding::CrLf
            } else {
                LineEnding::Lf
            },
            header: header?,
            raw_cells: raw_cells?,
            quote: if quote? == "all" { Quote::All } else { Quote::Minimal },
        })
    }

    /// The text as it stands in the cell, before quoting. Fails for a text that no reader would give back.
    pub(super) fn cell<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Malformed> {
        if text.contains('\0') {
            return Err(Malformed(
                "a NUL character (U+0000) cannot be written to a CSV file".to_owned(),
            ));
        }
        if let Some(lacking) = self.encoding.lacks(text) {
            return Err(Malformed(format!(
                "the character {lacking:?} (U+{:04X}) cannot be written in {}",
                u32::from(lacking),
                self.encoding.name()
            )));
        }
        Ok(if self.raw_cells {
            Cow::Borrowed(text)
        } else {
            formula::guard(text)
        })
    }

    fn writer(&self, capacity: usize, quote: Quote) -> Writer<Vec<u8>> {
        WriterBuilder::new()
            .delimiter(self.delimiter)
            .terminator(match self.line_ending {
                LineEnding::Lf => Terminator::Any(b'\n'),
                LineEnding::CrLf => Terminator::CRLF,
            })
            .quote_style(match quote {
                Quote::Minimal => QuoteStyle::Necessary,
                Quote::All => QuoteStyle::Always,
            })
            .from_writer(Vec::with_capacity(capacity))
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text {
        "," => Ok(b','),
        ";" => Ok(b';'),
        "|" => Ok(b'|'),
        "\t" | "tab" | "\\t" => Ok(b'\t'),
        _ => Err("expected one of , ; | tab".to_owned()),
    }
}

/// A file while it is written. The cells come out of [`Dialect::cell`].
pub(super) struct Sheet<'d> {
    dialect: &'d Dialect,
    capacity: usize,
    writer: Option<Writer<Vec<u8>>>,
}

impl<'d> Sheet<'d> {
    /// `capacity`: the expected size in bytes.
    pub(super) fn new(dialect: &'d Dialect, capacity: usize) -> Self {
        Self {
            dialect,
            capacity,
            writer: None,
        }
    }

    pub(super) fn write(&mut self, cells: &StringRecord) -> Result<(), Malformed> {
        let dialect = self.dialect;
        let capacity = self.capacity;
        let writer = self.writer.get_or_insert_with(|| {
            // A file whose first character is U+FEFF would lose it to readers that take it for a byte
            // order mark, so a quote must come before it.
            let mark_first = cells.get(0).is_some_and(|cell| cell.starts_with('\u{feff}'));
            dialect.writer(capacity, if mark_first { Quote::All } else { dialect.quote })
        });
        writer.write_record(cells).map_err(|error| Malformed(error.to_string()))
    }

    /// The bytes of the file in its encoding.
    pub(super) fn finish(self) -> Result<Vec<u8>, Malformed> {
        let text = match self.writer {
            Some(writer) => writer.into_inner().map_err(|error| Malformed(error.to_string()))?,
            None => Vec::new(),
        };
        self.dialect.encoding.encode(text)
    }
}

/// The rows of a whole file as the texts they were made of, header left out. A file that is cut short,
/// has rows of unequal length or bytes that mean nothing is refused, with the line where known.
///
/// Either line ending and either quoting is read, whatever the dialect says of these.
pub fn read(dialect: &Dialect, bytes: &[u8]) -> Result<Vec<Vec<String>>, Malformed> {
    let text = dialect.encoding.decode(bytes)?;
    if text.contains('\0') {
        return Err(Malformed("a NUL character (U+0000) stands in the file".to_owned()));
    }
    // Each quoted cell, and each quote inside one, makes two: an odd count is a cell cut short.
    let quotes = text.bytes().filter(|byte| *byte == b'"').count();
    if !(text.is_empty() || text.ends_with('\n')) || !quotes.is_multiple_of(2) {
        return Err(Malformed("cut short: the last row is not complete".to_owned()));
    }
    if dialect.header && text.is_empty() {
        return Err(Malformed("cut short: the header is missing".to_owned()));
    }
    let mut reader = ReaderBuilder::new()
        .delimiter(dialect.delimiter)
        .has_headers(dialect.header)
        .from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.records() {
        let row = row.map_err(|error| Malformed(error.to_string()))?;
        let restored = row.iter().map(|cell| match dialect.raw_cells {
            true => cell.to_owned(),
            false => formula::unguard(cell).to_owned(),
        });
        rows.push(restored.collect());
    }
    Ok(rows)
}
