//! The kinds of record the platform knows and the columns its lists are sorted by; it never holds a record.

use serde::{Deserialize, Serialize};

/// What a request, a rule or an entry of the truth is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    Orders,
    Customers,
    /// Products with their variants.
    Products,
    /// The stock figures of the products: the same records, seen through `GET /inventory`.
    Inventory,
    Categories,
    Discounts,
    Store,
    Webhooks,
    Metafields,
}

impl Resource {
    /// As in the path.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Orders => "orders",
            Resource::Customers => "customers",
            Resource::Products => "products",
            Resource::Inventory => "inventory",
            Resource::Categories => "categories",
            Resource::Discounts => "discounts",
            Resource::Store => "store",
            Resource::Webhooks => "webhooks",
            Resource::Metafields => "metafields",
        }
    }

    /// What one of its records is called.
    pub fn singular(self) -> &'static str {
        match self {
            Resource::Orders => "order",
            Resource::Customers => "customer",
            Resource::Products | Resource::Inventory => "product",
            Resource::Categories => "category",
            Resource::Discounts => "discount",
            Resource::Store => "store",
            Resource::Webhooks => "subscription",
            Resource::Metafields => "metafield",
        }
    }

    /// The second half of its scopes.
    pub(crate) fn scope(self) -> &'static str {
        match self {
            // Categories are read with the right to read products.
            Resource::Categories => "products",
            other => other.name(),
        }
    }
}

/// A column that a list can be sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    Created,
    Updated,
    GrandTotal,
    /// When the stock last moved.
    Stocked,
    Quantity,
    /// Compared as text, without case.
    Name,
    /// The place set by hand, then the name.
    Position,
}

impl Column {
    pub(crate) fn is_text(self) -> bool {
        matches!(self, Column::Name | Column::Position)
    }
}
