//! Subscriptions and what is sent to them: topics, payloads, signatures. It queues deliveries and never sends one.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use fastrand::Rng;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::Sha256;

use crate::answer::Answer;
use crate::jsontext::{Members, push, push_text};
use crate::options::Spelling;
use crate::world::Inner;
use crate::writes::{Outcome, done, refuse};

/// Everything that can be subscribed to.
pub const TOPICS: [&str; 13] = [
    "order.created",
    "order.updated",
    "order.status_changed",
    "order.cancelled",
    "order.deleted",
    "product.created",
    "product.updated",
    "product.deleted",
    "customer.created",
    "customer.updated",
    "inventory.updated",
    "app.installed",
    "app.uninstalled",
];

/// A place to which the events of one topic go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub id: i64,
    pub store_id: i64,
    pub topic: String,
    /// `http://` and a loopback address; nothing is ever sent elsewhere.
    pub url: String,
    /// `whsec_` and 64 hexadecimal digits.
    pub secret: String,
    pub is_active: bool,
    /// Failed attempts since the last success.
    pub failures: u32,
    pub created_ms: i64,
    pub updated_ms: i64,
    pub last_failure_ms: Option<i64>,
    pub last_success_ms: Option<i64>,
}

/// `sha256=` and the hexadecimal HMAC-SHA256 of `timestamp.body` under the whole secret, prefix included.
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else {
        // HMAC takes keys of any length.
        return String::new();
    };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    let mut out = "sha256=".to_owned();
    for byte in mac.finalize().into_bytes() {
        push(&mut out, format_args!("{byte:02x}"));
    }
    out
}

/// Where a target is; `None` for anything but plain HTTP to a loopback address.
pub(crate) fn target(url: &str) -> Option<(SocketAddr, String)> {
    let rest = url.strip_prefix("http://")?;
    let cut = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(cut);
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
        _ => (host, 80),
    };
    let ip = match name {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        name => name.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    if !ip.is_loopback() || path.contains(char::is_whitespace) || path.contains(char::is_control) {
        return None;
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Some((SocketAddr::new(ip, port), format!("{slash}{path}")))
}

impl Subscription {
    fn write(&self, out: &mut String, with_secret: Option<&str>) {
        let mut members = Members::open(out);
        members.int("subscription_id", self.id);
        members.raw("app_id", "7");
        members.raw("installation_id", "70");
        members.int("store_id", self.store_id);
        members.text("event_topic", &self.topic);
        members.text("target_url", &self.url);
        members.int("is_active", i64::from(self.is_active));
        members.int("failure_count", i64::from(self.failures));
        members.raw("name", "null");
        members.raw("permissions", "null");
        members.text("created_by_type", "app");
        members.text("source_name", "Sync");
        members.stamp_or_null("last_failure_at", self.last_failure_ms);
        members.stamp_or_null("last_success_at", self.last_success_ms);
        members.stamp("created_at", self.created_ms);
        members.stamp("updated_at", self.updated_ms);
        if let Some(secret) = with_secret {
            members.text("signing_secret", secret);
        }
        members.close();
    }

    /// As the list shows it, which is without the secret.
    pub fn json(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }
}

/// `GET /webhooks`.
pub(crate) fn list(inner: &Inner) -> Answer {
    let rows: Vec<String> = inner.hooks.subscriptions.iter().map(Subscription::json).collect();
    Answer::json(200, format!(r#"{{"data":[{}],"status":200}}"#, rows.join(",")))
}

/// `POST /webhooks`, in the spellings that the options allow.
pub(crate) fn create(inner: &mut Inner, body: &Map<String, Value>) -> Outcome {
    let word = |name: &str| body.get(name).and_then(Value::as_str);
    let record = || Some((word("event_topic")?, word("target_url")?));
    let short = || Some((word("topic")?, word("url")?));
    let asked = match inner.hooks.options.spelling {
        Spelling::Both => record().or_else(short),
        Spelling::Record => record(),
        Spelling::Short => short(),
    };
    let (topic, url) = asked.ok_or_else(|| refuse("event_topic and target_url are required"))?;
    let made = subscribe(inner, topic, url).map_err(|complaint| refuse(&complaint))?;
    let mut text = String::new();
    made.write(&mut text, Some(&made.secret));
    Ok(done(inner.options.created_code, "Webhook created successfully", &text))
}

pub(crate) fn subscribe(inner: &mut Inner, topic: &str, url: &str) -> Result<Subscription, String> {
    if !TOPICS.contains(&topic) {
        return Err(format!("Unknown event_topic {topic}"));
    }
    if target(url).is_none() {
        return Err("target_url must be http:// and a loopback address; this sandbox sends nowhere else".to_owned());
    }
    let now_ms = crate::make::whole_second(inner.time.now_ms());
    let hooks = &mut inner.hooks;
    hooks.next_id += 1;
    let made = Subscription {
        id: hooks.next_id,
        store_id: inner.access.store_id,
        topic: topic.to_owned(),
        url: url.to_owned(),
        secret: format!("whsec_{}", hex(&mut hooks.rng, 64)),
        is_active: true,
        failures: 0,
        created_ms: now_ms,
        updated_ms: now_ms,
        last_failure_ms: None,
        last_success_ms: None,
    };
    hooks.subscriptions.push(made.clone());
    Ok(made)
}

fn hex(rng: &mut Rng, digits: usize) -> String {
    (0..digits).map(|_| rng.digit(16)).collect()
}

pub(crate) fn uuid(rng: &mut Rng) -> String {
    let text = hex(rng, 30);
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or("");
    let (a, b, c, d, e) = (part(0, 8), part(8, 12), part(12, 15), part(15, 18), part(18, 30));
    format!("{a}-{b}-4{c}-a{d}-{e}")
}

/// The body of one event, the same for all its subscribers and attempts.
pub(crate) fn envelope(event_id: &str, topic: &str, store_id: i64, at_ms: i64, data: &str) -> String {
    let mut out = String::with_capacity(data.len() + 250);
    let mut members = Members::open(&mut out);
    push_text(members.name("event_id"), event_id);
    members.text("event_topic", topic);
    members.int("store_id", store_id);
    members.stamp("timestamp", at_ms);
    members.raw("data", data);
    members.close();
    out
}
