//! How a peer wants to be treated, as the config tells it: the same keys wherever a system is called over HTTP.

use std::time::Duration;

use contract::settings::{Rate, Reader};

/// A time-out below this would end calls that are well under way.
const TIMEOUT_MIN: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub(crate) struct Manners {
    pub(crate) rate: Rate,
    /// Requests that may go out at once after a quiet time.
    pub(crate) burst: u32,
    pub(crate) concurrency: usize,
    /// For connecting, and for each wait within an answer.
    pub(crate) timeout: Duration,
}

impl Manners {
    /// With what holds where the config does not say: so many requests a time, and so many at once.
    pub(crate) fn read(reader: &mut Reader<'_>, rate: &'static str, at_once: &'static str) -> Option<Manners> {
        let rate = reader
            .field("rate_limit", "requests a time, all uses together: N/s, N/min or N/h")
            .default(rate)
            .rate();
        let burst = reader
            .field("burst", "requests that may go out at once after a quiet time")
            .default("10")
            .integer(1, 1000);
        let concurrency = reader
            .field("concurrency", "requests under way at once")
            .default(at_once)
            .integer(1, 64);
        let timeout = reader
            .field("timeout", "for connecting and for each wait within an answer")
            .default("30s")
            .duration();
        Some(Manners {
            rate: rate?,
            burst: u32::try_from(burst?).ok()?,
            concurrency: usize::try_from(concurrency?).ok()?,
            timeout: timeout?.max(TIMEOUT_MIN),
        })
    }
}
