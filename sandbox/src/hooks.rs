//! The queue of webhook deliveries: who gets what, when each attempt is due, and what came of it. It opens no socket.

use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::options::{Options, Waits, WebhookOptions};
use crate::webhook::{Subscription, envelope, sign, target, uuid};
use crate::world::Inner;

/// Attempts a delivery gets: the first and one after each of these waits.
const WAITS: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 60 * 60),
    Duration::from_secs(12 * 60 * 60),
];

/// What came of one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A 2xx in time.
    Delivered,
    /// Failed; another attempt follows.
    Retrying,
    /// Failed for the last time.
    Dead,
}

/// One attempt, in the order in which they ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// New for each attempt, as in `X-SeloraX-Delivery-Id`.
    pub id: String,
    pub subscription: i64,
    pub event_id: String,
    pub topic: String,
    /// From 1.
    pub attempt: usize,
    /// World time at which it was signed, ms since 1970.
    pub at_ms: i64,
    /// What was answered; `None` if nothing was, in time.
    pub status: Option<u16>,
    pub outcome: Outcome,
    pub body: String,
}

/// When something is due.
#[derive(Clone, Copy, Debug)]
enum Due {
    World(i64),
    Real(Instant),
}

/// One event on its way to one subscription.
#[derive(Clone, Debug)]
struct Job {
    subscription: i64,
    event_id: String,
    topic: String,
    body: String,
    attempt: usize,
    due: Due,
}

/// An attempt that is to be made now.
pub(crate) struct Attempt {
    job: Job,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) timeout: Duration,
    at_ms: i64,
    id: String,
}

impl Attempt {
    pub(crate) fn body(&self) -> &str {
        &self.job.body
    }
}

pub(crate) struct Hooks {
    pub(crate) options: WebhookOptions,
    pub(crate) subscriptions: Vec<Subscription>,
    pub(crate) next_id: i64,
    pub(crate) rng: Rng,
    queue: Vec<Job>,
    pub(crate) in_flight: usize,
    pub(crate) log: Vec<Delivery>,
    /// Events that a subscription missed because it was not active.
    pub(crate) lost: u64,
}

impl Hooks {
    pub(crate) fn new(options: &Options) -> Hooks {
        Hooks {
            options: options.webhooks.clone(),
            subscriptions: Vec::new(),
            next_id: 900,
            rng: Rng::with_seed(options.seed ^ 0x40045),
            queue: Vec::new(),
            in_flight: 0,
            log: Vec::new(),
            lost: 0,
        }
    }

    pub(crate) fn pending(&self) -> usize {
        self.queue.len() + self.in_flight
    }

    /// Queues an event for each subscription to its topic. One that is not active misses it for good.
    pub(crate) fn publish(&mut self, store_id: i64, topic: &str, data: &str, at_ms: i64) {
        if !self
            .subscriptions
            .iter()
            .any(|subscription| subscription.topic == topic)
        {
            return;
        }
        let event_id = uuid(&mut self.rng);
        let body = envelope(&event_id, topic, store_id, at_ms, data);
        for subscription in self.subscriptions.iter().filter(|one| one.topic == topic) {
            if !subscription.is_active {
                self.lost += 1;
                continue;
            }
            let delay = self.options.delay;
            let held = self.rng.u32(0..100) < self.options.reorder_percent;
            let delay = if held { delay + self.options.reorder_hold } else { delay };
            let job = Job {
                subscription: subscription.id,
                event_id: event_id.clone(),
                topic: topic.to_owned(),
                body: body.clone(),
                attempt: 1,
                due: Due::Real(Instant::now() + delay),
            };
            if self.rng.u32(0..100) < self.options.duplicate_percent {
                self.queue.push(job.clone());
            }
            self.queue.push(job);
        }
    }

    /// The same event again, as a person can order it in the dashboard: an old event id, a new delivery.
    pub(crate) fn again(&mut self, event_id: &str) -> bool {
        let found = self.log.iter().find(|delivery| delivery.event_id == event_id);
        let Some(old) = found else { return false };
        self.queue.push(Job {
            subscription: old.subscription,
            event_id: old.event_id.clone(),
            topic: old.topic.clone(),
            body: old.body.clone(),
            attempt: 1,
            due: Due::Real(Instant::now()),
        });
        true
    }

    /// Takes up to `most` attempts that are due, signed now.
    pub(crate) fn take_due(&mut self, now_ms: i64, most: usize) -> Vec<Attempt> {
        let now = Instant::now();
        let mut taken = Vec::new();
        let is_due = |job: &Job| match job.due {
            Due::World(ms) => ms <= now_ms,
            Due::Real(at) => at <= now,
        };
        let due: Vec<Job> = self.queue.extract_if(.., |job| is_due(job)).collect();
        for job in due {
            let found = self.subscriptions.iter().find(|one| one.id == job.subscription);
            // One that was deleted meanwhile takes its deliveries along.
            let Some(subscription) = found else { continue };
            if taken.len() >= most {
                self.queue.push(job);
                continue;
            }
            let signed_ms = now_ms.saturating_sub(self.options.stale_by_ms);
            let timestamp = signed_ms.div_euclid(1_000).to_string();
            let signature = sign(&subscription.secret, &timestamp, job.body.as_bytes());
            let id = uuid(&mut self.rng);
            taken.push(Attempt {
                url: subscription.url.clone(),
                headers: vec![
                    ("X-SeloraX-Signature", signature),
                    ("X-SeloraX-Timestamp", timestamp),
                    ("X-SeloraX-Webhook-Event", job.topic.clone()),
                    ("X-SeloraX-Webhook-Event-Id", job.event_id.clone()),
                    ("X-SeloraX-Idempotency-Key", job.event_id.clone()),
                    ("X-SeloraX-Delivery-Id", id.clone()),
                ],
                timeout: self.options.timeout,
                at_ms: now_ms,
                id,
                job,
            });
        }
        self.in_flight += taken.len();
        taken
    }

    /// How long until something may be due, if nothing else happens; `factor` is how fast the world's clock runs
    /// (0 = it stands, and only a change of the clock makes anything due).
    pub(crate) fn next_due(&self, now_ms: i64, factor: u32) -> Option<Duration> {
        let now = Instant::now();
        let waits = self.queue.iter().filter_map(|job| match job.due {
            Due::Real(at) => Some(at.saturating_duration_since(now)),
            Due::World(_) if factor == 0 => None,
            Due::World(ms) => {
                let left = u64::try_from(ms.saturating_sub(now_ms)).unwrap_or(0);
                Some(Duration::from_millis(left / u64::from(factor) + 1))
            }
        });
        waits.min()
    }

    /// Books what came of an attempt: the subscription's counters, the next attempt, the log.
    pub(crate) fn settle(&mut self, attempt: Attempt, status: Option<u16>, now_ms: i64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let delivered = status.is_some_and(|status| (200..300).contains(&status));
        let wait = WAITS.get(attempt.job.attempt - 1).filter(|_| !delivered);
        let found = self
            .subscriptions
            .iter_mut()
            .find(|one| one.id == attempt.job.subscription);
        if let Some(subscription) = found {
            let limit = self.options.deactivate_after;
            subscription.settle(delivered, limit, now_ms);
        }
        let job = &attempt.job;
        self.log.push(Delivery {
            id: attempt.id.clone(),
            subscription: job.subscription,
            event_id: job.event_id.clone(),
            topic: job.topic.clone(),
            attempt: job.attempt,
            at_ms: attempt.at_ms,
            status,
            outcome: match (delivered, wait) {
                (true, _) => Outcome::Delivered,
                (false, Some(_)) => Outcome::Retrying,
                (false, None) => Outcome::Dead,
            },
            body: job.body.clone(),
        });
        if let Some(wait) = wait {
            let due = match self.options.waits {
                Waits::WorldClock => {
                    Due::World(now_ms.saturating_add(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)))
                }
                Waits::Hastened(factor) => Due::Real(Instant::now() + *wait / factor.max(1)),
            };
            self.queue.push(Job {
                attempt: attempt.job.attempt + 1,
                due,
                ..attempt.job
            });
        }
    }
}

impl Subscription {
    fn settle(&mut self, delivered: bool, limit: Option<u32>, now_ms: i64) {
        if delivered {
            self.failures = 0;
            self.last_success_ms = Some(now_ms);
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure_ms = Some(now_ms);
        if limit.is_some_and(|limit| self.failures >= limit) && self.is_active {
            self.is_active = false;
            self.updated_ms = crate::make::whole_second(now_ms);
        }
    }
}

impl Inner {
    /// Tells the subscribers what they have not been told of; returns whether there was anything.
    pub(crate) fn fan_out(&mut self) -> bool {
        if !self.shop.journal.has_untold() {
            return false;
        }
        let store_id = self.access.store_id;
        for entry in self.shop.journal.untold() {
            if self.hooks.subscriptions.is_empty() {
                continue;
            }
            for news in crate::topics::news(&entry, self.hooks.options.undocumented_topics) {
                self.hooks.publish(store_id, news.topic, &news.data, entry.event.at_ms);
            }
        }
        true
    }

    /// Where an attempt goes; checked again, so that nothing is ever sent off this machine.
    pub(crate) fn place(attempt: &Attempt) -> Option<(std::net::SocketAddr, String)> {
        target(&attempt.url)
    }
}
