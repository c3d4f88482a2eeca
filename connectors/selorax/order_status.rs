//! Order statuses on their way into the store. A status can text the buyer, so only a change that the config's table
//! allows is sent, never twice on purpose, and what came of it is read back. Must never guess a status.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::{Kind, Reader};
use contract::{
    Abilities, Act, Cursor, Difference, Error, Fault, Key, Listed, Malformed, Number, Push, Raw, Receipt, RecordTarget,
    Unknown, Use, Value,
};
use serde_json::json;

use super::api::Api;
use super::orders::SHAPE;
use super::read::{first, id, text_of};
use super::request::{Form, Ready, Usual, with};

/// So many changes in a row that are answered with 200 and not done, and the request as configured is to blame.
const IGNORED_MAX: u32 = 3;
/// What the store shows beside the status, under the names that its answers use.
const BESIDE: [(&str, &[&str]); 2] = [
    ("tracking_code", &["tracking_code", "tracking_id", "tracking_number"]),
    ("courier", &["courier"]),
];

/// `store.order_status` of the config.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    form: Form,
    transitions: Arc<Vec<Transition>>,
}

/// From one status, the ones that may follow; as the config spells them.
#[derive(Clone, Debug)]
struct Transition {
    from: String,
    to: Vec<String>,
}

impl Settings {
    /// Without `transitions` nothing may be written, and there is no target.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        let about = "how an order's status is set; without `transitions` it is not";
        reader.field("order_status", about).object(|status| {
            let usual = Usual {
                method: "PUT",
                path: "/orders/{order_id}/status",
                body: "{status}",
                names: &["order_id"],
            };
            let form = Form::read(status, usual);
            let transitions = transitions(status);
            Some(Settings {
                form: form?,
                transitions: Arc::new(transitions?),
            })
        })
    }

    /// The config's spelling of a status.
    fn named(&self, status: &str) -> Option<&str> {
        let wanted = same(status);
        let all = self.transitions.iter().flat_map(|one| one.to.iter().chain([&one.from]));
        all.map(String::as_str).find(|name| same(name) == wanted)
    }

    fn follow(&self, from: &str) -> Vec<&str> {
        let own = self.transitions.iter().filter(|one| same(&one.from) == same(from));
        own.flat_map(|one| one.to.iter().map(String::as_str)).collect()
    }

    fn ready(&self, wanted: &Wanted) -> Result<Ready, Malformed> {
        let order = Value::Number(Number::parse(&wanted.order.0)?);
        let status = Value::text(wanted.status.as_str());
        let record = with(&wanted.record, &[("order_id", order), ("status", status)]);
        self.form.ready(&record, &[("order_id", &wanted.order.0)])
    }
}

fn transitions(reader: &mut Reader<'_>) -> Option<Vec<Transition>> {
    let about = "from each status, the statuses that may follow it";
    let schema = json!({"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}});
    let node = reader.field("transitions", about).raw(schema)?;
    let lists = match &node.kind {
        Kind::Map(fields) if !fields.is_empty() => fields,
        _ => {
            let said = "expected from each status a list of those that may follow";
            reader.problem_at(
                "transitions",
                said,
                Some("such as `pending: [confirmed, cancelled]`".to_owned()),
            );
            return None;
        }
    };
    let mut read = Vec::new();
    for (from, node) in lists {
        let items = match &node.kind {
            Kind::List(items) => items.as_slice(),
            _ => &[],
        };
        let to: Option<Vec<String>> = items
            .iter()
            .map(|item| match &item.kind {
                Kind::Scalar { text, .. } if !text.trim().is_empty() => Some(text.trim().to_owned()),
                _ => None,
            })
            .collect();
        let from = from.text.trim().to_owned();
        let Some(to) = to.filter(|to| !to.is_empty() && !from.is_empty()) else {
            let path = format!("{}.transitions.{from}", reader.path());
            reader.problem_on(
                node.span,
                path,
                "expected a list of statuses, such as [confirmed, cancelled]",
                None,
            );
            return None;
        };
        read.push(Transition { from, to });
    }
    Some(read)
}

/// Statuses are the same whatever their case; one has two spellings.
fn same(status: &str) -> String {
    match status.trim().to_lowercase() {
        other if other == "canceled" => "cancelled".to_owned(),
        other => other,
    }
}

/// What a record asks for.
#[derive(Debug)]
struct Wanted {
    order: Key,
    /// As the config spells it.
    status: String,
    record: Value,
}

/// What the store shows of an order.
#[derive(Debug)]
struct Shown {
    status: String,
    order: Value,
}

#[derive(Debug)]
pub(super) struct OrderStatus {
    pub(super) api: Arc<Api>,
    pub(super) settings: Settings,
    /// Changes in a row that the store said it made and did not.
    pub(super) ignored: AtomicU32,
}

impl OrderStatus {
    pub(super) fn new(api: Arc<Api>, settings: Settings) -> OrderStatus {
        let ignored = AtomicU32::new(0);
        OrderStatus { api, settings, ignored }
    }

    fn wanted(&self, record: &Value) -> Result<Wanted, Malformed> {
        let order = first(record, &["order_id"]).ok_or_else(|| Malformed("it has no `order_id`".to_owned()))?;
        let order = id(order).map_err(|error| Malformed(format!("order_id: {error}")))?;
        let status = match record.get("status") {
            Some(Value::Text(text)) if !text.trim().is_empty() => text,
            Some(Value::Null | Value::Text(_)) | None => return Err(Malformed("it has no `status`".to_owned())),
            Some(other) => return Err(Malformed(format!("its `status` is {}, not a text", other.kind()))),
        };
        let Some(named) = self.settings.named(status) else {
            let said = format!(
                "the status `{}` stands nowhere in store.order_status.transitions, so it is not sent",
                status.trim()
            );
            return Err(Malformed(said));
        };
        Ok(Wanted {
            order: Key(order),
            status: named.to_owned(),
            record: record.clone(),
        })
    }

    async fn shown(&self, order: &Key) -> Result<Option<Shown>, Error> {
        let doing = format!("reading order {}", order.0);
        let Some(row) = self.api.one(&SHAPE, order, &doing, Use::Feed).await? else {
            return Ok(None);
        };
        let unread = |why: String| Error::new(Fault::Transient { reached: true }, &doing, why);
        let Raw::Value(value) = row.body else {
            return Err(unread("the store's answer cannot be read".to_owned()));
        };
        let inner = SHAPE.inner(&value).clone();
        let status = first(&inner, &["order_status", "status"]).and_then(Value::as_text);
        match status {
            Some(status) => Ok(Some(Shown {
                status: status.to_owned(),
                order: inner.clone(),
            })),
            None => Err(unread("the store shows no status of it".to_owned())),
        }
    }

    /// What the order does not show as wanted. Only what the body carries is looked at.
    fn differences(&self, wanted: &Wanted, shown: &Shown) -> Vec<Difference> {
        let mut differences = Vec::new();
        if same(&shown.status) != same(&wanted.status) {
            differences.push(Difference {
                field: "status".to_owned(),
                ours: Value::text(wanted.status.as_str()),
                theirs: Value::text(shown.status.as_str()),
            });
        }
        for (field, names) in BESIDE {
            let Some(ours) = wanted.record.get(field).filter(|ours| !ours.is_null()) else {
                continue;
            };
            let theirs = first(&shown.order, names).cloned().unwrap_or_default();
            let equal = match (text_of(ours, field), text_of(&theirs, field)) {
                (Ok(ours), Ok(theirs)) => ours == theirs,
                _ => false,
            };
            if self.settings.form.carries(field) && !equal {
                let (field, ours) = (field.to_owned(), ours.clone());
                differences.push(Difference { field, ours, theirs });
            }
        }
        differences
    }

    async fn set(&self, push: &Push) -> Result<Receipt, Error> {
        let doing = format!("setting the status for record {}", push.key.0);
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let refused = |why: String| Error::new(Fault::Rejected, &doing, why);
        let wanted = self.wanted(&push.record).map_err(wrong)?;
        let order = &wanted.order;
        let write = self.settings.ready(&wanted).map_err(wrong)?;
        let absent = || refused(format!("the store has no order {}", order.0));
        let shown = self.shown(order).await?.ok_or_else(absent)?;
        let done = Receipt {
            id: Some(order.clone()),
        };
        let differences = self.differences(&wanted, &shown);
        if differences.is_empty() {
            return Ok(done);
        }
        if same(&shown.status) == same(&wanted.status) {
            let said = format!(
                "order {} is `{}` already and shows other than {}; a status is not written twice, because that may \
                 text the buyer again",
                order.0,
                shown.status,
                told(&differences)
            );
            return Err(refused(said).hint("set it in the store's dashboard, then discard this"));
        }
        let follow = self.settings.follow(&shown.status);
        if !follow.iter().any(|status| same(status) == same(&wanted.status)) {
            let said = format!(
                "order {} is `{}`, and store.order_status.transitions does not let `{}` follow it{}",
                order.0,
                shown.status,
                wanted.status,
                match follow.is_empty() {
                    true => String::new(),
                    false => format!(" (allowed: {})", follow.join(", ")),
                }
            );
            return Err(refused(said));
        }
        self.api.write(&write, &doing, Use::Feed).await?;
        let now = self.shown(order).await.map_err(|error| in_doubt(error, &doing))?;
        let left = match &now {
            Some(now) => self.differences(&wanted, now),
            None => return Err(absent()),
        };
        if left.is_empty() {
            self.ignored.store(0, Ordering::Relaxed);
            return Ok(done);
        }
        Err(self.not_done(order, &left, &write, &doing))
    }

    /// The store said yes and did something else: most likely its body wants another name for the field.
    fn not_done(&self, order: &Key, left: &[Difference], write: &Ready, doing: &str) -> Error {
        let said = format!(
            "the store answered that it is done, and order {} shows other than asked: {}",
            order.0,
            told(left)
        );
        let hint = "check store.order_status (method, path, body): the store may want the status under another name";
        let many = self.ignored.fetch_add(1, Ordering::Relaxed) + 1 >= IGNORED_MAX;
        let fault = if many { Fault::Denied } else { Fault::Rejected };
        Error::new(fault, doing, said)
            .hint(hint)
            .exchange(self.api.curl(write), "2xx, and the order unchanged")
    }
}

/// The change was made or not: it was sent, and cannot be looked at now.
fn in_doubt(error: Error, doing: &str) -> Error {
    match error.fault {
        Fault::Denied => error,
        _ => Error::new(
            Fault::Transient { reached: true },
            doing,
            format!("it was sent, and reading it back failed: {error}"),
        ),
    }
}

fn told(differences: &[Difference]) -> String {
    let each = differences.iter().map(|one| {
        let (ours, theirs) = (one.ours.to_json(), one.theirs.to_json());
        format!("{} {ours} (there: {theirs})", one.field)
    });
    each.collect::<Vec<_>>().join(", ")
}

#[async_trait]
impl RecordTarget for OrderStatus {
    fn abilities(&self) -> Abilities {
        Abilities {
            update: true,
            find: true,
            compare: true,
            batch: 1,
            ..Abilities::default()
        }
    }

    fn concurrency(&self) -> usize {
        1
    }

    fn unknown(&self) -> Unknown {
        Unknown {
            recheck: Duration::from_secs(30),
            ..Unknown::default()
        }
    }

    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let mut receipts = Vec::with_capacity(pushes.len());
        for push in pushes {
            receipts.push(self.set(push).await);
        }
        receipts
    }

    async fn update(&self, _id: &Key, push: &Push) -> Result<Receipt, Error> {
        self.set(push).await
    }

    async fn cancel(&self, id: &Key, _push: &Push) -> Result<(), Error> {
        let doing = format!("cancelling order {}", id.0);
        Err(Error::new(
            Fault::Rejected,
            doing,
            "a status is not taken back by itself",
        ))
    }

    /// The order, if it shows what was asked for.
    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error> {
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, "looking for an order", why);
        let wanted = self.wanted(record).map_err(wrong)?;
        let shown = self.shown(&wanted.order).await?;
        let ours = shown.is_some_and(|shown| self.differences(&wanted, &shown).is_empty());
        Ok(ours.then_some(Receipt { id: Some(wanted.order) }))
    }

    async fn compare(&self, id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        let doing = format!("comparing order {}", id.0);
        let wanted = self
            .wanted(record)
            .map_err(|Malformed(why)| Error::new(Fault::Rejected, doing, why))?;
        let shown = self.shown(&wanted.order).await?;
        Ok(shown.map(|shown| self.differences(&wanted, &shown)))
    }

    fn cancels(&self, _canonical: &Value) -> Result<bool, Malformed> {
        Ok(false)
    }

    async fn list(&self, _after: Option<&Cursor>) -> Result<Listed, Error> {
        Err(Error::new(Fault::Rejected, "listing statuses", "they cannot be listed"))
    }

    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        let push = match act {
            Act::Create([push]) | Act::Update(_, push) => push,
            _ => return Err(Malformed("one request sets one status".to_owned())),
        };
        let write = self.settings.ready(&self.wanted(&push.record)?)?;
        Ok(self.api.curl(&write))
    }
}
