//! A pretend SeloraX store: the platform's endpoints over real loopback sockets, with every fault a client must
//! survive on request, and a log of the truth to compare a client's result with. It must never be reachable from
//! another machine.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use sandbox::{Fault, Options, Rule, Sandbox, When};
//!
//! let sandbox = Sandbox::start(Options { orders: 1_000, ..Options::default() }).await?;
//! let world = sandbox.world();
//! let limited = world.fault(Rule::list(Fault::too_many(7)).when(When::Nth(3)));
//! // … let a client read from sandbox.url() …
//! assert_eq!(world.fired(limited), 1);
//! let expected = world.final_orders();
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

mod answer;
mod auth;
mod control;
mod controls;
mod courier;
mod customer;
mod endpoint;
pub mod erp;
mod fault;
mod fields;
mod filters;
mod goods;
mod hooks;
mod http;
mod index;
mod journal;
mod jsontext;
mod kinds;
mod lists;
mod make;
mod metafields;
mod movement;
mod options;
mod order;
mod page;
mod people;
mod plan;
mod platform;
mod presets;
mod product;
mod query;
mod recorder;
mod requests;
mod resource;
mod server;
mod shop;
mod small;
mod splice;
mod table;
mod time;
mod topics;
mod view;
mod webhook;
mod wire;
mod world;
mod worldgoods;
mod worldhooks;
mod worldorders;
mod writegoods;
mod writes;

pub use customer::{AddressForm, Customer};
pub use fault::{Canned, Fault, Kind, Length, Match, Rule, When};
pub use hooks::{Delivery, Outcome};
pub use journal::{By, Change, Event, Record, Truth};
pub use metafields::Metafield;
pub use movement::{Moment, Movement};
pub use options::{
    Access, Clock, DetailShape, FIXED_START_MS, Options, Rate, RowShape, Spelling, StatusKey, StockStamps, Ties,
    VariantPut, Waits, WebhookOptions,
};
pub use order::{Line, Order, Recipient};
pub use plan::RuleState;
pub use presets::PRESETS;
pub use product::{Product, Variant};
pub use recorder::Recorder;
pub use requests::{Auth, Request, busiest};
pub use resource::Resource;
pub use server::{Sandbox, serve};
pub use small::{Category, Discount};
pub use splice::Splice;
pub use webhook::{Subscription, TOPICS, sign};
pub use world::World;
