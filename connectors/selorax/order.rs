//! The canonical order, made from what the platform sends under any of its names. Pure.
//!
//! Money keeps its digits, ids are numbers of any length, times are RFC 3339 UTC, and what the
//! platform did not send is null. The one figure made here is a line's total, unit price times
//! quantity, exact, where the platform gives none. The platform's own object stays under `raw`.

use contract::{Fields, Malformed, Number, Record, Value};
use rust_decimal::Decimal;

use super::read::{first, id_value, inner, money, named, sku, text_of, time};

/// Statuses known by name; they are compared without regard to case, and one has two spellings.
const STATUSES: [&str; 9] = [
    "pending",
    "confirmed",
    "processing",
    "shipped",
    "delivered",
    "completed",
    "cancelled",
    "hold",
    "refunded",
];

/// `single`: the body is the order's own answer, so lines that are missing will not come later.
pub(super) fn decode(raw: Value, single: bool, currency: Option<&str>) -> Result<Record, Malformed> {
    if !matches!(raw, Value::Map(_)) {
        return Err(Malformed(format!("the order is {} instead of an object", raw.kind())));
    }
    let mut reading = Reading {
        outer: &raw,
        order: inner(&raw, "order"),
        flags: Vec::new(),
    };
    let lines = reading.lines()?;
    if lines.is_empty() {
        return if single {
            Err(Malformed(
                "incomplete: the store shows no lines for this order, so it is not sent".to_owned(),
            ))
        } else {
            Ok(Record::Partial)
        };
    }
    let mut fields = reading.fields(lines, currency)?;
    let flags = reading.flags;
    fields.push("raw", raw);
    Ok(Record::Whole {
        value: Value::Map(fields),
        flags,
    })
}

struct Reading<'v> {
    /// The whole answer; most often the order itself.
    outer: &'v Value,
    order: &'v Value,
    flags: Vec<String>,
}

impl<'v> Reading<'v> {
    fn first(&self, names: &[&str]) -> Option<&'v Value> {
        let found = first(self.order, names);
        // Most often they are one, and what is not in it need not be sought twice.
        if found.is_some() || std::ptr::eq(self.order, self.outer) {
            return found;
        }
        first(self.outer, names)
    }

    fn fields(&mut self, lines: Vec<Value>, currency: Option<&str>) -> Result<Fields, Malformed> {
        let address = self.address();
        let mut fields = Fields::with_capacity(24);
        fields.push("id", id_value(self.first(&["order_id", "id"]), "order_id")?);
        fields.push(
            "number",
            self.text("number", &["store_serial_order_no", "order_number", "number"])?,
        );
        fields.push("status", self.status()?);
        fields.push(
            "financial_status",
            self.text("financial_status", &["financial_status"])?,
        );
        fields.push(
            "fulfillment_status",
            self.text("fulfillment_status", &["fulfillment_status"])?,
        );
        let own = self.text("currency", &["currency"])?;
        fields.push(
            "currency",
            if own.is_null() {
                currency.map_or(Value::Null, Value::from)
            } else {
                own
            },
        );
        let money = [
            ("subtotal", self.money(&["sub_total", "subtotal"])?),
            ("tax_total", self.money(&["tax", "tax_total"])?),
            (
                "shipping_total",
                self.money(&["shipping", "shipping_total", "shipping_charge"])?,
            ),
            ("discount_total", self.money(&["discount", "discount_total"])?),
            ("grand_total", self.money(&["grand_total", "total"])?),
        ];
        self.check_sums(&money, &lines);
        for (name, amount) in money {
            fields.push(name, amount.map_or(Value::Null, Value::Number));
        }
        fields.push("payment_method", self.text("payment_method", &["payment_method"])?);
        fields.push("note", self.text("note", &["note", "notes"])?);
        fields.push("courier", self.text("courier", &["courier"])?);
        fields.push(
            "tracking_code",
            self.text("tracking_code", &["tracking_code", "tracking_id", "tracking_number"])?,
        );
        fields.push("created_at", self.time("created_at"));
        fields.push("updated_at", self.time("updated_at"));
        fields.push("customer", self.customer(&address)?);
        fields.push("shipping_address", address);
        fields.push("lines", Value::List(lines));
        fields.push("metafields", self.first(&["metafields"]).cloned().unwrap_or_default());
        Ok(fields)
    }

    /// A text, or a number told as text. Serials are texts, some apps send them as numbers.
    fn text(&self, name: &str, names: &[&str]) -> Result<Value, Malformed> {
        match self.first(names) {
            None => Ok(Value::Null),
            Some(value) => text_of(value, name),
        }
    }

    fn status(&self) -> Result<Value, Malformed> {
        let status = self.text("status", &["order_status", "status"])?;
        let Some(text) = status.as_text() else {
            return Ok(status);
        };
        let lower = text.trim().to_lowercase();
        let lower = if lower == "canceled" { "cancelled" } else { &lower };
        Ok(STATUSES
            .iter()
            .find(|known| **known == lower)
            .map_or(status.clone(), |known| Value::from(*known)))
    }

    fn money(&self, names: &[&str]) -> Result<Option<Number>, Malformed> {
        // `shipping` is a charge; where some answer has an address under that name it is not money.
        match self.first(names) {
            None | Some(Value::Map(_)) => Ok(None),
            Some(value) => money(value).map(Some).map_err(|error| named(names[0], error)),
        }
    }

    fn time(&mut self, name: &'static str) -> Value {
        let value = self.first(&[name]);
        time(value, name, &mut self.flags)
    }

    /// An object, a text, or an object written as JSON text.
    fn address(&self) -> Value {
        let Some(value) = self.first(&["shipping_address", "delivery_address", "address", "address_json"]) else {
            return Value::Null;
        };
        match value.as_text() {
            None => value.clone(),
            Some(text) if text.trim().is_empty() => Value::Null,
            Some(text) if text.trim_start().starts_with('{') => {
                Value::parse(text).unwrap_or_else(|_| Value::from(text))
            }
            Some(text) => Value::from(text),
        }
    }

    /// Name and phone come from the delivery address first, as in the platform's own messages.
    fn customer(&self, address: &Value) -> Result<Value, Malformed> {
        let nested = self
            .first(&["customer", "user"])
            .filter(|value| matches!(value, Value::Map(_)));
        let pick = |name: &'static str, own: &[&str], inside: &[&str]| {
            let found = self
                .first(own)
                .or_else(|| first(address, inside))
                .or_else(|| nested.and_then(|n| first(n, inside)));
            found.map_or(Ok(Value::Null), |value| text_of(value, name))
        };
        let id = self
            .first(&["user_id", "customer_id"])
            .or_else(|| nested.and_then(|n| first(n, &["user_id", "id"])));
        let mut fields = Fields::with_capacity(4);
        fields.push("id", id_value(id, "user_id")?);
        fields.push(
            "name",
            pick("customer name", &["customer_name", "shipping_name", "name"], &["name"])?,
        );
        fields.push(
            "email",
            pick("customer email", &["customer_email", "email"], &["email"])?,
        );
        fields.push(
            "phone",
            pick(
                "customer phone",
                &["customer_phone", "shipping_phone", "phone"],
                &["phone"],
            )?,
        );
        Ok(Value::Map(fields))
    }

    fn lines(&self) -> Result<Vec<Value>, Malformed> {
        let Some(list) = self.first(&["items", "order_items", "line_items", "products"]) else {
            return Ok(Vec::new());
        };
        let Some(items) = list.as_list() else {
            return Err(Malformed(format!("its lines are {} instead of a list", list.kind())));
        };
        let numbered = items.iter().enumerate();
        numbered
            .map(|(n, item)| line(item).map_err(|error| Malformed(format!("line {}: {error}", n + 1))))
            .collect()
    }

    /// Says so where the parts do not add up. The order is sent as it came all the same.
    fn check_sums(&mut self, money: &[(&str, Option<Number>); 5], lines: &[Value]) {
        let amount = |n: usize| money[n].1.as_ref().map(Number::decimal);
        let part = |n: usize| amount(n).unwrap_or(Some(Decimal::ZERO));
        let (Some(Some(subtotal)), Some(Some(total))) = (amount(0), amount(4)) else {
            return;
        };
        if let (Some(tax), Some(shipping), Some(discount)) = (part(1), part(2), part(3)) {
            let sum = [tax, shipping, -discount]
                .into_iter()
                .try_fold(subtotal, Decimal::checked_add);
            if sum.is_some_and(|sum| sum != total) {
                let sum = sum.unwrap_or_default();
                self.flags
                    .push(format!("its parts add up to {sum}, its grand total is {total}"));
            }
        }
        let totals = lines.iter().map(|line| match line.get("total") {
            Some(Value::Number(total)) => total.decimal(),
            _ => None,
        });
        let sum = totals
            .into_iter()
            .try_fold(Decimal::ZERO, |sum, total| sum.checked_add(total?));
        if let Some(sum) = sum.filter(|sum| *sum != subtotal) {
            self.flags
                .push(format!("its lines add up to {sum}, its subtotal is {subtotal}"));
        }
    }
}

fn line(item: &Value) -> Result<Value, Malformed> {
    if !matches!(item, Value::Map(_)) {
        return Err(Malformed(format!("it is {} instead of an object", item.kind())));
    }
    let number = |name: &str, names: &[&str]| match first(item, names) {
        None => Ok(None),
        Some(value) => money(value).map(Some).map_err(|error| named(name, error)),
    };
    let price = number("price", &["price", "unit_price"])?;
    let quantity = number("quantity", &["quantity", "qty"])?;
    let total = match number("total", &["total", "line_total"])? {
        Some(total) => Some(total),
        None => product(price.as_ref(), quantity.as_ref()),
    };
    let mut fields = Fields::with_capacity(8);
    fields.push("id", id_value(first(item, &["order_item_id", "id"]), "order_item_id")?);
    fields.push("product_id", id_value(first(item, &["product_id"]), "product_id")?);
    fields.push(
        "sku_id",
        id_value(first(item, &["variant_id", "sku_id"]), "variant_id")?,
    );
    fields.push("sku", sku(first(item, &["sku", "sku_code"]))?);
    fields.push(
        "name",
        first(item, &["name", "product_name"]).map_or(Ok(Value::Null), |name| text_of(name, "name"))?,
    );
    for (name, number) in [("quantity", quantity), ("unit_price", price), ("total", total)] {
        fields.push(name, number.map_or(Value::Null, Value::Number));
    }
    Ok(Value::Map(fields))
}

fn product(price: Option<&Number>, quantity: Option<&Number>) -> Option<Number> {
    price?.decimal()?.checked_mul(quantity?.decimal()?).map(Number::from)
}
