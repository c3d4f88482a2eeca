//! Categories and discounts: the short lists that a client reads whole.

use std::sync::Arc;

use crate::journal::Record;
use crate::jsontext::Members;
use crate::make::whole_second;
use crate::page::Test;
use crate::resource::Column;
use crate::table::Row;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Category {
    pub id: i64,
    pub store_id: i64,
    pub name: String,
    pub slug: String,
    pub image: Option<String>,
    pub parent_id: Option<i64>,
    pub is_featured: bool,
    pub position_index: i64,
    pub products_count: i64,
    pub created_ms: i64,
    pub updated_ms: i64,
}

/// Amounts are integer paisa.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discount {
    pub id: i64,
    pub store_id: i64,
    /// Upper case.
    pub code: String,
    /// Off by `amount`; else by `percentage`.
    pub is_amount: bool,
    pub amount: i64,
    pub percentage: i64,
    pub free_shipping_on: bool,
    pub minimum_order_value: Option<i64>,
    pub maximum_discount_amount: Option<i64>,
    pub is_active: bool,
    pub total_use: Option<i64>,
    pub use_per_user: Option<i64>,
    pub starts_ms: Option<i64>,
    pub ends_ms: Option<i64>,
    pub created_ms: i64,
    pub updated_ms: i64,
}

impl Category {
    pub(crate) fn write(&self, out: &mut String) {
        let mut members = Members::open(out);
        members.int("category_id", self.id);
        members.int("store_id", self.store_id);
        members.text("name", &self.name);
        members.text("slug", &self.slug);
        members.text_or_null("image", self.image.as_deref());
        members.int_or_null("parent_id", self.parent_id);
        members.int("is_featured", i64::from(self.is_featured));
        members.int("position_index", self.position_index);
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        members.int("products_count", self.products_count);
        members.close();
    }
}

impl Discount {
    pub(crate) fn write(&self, out: &mut String) {
        let mut members = Members::open(out);
        members.int("discount_id", self.id);
        members.int("store_id", self.store_id);
        members.text("code", &self.code);
        members.int("is_amount", i64::from(self.is_amount));
        members.money("amount", self.amount);
        members.int("percentage", self.percentage);
        members.int("free_shipping_on", i64::from(self.free_shipping_on));
        members.money_or_null("minimum_order_value", self.minimum_order_value);
        members.money_or_null("maximum_discount_amount", self.maximum_discount_amount);
        members.int("is_active", i64::from(self.is_active));
        members.int_or_null("total_use", self.total_use);
        members.int_or_null("use_per_user", self.use_per_user);
        members.stamp_or_null("starts_at", self.starts_ms);
        members.stamp_or_null("ends_at", self.ends_ms);
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        members.close();
    }
}

impl Row for Category {
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
        self.created_ms
    }

    fn text(&self, _column: Column) -> String {
        format!("{:08}{}", self.position_index, self.name.to_lowercase())
    }

    fn passes(&self, test: &Test) -> bool {
        match test {
            Test::Parent(parent) => self.parent_id == *parent,
            _ => true,
        }
    }

    fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn record(row: Arc<Category>) -> Record {
        Record::Category(row)
    }

    fn of(record: &Record) -> Option<&Arc<Category>> {
        match record {
            Record::Category(row) => Some(row),
            _ => None,
        }
    }
}

impl Row for Discount {
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
        self.created_ms
    }

    fn passes(&self, test: &Test) -> bool {
        match test {
            Test::Active(active) => self.is_active == *active,
            Test::Search(part) => self.code.to_lowercase().contains(part),
            _ => true,
        }
    }

    fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out);
        out
    }

    fn record(row: Arc<Discount>) -> Record {
        Record::Discount(row)
    }

    fn of(record: &Record) -> Option<&Arc<Discount>> {
        match record {
            Record::Discount(row) => Some(row),
            _ => None,
        }
    }
}
