//! A clock that tests turn by hand, and a state file that goes by it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contract::{Clock, Stamp};
use tempfile::TempDir;

use super::Store;

pub(super) const START: Stamp = 1_800_000_000_000;

#[derive(Debug)]
pub(super) struct Hands(AtomicI64);

impl Hands {
    pub(super) fn pass(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Hands {
    fn now(&self) -> Stamp {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.now().abs_diff(START))
    }
    async fn sleep(&self, _: Duration) {}
}

pub(super) async fn store() -> (TempDir, Arc<Hands>, Store) {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Hands(AtomicI64::new(START)));
    let path = folder.path().join("state.db");
    let store = Store::open(&path, clock.clone()).await.unwrap();
    (folder, clock, store)
}
