//! From verified events to the state file: whoever waits at the same time shares one synced transaction, and each is
//! told only when it is on the disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};

use super::Desk;
use crate::store::{Arrival, Took, Wish};

/// Events in one transaction, and those that may wait for one.
const GROUP_MAX: usize = 256;
const WAITING_MAX: usize = 2048;
/// Whoever calls waits for 15 seconds.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

pub(super) struct Waiting {
    arrival: Arrival,
    answer: oneshot::Sender<Option<Took>>,
}

#[derive(Clone)]
pub(super) struct Intake(mpsc::Sender<Waiting>);

pub(super) type Current = watch::Receiver<Option<Arc<Desk>>>;

impl Intake {
    pub(super) fn new() -> (Intake, mpsc::Receiver<Waiting>) {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        (Intake(sender), receiver)
    }

    /// What became of the event, once that is on the disk. `None`: it cannot be kept now; if it was kept all the
    /// same, it is known when it comes again.
    pub(super) async fn take(&self, arrival: Arrival) -> Option<Took> {
        let (answer, answered) = oneshot::channel();
        self.0.try_send(Waiting { arrival, answer }).ok()?;
        tokio::time::timeout(ANSWER_WITHIN, answered).await.ok()?.ok()?
    }
}

/// Keeps what comes, group by group, until nobody can send any more. `at_work` is held while a group is being kept.
pub(super) async fn keep(mut waiting: mpsc::Receiver<Waiting>, current: Current, at_work: Arc<Mutex<()>>) {
    let mut group = Vec::new();
    while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
        let turn = at_work.lock().await;
        let desk = current.borrow().clone();
        let (arrivals, answers): (Vec<Arrival>, Vec<_>) = group.drain(..).map(|one| (one.arrival, one.answer)).unzip();
        let took = match &desk {
            Some(desk) => keep_group(desk, &arrivals).await,
            None => None,
        };
        drop(turn);
        for (n, answer) in answers.into_iter().enumerate() {
            // Who has gone meanwhile sends it again.
            answer
                .send(took.as_ref().and_then(|took| took.get(n).copied()))
                .unwrap_or_default();
        }
        if let (Some(desk), Some(took)) = (desk, took) {
            ring(&desk, &arrivals, &took);
        }
    }
}

async fn keep_group(desk: &Desk, arrivals: &[Arrival]) -> Option<Vec<Took>> {
    let store = desk.store.upgrade()?;
    match store.take_events(arrivals, desk.settings.coalesce).await {
        Ok(took) => Some(took),
        Err(error) => {
            // Full only if others said so already.
            desk.broken
                .try_send(error.context("keeping webhook events"))
                .unwrap_or_default();
            None
        }
    }
}

/// Wakes whoever has something to do now.
fn ring(desk: &Desk, arrivals: &[Arrival], took: &[Took]) {
    for (arrival, _) in arrivals.iter().zip(took).filter(|(_, took)| **took != Took::Known) {
        match &arrival.wish {
            Wish::Read { feeds, .. } => feeds.iter().for_each(|feed| desk.lanes.of(feed).bell.notify_one()),
            Wish::Scan { feeds } => feeds.iter().for_each(|feed| desk.lanes.of(feed).want_scan()),
            Wish::Installed | Wish::Uninstalled | Wish::Privacy(_) => desk.notable.notify_one(),
            Wish::Nothing | Wish::Foreign => {}
        }
    }
}
