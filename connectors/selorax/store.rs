//! The store's own profile as a source: one record, read whole each time, and news when anything of it differs.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{
    Cursor, Error, Fields, Key, Malformed, Pass, Progress, Raw, Record, Row, Source, Stamp, Step, Use, Value, Window,
};

use super::api::Api;
use super::feed::{back, cursor, earlier, later, stamp};
use super::read::{first, id_value, text_of, time};
use super::resource::{Shape, Since};

pub(super) const SHAPE: Shape = Shape {
    path: "store",
    scope: "read:store",
    one: "store",
    all: "store",
    whose: "store's",
    ids: &["store_id", "id"],
    wrapper: "store",
    control: &[],
    params: &[],
    since: Since::Nothing,
};

#[derive(Clone, Debug)]
pub(super) struct Profile {
    pub(super) api: Arc<Api>,
    pub(super) overlap: Duration,
}

impl Profile {
    async fn row(&self, purpose: Use) -> Result<Option<Row>, Error> {
        self.api
            .single(SHAPE.path, &SHAPE, "reading the store's profile", purpose, None)
            .await
    }

    async fn present(&self, purpose: Use) -> Result<Row, Error> {
        let gone = || {
            Error::new(
                contract::Fault::Denied,
                "reading the store's profile",
                "the store answered 404",
            )
            .hint("nothing is at this address: check store.url")
        };
        self.row(purpose).await?.ok_or_else(gone)
    }
}

#[async_trait]
impl Source for Profile {
    async fn now(&self) -> Result<Cursor, Error> {
        Ok(cursor(self.present(Use::Feed).await?.stamp.unwrap_or(0)))
    }

    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        later(a, b)
    }

    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        earlier(a, b)
    }

    fn settled(&self, at: &Cursor) -> Cursor {
        back(at, self.overlap)
    }

    fn back(&self, at: &Cursor, by: Duration) -> Cursor {
        back(at, by)
    }

    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        stamp(cursor)
    }

    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass> {
        Box::new(Once {
            profile: self.clone(),
            since: stamp(since).unwrap_or(0),
            purpose,
        })
    }

    fn history(&self, _window: Window, _resume: Option<&Cursor>) -> Box<dyn Pass> {
        Box::new(Once {
            profile: self.clone(),
            since: 0,
            purpose: Use::History,
        })
    }

    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        Ok(self.row(purpose).await?.filter(|row| row.key == *key))
    }

    fn decode(&self, body: Raw, _single: bool) -> Result<Record, Malformed> {
        match body {
            Raw::Value(value) => decode(value),
            Raw::Unreadable(why) => Err(Malformed(why)),
        }
    }

    async fn ping(&self) -> Result<(), Error> {
        self.present(Use::Feed).await.map(|_| ())
    }
}

/// One reading is a whole pass.
struct Once {
    profile: Profile,
    since: Stamp,
    purpose: Use,
}

#[async_trait]
impl Pass for Once {
    async fn step(&mut self) -> Result<Step, Error> {
        let row = self.profile.present(self.purpose).await?;
        Ok(Step {
            cursor: Some(cursor(self.since.max(row.stamp.unwrap_or(0)))),
            done: true,
            progress: Progress {
                seen: 1,
                total: Some(1),
            },
            covered: vec![(row.key.clone(), None)],
            rows: vec![row],
            ..Step::default()
        })
    }
}

fn decode(raw: Value) -> Result<Record, Malformed> {
    if !matches!(raw, Value::Map(_)) {
        return Err(Malformed(format!("the store is {} instead of an object", raw.kind())));
    }
    let store = SHAPE.inner(&raw);
    let mut flags = Vec::new();
    let mut fields = Fields::with_capacity(11);
    fields.push("id", id_value(first(store, SHAPE.ids), "store_id")?);
    for name in ["name", "email", "phone", "currency", "address", "domain", "language"] {
        let value = match first(store, &[name]) {
            None => Value::Null,
            Some(address @ Value::Map(_)) if name == "address" => address.clone(),
            Some(value) => text_of(value, name)?,
        };
        fields.push(name, value);
    }
    for name in ["created_at", "updated_at"] {
        fields.push(name, time(first(store, &[name]), name, &mut flags));
    }
    fields.push("raw", raw);
    Ok(Record::Whole {
        value: Value::Map(fields),
        flags,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_store_keeps_its_texts_and_what_it_does_not_tell_is_null() {
        let json = r#"{"store_id":22,"name":"দোকান","email":null,"phone":"01700000000","currency":"BDT","image":null,
            "address":" House 12 ","domain":"x.test","language":"bn","created_at":"2024-01-01T00:00:00.000Z"}"#;
        let Record::Whole { value, flags } = decode(Value::parse(json).unwrap()).unwrap() else {
            panic!("not whole")
        };
        let Value::Map(fields) = &value else {
            panic!("{value:?}")
        };
        let told: Vec<String> = fields.iter().take(10).map(|(_, value)| value.to_json()).collect();
        assert_eq!(
            told.join(" "),
            r#"22 "দোকান" null "01700000000" "BDT" " House 12 " "x.test" "bn" "2024-01-01T00:00:00.000Z" null"#
        );
        assert!(flags.is_empty());
        assert!(decode(Value::parse(r#"{"store_id":"x"}"#).unwrap()).is_err());
        assert!(decode(Value::parse("[]").unwrap()).is_err());
    }
}
