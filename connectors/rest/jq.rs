//! jq filters and templates of the config: read with their places, compiled once, run on records. A template is
//! a literal structure whose texts are filters. No message shows what came from outside the file.

use std::fmt;

use contract::settings::{Kind, Node, Reader, Span};
use contract::{Fields, Malformed, Name, Number, Value};
use filter::{Env, Filter};
use secrecy::SecretString;
use serde_json::{Value as Json, json};

const SHOWN_CHARS: usize = 80;
/// Templates nest no deeper than this.
const DEPTH_MAX: usize = 32;

/// One filter and where it stands: `push.create.id`.
pub(super) struct Jq {
    path: String,
    filter: Filter,
    secret: bool,
}

/// What is sent or asked for: a structure with filters in it.
#[derive(Debug)]
pub(super) enum Template {
    Filter(Jq),
    Literal(Value),
    List(Vec<Template>),
    Map(Vec<(Name, Template)>),
}

/// What a filter can see besides its input, as `$record`.
pub(super) type Around = Value;

impl fmt::Debug for Jq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.secret {
            true => f.write_str("Filter(…)"),
            false => self.filter.fmt(f),
        }
    }
}

impl Jq {
    /// The filter under a key; `None` where the key is missing or the filter cannot be used.
    pub(super) fn read(reader: &mut Reader<'_>, name: &'static str, doc: &'static str) -> Option<Jq> {
        let node = reader.field(name, doc).raw(jq_schema())?;
        Jq::at(reader, node, name)
    }

    /// The same where the key must be there.
    pub(super) fn required(reader: &mut Reader<'_>, name: &'static str, doc: &'static str) -> Option<Jq> {
        let node = reader.field(name, doc).required().raw(jq_schema())?;
        Jq::at(reader, node, name)
    }

    pub(super) fn at(reader: &mut Reader<'_>, node: &Node, path: &str) -> Option<Jq> {
        let full = full_path(reader, path);
        match &node.kind {
            Kind::Scalar { unresolved: true, .. } => None,
            Kind::Scalar { text, secret, .. } => compile(reader, node.span, full, text, *secret),
            _ => {
                let message = format!("expected a jq filter, found {}", node.shown());
                reader.problem_on(node.span, full, message, None);
                None
            }
        }
    }

    /// The one value that the filter gives; null where it gives none.
    pub(super) fn value(&self, input: &Value, around: &Around) -> Result<Value, Malformed> {
        self.filter
            .one(input, around)
            .map_err(|error| self.failed(&error.to_string()))
    }

    /// All values that it gives.
    pub(super) fn all(&self, input: &Value, around: &Around) -> Result<Vec<Value>, Malformed> {
        self.filter
            .run(input, around)
            .map_err(|error| self.failed(&error.to_string()))
    }

    /// The one value as a text; `None` for null.
    pub(super) fn text(&self, input: &Value, around: &Around) -> Result<Option<String>, Malformed> {
        let value = self.value(input, around)?;
        let kind = value.kind();
        match scalar(value) {
            Ok(text) => Ok(text),
            Err(()) => Err(self.failed(&format!("gives {kind} where a text or a number is wanted"))),
        }
    }

    /// Whether the value is anything but `false`, null and nothing at all.
    pub(super) fn holds(&self, input: &Value, around: &Around) -> Result<bool, Malformed> {
        Ok(!matches!(self.value(input, around)?, Value::Null | Value::Bool(false)))
    }

    fn failed(&self, why: &str) -> Malformed {
        let source: String = match self.secret {
            true => "…".to_owned(),
            false => self.filter.source().chars().take(SHOWN_CHARS).collect(),
        };
        Malformed(format!("{} ({source}): {why}", self.path))
    }
}

/// Null is none; a list or an object is no text.
pub(super) fn scalar(value: Value) -> Result<Option<String>, ()> {
    match value {
        Value::Null => Ok(None),
        Value::Text(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.as_str().to_owned())),
        Value::Bool(value) => Ok(Some(value.to_string())),
        Value::List(_) | Value::Map(_) => Err(()),
    }
}

impl Template {
    /// A list of filters.
    pub(super) fn list_of_filters(reader: &mut Reader<'_>, node: Option<&Node>, path: &str) -> Option<Vec<Jq>> {
        let Kind::List(items) = &node?.kind else { return None };
        let read = items.iter().enumerate();
        let read: Vec<Option<Jq>> = read
            .map(|(n, item)| Jq::at(reader, item, &format!("{path}[{n}]")))
            .collect();
        read.into_iter().collect()
    }

    /// The template under a key; `None` where it is missing or cannot be used.
    pub(super) fn read(reader: &mut Reader<'_>, name: &'static str, doc: &'static str) -> Option<Template> {
        let node = reader.field(name, doc).raw(json!({}))?;
        Template::at(reader, node, name, 0)
    }

    fn at(reader: &mut Reader<'_>, node: &Node, path: &str, depth: usize) -> Option<Template> {
        if depth > DEPTH_MAX {
            let full = full_path(reader, path);
            reader.problem_on(node.span, full, "this is nested too deeply", None);
            return None;
        }
        match &node.kind {
            Kind::Scalar { unresolved: true, .. } => None,
            Kind::Scalar {
                plain, secret, text, ..
            } => match literal(text, *plain, *secret) {
                Some(value) => Some(Template::Literal(value)),
                None => Jq::at(reader, node, path).map(Template::Filter),
            },
            Kind::List(items) => {
                let read = items.iter().enumerate();
                let read: Vec<Option<Template>> = read
                    .map(|(n, item)| Template::at(reader, item, &format!("{path}[{n}]"), depth + 1))
                    .collect();
                Some(Template::List(read.into_iter().collect::<Option<_>>()?))
            }
            Kind::Map(fields) => {
                let mut read = Vec::new();
                for (name, node) in fields {
                    let inner = Template::at(reader, node, &format!("{path}.{}", name.text), depth + 1);
                    read.push(inner.map(|inner| (Name::new(&name.text), inner)));
                }
                Some(Template::Map(read.into_iter().collect::<Option<_>>()?))
            }
        }
    }

    /// The input itself.
    pub(super) fn identity() -> Option<Template> {
        let filter = Filter::compile(".", &Env::default()).ok()?;
        let path = ".".to_owned();
        let secret = false;
        Some(Template::Filter(Jq { path, filter, secret }))
    }

    /// What came into its filters from outside the file.
    pub(super) fn secrets(&self, found: &mut Vec<SecretString>) {
        match self {
            Template::Filter(jq) if jq.secret => found.extend(texts_in(jq.filter.source())),
            Template::Filter(_) | Template::Literal(_) => {}
            Template::List(items) => items.iter().for_each(|item| item.secrets(found)),
            Template::Map(fields) => fields.iter().for_each(|(_, field)| field.secrets(found)),
        }
    }

    /// Whether some filter of it has this in its text.
    pub(super) fn mentions(&self, text: &str) -> bool {
        match self {
            Template::Filter(jq) => jq.filter.source().contains(text),
            Template::Literal(_) => false,
            Template::List(items) => items.iter().any(|item| item.mentions(text)),
            Template::Map(fields) => fields.iter().any(|(_, field)| field.mentions(text)),
        }
    }

    pub(super) fn fill(&self, input: &Value, around: &Around) -> Result<Value, Malformed> {
        Ok(match self {
            Template::Filter(jq) => jq.value(input, around)?,
            Template::Literal(value) => value.clone(),
            Template::List(items) => {
                let filled = items.iter().map(|item| item.fill(input, around));
                Value::List(filled.collect::<Result<_, _>>()?)
            }
            Template::Map(members) => {
                let mut fields = Fields::with_capacity(members.len());
                for (name, template) in members {
                    fields.push(name.clone(), template.fill(input, around)?);
                }
                Value::Map(fields)
            }
        })
    }
}

/// Names with a template each: query parameters, headers, what is compared.
#[derive(Debug, Default)]
pub(super) struct Named(Vec<(String, Template)>);

impl Named {
    pub(super) fn read(reader: &mut Reader<'_>, name: &'static str, doc: &'static str) -> Option<Named> {
        let schema = json!({"type": "object", "additionalProperties": {}});
        let Some(node) = reader.field(name, doc).raw(schema) else {
            return Some(Named::default());
        };
        let Kind::Map(fields) = &node.kind else {
            if !node.is_unresolved() {
                reader.problem_at(name, format!("expected a map of names, found {}", node.shown()), None);
            }
            return None;
        };
        let mut read = Vec::new();
        for (key, node) in fields {
            let template = Template::at(reader, node, &format!("{name}.{}", key.text), 0);
            read.push(template.map(|template| (key.text.clone(), template)));
        }
        read.into_iter().collect::<Option<_>>().map(Named)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &(String, Template)> {
        self.0.iter()
    }

    /// Each name with its text. Null leaves a name out, a list gives it several times, an object is its JSON.
    pub(super) fn texts(&self, input: &Value, around: &Around) -> Result<Vec<(String, String)>, Malformed> {
        let mut texts = Vec::with_capacity(self.0.len());
        for (name, template) in &self.0 {
            match template.fill(input, around)? {
                Value::List(items) => {
                    let items = items.into_iter().filter(|item| !item.is_null());
                    texts.extend(items.map(|item| (name.clone(), text_of(item))));
                }
                Value::Null => {}
                value => texts.push((name.clone(), text_of(value))),
            }
        }
        Ok(texts)
    }
}

/// The texts in a filter: one of them is what was filled in, and which one the file's reader does not tell.
fn texts_in(source: &str) -> Vec<SecretString> {
    let mut texts = Vec::new();
    let mut text: Option<String> = None;
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (&mut text, c) {
            (None, '"') => text = Some(String::new()),
            (None, _) => {}
            (Some(_), '"') => texts.extend(text.take().map(SecretString::from)),
            (Some(inner), '\\') => inner.extend(chars.next()),
            (Some(inner), c) => inner.push(c),
        }
    }
    texts
}

/// A scalar as it is, anything else as JSON.
pub(super) fn text_of(value: Value) -> String {
    match value {
        Value::List(_) | Value::Map(_) => value.to_json(),
        value => scalar(value).ok().flatten().unwrap_or_default(),
    }
}

/// What a plain scalar stands for by itself; a text is a filter.
fn literal(text: &str, plain: bool, secret: bool) -> Option<Value> {
    if !plain || secret {
        return None;
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" => Some(Value::Bool(true)),
        "false" => Some(Value::Bool(false)),
        _ => Number::parse(text).ok().map(Value::Number),
    }
}

fn compile(reader: &mut Reader<'_>, span: Span, path: String, text: &str, secret: bool) -> Option<Jq> {
    match Filter::compile(text, &Env::default()) {
        Ok(filter) => {
            for warning in filter.warnings() {
                reader.warning_on(span, path.clone(), warning.message.clone(), warning.hint.clone());
            }
            Some(Jq { path, filter, secret })
        }
        Err(error) => {
            let (message, hint) = match secret {
                true => ("the filter, whose text is not shown, cannot be used".to_owned(), None),
                false => (format!("`{}`: {}", clip(text), error.message), error.hint),
            };
            reader.problem_on(span, path, message, hint);
            None
        }
    }
}

fn clip(text: &str) -> String {
    let clipped: String = text.chars().take(SHOWN_CHARS).collect();
    clipped.replace(char::is_control, " ")
}

fn full_path(reader: &Reader<'_>, path: &str) -> String {
    match reader.path() {
        "" => path.to_owned(),
        above => format!("{above}.{path}"),
    }
}

pub(super) fn jq_schema() -> Json {
    json!({"type": "string", "description": "a jq filter"})
}

/// Literal values, texts included: for what is the same in every request.
pub(super) fn literals(node: &Node, secrets: &mut Vec<SecretString>) -> Value {
    match &node.kind {
        Kind::Scalar {
            text, plain, secret, ..
        } => {
            if *secret {
                secrets.push(text.clone().into());
            }
            literal(text, *plain, false).unwrap_or_else(|| Value::text(text))
        }
        Kind::List(items) => Value::List(items.iter().map(|item| literals(item, secrets)).collect()),
        Kind::Map(members) => {
            let mut fields = Fields::with_capacity(members.len());
            for (name, node) in members {
                fields.push(Name::new(&name.text), literals(node, secrets));
            }
            Value::Map(fields)
        }
    }
}
