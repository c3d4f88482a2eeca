//! The store's webhooks: their signature, their envelope, and what each topic is about. The signature covers the
//! timestamp and the raw body; headers besides it are hints. (Platform docs: webhooks/receiving-webhooks,
//! webhooks/event-topics.)

use std::sync::Arc;

use async_trait::async_trait;
use contract::{
    About, Call, Composed, Event, Fields, Hash, Key, Privacy, PrivacyKind, Refused, Stamp, Value, Webhook, write_text,
};
use hmac::{Hmac, KeyInit as _, Mac as _};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::api::Api;
use super::{customers, inventory, orders, products, read};

const SIGNATURE: &str = "x-selorax-signature";
const TIMESTAMP: &str = "x-selorax-timestamp";
const TOPIC: &str = "x-selorax-webhook-event";
const EVENT_ID: &str = "x-selorax-webhook-event-id";
/// A longer id or topic is nothing that the platform made; its hash will do.
const NAME_MAX: usize = 200;
/// How many orders a privacy request may name.
const ORDERS_MAX: usize = 10_000;

type Keyed = Hmac<Sha256>;

pub(super) struct Hook {
    api: Arc<Api>,
    store_id: i64,
    /// One for each secret, ready to sign: the whole secret is the key, its prefix included.
    keyed: Vec<Keyed>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hook").field("secrets", &self.keyed.len()).finish()
    }
}

impl Hook {
    pub(super) fn new(api: Arc<Api>, store_id: i64, secrets: &[SecretString]) -> Hook {
        let keyed = secrets.iter().map(|secret| secret.expose_secret().as_bytes());
        // HMAC takes keys of any length.
        let keyed = keyed.filter_map(|secret| Keyed::new_from_slice(secret).ok()).collect();
        Hook { api, store_id, keyed }
    }
}

#[async_trait]
impl Webhook for Hook {
    fn open(&self, call: &Call<'_>) -> Result<Event, Refused> {
        let signed_at = verified(call, &self.keyed)?;
        event(call, signed_at, self.store_id)
    }

    async fn now(&self) -> Stamp {
        self.api.now().await
    }

    fn compose(&self, topic: &str, record: &Key, at: Stamp) -> Option<Composed> {
        let (_, id_name) = subject(topic)?;
        let timestamp = at.div_euclid(1000).to_string();
        let event_id = format!("test-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut body = String::from("{\"event_id\":");
        write_text(&event_id, &mut body);
        body.push_str(",\"event_topic\":");
        write_text(topic, &mut body);
        body.push_str(&format!(",\"store_id\":{},\"timestamp\":", self.store_id));
        write_text(&read::show(at), &mut body);
        body.push_str(&format!(",\"data\":{{\"{id_name}\":"));
        match read::id(&Value::from(record.0.as_str())) {
            Ok(id) => body.push_str(&id),
            Err(_) => write_text(&record.0, &mut body),
        }
        body.push_str("}}");
        let mut mac = self.keyed.first()?.clone();
        feed(&mut mac, timestamp.as_bytes(), body.as_bytes());
        let digest = mac.finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(Composed {
            headers: vec![
                ("content-type", "application/json".to_owned()),
                (SIGNATURE, format!("sha256={hex}")),
                (TIMESTAMP, timestamp),
                (TOPIC, topic.to_owned()),
                (EVENT_ID, event_id),
            ],
            body: body.into_bytes(),
        })
    }
}

fn feed(mac: &mut Keyed, timestamp: &[u8], body: &[u8]) {
    mac.update(timestamp);
    mac.update(b".");
    mac.update(body);
}

/// When the call was signed, if one of the secrets signed it. A header that came twice is as good as a wrong one.
fn verified(call: &Call<'_>, keyed: &[Keyed]) -> Result<Stamp, Refused> {
    let header = |name, shown| {
        call.header(name).map_err(|times| match times {
            0 => Refused::Missing(shown),
            _ => Refused::Signature,
        })
    };
    let signature = header(SIGNATURE, "X-SeloraX-Signature")?;
    let timestamp = header(TIMESTAMP, "X-SeloraX-Timestamp")?;
    let seconds = seconds(timestamp).ok_or(Refused::Signature)?;
    let signature = digest(signature).ok_or(Refused::Signature)?;
    // All of them, so that the time it takes does not tell which one it was.
    let mut good = false;
    for keyed in keyed {
        let mut mac = keyed.clone();
        feed(&mut mac, timestamp, call.body);
        good |= mac.verify_slice(&signature).is_ok();
    }
    if good {
        Ok(seconds.saturating_mul(1000))
    } else {
        Err(Refused::Signature)
    }
}

/// Exactly ten ASCII digits. Anything looser, a dot above all, would move the border between timestamp and body.
fn seconds(text: &[u8]) -> Option<i64> {
    if text.len() != 10 || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// `sha256=` and 64 lower-case hexadecimal digits.
fn digest(text: &[u8]) -> Option<[u8; 32]> {
    let hex = text.strip_prefix(b"sha256=")?;
    if hex.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

fn event(call: &Call<'_>, signed_at: Stamp, store_id: i64) -> Result<Event, Refused> {
    let malformed = |what: String| Refused::Malformed(what);
    let text = std::str::from_utf8(call.body).map_err(|_| malformed("the body is not UTF-8".to_owned()))?;
    let body = Value::parse(text).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    let Value::Map(envelope) = &body else {
        return Err(malformed(format!("the body is {} instead of an object", body.kind())));
    };
    let body_hash = Hash::of(call.body);
    let hint = |name| call.header(name).ok().and_then(|text| std::str::from_utf8(text).ok());
    let (said_id, said_topic) = (word(envelope, &["event_id"]), word(envelope, &["event_topic", "topic"]));
    let differs =
        |said: &Option<String>, name| said.is_some() && hint(name).is_some_and(|hint| Some(hint) != said.as_deref());
    let contradicted = differs(&said_id, EVENT_ID) || differs(&said_topic, TOPIC);
    let id = said_id.or_else(|| hint(EVENT_ID).map(str::to_owned));
    let id = id.filter(|id| !id.is_empty() && id.len() <= NAME_MAX);
    // A header, which nobody signed, may say which record to read again, and nothing more.
    let is_signed = said_topic.is_some();
    let topic = said_topic
        .or_else(|| hint(TOPIC).map(str::to_owned))
        .unwrap_or_default();
    let topic: String = topic.chars().filter(|c| !c.is_control()).take(NAME_MAX).collect();
    let other = match envelope.get("store_id") {
        None | Some(Value::Null) => false,
        Some(told) => read::id(told).ok().as_deref() != Some(store_id.to_string().as_str()),
    };
    let data = match envelope.get("data") {
        Some(data @ Value::Map(_)) => data,
        _ => &body,
    };
    let about = match about(&topic, data) {
        _ if other => About::OtherStore,
        About::Installed | About::Uninstalled | About::Privacy(_) if !is_signed => About::Unknown,
        about => about,
    };
    Ok(Event {
        id: id.unwrap_or_else(|| format!("body-{}", body_hash.hex())),
        about,
        topic,
        body_hash,
        signed_at,
        contradicted,
    })
}

/// The resource that a topic is about, and the name that its record's id goes by first.
fn subject(topic: &str) -> Option<(&'static str, &'static str)> {
    match topic.split_once('.')?.0 {
        "order" => Some((orders::SHAPE.path, "order_id")),
        "product" => Some((products::SHAPE.path, "product_id")),
        "customer" => Some((customers::SHAPE.path, "user_id")),
        // Stock is read by its product.
        "inventory" => Some((inventory::SHAPE.path, "product_id")),
        _ => None,
    }
}

fn about(topic: &str, data: &Value) -> About {
    match topic {
        "app.installed" => return About::Installed,
        "app.uninstalled" => return About::Uninstalled,
        "customers/data_request" => return About::Privacy(privacy(PrivacyKind::Tell, data)),
        "customers/redact" => return About::Privacy(privacy(PrivacyKind::Redact, data)),
        "shop/redact" => return About::Privacy(privacy(PrivacyKind::RedactAll, data)),
        _ => {}
    }
    let Some((resource, _)) = subject(topic) else {
        return About::Unknown;
    };
    let (wrapper, names): (&str, &[&str]) = match topic.split('.').next() {
        Some("order") => ("order", &["order_id", "id"]),
        Some("customer") => ("customer", &["user_id", "customer_id", "id"]),
        Some("product") => ("product", &["product_id", "id"]),
        // What a bare `id` would be the id of is not told.
        _ => ("inventory", &["product_id"]),
    };
    let id = read::first(data, names).or_else(|| read::first(read::inner(data, wrapper), names));
    match id.and_then(|id| read::id(id).ok()) {
        Some(id) if topic.ends_with(".deleted") => About::Deleted { resource, key: Key(id) },
        Some(id) => About::Record { resource, key: Key(id) },
        None => About::Resource(resource),
    }
}

fn word(fields: &Fields, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| match fields.get(name)? {
        Value::Text(text) => Some(text.to_string()),
        Value::Number(number) => Some(number.as_str().to_owned()),
        _ => None,
    })
}

/// The platform does not document these payloads: whatever in them looks like the person is taken.
fn privacy(kind: PrivacyKind, data: &Value) -> Privacy {
    let person = read::inner(data, "customer");
    let id_of = |value: &Value| read::id(value).ok().map(Key);
    let customer = read::first(data, &["user_id", "customer_id"])
        .or_else(|| read::first(person, &["user_id", "customer_id", "id"]))
        .and_then(id_of);
    let listed = read::first(data, &["orders_to_redact", "orders_requested", "order_ids", "orders"]);
    let listed = listed
        .and_then(Value::as_list)
        .unwrap_or_default()
        .iter()
        .take(ORDERS_MAX);
    let one = |value: &Value| match value {
        Value::Map(_) => read::first(value, &["order_id", "id"]).and_then(id_of),
        value => id_of(value),
    };
    let orders = listed.filter_map(one).collect();
    let names = [
        "email",
        "phone",
        "name",
        "customer_name",
        "customer_phone",
        "customer_email",
    ];
    let mut words: Vec<String> = [data, person]
        .into_iter()
        .flat_map(|place| names.iter().filter_map(|name| place.get(name)?.as_text()))
        .map(|text| text.trim().to_owned())
        .filter(|text| text.chars().count() >= 4)
        .collect();
    words.sort();
    words.dedup();
    Privacy {
        kind,
        customer,
        orders,
        words,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
