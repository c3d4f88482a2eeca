//! Who may ask: fixed credentials, tokens with an end, sessions, and refresh tokens that are good for one use.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::answer::Answer;
use crate::erp::document::Document;
use crate::erp::fault::failure;
use crate::erp::options::{Credentials, Way};
use crate::http::{self, Incoming};

/// Credentials handed out so far and what became of them.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) credentials: Credentials,
    /// When each ends, ms since 1970.
    tokens: BTreeMap<String, i64>,
    sessions: BTreeMap<String, i64>,
    /// The only refresh token that is good at the moment.
    refresh: String,
    pub(crate) counts: AccessCounts,
}

/// What clients did to get in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessCounts {
    /// Access tokens given for client credentials.
    pub granted: u64,
    /// Access tokens given for a refresh token.
    pub refreshed: u64,
    /// Refresh tokens that were not, or no longer, good.
    pub bad_refreshes: u64,
    pub logins: u64,
    /// Requests answered 401.
    pub refused: u64,
}

impl Access {
    pub(crate) fn new(credentials: Credentials) -> Access {
        Access {
            refresh: credentials.refresh_token.clone(),
            credentials,
            tokens: BTreeMap::new(),
            sessions: BTreeMap::new(),
            counts: AccessCounts::default(),
        }
    }

    /// Every token and session handed out so far is void.
    pub(crate) fn end_all(&mut self) {
        self.tokens.clear();
        self.sessions.clear();
    }

    pub(crate) fn refresh_token(&self) -> &str {
        &self.refresh
    }

    /// How the request proved who it is from, or the refusal.
    pub(crate) fn check(&mut self, incoming: &Incoming, ways: &[Way], now_ms: i64) -> Result<Way, Answer> {
        let shown = self.shown(incoming, now_ms);
        match shown {
            Some(way) if ways.contains(&way) => Ok(way),
            _ if ways.contains(&Way::None) => Ok(Way::None),
            _ => {
                self.counts.refused += 1;
                let mut answer = Answer::json(401, failure("unauthorized", "Missing, wrong or ended credentials"));
                answer.header("WWW-Authenticate", "Bearer realm=\"erp\", error=\"invalid_token\"");
                Err(answer)
            }
        }
    }

    fn shown(&self, incoming: &Incoming, now_ms: i64) -> Option<Way> {
        let good = |ends: Option<&i64>| ends.is_some_and(|ends| *ends > now_ms);
        let key = incoming.header("x-api-key").or_else(|| incoming.query_value("api_key"));
        if key == Some(self.credentials.api_key.as_str()) {
            return Some(Way::ApiKey);
        }
        let cookie = incoming.header("cookie").and_then(|cookies| {
            let mut cookies = cookies.split(';').map(str::trim);
            cookies.find_map(|cookie| cookie.strip_prefix("session="))
        });
        let session = cookie.or_else(|| incoming.header("x-session-token"));
        if session.is_some_and(|session| good(self.sessions.get(session))) {
            return Some(Way::Session);
        }
        let (kind, value) = incoming.header("authorization")?.split_once(' ')?;
        let value = value.trim();
        if kind.eq_ignore_ascii_case("basic") {
            let pair = format!("{}:{}", self.credentials.user, self.credentials.password);
            return (value == STANDARD.encode(pair)).then_some(Way::Basic);
        }
        if value == self.credentials.token {
            return Some(Way::Bearer);
        }
        if good(self.sessions.get(value)) {
            return Some(Way::Session);
        }
        good(self.tokens.get(value)).then_some(Way::OAuth)
    }

    /// `POST /token`, as RFC 6749 has it.
    pub(crate) fn token(&mut self, incoming: &Incoming, now_ms: i64) -> Answer {
        let fields = http::form(&String::from_utf8_lossy(&incoming.body));
        let field = |name: &str| fields.iter().find(|pair| pair.0 == name).map(|pair| pair.1.as_str());
        let pair = format!("{}:{}", self.credentials.client_id, self.credentials.client_secret);
        let by_header = incoming.header("authorization") == Some(&format!("Basic {}", STANDARD.encode(pair)));
        let by_body = field("client_id") == Some(&self.credentials.client_id)
            && field("client_secret") == Some(&self.credentials.client_secret);
        if !by_header && !by_body {
            return denied(401, "invalid_client", "Unknown client or wrong secret");
        }
        match field("grant_type") {
            Some("client_credentials") => {
                self.counts.granted += 1;
                let number = self.counts.granted;
                self.grant(format!("erp-access-c{number}"), None, now_ms)
            }
            Some("refresh_token") if field("refresh_token") == Some(&self.refresh) => {
                self.counts.refreshed += 1;
                let number = self.counts.refreshed;
                self.refresh = format!("erp-refresh-{number}");
                let next = self.refresh.clone();
                self.grant(format!("erp-access-r{number}"), Some(&next), now_ms)
            }
            Some("refresh_token") => {
                self.counts.bad_refreshes += 1;
                denied(400, "invalid_grant", "The refresh token is unknown or was used before")
            }
            _ => denied(400, "unsupported_grant_type", "client_credentials or refresh_token"),
        }
    }

    fn grant(&mut self, token: String, refresh: Option<&str>, now_ms: i64) -> Answer {
        let seconds = self.credentials.life_seconds;
        let mut body = serde_json::json!({"access_token": token, "token_type": "Bearer", "expires_in": seconds});
        if let Some(refresh) = refresh {
            body["refresh_token"] = refresh.into();
        }
        self.tokens
            .insert(token, now_ms.saturating_add(seconds.saturating_mul(1000)));
        Answer::json(200, body.to_string())
    }

    /// `POST /login` with a form or JSON: a cookie, and the same as a token.
    pub(crate) fn login(&mut self, incoming: &Incoming, now_ms: i64) -> Answer {
        let text = String::from_utf8_lossy(&incoming.body);
        let (user, password) = match Document::read(&text) {
            Ok(document) => (document.text("username"), document.text("password")),
            Err(_) => {
                let fields = http::form(&text);
                let field = |name: &str| fields.iter().find(|pair| pair.0 == name).map(|pair| pair.1.clone());
                (field("username"), field("password"))
            }
        };
        let good =
            user.as_deref() == Some(&self.credentials.user) && password.as_deref() == Some(&self.credentials.password);
        if !good {
            return Answer::json(401, failure("login_failed", "Wrong user name or password"));
        }
        self.counts.logins += 1;
        let session = format!("erp-session-{}", self.counts.logins);
        let ends_ms = now_ms.saturating_add(self.credentials.life_seconds.saturating_mul(1000));
        self.sessions.insert(session.clone(), ends_ms);
        let body = serde_json::json!({"success": true, "token": session});
        let mut answer = Answer::json(200, body.to_string());
        answer.header(
            "Set-Cookie",
            &format!("session={session}; Path=/; HttpOnly; SameSite=Lax"),
        );
        answer
    }
}

fn denied(code: u16, error: &str, description: &str) -> Answer {
    let body = serde_json::json!({"error": error, "error_description": description});
    Answer::json(code, body.to_string())
}
