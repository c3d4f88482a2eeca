//! Which topics an entry of the journal is told under, and with what payload: enough to know what to read again.

use std::collections::BTreeMap;

use crate::journal::{Change, Happened, Record};
use crate::jsontext::Members;
use crate::order::Order;
use crate::product::Product;

/// A topic and its `data`.
pub(crate) struct News {
    pub(crate) topic: &'static str,
    pub(crate) data: String,
}

/// `undocumented` adds the topics that only the SDK lists.
pub(crate) fn news(entry: &Happened, undocumented: bool) -> Vec<News> {
    let kind = entry.event.kind;
    let mut told = match &entry.event.record {
        Record::Order(order) => orders(kind, order, entry.before.as_ref()),
        Record::Customer(customer) => match kind {
            Change::Deleted => Vec::new(),
            Change::Created => vec![plain("customer.created", "user_id", customer.id)],
            Change::Updated => vec![plain("customer.updated", "user_id", customer.id)],
        },
        Record::Product(product) => products(kind, product, entry.before.as_ref()),
        Record::Category(_) | Record::Discount(_) | Record::Metafield(_) => Vec::new(),
    };
    told.retain(|news| undocumented || !matches!(news.topic, "order.cancelled" | "order.deleted"));
    told
}

fn plain(topic: &'static str, name: &str, id: i64) -> News {
    let mut data = String::new();
    let mut members = Members::open(&mut data);
    members.int(name, id);
    members.close();
    News { topic, data }
}

fn orders(kind: Change, order: &Order, before: Option<&Record>) -> Vec<News> {
    let previous = match before {
        Some(Record::Order(before)) => Some(before.status.as_str()),
        _ => None,
    };
    let news = |topic, previous: Option<&str>| News {
        topic,
        data: order_data(order, previous),
    };
    match kind {
        Change::Created => vec![news("order.created", None)],
        Change::Deleted => vec![plain("order.deleted", "order_id", order.id)],
        Change::Updated if previous == Some(order.status.as_str()) => vec![news("order.updated", None)],
        Change::Updated => {
            let mut told = vec![news("order.updated", None), news("order.status_changed", previous)];
            if order.status == "cancelled" {
                told.push(news("order.cancelled", None));
            }
            told
        }
    }
}

/// No line, and no amount but the total.
fn order_data(order: &Order, previous: Option<&str>) -> String {
    let mut data = String::with_capacity(400);
    let mut members = Members::open(&mut data);
    members.int("order_id", order.id);
    members.text_or_null("order_number", order.serial.as_deref());
    members.text("store_name", "নীলাচল Boutique");
    members.text_or_null("customer_name", order.customer.name.as_deref());
    // The API writes 01…, the webhooks +8801….
    let phone = order.customer.phone.as_ref().map(|phone| format!("+88{phone}"));
    members.text_or_null("customer_phone", phone.as_deref());
    members.money("total", order.grand_total());
    members.text("tracking_id", order.tracking_code.as_deref().unwrap_or(""));
    members.text("status", &order.status);
    if let Some(previous) = previous {
        members.text("previous_status", previous);
    }
    members.close();
    data
}

fn products(kind: Change, product: &Product, before: Option<&Record>) -> Vec<News> {
    let before = match before {
        Some(Record::Product(before)) => before,
        _ => return vec![plain("product.created", "product_id", product.id)],
    };
    if kind == Change::Deleted {
        return vec![plain("product.deleted", "product_id", product.id)];
    }
    let held: BTreeMap<i64, i64> = before
        .variants
        .iter()
        .map(|variant| (variant.sku_id, variant.quantity))
        .collect();
    let moved = product
        .variants
        .iter()
        .filter(|variant| held.get(&variant.sku_id) != Some(&variant.quantity));
    let mut told: Vec<News> = moved
        .map(|variant| {
            let mut data = String::new();
            let mut members = Members::open(&mut data);
            members.int("product_id", product.id);
            members.int("sku_id", variant.sku_id);
            members.text_or_null("sku_code", variant.sku_code.as_deref());
            members.int("quantity", variant.quantity);
            members.close();
            News {
                topic: "inventory.updated",
                data,
            }
        })
        .collect();
    if without_stock(product) != without_stock(before) || told.is_empty() {
        told.push(plain("product.updated", "product_id", product.id));
    }
    told
}

/// The product as it is when stock and stamps do not count.
fn without_stock(product: &Product) -> Product {
    let mut copy = product.clone();
    (copy.updated_ms, copy.stocked_ms) = (0, 0);
    for variant in &mut copy.variants {
        variant.quantity = 0;
    }
    copy
}
