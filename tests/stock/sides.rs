//! The two sides, as the program sees them: the store's orders and levels, the ERP's stock and orders. Each call may
//! fail, may be carried out without an answer, and lets the world go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::{
    Abilities, Act, Cursor, Difference, Error, Fault, Hash, Key, Listed, Malformed, Pass, Push, Raw, Receipt, Record,
    RecordTarget, Row, Source, Stamp, Step, Unknown, Use, Value, Window,
};

use super::rig::{World, field};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Orders,
    Stock,
}

/// What can be read of the world.
pub(super) struct Feed(pub(super) Arc<World>, pub(super) Shown);

struct Whole(Arc<World>, Option<Step>);

#[async_trait]
impl Pass for Whole {
    async fn step(&mut self) -> Result<Step, Error> {
        tokio::task::yield_now().await;
        self.0.stir();
        Ok(self.1.take().unwrap_or(Step {
            done: true,
            ..Step::default()
        }))
    }
}

fn number(cursor: &Cursor) -> i64 {
    cursor.0.parse().unwrap_or(0)
}

fn row(key: &str, change: i64, record: &str) -> Row {
    Row {
        key: Key(key.to_owned()),
        stamp: Some(change),
        hash: Hash::of(record.as_bytes()),
        control: None,
        body: Raw::Value(Value::parse(record).unwrap()),
    }
}

impl Feed {
    fn rows(&self) -> (i64, Vec<(String, i64, String)>) {
        let state = self.0.state();
        let rows = match self.1 {
            Shown::Orders => state
                .orders
                .iter()
                .map(|(id, order)| (id.to_string(), order.change, order.json(*id)))
                .collect(),
            Shown::Stock => {
                let stock = |(sku, stock): (&String, &super::rig::Stock)| {
                    let record = format!(
                        r#"{{"sku":"{sku}","quantity":{},"change":{}}}"#,
                        stock.on_hand, stock.change
                    );
                    (sku.clone(), stock.change, record)
                };
                state.stock.iter().map(stock).collect()
            }
        };
        (state.changes, rows)
    }
}

#[async_trait]
impl Source for Feed {
    async fn now(&self) -> Result<Cursor, Error> {
        Ok(Cursor(self.rows().0.to_string()))
    }
    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        if number(&a) >= number(&b) { a } else { b }
    }
    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        if number(&a) <= number(&b) { a } else { b }
    }
    fn settled(&self, cursor: &Cursor) -> Cursor {
        cursor.clone()
    }
    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        Some(number(cursor))
    }
    fn back(&self, cursor: &Cursor, _by: Duration) -> Cursor {
        cursor.clone()
    }
    fn changes(&self, since: &Cursor, _purpose: Use) -> Box<dyn Pass> {
        let (changes, rows) = self.rows();
        let since = number(since);
        let rows = rows.iter().filter(|(_, change, _)| *change > since);
        let step = Step {
            rows: rows.map(|(key, change, record)| row(key, *change, record)).collect(),
            cursor: Some(Cursor(changes.to_string())),
            done: true,
            ..Step::default()
        };
        Box::new(Whole(self.0.clone(), Some(step)))
    }
    fn history(&self, _window: Window, _resume: Option<&Cursor>) -> Box<dyn Pass> {
        self.changes(&Cursor("0".to_owned()), Use::History)
    }
    async fn read(&self, key: &Key, _purpose: Use) -> Result<Option<Row>, Error> {
        let found = self.rows().1.into_iter().find(|(known, ..)| *known == key.0);
        Ok(found.map(|(key, change, record)| row(&key, change, &record)))
    }
    fn decode(&self, body: Raw, _single: bool) -> Result<Record, Malformed> {
        match body {
            Raw::Value(value) => Ok(Record::Whole {
                value,
                flags: Vec::new(),
            }),
            Raw::Unreadable(why) => Err(Malformed(why)),
        }
    }
    fn realm(&self) -> Option<String> {
        Some("selorax:22".to_owned())
    }
    async fn ping(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What becomes of a call.
enum Fate {
    Done,
    LostAfter,
    LostBefore,
    Busy,
    Away,
}

impl World {
    fn fate(&self) -> Fate {
        let mut state = self.state();
        if state.chance.u32(0..1000) >= state.trouble {
            return Fate::Done;
        }
        match state.chance.u32(0..4) {
            0 => Fate::LostAfter,
            1 => Fate::LostBefore,
            2 => Fate::Busy,
            _ => Fate::Away,
        }
    }

    async fn call<T>(&self, carry_out: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
        tokio::task::yield_now().await;
        self.stir();
        let fault = match self.fate() {
            Fate::Done => {
                let result = carry_out();
                tokio::task::yield_now().await;
                return result;
            }
            Fate::LostAfter => {
                drop(carry_out());
                Fault::Transient { reached: true }
            }
            Fate::LostBefore => Fault::Transient { reached: true },
            Fate::Busy => Fault::Throttled { retry_after: None },
            Fate::Away => Fault::Transient { reached: false },
        };
        tokio::task::yield_now().await;
        Err(Error::new(fault, "calling", "no good answer"))
    }
}

/// The ERP takes orders, and books them at once.
pub(super) struct ErpOrders(pub(super) Arc<World>);

const ORDERS: Abilities = Abilities {
    update: true,
    cancel: true,
    find: true,
    compare: false,
    trusts_key: false,
    list: false,
    batch: 1,
    levels: false,
};

#[async_trait]
impl RecordTarget for ErpOrders {
    fn abilities(&self) -> Abilities {
        ORDERS
    }
    fn concurrency(&self) -> usize {
        3
    }
    fn unknown(&self) -> Unknown {
        Unknown::default()
    }
    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let push = &pushes[0];
        let id = field(&push.record, "reference");
        let created = self.0.call(|| {
            self.0.book(&id, &push.record, true);
            Ok(receipt(&id))
        });
        vec![created.await]
    }
    async fn update(&self, id: &Key, push: &Push) -> Result<Receipt, Error> {
        let updated = self.0.call(|| {
            self.0.book(&id.0, &push.record, false);
            Ok(receipt(&id.0))
        });
        updated.await
    }
    async fn cancel(&self, id: &Key, _push: &Push) -> Result<(), Error> {
        let cancelled = self.0.call(|| {
            self.0.unbook(&id.0);
            Ok(())
        });
        cancelled.await
    }
    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error> {
        let id = field(record, "reference");
        self.0
            .call(|| Ok(self.0.state().booked.contains_key(&id).then(|| receipt(&id))))
            .await
    }
    async fn compare(&self, _id: &Key, _record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        Ok(None)
    }
    fn cancels(&self, canonical: &Value) -> Result<bool, Malformed> {
        Ok(canonical.get("status").and_then(Value::as_text) == Some("cancelled"))
    }
    async fn list(&self, _after: Option<&Cursor>) -> Result<Listed, Error> {
        Ok(Listed::default())
    }
    fn show(&self, _act: Act<'_>) -> Result<String, Malformed> {
        Ok("curl".to_owned())
    }
}

fn receipt(id: &str) -> Receipt {
    Receipt {
        id: Some(Key(id.to_owned())),
    }
}

/// The store takes levels: it is read, then set where it differs, and somebody may buy in between.
pub(super) struct StoreLevels(pub(super) Arc<World>);

impl StoreLevels {
    async fn set(&self, push: &Push) -> Result<Receipt, Error> {
        let sku = field(&push.record, "sku");
        let on_hand: i64 = field(&push.record, "quantity").parse().unwrap();
        let level = (on_hand - i64::try_from(push.sold).unwrap()).max(0);
        let now = self.0.call(|| Ok(self.0.state().levels[&sku])).await?;
        if now == level {
            return Ok(receipt(&sku));
        }
        // Whoever buys now is swallowed by the set.
        self.0.stir();
        let set = self.0.call(|| {
            self.0.set_level(&sku, level);
            Ok(receipt(&sku))
        });
        set.await
    }
}

#[async_trait]
impl RecordTarget for StoreLevels {
    fn abilities(&self) -> Abilities {
        Abilities {
            update: true,
            trusts_key: true,
            batch: 1,
            levels: true,
            ..Abilities::default()
        }
    }
    fn concurrency(&self) -> usize {
        2
    }
    fn unknown(&self) -> Unknown {
        Unknown::default()
    }
    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        vec![self.set(&pushes[0]).await]
    }
    async fn update(&self, _id: &Key, push: &Push) -> Result<Receipt, Error> {
        self.set(push).await
    }
    async fn cancel(&self, _id: &Key, _push: &Push) -> Result<(), Error> {
        Ok(())
    }
    async fn find(&self, _record: &Value) -> Result<Option<Receipt>, Error> {
        Ok(None)
    }
    async fn compare(&self, _id: &Key, _record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        Ok(None)
    }
    fn cancels(&self, _canonical: &Value) -> Result<bool, Malformed> {
        Ok(false)
    }
    async fn list(&self, _after: Option<&Cursor>) -> Result<Listed, Error> {
        Ok(Listed::default())
    }
    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        Ok(match act {
            Act::Create([push, ..]) | Act::Update(_, push) => {
                format!("set {} less {}", push.record.to_json(), push.sold)
            }
            Act::Create([]) | Act::Cancel(..) => String::new(),
        })
    }
}
