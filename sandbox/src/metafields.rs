//! An app's own fields on the shop's records: definitions first, then values; with a rate limit of their own.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::http::Incoming;
use crate::journal::Record;
use crate::jsontext::Members;
use crate::make::whole_second;
use crate::page::Test;
use crate::resource::Column;
use crate::table::{Row, Table};
use crate::world::Inner;

/// A value on a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metafield {
    pub id: i64,
    pub namespace: String,
    pub key: String,
    /// `order`, `product`, `customer` or `store`.
    pub resource_type: String,
    pub resource_id: i64,
    pub value: String,
    pub updated_ms: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Definition {
    resource_type: String,
    namespace: String,
    key: String,
    shown: Value,
}

pub(crate) struct Metafields {
    definitions: Vec<Definition>,
    pub(crate) values: Table<Metafield>,
    by_place: BTreeMap<(String, i64, String), i64>,
}

impl Metafields {
    pub(crate) fn new() -> Metafields {
        Metafields {
            definitions: Vec::new(),
            values: Table::new(Vec::new()),
            by_place: BTreeMap::new(),
        }
    }

    fn defined(&self, resource_type: &str, namespace: &str, key: &str) -> bool {
        self.definitions
            .iter()
            .any(|known| known.resource_type == resource_type && known.namespace == namespace && known.key == key)
    }
}

pub(crate) fn definitions(inner: &Inner, incoming: &Incoming) -> Answer {
    let wanted = incoming.query_value("resource_type");
    let all = inner.shop.metafields.definitions.iter();
    let shown: Vec<&Value> = all
        .filter(|definition| wanted.is_none_or(|wanted| definition.resource_type == wanted))
        .map(|definition| &definition.shown)
        .collect();
    Answer::json(200, json!({"data": shown, "status": 200}).to_string())
}

pub(crate) fn values(inner: &Inner, incoming: &Incoming) -> Answer {
    let wanted = incoming.query_value("resource_type");
    let id: Option<i64> = incoming.query_value("resource_id").and_then(|id| id.parse().ok());
    let (Some(wanted), Some(id)) = (wanted, id) else {
        return Answer::error(400, "validation_error", "resource_type and resource_id are required");
    };
    let fields = &inner.shop.metafields;
    let shown: Vec<Value> = fields
        .by_place
        .iter()
        .filter(|(place, _)| place.0 == wanted && place.1 == id)
        .filter_map(|(_, at)| fields.values.get(*at))
        .map(|field| json!({"namespace": field.namespace, "key": field.key, "value": field.value}))
        .collect();
    Answer::json(200, json!({"data": shown, "status": 200}).to_string())
}

pub(crate) fn define(inner: &mut Inner, body: &Map<String, Value>) -> Answer {
    let word = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or("").to_owned();
    let definition = Definition {
        resource_type: word("resource_type"),
        namespace: word("namespace"),
        key: word("key"),
        shown: Value::Object(body.clone()),
    };
    let plain = |text: &str, joint: char| {
        let fits = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == joint;
        !text.is_empty() && text.chars().all(fits)
    };
    let known = ["order", "product", "customer", "store"].contains(&definition.resource_type.as_str());
    if !known || !plain(&definition.namespace, '-') || !plain(&definition.key, '_') || word("value_type").is_empty() {
        return Answer::error(400, "validation_error", "Invalid metafield definition");
    }
    let fields = &mut inner.shop.metafields;
    let same = |other: &Definition| other.namespace == definition.namespace && other.key == definition.key;
    if fields.definitions.iter().any(same) {
        return Answer::error(409, "definition_exists", "Metafield definition already exists");
    }
    let answer =
        json!({"message": "Definition created", "data": definition.shown, "status": inner.options.created_code});
    fields.definitions.push(definition);
    Answer::json(inner.options.created_code, answer.to_string())
}

/// All values or none.
pub(crate) fn put_values(inner: &mut Inner, body: &Map<String, Value>) -> Answer {
    let now_ms = inner.time.now_ms();
    let Some(asked) = body.get("metafields").and_then(Value::as_array) else {
        return Answer::error(400, "validation_error", "metafields must be an array");
    };
    let read: Option<Vec<Metafield>> = asked.iter().map(|field| read(field, now_ms)).collect();
    let Some(read) = read else {
        return Answer::error(400, "validation_error", "Invalid metafield value");
    };
    let fields = &inner.shop.metafields;
    if !read
        .iter()
        .all(|field| fields.defined(&field.resource_type, &field.namespace, &field.key))
    {
        return Answer::error(400, "validation_error", "Metafield definition not found");
    }
    let count = read.len();
    for field in read {
        put(inner, field, now_ms);
    }
    Answer::json(200, json!({"data": {"updated": count}, "status": 200}).to_string())
}

fn read(field: &Value, now_ms: i64) -> Option<Metafield> {
    let word = |name: &str| field.get(name)?.as_str().map(str::to_owned);
    let value = field.get("value")?;
    Some(Metafield {
        id: 0,
        namespace: word("namespace")?,
        key: word("key")?,
        resource_type: word("resource_type")?,
        resource_id: crate::fields::int(field.get("resource_id")?)?,
        value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        updated_ms: whole_second(now_ms),
    })
}

/// An order shows its own fields; its stamps stay.
fn put(inner: &mut Inner, mut field: Metafield, now_ms: i64) {
    let name = format!("{}.{}", field.namespace, field.key);
    let shop = &mut inner.shop;
    if field.resource_type == "order"
        && let Some(mut order) = shop.orders.get(field.resource_id).map(|order| order.as_ref().clone())
    {
        order.metafields.insert(name.clone(), field.value.clone());
        shop.orders.replace(order, &mut shop.journal, now_ms);
    }
    let fields = &mut shop.metafields;
    let place = (field.resource_type.clone(), field.resource_id, name);
    match fields.by_place.get(&place) {
        Some(at) => {
            field.id = *at;
            fields.values.replace(field, &mut shop.journal, now_ms);
        }
        None => {
            field.id = i64::try_from(fields.by_place.len()).unwrap_or(0) + 1;
            fields.by_place.insert(place, field.id);
            fields.values.insert(field, &mut shop.journal, now_ms);
        }
    }
}

impl Row for Metafield {
    const INDEXED: &'static [Column] = &[Column::Created];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn touch(&mut self, ms: i64) {
        self.updated_ms = whole_second(ms);
    }

    fn number(&self, _column: Column) -> i64 {
        self.id
    }

    fn passes(&self, _test: &Test) -> bool {
        true
    }

    fn json(&self) -> String {
        let mut out = String::new();
        let mut members = Members::open(&mut out);
        members.text("namespace", &self.namespace);
        members.text("key", &self.key);
        members.text("resource_type", &self.resource_type);
        members.int("resource_id", self.resource_id);
        members.text("value", &self.value);
        members.close();
        out
    }

    fn record(row: Arc<Metafield>) -> Record {
        Record::Metafield(row)
    }

    fn of(record: &Record) -> Option<&Arc<Metafield>> {
        match record {
            Record::Metafield(row) => Some(row),
            _ => None,
        }
    }
}
