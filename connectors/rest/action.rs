//! `push:` of the config: the requests that create, change, cancel, look for and read a record.

use contract::settings::Reader;
use contract::{Error, Fault, Fields, Key, Malformed, Push, Receipt, Value};
use secrecy::SecretString;

use super::api::Api;
use super::batch::Batch;
use super::jq::{Around, Jq, Named};
use super::list::Listing;
use super::place::Place;
use super::request::{Prepared, Shape, Usual};
use super::rules::{Rules, statuses};

/// `push` of one resource.
#[derive(Debug)]
pub(super) struct PushSettings {
    pub(super) create: Action,
    pub(super) update: Option<Action>,
    pub(super) find: Option<Find>,
    pub(super) read: Option<ReadBack>,
    pub(super) cancel: Option<Cancel>,
    pub(super) batch: Option<Batch>,
    pub(super) list: Option<Listing>,
    pub(super) trusts_key: bool,
    conflict: Vec<u16>,
}

/// A request that changes something.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) shape: Shape,
    pub(super) rules: Rules,
    /// jq over the answer: the other side's own id.
    pub(super) id: Option<Jq>,
    idempotency_header: Option<String>,
}

#[derive(Debug)]
pub(super) struct Find {
    pub(super) shape: Shape,
    pub(super) rules: Rules,
    pub(super) id: Jq,
}

#[derive(Debug)]
pub(super) struct ReadBack {
    pub(super) shape: Shape,
    pub(super) rules: Rules,
    /// Names of the mapped record's fields, and where each stands in the answer.
    pub(super) compare: Named,
}

#[derive(Debug)]
pub(super) struct Cancel {
    pub(super) action: Action,
    pub(super) when: Jq,
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
            .object(ReadBack::read);
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
        let named = |name: &str| reader.has(name);
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

    /// What came into its requests from outside the file.
    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let actions = [
            Some(&self.create),
            self.update.as_ref(),
            self.cancel.as_ref().map(|cancel| &cancel.action),
        ];
        let mut shapes: Vec<&Shape> = actions.into_iter().flatten().map(|action| &action.shape).collect();
        shapes.extend(self.find.as_ref().map(|find| &find.shape));
        shapes.extend(self.read.as_ref().map(|read| &read.shape));
        let mut found = Vec::new();
        shapes.into_iter().for_each(|shape| shape.secrets(&mut found));
        if let Some(batch) = &self.batch {
            batch.secrets(&mut found);
        }
        if let Some(list) = &self.list {
            found.extend(list.secrets.iter().cloned());
        }
        found
    }

    fn share_conflict(&mut self) {
        let conflict = &self.conflict;
        self.create.rules.conflict.clone_from(conflict);
        let cancel = self.cancel.as_mut().map(|cancel| &mut cancel.action);
        for action in self.update.iter_mut().chain(cancel) {
            action.rules.conflict.clone_from(conflict);
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

    pub(super) fn prepare(&self, api: &Api, push: &Push, id: Option<&Key>) -> Result<Prepared, Malformed> {
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

    pub(super) fn receipt(&self, answer: &Value, doing: &str) -> Result<Receipt, Error> {
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

impl ReadBack {
    fn read(reader: &mut Reader<'_>) -> Option<ReadBack> {
        let shape = Shape::read(reader, LOOKS);
        let rules = Rules::read(reader);
        let about = "fields of the mapped record, each with jq over the answer: where the same stands there";
        let compare = Named::read(reader, "compare", about);
        Some(ReadBack {
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

/// Whether the place needs an id that a new record does not have yet.
fn needs_id(place: &Place) -> bool {
    place.fields().any(|field| field == "id")
}
