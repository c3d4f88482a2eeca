//! Who is logged in, and who tried too often. Held in memory: a restart logs everybody out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

/// A session that nobody uses ends after this …
const IDLE: Duration = Duration::from_secs(30 * 60);
/// … and any session after this.
const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
const SESSIONS_MAX: usize = 100;
/// Wrong tokens from one address within a minute, before it has to wait.
const WRONG_MAX: u32 = 10;
const WRONG_WITHIN: Duration = Duration::from_secs(60);
const ADDRESSES_MAX: usize = 1_000;

type Print = [u8; 32];

/// 128 bits that nobody can guess, in hex.
pub(super) fn unguessable() -> Option<String> {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Whether both are the same, in a time that does not tell how far they agree.
pub(super) fn same(a: &str, b: &str) -> bool {
    verify_slices_are_equal(&print(a), &print(b)).is_ok()
}

fn print(text: &str) -> Print {
    let digest = digest(&SHA256, text.as_bytes());
    let mut print = [0; 32];
    print.copy_from_slice(digest.as_ref());
    print
}

#[derive(Clone, Debug)]
struct Session {
    /// What its forms have to carry.
    csrf: String,
    /// The token that it was opened with: a new one ends it.
    token: Print,
    began: Duration,
    used: Duration,
}

/// All times are of the monotonic clock.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    /// By the print of their cookie, so that the memory has no cookie in it.
    open: Mutex<HashMap<Print, Session>>,
    wrong: Mutex<HashMap<IpAddr, (u32, Duration)>>,
}

impl Sessions {
    /// The cookie of a new session.
    pub(super) fn begin(&self, token: &SecretString, now: Duration) -> Option<String> {
        let (cookie, csrf) = (unguessable()?, unguessable()?);
        let session = Session {
            csrf,
            token: print(token.expose_secret()),
            began: now,
            used: now,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, session| session.lives(now));
        if open.len() >= SESSIONS_MAX {
            let oldest = open.iter().min_by_key(|(_, session)| session.used).map(|(key, _)| *key);
            oldest.and_then(|key| open.remove(&key));
        }
        open.insert(print(&cookie), session);
        Some(cookie)
    }

    /// What the forms of this session have to carry, if it goes on.
    pub(super) fn csrf(&self, cookie: &str, token: &SecretString, now: Duration) -> Option<String> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let session = open.get_mut(&print(cookie))?;
        if !session.lives(now) || session.token != print(token.expose_secret()) {
            open.remove(&print(cookie));
            return None;
        }
        session.used = now;
        Some(session.csrf.clone())
    }

    pub(super) fn end(&self, cookie: &str) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.remove(&print(cookie));
    }

    /// Whether this address may try a token now.
    pub(super) fn may_try(&self, from: IpAddr, now: Duration) -> bool {
        let wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        wrong
            .get(&from)
            .is_none_or(|(count, since)| *count < WRONG_MAX || now.saturating_sub(*since) >= WRONG_WITHIN)
    }

    pub(super) fn was_wrong(&self, from: IpAddr, now: Duration) {
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        if wrong.len() >= ADDRESSES_MAX {
            wrong.retain(|_, (_, since)| now.saturating_sub(*since) < WRONG_WITHIN);
        }
        let (count, since) = wrong.entry(from).or_insert((0, now));
        if now.saturating_sub(*since) >= WRONG_WITHIN {
            (*count, *since) = (0, now);
        }
        *count += 1;
    }
}

impl Session {
    fn lives(&self, now: Duration) -> bool {
        now.saturating_sub(self.used) < IDLE && now.saturating_sub(self.began) < LASTS
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_session_ends_unused_after_its_time_and_with_its_token() {
        let (sessions, token) = (Sessions::default(), SecretString::from("a-token-of-some-length"));
        let cookie = sessions.begin(&token, secs(0)).unwrap();
        let csrf = sessions.csrf(&cookie, &token, secs(10)).unwrap();
        assert_eq!(sessions.csrf(&cookie, &token, secs(1_700)), Some(csrf));
        assert_eq!(
            sessions.csrf(&cookie, &token, secs(1_700 + 30 * 60)),
            None,
            "nobody used it"
        );
        let cookie = sessions.begin(&token, secs(0)).unwrap();
        for used in (0..12 * 60).step_by(20) {
            assert!(sessions.csrf(&cookie, &token, secs(used * 60)).is_some());
        }
        assert_eq!(sessions.csrf(&cookie, &token, secs(12 * 60 * 60)), None, "it lasted");
        let cookie = sessions.begin(&token, secs(0)).unwrap();
        let other = SecretString::from("another-token-of-some-length");
        assert_eq!(
            sessions.csrf(&cookie, &other, secs(1)),
            None,
            "the token is another one now"
        );
        assert_eq!(sessions.csrf("not a cookie", &token, secs(1)), None);
        let cookie = sessions.begin(&token, secs(0)).unwrap();
        sessions.end(&cookie);
        assert_eq!(sessions.csrf(&cookie, &token, secs(1)), None, "logged out");
    }

    #[test]
    fn the_least_used_session_makes_room() {
        let (sessions, token) = (Sessions::default(), SecretString::from("a-token-of-some-length"));
        let cookies: Vec<String> = (0..=SESSIONS_MAX as u64)
            .map(|n| sessions.begin(&token, secs(n)).unwrap())
            .collect();
        assert_eq!(sessions.csrf(&cookies[0], &token, secs(200)), None);
        assert!(sessions.csrf(&cookies[1], &token, secs(200)).is_some());
    }

    #[test]
    fn whoever_guesses_has_to_wait() {
        let (sessions, one, other) = (
            Sessions::default(),
            IpAddr::from([10, 0, 0, 1]),
            IpAddr::from([10, 0, 0, 2]),
        );
        for n in 0..WRONG_MAX {
            assert!(sessions.may_try(one, secs(1)), "try {n}");
            sessions.was_wrong(one, secs(1));
        }
        assert!(!sessions.may_try(one, secs(2)));
        assert!(sessions.may_try(other, secs(2)));
        assert!(sessions.may_try(one, secs(61)));
    }

    #[test]
    fn what_is_made_up_is_never_made_up_twice() {
        let made: std::collections::HashSet<String> = (0..1_000).map(|_| unguessable().unwrap()).collect();
        assert_eq!(made.len(), 1_000);
        assert!(made.iter().all(|text| text.len() == 32));
        assert!(same("abc", "abc") && !same("abc", "abd") && !same("abc", ""));
    }
}
