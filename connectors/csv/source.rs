//! Files that others drop into the folder, as a source. What is done with a file is the daemon's business; here is
//! only which files there are, and what stands in them.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::Reader;
use contract::{
    Acks, After, Cursor, Entry, Error, Fault, Fields, FileMode, FileRows, FileSource, Finding, Key, Malformed, Number,
    Pass, Place, Placed, Raw, Record, Row, Source, Stamp, Step, Terms, Use, Value, Window,
};
use serde_json::json;

use super::amount::NumberFormat;
use super::dialect::Dialect;
use super::pattern::Pattern;
use super::reader::{CsvRows, Layout};

/// `read:` of one resource.
#[derive(Clone, Debug)]
pub(super) struct Read {
    pub(super) pattern: Pattern,
    /// With `{name}` for the file's whole name, or `{stem}` for it without its ending.
    marker: Option<String>,
    terms: Terms,
    columns: Option<Vec<String>>,
    required: Vec<String>,
    numbers: Vec<String>,
    format: NumberFormat,
    footer: Option<Vec<String>>,
}

pub(super) struct CsvSource {
    read: Read,
    layout: Arc<Layout>,
    place: Arc<dyn Place>,
}

impl std::fmt::Debug for CsvSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CsvSource")
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

impl CsvSource {
    pub(super) fn new(read: &Read, dialect: &Arc<Dialect>, place: Arc<dyn Place>) -> CsvSource {
        let layout = Layout {
            dialect: dialect.clone(),
            columns: read.columns.clone(),
            primary_key: read.terms.primary_key.clone(),
            required: read.required.clone(),
            numbers: read.numbers.clone(),
            format: read.format,
            footer: read.footer.clone(),
        };
        CsvSource {
            read: read.clone(),
            layout: Arc::new(layout),
            place,
        }
    }

    /// Whether the folder can be listed, and where nothing is written to it either, whether files can be moved away.
    pub(super) async fn probe(&self, name: &str, alone: bool) -> Finding {
        let looked = async {
            let entries = self.place.entries().await?;
            let ours = |entry: &&Entry| self.read.pattern.placed(&entry.name) != Placed::Foreign;
            let count = entries.iter().filter(ours).count();
            if alone && self.read.terms.after != After::Keep {
                self.place.probe().await?;
            }
            Ok(format!("can be read; {count} files match the pattern now"))
        };
        Finding {
            what: format!("{}, files of `{name}`", self.place.describe()),
            result: looked.await,
            optional: false,
        }
    }
}

impl Read {
    /// `header`: whether files have one, as the dialect says.
    pub(super) fn from_settings(resource: &str, reader: &mut Reader<'_>, dialect: Option<&Dialect>) -> Option<Read> {
        let text = json!({"type": "string"});
        let pattern = reader
            .field(
                "pattern",
                "which files: a name with * and ?, and {order} for a date, time or number that says which is newer",
            )
            .required()
            .parsed(text.clone(), Pattern::parse);
        let settle = reader.field("settle", "a file that has not changed for so long is complete");
        let settle = settle.default("30s").duration();
        let poll = reader.field("poll", "how often the folder is looked at");
        let poll = poll.default("10s").duration();
        let mode = reader.field(
            "mode",
            "snapshot: rows say how much there is; delta: how much is to be added, once a file",
        );
        let mode = mode.default("snapshot").choice(&["snapshot", "delta"]);
        let after = reader.field(
            "after",
            "what becomes of a file that was taken: into archive/, deleted, or left where it is",
        );
        let after = after.default("archive").choice(&["archive", "delete", "keep"]);
        let on_error = reader.field(
            "on_error",
            "a row that cannot be read: reject the file, or skip_rows and fail that row alone",
        );
        let on_error = on_error.default("reject").choice(&["reject", "skip_rows"]);
        let absent = reader.field("absent", "of a snapshot: what is not in the file is kept, or is zero");
        let absent = absent.default("keep").choice(&["keep", "zero"]);
        let marker = reader
            .field(
                "marker",
                "a file that tells that this one is complete, with {name} or {stem} of it, such as {stem}.done",
            )
            .parsed(text.clone(), marker);
        let footer = reader
            .field(
                "footer",
                "the last row of a complete file, with {rows} for their number, such as END,{rows}",
            )
            .parsed(text.clone(), |text| Ok(text.to_owned()));
        let primary_key = reader
            .field(
                "primary_key",
                "the column that tells records apart; of `inventory` it is sku unless this says otherwise",
            )
            .text();
        let columns = reader.field("columns", "the columns' names, where the files have no header");
        let columns = columns.list_of_text();
        let required = reader.field(
            "required",
            "columns without which a file is refused, besides those that the mapping needs",
        );
        let required = required.list_of_text();
        let numbers = reader.field("numbers", "columns that hold numbers; all others are texts");
        let numbers = numbers.list_of_text();
        let decimal = reader.field("decimal", "what stands before the decimals of a number: . or ,");
        let decimal = decimal.default(".").choice(&[".", ","]);
        let grouping = reader.field(
            "grouping",
            "what stands between groups of three digits: none, . , ' or space",
        );
        let grouping = grouping.default("none").choice(&["none", ".", ",", "'", "space"]);
        let (decimal, grouping, mode, absent) = (decimal?, grouping?, mode?, absent?);
        if decimal == grouping {
            let hint = Some("the two must differ, such as decimal: \",\" with grouping: \".\"".to_owned());
            reader.problem_at("grouping", "`decimal` and `grouping` are the same", hint);
        }
        let mode = if mode == "delta" {
            FileMode::Delta
        } else {
            FileMode::Snapshot
        };
        let primary_key = key_of(resource, reader, mode, primary_key);
        let has_header = dialect.is_none_or(|dialect| dialect.header);
        named(reader, has_header, columns.as_ref());
        if absent == "zero" && mode == FileMode::Delta {
            reader.problem_at(
                "absent",
                "`absent: zero` is for snapshots",
                Some("remove it, or `mode: delta`".to_owned()),
            );
        }
        if absent == "zero" && numbers.as_ref().is_none_or(Vec::is_empty) {
            let hint = Some("such as numbers: [quantity]".to_owned());
            reader.problem_at(
                "absent",
                "`absent: zero` needs `numbers`, the columns that become 0",
                hint,
            );
        }
        let delimiter = dialect.map_or(b',', |dialect| dialect.delimiter);
        Some(Read {
            pattern: pattern?,
            marker,
            terms: Terms {
                settle: settle?,
                poll: poll?.max(Duration::from_millis(100)),
                mode,
                after: after_of(after?),
                skips_rows: on_error? == "skip_rows",
                absent_zero: absent == "zero",
                primary_key: primary_key?,
            },
            columns,
            required: required.unwrap_or_default(),
            numbers: numbers.unwrap_or_default(),
            format: NumberFormat {
                decimal: if decimal == "," { ',' } else { '.' },
                grouping: match grouping {
                    "none" => None,
                    "space" => Some(' '),
                    other => other.chars().next(),
                },
            },
            footer: footer.map(|text| text.split(char::from(delimiter)).map(str::to_owned).collect()),
        })
    }
}

/// `acks:` of a resource that is written.
#[derive(Clone, Debug)]
pub(super) struct AckTerms {
    read: Read,
    id: String,
    status: String,
    message: Option<String>,
    ok: Vec<String>,
}

impl AckTerms {
    pub(super) fn from_settings(reader: &mut Reader<'_>) -> Option<AckTerms> {
        let text = json!({"type": "string"});
        let pattern = reader.field("pattern", "which files: a name with * and ?").required();
        let pattern = pattern.parsed(text, Pattern::parse);
        let settle = reader.field("settle", "a file that has not changed for so long is complete");
        let settle = settle.default("30s").duration();
        let after = reader.field(
            "after",
            "what becomes of a file that was taken: into archive/, deleted, or left where it is",
        );
        let after = after.default("archive").choice(&["archive", "delete", "keep"]);
        let id = reader
            .field(
                "id",
                "the column with the record's key at its source, such as the order's id",
            )
            .required()
            .text();
        let status = reader
            .field("status", "the column that says what became of it")
            .required()
            .text();
        let message = reader.field("message", "the column with the other side's words").text();
        let ok = reader.field(
            "ok",
            "what the status is of a record that was taken; any other one refuses it",
        );
        let ok = ok.required().list_of_text();
        let (id, status) = (id?, status?);
        let required = [id.clone(), status.clone()]
            .into_iter()
            .chain(message.clone())
            .collect();
        Some(AckTerms {
            read: Read {
                pattern: pattern?,
                marker: None,
                terms: Terms {
                    settle: settle?,
                    poll: Duration::from_secs(10),
                    mode: FileMode::Delta,
                    after: after_of(after?),
                    skips_rows: false,
                    absent_zero: false,
                    primary_key: None,
                },
                columns: None,
                required,
                numbers: Vec::new(),
                format: NumberFormat::default(),
                footer: None,
            },
            id,
            status,
            message,
            ok: ok?,
        })
    }

    pub(super) fn acks(&self, dialect: &Arc<Dialect>, place: Arc<dyn Place>) -> Acks {
        // Whatever is written, an answer has a header: its columns are named in the settings.
        let dialect = Dialect {
            header: true,
            ..(**dialect).clone()
        };
        Acks {
            files: Arc::new(CsvSource::new(&self.read, &Arc::new(dialect), place)),
            id: self.id.clone(),
            status: self.status.clone(),
            message: self.message.clone(),
            ok: self.ok.clone(),
        }
    }
}

fn after_of(word: &str) -> After {
    match word {
        "delete" => After::Delete,
        "keep" => After::Keep,
        _ => After::Archive,
    }
}

/// `Some(None)`: each row is a record of its own.
fn key_of(resource: &str, reader: &mut Reader<'_>, mode: FileMode, given: Option<String>) -> Option<Option<String>> {
    match (mode, given) {
        (FileMode::Delta, Some(_)) => {
            let hint = Some("remove it: each row of a delta is a record of its own".to_owned());
            reader.problem_at("primary_key", "`mode: delta` has no primary key", hint);
            None
        }
        (FileMode::Delta, None) => Some(None),
        (FileMode::Snapshot, Some(key)) => Some(Some(key)),
        (FileMode::Snapshot, None) if resource == "inventory" => Some(Some("sku".to_owned())),
        (FileMode::Snapshot, None) => {
            if !reader.is_describing() {
                let hint = Some("the column that tells records apart, such as primary_key: id".to_owned());
                reader.problem_at("primary_key", "`primary_key` is missing", hint);
            }
            None
        }
    }
}

fn named(reader: &mut Reader<'_>, has_header: bool, columns: Option<&Vec<String>>) {
    if reader.is_describing() {
        return;
    }
    if !has_header && columns.is_none() {
        let hint = Some("such as columns: [sku, quantity]".to_owned());
        reader.problem_at("columns", "`columns` is missing: the dialect says header: false", hint);
    }
    if has_header && columns.is_some() {
        let hint = Some("remove `columns`, or set header: false in the dialect".to_owned());
        reader.problem_at("columns", "the columns are named by the files' header", hint);
    }
}

fn marker(text: &str) -> Result<String, String> {
    let plain = text.replacen("{name}", "x", 1).replacen("{stem}", "x", 1);
    match super::name::is_safe(&plain) && plain.len() < text.len() {
        true => Ok(text.to_owned()),
        false => Err("expected a file's name with {name} or {stem} in it, such as {stem}.done".to_owned()),
    }
}

impl FileSource for CsvSource {
    fn place(&self) -> Arc<dyn Place> {
        self.place.clone()
    }

    fn terms(&self) -> &Terms {
        &self.read.terms
    }

    fn placed(&self, name: &str) -> Placed {
        self.read.pattern.placed(name)
    }

    fn marker(&self, name: &str) -> Option<String> {
        let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
        let marker = self.read.marker.as_ref()?;
        Some(marker.replacen("{name}", name, 1).replacen("{stem}", stem, 1))
    }

    fn rows(&self, needed: &[String]) -> Box<dyn FileRows> {
        Box::new(CsvRows::new(self.layout.clone(), needed))
    }

    fn number(&self, text: &str) -> Result<Number, Malformed> {
        self.read.format.read(text)
    }

    fn absent(&self, key: &str) -> Value {
        let mut fields = Fields::default();
        if let Some(primary_key) = &self.read.terms.primary_key {
            fields.push(primary_key.as_str(), Value::text(key));
        }
        for column in &self.read.numbers {
            fields.push(column.as_str(), Value::from(0));
        }
        Value::Map(fields)
    }
}

/// Its records come in files, so that nothing comes any other way.
#[derive(Debug)]
pub(super) struct Files(pub(super) Arc<CsvSource>);

struct Nothing;

#[async_trait]
impl Pass for Nothing {
    async fn step(&mut self) -> Result<Step, Error> {
        Ok(Step {
            cursor: Some(Cursor("no file yet".to_owned())),
            done: true,
            ..Step::default()
        })
    }
}

#[async_trait]
impl Source for Files {
    async fn now(&self) -> Result<Cursor, Error> {
        Ok(Cursor("no file yet".to_owned()))
    }

    fn later(&self, a: Cursor, _b: Cursor) -> Cursor {
        a
    }

    fn earlier(&self, a: Cursor, _b: Cursor) -> Cursor {
        a
    }

    fn settled(&self, cursor: &Cursor) -> Cursor {
        cursor.clone()
    }

    fn stamp(&self, _cursor: &Cursor) -> Option<Stamp> {
        None
    }

    fn back(&self, cursor: &Cursor, _by: Duration) -> Cursor {
        cursor.clone()
    }

    fn changes(&self, _since: &Cursor, _purpose: Use) -> Box<dyn Pass> {
        Box::new(Nothing)
    }

    fn history(&self, _window: Window, _resume: Option<&Cursor>) -> Box<dyn Pass> {
        Box::new(Nothing)
    }

    async fn read(&self, key: &Key, _purpose: Use) -> Result<Option<Row>, Error> {
        let error = Error::new(
            Fault::Rejected,
            format!("reading {}", key.0),
            "a row of a file is not read by itself",
        );
        Err(error.hint("correct the file and drop it again"))
    }

    fn decode(&self, _body: Raw, _single: bool) -> Result<Record, Malformed> {
        Err(Malformed("a row of a file is not read by itself".to_owned()))
    }

    fn files(&self) -> Option<Arc<dyn FileSource>> {
        Some(self.0.clone())
    }

    async fn ping(&self) -> Result<(), Error> {
        self.0.place.entries().await.map(|_| ())
    }
}
