//! Products as a resource, and their canonical record. `since` is about change, rows of the list have no
//! variants, so each product that changed is read by itself.

use contract::{Fields, Malformed, Record, Value};

use super::read::{first, id_value, money, named, sku, text_of, time, whole, yes_or_no};
use super::resource::{Resource, Shape, Since};

pub(super) const SHAPE: Shape = Shape {
    path: "products",
    scope: "read:products",
    one: "product",
    all: "products",
    whose: "products'",
    ids: &["product_id", "id"],
    wrapper: "product",
    control: &[],
    params: &[],
    since: Since::Changed,
};

#[derive(Debug)]
pub(super) struct Products;

impl Resource for Products {
    fn shape(&self) -> &'static Shape {
        &SHAPE
    }

    fn decode(&self, value: Value, single: bool) -> Result<Record, Malformed> {
        decode(value, single)
    }
}

/// The variants, under any of their names; they may stand beside the product.
pub(super) fn variants<'v>(outer: &'v Value, product: &'v Value) -> Result<Option<&'v [Value]>, Malformed> {
    let names = ["variants", "skus", "items"];
    let Some(list) = first(product, &names).or_else(|| first(outer, &names)) else {
        return Ok(None);
    };
    let wrong = || Malformed(format!("its variants are {} instead of a list", list.kind()));
    list.as_list().map(Some).ok_or_else(wrong)
}

fn decode(raw: Value, single: bool) -> Result<Record, Malformed> {
    if !matches!(raw, Value::Map(_)) {
        return Err(Malformed(format!("the product is {} instead of an object", raw.kind())));
    }
    let product = SHAPE.inner(&raw);
    let variants = match variants(&raw, product)? {
        Some(variants) if single || !variants.is_empty() => variants,
        _ if !single => return Ok(Record::Partial),
        _ => {
            let why = "incomplete: the store shows no variants for this product, so it is not sent";
            return Err(Malformed(why.to_owned()));
        }
    };
    let numbered = variants.iter().enumerate();
    let variants: Result<Vec<Value>, Malformed> = numbered
        .map(|(n, item)| variant(item).map_err(|error| Malformed(format!("variant {}: {error}", n + 1))))
        .collect();
    let mut flags = Vec::new();
    let text = |name: &str, names: &[&str]| first(product, names).map_or(Ok(Value::Null), |value| text_of(value, name));
    let mut fields = Fields::with_capacity(8);
    fields.push("id", id_value(first(product, SHAPE.ids), "product_id")?);
    fields.push("name", text("name", &["name", "product_name"])?);
    fields.push("slug", text("slug", &["slug"])?);
    fields.push("is_active", yes_or_no(first(product, &["is_active"]), "is_active")?);
    fields.push("variants", Value::List(variants?));
    for name in ["created_at", "updated_at"] {
        fields.push(name, time(first(product, &[name]), name, &mut flags));
    }
    fields.push("raw", raw);
    Ok(Record::Whole {
        value: Value::Map(fields),
        flags,
    })
}

fn variant(item: &Value) -> Result<Value, Malformed> {
    if !matches!(item, Value::Map(_)) {
        return Err(Malformed(format!("it is {} instead of an object", item.kind())));
    }
    let price = first(item, &["price"]).map(money).transpose();
    let price = price.map_err(|error| named("price", error))?;
    let name = first(item, &["variant_name", "name"]);
    let mut fields = Fields::with_capacity(5);
    fields.push(
        "sku_id",
        id_value(first(item, &["sku_id", "variant_id", "id"]), "sku_id")?,
    );
    fields.push("sku", sku(first(item, &["sku_code", "sku"]))?);
    fields.push(
        "name",
        name.map_or(Ok(Value::Null), |name| text_of(name, "variant_name"))?,
    );
    fields.push("price", price.map_or(Value::Null, Value::Number));
    fields.push("quantity", whole(first(item, &["quantity"]), "quantity")?);
    Ok(Value::Map(fields))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(json: &str, single: bool) -> Result<Record, Malformed> {
        decode(Value::parse(json).unwrap(), single)
    }

    fn whole_of(json: &str) -> String {
        match read(json, true).unwrap() {
            Record::Whole { value, .. } => {
                let names = [
                    "id",
                    "name",
                    "slug",
                    "is_active",
                    "variants",
                    "created_at",
                    "updated_at",
                ];
                names.map(|name| value.get(name).unwrap().to_json()).join(" ")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_product_as_documented_and_under_other_names() {
        let json = r#"{"product_id":150,"store_id":22,"name":"Shirt ","slug":"shirt","category_id":null,"is_active":1,
            "is_visible":1,"created_at":"2025-01-01T00:00:00.000Z","updated_at":"2025-02-01T00:00:00.000Z","variants":[
            {"sku_id":9,"product_id":150,"variant_name":"L / Blue","sku_code":" 007 ","price":1250.50,"available":0,"quantity":4},
            {"sku_id":10,"variant_name":null,"sku_code":"  ","price":null,"quantity":null}]}"#;
        assert_eq!(
            whole_of(json),
            r#"150 "Shirt " "shirt" true [{"sku_id":9,"sku":"007","name":"L / Blue","price":1250.50,"quantity":4},{"sku_id":10,"sku":null,"name":null,"price":null,"quantity":null}] "2025-01-01T00:00:00.000Z" "2025-02-01T00:00:00.000Z""#
        );
        let json = r#"{"product":{"id":"7","name":"x","is_active":"0"},"variants":[{"variant_id":1,"sku":"00","price":"9.90","quantity":"-2"}]}"#;
        assert_eq!(
            whole_of(json),
            r#"7 "x" null false [{"sku_id":1,"sku":"00","name":null,"price":9.90,"quantity":-2}] null null"#
        );
    }

    #[test]
    fn a_row_without_variants_is_an_index_entry_and_an_answer_without_them_is_incomplete() {
        let row = r#"{"product_id":1,"name":"x","is_active":1}"#;
        assert_eq!(read(row, false).unwrap(), Record::Partial);
        assert!(read(row, true).unwrap_err().0.contains("incomplete"));
        let none_left = r#"{"product_id":1,"variants":[]}"#;
        assert_eq!(read(none_left, false).unwrap(), Record::Partial);
        assert!(matches!(read(none_left, true).unwrap(), Record::Whole { .. }));
        let listed = r#"{"product_id":1,"variants":[{"sku_id":1,"quantity":0}]}"#;
        assert!(matches!(read(listed, false).unwrap(), Record::Whole { .. }));
    }

    #[test]
    fn what_is_ambiguous_is_refused_by_name() {
        let cases = [
            (r#"{"product_id":1,"variants":{}}"#, "its variants are an object"),
            (r#"{"product_id":1,"variants":[7]}"#, "variant 1: it is a number"),
            (r#"{"product_id":1,"variants":[{"sku_id":"a"}]}"#, "variant 1: sku_id"),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1},{"sku_id":2,"price":"1,0"}]}"#,
                "variant 2: price",
            ),
            (
                r#"{"product_id":1,"variants":[{"sku_id":1,"quantity":1.5}]}"#,
                "variant 1: quantity",
            ),
            (r#"{"product_id":1,"is_active":"yes","variants":[]}"#, "is_active"),
            ("[1]", "instead of an object"),
        ];
        for (json, part) in cases {
            let found = read(json, true).unwrap_err().0;
            assert!(found.contains(part), "{json}: {found}");
        }
    }
}
