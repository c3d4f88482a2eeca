//! When the next request may go out. In any window at most `rate × window + burst` requests leave,
//! across restarts too; after a 429 nobody sends before the pause is over, and then slowly: at half
//! the rate for each 429 down to a quarter, back to all of it within 30 s.

use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use contract::settings::Rate;
use contract::{Clock, Memory, Seams};
use governor::clock::{Clock as _, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use std::num::NonZeroU32;

const FULL: u64 = 1000;
const LEAST: u64 = FULL / 4;
const RECOVERY: Duration = Duration::from_secs(30);
/// What the memory says while a process is at work, or after it was killed.
const OPEN: &str = "open";

type Limiter = RateLimiter<NotKeyed, InMemoryState, Monotonic, NoOpMiddleware<At>>;

#[derive(Debug)]
pub(super) struct Pace {
    limiter: Limiter,
    clock: Arc<dyn Clock>,
    memory: Arc<dyn Memory>,
    period: Duration,
    rate: Rate,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Nobody sends before this, on the monotonic clock.
    paused_until: Duration,
    /// While slowed down: when the next one may go.
    next_at: Duration,
    /// Share of the full rate in thousandths at the last 429, and when that was.
    share: Option<(u64, Duration)>,
    /// When the bucket will be full again: the theoretical arrival time of the cell-rate algorithm.
    full_at: Duration,
    opened: bool,
}

impl Pace {
    pub(super) fn new(rate: Rate, burst: u32, seams: &Seams) -> Pace {
        // One less than allowed, because answers on a network bunch up: the peer counts arrivals.
        let burst = NonZeroU32::new(burst.saturating_sub(1)).unwrap_or(NonZeroU32::MIN);
        let jitter_room = if burst.get() == 1 {
            Duration::from_millis(20)
        } else {
            Duration::ZERO
        };
        let period = rate.period() + jitter_room;
        let quota = Quota::with_period(period)
            .unwrap_or(Quota::per_minute(NonZeroU32::MIN))
            .allow_burst(burst);
        let pace = Pace {
            limiter: RateLimiter::direct_with_clock(quota, Monotonic(seams.clock.clone())),
            clock: seams.clock.clone(),
            memory: seams.memory.clone(),
            period,
            rate,
            state: Mutex::new(State::default()),
        };
        pace.remember(burst);
        pace
    }

    /// Takes over what an earlier process left: the fill of its bucket, and a pause that still lasts.
    fn remember(&self, burst: NonZeroU32) {
        let now = self.clock.now();
        let used = match self.memory.get("pace").as_deref() {
            None => Duration::ZERO,
            // It was killed and may have sent anything just now.
            Some(OPEN) => self.period * burst.get(),
            Some(full_at) => ahead(full_at, now),
        };
        let cells = used.as_nanos().div_ceil(self.period.as_nanos().max(1));
        let cells = u32::try_from(cells).unwrap_or(u32::MAX).min(burst.get());
        if let Some(cells) = NonZeroU32::new(cells) {
            // Cannot be refused: the bucket is new and holds `burst`.
            let _taken = self.limiter.check_n(cells);
        }
        let mut state = self.state();
        state.full_at = self.clock.monotonic() + self.period * cells;
        if let Some(until) = self.memory.get("paused_until") {
            state.paused_until = self.clock.monotonic() + ahead(&until, now).min(super::RETRY_AFTER_MAX);
        }
    }

    /// Waits for the next turn. Gives up at once, with the time left, when a pause is longer than `patience`.
    pub(super) async fn wait(&self, patience: Duration) -> Result<(), Duration> {
        if !std::mem::replace(&mut self.state().opened, true) {
            self.memory.put("pace", OPEN.to_owned()).await;
        }
        loop {
            let now = self.clock.monotonic();
            let (pause, slow) = {
                let state = self.state();
                (
                    state.paused_until.saturating_sub(now),
                    state.next_at.saturating_sub(now),
                )
            };
            if pause > patience {
                return Err(pause);
            }
            let wait = pause.max(slow);
            if !wait.is_zero() {
                self.clock
                    .sleep(wait + Duration::from_millis(fastrand::u64(1..20)))
                    .await;
                continue;
            }
            match self.limiter.check() {
                Ok(()) => break,
                Err(not_yet) => {
                    let wait = not_yet.wait_time_from(Monotonic(self.clock.clone()).now());
                    self.clock.sleep(wait.max(Duration::from_millis(1))).await;
                }
            }
        }
        self.took_one();
        Ok(())
    }

    fn took_one(&self) {
        let now = self.clock.monotonic();
        let mut state = self.state();
        state.full_at = state.full_at.max(now) + self.period;
        let share = share_at(state.share, now);
        if share < FULL {
            let spacing = self.period.as_nanos().saturating_mul(u128::from(FULL)) / u128::from(share);
            state.next_at = now + Duration::from_nanos(u64::try_from(spacing).unwrap_or(u64::MAX));
        }
    }

    /// A 429: halve the rate, and pause for as long as was asked.
    pub(super) async fn throttled(&self, retry_after: Option<Duration>) {
        {
            let now = self.clock.monotonic();
            let mut state = self.state();
            let share = (share_at(state.share, now) / 2).max(LEAST);
            state.share = Some((share, now));
            state.next_at = now + self.period;
        }
        if let Some(pause) = retry_after {
            self.pause(pause).await;
        }
    }

    pub(super) async fn pause(&self, pause: Duration) {
        {
            let mut state = self.state();
            state.paused_until = state.paused_until.max(self.clock.monotonic() + pause);
        }
        let until = self.clock.now().saturating_add(millis(pause));
        self.memory.put("paused_until", until.to_string()).await;
    }

    /// Leaves word for the next process.
    pub(super) async fn rest(&self) {
        let (opened, left) = {
            let state = self.state();
            (state.opened, state.full_at.saturating_sub(self.clock.monotonic()))
        };
        if opened {
            let full_at = self.clock.now().saturating_add(millis(left));
            self.memory.put("pace", full_at.to_string()).await;
        }
    }

    pub(super) fn describe(&self) -> String {
        let now = self.clock.monotonic();
        let state = self.state();
        let paused = state.paused_until.saturating_sub(now);
        let share = share_at(state.share, now) / 10;
        let mut told = format!("{} per {} s", self.rate.calls, self.rate.per.as_secs());
        if share < 100 {
            told.push_str(&format!(", slowed to {share} %"));
        }
        if !paused.is_zero() {
            told.push_str(&format!(", paused for {} s", paused.as_secs() + 1));
        }
        told
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

fn share_at(slowed: Option<(u64, Duration)>, now: Duration) -> u64 {
    let Some((share, at)) = slowed else { return FULL };
    let passed = now.saturating_sub(at).min(RECOVERY);
    let regained = u128::from(FULL - share) * passed.as_millis() / RECOVERY.as_millis();
    share + u64::try_from(regained).unwrap_or(0)
}

fn ahead(stamp: &str, now: i64) -> Duration {
    let left = stamp.parse::<i64>().unwrap_or(0).saturating_sub(now);
    Duration::from_millis(u64::try_from(left).unwrap_or(0))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// governor on the clock that tests can drive.
#[derive(Clone, Debug)]
struct Monotonic(Arc<dyn Clock>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At(Duration);

impl governor::clock::Clock for Monotonic {
    type Instant = At;
    fn now(&self) -> At {
        At(self.0.monotonic())
    }
}

impl Reference for At {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, duration: Nanos) -> Self {
        At(self.0.saturating_sub(duration.into()))
    }
}

impl std::ops::Add<Nanos> for At {
    type Output = At;
    fn add(self, duration: Nanos) -> At {
        At(self.0 + Duration::from(duration))
    }
}
