//! Stock as a resource. Its list has one row a product, which says that something changed; the levels are
//! those of the product's variants, and each of them is a record of its own. There is no filter by time.
//! Must never make up a level: `quantity` counts, `available` does not.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use contract::{Error, Fields, Key, Malformed, Part, Raw, Record, Row, Stamp, Use, Value};
use rust_decimal::Decimal;

use super::api::Api;
use super::products;
use super::read::{first, id, id_value, sku, text_of, time, whole};
use super::resource::{Resource, Shape, Since};

pub(super) const SHAPE: Shape = Shape {
    path: "inventory",
    scope: "read:inventory",
    one: "stock of product",
    all: "inventory",
    whose: "inventory's",
    ids: &["product_id", "id"],
    wrapper: "product",
    control: &["total_quantity"],
    params: &[],
    since: Since::Nothing,
};

#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// The app may not read products: levels are read where the platform does not document their shape.
    by_inventory: AtomicBool,
    /// What the list told of each product last.
    listed: Mutex<HashMap<Key, Listed>>,
}

#[derive(Clone, Copy, Debug)]
struct Listed {
    stamp: Stamp,
    /// The sum of its levels.
    total: Option<Decimal>,
}

impl Listed {
    /// When an answer that shows these levels is from. The product's own answer may go by another clock, its own
    /// instead of its stock's, and would be taken for an old copy: so it is the levels that tell one. What shows
    /// others than the list is from before it, unless it says itself that it changed since.
    fn stamp_of(self, own: Option<Stamp>, total: Option<Decimal>) -> Stamp {
        let own = own.unwrap_or(self.stamp);
        match self.total.zip(total) {
            Some((listed, shown)) if listed != shown && own <= self.stamp => self.stamp - 1,
            _ => own.max(self.stamp),
        }
    }
}

#[async_trait]
impl Resource for Inventory {
    fn shape(&self) -> &'static Shape {
        &SHAPE
    }

    async fn study(&self, _api: &Api, rows: &[Row]) -> Result<(), Error> {
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            let known = listed.get(&row.key).map(|known| known.stamp);
            if let Some(stamp) = row.stamp.filter(|stamp| known.is_none_or(|known| *stamp >= known)) {
                let total = row.control;
                listed.insert(row.key.clone(), Listed { stamp, total });
            }
        }
        Ok(())
    }

    async fn read(&self, api: &Api, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        let doing = format!("reading the stock of product {}", key.0);
        let read = async |shape| api.one(shape, key, &doing, purpose).await;
        let row = if self.by_inventory.load(Ordering::Relaxed) {
            read(&SHAPE).await?
        } else {
            match read(&products::SHAPE).await {
                Err(refused) if refused.status == Some(403) => {
                    let row = match read(&SHAPE).await {
                        Err(error) if error.status == Some(403) => return Err(refused),
                        answer => answer?,
                    };
                    // Nothing there may also mean that this store has no such address.
                    self.by_inventory.fetch_or(row.is_some(), Ordering::Relaxed);
                    row
                }
                answer => answer?,
            }
        };
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = listed.get(key).copied();
        Ok(row.map(|row| Row {
            // Of what the list did not tell yet, such as after a restart, nobody knows which clock it goes by.
            stamp: listed.map(|listed| listed.stamp_of(row.stamp, total(&row.body))),
            control: None,
            ..row
        }))
    }

    fn decode(&self, value: Value, single: bool) -> Result<Record, Malformed> {
        if single {
            parts(&value).map(Record::Parts)
        } else {
            Ok(Record::Partial)
        }
    }
}

/// The sum of a product's levels; `None` where one of them is not told.
fn total(body: &Raw) -> Option<Decimal> {
    let Raw::Value(value) = body else { return None };
    let parts = parts(value).ok()?;
    let levels = parts.iter().map(|part| match part.value.get("quantity")? {
        Value::Number(number) => number.decimal(),
        _ => None,
    });
    levels.sum()
}

fn parts(raw: &Value) -> Result<Vec<Part>, Malformed> {
    if !matches!(raw, Value::Map(_)) {
        return Err(Malformed(format!("the product is {} instead of an object", raw.kind())));
    }
    let product = ["product", "inventory"]
        .iter()
        .find_map(|name| raw.get(name).filter(|inner| matches!(inner, Value::Map(_))))
        .unwrap_or(raw);
    let Some(variants) = products::variants(raw, product)? else {
        let why = "incomplete: the store shows no variants for this product, so none of its stock is sent";
        return Err(Malformed(why.to_owned()));
    };
    let mut ids = BTreeSet::new();
    let mut parts = Vec::with_capacity(variants.len());
    for (n, variant) in variants.iter().enumerate() {
        let part = part(product, variant).map_err(|error| Malformed(format!("variant {}: {error}", n + 1)))?;
        if !ids.insert(part.id.clone()) {
            return Err(Malformed(format!("variant {}: sku_id {} stands twice", n + 1, part.id)));
        }
        parts.push(part);
    }
    Ok(parts)
}

fn part(product: &Value, variant: &Value) -> Result<Part, Malformed> {
    if !matches!(variant, Value::Map(_)) {
        return Err(Malformed(format!("it is {} instead of an object", variant.kind())));
    }
    let Some(sku_id) = first(variant, &["sku_id", "variant_id"]) else {
        return Err(Malformed("it has no sku_id".to_owned()));
    };
    let mut flags = Vec::new();
    let quantity = whole(first(variant, &["quantity"]), "quantity")?;
    if quantity.is_null() {
        flags.push("the store tells no quantity".to_owned());
    }
    let name = first(product, &["name", "product_name"]);
    let updated = first(variant, &["updated_at"]).or_else(|| first(product, &["updated_at"]));
    let mut fields = Fields::with_capacity(7);
    fields.push("sku", sku(first(variant, &["sku_code", "sku"]))?);
    fields.push("sku_id", id_value(Some(sku_id), "sku_id")?);
    fields.push("product_id", id_value(first(product, SHAPE.ids), "product_id")?);
    fields.push(
        "product_name",
        name.map_or(Ok(Value::Null), |name| text_of(name, "name"))?,
    );
    fields.push("quantity", quantity);
    fields.push("updated_at", time(updated, "updated_at", &mut flags));
    fields.push("raw", variant.clone());
    Ok(Part {
        id: id(sku_id)?,
        value: Value::Map(fields),
        flags,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Vec<Part>, String> {
        parts(&Value::parse(json).unwrap()).map_err(|error| error.0)
    }

    fn told(part: &Part) -> String {
        let names = ["sku", "sku_id", "product_id", "product_name", "quantity", "updated_at"];
        names.map(|name| part.value.get(name).unwrap().to_json()).join(" ")
    }

    #[test]
    fn each_variant_is_a_part_named_by_its_sku_id() {
        let found = read(
            r#"{"product_id":150,"name":"Shirt","updated_at":"2025-02-01T00:00:00.000Z","variants":[
            {"sku_id":9,"sku_code":" 007","available":0,"quantity":4},
            {"sku_id":"0010","sku_code":"","available":1,"quantity":null,"updated_at":"2025-02-02T00:00:00.000Z"}]}"#,
        );
        let found = found.unwrap();
        assert_eq!(told(&found[0]), r#""007" 9 150 "Shirt" 4 "2025-02-01T00:00:00.000Z""#);
        assert_eq!(
            told(&found[1]),
            r#"null 10 150 "Shirt" null "2025-02-02T00:00:00.000Z""#
        );
        assert_eq!((found[0].id.as_str(), found[1].id.as_str()), ("9", "10"));
        assert_eq!((found[0].flags.len(), found[1].flags.len()), (0, 1));
        assert_eq!(
            found[0].value.get("raw").unwrap().get("available").unwrap().to_json(),
            "0"
        );
    }

    #[test]
    fn the_undocumented_answer_is_read_under_any_of_its_names() {
        for list in ["variants", "skus", "items"] {
            let found = read(&format!(
                r#"{{"product_id":1,"{list}":[{{"sku_id":2,"sku":"a","quantity":"-3"}}]}}"#
            ));
            assert_eq!(told(&found.unwrap()[0]), r#""a" 2 1 null -3 null"#, "{list}");
        }
        let wrapped = read(r#"{"inventory":{"product_id":1,"product_name":"x"},"skus":[{"sku_id":2,"quantity":3.0}]}"#);
        assert_eq!(told(&wrapped.unwrap()[0]), r#"null 2 1 "x" 3 null"#);
    }

    #[test]
    fn levels_that_the_list_does_not_tell_are_from_before_it() {
        let listed = |total: Option<i64>| Listed {
            stamp: 5_000,
            total: total.map(Decimal::from),
        };
        let of = |levels: &str| {
            let json = format!(r#"{{"product_id":1,"variants":[{levels}]}}"#);
            total(&Raw::Value(Value::parse(&json).unwrap()))
        };
        let seven = of(r#"{"sku_id":1,"quantity":9},{"sku_id":2,"quantity":"-2"}"#);
        assert_eq!(seven, Some(Decimal::from(7)));
        // Whatever clock it goes by itself.
        assert_eq!(listed(Some(7)).stamp_of(Some(1_000), seven), 5_000);
        assert_eq!(listed(Some(7)).stamp_of(None, seven), 5_000);
        assert_eq!(listed(Some(8)).stamp_of(Some(1_000), seven), 4_999);
        assert_eq!(listed(Some(8)).stamp_of(Some(5_000), seven), 4_999);
        // It changed since.
        assert_eq!(listed(Some(8)).stamp_of(Some(6_000), seven), 6_000);
        // Nothing to compare.
        let unknown = of(r#"{"sku_id":1,"quantity":9},{"sku_id":2,"quantity":null}"#);
        assert_eq!((unknown, of("")), (None, Some(Decimal::ZERO)));
        assert_eq!(listed(Some(8)).stamp_of(Some(1_000), unknown), 5_000);
        assert_eq!(listed(None).stamp_of(Some(1_000), seven), 5_000);
    }

    #[test]
    fn a_level_that_is_none_is_refused_for_the_product() {
        let cases = [
            (r#"{"product_id":1}"#, "shows no variants"),
            (r#"{"product_id":1,"variants":"x"}"#, "its variants are a text"),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1,"quantity":1},{"quantity":2}]}"#,
                "variant 2: it has no sku_id",
            ),
            (r#"{"product_id":1,"variants":[{"sku_id":"x1"}]}"#, "variant 1: sku_id"),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1,"quantity":2.5}]}"#,
                "quantity: expected a whole number",
            ),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1,"quantity":"many"}]}"#,
                "variant 1: quantity",
            ),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1},{"sku_id":"01"}]}"#,
                "sku_id 1 stands twice",
            ),
        ];
        for (json, part) in cases {
            let found = read(json).unwrap_err();
            assert!(found.contains(part), "{json}: {found}");
        }
        assert_eq!(read(r#"{"product_id":1,"variants":[]}"#), Ok(Vec::new()));
    }
}
