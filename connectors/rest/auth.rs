//! Signing in. What is sent with every request comes from the config or is fetched with it; a fetched token is
//! fetched by one caller at a time, replaced once when it is refused, and given up after three refusals in a
//! row, until the credentials change. No secret of it may stand in an error.

use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Error, Fault, Hash, Memory, Stamp};
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::oauth::OAuth;
use super::session::Session;
use crate::http::Secrets;

/// So many refusals in a row, and nothing is asked any more.
const STRIKES_MAX: u32 = 3;
/// A process that starts so long after the last of them tries once more: what was wrong may have been put right at
/// the other side, where nobody can see it from here.
const FORGIVEN: Duration = Duration::from_secs(3600);
/// What the memory calls them.
const STRIKES: &str = "auth.strikes";

/// What goes along with a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Ticket {
    headers: HeaderMap,
    query: Option<(String, SecretString)>,
    /// Which of the fetched tokens it is.
    number: u64,
}

#[derive(Debug)]
pub(super) enum Auth {
    Fixed(Ticket),
    Fetched(Box<Fetched>),
    /// Not resolved in this run, which therefore cannot call the other side.
    Absent,
}

/// How a token comes about.
#[derive(Debug)]
pub(super) enum Login {
    OAuth(OAuth),
    Session(Session),
}

/// A token as it was fetched.
#[derive(Debug)]
pub(super) struct Token {
    pub(super) ticket: Ticket,
    /// On the monotonic clock: not used any more from then on.
    pub(super) renew_at: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Fetched {
    login: Login,
    clock: Arc<dyn Clock>,
    memory: Arc<dyn Memory>,
    secrets: Secrets,
    /// Of the credentials that it is fetched with.
    print: Hash,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    token: Option<Token>,
    fetched: u64,
    strikes: u32,
}

impl Ticket {
    pub(super) fn header(mut self, name: HeaderName, value: &str, what: &str) -> Result<Ticket, Error> {
        let mut value = HeaderValue::from_str(value).map_err(|_| {
            let said = format!("{what} has a character that no header can carry");
            Error::new(Fault::Denied, "reading the credentials", said).hint("copy it again from where it was given out")
        })?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(self)
    }

    pub(super) fn bearer(scheme: &str, token: &SecretString) -> Result<Ticket, Error> {
        let value = format!("{scheme} {}", token.expose_secret().trim());
        Ticket::default().header(AUTHORIZATION, value.trim(), "the token")
    }

    pub(super) fn query(mut self, name: &str, value: &SecretString) -> Ticket {
        self.query = Some((name.to_owned(), value.clone()));
        self
    }

    pub(super) fn cookie(self, cookies: &str) -> Result<Ticket, Error> {
        self.header(COOKIE, cookies, "the session's cookie")
    }

    pub(super) fn stamp(&self, url: &mut Url, headers: &mut HeaderMap) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if let Some((name, value)) = &self.query {
            url.query_pairs_mut().append_pair(name, value.expose_secret());
        }
    }

    /// The same for a person's eyes.
    pub(super) fn stamp_masked(&self, url: &mut Url, headers: &mut Vec<(String, String)>) {
        headers.extend(self.headers.keys().map(|name| (name.to_string(), "***".to_owned())));
        if let Some((name, _)) = &self.query {
            url.query_pairs_mut().append_pair(name, "***");
        }
    }
}

impl Auth {
    pub(super) fn fetched(
        login: Login,
        print: Hash,
        secrets: &Secrets,
        clock: &Arc<dyn Clock>,
        memory: &Arc<dyn Memory>,
    ) -> Auth {
        let state = State {
            strikes: strikes(memory.as_ref(), print, clock.now()),
            ..State::default()
        };
        Auth::Fetched(Box::new(Fetched {
            login,
            clock: clock.clone(),
            memory: memory.clone(),
            secrets: secrets.clone(),
            print,
            state: Mutex::new(state),
        }))
    }

    pub(super) async fn ticket(&self) -> Result<Ticket, Error> {
        match self {
            Auth::Fixed(ticket) => Ok(ticket.clone()),
            Auth::Fetched(fetched) => fetched.ticket().await,
            Auth::Absent => Err(Error::new(
                Fault::Denied,
                "reading the credentials",
                "they are not set in this shell",
            )),
        }
    }

    /// What a ticket looks like, without asking anybody.
    pub(super) fn outline(&self) -> Ticket {
        match self {
            Auth::Fixed(ticket) => ticket.clone(),
            Auth::Fetched(fetched) => match &fetched.login {
                Login::OAuth(_) => Ticket::bearer("Bearer", &"***".into()).unwrap_or_default(),
                Login::Session(session) => session.outline(),
            },
            Auth::Absent => Ticket::default(),
        }
    }

    /// The ticket was refused. Whether another can be had: not of what stands in the config.
    pub(super) async fn refused(&self, ticket: &Ticket) -> bool {
        match self {
            Auth::Fixed(_) | Auth::Absent => false,
            Auth::Fetched(fetched) => fetched.refused(ticket).await,
        }
    }

    /// The ticket was accepted.
    pub(super) async fn accepted(&self) {
        if let Auth::Fetched(fetched) = self {
            fetched.accepted().await;
        }
    }

    /// A new ticket was refused as the one before.
    pub(super) async fn refused_again(&self) {
        if let Auth::Fetched(fetched) = self {
            let mut state = fetched.state.lock().await;
            state.token = None;
            fetched.strike(&mut state).await;
        }
    }

    /// A person wants to know whether it works now.
    pub(super) async fn forgive(&self) {
        if let Auth::Fetched(fetched) = self {
            fetched.state.lock().await.strikes = 0;
        }
    }

    pub(super) fn session(&self) -> Option<&Session> {
        match self {
            Auth::Fetched(fetched) => match &fetched.login {
                Login::Session(session) => Some(session),
                Login::OAuth(_) => None,
            },
            Auth::Fixed(_) | Auth::Absent => None,
        }
    }
}

impl Fetched {
    /// The token in force, fetched by whoever comes first; the others wait for it.
    async fn ticket(&self) -> Result<Ticket, Error> {
        let mut state = self.state.lock().await;
        let now = self.clock.monotonic();
        if let Some(token) = &state.token
            && token.renew_at.is_none_or(|at| now < at)
        {
            return Ok(token.ticket.clone());
        }
        if state.strikes >= STRIKES_MAX {
            return Err(self.given_up());
        }
        let fresh = state.fetched == 0;
        let fetched = match &self.login {
            Login::OAuth(oauth) => oauth.fetch(fresh, &self.secrets).await,
            Login::Session(session) => session.fetch(&self.secrets).await,
        };
        match fetched {
            Ok(mut token) => {
                state.fetched += 1;
                token.ticket.number = state.fetched;
                let ticket = token.ticket.clone();
                state.token = Some(token);
                Ok(ticket)
            }
            Err(error) => {
                if error.fault == Fault::Denied {
                    self.strike(&mut state).await;
                }
                Err(error)
            }
        }
    }

    async fn refused(&self, ticket: &Ticket) -> bool {
        let mut state = self.state.lock().await;
        // Another caller may have replaced it already.
        if state
            .token
            .as_ref()
            .is_some_and(|token| token.ticket.number == ticket.number)
        {
            state.token = None;
        }
        true
    }

    async fn accepted(&self) {
        let mut state = self.state.lock().await;
        if state.strikes > 0 {
            state.strikes = 0;
            self.memory.put(STRIKES, String::new()).await;
        }
    }

    async fn strike(&self, state: &mut State) {
        state.strikes = state.strikes.saturating_add(1);
        let told = format!("{} {} {}", self.print.hex(), state.strikes, self.clock.now());
        self.memory.put(STRIKES, told).await;
    }

    fn given_up(&self) -> Error {
        let said = format!(
            "the credentials were refused {STRIKES_MAX} times in a row, so nothing is asked with them any more"
        );
        Error::new(Fault::Denied, "signing in", said).hint(match &self.login {
            Login::OAuth(oauth) => oauth.log_in_again(),
            Login::Session(_) => "correct the login in the config, or what it is allowed to do at the other side; `check \
                                  --connect` tells whether it is accepted. Without a change, a start an hour later tries \
                                  it once more"
                .to_owned(),
        })
    }
}

/// What an earlier process counted, of the same credentials.
fn strikes(memory: &dyn Memory, print: Hash, now: Stamp) -> u32 {
    let told = memory.get(STRIKES).unwrap_or_default();
    let mut parts = told.split(' ');
    if parts.next() != Some(print.hex().as_str()) {
        return 0;
    }
    let mut number = || parts.next().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0);
    let (count, at) = (u32::try_from(number()).unwrap_or(0), number());
    let long_ago = u128::try_from(now.saturating_sub(at)).is_ok_and(|passed| passed >= FORGIVEN.as_millis());
    if long_ago { count.min(STRIKES_MAX - 1) } else { count }
}
