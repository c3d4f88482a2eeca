//! What a test sees and changes of webhooks and metafields. No method waits for a client.

use crate::hooks::Delivery;
use crate::journal::Record;
use crate::metafields::Metafield;
use crate::options::WebhookOptions;
use crate::webhook::{self, Subscription};
use crate::world::World;

impl World {
    /// Subscribes a loopback address to a topic; the answer holds the secret.
    pub fn subscribe(&self, topic: &str, url: &str) -> Result<Subscription, String> {
        webhook::subscribe(&mut self.lock(), topic, url)
    }

    /// Subscribes to every documented topic, all under one secret: as a custom app gets them.
    pub fn subscribe_all(&self, url: &str) -> Result<Vec<Subscription>, String> {
        let mut inner = self.lock();
        let undocumented = inner.hooks.options.undocumented_topics;
        let topics = webhook::TOPICS
            .into_iter()
            .filter(|topic| undocumented || !matches!(*topic, "order.cancelled" | "order.deleted"));
        let mut made = Vec::new();
        for topic in topics {
            made.push(webhook::subscribe(&mut inner, topic, url)?);
        }
        let secret = made.first().map(|first: &Subscription| first.secret.clone());
        let secret = secret.unwrap_or_default();
        let ids: Vec<i64> = made.iter().map(|one| one.id).collect();
        for one in inner.hooks.subscriptions.iter_mut().filter(|one| ids.contains(&one.id)) {
            one.secret.clone_from(&secret);
        }
        for one in &mut made {
            one.secret.clone_from(&secret);
        }
        Ok(made)
    }

    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.lock().hooks.subscriptions.clone()
    }

    /// Changes a subscription, its secret or whether it is active. False if there is none.
    pub fn update_subscription(&self, id: i64, edit: impl FnOnce(&mut Subscription)) -> bool {
        let mut inner = self.lock();
        let found = inner.hooks.subscriptions.iter_mut().find(|one| one.id == id);
        found.is_some_and(|one| {
            edit(one);
            one.id = id;
            true
        })
    }

    pub fn delete_subscription(&self, id: i64) -> bool {
        let mut inner = self.lock();
        let before = inner.hooks.subscriptions.len();
        inner.hooks.subscriptions.retain(|one| one.id != id);
        inner.hooks.subscriptions.len() < before
    }

    /// Every attempt that has ended, in that order.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.lock().hooks.log.clone()
    }

    /// Deliveries that wait for their next attempt or are under way.
    pub fn pending_deliveries(&self) -> usize {
        self.lock().hooks.pending()
    }

    /// Events that subscriptions missed because they were not active.
    pub fn lost_events(&self) -> u64 {
        self.lock().hooks.lost
    }

    /// An event of the test's own; `data` is JSON text.
    pub fn publish(&self, topic: &str, data: &str) {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let store_id = inner.access.store_id;
        inner.hooks.publish(store_id, topic, data, now_ms);
        drop(inner);
        self.announce();
    }

    /// Sends an event again that was sent before: the same event id, a new delivery.
    pub fn redeliver(&self, event_id: &str) -> bool {
        let done = self.lock().hooks.again(event_id);
        self.announce();
        done
    }

    pub fn webhook_options(&self) -> WebhookOptions {
        self.lock().hooks.options.clone()
    }

    /// Changes how webhooks are sent from now on.
    pub fn set_webhooks(&self, edit: impl FnOnce(&mut WebhookOptions)) {
        edit(&mut self.lock().hooks.options);
        self.announce();
    }

    /// The app's own fields as they are now.
    pub fn metafields(&self) -> Vec<Metafield> {
        let inner = self.lock();
        let all = inner.shop.metafields.values.sorted();
        all.into_values().map(|field| field.as_ref().clone()).collect()
    }

    /// What write requests to the platform changed, oldest first.
    pub fn written(&self) -> Vec<Record> {
        let inner = self.lock();
        let events = inner.shop.journal.events();
        events
            .filter(|event| event.by == crate::journal::By::Api)
            .map(|event| event.record.clone())
            .collect()
    }
}
