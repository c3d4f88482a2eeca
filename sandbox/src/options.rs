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
    /// The further limit of the metafield endpoints.
    pub metafield_rate: Option<Rate>,
    /// False: the tables are not installed, and every metafield call is answered 500.
    pub metafields: bool,
    /// The body key of `PUT /orders/ID/status` that counts; another one is answered 200 and ignored.
    pub status_key: StatusKey,
    /// What a `PUT` of a variant comes to.
    pub variant_put: VariantPut,
    /// The status of an answer that tells of something created: 200 or 201.
    pub created_code: u16,
    pub webhooks: WebhookOptions,
    /// Subscribed to every documented topic from the start: `http://` and a loopback address.
    pub webhook_url: Option<String>,
    /// The secret of those subscriptions; `None` makes one from the seed.
    pub webhook_secret: Option<String>,
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
            metafield_rate: Some(Rate {
                requests: 120,
                window: Duration::from_secs(60),
                announce: false,
            }),
            metafields: true,
            status_key: StatusKey::Status,
            variant_put: VariantPut::Works,
            created_code: 200,
            webhooks: WebhookOptions::default(),
            webhook_url: None,
            webhook_secret: None,
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

/// The name of the status in the body of `PUT /orders/ID/status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatusKey {
    Status,
    OrderStatus,
    Either,
}

/// What a `PUT` of a variant comes to: at one time the platform answered 500 to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VariantPut {
    Works,
    /// 500 although it was written.
    FailsWritten,
    /// 500 and nothing was written.
    FailsUnwritten,
}

/// How webhooks are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookOptions {
    /// An answer that takes longer is a failure.
    pub timeout: Duration,
    /// On which clock the waits of 1 min, 5 min, 30 min, 2 h and 12 h between the attempts pass.
    pub waits: Waits,
    /// A subscription is switched off after so many failed attempts in a row; `None` = never.
    pub deactivate_after: Option<u32>,
    /// Share of events sent twice, each with a delivery id of its own.
    pub duplicate_percent: u32,
    /// Share of events held back for `reorder_hold`, so that later ones overtake them.
    pub reorder_percent: u32,
    pub reorder_hold: Duration,
    /// Before the first attempt of every event.
    pub delay: Duration,
    /// Signed with a time so far back.
    pub stale_by_ms: i64,
    /// The spelling of a subscription's body that is understood.
    pub spelling: Spelling,
    /// Also `order.cancelled` and `order.deleted`, which no documentation has.
    pub undocumented_topics: bool,
}

impl Default for WebhookOptions {
    fn default() -> WebhookOptions {
        WebhookOptions {
            timeout: Duration::from_secs(15),
            waits: Waits::WorldClock,
            deactivate_after: Some(20),
            duplicate_percent: 0,
            reorder_percent: 0,
            reorder_hold: Duration::from_millis(100),
            delay: Duration::ZERO,
            stale_by_ms: 0,
            spelling: Spelling::Both,
            undocumented_topics: false,
        }
    }
}

/// On which clock the waits between attempts pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The world's: on a still clock, as soon as it is advanced far enough.
    WorldClock,
    /// Real time, each wait divided by this.
    Hastened(u32),
}

/// The names in the body of `POST /webhooks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    Both,
    /// `event_topic` and `target_url`
    Record,
    /// `topic` and `url`
    Short,
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
    /// Starts at the machine's time and runs so many times as fast as real time.
    RealScaled(u32),
    /// Starts at this time and runs `factor` times as fast as real time.
    Scaled { start_ms: i64, factor: u32 },
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
