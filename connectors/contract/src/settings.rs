//! Reading a config file: a tree of nodes that know their places, and a reader that takes typed
//! values out of it, collects every problem instead of stopping at the first, and can describe
//! what it would accept. One read function per type is the only definition of that type's keys:
//! checking, defaults and the JSON Schema all come from it.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Map, Value as Json, json};

use crate::{Connector, Error, Seams};

/// A place in the config file, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// `plain`: written without quotes, so that `5`, `true` and `null` mean a number, a boolean and nothing.
    Scalar {
        text: String,
        plain: bool,
        secret: bool,
        unresolved: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    /// `flows.orders.schedule`
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Typed settings of a connector, ready to be connected.
pub trait Settings: std::fmt::Debug + Send + Sync + Any {
    fn connect(&self, seams: &Seams) -> Result<Arc<dyn Connector>, Error>;
    /// Resources that flows may take `from` here.
    fn sources(&self) -> Vec<String>;
    /// Resources that flows may send `to` here.
    fn targets(&self) -> Vec<String>;
}

impl Node {
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(fields) => fields.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { text, plain: true, .. } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    fn shown(&self) -> String {
        match &self.kind {
            Kind::Scalar { secret: true, .. } => "a secret value".to_owned(),
            Kind::Scalar { text, .. } => format!("`{}`", clip(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map of keys".to_owned(),
        }
    }
}

/// Collects problems; the same for a whole file.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

/// Reads one node, or, without a node, only notes what it would accept.
pub struct Reader<'a> {
    node: Option<&'a Node>,
    path: String,
    base: Arc<std::path::Path>,
    problems: &'a mut Problems,
    known: Vec<&'static str>,
    properties: Map<String, Json>,
    required: Vec<Json>,
}

/// One key of the map that a reader stands on. Ends in the method that says what it holds.
pub struct Field<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
    doc: &'static str,
    required: bool,
    default: Option<&'static str>,
}

impl<'a> Reader<'a> {
    pub fn new(
        node: &'a Node,
        path: impl Into<String>,
        base: Arc<std::path::Path>,
        problems: &'a mut Problems,
    ) -> Self {
        Self::build(Some(node), path.into(), base, problems)
    }

    /// A reader without a node: every field is absent, and `schema` tells what was asked for.
    pub fn describing(problems: &'a mut Problems) -> Self {
        Self::build(None, String::new(), Arc::from(std::path::Path::new("")), problems)
    }

    fn build(node: Option<&'a Node>, path: String, base: Arc<std::path::Path>, problems: &'a mut Problems) -> Self {
        Self {
            node,
            path,
            base,
            problems,
            known: Vec::new(),
            properties: Map::new(),
            required: Vec::new(),
        }
    }

    pub fn is_describing(&self) -> bool {
        self.node.is_none()
    }

    pub fn node(&self) -> Option<&'a Node> {
        self.node
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// A path of the config as a file path: relative ones count from the config file's folder.
    pub fn resolve(&self, path: &str) -> std::path::PathBuf {
        self.base.join(path)
    }

    pub fn field<'r>(&'r mut self, name: &'static str, doc: &'static str) -> Field<'r, 'a> {
        self.known.push(name);
        Field {
            reader: self,
            name,
            doc,
            required: false,
            default: None,
        }
    }

    /// Reports a problem at the node this reader stands on.
    pub fn problem(&mut self, message: impl Into<String>, hint: Option<String>) {
        let span = self.node.map(|node| node.span).unwrap_or_default();
        let path = self.path.clone();
        self.report(span, path, message.into(), hint);
    }

    /// Reports a problem at one of this map's fields, or at the map where the field is missing.
    pub fn problem_at(&mut self, name: &str, message: impl Into<String>, hint: Option<String>) {
        let Some(node) = self.node else { return };
        let span = node.get(name).unwrap_or(node).span;
        let path = join(&self.path, name);
        self.report(span, path, message.into(), hint);
    }

    fn report(&mut self, span: Span, path: String, message: String, hint: Option<String>) {
        if self.node.is_some() {
            self.problems.0.push(Problem {
                span,
                path,
                message,
                hint,
            });
        }
    }

    /// To be called when all fields were asked for: every other key is a problem. Answers with the schema.
    pub fn finish(mut self) -> Json {
        match self.node.map(|node| (&node.kind, node)) {
            Some((Kind::Map(fields), _)) => {
                for (name, _) in fields {
                    if !self.known.contains(&name.text.as_str()) {
                        let hint = nearest(&name.text, self.known.iter().copied())
                            .map(|near| format!("did you mean `{near}`?"))
                            .or_else(|| Some(format!("known here: {}", self.known.join(", "))));
                        let path = join(&self.path, &name.text);
                        self.report(name.span, path, format!("unknown key `{}`", clip(&name.text)), hint);
                    }
                }
            }
            Some((_, node)) if !node.is_null() => {
                let message = format!("expected a map of keys, found {}", node.shown());
                let hint = Some(format!("known here: {}", self.known.join(", ")));
                self.problem(message, hint);
            }
            _ => {}
        }
        json!({
            "type": "object",
            "additionalProperties": false,
            "properties": self.properties,
            "required": self.required,
        })
    }
}

impl<'r, 'a> Field<'r, 'a> {
    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The value in force where the key is missing, written as it would be in the file.
    pub fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    pub fn text(self) -> Option<String> {
        self.scalar(json!({"type": "string"}), |text| Ok(text.to_owned()))
    }

    pub fn secret(self) -> Option<SecretString> {
        self.scalar(json!({"type": "string", "writeOnly": true}), |text| {
            Ok(SecretString::from(text.to_owned()))
        })
    }

    pub fn boolean(self) -> Option<bool> {
        self.scalar(json!({"type": "boolean"}), |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err("expected true or false".to_owned()),
        })
    }

    pub fn integer(self, least: i64, most: i64) -> Option<i64> {
        self.scalar(
            json!({"type": "integer", "minimum": least, "maximum": most}),
            move |text| match text.parse::<i64>() {
                Ok(number) if (least..=most).contains(&number) => Ok(number),
                _ => Err(format!("expected a whole number from {least} to {most}")),
            },
        )
    }

    /// `500ms`, `30s`, `10m`, `2h`, `7d`.
    pub fn duration(self) -> Option<Duration> {
        self.scalar(
            json!({"type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$"}),
            parse_duration,
        )
    }

    /// `512KiB`, `1MiB`, or bytes.
    pub fn size(self) -> Option<u64> {
        self.scalar(json!({"type": ["string", "integer"]}), parse_size)
    }

    /// `10/s`, `60/min`, `1000/h`; as calls and the time they are spread over.
    pub fn rate(self) -> Option<Rate> {
        self.scalar(json!({"type": "string", "pattern": "^[0-9]+/(s|min|h)$"}), parse_rate)
    }

    pub fn choice(self, choices: &'static [&'static str]) -> Option<&'static str> {
        self.scalar(json!({"enum": choices}), move |text| {
            match choices.iter().find(|choice| **choice == text) {
                Some(choice) => Ok(*choice),
                None => {
                    let near = nearest(text, choices.iter().copied());
                    let all = format!("expected one of {}", choices.join(", "));
                    Err(near.map_or(all.clone(), |near| format!("{all}; did you mean `{near}`?")))
                }
            }
        })
    }

    /// Any scalar, with a check of its own that says what would do.
    pub fn parsed<T>(self, schema: Json, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.scalar(schema, parse)
    }

    /// A map with known keys.
    pub fn object<T>(mut self, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let (name, path) = (self.name, join(&self.reader.path, self.name));
        let base = self.reader.base.clone();
        let child = self.present();
        if child.is_none() && self.reader.node.is_some() {
            return None;
        }
        let mut reader = Reader::build(child, path, base, self.reader.problems);
        let value = read(&mut reader);
        let schema = reader.finish();
        self.describe(name, schema);
        value
    }

    /// A map from names that the user chooses to objects.
    pub fn map_of<T>(mut self, mut read: impl FnMut(&Name, &mut Reader<'_>) -> Option<T>) -> Vec<(String, T)> {
        let name = self.name;
        let path = join(&self.reader.path, name);
        let base = self.reader.base.clone();
        let child = self.present();
        let mut values = Vec::new();
        if self.reader.node.is_none() {
            let mut reader = Reader::build(None, path, base, self.reader.problems);
            read(
                &Name {
                    text: String::new(),
                    span: Span::default(),
                },
                &mut reader,
            );
            let schema = reader.finish();
            self.describe(name, json!({"type": "object", "additionalProperties": schema}));
            return values;
        }
        match child.map(|node| &node.kind) {
            Some(Kind::Map(fields)) => {
                for (key, node) in fields {
                    let mut reader =
                        Reader::build(Some(node), join(&path, &key.text), base.clone(), self.reader.problems);
                    let value = read(key, &mut reader);
                    reader.finish();
                    values.extend(value.map(|value| (key.text.clone(), value)));
                }
            }
            Some(_) => self.mistyped("a map of names"),
            None => {}
        }
        values
    }

    pub fn list_of_text(mut self) -> Option<Vec<String>> {
        let name = self.name;
        let child = self.present();
        let read = match child.map(|node| &node.kind) {
            Some(Kind::List(items)) => {
                let mut texts = Vec::new();
                for (n, item) in items.iter().enumerate() {
                    match &item.kind {
                        Kind::Scalar { text, .. } => texts.push(text.clone()),
                        _ => {
                            let path = format!("{}[{n}]", join(&self.reader.path, name));
                            let message = format!("expected a text, found {}", item.shown());
                            self.reader.report(item.span, path, message, None);
                        }
                    }
                }
                Some(texts)
            }
            Some(_) => {
                self.mistyped("a list");
                None
            }
            None => None,
        };
        self.describe(name, json!({"type": "array", "items": {"type": "string"}}));
        read
    }

    /// The node as it is, for keys whose content has a language of its own (`map`).
    pub fn raw(mut self, schema: Json) -> Option<&'a Node> {
        let name = self.name;
        let child = self.present();
        self.describe(name, schema);
        child
    }

    fn scalar<T>(mut self, schema: Json, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let name = self.name;
        let child = self.present();
        let value = match child {
            Some(node) => match &node.kind {
                Kind::Scalar { unresolved: true, .. } => None,
                Kind::Scalar { text, .. } => match parse(text) {
                    Ok(value) => Some(value),
                    Err(why) => {
                        let path = join(&self.reader.path, name);
                        self.reader
                            .report(node.span, path, format!("{why}, found {}", node.shown()), None);
                        None
                    }
                },
                _ => {
                    self.mistyped("a single value");
                    None
                }
            },
            None => self.default.and_then(|text| parse(text).ok()),
        };
        self.describe(name, schema);
        value
    }

    fn mistyped(&mut self, expected: &str) {
        let Some(node) = self.reader.node.and_then(|node| node.get(self.name)) else {
            return;
        };
        let path = join(&self.reader.path, self.name);
        self.reader.report(
            node.span,
            path,
            format!("expected {expected}, found {}", node.shown()),
            None,
        );
    }

    /// The field's node. Reports it when it is required and missing.
    fn present(&mut self) -> Option<&'a Node> {
        let node = self.reader.node?;
        let child = node.get(self.name).filter(|node| !node.is_null());
        if child.is_none() && self.required && matches!(node.kind, Kind::Map(_)) {
            let path = join(&self.reader.path, self.name);
            let message = format!("the key `{}` is missing", self.name);
            self.reader
                .report(node.span, path, message, Some(format!("{}: {}", self.name, self.doc)));
        }
        child
    }

    fn describe(self, name: &'static str, mut schema: Json) {
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), json!(self.doc));
            if let Some(default) = self.default {
                object.insert("default".to_owned(), json!(default));
            }
        }
        self.reader.properties.insert(name.to_owned(), schema);
        if self.required {
            self.reader.required.push(json!(name));
        }
    }
}

/// How many calls in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub calls: u32,
    pub per: Duration,
}

impl Rate {
    /// The time one call is worth.
    pub fn period(self) -> Duration {
        self.per / self.calls
    }
}

fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || "expected a rate such as 10/s, 60/min or 1000/h".to_owned();
    let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
    let calls: u32 = calls.trim().parse().map_err(|_| wrong())?;
    let per = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    if calls == 0 || calls > 1_000_000 {
        return Err("expected a rate of 1 to 1000000 calls".to_owned());
    }
    Ok(Rate {
        calls,
        per: Duration::from_secs(per),
    })
}

pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 500ms, 30s, 10m, 2h or 7d".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let (factor, unit) = match text[unit_at..].trim() {
        "ms" => (1, "ms"),
        "s" => (1_000, "s"),
        "m" | "min" => (60_000, "m"),
        "h" => (3_600_000, "h"),
        "d" => (86_400_000, "d"),
        _ => return Err(wrong()),
    };
    match number.checked_mul(factor) {
        Some(ms) if ms <= 3660 * 86_400_000 => Ok(Duration::from_millis(ms)),
        _ => Err(format!("a time of {number}{unit} is too long")),
    }
}

fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 512KiB, 1MiB or 1048576".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let factor: u64 = match text[unit_at..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}

/// The most similar of the known names, if one is near enough to be what was meant.
pub fn nearest<'n>(text: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let limit = (text.chars().count() / 3).max(1);
    known
        .map(|name| (distance(&text.to_lowercase(), &name.to_lowercase()), name))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Edits between two words, a swap of neighbours counting as one.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let change = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let edit = change.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    edit.min(rows[i - 2][j - 2] + 1)
                } else {
                    edit
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(60).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped
}
