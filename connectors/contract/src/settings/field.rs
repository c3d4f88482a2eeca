//! One key of a map, read as the type that is asked for. Each reading method is at the same time
//! that type's check, its default and its part of the JSON Schema.

use std::time::Duration;

use secrecy::SecretString;
use serde_json::{Value as Json, json};

use super::units::{parse_duration, parse_rate, parse_size};
use super::{Kind, Name, Node, Rate, Reader, Span, join, nearest};

/// One key of the map that a reader stands on. Ends in the method that says what it holds.
pub struct Field<'r, 'a> {
    reader: &'r mut Reader<'a>,
    name: &'static str,
    doc: &'static str,
    required: bool,
    default: Option<&'static str>,
}

/// Why a text will not do.
struct Wrong {
    why: String,
    hint: Option<String>,
}

impl From<String> for Wrong {
    fn from(why: String) -> Self {
        Self { why, hint: None }
    }
}

/// What a scalar must be written like.
#[derive(Clone, Copy, PartialEq)]
enum Written {
    Anyhow,
    /// Numbers and booleans: `"5"` is a text, not a number, to every other reader of the same file.
    Plain,
    /// As `Anyhow`, and no message or source line shows it.
    Hidden,
}

impl<'r, 'a> Field<'r, 'a> {
    pub(super) fn new(reader: &'r mut Reader<'a>, name: &'static str, doc: &'static str) -> Self {
        Self {
            reader,
            name,
            doc,
            required: false,
            default: None,
        }
    }

    pub fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// The value in force where the key is missing, written as it would be in the file.
    pub fn default(mut self, text: &'static str) -> Self {
        self.default = Some(text);
        self
    }

    /// Any scalar as it is written: `22`, `0017` and `"22"` are all texts.
    pub fn text(self) -> Option<String> {
        let schema = json!({"type": ["string", "number", "boolean"]});
        self.scalar(schema, Written::Anyhow, |text| Ok(text.to_owned()))
    }

    /// A text that no message, log or source line may show.
    pub fn secret(self) -> Option<SecretString> {
        self.secret_with(|text| Ok(SecretString::from(text.to_owned())))
    }

    /// A secret with a check of its own. The check's message must not repeat the secret.
    pub fn secret_with<T>(self, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.reader.keep_secret(self.name);
        let schema = json!({"type": ["string", "number"], "writeOnly": true});
        self.scalar(schema, Written::Hidden, |text| Ok(parse(text)?))
    }

    pub fn boolean(self) -> Option<bool> {
        self.scalar(json!({"type": "boolean"}), Written::Plain, |text| match text {
            "true" => Ok(true),
            "false" => Ok(false),
            _ => Err(Wrong {
                why: "expected true or false".to_owned(),
                hint: match text.to_ascii_lowercase().as_str() {
                    "yes" | "on" | "true" | "y" => Some("write true".to_owned()),
                    "no" | "off" | "false" | "n" => Some("write false".to_owned()),
                    _ => None,
                },
            }),
        })
    }

    /// A whole number, both ends inclusive.
    pub fn integer(self, least: i64, most: i64) -> Option<i64> {
        let schema = json!({"type": "integer", "minimum": least, "maximum": most});
        self.scalar(schema, Written::Plain, |text| match text.parse::<i64>() {
            Ok(number) if (least..=most).contains(&number) => Ok(number),
            _ if most == i64::MAX => Err(format!("expected a whole number of at least {least}").into()),
            _ => Err(format!("expected a whole number from {least} to {most}").into()),
        })
    }

    /// `500ms`, `30s`, `10m`, `2h`, `7d`.
    pub fn duration(self) -> Option<Duration> {
        let schema = json!({"type": "string", "pattern": "^[0-9]+ *(ms|s|m|min|h|d)$"});
        self.scalar(schema, Written::Anyhow, |text| Ok(parse_duration(text)?))
    }

    /// `512KiB`, `1MiB`, or bytes.
    pub fn size(self) -> Option<u64> {
        let schema = json!({"type": ["string", "integer"], "pattern": "^[0-9]+ *([KMG]i?B?|kB|B)?$"});
        self.scalar(schema, Written::Anyhow, |text| Ok(parse_size(text)?))
    }

    /// `10/s`, `60/min`, `1000/h`; as calls and the time they are spread over.
    pub fn rate(self) -> Option<Rate> {
        let schema = json!({"type": "string", "pattern": "^[0-9]+ */ *(s|min|h)$"});
        self.scalar(schema, Written::Anyhow, |text| Ok(parse_rate(text)?))
    }

    /// One of a few words.
    pub fn choice(self, choices: &'static [&'static str]) -> Option<&'static str> {
        self.scalar(json!({"enum": choices}), Written::Anyhow, |text| choose(text, choices))
    }

    /// A list of such words.
    pub fn list_of_choices(self, choices: &[&'static str]) -> Option<Vec<&'static str>> {
        self.list(json!({"enum": choices}), Written::Anyhow, |text| choose(text, choices))
    }

    /// Any scalar, with a check of its own that says what would do, such as `expected a letter`;
    /// what was found is added to the message.
    pub fn parsed<T>(self, schema: Json, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.scalar(schema, Written::Anyhow, |text| Ok(parse(text)?))
    }

    /// A map with known keys; `None` where the key is missing.
    pub fn object<T>(self, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        self.map(true, read)
    }

    /// A map with known keys that may be left out: then it is read as if it were there and empty,
    /// so that every key of it has its default. Keys it requires are not missed.
    pub fn section<T>(self, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        self.map(false, read)
    }

    fn map<T>(mut self, skip_absent: bool, read: impl FnOnce(&mut Reader<'_>) -> Option<T>) -> Option<T> {
        let child = self.present();
        if skip_absent && child.is_none() && self.reader.node.is_some() {
            return None;
        }
        let mut reader = self.child(child, self.name);
        let value = read(&mut reader);
        let schema = reader.finish();
        self.describe(schema);
        value
    }

    /// A map from names that the user chooses to objects, in the order of the file.
    pub fn map_of<T>(mut self, mut read: impl FnMut(&Name, &mut Reader<'_>) -> Option<T>) -> Vec<(String, T)> {
        let mut values = Vec::new();
        let child = self.present();
        if self.reader.node.is_none() {
            let mut reader = self.child(None, self.name);
            read(&Name::none(), &mut reader);
            let schema = reader.finish();
            self.describe(json!({"type": "object", "additionalProperties": schema}));
            return values;
        }
        match child.map(|node| &node.kind) {
            Some(Kind::Map(fields)) => {
                for (key, node) in fields {
                    let path = join(self.name, &key.text);
                    let mut reader = self.child(Some(node), &path);
                    let value = read(key, &mut reader);
                    reader.finish();
                    values.extend(value.map(|value| (key.text.clone(), value)));
                }
            }
            _ => self.mistyped(child, "a map from names"),
        }
        values
    }

    /// A list of objects, in order; those that could not be read are left out.
    pub fn list_of<T>(mut self, mut read: impl FnMut(&mut Reader<'_>) -> Option<T>) -> Option<Vec<T>> {
        let child = self.present();
        if self.reader.node.is_none() {
            let mut reader = self.child(None, self.name);
            read(&mut reader);
            let schema = reader.finish();
            self.describe(json!({"type": "array", "items": schema}));
            return None;
        }
        let Some(Kind::List(items)) = child.map(|node| &node.kind) else {
            self.mistyped(child, "a list");
            return None;
        };
        let mut values = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let mut reader = self.child(Some(item), &format!("{}[{n}]", self.name));
            values.extend(read(&mut reader));
            reader.finish();
        }
        Some(values)
    }

    pub fn list_of_text(self) -> Option<Vec<String>> {
        let items = json!({"type": ["string", "number", "boolean"]});
        self.list(items, Written::Anyhow, |text| Ok(text.to_owned()))
    }

    /// A list of scalars, each with a check that says what would do.
    pub fn list_of_parsed<T>(self, items: Json, parse: impl Fn(&str) -> Result<T, String>) -> Option<Vec<T>> {
        self.list(items, Written::Anyhow, |text| Ok(parse(text)?))
    }

    /// A list of secrets, each with a check that must not repeat it.
    pub fn list_of_secrets(self, parse: impl Fn(&str) -> Result<(), String>) -> Option<Vec<SecretString>> {
        self.reader.keep_secret(self.name);
        self.list(
            json!({"type": ["string", "number"], "writeOnly": true}),
            Written::Hidden,
            |text| {
                parse(text)?;
                Ok(SecretString::from(text.to_owned()))
            },
        )
    }

    fn list<T>(mut self, items: Json, written: Written, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<Vec<T>> {
        let child = self.present();
        let read = match child.map(|node| &node.kind) {
            Some(Kind::List(nodes)) => {
                let mut values = Vec::new();
                for (n, node) in nodes.iter().enumerate() {
                    let path = join(&self.reader.path, &format!("{}[{n}]", self.name));
                    values.extend(self.one(node, path, written, &parse));
                }
                Some(values)
            }
            Some(Kind::Scalar { unresolved: false, .. }) if written == Written::Hidden => {
                self.reader
                    .problem_at(self.name, "expected a list, found a single value", None);
                None
            }
            _ => {
                self.mistyped(child, "a list");
                None
            }
        };
        self.describe(json!({"type": "array", "items": items}));
        read
    }

    /// The node as it is, for keys whose content has a language of its own (`map`).
    pub fn raw(mut self, schema: Json) -> Option<&'a Node> {
        let child = self.present();
        self.describe(schema);
        child
    }

    fn scalar<T>(mut self, schema: Json, written: Written, parse: impl Fn(&str) -> Result<T, Wrong>) -> Option<T> {
        let node = self.reader.node.and_then(|node| node.get(self.name));
        let value = match self.present() {
            Some(node) => self.one(node, join(&self.reader.path, self.name), written, parse),
            None => {
                if !self.required && node.is_some_and(|node| !matches!(node.kind, Kind::Scalar { secret: true, .. })) {
                    self.blank();
                }
                self.default.and_then(|text| parse(text).ok())
            }
        };
        self.describe(or_interpolated(schema));
        value
    }

    /// A key with nothing behind it is a forgotten value more often than a wish for the default.
    fn blank(&mut self) {
        let hint = match self.default {
            Some(default) => format!("leave the key out for the default, {default}"),
            None => "leave the key out".to_owned(),
        };
        self.reader.problem_at(self.name, "the key has no value", Some(hint));
    }

    fn one<T>(
        &mut self,
        node: &Node,
        path: String,
        written: Written,
        parse: impl Fn(&str) -> Result<T, Wrong>,
    ) -> Option<T> {
        let Kind::Scalar {
            text,
            plain,
            secret,
            unresolved,
        } = &node.kind
        else {
            let message = format!("expected a single value, found {}", node.shown());
            self.reader.problem_on(node.span, path, message, None);
            return None;
        };
        if *unresolved {
            return None;
        }
        let quoted = written == Written::Plain && !plain && !secret;
        let wrong = match parse(text) {
            Ok(value) if !quoted => return Some(value),
            Ok(_) => Wrong {
                why: "expected a value without quotes".to_owned(),
                hint: Some("remove the quotes".to_owned()),
            },
            Err(wrong) => wrong,
        };
        let message = match (written, *secret) {
            (Written::Hidden, _) => wrong.why,
            // A check may have repeated what it saw.
            (_, true) if !text.is_empty() => format!("{}, found {}", wrong.why.replace(text, "…"), node.shown()),
            _ => format!("{}, found {}", wrong.why, node.shown()),
        };
        self.reader.problem_on(node.span, path, message, wrong.hint);
        None
    }

    fn child(&mut self, node: Option<&'a Node>, path: &str) -> Reader<'_>
    where
        'a: 'r,
    {
        let path = if self.reader.path.is_empty() {
            path.to_owned()
        } else {
            format!("{}.{path}", self.reader.path)
        };
        Reader::build(node, path, self.reader.base.clone(), self.reader.problems)
    }

    fn mistyped(&mut self, child: Option<&Node>, expected: &str) {
        if let Some(node) = child.filter(|node| !node.is_unresolved()) {
            let path = join(&self.reader.path, self.name);
            let message = format!("expected {expected}, found {}", node.shown());
            self.reader.problem_on(node.span, path, message, None);
        }
    }

    /// The field's node. Reports it when it is required and missing.
    fn present(&mut self) -> Option<&'a Node> {
        let node = self.reader.node?;
        let child = node.get(self.name).filter(|node| !node.is_null());
        if child.is_none() && self.required && matches!(node.kind, Kind::Map(_)) {
            let message = format!("the key `{}` is missing", self.name);
            let message = match node.get(self.name) {
                Some(_) => "the key has no value".to_owned(),
                None => message,
            };
            let hint = format!("{}: {}", self.name, self.doc);
            self.reader.problem_at(self.name, message, Some(hint));
        }
        child
    }

    fn describe(self, mut schema: Json) {
        if let Some(object) = schema.as_object_mut() {
            object.insert("description".to_owned(), json!(self.doc));
            if let Some(default) = self.default {
                // A default of a number or boolean is one in the schema too; `30s` is a text.
                let typed = serde_json::from_str(default).unwrap_or_else(|_| json!(default));
                let textual = object.get("type").is_some_and(|of| of == "string") || object.contains_key("enum");
                let value = if textual { json!(default) } else { typed };
                object.insert("default".to_owned(), value);
            }
        }
        self.reader.describe(self.name, schema, self.required);
    }
}

impl Name {
    /// The name in a description, where the user's own would stand.
    fn none() -> Self {
        Self {
            text: String::new(),
            span: Span::default(),
        }
    }
}

fn choose(text: &str, choices: &[&'static str]) -> Result<&'static str, Wrong> {
    choices.iter().find(|choice| **choice == text).copied().ok_or_else(|| {
        let hint = nearest(text, choices.iter().copied()).map(|near| format!("did you mean `{near}`?"));
        let why = format!("expected one of {}", choices.join(", "));
        Wrong { why, hint }
    })
}

/// A value of any type may come from outside the file, and then is a text with `${` in the editor's eyes.
fn or_interpolated(schema: Json) -> Json {
    let any_text = schema.get("type").is_some_and(|of| match of {
        Json::Array(types) => types.contains(&json!("string")),
        one => one == "string",
    });
    let narrowed = schema.get("pattern").is_some() || schema.get("enum").is_some();
    if any_text && !narrowed || schema.get("anyOf").is_some() {
        return schema;
    }
    json!({"anyOf": [schema, {"type": "string", "pattern": "\\$\\{"}]})
}
