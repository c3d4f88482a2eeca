//! Who is called about what: the app's subscriptions at the store. Read in every shape that the platform's papers
//! show; made in either spelling that they contradict each other in, and never twice by one request.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use contract::{Error, Fault, ParseError, Subscribed, Subscription, Subscriptions, Value};
use secrecy::SecretString;
use serde_json::json;

use super::api::Api;
use super::read;

const PATH: &str = "webhooks";
const LISTING: &str = "listing the webhook subscriptions";
const BY_HAND: &str = "make them by hand in Settings > Apps > Webhooks, and give the config their secrets";
/// No papers speak of pages. Where a store has them all the same, it has them asked for in these.
const PAGE_ROWS: u64 = 250;
const PAGES_MAX: u64 = 40;

#[derive(Debug)]
pub(super) struct Hooks {
    pub(super) api: Arc<Api>,
}

#[async_trait]
impl Subscriptions for Hooks {
    async fn list(&self) -> Result<Vec<Subscription>, Error> {
        let mut all = self.page(None).await?;
        let mut page = 1;
        // A part taken for the whole would be answered with second copies of the rest.
        while all.is_cut_off() && page < PAGES_MAX {
            page += 1;
            if !all.join(self.page(Some(page)).await?) {
                break;
            }
        }
        Ok(all.rows)
    }

    async fn create(&self, topic: &str, url: &str) -> Result<Subscribed, Error> {
        let doing = format!("subscribing to {topic}");
        let record = json!({"event_topic": topic, "target_url": url});
        let first = match self.post(&record, topic, url, &doing).await {
            Err(error) if is_about_the_words(&error) => error,
            other => return other,
        };
        let short = json!({"topic": topic, "url": url});
        let second = self.post(&short, topic, url, &doing).await;
        second.map_err(|mut error| {
            if is_about_the_words(&error) && error.answer != first.answer {
                error.answer = format!(
                    "{}; and, asked for with `topic` and `url`, {}",
                    first.answer, error.answer
                );
            }
            error
        })
    }
}

impl Hooks {
    async fn page(&self, page: Option<u64>) -> Result<Listing, Error> {
        let params = page.map(|page| [("page", page.to_string()), ("limit", PAGE_ROWS.to_string())]);
        let params = params.as_ref().map_or(&[][..], |params| params.as_slice());
        let listing = self.api.read(PATH, params, LISTING, listing).await;
        listing.map_err(|error| match error.status {
            Some(404) => error.hint(format!("this store's API has no list of subscriptions: {BY_HAND}")),
            _ => error,
        })
    }

    async fn post(&self, body: &serde_json::Value, topic: &str, url: &str, doing: &str) -> Result<Subscribed, Error> {
        let made = self
            .api
            .write_once(PATH, body, doing, |answer| subscribed(answer, topic, url));
        made.await.map_err(|error| match error.status {
            Some(404 | 405) => error.hint(format!("this store's API makes no subscriptions: {BY_HAND}")),
            _ => error,
        })
    }
}

/// The store did not understand the request as it was put, so that nothing came of it.
fn is_about_the_words(error: &Error) -> bool {
    error.fault == Fault::Rejected && matches!(error.status, Some(400 | 422))
}

#[derive(Debug)]
struct Listing {
    rows: Vec<Subscription>,
    /// How many there are, where that is told.
    total: Option<u64>,
}

impl Listing {
    fn is_cut_off(&self) -> bool {
        self.total.is_some_and(|total| total > self.rows.len() as u64)
    }

    /// Adds what a further page brought. `false`: nothing new.
    fn join(&mut self, page: Listing) -> bool {
        let known: BTreeSet<String> = self.rows.iter().map(|row| row.id.clone()).collect();
        let before = self.rows.len();
        self.rows
            .extend(page.rows.into_iter().filter(|row| !known.contains(&row.id)));
        self.rows.len() > before
    }
}

/// A list alone, or as `data`, or the first list in it.
fn listing(answer: &Value) -> Result<Listing, ParseError> {
    let data = answer.get("data").unwrap_or(answer);
    let rows = data.as_list().or_else(|| list_in(data)).or_else(|| list_in(answer));
    let rows = rows.ok_or_else(|| ParseError("there is no list in it".to_owned()))?;
    let read = |(at, row): (usize, &Value)| {
        let row = wrapped(row);
        subscription(row, None).map_err(|error| ParseError(format!("subscription {} of the list: {error}", at + 1)))
    };
    let total = answer.get("pagination").and_then(|pagination| pagination.get("total"));
    Ok(Listing {
        rows: rows.iter().enumerate().map(read).collect::<Result<_, _>>()?,
        total: total.or_else(|| answer.get("total")).and_then(read::count),
    })
}

fn list_in(value: &Value) -> Option<&[Value]> {
    match value {
        Value::Map(fields) => fields.iter().find_map(|(_, member)| member.as_list()),
        _ => None,
    }
}

/// A record, also where it stands under its kind's name.
fn wrapped(value: &Value) -> &Value {
    let mut inners = ["webhook", "subscription"].iter().filter_map(|name| value.get(name));
    inners.find(|inner| matches!(inner, Value::Map(_))).unwrap_or(value)
}

/// `asked`: topic and address that were asked for, for an answer that does not repeat them.
fn subscription(row: &Value, asked: Option<(&str, &str)>) -> Result<Subscription, ParseError> {
    let text = |names: &[&str]| {
        let found = read::first(row, names).and_then(Value::as_text).map(str::trim);
        found.filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let needs = |name: &str| ParseError(format!("it has no {name}"));
    let topic = text(&["event_topic", "topic"]).or_else(|| asked.map(|(topic, _)| topic.to_owned()));
    let url = text(&["target_url", "url"]).or_else(|| asked.map(|(_, url)| url.to_owned()));
    let id = match read::first(row, &["subscription_id", "id", "webhook_id"]) {
        Some(Value::Text(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) => number.as_str().to_owned(),
        _ if asked.is_some() => String::new(),
        _ => return Err(needs("subscription_id")),
    };
    let is_active = read::yes_or_no(read::first(row, &["is_active", "active"]), "is_active");
    let stamp = |name| row.get(name).and_then(read::stamp);
    Ok(Subscription {
        id,
        topic: topic.ok_or_else(|| needs("event_topic"))?,
        url: url.ok_or_else(|| needs("target_url"))?,
        // Where it is not told, nothing speaks against it.
        is_active: is_active.map_err(|error| ParseError(error.0))? != Value::Bool(false),
        failures: read::first(row, &["failure_count", "failures"]).and_then(read::count),
        last_success_at: stamp("last_success_at"),
        last_failure_at: stamp("last_failure_at"),
    })
}

fn subscribed(answer: &Value, topic: &str, url: &str) -> Result<Subscribed, ParseError> {
    let data = answer.get("data").unwrap_or(answer);
    let row = wrapped(data);
    let places = [row, data, answer].into_iter();
    let secret = places.filter_map(|place| read::first(place, &["signing_secret", "secret"]));
    let secret = secret.filter_map(Value::as_text).find(|text| !text.trim().is_empty());
    Ok(Subscribed {
        subscription: subscription(row, Some((topic, url)))?,
        secret: secret.map(|secret| SecretString::from(secret.trim().to_owned())),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn value(text: &str) -> Value {
        Value::parse(text).unwrap()
    }

    const RECORD: &str = r#"{"subscription_id":901,"app_id":null,"store_id":22,"event_topic":"order.created",
        "target_url":"https://sync.test/x","is_active":0,"failure_count":6,"name":null,
        "last_failure_at":"2026-01-15T06:00:00.000Z","last_success_at":null}"#;
    const SHORT: &str = r#"{"id":"901","topic":"order.created","url":"https://sync.test/x","is_active":"0"}"#;

    #[test]
    fn a_list_is_read_in_every_shape_and_both_spellings() {
        for record in [RECORD, SHORT] {
            for shape in [
                r#"{"data":[@],"status":200}"#,
                r#"{"data":{"webhooks":[@]}}"#,
                r#"{"data":{"subscriptions":[{"webhook":@}]}}"#,
                r#"{"webhooks":[@]}"#,
                "[@]",
            ] {
                let text = shape.replace('@', record);
                let listing = listing(&value(&text)).unwrap();
                let row = &listing.rows[0];
                assert_eq!(
                    (row.id.as_str(), row.topic.as_str(), row.url.as_str(), row.is_active),
                    ("901", "order.created", "https://sync.test/x", false),
                    "{text}"
                );
                assert!(!listing.is_cut_off());
            }
        }
        let row = listing(&value(&format!("[{RECORD}]"))).unwrap().rows.remove(0);
        assert_eq!(
            (row.failures, row.last_failure_at, row.last_success_at),
            (Some(6), Some(1_768_456_800_000), None)
        );
        assert!(listing(&value(r#"{"data":[]}"#)).unwrap().rows.is_empty());
    }

    #[test]
    fn what_cannot_be_told_is_refused_instead_of_left_out() {
        for (text, why) in [
            (r#"{"status":200}"#, "no list"),
            (r#"{"data":{"message":"ok"}}"#, "no list"),
            (
                r#"[{"subscription_id":1,"url":"x"}]"#,
                "subscription 1 of the list: it has no event_topic",
            ),
            (r#"[{"id":1,"topic":"a","url":""}]"#, "it has no target_url"),
            (r#"[{"topic":"a","url":"b"}]"#, "it has no subscription_id"),
            (r#"[{"id":1,"topic":"a","url":"b","is_active":7}]"#, "is_active"),
        ] {
            let error = listing(&value(text)).unwrap_err();
            assert!(error.0.contains(why), "{text}: {}", error.0);
        }
    }

    #[test]
    fn a_list_that_tells_of_more_is_cut_off_until_all_are_there() {
        let page = |id: u32| {
            let text = r#"{"data":[{"id":@,"topic":"t","url":"u"}],"pagination":{"total":"2"}}"#;
            listing(&value(&text.replace('@', &id.to_string()))).unwrap()
        };
        let mut all = page(1);
        assert!(all.is_cut_off());
        assert!(!all.join(page(1)), "a page that comes again is the end");
        assert!(all.join(page(2)) && !all.is_cut_off());
        assert_eq!(all.rows.len(), 2);
    }

    #[test]
    fn an_answer_to_a_creation_is_read_in_either_spelling_and_may_say_little() {
        for text in [
            r#"{"data":{"subscription_id":7,"event_topic":"a.b","target_url":"https://x","signing_secret":"whsec_1"}}"#,
            r#"{"id":7,"topic":"a.b","url":"https://x","secret":" whsec_1 "}"#,
            r#"{"data":{"webhook":{"id":7},"signing_secret":"whsec_1"},"status":201}"#,
        ] {
            let made = subscribed(&value(text), "a.b", "https://x").unwrap();
            assert_eq!(made.secret.unwrap().expose_secret(), "whsec_1", "{text}");
            let row = made.subscription;
            assert_eq!(
                (row.id.as_str(), row.topic.as_str(), row.url.as_str()),
                ("7", "a.b", "https://x")
            );
            assert!(row.is_active);
        }
        let made = subscribed(&value(r#"{"message":"Webhook created"}"#), "a.b", "https://x").unwrap();
        assert!(made.secret.is_none() && made.subscription.topic == "a.b");
    }
}
