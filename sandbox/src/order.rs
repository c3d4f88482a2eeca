//! An order of the pretend shop and the JSON forms it is shown in.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::Record;
use crate::jsontext::{Members, push_text};
use crate::make::whole_second;
use crate::page::Test;
use crate::resource::Column;
use crate::table::Row;

/// One order. Money is integer paisa, stamps are milliseconds since 1970 (UTC) in whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    pub id: i64,
    pub store_id: i64,
    /// `None` for a guest.
    pub user_id: Option<i64>,
    pub status: String,
    pub financial_status: Option<String>,
    pub fulfillment_status: Option<String>,
    pub lines: Vec<Line>,
    pub tax: i64,
    pub shipping: i64,
    /// Positive; subtracted.
    pub discount: i64,
    /// Added to the computed grand total, for an order whose total is not the sum of its parts.
    pub total_error: i64,
    pub payment_method: Option<String>,
    pub note: Option<String>,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub customer: Recipient,
    pub courier: Option<String>,
    pub courier_id: Option<String>,
    pub tracking_code: Option<String>,
    /// The merchant's number: reused, never a key.
    pub serial: Option<String>,
    /// `namespace.key` to value, as the calling app sees them.
    pub metafields: BTreeMap<String, String>,
    /// Further members, name to JSON text.
    pub extra: BTreeMap<String, String>,
}

/// Who gets the parcel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipient {
    pub name: Option<String>,
    /// 11 digits with a leading zero.
    pub phone: Option<String>,
    pub email: Option<String>,
    pub address: Option<String>,
    pub city: Option<String>,
}

/// One line; `price` is paisa a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    pub id: i64,
    pub product_id: Option<i64>,
    pub variant_id: Option<i64>,
    pub bundle_id: Option<i64>,
    pub name: String,
    pub price: i64,
    /// `None` counts as one in the sub-total.
    pub quantity: Option<i64>,
    pub image: Option<String>,
    pub sku: Option<String>,
}

/// Which members an order is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    Bare,
    Lined,
    Detail,
    Aliased,
}

impl Order {
    /// Sum of the lines, paisa.
    pub fn sub_total(&self) -> i64 {
        self.lines
            .iter()
            .fold(0, |sum: i64, line| sum.saturating_add(line.total()))
    }

    /// Sub-total + tax + shipping − discount (+ the deliberate error), paisa.
    pub fn grand_total(&self) -> i64 {
        let parts = [
            self.tax,
            self.shipping,
            self.discount.saturating_neg(),
            self.total_error,
        ];
        parts.into_iter().fold(self.sub_total(), i64::saturating_add)
    }

    /// Everything the shop knows about the order, as the plain detail shows it.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(1_500);
        self.write(&mut out, Form::Detail);
        out
    }

    pub(crate) fn write(&self, out: &mut String, form: Form) {
        let mut members = Members::open(out);
        self.write_columns(&mut members, form == Form::Aliased);
        if form != Form::Bare {
            self.write_courier(&mut members, form == Form::Aliased);
            let name = if form == Form::Aliased { "line_items" } else { "items" };
            self.write_lines(members.name(name));
            self.write_metafields(members.name("metafields"));
        }
        match form {
            Form::Detail => self.write_people(&mut members),
            Form::Aliased => self.write_people_aliased(&mut members),
            Form::Bare | Form::Lined => {}
        }
        for (name, json) in &self.extra {
            members.foreign(name, json);
        }
        members.close();
    }

    fn write_columns(&self, members: &mut Members<'_>, aliased: bool) {
        let name = |plain: &'static str, alias: &'static str| if aliased { alias } else { plain };
        members.int(name("order_id", "id"), self.id);
        members.int("store_id", self.store_id);
        members.int_or_null(name("user_id", "customer_id"), self.user_id);
        members.text(name("order_status", "status"), &self.status);
        members.text_or_null("financial_status", self.financial_status.as_deref());
        members.text_or_null("fulfillment_status", self.fulfillment_status.as_deref());
        members.money("sub_total", self.sub_total());
        members.money("tax", self.tax);
        members.money("shipping", self.shipping);
        members.money("discount", self.discount);
        members.money(name("grand_total", "total"), self.grand_total());
        members.text_or_null("payment_method", self.payment_method.as_deref());
        members.text_or_null("note", self.note.as_deref());
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        members.int("is_guest", i64::from(self.user_id.is_none()));
        members.raw("channel", r#"{"kind":"web","v":3}"#);
    }

    fn write_courier(&self, members: &mut Members<'_>, aliased: bool) {
        let name = |plain: &'static str, alias: &'static str| if aliased { alias } else { plain };
        members.text_or_null("courier", self.courier.as_deref());
        members.text_or_null("courier_id", self.courier_id.as_deref());
        members.text_or_null(name("tracking_code", "tracking_number"), self.tracking_code.as_deref());
        members.text_or_null(name("store_serial_order_no", "order_number"), self.serial.as_deref());
    }

    pub(crate) fn write_lines(&self, out: &mut String) {
        out.push('[');
        for (at, line) in self.lines.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            line.write(out, self.id);
        }
        out.push(']');
    }

    fn write_metafields(&self, out: &mut String) {
        let mut members = Members::open(out);
        for (name, value) in &self.metafields {
            let mut text = String::new();
            push_text(&mut text, value);
            members.foreign(name, &text);
        }
        members.close();
    }

    fn write_people(&self, members: &mut Members<'_>) {
        members.text_or_null("customer_name", self.customer.name.as_deref());
        members.text_or_null("customer_phone", self.customer.phone.as_deref());
        members.text_or_null("customer_email", self.customer.email.as_deref());
        self.write_address(members.name("shipping_address"));
    }

    fn write_people_aliased(&self, members: &mut Members<'_>) {
        members.text_or_null("name", self.customer.name.as_deref());
        members.text_or_null("phone", self.customer.phone.as_deref());
        members.text_or_null("email", self.customer.email.as_deref());
        let mut address = String::new();
        self.write_address(&mut address);
        push_text(members.name("delivery_address"), &address);
    }

    fn write_address(&self, out: &mut String) {
        if self.customer.address.is_none() && self.customer.city.is_none() {
            out.push_str("null");
            return;
        }
        let mut members = Members::open(out);
        members.text_or_null("address", self.customer.address.as_deref());
        members.text_or_null("city", self.customer.city.as_deref());
        members.close();
    }
}

impl Line {
    fn total(&self) -> i64 {
        self.price.saturating_mul(self.quantity.unwrap_or(1))
    }

    fn write(&self, out: &mut String, order_id: i64) {
        let mut members = Members::open(out);
        members.int("order_item_id", self.id);
        members.int("order_id", order_id);
        members.int_or_null("product_id", self.product_id);
        members.int_or_null("variant_id", self.variant_id);
        members.int_or_null("bundle_id", self.bundle_id);
        members.text("name", &self.name);
        members.money("price", self.price);
        members.int_or_null("quantity", self.quantity);
        members.text_or_null("image", self.image.as_deref());
        members.text_or_null("sku", self.sku.as_deref());
        members.close();
    }
}

impl Row for Order {
    const INDEXED: &'static [Column] = &[Column::Created, Column::Updated, Column::GrandTotal];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn touch(&mut self, ms: i64) {
        self.updated_ms = whole_second(ms);
    }

    fn number(&self, column: Column) -> i64 {
        match column {
            Column::Updated => self.updated_ms,
            Column::GrandTotal => self.grand_total(),
            _ => self.created_ms,
        }
    }

    fn passes(&self, test: &Test) -> bool {
        let holds = |texts: &[String], value: &str| texts.iter().any(|text| text.eq_ignore_ascii_case(value));
        match test {
            Test::Status(status) => self.status == *status,
            Test::Customer(customer) => self.user_id == Some(*customer),
            Test::StatusIn(statuses) => holds(statuses, &self.status),
            Test::IdIn(ids) => ids.contains(&self.id),
            Test::CourierIn(couriers) => self.courier.as_ref().is_some_and(|courier| holds(couriers, courier)),
            Test::HasCourier => self.courier.as_ref().is_some_and(|courier| !courier.is_empty()),
            Test::HasTracking => self.tracking_code.as_ref().is_some_and(|code| !code.is_empty()),
            Test::WithoutMetafield(name) => !self.metafields.contains_key(name),
            _ => true,
        }
    }

    fn json(&self) -> String {
        Order::json(self)
    }

    fn record(row: Arc<Order>) -> Record {
        Record::Order(row)
    }

    fn of(record: &Record) -> Option<&Arc<Order>> {
        match record {
            Record::Order(row) => Some(row),
            _ => None,
        }
    }
}
