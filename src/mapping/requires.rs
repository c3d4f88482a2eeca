//! `requires` of a flow: which records a record refers to that have to be at the target before it. Reads it from
//! the config and evaluates its filters; which flow delivers them is tied elsewhere.

use contract::settings::{Kind, Node, Span};
use contract::{Fields, Key, Malformed, Value};
use filter::{Env, Subject};
use serde_json::{Value as Json, json};

use super::Leaf;
use super::read::Read;

/// What an order says of other records, by their resource, for those who only name the resource.
const DEFAULTS: [(&str, &str); 2] = [("customers", ".customer.id"), ("products", "[.lines[].product_id]")];
/// Keys that one filter may give for one record.
const KEYS_MAX: usize = 1_000;

/// One resource that the records of a flow refer to.
#[derive(Debug)]
pub struct Reference {
    /// `customers`
    pub resource: String,
    /// The flow that delivers it, where the config names one.
    pub flow: Option<String>,
    /// Where it stands in the config, for messages.
    pub span: Span,
    pub path: String,
    pub(super) leaf: Leaf,
}

/// The keys that a record refers to, as the filter gave them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    One(Option<Key>),
    Many(Vec<Key>),
}

impl Keys {
    pub fn all(&self) -> &[Key] {
        match self {
            Keys::One(key) => key.as_slice(),
            Keys::Many(keys) => keys,
        }
    }
}

impl Reference {
    /// The filter as it stands in the config, or would stand there.
    pub fn filter(&self) -> &str {
        self.leaf.filter.source()
    }

    /// One key, a list of keys, or null where the record refers to none.
    pub(super) fn keys(&self, record: &Subject<'_>) -> Result<Keys, Malformed> {
        match self.leaf.one(record, record)? {
            Value::List(items) if items.len() > KEYS_MAX => {
                Err(self.leaf.failed(&format!("gives more than {KEYS_MAX} keys")))
            }
            Value::List(items) => {
                let mut keys = Vec::with_capacity(items.len());
                for item in &items {
                    if let Some(key) = self.key(item)?
                        && !keys.contains(&key)
                    {
                        keys.push(key);
                    }
                }
                Ok(Keys::Many(keys))
            }
            value => Ok(Keys::One(self.key(&value)?)),
        }
    }

    fn key(&self, value: &Value) -> Result<Option<Key>, Malformed> {
        match value {
            Value::Null => Ok(None),
            Value::Text(text) if !text.trim().is_empty() => Ok(Some(Key(text.to_string()))),
            Value::Number(number) => Ok(Some(Key(number.as_str().to_owned()))),
            other => Err(self
                .leaf
                .failed(&format!("gives {} where a record's key is wanted", other.to_json()))),
        }
    }
}

/// What `$refs` is: the target's id for one key, and for a list of keys an object from key to id. Null stands for
/// what is not known.
pub(super) fn refs(references: &[Reference], keys: &[Keys], id: impl Fn(&Reference, &Key) -> Option<Key>) -> Value {
    let text = |id: Option<Key>| id.map_or(Value::Null, |id| Value::text(id.0));
    let mut refs = Fields::with_capacity(references.len());
    for (reference, keys) in references.iter().zip(keys) {
        let value = match keys {
            Keys::One(key) => text(key.as_ref().and_then(|key| id(reference, key))),
            Keys::Many(keys) => {
                let pairs = keys.iter().map(|key| (key.0.clone().into(), text(id(reference, key))));
                Value::Map(pairs.collect())
            }
        };
        refs.push(reference.resource.as_str(), value);
    }
    Value::Map(refs)
}

pub(super) fn schema() -> Json {
    let filter = json!({"type": "string", "description": "a jq filter: the key, or a list of keys"});
    let flow = json!({"type": "string", "description": "the flow that delivers them, where there are several"});
    let named = json!({
        "type": "object",
        "properties": {"key": filter, "flow": flow},
        "required": ["key"],
        "additionalProperties": false,
    });
    let own = json!({"type": "object", "additionalProperties": {"oneOf": [filter, named]}});
    json!({"oneOf": [{"type": "array", "items": {"type": "string"}}, own]})
}

impl Read<'_, '_, '_> {
    pub(super) fn requires(&mut self, node: &Node) -> Vec<Reference> {
        let env = Env {
            refs: Vec::new(),
            ..self.env.clone()
        };
        let found = match &node.kind {
            Kind::List(items) => {
                let items = items.iter().enumerate();
                items.map(|(at, item)| self.by_name(item, at, &env)).collect()
            }
            Kind::Map(fields) => {
                let fields = fields.iter();
                let fields = fields.map(|(name, node)| self.by_filter(&name.text, node, &env));
                fields.collect::<Vec<_>>()
            }
            Kind::Scalar { .. } => {
                let message = format!("expected a list of resources, found {}", node.shown());
                self.problem(node.span, "requires", message, Some("such as [customers]".to_owned()));
                Vec::new()
            }
        };
        let mut references: Vec<Reference> = Vec::new();
        for reference in found.into_iter().flatten() {
            if references.iter().any(|known| known.resource == reference.resource) {
                let message = format!("`{}` is named twice", reference.resource);
                self.problem(reference.span, "requires", message, None);
            } else {
                references.push(reference);
            }
        }
        references
    }

    /// `[customers]`: by the filter that everybody would write.
    fn by_name(&mut self, node: &Node, at: usize, env: &Env) -> Option<Reference> {
        let path = format!("requires[{at}]");
        let Kind::Scalar {
            text, secret: false, ..
        } = &node.kind
        else {
            let message = format!("expected a resource's name, found {}", node.shown());
            self.problem(node.span, &path, message, None);
            return None;
        };
        let Some((_, filter)) = DEFAULTS.iter().find(|(resource, _)| resource == text) else {
            let message = format!("it is not known which `{text}` a record refers to");
            let hint = format!("say it as a map with a jq filter: `requires: {{{text}: .the.key}}`");
            self.problem(node.span, &path, message, Some(hint));
            return None;
        };
        let leaf = self.leaf_of(filter, node, &path, env)?;
        Some(self.reference(text, None, node.span, &path, leaf))
    }

    fn by_filter(&mut self, resource: &str, node: &Node, env: &Env) -> Option<Reference> {
        let path = format!("requires.{resource}");
        let (filter, flow) = match &node.kind {
            Kind::Map(fields) => {
                for (name, _) in fields
                    .iter()
                    .filter(|(name, _)| !["key", "flow"].contains(&name.text.as_str()))
                {
                    let hint = Some("it has `key`, a jq filter, and `flow`".to_owned());
                    self.problem(
                        name.span,
                        &format!("{path}.{}", name.text),
                        "unknown key".to_owned(),
                        hint,
                    );
                }
                (node.get("key"), node.get("flow"))
            }
            _ => (Some(node), None),
        };
        let flow = flow.and_then(|flow| match &flow.kind {
            Kind::Scalar { text, .. } if !flow.is_null() => Some(text.clone()),
            _ => None,
        });
        let Some((Kind::Scalar { text, .. }, filter)) = filter.map(|filter| (&filter.kind, filter)) else {
            let message = "expected a jq filter that gives the key of the record, or a list of keys".to_owned();
            self.problem(node.span, &path, message, Some("such as .customer.id".to_owned()));
            return None;
        };
        let leaf = self.leaf_of(text, filter, &path, env)?;
        Some(self.reference(resource, flow, node.span, &path, leaf))
    }

    fn reference(&self, resource: &str, flow: Option<String>, span: Span, path: &str, leaf: Leaf) -> Reference {
        Reference {
            resource: resource.to_owned(),
            flow,
            span,
            path: self.place_name(path),
            leaf,
        }
    }
}
