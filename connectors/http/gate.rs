//! The way out: nothing reaches the peer but through here. In order: the circuit, a turn by the shares of the
//! uses, a place among those under way, the pace. The turn and the pace belong to one caller at a time, so that
//! who goes next is chosen as late as can be; nobody keeps a turn while the circuit is open, but for its probe.

use std::time::Duration;

use contract::{Error, Fault, Seams, Use};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::PeerSettings;
use super::circuit::{Circuit, Part, Probing};
use super::pace::Pace;
use super::turns::{Turn, Turns};

/// Calls that have less than this do not wait for trouble to pass.
const PATIENT: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Gate {
    name: String,
    patience: Duration,
    turns: Turns,
    permits: Semaphore,
    pub(super) circuit: Circuit,
    pub(super) pace: Pace,
}

/// Leave to send one request. It ends with being dropped, whatever became of the request.
#[derive(Debug)]
pub(super) struct Leave<'g> {
    pub(super) part: Part,
    /// A probe keeps its turn, so that nobody follows before its answer is known.
    _turn: Option<Turn<'g>>,
    _permit: SemaphorePermit<'g>,
}

impl Gate {
    pub(super) fn new(settings: &PeerSettings, seams: &Seams) -> Gate {
        Gate {
            name: settings.name.clone(),
            patience: seams.patience,
            turns: Turns::default(),
            permits: Semaphore::new(settings.manners.concurrency),
            circuit: Circuit::new(&settings.name, settings.probing, seams),
            pace: Pace::new(settings.manners.rate, settings.manners.burst, seams),
        }
    }

    /// Waits for leave to send. Fails at once where the peer cannot be asked before the deadline, or asked
    /// for a pause longer than the run's patience. `asked`: the call has sent something before.
    pub(super) async fn enter(
        &self,
        purpose: Use,
        deadline: Duration,
        asked: bool,
        doing: &str,
    ) -> Result<Leave<'_>, Error> {
        // Whoever has no time to wait is told at once.
        let waits = !asked && self.patience >= PATIENT && self.circuit.probing == Probing::Eager;
        let last = waits.then_some(deadline);
        loop {
            self.circuit.wait(deadline, last, doing).await?;
            let turn = self.turns.take(purpose).await;
            let Ok(permit) = self.permits.acquire().await else {
                return Err(Error::new(Fault::Transient { reached: false }, doing, "shutting down"));
            };
            // Others may have failed while this one waited for its turn.
            if self.circuit.due_in(last).is_some_and(|wait| !wait.is_zero()) {
                continue;
            }
            let pause = self.pace.wait(self.patience).await;
            pause.map_err(|pause| self.paused(pause, doing))?;
            // Requests that were under way may have failed in the meantime.
            if let Some(part) = self.circuit.enter(last) {
                return Ok(Leave {
                    part,
                    _turn: (part == Part::Probe).then_some(turn),
                    _permit: permit,
                });
            }
        }
    }

    fn paused(&self, pause: Duration, doing: &str) -> Error {
        let fault = Fault::Throttled {
            retry_after: Some(pause),
        };
        let (name, seconds) = (&self.name, pause.as_secs() + 1);
        Error::new(
            fault,
            doing,
            format!("{name} asked for a pause that lasts another {seconds} s"),
        )
        .hint("run it again then, or give --wait more time")
    }

    pub(super) fn describe(&self) -> String {
        let mut told = self.pace.describe();
        if let Some(open) = self.circuit.describe() {
            told = format!("{told}, {open}");
        }
        told
    }

    #[cfg(test)]
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    #[cfg(test)]
    pub(super) fn is_idle(&self, concurrency: usize) -> bool {
        self.turns.is_idle() && self.permits.available_permits() == concurrency
    }
}
