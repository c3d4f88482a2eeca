//! What connectors and the daemon agree on. No I/O happens here: the crate holds the shapes of
//! records, pages, faults and settings, and the traits a connector implements.
//!
//! A **feed** is one resource in one system (`store.orders`). A **source** reads a feed in passes,
//! a **target** takes what a flow sends. A connector sees this crate and nothing of the daemon.

mod connector;
mod dropped;
mod fault;
mod hook;
mod json;
mod name;
mod number;
mod push;
mod record;
mod scan;
mod seams;
pub mod settings;
mod value;

pub use connector::{Away, Connector, Entry, Factory, Finding, Seams, Target};
pub use connector::{
    Encoded, FileTarget, Item, Pass, Place, Progress, Published, Reading, Source, Step, Upkeep, Use, Window,
};
pub use dropped::{Acks, After, Broken, FileMode, FileRow, FileRows, FileSource, Placed, Terms};
pub use fault::{Error, Exchange, Fault, Malformed};
pub use hook::{About, Call, Composed, Event, Privacy, PrivacyKind, Refused};
pub use hook::{Subscribed, Subscription, Subscriptions, Webhook};
pub use json::{ParseError, write_text};
pub use name::Name;
pub use number::Number;
pub use push::{Abilities, Act, Difference, Listed, Push, Receipt, RecordTarget, Unknown};
pub use record::{Cursor, Hash, Key, Part, Raw, Record, Row};
pub use seams::{Clock, Memory, RealClock, Stamp};
pub use value::{Fields, Value};
