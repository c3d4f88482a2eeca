//! How long to leave alone what failed: longer each time, and never at the same moment as everybody else.

use std::time::Duration;

#[derive(Clone, Debug)]
pub(super) struct Delays {
    first: Duration,
    most: Duration,
    failed: u32,
}

impl Delays {
    pub(super) fn new(first: Duration, most: Duration) -> Delays {
        Delays { first, most, failed: 0 }
    }

    /// Doubles from the first delay to the longest, between half of it and all of it by chance.
    pub(super) fn next(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.failed.min(16)).min(self.most);
        self.failed = self.failed.saturating_add(1);
        let ms = u64::try_from(whole.as_millis()).unwrap_or(u64::MAX).max(2);
        Duration::from_millis(fastrand::u64(ms / 2..=ms))
    }

    pub(super) fn has_failed(&self) -> bool {
        self.failed > 0
    }

    pub(super) fn reset(&mut self) {
        self.failed = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_to_their_limit_and_start_over_after_a_success() {
        let mut delays = Delays::new(Duration::from_secs(1), Duration::from_secs(60));
        let told: Vec<Duration> = (0..20).map(|_| delays.next()).collect();
        for (n, delay) in told.iter().enumerate() {
            let whole = Duration::from_secs(1 << n.min(16)).min(Duration::from_secs(60));
            assert!(*delay >= whole / 2 && *delay <= whole, "{n}: {delay:?}");
        }
        delays.reset();
        assert!(delays.next() <= Duration::from_secs(1));
    }
}
