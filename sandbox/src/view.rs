//! What is particular to each list of the platform: its filters, its columns, and how its rows and details are written.

use crate::customer::Customer;
use crate::jsontext::Members;
use crate::options::{DetailShape, Options, RowShape};
use crate::order::{Form, Order};
use crate::page::{Kept, Test};
use crate::product::Product;
use crate::query::{Asked, Grammar, read_paisa};
use crate::resource::{Column, Resource};
use crate::shop::Shop;
use crate::small::{Category, Discount};
use crate::table::{Row, Table};

/// What each list remembers.
#[derive(Default)]
pub(crate) struct Seen {
    orders: Kept<Order>,
    filtered: Kept<Order>,
    customers: Kept<Customer>,
    products: Kept<Product>,
    inventory: Kept<Product>,
    categories: Kept<Category>,
    discounts: Kept<Discount>,
}

/// One list of the platform and the details below it.
pub(crate) trait View {
    type Row: Row;
    const RESOURCE: Resource;
    const GRAMMAR: Grammar;
    /// What `updated_at` is here.
    const STAMP: Column = Column::Updated;
    /// Without pages the whole list comes, and no `pagination`.
    const PAGED: bool = true;
    /// What a 404 says.
    const MISSING: &'static str;

    fn table(shop: &Shop) -> &Table<Self::Row>;
    fn kept(seen: &mut Seen) -> &mut Kept<Self::Row>;
    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String>;
    fn write_row(row: &Self::Row, options: &Options, out: &mut String);
    fn write_detail(row: &Self::Row, options: &Options, out: &mut String);
    /// The detail's text as the value of `data`.
    fn wrap(_row: &Self::Row, _options: &Options, text: String) -> String {
        text
    }
}

pub(crate) struct Orders;
/// The orders as `POST /orders/filters` shows them: always with lines and metafields.
pub(crate) struct Filtered;
pub(crate) struct Customers;
pub(crate) struct Products;
pub(crate) struct Inventory;
pub(crate) struct Categories;
pub(crate) struct Discounts;

fn number(text: &str) -> Option<i64> {
    text.parse().ok()
}

fn search(asked: &Asked<'_>) -> Option<Test> {
    let part = asked.value("search").map(str::trim).filter(|part| !part.is_empty());
    part.map(|part| Test::Search(part.to_lowercase()))
}

/// `status` of the two endpoints where it is one word of two.
fn either(asked: &Asked<'_>, yes: &str, no: &str) -> Result<Option<bool>, String> {
    asked.read("status", |text| match text {
        text if text == yes => Some(true),
        text if text == no => Some(false),
        _ => None,
    })
}

impl View for Orders {
    type Row = Order;
    const RESOURCE: Resource = Resource::Orders;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[
            ("created_at", Column::Created),
            ("updated_at", Column::Updated),
            ("grand_total", Column::GrandTotal),
        ],
        since: Some(Column::Created),
        until: Some(Column::Created),
    };
    const MISSING: &'static str = "Order not found";

    fn table(shop: &Shop) -> &Table<Order> {
        &shop.orders
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Order> {
        &mut seen.orders
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let status = asked.value("status").map(|status| Test::Status(status.to_owned()));
        let customer = asked.read("customer_id", number)?.map(Test::Customer);
        Ok(status.into_iter().chain(customer).collect())
    }

    fn write_row(row: &Order, options: &Options, out: &mut String) {
        let form = match options.rows {
            RowShape::WithLines => Form::Lined,
            RowShape::Bare => Form::Bare,
        };
        row.write(out, form);
    }

    fn write_detail(row: &Order, options: &Options, out: &mut String) {
        let form = match options.detail {
            DetailShape::Aliased => Form::Aliased,
            DetailShape::Plain | DetailShape::Wrapped => Form::Detail,
        };
        row.write(out, form);
    }

    fn wrap(row: &Order, options: &Options, text: String) -> String {
        if options.detail != DetailShape::Wrapped {
            return text;
        }
        let mut out = String::with_capacity(text.len() + 500);
        let mut members = Members::open(&mut out);
        members.raw("order", &text);
        row.write_lines(members.name("items"));
        members.close();
        out
    }
}

impl View for Filtered {
    type Row = Order;
    const RESOURCE: Resource = Resource::Orders;
    const GRAMMAR: Grammar = Orders::GRAMMAR;
    const MISSING: &'static str = Orders::MISSING;

    fn table(shop: &Shop) -> &Table<Order> {
        &shop.orders
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Order> {
        &mut seen.filtered
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        Orders::tests(asked)
    }

    fn write_row(row: &Order, _options: &Options, out: &mut String) {
        row.write(out, Form::Lined);
    }

    fn write_detail(row: &Order, options: &Options, out: &mut String) {
        Orders::write_detail(row, options, out);
    }
}

impl View for Customers {
    type Row = Customer;
    const RESOURCE: Resource = Resource::Customers;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[
            ("created_at", Column::Created),
            ("updated_at", Column::Updated),
            ("name", Column::Name),
        ],
        since: Some(Column::Created),
        until: None,
    };
    const MISSING: &'static str = "Customer not found";

    fn table(shop: &Shop) -> &Table<Customer> {
        &shop.customers
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Customer> {
        &mut seen.customers
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let guests = asked.read("include_guests", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })?;
        let hidden = (guests != Some(true)).then_some(Test::NoGuests);
        let orders = asked.read("total_orders_min", number)?.map(Test::OrdersMin);
        let spent = asked.read("total_spent_min", read_paisa)?.map(Test::SpentMin);
        Ok(hidden
            .into_iter()
            .chain(orders)
            .chain(spent)
            .chain(search(asked))
            .collect())
    }

    fn write_row(row: &Customer, _options: &Options, out: &mut String) {
        row.write(out);
    }

    fn write_detail(row: &Customer, _options: &Options, out: &mut String) {
        row.write(out);
    }
}

impl View for Products {
    type Row = Product;
    const RESOURCE: Resource = Resource::Products;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[
            ("created_at", Column::Created),
            ("updated_at", Column::Updated),
            ("name", Column::Name),
        ],
        since: Some(Column::Updated),
        until: None,
    };
    const MISSING: &'static str = "Product not found";

    fn table(shop: &Shop) -> &Table<Product> {
        &shop.products
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Product> {
        &mut seen.products
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let active = either(asked, "active", "inactive")?.map(Test::Active);
        let category = asked.read("category_id", number)?.map(Test::Category);
        let low = asked.read("price_min", read_paisa)?;
        let high = asked.read("price_max", read_paisa)?;
        let price = (low.is_some() || high.is_some()).then_some(Test::Price {
            low: low.unwrap_or(i64::MIN),
            high: high.unwrap_or(i64::MAX),
        });
        Ok(active
            .into_iter()
            .chain(category)
            .chain(price)
            .chain(search(asked))
            .collect())
    }

    fn write_row(row: &Product, _options: &Options, out: &mut String) {
        row.write_row(out);
    }

    fn write_detail(row: &Product, _options: &Options, out: &mut String) {
        row.write_detail(out);
    }
}

impl View for Inventory {
    type Row = Product;
    const RESOURCE: Resource = Resource::Inventory;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[
            ("updated_at", Column::Stocked),
            ("name", Column::Name),
            ("total_quantity", Column::Quantity),
        ],
        since: None,
        until: None,
    };
    const STAMP: Column = Column::Stocked;
    const MISSING: &'static str = "Product not found";

    fn table(shop: &Shop) -> &Table<Product> {
        &shop.products
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Product> {
        &mut seen.inventory
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let stocked = either(asked, "in_stock", "out_of_stock")?.map(Test::InStock);
        Ok(stocked.into_iter().chain(search(asked)).collect())
    }

    fn write_row(row: &Product, _options: &Options, out: &mut String) {
        row.write_stock_row(out);
    }

    fn write_detail(row: &Product, _options: &Options, out: &mut String) {
        row.write_stock_detail(out);
    }
}

impl View for Categories {
    type Row = Category;
    const RESOURCE: Resource = Resource::Categories;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[("position_index", Column::Position)],
        since: None,
        until: None,
    };
    const PAGED: bool = false;
    const MISSING: &'static str = "Category not found";

    fn table(shop: &Shop) -> &Table<Category> {
        &shop.categories
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Category> {
        &mut seen.categories
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let parent = asked.read("parent_id", |text| match text {
            "null" | "0" => Some(None),
            text => number(text).map(Some),
        })?;
        Ok(parent.map(Test::Parent).into_iter().collect())
    }

    fn write_row(row: &Category, _options: &Options, out: &mut String) {
        row.write(out);
    }

    fn write_detail(row: &Category, _options: &Options, out: &mut String) {
        row.write(out);
    }
}

impl View for Discounts {
    type Row = Discount;
    const RESOURCE: Resource = Resource::Discounts;
    const GRAMMAR: Grammar = Grammar {
        sorts: &[("created_at", Column::Created)],
        since: None,
        until: None,
    };
    const MISSING: &'static str = "Discount not found";

    fn table(shop: &Shop) -> &Table<Discount> {
        &shop.discounts
    }

    fn kept(seen: &mut Seen) -> &mut Kept<Discount> {
        &mut seen.discounts
    }

    fn tests(asked: &Asked<'_>) -> Result<Vec<Test>, String> {
        let active = asked.read("is_active", |text| match text {
            "1" => Some(true),
            "0" => Some(false),
            _ => None,
        })?;
        Ok(active.map(Test::Active).into_iter().chain(search(asked)).collect())
    }

    fn write_row(row: &Discount, _options: &Options, out: &mut String) {
        row.write(out);
    }

    fn write_detail(row: &Discount, _options: &Options, out: &mut String) {
        row.write(out);
    }
}
