//! CSV files in a folder: the connector's settings, and what is made of them. It must never let a
//! reader of the folder see half a file, and never write a record into a file that it does not read
//! back as it was.
//!
//! Files are written to local folders and read from them. SFTP is refused when the settings are read.

mod amount;
mod decode;
mod dialect;
mod disk;
mod encoding;
mod file;
mod folder;
mod formula;
mod incoming;
mod name;
mod pattern;
mod reader;
mod source;
mod split;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::{Reader, Settings};
use contract::{Connector, Error, Factory, Finding, Place, Placed, Seams, Source, Target};
use jiff::Timestamp;
use serde_json::json;

pub use dialect::{Dialect, LineEnding, Quote, read};
pub use encoding::Encoding;
pub use formula::{guard, unguard};

use folder::Folder;
use name::Template;
use source::{AckTerms, CsvSource, Files, Read};
use target::CsvTarget;

/// A batch is encoded in memory, so its size has a limit.
const RECORDS_MAX: i64 = 100_000;

/// `type: csv`. The key `type` itself is read by whoever chose this factory.
pub const FACTORY: Factory = Factory {
    kind: "csv",
    read: |reader| CsvSettings::read(reader).map(|settings| Box::new(settings) as Box<dyn Settings>),
};

#[derive(Debug)]
struct CsvSettings {
    location: PathBuf,
    dialect: Arc<Dialect>,
    /// By resource, in the order of the file.
    writes: Vec<(String, Write)>,
    reads: Vec<(String, Read)>,
}

/// `write:` of one resource.
#[derive(Clone, Debug)]
struct Write {
    template: Template,
    max_records: usize,
    max_wait: Duration,
    acks: Option<AckTerms>,
}

impl CsvSettings {
    fn read(reader: &mut Reader<'_>) -> Option<CsvSettings> {
        let location = location(reader);
        let custom = reader
            .node()
            .is_some_and(|node| node.get("dialect").is_some_and(|node| !node.is_null()));
        let dialect = reader
            .field("dialect", "how rows are spelled in the files")
            .object(Dialect::from_settings);
        let dialect = if custom { dialect } else { Some(Dialect::default()) };
        let mut earlier: Vec<(String, Template)> = Vec::new();
        let resources = reader
            .field(
                "resources",
                "what goes into files or comes out of them, by a name of your choice",
            )
            .required()
            .map_of(|name, reader| Some(resource(&name.text, reader, dialect.as_ref(), &mut earlier)));
        let (mut writes, mut reads) = (Vec::new(), Vec::new());
        for (name, (write, read)) in resources {
            writes.extend(write.map(|write| (name.clone(), write)));
            reads.extend(read.map(|read| (name, read)));
        }
        apart(reader, &writes, &reads);
        Some(CsvSettings {
            location: location?,
            dialect: Arc::new(dialect?),
            writes,
            reads,
        })
    }
}

fn location(reader: &mut Reader<'_>) -> Option<PathBuf> {
    let text = reader
        .field(
            "location",
            "the folder that files are written to; it is made if the folder above it exists",
        )
        .required()
        .text()?;
    // The address may hold a password, so it is not repeated.
    let (problem, hint) = match text.split_once("://") {
        Some(("sftp", _)) => (
            "sftp locations are not in this version",
            "write to a local folder, and let another program carry the files on",
        ),
        Some(_) => ("a location is a folder's path, not an address", "such as ./out"),
        None if text.is_empty() => ("the location is empty", "such as ./out"),
        None if text.contains('\0') => ("a path cannot hold a NUL character", "such as ./out"),
        None => return Some(reader.resolve(&text)),
    };
    reader.problem_at("location", problem, Some(hint.to_owned()));
    None
}

/// What is written must not be read again as if somebody else had dropped it.
fn apart(reader: &mut Reader<'_>, writes: &[(String, Write)], reads: &[(String, Read)]) {
    for (read, Read { pattern, .. }) in reads {
        let own = |write: &&(String, Write)| {
            pattern.placed(&write.1.template.name(Timestamp::UNIX_EPOCH, 1)) != Placed::Foreign
        };
        if let Some((write, _)) = writes.iter().find(own) {
            let message = format!("the pattern of `{read}` matches the files that are written for `{write}`");
            let hint = "begin the names with different words, or use a connector with a folder of its own";
            reader.problem_at("resources", message, Some(hint.to_owned()));
        }
    }
}

fn resource(
    name: &str,
    reader: &mut Reader<'_>,
    dialect: Option<&Dialect>,
    earlier: &mut Vec<(String, Template)>,
) -> (Option<Write>, Option<Read>) {
    let read = reader
        .field("read", "which files of the folder flows from this resource take")
        .object(|reader| Read::from_settings(name, reader, dialect));
    let write = reader
        .field("write", "how flows to this resource become files")
        .object(|reader| write(name, reader, earlier));
    let lacks = |key: &str| {
        let node = reader.node();
        node.is_some_and(|node| node.get(key).is_none_or(|node| node.is_null()))
    };
    if lacks("write") && lacks("read") {
        let hint = r#"write: {file: "orders-{timestamp}-{batch}.csv"}, or read: {pattern: "stock*.csv"}"#;
        let message = "the resource does nothing: `write` and `read` are missing";
        reader.problem(message, Some(hint.to_owned()));
    }
    (write, read)
}

fn write(name: &str, reader: &mut Reader<'_>, earlier: &mut Vec<(String, Template)>) -> Option<Write> {
    let template = reader
        .field(
            "file",
            "the file's name, with {timestamp} (of its opening) and {batch} (its number)",
        )
        .required()
        .parsed(json!({"type": "string"}), Template::parse);
    let max_records = reader
        .field("max_records", "a file is closed at this many records")
        .default("1000")
        .integer(1, RECORDS_MAX);
    let max_wait = reader
        .field(
            "max_wait",
            "a file is closed this long after its first record was queued",
        )
        .default("1m")
        .duration();
    if let Some(template) = &template {
        if let Some((other, _)) = earlier.iter().find(|(_, other)| other.confusable(template)) {
            let message = format!("files of `{name}` and of `{other}` could have one name");
            let hint = "begin the names with different words, such as the resources' own";
            reader.problem_at("file", message, Some(hint.to_owned()));
        }
        earlier.push((name.to_owned(), template.clone()));
    }
    let acks = reader
        .field("acks", "files in which the other side says what became of the records")
        .object(AckTerms::from_settings);
    Some(Write {
        acks,
        template: template?,
        max_records: usize::try_from(max_records?).ok()?,
        max_wait: max_wait?,
    })
}

impl Settings for CsvSettings {
    /// Touches nothing: the folder is opened, and made if need be, when the first file is written.
    fn connect(&self, _seams: &Seams) -> Result<Arc<dyn Connector>, Error> {
        let targets = self.writes.iter().map(|(name, write)| {
            let target = CsvTarget {
                template: write.template.clone(),
                max_records: write.max_records,
                max_wait: write.max_wait,
                dialect: self.dialect.clone(),
                folder: Arc::new(Folder::new(self.location.clone(), Some(write.template.clone()))),
                acks: write.acks.as_ref().map(|terms| {
                    let folder = Arc::new(Folder::new(self.location.clone(), None));
                    terms.acks(&self.dialect, folder)
                }),
            };
            (name.clone(), Arc::new(target))
        });
        let sources = self.reads.iter().map(|(name, read)| {
            let folder = Arc::new(Folder::new(self.location.clone(), None));
            (name.clone(), Arc::new(CsvSource::new(read, &self.dialect, folder)))
        });
        Ok(Arc::new(Csv {
            targets: targets.collect(),
            sources: sources.collect(),
        }))
    }

    fn sources(&self) -> Vec<String> {
        self.reads.iter().map(|(name, _)| name.clone()).collect()
    }

    fn is_acknowledged(&self, resource: &str) -> bool {
        let write = self.writes.iter().find(|(name, _)| name == resource);
        write.is_some_and(|(_, write)| write.acks.is_some())
    }

    fn targets(&self) -> Vec<String> {
        self.writes.iter().map(|(name, _)| name.clone()).collect()
    }
}

#[derive(Debug)]
struct Csv {
    targets: BTreeMap<String, Arc<CsvTarget>>,
    sources: BTreeMap<String, Arc<CsvSource>>,
}

#[async_trait]
impl Connector for Csv {
    /// All resources share one folder, so one finding tells all.
    async fn probe(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(target) = self.targets.values().next() {
            findings.push(Finding {
                what: target.folder.describe(),
                result: target.folder.probe().await,
                optional: false,
            });
        }
        for (name, source) in &self.sources {
            findings.push(source.probe(name, self.targets.is_empty()).await);
        }
        findings
    }

    fn source(&self, resource: &str) -> Option<Arc<dyn Source>> {
        let source = self.sources.get(resource)?.clone();
        Some(Arc::new(Files(source)))
    }

    fn target(&self, resource: &str) -> Option<Target> {
        let target = self.targets.get(resource)?.clone();
        Some(Target::Files(target))
    }
}
