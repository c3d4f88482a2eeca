//! Words about calls that were refused: at once when there were none for a while, then at most once a minute, with
//! how many there were. Whoever floods the address cannot flood the log.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const APART: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<BTreeMap<&'static str, Entry>>);

#[derive(Debug, Default)]
struct Entry {
    /// On the monotonic clock.
    told_at: Option<Duration>,
    untold: u64,
}

impl Refusals {
    /// Counts one, and answers with how many are to be told now, this one included.
    fn due(&self, kind: &'static str, now: Duration) -> Option<u64> {
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.entry(kind).or_default();
        entry.untold += 1;
        if entry.told_at.is_some_and(|at| now.saturating_sub(at) < APART) {
            return None;
        }
        entry.told_at = Some(now);
        Some(std::mem::take(&mut entry.untold))
    }

    pub(super) fn tell(&self, kind: &'static str, detail: &str, from: IpAddr, now: Duration) {
        match self.due(kind, now) {
            None => {}
            Some(1) => tracing::warn!("a webhook call from {from} was refused: {kind}{detail}"),
            Some(n) => tracing::warn!("{n} webhook calls were refused, the last one from {from}: {kind}{detail}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wh_28_the_first_is_told_at_once_and_the_others_are_counted() {
        let refusals = Refusals::default();
        let told: Vec<(u64, u64)> = (0..600_000)
            .filter_map(|n| Some((n, refusals.due("bad signature", Duration::from_micros(n * 200))?)))
            .collect();
        // 5,000 a second for two minutes.
        assert_eq!(told, [(0, 1), (300_000, 300_000)]);
        assert_eq!(
            refusals.due("missing header", Duration::ZERO),
            Some(1),
            "each kind for itself"
        );
    }
}
