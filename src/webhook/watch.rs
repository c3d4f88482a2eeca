//! What calls say about this machine and its config, beyond the single call: a clock that is off, a secret that is
//! wrong, a subscription of another store. Told as alerts, and taken back when it is over.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Desk;

const WINDOW: Duration = Duration::from_secs(10 * 60);
/// So many signatures too old, or too new, within that time are no single late one.
const STALE_MIN: usize = 3;
/// Fewer calls that none of the secrets has signed are somebody who looks around.
const UNSIGNED_MIN: u32 = 3;
/// So long after the last event of another store, that is over.
const FOREIGN_WINDOW: Duration = Duration::from_secs(24 * 60 * 60);

const CLOCK: &str = "webhooks.clock";
const SECRET: &str = "webhooks.secret";
const FOREIGN: &str = "webhooks.other_store";

/// What is to be told of, or taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Raise(&'static str),
    Calm(&'static str),
}

#[derive(Debug, Default)]
pub(super) struct Watch(Mutex<Seen>);

/// Times are of the monotonic clock.
#[derive(Debug, Default)]
struct Seen {
    stale: VecDeque<Duration>,
    /// Since when calls come that none of the secrets has signed, and no other.
    unsigned_since: Option<Duration>,
    unsigned: u32,
    /// When the last event of another store came, or this process began.
    foreign_at: Option<Duration>,
    raised: Vec<&'static str>,
    /// Alerts of an earlier process are taken back once.
    is_begun: bool,
}

impl Seen {
    fn raise(&mut self, name: &'static str) -> Option<Act> {
        (!self.raised.contains(&name)).then(|| {
            self.raised.push(name);
            Act::Raise(name)
        })
    }

    /// An earlier process may have raised it.
    fn is_over(&mut self, name: &'static str) -> Act {
        self.raised.retain(|raised| *raised != name);
        Act::Calm(name)
    }

    fn calm(&mut self, name: &'static str) -> Option<Act> {
        let at = self.raised.iter().position(|raised| *raised == name)?;
        self.raised.swap_remove(at);
        Some(Act::Calm(name))
    }

    /// A call with a good signature came.
    fn signed(&mut self, is_stale: bool, is_foreign: bool, now: Duration) -> Vec<Act> {
        let mut acts = Vec::new();
        if !std::mem::replace(&mut self.is_begun, true) {
            acts.extend([Act::Calm(SECRET), Act::Calm(CLOCK)]);
        }
        (self.unsigned_since, self.unsigned) = (None, 0);
        while self.stale.front().is_some_and(|at| now.saturating_sub(*at) > WINDOW) {
            self.stale.pop_front();
        }
        if is_stale {
            self.stale.push_back(now);
            self.stale.truncate(1000);
        }
        let clock = match self.stale.len() {
            0 => self.calm(CLOCK),
            n if n >= STALE_MIN => self.raise(CLOCK),
            _ => None,
        };
        let foreign_at = *self.foreign_at.get_or_insert(now);
        let foreign = if is_foreign {
            self.foreign_at = Some(now);
            self.raise(FOREIGN)
        } else if now.saturating_sub(foreign_at) >= FOREIGN_WINDOW {
            // Looked at again in a day.
            self.foreign_at = Some(now);
            Some(self.is_over(FOREIGN))
        } else {
            None
        };
        acts.extend([self.calm(SECRET), clock, foreign].into_iter().flatten());
        acts
    }

    fn unsigned(&mut self, now: Duration) -> Option<Act> {
        let since = *self.unsigned_since.get_or_insert(now);
        self.unsigned = self.unsigned.saturating_add(1);
        if now.saturating_sub(since) < WINDOW || self.unsigned < UNSIGNED_MIN {
            return None;
        }
        self.raise(SECRET)
    }
}

fn told(name: &str) -> &'static str {
    match name {
        CLOCK => {
            "webhooks come with signatures that are too old or too new: this machine's clock or the platform's is off; \
             their records are read all the same"
        }
        SECRET => {
            "for ten minutes no webhook came that one of webhooks.secrets has signed, and others did: if they are your \
             store's, a secret is missing; changes are found by the schedule meanwhile"
        }
        _ => {
            "a webhook of another store came, signed with our secret; nothing was read for it: look who subscribed this \
             address (`webhooks list`)"
        }
    }
}

impl Watch {
    pub(super) async fn signed(&self, desk: &Desk, is_stale: bool, is_foreign: bool) {
        let now = desk.clock.monotonic();
        let acts = self.seen().signed(is_stale, is_foreign, now);
        for act in acts {
            carry_out(desk, act).await;
        }
    }

    pub(super) async fn unsigned(&self, desk: &Desk) {
        let act = self.seen().unsigned(desk.clock.monotonic());
        if let Some(act) = act {
            carry_out(desk, act).await;
        }
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn carry_out(desk: &Desk, act: Act) {
    let Some(store) = desk.store.upgrade() else { return };
    let (name, done) = match act {
        Act::Raise(name) => (name, store.raise(name, told(name)).await),
        Act::Calm(name) => (name, store.calm(name).await),
    };
    match (act, done) {
        (Act::Raise(_), Ok(true)) => tracing::error!("{}", told(name)),
        (Act::Calm(_), Ok(true)) => tracing::info!("over: {}", told(name)),
        (_, Ok(false)) => {}
        // The next transaction meets the same trouble and reports it.
        (_, Err(error)) => tracing::debug!("{error:#}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    #[test]
    fn wh_03_three_stale_signatures_in_ten_minutes_are_an_alert_until_none_comes_any_more() {
        let mut seen = Seen::default();
        assert_eq!(seen.signed(false, false, at(0)), [Act::Calm(SECRET), Act::Calm(CLOCK)]);
        assert_eq!(seen.signed(true, false, at(1)), []);
        assert_eq!(seen.signed(true, false, at(5)), []);
        assert_eq!(seen.signed(true, false, at(12)), [], "the first is too long ago");
        assert_eq!(seen.signed(true, false, at(13)), [Act::Raise(CLOCK)]);
        assert_eq!(seen.signed(true, false, at(14)), [], "once");
        assert_eq!(seen.signed(false, false, at(20)), []);
        assert_eq!(seen.signed(false, false, at(25)), [Act::Calm(CLOCK)]);
    }

    #[test]
    fn calls_that_no_secret_signed_are_an_alert_only_while_no_good_one_comes() {
        let mut seen = Seen::default();
        let told: Vec<Option<Act>> = (0..9).map(|minute| seen.unsigned(at(minute))).collect();
        assert!(told.iter().all(Option::is_none));
        assert_eq!(seen.signed(false, false, at(9)).len(), 2);
        assert_eq!(seen.unsigned(at(10)), None);
        assert_eq!(seen.unsigned(at(19)), None);
        assert_eq!(seen.unsigned(at(20)), Some(Act::Raise(SECRET)));
        assert_eq!(seen.unsigned(at(21)), None);
        assert_eq!(seen.signed(false, false, at(22)), [Act::Calm(SECRET)]);
    }

    #[test]
    fn wh_28_two_stray_calls_far_apart_are_no_alert() {
        let mut seen = Seen::default();
        assert_eq!(seen.unsigned(at(0)), None);
        assert_eq!(seen.unsigned(at(60)), None);
        assert_eq!(seen.unsigned(at(61)), Some(Act::Raise(SECRET)));
    }

    #[test]
    fn wh_16_another_stores_event_is_told_until_none_came_for_a_day() {
        let mut seen = Seen::default();
        assert!(seen.signed(false, true, at(0)).contains(&Act::Raise(FOREIGN)));
        assert_eq!(seen.signed(false, true, at(1)), []);
        let hour = 60;
        assert_eq!(seen.signed(false, false, at(24 * hour)), []);
        assert_eq!(seen.signed(false, false, at(24 * hour + 1)), [Act::Calm(FOREIGN)]);
        assert_eq!(seen.signed(false, false, at(24 * hour + 2)), []);
        assert_eq!(seen.signed(false, true, at(24 * hour + 3)), [Act::Raise(FOREIGN)]);
        // Another process, which knows nothing of it.
        let mut seen = Seen::default();
        seen.signed(false, false, at(0));
        assert_eq!(seen.signed(false, false, at(24 * hour)), [Act::Calm(FOREIGN)]);
    }
}
