//! The top level of the file: which sections there are, and how they are tied together. Only names
//! and kinds are looked at here; each section's own keys are read by whoever it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use contract::Factory;
use contract::settings::{Kind, Node, Problems, Reader, Settings, nearest};
use jiff::tz::TimeZone;
use serde_json::{Value as Json, json};

use super::alerts::{self, Alerts};
use super::flows::{self, Flow};
use super::listeners::{self, Admin, Webhooks};
use super::{Mode, STORE, tables, text_schema};

/// The kind whose factory reads the `store` section, which has no `type` key.
const STORE_KIND: &str = "selorax";

/// All of the file but where it is.
pub(super) struct Whole {
    pub(super) state_path: PathBuf,
    pub(super) timezone: TimeZone,
    pub(super) connectors: BTreeMap<String, Arc<dyn Settings>>,
    pub(super) flows: Vec<Flow>,
    pub(super) webhooks: Option<Webhooks>,
    pub(super) admin: Option<Admin>,
    pub(super) alerts: Alerts,
}

/// What flows may name.
pub(super) struct Connectors {
    /// Those that could be read.
    pub(super) ready: BTreeMap<String, Arc<dyn Settings>>,
    /// All that the file names: one with a problem of its own is not also an unknown one.
    pub(super) named: BTreeSet<String>,
}

pub(super) fn read(file: &mut Reader<'_>, mode: Mode, kinds: &[Factory]) -> Option<Whole> {
    let version = file
        .field("version", "the version of this file's format: 1")
        .required()
        .parsed(json!({"const": 1}), |text| match text {
            "1" => Ok(()),
            _ => Err("expected 1, the only version of the format there is".to_owned()),
        });
    let state_path = state(file, mode);
    let timezone = timezone(file);
    let connectors = connectors(file, kinds);
    let tables = tables::read(file);
    let webhooks = listeners::webhooks(file);
    let admin = listeners::admin(file);
    let alerts = alerts::read(file);
    let flows = flows::read(file, mode, &connectors, &tables, &timezone);
    version?;
    Some(Whole {
        state_path: state_path?,
        timezone,
        connectors: connectors.ready,
        flows,
        webhooks,
        admin,
        alerts: alerts?,
    })
}

fn state(file: &mut Reader<'_>, mode: Mode) -> Option<PathBuf> {
    const DEFAULT: &str = "./state.db";
    let unresolved = file
        .node()
        .and_then(|node| node.get("state")?.get("path"))
        .filter(|path| path.is_unresolved())
        .map(|path| path.span);
    if let (Some(span), Mode::Offline) = (unresolved, mode) {
        let hint = Some("set what it names: without it there is no state to look at".to_owned());
        file.problem_on(span, "state.path".to_owned(), "the path is not known here", hint);
    }
    let path = file
        .field("state", "where the daemon keeps what it must remember")
        .section(|state| {
            state
                .field("path", "the SQLite file; relative paths count from this file's folder")
                .default(DEFAULT)
                .parsed(text_schema(), |text| match text.is_empty() || text.ends_with('/') {
                    true => Err("expected a file's path".to_owned()),
                    false => Ok(text.to_owned()),
                })
        })?;
    Some(file.resolve(path.strip_prefix("./").unwrap_or(&path)))
}

/// The store's reader checks and documents the key; here only its value is taken.
fn timezone(file: &Reader<'_>) -> TimeZone {
    let given = file.node().and_then(|node| node.get(STORE)?.get("timezone"));
    let name = match given.map(|node| &node.kind) {
        Some(Kind::Scalar { text, .. }) => text.as_str(),
        _ => "Asia/Dhaka",
    };
    TimeZone::get(name).unwrap_or(TimeZone::UTC)
}

fn connectors(file: &mut Reader<'_>, kinds: &[Factory]) -> Connectors {
    let mut ready = BTreeMap::new();
    let names = |node: &Node| match &node.kind {
        Kind::Map(fields) => fields.iter().map(|(name, _)| name.text.clone()).collect(),
        _ => Vec::new(),
    };
    let section = file.node().and_then(|node| node.get("connectors"));
    let mut named: BTreeSet<String> = section.map(names).unwrap_or_default().into_iter().collect();
    named.insert(STORE.to_owned());
    let store = file
        .field(STORE, "the SeloraX side; the connector named `store`")
        .required()
        .object(|reader| match kinds.iter().find(|kind| kind.kind == STORE_KIND) {
            Some(factory) => (factory.read)(reader),
            None => None,
        });
    if let Some(store) = store {
        ready.insert(STORE.to_owned(), Arc::from(store));
    }
    let others = file
        .field("connectors", "the other systems, by a name of your choice")
        .map_of(|name, reader| {
            if name.text == STORE && !reader.is_describing() {
                let hint = Some("give this connector another name".to_owned());
                reader.problem("`store` is the SeloraX store, which has a section of its own", hint);
            }
            well_named(reader, &name.text, name.span);
            connector(reader, kinds)
        });
    for (name, settings) in others {
        ready.entry(name).or_insert_with(|| Arc::from(settings));
    }
    Connectors { ready, named }
}

fn connector(reader: &mut Reader<'_>, kinds: &[Factory]) -> Option<Box<dyn Settings>> {
    let names: Vec<&str> = offered(kinds).map(|factory| factory.kind).collect();
    let kind = reader
        .field("type", "what kind of system it is")
        .required()
        .parsed(json!({"enum": names}), |text| Ok::<_, String>(text.to_owned()));
    let found = kind
        .as_deref()
        .and_then(|kind| offered(kinds).find(|factory| factory.kind == kind));
    if let Some(factory) = found {
        return (factory.read)(reader);
    }
    if let Some(kind) = kind {
        let all = format!("the types of this version: {}", names.join(", "));
        let near = nearest(&kind, names.iter().copied());
        let hint = near.map(|near| format!("did you mean `{near}`?")).unwrap_or(all);
        let shown = reader.node().and_then(|node| node.get("type")).map(Node::shown);
        let message = format!("unknown type, found {}", shown.unwrap_or_default());
        reader.problem_at("type", message, Some(hint));
    }
    // Without the type nothing is known of the other keys, so none of them is called unknown.
    reader.accept_all();
    None
}

fn offered(kinds: &[Factory]) -> impl Iterator<Item = &Factory> {
    kinds.iter().filter(|factory| factory.kind != STORE_KIND)
}

/// Names of connectors and flows are typed in commands, written as `connector.resource`, and kept in the state.
pub(super) fn well_named(reader: &mut Reader<'_>, name: &str, span: contract::settings::Span) {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !reader.is_describing()
        && (name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(fits))
    {
        let message = "a name has letters, digits, `-` and `_`, at most 64 of them, and does not begin with `-`";
        let path = reader.path().to_owned();
        reader.problem_on(span, path, message, None);
    }
}

/// The schema of the whole file. Connectors differ by `type`, so each kind is described by itself.
pub(super) fn schema(kinds: &[Factory]) -> Json {
    let mut problems = Problems::default();
    let mut reader = Reader::describing(&mut problems);
    read(&mut reader, Mode::Full, kinds);
    let mut schema = reader.finish();
    let variants: Vec<Json> = offered(kinds).map(variant).collect();
    schema["properties"]["connectors"]["additionalProperties"] = json!({"oneOf": variants});
    if let Some(object) = schema.as_object_mut() {
        object.insert(
            "$schema".to_owned(),
            json!("https://json-schema.org/draft/2020-12/schema"),
        );
        object.insert("title".to_owned(), json!("The config file of selorax-sync"));
    }
    schema
}

fn variant(factory: &Factory) -> Json {
    let mut problems = Problems::default();
    let mut reader = Reader::describing(&mut problems);
    reader
        .field("type", "what kind of system it is")
        .required()
        .parsed(json!({"const": factory.kind}), |text| Ok::<_, String>(text.to_owned()));
    (factory.read)(&mut reader);
    let mut schema = reader.finish();
    // A kind is a plain word, never filled in from outside: editors choose the variant by it.
    schema["properties"]["type"] = json!({"const": factory.kind, "description": "what kind of system it is"});
    schema
}
