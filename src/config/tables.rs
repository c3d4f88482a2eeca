//! `tables:`, what `lookup("name")` in filters looks things up in.
//!
//! A table has `entries`, and may have a `default`. The entries stand in a map of their own, because
//! `default` may well be the name of one.

use contract::settings::{Kind, Node, Reader};
use contract::{Fields, Number, Value};
use filter::{Env, Table};
use serde_json::json;

/// Gives what filters may look things up in. In a description it gives nothing.
pub(super) fn read(file: &mut Reader<'_>) -> Env {
    let tables = file
        .field(
            "tables",
            "tables for `lookup(\"name\")` in filters, by a name of your choice",
        )
        .map_of(|_, table| {
            let entries = table
                .field("entries", "what each value becomes")
                .required()
                .raw(json!({"type": "object"}));
            let default = table
                .field(
                    "default",
                    "what every other value becomes; without it such a record fails",
                )
                .raw(json!({}))
                .map(value_of);
            let entries = match entries.map(|node| (&node.kind, node)) {
                Some((Kind::Map(fields), _)) => {
                    let pairs = fields.iter().map(|(name, node)| (name.text.clone(), value_of(node)));
                    pairs.collect()
                }
                Some((_, node)) => {
                    let message = format!("expected a map from values to values, found {}", node.shown());
                    table.problem_at("entries", message, None);
                    return None;
                }
                None => return None,
            };
            Some(Table { entries, default })
        });
    Env {
        tables: tables.into_iter().collect(),
        ..Env::default()
    }
}

/// A constant as the file has it. A number keeps its digits.
fn value_of(node: &Node) -> Value {
    match &node.kind {
        _ if node.is_null() => Value::Null,
        Kind::List(items) => Value::List(items.iter().map(value_of).collect()),
        Kind::Map(fields) => {
            let pairs = fields
                .iter()
                .map(|(name, node)| (name.text.clone().into(), value_of(node)));
            Value::Map(pairs.collect::<Fields>())
        }
        Kind::Scalar { text, plain: true, .. } => match (text.as_str(), Number::parse(text)) {
            ("true", _) => Value::Bool(true),
            ("false", _) => Value::Bool(false),
            (_, Ok(number)) => Value::Number(number),
            _ => Value::text(text.clone()),
        },
        Kind::Scalar { text, .. } => Value::text(text.clone()),
    }
}
