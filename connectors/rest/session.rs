//! Signing in as a person does: a form or JSON is posted, and a cookie or a token of the answer goes along with
//! every request until it ends.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Error, Fault, Hash, Use, Value};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SET_COOKIE};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use super::auth::{Ticket, Token};
use super::jq::{Jq, text_of};
use super::request::form;
use crate::http::{Answer, Peer, Request, Secrets, Tries};

const DOING: &str = "signing in";

#[derive(Clone)]
pub(super) struct SessionSettings {
    pub(super) url: Url,
    pub(super) method: Method,
    /// As it is sent; a form's fields, or JSON.
    pub(super) body: Value,
    pub(super) is_form: bool,
    pub(super) headers: HeaderMap,
    /// jq over the answer; without it the cookies are what is kept.
    pub(super) token: Option<Arc<Jq>>,
    pub(super) success: Option<Arc<Jq>>,
    pub(super) carry: Carry,
    pub(super) life: Option<Duration>,
    /// Statuses that say that the session has ended.
    pub(super) expired: Vec<u16>,
    /// The same said in an answer that looks good otherwise; jq over it.
    pub(super) expired_when: Option<Arc<Jq>>,
    /// What of it came from outside the file.
    pub(super) secrets: Vec<SecretString>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSettings")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// How a token goes along.
#[derive(Clone, Debug)]
pub(super) enum Carry {
    Header(HeaderName, String),
    Query(String),
    Cookie(String),
}

#[derive(Debug)]
pub(super) struct Session {
    settings: SessionSettings,
    peer: Arc<Peer>,
    clock: Arc<dyn Clock>,
}

impl SessionSettings {
    pub(super) fn print(&self) -> Hash {
        Hash::of(format!("{} {}", self.url, self.body.to_json()).as_bytes())
    }
}

impl Session {
    pub(super) fn new(settings: SessionSettings, peer: Arc<Peer>, clock: &Arc<dyn Clock>) -> Session {
        Session {
            settings,
            peer,
            clock: clock.clone(),
        }
    }

    pub(super) async fn fetch(&self, secrets: &Secrets) -> Result<Token, Error> {
        let settings = &self.settings;
        let (body, kind) = match (&settings.body, settings.is_form) {
            (Value::Map(fields), true) => {
                let fields = fields
                    .iter()
                    .map(|(name, value)| (name.to_owned(), text_of(value.clone())));
                (form(&fields.collect::<Vec<_>>()), "application/x-www-form-urlencoded")
            }
            (body, _) => (body.to_json(), "application/json"),
        };
        let mut headers = settings.headers.clone();
        headers
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        let request = Request {
            method: settings.method.clone(),
            url: settings.url.clone(),
            headers,
            body: Some(body.into_bytes()),
            judged: Vec::new(),
            purpose: Use::Ring,
            doing: DOING.to_owned(),
        };
        self.peer
            .call(&request, Tries::Few(2), |answer| self.token(&answer, secrets))
            .await
    }

    fn token(&self, answer: &Answer, secrets: &Secrets) -> Result<Token, Error> {
        let status = answer.status.as_u16();
        let refused = |why: &str| {
            Error::new(Fault::Denied, DOING, format!("{why}: it answered {}", answer.tell()))
                .status(status)
                .hint("check the login under auth: its path, its fields, the user's name and password")
        };
        // A browser would be sent on to its first page now.
        let sent_on = answer.status.is_redirection() && self.settings.token.is_none();
        if !answer.status.is_success() && !sent_on {
            return Err(refused("the login is refused"));
        }
        let value = answer
            .text()
            .and_then(|text| Value::parse(text).ok())
            .unwrap_or_default();
        let malformed = |error: contract::Malformed| Error::new(Fault::Denied, DOING, error.0).status(status);
        if let Some(success) = &self.settings.success
            && !success.holds(&value, &Value::Null).map_err(malformed)?
        {
            return Err(refused("the login is refused"));
        }
        let ticket = match &self.settings.token {
            Some(token) => {
                let text = token.text(&value, &Value::Null).map_err(malformed)?;
                let text = text.filter(|text| !text.is_empty());
                let token = SecretString::from(text.ok_or_else(|| refused("the answer holds no token"))?);
                secrets.learn(token.clone());
                self.carry(&token)?
            }
            None => {
                let cookies = cookies(answer, secrets);
                if cookies.is_empty() {
                    return Err(refused("the login gave no cookie"));
                }
                Ticket::default().cookie(&cookies)?
            }
        };
        Ok(Token {
            ticket,
            renew_at: self.settings.life.map(|life| self.clock.monotonic() + life),
        })
    }

    fn carry(&self, token: &SecretString) -> Result<Ticket, Error> {
        let plain = Ticket::default();
        match &self.settings.carry {
            Carry::Header(name, prefix) => plain.header(
                name.clone(),
                &format!("{prefix}{}", token.expose_secret()),
                "the session's token",
            ),
            Carry::Query(name) => Ok(plain.query(name, token)),
            Carry::Cookie(name) => plain.cookie(&format!("{name}={}", token.expose_secret())),
        }
    }

    pub(super) fn outline(&self) -> Ticket {
        let told = match &self.settings.token {
            Some(_) => self.carry(&"***".into()),
            None => Ticket::default().cookie("***"),
        };
        told.unwrap_or_default()
    }

    /// Whether an answer says that the session has ended.
    pub(super) fn is_over(&self, status: u16, body: &Value) -> bool {
        let told = |jq: &Arc<Jq>| jq.holds(body, &Value::Null).unwrap_or(false);
        self.settings.expired.contains(&status) || self.settings.expired_when.as_ref().is_some_and(told)
    }

    pub(super) fn judged(&self) -> &[u16] {
        &self.settings.expired
    }
}

fn cookies(answer: &Answer, secrets: &Secrets) -> String {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for header in answer.headers.get_all(SET_COOKIE) {
        let Some(pair) = header.to_str().ok().and_then(|text| text.split(';').next()) else {
            continue;
        };
        let Some((name, value)) = pair.trim().split_once('=') else {
            continue;
        };
        secrets.learn(value.into());
        pairs.retain(|(known, _)| known != name);
        pairs.push((name.to_owned(), value.to_owned()));
    }
    let told: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
    told.join("; ")
}
