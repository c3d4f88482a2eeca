//! Whether the peer is asked at all. After several failures in a row, over all callers, the circuit is open:
//! callers wait, and one probe at a time goes out, less and less often. Any answer closes it. It must never
//! stay open for what one record is to blame for: whatever succeeds in between counts from nothing again.
//!
//! It lives as long as the process, and a new one starts closed. The memory keeps what `status` tells.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use contract::{Clock, Error, Fault, Memory, Seams, Stamp};
use tokio::sync::Notify;

use super::retry::full_jitter;

/// So many failures in a row, of whatever caller, are the peer's.
const FAILURES_MAX: u32 = 5;
const FIRST_DELAY: Duration = Duration::from_secs(1);
const DELAY_MAX: Duration = Duration::from_secs(60);
/// With [`Probing::EachMinute`]: soon once, in case it was a hiccup, and then at least so long apart.
const SLOW_FIRST: Duration = Duration::from_secs(10);
const SLOW: Duration = Duration::from_secs(60);
const CLOSED: &str = "closed";
/// Before the stamp of when nothing came through any more.
const OPEN_SINCE: &str = "open since ";

/// How often a peer that does not answer is asked whether it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probing {
    /// Soon at first, and then less and less often.
    Eager,
    /// At most once a minute, however many callers wait.
    EachMinute,
}

#[derive(Debug)]
pub(super) struct Circuit {
    name: String,
    pub(super) probing: Probing,
    clock: Arc<dyn Clock>,
    memory: Arc<dyn Memory>,
    state: Mutex<State>,
    /// Told when it closes, to whoever waits for the time of the next probe.
    closed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// In a row, since anything was answered.
    failures: u32,
    last: Option<Error>,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Stamp,
    /// Probes that failed.
    probes: u32,
    /// Nobody asks before this, on the monotonic clock, but who has waited in vain for as long as it can.
    next_at: Duration,
}

impl Open {
    /// `last`: until when the caller can wait at most, which must be sent once. What one address is to blame for
    /// does not keep a call to another from being sent at all.
    fn due_at(&self, last: Option<Duration>) -> Duration {
        last.map_or(self.next_at, |last| self.next_at.min(last))
    }
}

/// What a caller that may send is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    OneOfMany,
    /// The only one under way while the circuit is open.
    Probe,
}

impl Circuit {
    pub(super) fn new(name: &str, probing: Probing, seams: &Seams) -> Circuit {
        Circuit {
            name: name.to_owned(),
            probing,
            clock: seams.clock.clone(),
            memory: seams.memory.clone(),
            state: Mutex::default(),
            closed: Notify::new(),
        }
    }

    /// Waits until a caller may ask. Gives up at once where that is after the deadline.
    pub(super) async fn wait(&self, deadline: Duration, last: Option<Duration>, doing: &str) -> Result<(), Error> {
        loop {
            // Before the look: it may close right after it.
            let mut closed = std::pin::pin!(self.closed.notified());
            closed.as_mut().enable();
            let now = self.clock.monotonic();
            let wait = {
                let state = self.state();
                let Some(open) = state.open else { return Ok(()) };
                let wait = open.due_at(last).saturating_sub(now);
                if wait.is_zero() {
                    return Ok(());
                }
                if open.due_at(last) > deadline {
                    return Err(self.refusal(&state, doing, wait));
                }
                wait
            };
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = closed => {}
            }
        }
    }

    /// The last look before a request leaves; `None`: not now, wait again.
    pub(super) fn enter(&self, last: Option<Duration>) -> Option<Part> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        match &mut state.open {
            None => Some(Part::OneOfMany),
            Some(open) if open.due_at(last) <= now => {
                // A probe that is dropped on its way must not be followed by another at once.
                open.next_at = now + self.delay(open.probes);
                Some(Part::Probe)
            }
            Some(_) => None,
        }
    }

    /// Takes note of how a request ended.
    pub(super) async fn learn<T>(&self, part: Part, result: &Result<T, Error>) {
        let failure = match result {
            Err(error) if matches!(error.fault, Fault::Transient { .. }) => error,
            // Refused before anything was asked, such as a certificate: nothing is known of the peer.
            Err(error) if error.fault == Fault::Denied && error.status.is_none() => return,
            // Every answer shows that the peer is there, a refusal and a 429 as well.
            _ => return self.close().await,
        };
        let now = self.clock.monotonic();
        let opened = {
            let mut state = self.state();
            state.failures = state.failures.saturating_add(1);
            state.last = Some(failure.clone());
            let failures = state.failures;
            match &mut state.open {
                Some(open) if part == Part::Probe => {
                    open.probes = open.probes.saturating_add(1);
                    open.next_at = now + self.delay(open.probes);
                    None
                }
                Some(_) => None,
                None if failures < FAILURES_MAX => None,
                None => Some(self.open(&mut state, now)),
            }
        };
        if let Some(since) = opened {
            tracing::warn!(
                "{} failed {FAILURES_MAX} times in a row, the last with: {}; it is asked now and then until it answers",
                self.name,
                failure.answer
            );
            self.memory.put("circuit", format!("{OPEN_SINCE}{since}")).await;
        }
    }

    fn open(&self, state: &mut State, now: Duration) -> Stamp {
        // What an earlier process left counts on: nothing has come through since.
        let known = self.memory.get("circuit");
        let known = known.as_deref().and_then(|text| text.strip_prefix(OPEN_SINCE));
        let since = known.and_then(|stamp| stamp.parse().ok());
        let since = since.unwrap_or_else(|| self.clock.now());
        state.open = Some(Open {
            since,
            probes: 0,
            next_at: now + self.delay(0),
        });
        since
    }

    async fn close(&self) {
        let was_open = {
            let mut state = self.state();
            state.failures = 0;
            state.last = None;
            state.open.take()
        };
        if was_open.is_some() {
            tracing::warn!("{} answers again", self.name);
            self.closed.notify_waiters();
        }
        let told = self.memory.get("circuit");
        if told.is_some_and(|told| told != CLOSED) {
            self.memory.put("circuit", CLOSED.to_owned()).await;
        }
    }

    /// While it is open: how long until a probe may go of who has asked before.
    pub(super) fn next_in(&self) -> Option<Duration> {
        self.due_in(None)
    }

    /// While it is open: how long until a probe may go.
    pub(super) fn due_in(&self, last: Option<Duration>) -> Option<Duration> {
        let now = self.clock.monotonic();
        let open = self.state().open?;
        Some(open.due_at(last).saturating_sub(now))
    }

    #[cfg(test)]
    pub(super) fn is_open(&self) -> bool {
        self.state().open.is_some()
    }

    pub(super) fn describe(&self) -> Option<String> {
        let state = self.state();
        let open = state.open?;
        let ago = self.clock.now().saturating_sub(open.since).max(0) / 1000;
        Some(format!(
            "circuit open for {ago} s after {} failures in a row",
            state.failures
        ))
    }

    fn refusal(&self, state: &State, doing: &str, wait: Duration) -> Error {
        let said = state.last.as_ref().map_or("", |last| last.answer.as_str());
        let said = format!(
            "{} failed {} times in a row, the last with: {said}; it is asked again in {} s",
            self.name,
            state.failures,
            wait.as_secs() + 1
        );
        let mut error = Error::new(Fault::Transient { reached: false }, doing, said);
        error.hint = state.last.as_ref().and_then(|last| last.hint.clone());
        error
    }

    /// Comes with jitter: clients that lost the peer together come back apart.
    fn delay(&self, probes: u32) -> Duration {
        match self.probing {
            Probing::Eager => {
                let most = FIRST_DELAY.saturating_mul(1 << probes.min(16)).min(DELAY_MAX);
                full_jitter(Some(most))
            }
            Probing::EachMinute if probes == 0 => SLOW_FIRST / 2 + full_jitter(Some(SLOW_FIRST / 2)),
            Probing::EachMinute => SLOW + full_jitter(Some(SLOW / 20)),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
