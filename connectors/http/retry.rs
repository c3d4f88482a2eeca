//! Trying again: exponential delays with full jitter, for faults that pass by themselves.

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
        let mut delays = delays();
        let mut confirmed = false;
        let (mut tried, mut failed) = (0, 0);
        loop {
            tried += 1;
            let error = match self.send(request).await.and_then(&parse) {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            let pause = match error.fault {
                Fault::Throttled {
                    retry_after: Some(pause),
                } if pause >= RETRY_AFTER_LEAST => pause,
                // `Retry-After: 0`, or a date that has passed, is no leave to hammer.
                Fault::Throttled { .. } | Fault::Transient { .. } => full_jitter(delays.next()),
                Fault::Denied if error.status == Some(401) && !confirmed => {
                    confirmed = true;
                    Duration::from_secs(1)
                }
                Fault::Denied | Fault::Rejected => return Err(error),
            };
            let waited = self.seams.clock.monotonic().saturating_sub(started);
            failed += u32::from(matches!(error.fault, Fault::Transient { .. }));
            if waited + pause > self.seams.patience || matches!(tries, Tries::Few(most) if failed >= most) {
                return Err(error);
            }
            self.tell_retry(&error, tried, pause);
            match error.fault {
                // Everybody waits it out, before the next request.
                Fault::Throttled { .. } => self.pace.pause(pause).await,
                _ => self.seams.clock.sleep(pause).await,
            }
        }
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

fn delays() -> impl Iterator<Item = Duration> {
    let first = ExponentialBuilder::new()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(DELAY_MAX);
    first.without_max_times().build()
}

/// Anything from nothing to the whole delay, so that clients that failed together come back apart.
fn full_jitter(delay: Option<Duration>) -> Duration {
    let most = delay.unwrap_or(DELAY_MAX).as_millis();
    Duration::from_millis(fastrand::u64(50..=u64::try_from(most).unwrap_or(60_000).max(51)))
}
