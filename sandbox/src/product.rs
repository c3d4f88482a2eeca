//! A product with its variants and stock, and the JSON of the product and inventory endpoints.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::journal::Record;
use crate::jsontext::Members;
use crate::make::whole_second;
use crate::page::Test;
use crate::resource::Column;
use crate::table::Row;

/// One product. Money is integer paisa, stamps are milliseconds since 1970 (UTC) in whole seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Product {
    pub id: i64,
    pub store_id: i64,
    pub name: String,
    pub slug: String,
    pub category_id: Option<i64>,
    pub brand_id: Option<i64>,
    pub is_active: bool,
    pub is_visible: bool,
    pub description: Option<String>,
    pub short_description: Option<String>,
    pub is_featured: bool,
    pub is_bestseller: bool,
    pub created_ms: i64,
    pub updated_ms: i64,
    /// `updated_at` of the row of `GET /inventory`.
    pub stocked_ms: i64,
    pub variants: Vec<Variant>,
    /// Further members, name to JSON text.
    pub extra: BTreeMap<String, String>,
}

/// One variant; `price` is paisa a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// The shop's key of a thing that is kept in stock.
    pub sku_id: i64,
    pub name: String,
    /// The merchant's code: can be missing, blank, or the same as another variant's.
    pub sku_code: Option<String>,
    pub price: i64,
    pub compare_at_price: Option<i64>,
    pub quantity: i64,
    /// `None` says what the quantity says; the platform's flag can disagree with it.
    pub available: Option<bool>,
    pub is_default: bool,
    /// Keys or addresses, separated by commas.
    pub images: Option<String>,
    pub weight: Option<i64>,
    pub position: i64,
    pub free_shipping: bool,
    /// Further members, name to JSON text.
    pub extra: BTreeMap<String, String>,
}

impl Product {
    /// Over all variants.
    pub fn total_quantity(&self) -> i64 {
        let quantities = self.variants.iter().map(|variant| variant.quantity);
        quantities.fold(0, i64::saturating_add)
    }

    pub fn variant(&self, sku_id: i64) -> Option<&Variant> {
        self.variants.iter().find(|variant| variant.sku_id == sku_id)
    }

    /// Everything the shop knows about the product, as its detail shows it.
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(1_500);
        self.write_detail(&mut out);
        out
    }

    /// A row of `GET /products`: no price, no SKU, no stock.
    pub(crate) fn write_row(&self, out: &mut String) {
        let mut members = Members::open(out);
        self.write_columns(&mut members);
        members.close();
    }

    pub(crate) fn write_detail(&self, out: &mut String) {
        let mut members = Members::open(out);
        self.write_columns(&mut members);
        members.text_or_null("description", self.description.as_deref());
        members.text_or_null("short_description", self.short_description.as_deref());
        members.int("is_featured", i64::from(self.is_featured));
        members.int("is_bestseller", i64::from(self.is_bestseller));
        self.write_variants(members.name("variants"), Variant::write);
        members.close();
    }

    /// A row of `GET /inventory`: the sum over the variants.
    pub(crate) fn write_stock_row(&self, out: &mut String) {
        let mut members = Members::open(out);
        self.write_stock(&mut members);
        members.close();
    }

    pub(crate) fn write_stock_detail(&self, out: &mut String) {
        let mut members = Members::open(out);
        self.write_stock(&mut members);
        self.write_variants(members.name("variants"), Variant::write_stock);
        members.close();
    }

    fn write_columns(&self, members: &mut Members<'_>) {
        members.int("product_id", self.id);
        members.int("store_id", self.store_id);
        members.text("name", &self.name);
        members.text("slug", &self.slug);
        members.int_or_null("category_id", self.category_id);
        members.int_or_null("brand_id", self.brand_id);
        members.int("is_active", i64::from(self.is_active));
        members.int("is_visible", i64::from(self.is_visible));
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        members.raw("seo", r#"{"index":1}"#);
        for (name, json) in &self.extra {
            members.foreign(name, json);
        }
    }

    fn write_stock(&self, members: &mut Members<'_>) {
        let total = self.total_quantity();
        members.int("product_id", self.id);
        members.text("name", &self.name);
        members.int("is_active", i64::from(self.is_active));
        members.stamp("updated_at", self.stocked_ms);
        members.int("total_quantity", total);
        members.int("variant_count", i64::try_from(self.variants.len()).unwrap_or(0));
        members.int("has_stock", i64::from(total > 0));
        members.raw("reorder", "null");
    }

    fn write_variants(&self, out: &mut String, write: fn(&Variant, &mut String, i64)) {
        out.push('[');
        for (at, variant) in self.variants.iter().enumerate() {
            if at > 0 {
                out.push(',');
            }
            write(variant, out, self.id);
        }
        out.push(']');
    }
}

impl Variant {
    fn is_available(&self) -> bool {
        self.available.unwrap_or(self.quantity > 0)
    }

    pub(crate) fn write(&self, out: &mut String, product_id: i64) {
        let mut members = Members::open(out);
        members.int("sku_id", self.sku_id);
        members.int("product_id", product_id);
        members.text("variant_name", &self.name);
        members.text_or_null("sku_code", self.sku_code.as_deref());
        members.money("price", self.price);
        match self.compare_at_price {
            Some(price) => members.money("compare_at_price", price),
            None => members.raw("compare_at_price", "null"),
        }
        members.int("available", i64::from(self.is_available()));
        members.int("quantity", self.quantity);
        members.int("is_default", i64::from(self.is_default));
        members.text_or_null("images", self.images.as_deref());
        members.int_or_null("weight", self.weight);
        members.int("position", self.position);
        members.int("free_shipping", i64::from(self.free_shipping));
        for (name, json) in &self.extra {
            members.foreign(name, json);
        }
        members.close();
    }

    fn write_stock(&self, out: &mut String, _product_id: i64) {
        let mut members = Members::open(out);
        members.int("sku_id", self.sku_id);
        members.text_or_null("sku_code", self.sku_code.as_deref());
        members.text("variant_name", &self.name);
        members.int("quantity", self.quantity);
        members.int("available", i64::from(self.is_available()));
        members.close();
    }
}

impl Row for Product {
    const INDEXED: &'static [Column] = &[Column::Created, Column::Updated, Column::Stocked, Column::Quantity];

    fn id(&self) -> i64 {
        self.id
    }

    fn set_id(&mut self, id: i64) {
        self.id = id;
    }

    fn touch(&mut self, ms: i64) {
        self.updated_ms = whole_second(ms);
        self.stocked_ms = whole_second(ms);
    }

    fn number(&self, column: Column) -> i64 {
        match column {
            Column::Updated => self.updated_ms,
            Column::Stocked => self.stocked_ms,
            Column::Quantity => self.total_quantity(),
            _ => self.created_ms,
        }
    }

    fn text(&self, _column: Column) -> String {
        self.name.to_lowercase()
    }

    fn passes(&self, test: &Test) -> bool {
        match test {
            Test::Active(active) => self.is_active == *active,
            Test::InStock(stocked) => (self.total_quantity() > 0) == *stocked,
            Test::Category(category) => self.category_id == Some(*category),
            Test::Price { low, high } => {
                let mut prices = self.variants.iter().map(|variant| variant.price);
                prices.any(|price| (*low..=*high).contains(&price))
            }
            Test::Search(part) => self.name.to_lowercase().contains(part),
            _ => true,
        }
    }

    fn json(&self) -> String {
        Product::json(self)
    }

    fn record(row: Arc<Product>) -> Record {
        Record::Product(row)
    }

    fn of(record: &Record) -> Option<&Arc<Product>> {
        match record {
            Record::Product(row) => Some(row),
            _ => None,
        }
    }
}
