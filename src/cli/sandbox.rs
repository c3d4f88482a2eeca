//! `sandbox`: the pretend store as a command.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use sandbox::erp::{self, ErpOptions};
use sandbox::{Clock, Options, Rate, RowShape, StatusKey, Waits, WebhookOptions};

use super::DONE;

#[derive(Debug, clap::Args)]
pub(super) struct SandboxArgs {
    /// A pretend ERP instead of a pretend store: orders, customers and stock over plain REST, with faults on request
    #[arg(long)]
    erp: bool,
    /// Where it listens; loopback addresses only. With --erp the default is 127.0.0.1:8390
    #[arg(
        long,
        default_value = "127.0.0.1:8380",
        default_value_if("erp", "true", "127.0.0.1:8390")
    )]
    listen: SocketAddr,
    /// How many rows of stock a pretend ERP starts with
    #[arg(long, value_name = "ROWS", default_value_t = 60, requires = "erp")]
    stock: usize,
    /// How many orders it starts with
    #[arg(long, default_value_t = 2000)]
    orders: usize,
    /// How many customers it starts with; the orders are theirs
    #[arg(long, default_value_t = 300)]
    customers: usize,
    /// How many products it starts with, each with one variant or a few
    #[arg(long, default_value_t = 60)]
    products: usize,
    /// The same seed makes the same shop
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many in a hundred records are odd: no SKU, no customer, a code used twice
    #[arg(long, value_name = "PERCENT", default_value_t = 4)]
    odd: u32,
    /// What a row of the list of orders holds
    #[arg(long, value_enum, default_value_t = Rows::Lined)]
    rows: Rows,
    /// Requests it answers in a minute; one more gets 429 with Retry-After. Without it there is no limit
    #[arg(long, value_name = "REQUESTS")]
    rate: Option<usize>,
    /// Answer 400 to a limit, page, sort or date that the platform would silently correct
    #[arg(long)]
    strict: bool,
    /// The name of the status in a status write; another name is answered 200 and ignored
    #[arg(long, value_enum, default_value_t = Key::Status)]
    status_key: Key,
    /// Behave as a store without the metafield tables: every metafield call gets 500
    #[arg(long)]
    no_metafields: bool,
    /// Send every webhook topic to this address; http:// and loopback only. The secret is printed
    #[arg(long, help_heading = "Webhooks", value_name = "URL")]
    webhook: Option<String>,
    /// The secret its webhooks are signed with; without it, one that the seed makes
    #[arg(long, help_heading = "Webhooks", value_name = "SECRET", requires = "webhook")]
    webhook_secret: Option<String>,
    /// Divide the waits between webhook attempts (1 min, 5 min, 30 min, 2 h, 12 h) by this
    #[arg(long, help_heading = "Webhooks", value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    webhook_retry_scale: u32,
    /// How many in a hundred events are sent twice
    #[arg(long, help_heading = "Webhooks", value_name = "PERCENT", default_value_t = 0)]
    webhook_duplicates: u32,
    /// How many in a hundred events are held back so that later ones overtake them
    #[arg(long, help_heading = "Webhooks", value_name = "PERCENT", default_value_t = 0)]
    webhook_reorder: u32,
    /// Switch a subscription off after so many failed attempts in a row; 0 = never
    #[arg(long, help_heading = "Webhooks", value_name = "ATTEMPTS", default_value_t = 20)]
    webhook_deactivate_after: u32,
    /// How many times as fast as the clock on the wall the store's clock runs
    #[arg(long, value_name = "FACTOR", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    speed: u32,
    /// Append what really happens in the store to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Rows {
    /// The documented columns; the lines are in the detail
    Bare,
    /// Courier, number, lines and metafields as well
    Lined,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Key {
    /// {"status": …}
    Status,
    /// {"order_status": …}
    OrderStatus,
    /// Both are taken
    Either,
}

impl SandboxArgs {
    pub(super) async fn run(self) -> anyhow::Result<u8> {
        if self.erp {
            erp::serve(self.erp_options(), |line| outln!("{line}")).await?;
        } else {
            sandbox::serve(self.options(), |line| outln!("{line}")).await?;
        }
        Ok(DONE)
    }

    /// Requests in a minute.
    fn limit(&self) -> Option<Rate> {
        self.rate.map(|requests| Rate {
            requests,
            window: Duration::from_secs(60),
            announce: true,
        })
    }

    fn erp_options(self) -> ErpOptions {
        ErpOptions {
            listen: self.listen,
            stock: self.stock,
            seed: self.seed,
            rate: self.limit(),
            clock: Clock::RealScaled(self.speed),
            truth_file: self.truth,
            ..ErpOptions::default()
        }
    }

    fn options(self) -> Options {
        Options {
            listen: self.listen,
            orders: self.orders,
            customers: self.customers,
            products: self.products,
            seed: self.seed,
            odd_percent: self.odd.min(100),
            rows: match self.rows {
                Rows::Bare => RowShape::Bare,
                Rows::Lined => RowShape::WithLines,
            },
            rate: self.limit(),
            strict: self.strict,
            status_key: match self.status_key {
                Key::Status => StatusKey::Status,
                Key::OrderStatus => StatusKey::OrderStatus,
                Key::Either => StatusKey::Either,
            },
            metafields: !self.no_metafields,
            webhook_url: self.webhook,
            webhook_secret: self.webhook_secret,
            webhooks: WebhookOptions {
                waits: match self.webhook_retry_scale {
                    1 => Waits::WorldClock,
                    factor => Waits::Hastened(factor),
                },
                duplicate_percent: self.webhook_duplicates.min(100),
                reorder_percent: self.webhook_reorder.min(100),
                deactivate_after: (self.webhook_deactivate_after > 0).then_some(self.webhook_deactivate_after),
                ..WebhookOptions::default()
            },
            truth_file: self.truth,
            // People compare what they see with the clock on the wall.
            clock: Clock::RealScaled(self.speed),
            ..Options::default()
        }
    }
}
