//! Whose turn it is. At a feed one run at a time looks at rows and decides; long walks give way between
//! two steps, so a pass never waits for a whole history. At a target one run at a time makes and
//! publishes files. Nothing is ever held while another turn at a feed is waited for.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, Notify, OwnedMutexGuard};

/// The lanes of one state file, by the name of a feed or a target.
#[derive(Debug, Default)]
pub struct Lanes(Mutex<BTreeMap<String, Arc<Lane>>>);

#[derive(Debug, Default)]
pub struct Lane {
    turn: Arc<Turn<()>>,
    /// Walks over history follow one another: two at once would only ask for the same rows twice.
    walk: Arc<Turn<()>>,
    /// The flows that jobs are at work on, and whether they deliver for them.
    jobs: Mutex<Vec<(String, bool)>>,
    /// Nothing is asked of this feed until it goes on.
    paused: AtomicBool,
    /// Rung when something is to be done at this feed or target before its time.
    pub bell: Notify,
    /// Of a target: it was in trouble when it was last called.
    down: AtomicBool,
    /// It refused the credentials, or is not what the config says, when it was last asked: a person must act.
    refused: AtomicBool,
    /// An event asked for a scan; that it did is in the state file.
    scan: AtomicBool,
    /// Levels wait for what was sold lately.
    sales: AtomicBool,
}

impl Lanes {
    pub fn of(&self, name: &str) -> Arc<Lane> {
        let mut lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.entry(name.to_owned()).or_default().clone()
    }

    /// Whether some system refuses what it is asked for until a person acts.
    pub fn any_refused(&self) -> bool {
        let lanes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.values().any(|lane| lane.refused.load(Ordering::Relaxed))
    }
}

impl Lane {
    /// First come, first served.
    pub(crate) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.turn.clone().lock_owned().await
    }

    pub(crate) async fn walk(&self) -> OwnedMutexGuard<()> {
        self.walk.clone().lock_owned().await
    }

    /// While this is held, what is to be read at the feed is some job's business, and if it `delivers`, what this
    /// flow has to deliver is too.
    pub fn job(self: &Arc<Lane>, flow: &str, delivers: bool) -> Job {
        self.flows().push((flow.to_owned(), delivers));
        Job(self.clone(), (flow.to_owned(), delivers))
    }

    /// Wakes the feed's worker to scan it before its time.
    pub fn want_scan(&self) {
        self.scan.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    /// Whether a scan was asked for since this was asked last.
    pub fn takes_scan(&self) -> bool {
        self.scan.swap(false, Ordering::AcqRel)
    }

    /// Wakes the feed's worker to look for orders that levels wait for.
    pub fn want_sales(&self) {
        self.sales.store(true, Ordering::Release);
        self.bell.notify_one();
    }

    pub fn takes_sales(&self) -> bool {
        self.sales.swap(false, Ordering::AcqRel)
    }

    pub fn has_jobs(&self) -> bool {
        !self.flows().is_empty()
    }

    /// Whether some job delivers what the flow has.
    pub fn is_at(&self, flow: &str) -> bool {
        let jobs = self.flows();
        jobs.iter().any(|(known, delivers)| *delivers && known == flow)
    }

    pub fn is_paused(&self) -> bool {
        self.paused.load(Ordering::Acquire)
    }

    /// From the next step on.
    pub fn pause(&self) {
        self.paused.store(true, Ordering::Release);
    }

    /// Rings, if it was paused.
    pub fn go_on(&self) {
        if self.paused.swap(false, Ordering::AcqRel) {
            self.bell.notify_one();
        }
    }

    pub(crate) fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::Relaxed);
    }

    pub fn set_refused(&self, refused: bool) {
        self.refused.store(refused, Ordering::Relaxed);
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }

    fn flows(&self) -> std::sync::MutexGuard<'_, Vec<(String, bool)>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
pub struct Job(Arc<Lane>, (String, bool));

impl Drop for Job {
    fn drop(&mut self) {
        let mut flows = self.0.flows();
        if let Some(at) = flows.iter().position(|flow| *flow == self.1) {
            flows.swap_remove(at);
        }
        drop(flows);
        self.0.bell.notify_one();
    }
}
