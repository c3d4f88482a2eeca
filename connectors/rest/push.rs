//! A resource that takes records one by one, or some at a time. One wish is one request; what came of it is told
//! as it was: done, not done, or unknown. Must never send again what may have been carried out.

use std::sync::Arc;

use async_trait::async_trait;
use contract::settings::Reader;
use contract::{
    Abilities, Act, Cursor, Difference, Error, Fault, Fields, Key, Listed, Malformed, Number, Push, Receipt,
    RecordTarget, Unknown, Use, Value,
};

use super::api::{Api, Manner};
use super::batch::Batch;
use super::jq::{Around, Jq, Named, text_of};
use super::list::Listing;
use super::place::Place;
use super::request::{Prepared, Shape, Usual};
use super::rules::{Rules, statuses};
use crate::http::{Answer, Tries};

/// `push` of one resource.
#[derive(Debug)]
pub(super) struct PushSettings {
    pub(super) create: Action,
    update: Option<Action>,
    find: Option<Find>,
    read: Option<Read>,
    cancel: Option<Cancel>,
    pub(super) batch: Option<Batch>,
    list: Option<Listing>,
    trusts_key: bool,
    conflict: Vec<u16>,
}

/// A request that changes something.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) shape: Shape,
    pub(super) rules: Rules,
    /// jq over the answer: the other side's own id.
    id: Option<Jq>,
    idempotency_header: Option<String>,
}

#[derive(Debug)]
struct Find {
    shape: Shape,
    rules: Rules,
    id: Jq,
}

#[derive(Debug)]
struct Read {
    shape: Shape,
    rules: Rules,
    /// Names of the mapped record's fields, and where each stands in the answer.
    compare: Named,
}

#[derive(Debug)]
struct Cancel {
    action: Action,
    when: Jq,
}

#[derive(Debug)]
pub(super) struct Target {
    pub(super) api: Arc<Api>,
    /// As the config calls it.
    pub(super) name: String,
    pub(super) settings: Arc<PushSettings>,
    pub(super) unknown: Unknown,
    pub(super) concurrency: usize,
}

const CREATES: Usual = Usual {
    method: "POST",
    sends: true,
};
const UPDATES: Usual = Usual {
    method: "PUT",
    sends: true,
};
const CANCELS: Usual = Usual {
    method: "POST",
    sends: false,
};
const LOOKS: Usual = Usual {
    method: "GET",
    sends: false,
};

impl PushSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<PushSettings> {
        let create = reader
            .field("create", "the request that creates a record")
            .required()
            .object(|reader| Action::read(reader, CREATES));
        let update = reader
            .field(
                "update",
                "the request that gives a record new content; without it changes are noted, not sent",
            )
            .object(|reader| Action::read(reader, UPDATES));
        let find = reader
            .field("find", "how a record is looked for after an answer that never came")
            .object(Find::read);
        let read = reader
            .field("read", "how a record is read by its id, and what of it is compared")
            .object(Read::read);
        let cancel = reader
            .field("cancel", "the request that cancels a record")
            .object(Cancel::read);
        let about = "statuses that say that the record is there already; default 409";
        let given = reader.node().is_some_and(|node| node.get("conflict").is_some());
        let conflict = statuses(reader, "conflict", about);
        let idempotency = reader
            .field(
                "idempotency",
                "trusted: the other side carries one key out once, however often it comes",
            )
            .default("untrusted")
            .choice(&["untrusted", "trusted"]);
        let batch = reader
            .field("batch", "how several records are created by one request")
            .object(Batch::read);
        let list = reader
            .field("list", "how all records that are there are listed; for reconcile")
            .object(Listing::read);
        let named = |name: &str| {
            reader
                .node()
                .is_some_and(|node| node.get(name).is_some_and(|node| !node.is_null()))
        };
        let broken = [
            ("update", update.is_some()),
            ("find", find.is_some()),
            ("read", read.is_some()),
            ("cancel", cancel.is_some()),
            ("batch", batch.is_some()),
            ("list", list.is_some()),
        ];
        let broken = broken.iter().any(|(name, read)| named(name) && !read);
        let trusts_key = idempotency? == "trusted";
        let create = create?;
        if trusts_key && create.idempotency_header.is_none() && !create.uses_key() {
            let hint = "idempotency_header: Idempotency-Key".to_owned();
            reader.problem_at("idempotency", "no key is sent that could be trusted", Some(hint));
        }
        for (name, place) in [
            ("create", Some(&create.shape.place)),
            ("find", find.as_ref().map(|find| &find.shape.place)),
        ] {
            if place.is_some_and(needs_id) {
                let hint = Some("fill the path from a field of the mapped record, such as {reference}".to_owned());
                reader.problem_at(name, "a record that is not there yet has no {id}", hint);
            }
        }
        let later = [
            ("update", update.is_some()),
            ("cancel", cancel.is_some()),
            ("read", read.is_some()),
        ];
        let told = create.id.is_some() || find.is_some() || batch.as_ref().is_some_and(Batch::tells_ids);
        if let Some((name, _)) = later.iter().find(|(_, given)| *given).filter(|_| !told) {
            let hint = Some("id: .data.id, under `create`".to_owned());
            reader.problem_at(
                name,
                format!("`{name}` needs the record's id, and nothing tells it"),
                hint,
            );
        }
        if broken {
            return None;
        }
        let mut settings = PushSettings {
            create,
            update,
            find,
            read,
            cancel,
            batch,
            list,
            trusts_key,
            conflict: if given { conflict? } else { vec![409] },
        };
        settings.share_conflict();
        Some(settings)
    }

    fn share_conflict(&mut self) {
        let conflict = &self.conflict;
        self.create.rules.conflict.clone_from(conflict);
        for action in [
            self.update.as_mut(),
            self.cancel.as_mut().map(|cancel| &mut cancel.action),
        ] {
            if let Some(action) = action {
                action.rules.conflict.clone_from(conflict);
            }
        }
    }
}

impl Action {
    fn read(reader: &mut Reader<'_>, usual: Usual) -> Option<Action> {
        let shape = Shape::read(reader, usual);
        let rules = Rules::read(reader);
        let id = Jq::read(
            reader,
            "id",
            "jq over the answer: the other side's own id of the record",
        );
        let idempotency_header = reader
            .field(
                "idempotency_header",
                "the header that takes the record's idempotency key",
            )
            .parsed(
                serde_json::json!({"type": "string"}),
                |name| match reqwest::header::HeaderName::from_bytes(name.as_bytes()) {
                    Ok(_) => Ok(name.to_owned()),
                    Err(_) => Err("expected a header's name, such as Idempotency-Key".to_owned()),
                },
            );
        Some(Action {
            shape: shape?,
            rules: rules?,
            id,
            idempotency_header,
        })
    }

    /// Whether a template of it mentions the key.
    fn uses_key(&self) -> bool {
        self.shape.mentions("$record.key")
    }

    fn prepare(&self, api: &Api, push: &Push, id: Option<&Key>) -> Result<Prepared, Malformed> {
        let id = id.map(|id| id.0.as_str());
        let around = around(id, &push.idempotency, &push.key);
        let mut prepared = self.shape.prepare(&api.base, &push.record, id, &around)?;
        if let Some(header) = &self.idempotency_header {
            prepared.headers.push((header.clone(), push.idempotency.clone()));
        }
        Ok(prepared)
    }

    pub(super) fn keyed(&self, prepared: &mut Prepared, key: &str) {
        if let Some(header) = &self.idempotency_header {
            prepared.headers.push((header.clone(), key.to_owned()));
        }
    }

    fn receipt(&self, answer: &Value, doing: &str) -> Result<Receipt, Error> {
        let Some(id) = &self.id else {
            return Ok(Receipt::default());
        };
        match id.text(answer, &Value::Null) {
            // What could not be told is not made up; the record is there all the same.
            Ok(id) => Ok(Receipt {
                id: id.filter(|id| !id.is_empty()).map(Key),
            }),
            Err(Malformed(why)) => Err(Error::new(Fault::Transient { reached: true }, doing, why)),
        }
    }
}

impl Find {
    fn read(reader: &mut Reader<'_>) -> Option<Find> {
        let shape = Shape::read(reader, LOOKS);
        let rules = Rules::read(reader);
        let id = Jq::required(
            reader,
            "id",
            "jq over the answer: the id of what was found, null where nothing was",
        );
        Some(Find {
            shape: shape?,
            rules: rules?,
            id: id?,
        })
    }
}

impl Read {
    fn read(reader: &mut Reader<'_>) -> Option<Read> {
        let shape = Shape::read(reader, LOOKS);
        let rules = Rules::read(reader);
        let about = "fields of the mapped record, each with jq over the answer: where the same stands there";
        let compare = Named::read(reader, "compare", about);
        Some(Read {
            shape: shape?,
            rules: rules?,
            compare: compare?,
        })
    }
}

impl Cancel {
    fn read(reader: &mut Reader<'_>) -> Option<Cancel> {
        let action = Action::read(reader, CANCELS);
        let when = Jq::required(
            reader,
            "when",
            "jq over the source's record: holds when it is to be cancelled",
        );
        Some(Cancel {
            action: action?,
            when: when?,
        })
    }
}

/// What filters see as `$record` besides the mapped record itself.
pub(super) fn around(id: Option<&str>, key: &str, source: &Key) -> Around {
    let mut fields = Fields::with_capacity(3);
    fields.push("id", id.map_or(Value::Null, Value::text));
    fields.push("key", Value::text(key));
    fields.push("source", Value::text(super::pull::plain(&source.0)));
    Value::Map(fields)
}

impl Target {
    pub(super) fn writes(&self, doing: &str, rules: &Rules) -> Manner {
        Manner {
            doing: doing.to_owned(),
            purpose: Use::Ring,
            looks: None,
            judged: rules.judged(),
        }
    }

    fn looks(&self, doing: &str, rules: &Rules) -> Manner {
        Manner {
            looks: Some(Tries::Few(3)),
            ..self.writes(doing, rules)
        }
    }

    async fn act(&self, action: &Action, push: &Push, id: Option<&Key>, doing: String) -> Result<Receipt, Error> {
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let prepared = action.prepare(&self.api, push, id).map_err(wrong)?;
        self.api
            .call(prepared, &self.writes(&doing, &action.rules), |answer| {
                let value = action.rules.judge(answer, &doing)?;
                action.receipt(&value, &doing)
            })
            .await
    }

    fn told(&self, verb: &str, key: &Key) -> String {
        format!("{verb} {} in {}", super::pull::plain(&key.0), self.name)
    }

    fn prepared(&self, act: Act<'_>) -> Result<Prepared, Malformed> {
        let settings = &self.settings;
        match act {
            Act::Create([push]) if settings.batch.is_none() => settings.create.prepare(&self.api, push, None),
            Act::Create(pushes) => match &settings.batch {
                Some(batch) => batch.prepare(&self.api, &settings.create, pushes),
                None => Err(Malformed("one request creates one record here".to_owned())),
            },
            Act::Update(id, push) => match &settings.update {
                Some(update) => update.prepare(&self.api, push, Some(id)),
                None => Err(Malformed("there is no `update`".to_owned())),
            },
            Act::Cancel(id, push) => match &settings.cancel {
                Some(cancel) => cancel.action.prepare(&self.api, push, Some(id)),
                None => Err(Malformed("there is no `cancel`".to_owned())),
            },
        }
    }

    /// Whether the answer to a look says that there is no such thing.
    fn is_nothing(answer: &Answer) -> bool {
        matches!(answer.status.as_u16(), 404 | 410)
    }

    pub(super) async fn probe(&self) -> Option<Result<String, Error>> {
        let list = self.settings.list.as_ref()?;
        Some(list.probe(&self.api, &self.name).await)
    }
}

#[async_trait]
impl RecordTarget for Target {
    fn abilities(&self) -> Abilities {
        let settings = &self.settings;
        Abilities {
            update: settings.update.is_some(),
            cancel: settings.cancel.is_some(),
            find: settings.find.is_some(),
            compare: settings.read.as_ref().is_some_and(|read| !read.compare.is_empty()),
            trusts_key: settings.trusts_key,
            list: settings.list.is_some(),
            batch: settings.batch.as_ref().map_or(1, |batch| batch.size),
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn unknown(&self) -> Unknown {
        self.unknown
    }

    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let settings = &self.settings;
        match (&settings.batch, pushes) {
            (None, pushes) => {
                let mut receipts = Vec::with_capacity(pushes.len());
                for push in pushes {
                    let doing = self.told("creating", &push.key);
                    receipts.push(self.act(&settings.create, push, None, doing).await);
                }
                receipts
            }
            (Some(batch), pushes) => batch.create(self, pushes).await,
        }
    }

    async fn update(&self, id: &Key, push: &Push) -> Result<Receipt, Error> {
        let doing = self.told("updating", &push.key);
        match &self.settings.update {
            Some(update) => {
                let receipt = self.act(update, push, Some(id), doing).await?;
                Ok(Receipt {
                    id: receipt.id.or_else(|| Some(id.clone())),
                })
            }
            None => Err(Error::new(Fault::Rejected, doing, "there is no `update`")),
        }
    }

    async fn cancel(&self, id: &Key, push: &Push) -> Result<(), Error> {
        let doing = self.told("cancelling", &push.key);
        match &self.settings.cancel {
            Some(cancel) => self.act(&cancel.action, push, Some(id), doing).await.map(|_| ()),
            None => Err(Error::new(Fault::Rejected, doing, "there is no `cancel`")),
        }
    }

    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error> {
        let doing = format!("looking for a record in {}", self.name);
        let Some(find) = &self.settings.find else {
            return Err(Error::new(Fault::Rejected, doing, "there is no `find`"));
        };
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let prepared = find
            .shape
            .prepare(&self.api.base, record, None, record)
            .map_err(wrong)?;
        self.api
            .call(prepared, &self.looks(&doing, &find.rules), |answer| {
                if Target::is_nothing(answer) {
                    return Ok(None);
                }
                let value = find.rules.judge(answer, &doing)?;
                let ids = find.id.all(&value, record).map_err(wrong)?;
                let mut ids = ids.into_iter().filter(|id| !id.is_null()).map(text_of);
                match (ids.next(), ids.next()) {
                    (None, _) => Ok(None),
                    (Some(id), None) => Ok(Some(Receipt { id: Some(Key(id)) })),
                    (Some(one), Some(other)) => {
                        let said = format!(
                            "more than one fits, such as {one} and {other}; only one of them can be this record"
                        );
                        Err(Error::new(Fault::Rejected, &doing, said).hint("remove the double one there, then retry"))
                    }
                }
            })
            .await
    }

    async fn compare(&self, id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        let doing = format!("reading {} in {}", id.0, self.name);
        let Some(read) = &self.settings.read else {
            return Err(Error::new(Fault::Rejected, doing, "there is no `read`"));
        };
        let wrong = |Malformed(why)| Error::new(Fault::Rejected, &doing, why);
        let around = around(Some(&id.0), "", &Key(String::new()));
        let prepared = read
            .shape
            .prepare(&self.api.base, record, Some(&id.0), &around)
            .map_err(wrong)?;
        self.api
            .call(prepared, &self.looks(&doing, &read.rules), |answer| {
                if Target::is_nothing(answer) {
                    return Ok(None);
                }
                let value = read.rules.judge(answer, &doing)?;
                differences(&read.compare, record, &value).map(Some).map_err(wrong)
            })
            .await
    }

    fn cancels(&self, canonical: &Value) -> Result<bool, Malformed> {
        match &self.settings.cancel {
            Some(cancel) => cancel.when.holds(canonical, canonical),
            None => Ok(false),
        }
    }

    async fn list(&self, after: Option<&Cursor>) -> Result<Listed, Error> {
        match &self.settings.list {
            Some(list) => list.part(&self.api, &self.name, after).await,
            None => Err(Error::new(
                Fault::Rejected,
                format!("listing {}", self.name),
                "there is no `list`",
            )),
        }
    }

    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        let prepared = self.prepared(act)?;
        Ok(self.api.curl(prepared))
    }
}

/// The fields in which the answer is not what the mapped record says.
fn differences(compare: &Named, record: &Value, answer: &Value) -> Result<Vec<Difference>, Malformed> {
    let mut found = Vec::new();
    for (field, template) in compare.iter() {
        let theirs = template.fill(answer, record)?;
        let mut ours = record;
        for name in field.split('.') {
            ours = ours.get(name).unwrap_or(&Value::Null);
        }
        if !same(ours, &theirs) {
            found.push(Difference {
                field: field.clone(),
                ours: ours.clone(),
                theirs,
            });
        }
    }
    Ok(found)
}

/// Numbers by their worth, also where one side writes them as texts; everything else as it is.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || equal(a, b),
        (Value::Number(number), Value::Text(text)) | (Value::Text(text), Value::Number(number)) => {
            Number::parse(text.trim()).is_ok_and(|other| equal(number, &other))
        }
        (a, b) => a == b,
    }
}

fn equal(a: &Number, b: &Number) -> bool {
    match (a.decimal(), b.decimal()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

/// Whether the place needs an id that a new record does not have yet.
fn needs_id(place: &Place) -> bool {
    place.fields().any(|field| field == "id")
}
