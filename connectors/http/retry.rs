//! Trying again: exponential delays with full jitter, for faults that pass by themselves. Outside of
//! outages it must not add more than a tenth to what the peer has to answer, or only slowly.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use contract::{Error, Fault};

use super::{Answer, Peer, Request};

const FIRST_DELAY: Duration = Duration::from_millis(500);
const DELAY_MAX: Duration = Duration::from_secs(60);
const RETRY_AFTER_LEAST: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tries {
    /// As long as the run is willing to wait for the peer.
    Patient,
    /// After so many that failed the caller goes on with other things. A pause that the peer asks for is
    /// no failure: it holds for those as well.
    Few(u32),
}

/// What may be tried again soon. It fills with first tries and is there for a small run from the start;
/// when it is used up, tries still follow, and wait longer.
#[derive(Debug)]
pub(super) struct Budget {
    /// In tenths of a retry.
    tenths: AtomicU32,
}

const RETRY_TENTHS: u32 = 10;
const BUDGET_AT_START: u32 = 20 * RETRY_TENTHS;
const BUDGET_MAX: u32 = 50 * RETRY_TENTHS;
/// How long a retry beyond the budget waits at the least: half of it, and jitter.
const OVERDRAWN: Duration = Duration::from_secs(30);

impl Default for Budget {
    fn default() -> Budget {
        Budget {
            tenths: AtomicU32::new(BUDGET_AT_START),
        }
    }
}

impl Budget {
    fn earn(&self) {
        let more = |tenths: u32| Some(tenths.saturating_add(1).min(BUDGET_MAX));
        self.change(more);
    }

    /// Whether there was a retry to be had.
    fn spend(&self) -> bool {
        self.change(|tenths| tenths.checked_sub(RETRY_TENTHS))
    }

    /// The pause before a try again, longer where the budget is used up; but never so long that patience,
    /// which would have allowed the try, ends first.
    fn pause(&self, pause: Duration, left: Duration) -> Duration {
        if pause > left || self.spend() {
            return pause;
        }
        let longer = OVERDRAWN / 2 + full_jitter(Some(OVERDRAWN / 2));
        pause.max(longer).min(left)
    }

    fn change(&self, to: impl Fn(u32) -> Option<u32>) -> bool {
        self.tenths
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, to)
            .is_ok()
    }
}

impl Peer {
    /// Sends until `parse` is content, the fault is not one that passes, or patience ends.
    /// A 401 is confirmed once: gateways give a false one now and then.
    pub(crate) async fn call<T>(
        &self,
        request: &Request,
        tries: Tries,
        parse: impl Fn(Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let started = self.seams.clock.monotonic();
        let deadline = started.saturating_add(self.seams.patience);
        let mut delays = delays();
        let mut confirmed = false;
        let (mut tried, mut failed, mut reached) = (0, 0, false);
        self.budget.earn();
        loop {
            tried += 1;
            let leave = self
                .gate
                .enter(request.purpose, deadline, tried > 1, &request.doing)
                .await;
            let leave = leave.map_err(|error| still_reached(error, reached))?;
            let result = self.send(request).await.and_then(&parse);
            self.gate.circuit.learn(leave.part, &result).await;
            drop(leave);
            let error = match result {
                Ok(value) => return Ok(value),
                Err(error) => still_reached(error, reached),
            };
            reached |= error.fault == Fault::Transient { reached: true };
            failed += u32::from(matches!(error.fault, Fault::Transient { .. }));
            if matches!(tries, Tries::Few(most) if failed >= most) {
                return Err(error);
            }
            let left = deadline.saturating_sub(self.seams.clock.monotonic());
            let pause = match error.fault {
                Fault::Throttled {
                    retry_after: Some(pause),
                } if pause >= RETRY_AFTER_LEAST => pause,
                // `Retry-After: 0`, or a date that has passed, is no leave to hammer.
                Fault::Throttled { .. } => full_jitter(delays.next()),
                Fault::Transient { .. } => match self.gate.circuit.next_in() {
                    // An outage; its probes set the pace.
                    Some(next) => next,
                    None => self.budget.pause(full_jitter(delays.next()), left),
                },
                Fault::Denied if error.status == Some(401) && !confirmed => {
                    confirmed = true;
                    Duration::from_secs(1)
                }
                Fault::Denied | Fault::Rejected | Fault::Conflict => return Err(error),
            };
            if pause > left {
                return Err(error);
            }
            self.tell_retry(&error, tried, pause);
            match error.fault {
                // Everybody waits it out, before the next request.
                Fault::Throttled { .. } => self.gate.pace.pause(pause).await,
                // At the gate it is heard at once when the circuit closes.
                Fault::Transient { .. } if self.gate.circuit.next_in().is_some() => {}
                _ => self.seams.clock.sleep(pause).await,
            }
        }
    }

    /// Sends once, whatever comes of it: what may have been carried out is never sent again from here. While the
    /// circuit is open it goes out as a probe, in its turn, or not at all.
    pub(crate) async fn once<T>(
        &self,
        request: &Request,
        parse: impl Fn(Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let deadline = self.seams.clock.monotonic().saturating_add(self.seams.patience);
        let leave = self.gate.enter(request.purpose, deadline, true, &request.doing).await?;
        let result = self.send(request).await.and_then(parse);
        self.gate.circuit.learn(leave.part, &result).await;
        result
    }

    fn tell_retry(&self, error: &Error, tried: u32, pause: Duration) {
        let wait_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        // One line when it starts, one more when it has become serious; the rest is for -v.
        if tried == 1 || tried == 6 {
            tracing::warn!(wait_ms, tried, "{}: {}; trying again", error.doing, error.answer);
        } else {
            tracing::debug!(wait_ms, tried, "{}: {}; trying again", error.doing, error.answer);
        }
    }
}

/// What may have been carried out in an earlier try may have been carried out.
fn still_reached(mut error: Error, before: bool) -> Error {
    if before && error.fault == (Fault::Transient { reached: false }) {
        error.fault = Fault::Transient { reached: true };
    }
    error
}

fn delays() -> impl Iterator<Item = Duration> {
    let first = ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(DELAY_MAX);
    first.without_max_times().build()
}

/// Anything from nothing to the whole delay, so that clients that failed together come back apart.
pub(super) fn full_jitter(delay: Option<Duration>) -> Duration {
    let most = delay.unwrap_or(DELAY_MAX).as_millis();
    Duration::from_millis(fastrand::u64(50..=u64::try_from(most).unwrap_or(60_000).max(51)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_may_be_tried_again_and_a_small_run_some_more() {
        let budget = Budget::default();
        let spent = |most: usize| (0..most).take_while(|_| budget.spend()).count();
        assert_eq!(spent(100), 20);
        for _ in 0..9 {
            budget.earn();
        }
        assert_eq!(spent(100), 0);
        budget.earn();
        assert_eq!(spent(100), 1);
        for _ in 0..100_000 {
            budget.earn();
        }
        assert_eq!(spent(100), 50, "what is saved up has a limit");
    }

    #[test]
    fn beyond_the_budget_a_retry_waits_longer_and_patience_still_allows_it() {
        let budget = Budget::default();
        let (soon, hour) = (Duration::from_millis(300), Duration::from_secs(3_600));
        for _ in 0..20 {
            assert_eq!(budget.pause(soon, hour), soon);
        }
        for _ in 0..100 {
            let pause = budget.pause(soon, hour);
            assert!(pause > OVERDRAWN / 2 && pause <= OVERDRAWN, "{pause:?}");
            assert_eq!(budget.pause(DELAY_MAX, hour), DELAY_MAX);
            assert_eq!(budget.pause(soon, 2 * soon), 2 * soon);
            assert_eq!(
                budget.pause(soon, soon / 2),
                soon,
                "which is too long: the call ends here"
            );
        }
    }
}
