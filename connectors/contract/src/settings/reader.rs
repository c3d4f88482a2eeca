//! The reader: stands on one map of the file, knows which keys were asked for, and collects problems.
//! It never fails and never prints a secret.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value as Json, json};

use super::{Field, Kind, Node, Span, clip, join, nearest};

/// Something a person must change in the file, or should know about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub span: Span,
    /// `flows.orders.schedule`
    pub path: String,
    pub message: String,
    pub hint: Option<String>,
}

/// Collects problems; the same for a whole file.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>, Aside);

/// What is collected beside the problems.
#[derive(Debug, Default)]
struct Aside {
    warnings: Vec<Problem>,
    secrets: Vec<Span>,
}

impl Problems {
    /// What is worth saying and stops nothing.
    pub fn warnings(&self) -> &[Problem] {
        &self.1.warnings
    }

    pub fn warn(&mut self, warning: Problem) {
        self.1.warnings.push(warning);
    }

    /// Where secrets are written in the file itself. Whoever shows a line of the file hides them.
    pub fn secrets(&self) -> &[Span] {
        &self.1.secrets
    }

    pub(super) fn hide(&mut self, node: &Node) {
        match &node.kind {
            Kind::Scalar { secret: false, .. } => self.1.secrets.push(node.span),
            Kind::Scalar { .. } => {}
            Kind::List(items) => items.iter().for_each(|item| self.hide(item)),
            Kind::Map(fields) => fields.iter().for_each(|(_, node)| self.hide(node)),
        }
    }
}

/// Reads one node, or, without a node, only notes what it would accept.
pub struct Reader<'a> {
    pub(super) node: Option<&'a Node>,
    pub(super) path: String,
    pub(super) base: Arc<Path>,
    pub(super) problems: &'a mut Problems,
    known: Vec<&'static str>,
    /// Whether a key that was not asked for is accepted.
    open: bool,
    secrets: Vec<&'static str>,
    properties: Map<String, Json>,
    required: Vec<Json>,
}

impl<'a> Reader<'a> {
    /// Takes the node to read, its path in the file, and the folder that relative paths count from.
    pub fn new(node: &'a Node, path: impl Into<String>, base: Arc<Path>, problems: &'a mut Problems) -> Self {
        Self::build(Some(node), path.into(), base, problems)
    }

    /// A reader without a node: every field is absent, nothing is reported, and `finish` tells what was asked for.
    pub fn describing(problems: &'a mut Problems) -> Self {
        Self::build(None, String::new(), Arc::from(Path::new("")), problems)
    }

    pub(super) fn build(node: Option<&'a Node>, path: String, base: Arc<Path>, problems: &'a mut Problems) -> Self {
        Self {
            node,
            path,
            base,
            problems,
            known: Vec::new(),
            open: false,
            secrets: Vec::new(),
            properties: Map::new(),
            required: Vec::new(),
        }
    }

    /// Whether there is nothing to read: only a description is wanted, or the section was left out.
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
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }

    /// Asks for a key. `doc` says what the key is for, in the schema and where it is missing.
    pub fn field<'r>(&'r mut self, name: &'static str, doc: &'static str) -> Field<'r, 'a> {
        self.known.push(name);
        Field::new(self, name, doc)
    }

    /// Whether a key is there with something behind it.
    pub fn has(&self, name: &str) -> bool {
        let node = self.node.and_then(|node| node.get(name));
        node.is_some_and(|node| !node.is_null())
    }

    /// Reports a problem at the node this reader stands on.
    pub fn problem(&mut self, message: impl Into<String>, hint: Option<String>) {
        let span = self.node.map(|node| node.span).unwrap_or_default();
        self.problem_on(span, self.path.clone(), message, hint);
    }

    /// Reports a problem at one of this map's fields, or at the map where the field is missing.
    pub fn problem_at(&mut self, name: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self.span_of(name);
        self.problem_on(span, join(&self.path, name), message, hint);
    }

    /// Reports a problem at a place of its own, such as a node inside a `raw` field.
    pub fn problem_on(&mut self, span: Span, path: String, message: impl Into<String>, hint: Option<String>) {
        if self.node.is_some() {
            let message = message.into();
            self.problems.0.push(Problem {
                span,
                path,
                message,
                hint,
            });
        }
    }

    /// Reports at one of this map's fields what is worth knowing but stops nothing.
    pub fn warning_at(&mut self, name: &str, message: impl Into<String>, hint: Option<String>) {
        let span = self.span_of(name);
        self.warning_on(span, join(&self.path, name), message, hint);
    }

    /// The same at a place of its own.
    pub fn warning_on(&mut self, span: Span, path: String, message: impl Into<String>, hint: Option<String>) {
        if self.node.is_some() {
            let message = message.into();
            self.problems.warn(Problem {
                span,
                path,
                message,
                hint,
            });
        }
    }

    /// Calls no key of this map unknown: for where what went wrong before makes that guesswork.
    pub fn accept_all(&mut self) {
        self.open = true;
        if let Some(Kind::Map(fields)) = self.node.map(|node| &node.kind) {
            for (name, node) in fields {
                if !self.known.contains(&name.text.as_str()) {
                    self.problems.hide(node);
                }
            }
        }
    }

    fn span_of(&self, name: &str) -> Span {
        self.node
            .map(|node| node.get(name).unwrap_or(node).span)
            .unwrap_or_default()
    }

    pub(super) fn describe(&mut self, name: &'static str, schema: Json, required: bool) {
        self.properties.insert(name.to_owned(), schema);
        if required {
            self.required.push(json!(name));
        }
    }

    /// Notes that a field holds a secret, so that neither it nor a misspelt one is shown.
    pub(super) fn keep_secret(&mut self, name: &'static str) {
        self.secrets.push(name);
        if let Some(node) = self.node.and_then(|node| node.get(name)) {
            self.problems.hide(node);
        }
    }

    /// To be called when all fields were asked for: every other key is a problem. Answers with the schema.
    pub fn finish(mut self) -> Json {
        match self.node {
            Some(Node {
                kind: Kind::Map(fields),
                ..
            }) => {
                for (name, node) in fields {
                    if !self.open && !self.known.contains(&name.text.as_str()) {
                        self.unknown(&name.text, name.span, node);
                    }
                }
            }
            Some(node) if !node.is_null() && !node.is_unresolved() => {
                let message = format!("expected a map of keys, found {}", node.shown());
                self.problem(message, self.known_here());
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

    fn unknown(&mut self, name: &str, span: Span, node: &Node) {
        let near = nearest(name, self.known.iter().copied());
        if near.is_none_or(|near| self.secrets.contains(&near)) {
            self.problems.hide(node);
        }
        let hint = near.map(|near| format!("did you mean `{near}`?"));
        let hint = hint.or_else(|| self.known_here());
        let message = format!("unknown key `{}`", clip(name));
        self.problem_on(span, join(&self.path, name), message, hint);
    }

    fn known_here(&self) -> Option<String> {
        (!self.known.is_empty()).then(|| format!("known here: {}", self.known.join(", ")))
    }
}
