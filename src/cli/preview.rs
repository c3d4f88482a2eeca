//! `preview`: what a flow makes of a few records. Reads only.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use contract::{Broken, Connector, Cursor, Entry, FileRow, FileSource, Key, Placed, Record, Row, Use, Value};

use super::{DONE, FAILED};
use crate::config::Mode;
use crate::engine::{self, Flow, References};
use crate::store::{Store, sku_of};
use crate::work;

/// Columns of the two sides.
const WIDTH: usize = 58;

pub(super) async fn preview(path: &Path, name: &str, id: Option<&str>, limit: u64, json: bool) -> anyhow::Result<u8> {
    let config = work::load(path, Mode::Full)?;
    let names = [name.to_owned()];
    let chosen = work::choose(&config, &names)?;
    let Some(chosen) = chosen.first() else {
        return Ok(FAILED);
    };
    let mut connectors: BTreeMap<String, Arc<dyn Connector>> = BTreeMap::new();
    for end in [&chosen.from.connector, &chosen.to.connector] {
        connectors.insert(end.clone(), work::visit(&config, end).await?);
    }
    let flow = work::bind(chosen, &connectors)?;
    // What the target calls other records is looked up, if there is a state yet.
    let store = match flow.requires.is_empty() && flow.guard.is_none() {
        true => None,
        false => Store::look(&config.state_path).await?,
    };
    if let Some(files) = flow.source.files() {
        return preview_file(&flow, &files, id, limit, json).await;
    }
    let mut code = DONE;
    for row in rows(&flow, id, limit).await? {
        let key = row.key.clone();
        let records = match whole(&flow, row).await {
            Ok(records) => records,
            Err(error) => {
                code = FAILED;
                show(&key, &Value::Null, Err(error), json);
                continue;
            }
        };
        for (key, record) in records {
            let output = match engine::references(store.as_ref(), &flow, &record).await? {
                Ok(references) => map(&flow, &record, &references),
                Err(error) => Err(error.0),
            };
            if output.is_err() {
                code = FAILED;
            }
            let levels = match &output {
                Ok(Output::Rows(rows)) if !json => levels(&flow, store.as_ref(), rows).await?,
                Ok(_) | Err(_) => Vec::new(),
            };
            show(&key, &record, output, json);
            levels.iter().for_each(|line| outln!("{line}"));
        }
    }
    Ok(code)
}

/// The first rows of the newest file that lies there.
async fn preview_file(
    flow: &Flow,
    files: &Arc<dyn FileSource>,
    id: Option<&str>,
    limit: u64,
    json: bool,
) -> anyhow::Result<u8> {
    let place = files.place();
    let ours = |entry: &Entry| files.placed(&entry.name) != Placed::Foreign;
    let entries = place.entries().await?.into_iter().filter(ours);
    let Some(newest) = entries.max_by_key(|entry| entry.modified) else {
        anyhow::bail!("no file in {} matches the pattern of {}", place.describe(), flow.feed);
    };
    let (mut reader, mut rows) = (files.rows(&flow.mapping.needs()), Vec::new());
    let mut reading = place.open(&newest.name).await?;
    let most = usize::try_from(limit)?;
    let wanted = |row: &FileRow| id.is_none_or(|id| row.key == id);
    let mut broken = None;
    while rows.len() < most && broken.is_none() {
        match reading.next().await? {
            Some(part) => broken = reader.take(&part, &mut rows).err(),
            None => {
                broken = reader.end(&mut rows).err();
                break;
            }
        }
        rows.retain(wanted);
    }
    rows.retain(wanted);
    let mut code = DONE;
    for row in rows.into_iter().take(most) {
        let key = Key(format!("{} line {}", newest.name, row.line));
        let output = row.record.as_ref().map_err(|error| error.0.clone());
        let output = output.and_then(|record| map(flow, record, &References::none()));
        if output.is_err() {
            code = FAILED;
        }
        show(&key, row.record.as_ref().unwrap_or(&Value::Null), output, json);
    }
    match broken {
        Some(Broken::Refused { line, why }) => {
            let line = line.map(|line| format!(" line {line}")).unwrap_or_default();
            anyhow::bail!("{}{line}: {why}", newest.name)
        }
        Some(Broken::Incomplete(why)) => anyhow::bail!("{}: {why}", newest.name),
        None => Ok(code),
    }
}

/// How the levels come about that these rows lead to.
async fn levels(flow: &Flow, store: Option<&Store>, rows: &[Value]) -> anyhow::Result<Vec<String>> {
    let (Some(guard), Some(store)) = (&flow.guard, store) else {
        return Ok(Vec::new());
    };
    let mut lines = Vec::new();
    for row in rows.iter().filter(|row| row.get("quantity").is_some()) {
        if let Some(sku) = sku_of(row) {
            lines.push(engine::told_level(row, &store.unbooked(guard, &sku).await?));
        }
    }
    Ok(lines)
}

async fn rows(flow: &Flow, id: Option<&str>, limit: u64) -> anyhow::Result<Vec<Row>> {
    if let Some(id) = id {
        let row = flow.source.read(&Key(id.to_owned()), Use::Ring).await?;
        return row
            .map(|row| vec![row])
            .ok_or_else(|| anyhow::anyhow!("{} has no record {id}", flow.feed));
    }
    // A cursor in the far future: only the newest page is read.
    let mut pass = flow
        .source
        .changes(&Cursor("9999-12-31T00:00:00Z".to_owned()), Use::Ring);
    let mut rows = pass.step().await?.rows;
    rows.truncate(usize::try_from(limit)?);
    Ok(rows)
}

/// The records of a row: one, or its parts.
async fn whole(flow: &Flow, row: Row) -> Result<Vec<(Key, Value)>, String> {
    let key = row.key.clone();
    match flow.source.decode(row.body, false) {
        Ok(Record::Whole { value, .. }) => return Ok(vec![(key, value)]),
        Ok(Record::Partial | Record::Parts(_)) => {}
        Err(error) => return Err(error.0),
    }
    let row = flow
        .source
        .read(&key, Use::Ring)
        .await
        .map_err(|error| error.to_string())?;
    let row = row.ok_or("the source lists it and then does not have it")?;
    match flow.source.decode(row.body, true) {
        Ok(Record::Whole { value, .. }) => Ok(vec![(key, value)]),
        Ok(Record::Parts(parts)) => Ok(parts.into_iter().map(|part| (key.part(&part.id), part.value)).collect()),
        Ok(Record::Partial) => Err("the source shows only part of it".to_owned()),
        Err(error) => Err(error.0),
    }
}

/// What a record comes to.
enum Output {
    Rows(Vec<Value>),
    NotSent,
    /// It waits for these.
    Waits(String),
}

fn map(flow: &Flow, record: &Value, references: &References) -> Result<Output, String> {
    if !flow.mapping.admits(record).map_err(|error| error.0)? {
        return Ok(Output::NotSent);
    }
    if !references.missing.is_empty() {
        return Ok(Output::Waits(references.told()));
    }
    let rows = flow.mapping.apply(record, &references.refs);
    rows.map(Output::Rows).map_err(|error| error.0)
}

fn show(key: &Key, input: &Value, output: Result<Output, String>, json: bool) {
    if json {
        let null = || "null".to_owned();
        let text = |text: &str| Value::from(text).to_json();
        let (output, error, waits) = match output {
            Ok(Output::Rows(rows)) => (Value::List(rows).to_json(), null(), None),
            Ok(Output::NotSent) => (null(), null(), None),
            Ok(Output::Waits(needs)) => (null(), null(), Some(text(&needs))),
            Err(error) => (null(), text(&error), None),
        };
        let waits = waits.map_or(String::new(), |waits| format!(r#","waits_for":{waits}"#));
        outln!(
            r#"{{"id":{},"input":{},"output":{output},"error":{error}{waits}}}"#,
            Value::from(key.0.as_str()).to_json(),
            input.to_json()
        );
        return;
    }
    let left = pretty(&without_raw(input));
    let right = match output {
        Ok(Output::Rows(rows)) => rows.iter().map(pretty).collect::<Vec<_>>().join("\n"),
        Ok(Output::NotSent) => "(not sent: `where` says no)".to_owned(),
        Ok(Output::Waits(needs)) => format!("(waits for {needs})"),
        Err(error) => format!("ERROR {error}"),
    };
    outln!("── {} {}", key.0, "─".repeat(2 * WIDTH - key.0.len().min(40)));
    let (left, right) = (folded(&left), folded(&right));
    for n in 0..left.len().max(right.len()) {
        let side = |lines: &[String]| lines.get(n).cloned().unwrap_or_default();
        let (a, b) = (side(&left), side(&right));
        outln!("{a}{} │ {b}", " ".repeat(WIDTH.saturating_sub(a.chars().count())));
    }
}

/// The canonical record; the platform's own object would only repeat it.
fn without_raw(record: &Value) -> Value {
    match record {
        Value::Map(fields) => Value::Map(
            fields
                .iter()
                .filter(|(name, _)| *name != "raw")
                .map(|(name, value)| (name.to_owned().into(), value.clone()))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn pretty(value: &Value) -> String {
    let mut out = String::new();
    write(value, 0, &mut out);
    out
}

fn write(value: &Value, depth: usize, out: &mut String) {
    let indent = |out: &mut String, depth: usize| {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    };
    match value {
        Value::Map(fields) if !fields.is_empty() => {
            for (n, (name, value)) in fields.iter().enumerate() {
                if n > 0 || depth > 0 {
                    indent(out, depth);
                }
                out.push_str(name);
                out.push_str(": ");
                write(value, depth + 1, out);
            }
        }
        Value::List(items) if !items.is_empty() => {
            for item in items {
                indent(out, depth);
                out.push_str("- ");
                write(item, depth + 1, out);
            }
        }
        other => out.push_str(&other.to_json()),
    }
}

fn folded(text: &str) -> Vec<String> {
    let fold = |line: &str| {
        let chars: Vec<char> = line.trim_end().chars().collect();
        chars
            .chunks(WIDTH)
            .map(|part| part.iter().collect())
            .collect::<Vec<String>>()
    };
    text.lines().flat_map(fold).collect()
}
