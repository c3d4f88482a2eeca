//! The public side: where the store's webhooks arrive. A call is verified, then kept in one synced transaction with
//! the reading it asks for, then answered: what was answered 2xx is never lost. Nothing that a stranger sends changes
//! anything, and nothing in a call but its topic and ids is believed.

mod answer;
mod doors;
mod framing;
mod intake;
mod listen;
mod proxies;
mod refusals;
mod tally;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use contract::{Clock, Webhook};
use tokio::sync::mpsc;

pub use listen::Receiver;
pub use tally::{Tally, Told};

use crate::config::{self, Config};
use crate::engine::Lanes;
use crate::store::Store;

/// Everything that one config and its connectors say about calls; a reload brings the next one.
pub struct Desk {
    pub settings: config::Webhooks,
    pub hook: Arc<dyn Webhook>,
    /// The feeds whose flows listen to a topic.
    pub listening: BTreeMap<String, Vec<String>>,
    /// Weak, so that whoever owns the state file can put it in order.
    pub store: Weak<Store>,
    pub lanes: Arc<Lanes>,
    pub clock: Arc<dyn Clock>,
    /// Takes errors of the state file, which is then opened anew.
    pub broken: mpsc::Sender<anyhow::Error>,
    /// Rung when an event is about the app itself or about privacy.
    pub notable: Arc<tokio::sync::Notify>,
}

impl Desk {
    /// The topics that the flows of a config listen to, with the feeds of those flows.
    pub fn listening(config: &Config) -> BTreeMap<String, Vec<String>> {
        let mut listening: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for flow in &config.flows {
            for topic in &flow.triggers {
                let feeds = listening.entry(topic.clone()).or_default();
                let feed = flow.from.to_string();
                if !feeds.contains(&feed) {
                    feeds.push(feed);
                }
            }
        }
        listening
    }
}
