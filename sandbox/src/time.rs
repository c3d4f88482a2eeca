//! The world's clock: it stands, runs with real time, or runs faster.

use std::time::Instant;

use crate::options::Clock;

/// World time: `base_ms`, plus the time since then if it runs.
pub(crate) struct Time {
    base_ms: i64,
    since: Option<Instant>,
    factor: u32,
}

fn machine_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

impl Time {
    pub(crate) fn new(clock: Clock) -> Time {
        let (base_ms, factor) = match clock {
            Clock::Fixed(ms) => (ms, 0),
            Clock::Running(ms) => (ms, 1),
            Clock::Real => (machine_ms(), 1),
            Clock::RealScaled(factor) => (machine_ms(), factor),
            Clock::Scaled { start_ms, factor } => (start_ms, factor),
        };
        Time {
            base_ms,
            since: (factor > 0).then(Instant::now),
            factor,
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let gone = self.since.map_or(0, |since| {
            let real = i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX);
            real.saturating_mul(i64::from(self.factor))
        });
        self.base_ms.saturating_add(gone)
    }

    /// How many times as fast as real time it runs; 0 = it stands.
    pub(crate) fn factor(&self) -> u32 {
        self.factor
    }

    pub(crate) fn advance(&mut self, ms: i64) {
        self.base_ms = self.base_ms.saturating_add(ms);
    }

    pub(crate) fn set(&mut self, ms: i64) {
        self.base_ms = ms;
        self.since = self.since.map(|_| Instant::now());
    }

    /// Goes on from here at another pace; 0 stops it.
    pub(crate) fn set_factor(&mut self, factor: u32) {
        self.base_ms = self.now_ms();
        self.since = (factor > 0).then(Instant::now);
        self.factor = factor;
    }
}
