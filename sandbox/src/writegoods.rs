//! Writes to products, variants and stock.

use serde_json::Value;

use crate::answer::Answer;
use crate::endpoint::Write;
use crate::fields::{Unknown, int, patch};
use crate::options::VariantPut;
use crate::plan::Plan;
use crate::product::{Product, Variant};
use crate::resource::Resource;
use crate::table::Row as _;
use crate::view::{Inventory, Products};
use crate::world::Inner;
use crate::writes::{Body, Outcome, check, column_missing, copy_of, done, missing, refuse, shown};

pub(crate) fn perform(inner: &mut Inner, plan: &mut Plan, body: &Body, write: Write) -> Outcome {
    match write {
        Write::Create(Resource::Products) => create(inner, plan, body),
        Write::Update(Resource::Products, id) => update(inner, plan, body, id),
        Write::Delete(Resource::Products, id) => delete(inner, id),
        Write::AddVariant(id) => add_variant(inner, body, id),
        Write::UpdateVariant(id, sku_id) => update_variant(inner, body, id, sku_id),
        Write::DeleteVariant(id, sku_id) => delete_variant(inner, id, sku_id),
        Write::SetStock(id) => {
            let quantity = body.get("quantity").and_then(int);
            stock(inner, plan, body, (id, quantity), |_, new| new)
        }
        Write::AdjustStock(id) => {
            let keys = ["adjustment", "quantity", "delta"];
            let delta = keys.iter().find_map(|key| body.get(*key)).and_then(int);
            stock(inner, plan, body, (id, delta), i64::saturating_add)
        }
        _ => Err(Answer::error(405, "method_not_allowed", "Method not allowed")),
    }
}

fn create(inner: &mut Inner, plan: &mut Plan, body: &Body) -> Outcome {
    let now_ms = inner.time.now_ms();
    let mut fields = body.clone();
    let asked = fields.remove("variants");
    check::<Product>(&fields)?;
    if !fields.get("name").is_some_and(Value::is_string) {
        return Err(refuse("name is required"));
    }
    let variants = match asked.as_ref().and_then(Value::as_array) {
        Some(asked) => asked
            .iter()
            .enumerate()
            .map(|(at, one)| variant(inner, one, at))
            .collect(),
        // Even a simple product has one variant, which takes its price from the product's body.
        None => variant(inner, &Value::Object(body.clone()), 0).map(|one| vec![one]),
    }?;
    let made = inner.shop.goods.product(now_ms, now_ms);
    let mut product = Product {
        id: made.id,
        store_id: made.store_id,
        slug: made.slug,
        is_active: true,
        is_visible: true,
        created_ms: made.created_ms,
        updated_ms: made.created_ms,
        stocked_ms: made.created_ms,
        variants,
        ..Product::default()
    };
    patch(&mut product, &fields, Unknown::Ignore);
    let code = inner.options.created_code;
    let id = inner.shop.insert_product(product, now_ms);
    shown::<Products>(inner, plan, code, "Product created successfully", id)
}

/// A new variant from its part of a body.
fn variant(inner: &mut Inner, asked: &Value, at: usize) -> Result<Variant, Answer> {
    let Value::Object(fields) = asked else {
        return Err(refuse("Invalid variants"));
    };
    let mut fields = fields.clone();
    for foreign in ["sku_id", "product_id"] {
        fields.remove(foreign);
    }
    check::<Variant>(&fields)?;
    let mut variant = Variant {
        sku_id: inner.shop.goods.fresh_sku(),
        name: "Default".to_owned(),
        is_default: at == 0,
        position: i64::try_from(at).unwrap_or(0),
        ..Variant::default()
    };
    patch(&mut variant, &fields, Unknown::Ignore);
    Ok(variant)
}

fn update(inner: &mut Inner, plan: &mut Plan, body: &Body, id: Option<i64>) -> Outcome {
    let mut product = copy_of::<Products>(inner, id)?;
    let mut fields = body.clone();
    fields.remove("variants");
    check::<Product>(&fields)?;
    patch(&mut product, &fields, Unknown::Ignore);
    let id = product.id;
    put(inner, product);
    shown::<Products>(inner, plan, 200, "Product updated successfully", id)
}

fn put(inner: &mut Inner, mut product: Product) {
    let now_ms = inner.time.now_ms();
    product.touch(now_ms);
    inner.shop.replace_product(product, now_ms);
}

fn delete(inner: &mut Inner, id: Option<i64>) -> Outcome {
    let now_ms = inner.time.now_ms();
    if id.is_some_and(|id| inner.shop.remove_product(id, now_ms)) {
        return Ok(done(200, "Product deleted successfully", "null"));
    }
    Err(missing::<Products>())
}

fn add_variant(inner: &mut Inner, body: &Body, id: Option<i64>) -> Outcome {
    let product = copy_of::<Products>(inner, id)?;
    let at = product.variants.len();
    let made = variant(inner, &Value::Object(body.clone()), at)?;
    let text = written(&made, product.id);
    let now_ms = inner.time.now_ms();
    inner.shop.insert_variant(product.id, made, now_ms);
    Ok(done(inner.options.created_code, "Variant created successfully", &text))
}

fn written(variant: &Variant, product: i64) -> String {
    let mut text = String::new();
    variant.write(&mut text, product);
    text
}

fn no_variant() -> Answer {
    Answer::error(404, "not_found", "Variant not found")
}

fn update_variant(inner: &mut Inner, body: &Body, id: Option<i64>, sku_id: Option<i64>) -> Outcome {
    let mut product = copy_of::<Products>(inner, id)?;
    let found = product
        .variants
        .iter_mut()
        .find(|variant| Some(variant.sku_id) == sku_id);
    let variant = found.ok_or_else(no_variant)?;
    check::<Variant>(body)?;
    patch(variant, body, Unknown::Ignore);
    let text = written(variant, product.id);
    match inner.options.variant_put {
        VariantPut::Works => put(inner, product),
        VariantPut::FailsWritten => {
            put(inner, product);
            return Err(column_missing());
        }
        VariantPut::FailsUnwritten => return Err(column_missing()),
    }
    Ok(done(200, "Variant updated successfully", &text))
}

fn delete_variant(inner: &mut Inner, id: Option<i64>, sku_id: Option<i64>) -> Outcome {
    let mut product = copy_of::<Products>(inner, id)?;
    let before = product.variants.len();
    product.variants.retain(|variant| Some(variant.sku_id) != sku_id);
    if product.variants.len() == before {
        return Err(no_variant());
    }
    put(inner, product);
    Ok(done(200, "Variant deleted successfully", "null"))
}

/// Sets or moves the stock of the variant the body names; `asked` is the product and the figure.
fn stock(
    inner: &mut Inner,
    plan: &mut Plan,
    body: &Body,
    asked: (Option<i64>, Option<i64>),
    change: fn(i64, i64) -> i64,
) -> Outcome {
    let product = copy_of::<Products>(inner, asked.0)?;
    let sku_id = body
        .get("sku_id")
        .and_then(int)
        .ok_or_else(|| refuse("sku_id is required"))?;
    let figure = asked.1.ok_or_else(|| refuse("quantity must be an integer"))?;
    product.variant(sku_id).ok_or_else(no_variant)?;
    let now_ms = inner.time.now_ms();
    inner.shop.stock(sku_id, now_ms, |quantity| change(quantity, figure));
    shown::<Inventory>(inner, plan, 200, "Inventory updated successfully", product.id)
}
