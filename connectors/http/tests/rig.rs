//! What these tests run on: time that is virtual, a memory that can be handed on, and a gate over both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::Rate;
use contract::{Clock, Error, Fault, Memory, Seams, Stamp, Use};

use super::super::circuit::Part;
use super::super::gate::Gate;
use super::super::{Manners, PeerSettings, Probing};

/// Time that passes only while everybody sleeps or waits for somebody who does.
#[derive(Debug, Default)]
pub(super) struct Hours(Mutex<Sleepers>);

#[derive(Debug, Default)]
struct Sleepers {
    now: Duration,
    sleeping: BTreeSet<(Duration, u64)>,
    slept: u64,
}

struct Asleep<'c>(&'c Hours, (Duration, u64));

impl Drop for Asleep<'_> {
    fn drop(&mut self) {
        self.0.0.lock().unwrap().sleeping.remove(&self.1);
    }
}

#[async_trait]
impl Clock for Hours {
    fn now(&self) -> Stamp {
        Stamp::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let asleep = {
            let mut state = self.0.lock().unwrap();
            state.slept += 1;
            let turn = (state.now.saturating_add(duration), state.slept);
            state.sleeping.insert(turn);
            Asleep(self, turn)
        };
        let mut first = 0;
        while first < 3 {
            tokio::task::yield_now().await;
            let state = self.0.lock().unwrap();
            first = if state.sleeping.first() == Some(&asleep.1) {
                first + 1
            } else {
                0
            };
        }
        let mut state = self.0.lock().unwrap();
        state.now = state.now.max(asleep.1.0);
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<String, String>>, Mutex<Vec<String>>);

#[async_trait]
impl Memory for Notes {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        if name == "circuit" {
            self.1.lock().unwrap().push(value.clone());
        }
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }
}

pub(super) struct Rig {
    pub(super) clock: Arc<Hours>,
    notes: Arc<Notes>,
    pub(super) gate: Gate,
}

pub(super) fn rig(rate: Rate, concurrency: usize, patience: Duration) -> Rig {
    remembering(rate, concurrency, patience, Arc::default())
}

pub(super) fn remembering(rate: Rate, concurrency: usize, patience: Duration, notes: Arc<Notes>) -> Rig {
    probing(Probing::Eager, rate, concurrency, patience, notes)
}

pub(super) fn probing(probing: Probing, rate: Rate, concurrency: usize, patience: Duration, notes: Arc<Notes>) -> Rig {
    let clock: Arc<Hours> = Arc::default();
    let settings = PeerSettings {
        name: "the peer".to_owned(),
        manners: Manners {
            rate,
            burst: 10,
            concurrency,
            timeout: Duration::from_secs(1),
        },
        secrets: Vec::new(),
        probing,
        trusted: Vec::new(),
        answer_max: 1 << 20,
    };
    let seams = Seams {
        clock: clock.clone(),
        memory: notes.clone(),
        patience,
    };
    let gate = Gate::new(&settings, &seams);
    Rig { clock, notes, gate }
}

pub(super) fn a_minute(calls: u32) -> Rate {
    Rate {
        calls,
        per: Duration::from_secs(60),
    }
}

pub(super) fn down() -> Result<(), Error> {
    Err(Error::new(
        Fault::Transient { reached: true },
        "asking",
        "the peer answered 503",
    ))
}

impl Rig {
    /// One request that takes so long and ends so.
    pub(super) async fn ask(&self, purpose: Use, takes: Duration, result: Result<(), Error>) -> Result<Part, Error> {
        let deadline = self.clock.monotonic() + self.patience();
        let leave = self.gate.enter(purpose, deadline, false, "asking").await?;
        let part = leave.part;
        self.clock.sleep(takes).await;
        self.gate.circuit.learn(part, &result).await;
        result.map(|()| part)
    }

    fn patience(&self) -> Duration {
        self.gate.patience()
    }

    pub(super) async fn fail(&self, times: usize) {
        for _ in 0..times {
            self.ask(Use::Feed, Duration::ZERO, down()).await.unwrap_err();
        }
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.notes.1.lock().unwrap().clone()
    }
}
