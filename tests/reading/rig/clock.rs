//! Time and memory that tests hold in their hands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contract::{Clock, Memory, Stamp};
use sandbox::{FIXED_START_MS, World};

/// Time that passes only while somebody sleeps, and then at once. The world's clock goes along.
#[derive(Debug)]
pub(crate) struct TestClock {
    world: Mutex<Option<Linked>>,
    state: Mutex<Turns>,
    /// How far this machine's clock is ahead of the store's.
    ahead_ms: i64,
    /// Time passes only when no request is on its way, so that the store sees each at the time it was sent.
    exact: bool,
}

struct Linked(Arc<World>);

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a world")
    }
}

#[derive(Debug, Default)]
struct Turns {
    now: Duration,
    sleeping: BTreeSet<(Duration, u64)>,
    slept: u64,
}

/// Takes a sleeper off the list, also when its future is dropped.
struct Turn<'c>(&'c TestClock, (Duration, u64));

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().sleeping.remove(&self.1);
    }
}

impl TestClock {
    pub(crate) fn new(ahead_ms: i64, exact: bool) -> Arc<TestClock> {
        Arc::new(TestClock {
            world: Mutex::default(),
            state: Mutex::default(),
            ahead_ms,
            exact,
        })
    }

    /// Until a moment goes by in which the world is asked nothing.
    async fn calm(&self) {
        let asked = || {
            let world = self.world.lock().unwrap();
            world
                .as_ref()
                .map(|Linked(world)| (world.request_count(), world.connections()))
        };
        loop {
            let before = asked();
            tokio::time::sleep(Duration::from_millis(1)).await;
            if asked() == before {
                return;
            }
        }
    }

    pub(crate) fn link(&self, world: &Arc<World>) {
        *self.world.lock().unwrap() = Some(Linked(world.clone()));
    }

    pub(crate) fn advance(&self, by: Duration) {
        let to = self.monotonic() + by;
        self.reach(to);
    }

    fn reach(&self, to: Duration) {
        let now = {
            let mut state = self.state.lock().unwrap();
            state.now = state.now.max(to);
            state.now
        };
        if let Some(Linked(world)) = &*self.world.lock().unwrap() {
            world.set_clock(FIXED_START_MS + i64::try_from(now.as_millis()).unwrap());
        }
    }

    /// Waits, without passing time itself, until others have slept this far.
    pub(crate) async fn reached(&self, to: Duration) {
        while self.monotonic() < to {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Stamp {
        FIXED_START_MS + self.ahead_ms + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let turn = {
            let mut state = self.state.lock().unwrap();
            state.slept += 1;
            let turn = (state.now.saturating_add(duration), state.slept);
            state.sleeping.insert(turn);
            Turn(self, turn)
        };
        loop {
            if self.exact {
                self.calm().await;
            }
            tokio::task::yield_now().await;
            if self.state.lock().unwrap().sleeping.first() == Some(&turn.1) {
                self.reach(turn.1.0);
                return;
            }
        }
    }
}

/// A connector's memory that outlives it, as the state file does.
#[derive(Debug, Default)]
pub(crate) struct Notebook(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Memory for Notebook {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }
}
