//! What a record refers to at its target: the ids of the records that its flow requires, as far as they are known,
//! and those that have to go first.

use contract::{Key, Malformed, Value};

use super::{Engine, Flow};
use crate::decide::References;
use crate::mapping::Keys;
use crate::store::{Need, Store};

/// Looks up what the target calls the records that this one refers to. Without a state file nothing is known.
pub async fn references(
    store: Option<&Store>,
    flow: &Flow,
    record: &Value,
) -> anyhow::Result<Result<References, Malformed>> {
    if flow.requires.is_empty() {
        return Ok(Ok(References::none()));
    }
    let keys = match flow.mapping.keys(record) {
        Ok(keys) => keys,
        Err(malformed) => return Ok(Err(malformed)),
    };
    let mut known: Vec<Vec<(Key, Key)>> = Vec::with_capacity(keys.len());
    let mut missing = Vec::new();
    for (provider, keys) in flow.requires.iter().zip(&keys) {
        let wanted: Vec<&Key> = keys.all().iter().collect();
        let held = match store {
            Some(store) if !wanted.is_empty() => store.held(&provider.target, &provider.feed, &wanted).await?,
            _ => Vec::new(),
        };
        let ids: Vec<(Key, Key)> = held
            .into_iter()
            .filter_map(|(key, held)| Some((key, held.id?)))
            .collect();
        for key in wanted
            .into_iter()
            .filter(|key| ids.iter().all(|(known, _)| known != *key))
        {
            missing.push(Need {
                flow: provider.flow.clone(),
                feed: provider.feed.clone(),
                target: provider.target.clone(),
                key: key.clone(),
            });
        }
        known.push(ids);
    }
    Ok(Ok(References {
        refs: refs(flow, &keys, &known),
        missing,
    }))
}

fn refs(flow: &Flow, keys: &[Keys], known: &[Vec<(Key, Key)>]) -> Value {
    let resources = flow.mapping.requires();
    flow.mapping.refs(keys, |reference, key| {
        let at = resources.iter().position(|own| own.resource == reference.resource)?;
        let (_, id) = known.get(at)?.iter().find(|(own, _)| own == key)?;
        Some(id.clone())
    })
}

impl Engine {
    /// Reads and delivers what other flows of this run wait for, so that they need not wait for it.
    pub(super) async fn go_first(&mut self, feed: &str) -> anyhow::Result<()> {
        let first: Vec<Flow> = self
            .flows
            .iter()
            .filter(|flow| flow.feed == feed && !flow.required_by.is_empty())
            .cloned()
            .collect();
        if first.is_empty() {
            return Ok(());
        }
        if !self.is_feed_stopped(feed)
            && let Err(error) = self.read_due(feed).await
        {
            self.trouble(feed, error).await?;
        }
        self.leave();
        let all = std::mem::replace(&mut self.flows, first);
        let delivered = self.deliver_all(true).await;
        self.flows = all;
        delivered
    }

    /// What is read of a feed is decided on for all its flows, so it comes after all that any of them requires.
    pub(super) fn depth_of(&self, feed: &str) -> usize {
        let own = self.flows.iter().filter(|flow| flow.feed == feed);
        own.map(|flow| flow.depth).max().unwrap_or(0)
    }

    /// What is waited for has changed hands: whoever reads at these feeds has something to do.
    pub(super) fn ring_feeds<'a>(&self, feeds: impl Iterator<Item = &'a String>) {
        for feed in feeds {
            self.lanes.of(feed).bell.notify_one();
        }
    }
}
