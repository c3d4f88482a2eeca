//! A pretend ERP inside the process. Its log is the truth: what it committed, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contract::{
    Abilities, Act, Clock, Cursor, Difference, Error, Fault, Key, Listed, Malformed, Push, Receipt, RecordTarget,
    Stamp, Unknown, Value,
};

use super::rig::VirtualClock;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Done {
    Create(Value),
    Update(Value),
    Cancel,
}

/// What it did, to which record of the source.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) reference: String,
    pub(super) done: Done,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    pub(super) record: Value,
    pub(super) cancelled: bool,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub(super) enum Fate {
    Unreachable,
    /// Carried out, and the answer is lost.
    LostAfter,
    /// Lost on its way.
    LostBefore,
    /// The answer is lost, and it is carried out so much later.
    Late(Duration),
    Busy,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) log: Vec<Entry>,
    pub(super) records: BTreeMap<String, Kept>,
    keys: BTreeMap<String, String>,
    late: Vec<(Stamp, Call)>,
    /// In thousandths: how often a call has one of `fates`.
    pub(super) trouble: u32,
    /// These are refused, always.
    pub(super) refused: BTreeSet<String>,
    /// Away as a whole.
    pub(super) away: Option<Fate>,
    pub(super) calls: u64,
    pub(super) writes: u64,
    pub(super) keys_seen: Vec<(String, String)>,
    chance: Option<fastrand::Rng>,
}

#[derive(Clone, Debug)]
enum Call {
    Create(Push),
    Update(Key, Push),
    Cancel(Key),
}

#[derive(Debug)]
pub(super) struct Erp {
    pub(super) can: Abilities,
    pub(super) width: usize,
    pub(super) unique: bool,
    pub(super) clock: Arc<VirtualClock>,
    pub(super) state: Mutex<State>,
}

pub(super) fn field(record: &Value, name: &str) -> String {
    match record.get(name) {
        Some(Value::Text(text)) => text.clone(),
        Some(other) => other.to_json(),
        None => String::new(),
    }
}

impl Erp {
    pub(super) fn new(can: Abilities, width: usize, clock: &Arc<VirtualClock>, seed: u64) -> Arc<Erp> {
        Arc::new(Erp {
            can,
            width,
            unique: false,
            clock: clock.clone(),
            state: Mutex::new(State {
                chance: Some(fastrand::Rng::with_seed(seed)),
                ..State::default()
            }),
        })
    }

    pub(super) fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Carries out what was under way for long enough.
    pub(super) fn catch_up(&self) {
        let now = self.clock.now();
        let mut state = self.state();
        let (due, left) = std::mem::take(&mut state.late)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        state.late = left;
        drop(state);
        let due: Vec<(Stamp, Call)> = due;
        for (_, call) in due {
            drop(self.carry_out(&call));
        }
    }

    fn refusal(&self, reference: &str) -> Error {
        Error::new(
            Fault::Rejected,
            "creating a record",
            format!("422: {reference} has no tax code"),
        )
        .status(422)
        .exchange("POST /records\nauthorization: ***", "422 no tax code")
    }

    fn carry_out(&self, call: &Call) -> Result<Receipt, Error> {
        let mut state = self.state();
        let (reference, id, done) = match call {
            Call::Create(push) => {
                let reference = field(&push.record, "reference");
                if state.refused.contains(&reference) {
                    return Err(self.refusal(&reference));
                }
                state.keys_seen.push((push.idempotency.clone(), push.record.to_json()));
                if self.can.trusts_key
                    && let Some(id) = state.keys.get(&push.idempotency)
                {
                    return Ok(receipt(id));
                }
                let taken = |kept: &Kept| field(&kept.record, "reference") == reference;
                if self.unique && state.records.values().any(taken) {
                    return Err(Error::new(Fault::Conflict, "creating a record", "409: there already").status(409));
                }
                let id = format!("E{}", state.records.len() + 1);
                state.keys.insert(push.idempotency.clone(), id.clone());
                let kept = Kept {
                    record: push.record.clone(),
                    cancelled: false,
                };
                state.records.insert(id.clone(), kept);
                (reference, id, Done::Create(push.record.clone()))
            }
            Call::Update(id, push) => {
                let reference = field(&push.record, "reference");
                if state.refused.contains(&reference) {
                    return Err(self.refusal(&reference));
                }
                // Given content anew, it is in force again.
                let kept = Kept {
                    record: push.record.clone(),
                    cancelled: false,
                };
                state.records.insert(id.0.clone(), kept);
                (reference, id.0.clone(), Done::Update(push.record.clone()))
            }
            Call::Cancel(id) => {
                let kept = state.records.get_mut(&id.0).unwrap();
                kept.cancelled = true;
                (field(&kept.record, "reference"), id.0.clone(), Done::Cancel)
            }
        };
        state.writes += 1;
        state.log.push(Entry { reference, done });
        Ok(receipt(&id))
    }

    fn fate(&self) -> Option<Fate> {
        let mut state = self.state();
        state.calls += 1;
        if state.away.is_some() {
            return state.away.clone();
        }
        let trouble = state.trouble;
        let chance = state.chance.as_mut().unwrap();
        if chance.u32(0..1000) >= trouble {
            return None;
        }
        Some(match chance.u32(0..5) {
            0 => Fate::Unreachable,
            1 => Fate::LostAfter,
            2 => Fate::LostBefore,
            3 => Fate::Late(Duration::from_secs(chance.u64(1..110))),
            _ => Fate::Busy,
        })
    }

    async fn call(&self, call: Call) -> Result<Receipt, Error> {
        tokio::task::yield_now().await;
        self.catch_up();
        let fate = self.fate();
        let lost = || {
            Err(Error::new(
                Fault::Transient { reached: true },
                "calling the ERP",
                "no answer",
            ))
        };
        tokio::task::yield_now().await;
        let result = match fate {
            None => self.carry_out(&call),
            Some(Fate::LostAfter) => {
                drop(self.carry_out(&call));
                lost()
            }
            Some(Fate::LostBefore) => lost(),
            Some(Fate::Late(by)) => {
                let at = self.clock.now() + i64::try_from(by.as_millis()).unwrap();
                self.state().late.push((at, call));
                lost()
            }
            Some(fate) => Err(quiet(&fate)),
        };
        tokio::task::yield_now().await;
        result
    }
}

fn receipt(id: &str) -> Receipt {
    Receipt {
        id: Some(Key(id.to_owned())),
    }
}

/// The error of a call that changes nothing.
fn quiet(fate: &Fate) -> Error {
    let doing = "calling the ERP";
    match fate {
        Fate::Busy => Error::new(Fault::Throttled { retry_after: None }, doing, "429"),
        Fate::Unreachable => Error::new(Fault::Transient { reached: false }, doing, "connection refused"),
        Fate::LostAfter | Fate::LostBefore | Fate::Late(_) => {
            Error::new(Fault::Transient { reached: true }, doing, "no answer")
        }
    }
}

#[async_trait]
impl RecordTarget for Erp {
    fn abilities(&self) -> Abilities {
        self.can
    }

    fn concurrency(&self) -> usize {
        self.width
    }

    fn unknown(&self) -> Unknown {
        Unknown::default()
    }

    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        if let [push] = pushes {
            return vec![self.call(Call::Create(push.clone())).await];
        }
        tokio::task::yield_now().await;
        let fate = self.fate();
        let mut answers = Vec::new();
        for push in pushes {
            answers.push(match &fate {
                None => self.carry_out(&Call::Create(push.clone())),
                Some(fate) => Err(quiet(fate)),
            });
        }
        // A batch is taken whole or refused whole.
        let refused = answers.iter().find_map(|answer| match answer {
            Err(error) if error.fault == Fault::Rejected => Some(error.clone()),
            _ => None,
        });
        match refused {
            Some(error) => {
                let mut state = self.state();
                for push in pushes {
                    let reference = field(&push.record, "reference");
                    state
                        .records
                        .retain(|_, kept| field(&kept.record, "reference") != reference);
                    state.log.retain(|entry| entry.reference != reference);
                    state.keys.remove(&push.idempotency);
                }
                pushes.iter().map(|_| Err(error.clone())).collect()
            }
            None => answers,
        }
    }

    async fn update(&self, id: &Key, push: &Push) -> Result<Receipt, Error> {
        self.call(Call::Update(id.clone(), push.clone())).await
    }

    async fn cancel(&self, id: &Key, _push: &Push) -> Result<(), Error> {
        self.call(Call::Cancel(id.clone())).await.map(drop)
    }

    async fn find(&self, record: &Value) -> Result<Option<Receipt>, Error> {
        tokio::task::yield_now().await;
        self.catch_up();
        if let Some(fate) = self.fate() {
            return Err(quiet(&fate));
        }
        let reference = field(record, "reference");
        let state = self.state();
        let found = state
            .records
            .iter()
            .find(|(_, kept)| field(&kept.record, "reference") == reference);
        Ok(found.map(|(id, _)| receipt(id)))
    }

    async fn compare(&self, id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        tokio::task::yield_now().await;
        let state = self.state();
        let Some(kept) = state.records.get(&id.0) else {
            return Ok(None);
        };
        let (ours, theirs) = (record.get("total").cloned(), kept.record.get("total").cloned());
        let difference = Difference {
            field: "total".to_owned(),
            ours: ours.unwrap_or_default(),
            theirs: theirs.unwrap_or_default(),
        };
        Ok(Some(match difference.ours == difference.theirs {
            true => Vec::new(),
            false => vec![difference],
        }))
    }

    fn cancels(&self, canonical: &Value) -> Result<bool, Malformed> {
        Ok(canonical.get("status").and_then(Value::as_text) == Some("cancelled"))
    }

    async fn list(&self, after: Option<&Cursor>) -> Result<Listed, Error> {
        let state = self.state();
        let ids: Vec<Key> = state.records.keys().map(|id| Key(id.clone())).collect();
        let from: usize = after.map_or(0, |cursor| cursor.0.parse().unwrap());
        let part: Vec<Key> = ids.iter().skip(from).take(10).cloned().collect();
        let next = (from + part.len() < ids.len()).then(|| Cursor((from + part.len()).to_string()));
        Ok(Listed { ids: part, next })
    }

    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        Ok(match act {
            Act::Create(pushes) => pushes
                .iter()
                .map(|push| format!("curl -X POST -d '{}' # {}", push.record.to_json(), push.idempotency))
                .collect::<Vec<_>>()
                .join("\n"),
            Act::Update(id, push) => format!("curl -X PUT /{} -d '{}'", id.0, push.record.to_json()),
            Act::Cancel(id, _) => format!("curl -X POST /{}/cancel", id.0),
        })
    }
}
