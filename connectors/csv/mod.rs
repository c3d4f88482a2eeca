//! CSV files in a folder: the connector's settings, and what is made of them. It must never let a
//! reader of the folder see half a file, and never write a record into a file that it does not read
//! back as it was.
//!
//! Files are written to local folders. SFTP and reading files are refused when the settings are read.

mod dialect;
mod disk;
mod encoding;
mod file;
mod folder;
mod formula;
mod incoming;
mod name;
mod target;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::{Reader, Settings};
use contract::{Connector, Error, Factory, Finding, Place, Seams, Target};
use serde_json::json;

pub use dialect::{Dialect, LineEnding, Quote, read};
pub use encoding::Encoding;
pub use formula::{guard, unguard};

use folder::Folder;
use name::Template;
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
}

/// `write:` of one resource.
#[derive(Clone, Debug)]
struct Write {
    template: Template,
    max_records: usize,
    max_wait: Duration,
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
        let writes = reader
            .field("resources", "what goes into files, by a name of your choice")
            .required()
            .map_of(|name, reader| resource(&name.text, reader, &mut earlier));
        Some(CsvSettings {
            location: location?,
            dialect: Arc::new(dialect?),
            writes,
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

fn resource(name: &str, reader: &mut Reader<'_>, earlier: &mut Vec<(String, Template)>) -> Option<Write> {
    let read = reader
        .field("read", "not in this version: reading files")
        .raw(json!({"not": {}}));
    if read.is_some() {
        reader.problem_at(
            "read",
            "reading CSV files is not in this version",
            Some("remove `read`".to_owned()),
        );
    }
    let write = reader
        .field("write", "how flows to this resource become files")
        .object(|reader| write(name, reader, earlier));
    let none = reader
        .node()
        .is_some_and(|node| node.get("write").is_none_or(|node| node.is_null()));
    if none && read.is_none() {
        let hint = r#"write: {file: "orders-{timestamp}-{batch}.csv"}"#;
        reader.problem("the resource does nothing: `write` is missing", Some(hint.to_owned()));
    }
    write
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
    Some(Write {
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
            };
            (name.clone(), Arc::new(target))
        });
        Ok(Arc::new(Csv {
            targets: targets.collect(),
        }))
    }

    fn sources(&self) -> Vec<String> {
        Vec::new()
    }

    fn targets(&self) -> Vec<String> {
        self.writes.iter().map(|(name, _)| name.clone()).collect()
    }
}

#[derive(Debug)]
struct Csv {
    targets: BTreeMap<String, Arc<CsvTarget>>,
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
        findings
    }

    fn target(&self, resource: &str) -> Option<Target> {
        let target = self.targets.get(resource)?.clone();
        Some(Target::Files(target))
    }
}
