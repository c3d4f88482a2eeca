//! Sets the fields of a record by the platform's names, from the body of a write; money goes from its digits to paisa.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::customer::{AddressForm, Customer};
use crate::order::Order;
use crate::product::{Product, Variant};
use crate::query::{read_paisa, read_stamp};

/// What came of setting one field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    Set,
    /// The field takes no such value, or no value at all.
    Unfit,
    /// There is no such field.
    Unknown,
}

/// A record whose fields can be set by name.
pub(crate) trait Fields: Default {
    /// `None` if the value does not suit.
    fn set(&mut self, name: &str, value: &Value) -> Option<Fit>;
    fn extra(&mut self) -> &mut BTreeMap<String, String>;
}

/// What becomes of a name the record does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// It is a further member from now on.
    Keep,
    /// It is ignored silently, as the platform does.
    Ignore,
}

/// The first field whose value does not suit it. That depends on no record, so it is tried on an empty one before
/// anything changes.
pub(crate) fn unfit<R: Fields>(fields: &Map<String, Value>) -> Option<&str> {
    let mut scratch = R::default();
    let found = fields
        .iter()
        .find(|(name, value)| scratch.set(name, value).unwrap_or(Fit::Unfit) == Fit::Unfit);
    found.map(|(name, _)| name.as_str())
}

/// Sets checked fields.
pub(crate) fn patch<R: Fields>(row: &mut R, fields: &Map<String, Value>, unknown: Unknown) {
    for (name, value) in fields {
        if row.set(name, value) == Some(Fit::Unknown) && unknown == Unknown::Keep {
            row.extra().insert(name.clone(), value.to_string());
        }
    }
}

/// Taka as a number or text.
pub(crate) fn paisa(value: &Value) -> Option<i64> {
    read_paisa(&value.as_str().map_or_else(|| value.to_string(), str::to_owned))
}

/// An integer, or its digits as text.
pub(crate) fn int(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.trim().parse().ok())
}

fn text(value: &Value) -> Option<Option<String>> {
    if value.is_null() {
        return Some(None);
    }
    value.as_str().map(|text| Some(text.to_owned()))
}

fn int_or_null(value: &Value) -> Option<Option<i64>> {
    if value.is_null() {
        Some(None)
    } else {
        int(value).map(Some)
    }
}

fn flag(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| match int(value)? {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    })
}

impl Fields for Order {
    fn set(&mut self, name: &str, value: &Value) -> Option<Fit> {
        match name {
            "order_status" => self.status = value.as_str()?.to_owned(),
            "financial_status" => self.financial_status = text(value)?,
            "fulfillment_status" => self.fulfillment_status = text(value)?,
            "payment_method" => self.payment_method = text(value)?,
            "note" => self.note = text(value)?,
            "courier" => self.courier = text(value)?,
            "courier_id" => self.courier_id = text(value)?,
            "tracking_code" => self.tracking_code = text(value)?,
            "store_serial_order_no" => self.serial = text(value)?,
            "customer_name" => self.customer.name = text(value)?,
            "customer_phone" => self.customer.phone = text(value)?,
            "customer_email" => self.customer.email = text(value)?,
            "user_id" => self.user_id = int_or_null(value)?,
            "tax" => self.tax = paisa(value)?,
            "shipping" => self.shipping = paisa(value)?,
            "discount" => self.discount = paisa(value)?,
            "created_at" => self.created_ms = read_stamp(value.as_str()?)?,
            "order_id" | "store_id" | "items" | "sub_total" | "grand_total" | "updated_at" => return Some(Fit::Unfit),
            _ => return Some(Fit::Unknown),
        }
        Some(Fit::Set)
    }

    fn extra(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.extra
    }
}

impl Fields for Customer {
    fn set(&mut self, name: &str, value: &Value) -> Option<Fit> {
        match name {
            "name" => self.name = value.as_str()?.to_owned(),
            "email" => self.email = text(value)?,
            "phone" => self.phone = text(value)?,
            "is_guest" => self.is_guest = flag(value)?,
            "total_orders" => self.total_orders = int(value)?,
            "total_spent" => self.total_spent = paisa(value)?,
            "created_at" => self.created_ms = read_stamp(value.as_str()?)?,
            "address_json" => self.set_address(value)?,
            "user_id" | "store_id" | "updated_at" => return Some(Fit::Unfit),
            _ => return Some(Fit::Unknown),
        }
        Some(Fit::Set)
    }

    fn extra(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.extra
    }
}

impl Customer {
    fn set_address(&mut self, value: &Value) -> Option<()> {
        self.address_form = match value {
            Value::Null => AddressForm::Null,
            Value::String(text) if text.is_empty() => AddressForm::Empty,
            Value::String(json) => {
                self.set_address(&serde_json::from_str::<Map<String, Value>>(json).ok()?.into())?;
                AddressForm::Text
            }
            Value::Object(members) => {
                let part = |name: &str| members.get(name).map_or(Some(None), text);
                (self.address, self.city) = (part("address")?, part("city")?);
                AddressForm::Object
            }
            _ => return None,
        };
        Some(())
    }
}

impl Fields for Product {
    fn set(&mut self, name: &str, value: &Value) -> Option<Fit> {
        match name {
            "name" => self.name = value.as_str()?.to_owned(),
            "slug" => self.slug = value.as_str()?.to_owned(),
            "category_id" => self.category_id = int_or_null(value)?,
            "brand_id" => self.brand_id = int_or_null(value)?,
            "is_active" => self.is_active = flag(value)?,
            "is_visible" => self.is_visible = flag(value)?,
            "is_featured" => self.is_featured = flag(value)?,
            "is_bestseller" => self.is_bestseller = flag(value)?,
            "description" => self.description = text(value)?,
            "short_description" => self.short_description = text(value)?,
            "created_at" => self.created_ms = read_stamp(value.as_str()?)?,
            "product_id" | "store_id" | "updated_at" => return Some(Fit::Unfit),
            _ => return Some(Fit::Unknown),
        }
        Some(Fit::Set)
    }

    fn extra(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.extra
    }
}

impl Fields for Variant {
    fn set(&mut self, name: &str, value: &Value) -> Option<Fit> {
        match name {
            "variant_name" => self.name = value.as_str()?.to_owned(),
            "sku_code" => self.sku_code = text(value)?,
            "price" => self.price = paisa(value)?,
            "compare_at_price" if value.is_null() => self.compare_at_price = None,
            "compare_at_price" => self.compare_at_price = Some(paisa(value)?),
            "quantity" => self.quantity = int(value)?,
            "available" => self.available = Some(flag(value)?),
            "is_default" => self.is_default = flag(value)?,
            "images" => self.images = text(value)?,
            "weight" => self.weight = int_or_null(value)?,
            "position" => self.position = int(value)?,
            "free_shipping" => self.free_shipping = flag(value)?,
            "sku_id" | "product_id" => return Some(Fit::Unfit),
            _ => return Some(Fit::Unknown),
        }
        Some(Fit::Set)
    }

    fn extra(&mut self) -> &mut BTreeMap<String, String> {
        &mut self.extra
    }
}
