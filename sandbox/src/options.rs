//! What a sandbox is started with; it never holds state that changes while the sandbox runs.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// 2026-01-15T06:00:00Z, noon in Dhaka: where the clock of [`Clock::Fixed`] stands by default.
pub const FIXED_START_MS: i64 = 1_768_456_800_000;

/// Everything an app can be granted here.
const SCOPES: [&str; 13] = [
    "read:orders",
    "write:orders",
    "read:products",
    "write:products",
    "read:customers",
    "write:customers",
    "read:inventory",
    "write:inventory",
    "read:store",
    "read:discounts",
    "write:discounts",
    "read_metafields",
    "write_metafields",
];

/// How a sandbox is set up. `Options::default()` is a shop of 200 orders, 40 customers and 30 products with a still
/// clock on a free loopback port.
#[derive(Clone, Debug)]
pub struct Options {
    /// Loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Orders the shop starts with.
    pub orders: usize,
    /// Customers the shop starts with; orders are from them.
    pub customers: usize,
    /// Products the shop starts with.
    pub products: usize,
    pub categories: usize,
    pub discounts: usize,
    /// Same seed, same shop, same movements and same chances.
    pub seed: u64,
    pub store_id: i64,
    pub client_id: String,
    pub client_secret: String,
    pub access_token: String,
    /// What the app was granted, in the colon form (`read:orders`).
    pub scopes: Vec<String>,
    pub clock: Clock,
    /// The first orders' creation stamps are spread over this many days before the world's now.
    pub spread_days: u32,
    pub rows: RowShape,
    pub detail: DetailShape,
    pub ties: Ties,
    /// Share of orders with something odd (guest without customer, line without SKU or quantity, bundle); 0 = none.
    pub odd_percent: u32,
    /// Which stamps a change of stock moves.
    pub stock_stamps: StockStamps,
    /// A new order counts in its customer's `total_orders` and `total_spent` and moves that customer's `updated_at`.
    pub orders_touch_customers: bool,
    /// Rows a page can have at most; a greater `limit` is clamped silently.
    pub limit_max: usize,
    /// Answer 400 to a limit, page, sort or date the platform would silently correct.
    pub strict: bool,
    /// The server's own limit; `None` = unlimited.
    pub rate: Option<Rate>,
    /// Every event of the truth log is also appended to this file, one JSON object a line.
    pub truth_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            orders: 200,
            customers: 40,
            products: 30,
            categories: 6,
            discounts: 5,
            seed: 1,
            store_id: 22,
            client_id: format!("sx_app_{}", "5a".repeat(16)),
            client_secret: format!("sx_secret_{}", "5b".repeat(32)),
            access_token: format!("sx_at_{}", "5c".repeat(48)),
            scopes: SCOPES.map(str::to_owned).to_vec(),
            clock: Clock::Fixed(FIXED_START_MS),
            spread_days: 400,
            rows: RowShape::WithLines,
            detail: DetailShape::Plain,
            ties: Ties::Shuffled,
            odd_percent: 4,
            stock_stamps: StockStamps::Inventory,
            orders_touch_customers: false,
            limit_max: 250,
            strict: false,
            rate: None,
            truth_file: None,
        }
    }
}

impl Options {
    pub(crate) fn shuffles(&self) -> bool {
        self.ties == Ties::Shuffled
    }
}

/// Which stamps a change of stock moves; the platform does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockStamps {
    /// None: only a full sweep finds the change.
    Nothing,
    /// `updated_at` of the row of `GET /inventory`.
    Inventory,
    /// The product's as well.
    InventoryAndProduct,
}

/// The world's time, from which stamps and the `Date` header come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Stands at this time (ms since 1970, UTC) until it is set or advanced.
    Fixed(i64),
    /// Starts at this time and runs with real time.
    Running(i64),
    /// The machine's time.
    Real,
}

/// What a row of `GET /orders` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowShape {
    /// Courier, serial, `items` and `metafields` as well.
    WithLines,
    /// The documented columns only; lines are in the detail.
    Bare,
}

/// How `GET /orders/ID` names things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetailShape {
    /// The names of the list, with customer and address beside them.
    Plain,
    /// `id`, `status`, `total`, `customer_id`, `line_items`, `delivery_address` (a JSON string), `phone`, `tracking_number`.
    Aliased,
    /// `{"order": {…}, "items": […]}`.
    Wrapped,
}

/// In which order rows with equal sort keys come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ties {
    /// Anew for each request: a row of a tie that spans two pages can come twice or not at all.
    Shuffled,
    /// By order id.
    ById,
}

/// At most `requests` in any `window`; the next one is answered 429 with `Retry-After` in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub requests: usize,
    pub window: Duration,
    /// Send `RateLimit-Limit` and `RateLimit-Remaining` with every answer.
    pub announce: bool,
}

/// The credentials that count at the moment; change them with `World::set_access` to revoke or rotate a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    pub store_id: i64,
    pub client_id: String,
    pub client_secret: String,
    pub access_token: String,
    pub scopes: Vec<String>,
}

impl Access {
    pub(crate) fn of(options: &Options) -> Access {
        Access {
            store_id: options.store_id,
            client_id: options.client_id.clone(),
            client_secret: options.client_secret.clone(),
            access_token: options.access_token.clone(),
            scopes: options.scopes.clone(),
        }
    }
}
