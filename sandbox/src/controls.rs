//! The controls for records, stock and webhooks: what a person may do to the shop by hand.

use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::control::{Outcome, body, done, json_answer, refuse, wrong_method};
use crate::customer::Customer;
use crate::fields::{Fields, Unknown, int, patch, unfit};
use crate::hooks::Delivery;
use crate::http::Incoming;
use crate::jsontext::stamp;
use crate::options::Waits;
use crate::order::Order;
use crate::product::{Product, Variant};
use crate::webhook::Subscription;
use crate::world::World;

/// Records a request makes at most.
const COUNT_MAX: u64 = 100_000;

/// A kind of record that can be made, changed and deleted by hand.
trait ByHand: Fields {
    /// Of the ids in the answer to what was made.
    const IDS: &'static str;
    const MISSING: &'static str;

    fn show(world: &World, id: i64) -> Option<String>;
    fn make(world: &World, edit: impl FnOnce(&mut Self)) -> i64;
    fn change(world: &World, id: i64, edit: impl FnOnce(&mut Self)) -> bool;
    fn delete(world: &World, id: i64) -> bool;
}

impl ByHand for Order {
    const IDS: &'static str = "order_ids";
    const MISSING: &'static str = "Order not found";

    fn show(world: &World, id: i64) -> Option<String> {
        world.order(id).map(|order| order.json())
    }

    fn make(world: &World, edit: impl FnOnce(&mut Order)) -> i64 {
        world.insert_order(edit)
    }

    fn change(world: &World, id: i64, edit: impl FnOnce(&mut Order)) -> bool {
        world.update_order(id, edit)
    }

    fn delete(world: &World, id: i64) -> bool {
        world.delete_order(id)
    }
}

impl ByHand for Customer {
    const IDS: &'static str = "user_ids";
    const MISSING: &'static str = "Customer not found";

    fn show(world: &World, id: i64) -> Option<String> {
        world.customer(id).map(|customer| customer.json())
    }

    fn make(world: &World, edit: impl FnOnce(&mut Customer)) -> i64 {
        world.insert_customer(edit)
    }

    fn change(world: &World, id: i64, edit: impl FnOnce(&mut Customer)) -> bool {
        world.update_customer(id, edit)
    }

    fn delete(world: &World, id: i64) -> bool {
        world.delete_customer(id)
    }
}

impl ByHand for Product {
    const IDS: &'static str = "product_ids";
    const MISSING: &'static str = "Product not found";

    fn show(world: &World, id: i64) -> Option<String> {
        world.product(id).map(|product| product.json())
    }

    fn make(world: &World, edit: impl FnOnce(&mut Product)) -> i64 {
        world.insert_product(edit)
    }

    fn change(world: &World, id: i64, edit: impl FnOnce(&mut Product)) -> bool {
        world.update_product(id, edit)
    }

    fn delete(world: &World, id: i64) -> bool {
        world.delete_product(id)
    }
}

/// Variants are made in a product, so `make` has nowhere to put one.
struct Variants;

pub(crate) fn orders(world: &World, incoming: &Incoming, steps: &[&str]) -> Outcome {
    records::<Order>(world, incoming, steps.first().copied())
}

pub(crate) fn customers(world: &World, incoming: &Incoming, steps: &[&str]) -> Outcome {
    records::<Customer>(world, incoming, steps.first().copied())
}

pub(crate) fn products(world: &World, incoming: &Incoming, steps: &[&str]) -> Outcome {
    match steps {
        [id, "variants"] if incoming.method == "POST" => Variants::make(world, incoming, id),
        _ => records::<Product>(world, incoming, steps.first().copied()),
    }
}

fn not_found(message: &str) -> Answer {
    Answer::error(404, "not_found", message)
}

fn records<R: ByHand>(world: &World, incoming: &Incoming, id: Option<&str>) -> Outcome {
    let Some(id) = id else {
        return match incoming.method.as_str() {
            "POST" => create::<R>(world, incoming),
            _ => Err(wrong_method("POST creates")),
        };
    };
    let missing = || not_found(R::MISSING);
    let id: i64 = id.parse().map_err(|_| missing())?;
    let found = match incoming.method.as_str() {
        "GET" => {
            return R::show(world, id)
                .map(|text| Answer::json(200, text))
                .ok_or_else(missing);
        }
        "DELETE" => R::delete(world, id),
        "POST" => {
            let fields = body(incoming)?;
            check::<R>(&fields)?;
            R::change(world, id, |row| patch(row, &fields, Unknown::Keep))
        }
        _ => return Err(wrong_method("GET, POST or DELETE")),
    };
    if found { Ok(done()) } else { Err(missing()) }
}

fn create<R: ByHand>(world: &World, incoming: &Incoming) -> Outcome {
    let mut fields = body(incoming)?;
    let count = match fields.remove("count") {
        None => 1,
        Some(count) => count
            .as_u64()
            .filter(|count| *count <= COUNT_MAX)
            .ok_or_else(|| refuse("count: 0 to 100000"))?,
    };
    check::<R>(&fields)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(R::make(world, |row| patch(row, &fields, Unknown::Keep)));
    }
    Ok(json_answer(&json!({R::IDS: ids})))
}

/// Refuses values that do not suit their fields, before anything changes.
fn check<R: Fields>(fields: &Map<String, Value>) -> Result<(), Answer> {
    unfit::<R>(fields).map_or(Ok(()), |name| {
        Err(refuse(&format!("{name}: not a value this field takes")))
    })
}

impl Variants {
    fn make(world: &World, incoming: &Incoming, product: &str) -> Outcome {
        let fields = body(incoming)?;
        check::<Variant>(&fields)?;
        let product = product.parse().map_err(|_| not_found(Product::MISSING))?;
        let made = world.insert_variant(product, |variant| patch(variant, &fields, Unknown::Keep));
        let sku_id = made.ok_or_else(|| not_found(Product::MISSING))?;
        Ok(json_answer(&json!({"sku_id": sku_id})))
    }
}

/// `/variants/SKU`
pub(crate) fn variants(world: &World, incoming: &Incoming, sku_id: &str) -> Outcome {
    let missing = || not_found("Variant not found");
    let sku_id: i64 = sku_id.parse().map_err(|_| missing())?;
    let found = match incoming.method.as_str() {
        "DELETE" => world.delete_variant(sku_id),
        "POST" => {
            let fields = body(incoming)?;
            check::<Variant>(&fields)?;
            world.update_variant(sku_id, |variant| patch(variant, &fields, Unknown::Keep))
        }
        _ => return Err(wrong_method("POST or DELETE")),
    };
    if found { Ok(done()) } else { Err(missing()) }
}

/// `/stock/SKU`
pub(crate) fn stock(world: &World, incoming: &Incoming, sku_id: &str) -> Outcome {
    let missing = || not_found("Variant not found");
    let sku_id: i64 = sku_id.parse().map_err(|_| missing())?;
    if incoming.method == "POST" {
        let fields = body(incoming)?;
        let (quantity, by) = (fields.get("quantity").and_then(int), fields.get("by").and_then(int));
        let found = match (quantity, by) {
            (Some(quantity), _) => world.set_stock(sku_id, quantity),
            (None, Some(by)) => world.move_stock(sku_id, by).is_some(),
            (None, None) => return Err(refuse("quantity or by: an integer")),
        };
        if !found {
            return Err(missing());
        }
    }
    let quantity = world.stock(sku_id).ok_or_else(missing)?;
    Ok(json_answer(&json!({"sku_id": sku_id, "quantity": quantity})))
}

/// `/webhooks…`
pub(crate) fn webhooks(world: &World, incoming: &Incoming, steps: &[&str]) -> Outcome {
    match (incoming.method.as_str(), steps) {
        ("GET", []) => Ok(json_answer(&webhooks_json(world))),
        ("POST", []) => subscribe(world, &body(incoming)?),
        ("POST", ["options"]) => webhook_options(world, &body(incoming)?),
        ("POST", ["publish"]) => {
            let fields = body(incoming)?;
            let topic = fields.get("topic").and_then(Value::as_str);
            let data = fields.get("data").map_or_else(|| "{}".to_owned(), Value::to_string);
            world.publish(topic.ok_or_else(|| refuse("topic: a text"))?, &data);
            Ok(done())
        }
        ("POST", ["redeliver", event]) if world.redeliver(event) => Ok(done()),
        ("POST", [id]) => {
            let fields = body(incoming)?;
            let active = fields.get("is_active").and_then(int).map(|flag| flag != 0);
            let secret = fields.get("secret").and_then(Value::as_str);
            changed(world.update_subscription(number(id)?, |one| {
                one.is_active = active.unwrap_or(one.is_active);
                one.secret = secret.unwrap_or(&one.secret).to_owned();
            }))
        }
        ("DELETE", [id]) => changed(world.delete_subscription(number(id)?)),
        _ => Err(not_found("No such control; see GET /_sandbox")),
    }
}

fn number(text: &str) -> Result<i64, Answer> {
    text.parse().map_err(|_| refuse("the id is a number"))
}

fn changed(found: bool) -> Outcome {
    if found {
        Ok(done())
    } else {
        Err(not_found("Subscription not found"))
    }
}

fn subscribe(world: &World, fields: &Map<String, Value>) -> Outcome {
    let word = |name: &str| fields.get(name).and_then(Value::as_str);
    let url = word("url").ok_or_else(|| refuse("url: a loopback address"))?;
    let made = match word("topic") {
        Some(topic) => world.subscribe(topic, url).map(|one| vec![one]),
        None => world.subscribe_all(url),
    };
    let made = made.map_err(|complaint| refuse(&complaint))?;
    Ok(json_answer(&made.iter().map(subscription_json).collect()))
}

fn subscription_json(one: &Subscription) -> Value {
    json!({
        "id": one.id,
        "topic": one.topic,
        "url": one.url,
        "secret": one.secret,
        "is_active": one.is_active,
        "failures": one.failures,
    })
}

fn delivery_json(one: &Delivery) -> Value {
    json!({
        "id": one.id,
        "subscription": one.subscription,
        "event_id": one.event_id,
        "topic": one.topic,
        "attempt": one.attempt,
        "at": stamp(one.at_ms),
        "status": one.status,
        "outcome": format!("{:?}", one.outcome).to_lowercase(),
        "body": one.body,
    })
}

fn webhooks_json(world: &World) -> Value {
    json!({
        "subscriptions": world.subscriptions().iter().map(subscription_json).collect::<Vec<_>>(),
        "deliveries": world.deliveries().iter().map(delivery_json).collect::<Vec<_>>(),
        "pending": world.pending_deliveries(),
        "lost": world.lost_events(),
    })
}

fn webhook_options(world: &World, fields: &Map<String, Value>) -> Outcome {
    let mut options = world.webhook_options();
    for (name, value) in fields {
        let whole = || value.as_u64().ok_or_else(|| refuse(&format!("{name}: a whole number")));
        let small = || u32::try_from(whole()?).map_err(|_| refuse(&format!("{name}: too great")));
        let wait = || Ok::<_, Answer>(std::time::Duration::from_millis(whole()?));
        match name.as_str() {
            "timeout_ms" => options.timeout = wait()?,
            "delay_ms" => options.delay = wait()?,
            "reorder_hold_ms" => options.reorder_hold = wait()?,
            "retry_scale" => options.waits = Waits::Hastened(small()?),
            "deactivate_after" => options.deactivate_after = if value.is_null() { None } else { Some(small()?) },
            "duplicate_percent" => options.duplicate_percent = small()?,
            "reorder_percent" => options.reorder_percent = small()?,
            "stale_by_ms" => options.stale_by_ms = int(value).ok_or_else(|| refuse("stale_by_ms: a number"))?,
            _ => return Err(refuse(&format!("{name}: no such option"))),
        }
    }
    world.set_webhooks(|now| *now = options);
    Ok(done())
}
