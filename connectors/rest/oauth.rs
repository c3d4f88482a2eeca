//! OAuth2 as RFC 6749 has it: client credentials, and the refresh of a token that a person got once. A refresh
//! token that was given anew is durable before anything is done with it, since the old one may work only once.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::{Clock, Error, Fault, Fields, Hash, Memory, Use, Value};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use super::auth::{Ticket, Token};
use super::request::form;
use super::seal;
use crate::http::{Answer, Peer, Request, Secrets, Tries};

/// A token is replaced this long before its end, or a tenth of its life where that is less.
const MARGIN: Duration = Duration::from_secs(30);
/// Of a token whose life is not told.
const LIFE: Duration = Duration::from_secs(3600);
const LIFE_MAX: Duration = Duration::from_secs(30 * 86_400);
/// What the memory holds: the tokens in force, sealed, and which of them is being used up.
const TOKENS: &str = "oauth.tokens";
const RENEWING: &str = "oauth.renewing";

#[derive(Clone)]
pub(super) struct OAuthSettings {
    pub(super) token_url: Url,
    pub(super) client_id: SecretString,
    pub(super) client_secret: Option<SecretString>,
    pub(super) scope: Option<String>,
    /// Of the refresh grant; without it the client's own credentials are what a token is given for.
    pub(super) refresh_token: Option<SecretString>,
    pub(super) authorize_url: Option<String>,
    /// Whether the client's credentials stand in a header instead of in the body.
    pub(super) in_header: bool,
    /// In front of the token: `Bearer`.
    pub(super) scheme: String,
    pub(super) params: Vec<(String, String)>,
    /// What of these came from outside the file.
    pub(super) more: Vec<SecretString>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for OAuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthSettings")
            .field("token_url", &self.token_url)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct OAuth {
    settings: OAuthSettings,
    peer: Arc<Peer>,
    clock: Arc<dyn Clock>,
    memory: Arc<dyn Memory>,
}

/// What a token endpoint gave.
struct Granted {
    access: SecretString,
    life: Duration,
    refresh: Option<SecretString>,
}

/// What is in force, as it is kept.
struct Kept {
    access: Option<(SecretString, i64)>,
    refresh: SecretString,
}

impl OAuthSettings {
    /// Changes when the credentials do.
    pub(super) fn print(&self) -> Hash {
        let mut all = String::new();
        let secrets = [
            Some(&self.client_id),
            self.client_secret.as_ref(),
            self.refresh_token.as_ref(),
        ];
        for secret in secrets.into_iter().flatten() {
            all.push_str(secret.expose_secret());
            all.push('\0');
        }
        all.push_str(self.token_url.as_str());
        Hash::of(all.as_bytes())
    }

    pub(super) fn secrets(&self) -> Vec<SecretString> {
        let secrets = [
            Some(self.client_id.clone()),
            self.client_secret.clone(),
            self.refresh_token.clone(),
            self.client_secret
                .as_ref()
                .map(|secret| basic(&self.client_id, secret).into()),
        ];
        secrets.into_iter().flatten().chain(self.more.iter().cloned()).collect()
    }
}

impl OAuth {
    pub(super) fn new(
        settings: OAuthSettings,
        peer: Arc<Peer>,
        clock: &Arc<dyn Clock>,
        memory: &Arc<dyn Memory>,
    ) -> OAuth {
        OAuth {
            settings,
            peer,
            clock: clock.clone(),
            memory: memory.clone(),
        }
    }

    /// `fresh`: nothing was fetched by this process yet, so what an earlier one left may still be good.
    pub(super) async fn fetch(&self, fresh: bool, secrets: &Secrets) -> Result<Token, Error> {
        let Some(given) = &self.settings.refresh_token else {
            let form = [("grant_type", "client_credentials")];
            let granted = self.ask(&form, false).await?;
            return self.token(&granted.access, granted.life, secrets);
        };
        let kept = self.kept();
        if let Some(Kept {
            access: Some((access, until)),
            ..
        }) = &kept
            && fresh
        {
            let left = until.saturating_sub(self.clock.now());
            let left = Duration::from_millis(u64::try_from(left).unwrap_or(0));
            if left > margin(left) + MARGIN {
                return self.token(access, left.min(LIFE_MAX), secrets);
            }
        }
        let current = kept.map_or_else(|| given.clone(), |kept| kept.refresh);
        self.renew(&current, secrets).await
    }

    async fn renew(&self, current: &SecretString, secrets: &Secrets) -> Result<Token, Error> {
        let mark = Hash::of(current.expose_secret().as_bytes()).hex();
        let before = self.memory.get(RENEWING);
        self.memory.put(RENEWING, mark.clone()).await;
        if self.memory.get(RENEWING).as_ref() != Some(&mark) {
            // This run keeps nothing, and the token may be one that works only once.
            let said = "a new token is needed, and this command keeps nothing, so it does not use the refresh token up";
            return Err(Error::new(Fault::Denied, DOING, said)
                .hint("let the daemon or `--once` renew it; after that this command uses what they got"));
        }
        secrets.learn(current.clone());
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", current.expose_secret()),
        ];
        let granted = match self.ask(&form, true).await {
            Ok(granted) => granted,
            Err(error) if error.fault == Fault::Denied => {
                let lost = before.as_ref() == Some(&mark);
                return Err(self.without_refresh(error, lost));
            }
            Err(error) => return Err(error),
        };
        let refresh = granted.refresh.as_ref().unwrap_or(current);
        self.keep(&granted, refresh).await?;
        self.token(&granted.access, granted.life, secrets)
    }

    /// Durable when it returns, before anything is done with the new token.
    async fn keep(&self, granted: &Granted, refresh: &SecretString) -> Result<(), Error> {
        let until = self
            .clock
            .now()
            .saturating_add(i64::try_from(granted.life.as_millis()).unwrap_or(i64::MAX));
        let mut fields = Fields::with_capacity(4);
        fields.push("of", Value::text(self.settings.print().hex()));
        fields.push("refresh", Value::text(refresh.expose_secret()));
        fields.push("access", Value::text(granted.access.expose_secret()));
        fields.push("until", Value::from(until));
        let sealed = seal::seal(self.sealing(), &Value::Map(fields).to_json());
        let sealed = sealed.ok_or_else(|| Error::new(Fault::Transient { reached: false }, DOING, "no randomness"))?;
        self.memory.put(TOKENS, sealed).await;
        self.memory.put(RENEWING, String::new()).await;
        Ok(())
    }

    /// What was kept last, of the same credentials.
    fn kept(&self) -> Option<Kept> {
        let text = seal::open(self.sealing(), &self.memory.get(TOKENS)?)?;
        let value = Value::parse(&text).ok()?;
        let field = |name| value.get(name).and_then(Value::as_text);
        if field("of")? != self.settings.print().hex() {
            return None;
        }
        let until = match value.get("until") {
            Some(Value::Number(until)) => until.as_str().parse().ok(),
            _ => None,
        };
        Some(Kept {
            access: field("access").map(SecretString::from).zip(until),
            refresh: field("refresh")?.into(),
        })
    }

    fn sealing(&self) -> &SecretString {
        let own = self.settings.client_secret.as_ref();
        own.or(self.settings.refresh_token.as_ref())
            .unwrap_or(&self.settings.client_id)
    }

    fn token(&self, access: &SecretString, life: Duration, secrets: &Secrets) -> Result<Token, Error> {
        secrets.learn(access.clone());
        Ok(Token {
            ticket: Ticket::bearer(&self.settings.scheme, access)?,
            renew_at: Some(self.clock.monotonic() + life.saturating_sub(margin(life))),
        })
    }

    /// `single`: what is given may work only once, so it is sent once.
    async fn ask(&self, grant: &[(&str, &str)], single: bool) -> Result<Granted, Error> {
        let settings = &self.settings;
        let mut params: Vec<(String, String)> = grant.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        params.extend(settings.scope.iter().map(|scope| ("scope".to_owned(), scope.clone())));
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/x-www-form-urlencoded"),
        );
        match &settings.client_secret {
            Some(secret) if settings.in_header => {
                let basic = format!("Basic {}", basic(&settings.client_id, secret));
                Ticket::default()
                    .header(AUTHORIZATION, &basic, "the client's id or secret")?
                    .stamp(&mut settings.token_url.clone(), &mut headers);
            }
            secret => {
                params.push(("client_id".to_owned(), settings.client_id.expose_secret().to_owned()));
                params.extend(
                    secret
                        .iter()
                        .map(|secret| ("client_secret".to_owned(), secret.expose_secret().to_owned())),
                );
            }
        }
        params.extend(settings.params.iter().cloned());
        let request = Request {
            method: Method::POST,
            url: settings.token_url.clone(),
            headers,
            body: Some(form(&params).into_bytes()),
            judged: Vec::new(),
            purpose: Use::Ring,
            doing: DOING.to_owned(),
        };
        match single {
            true => self.peer.once(&request, granted).await,
            false => self.peer.call(&request, Tries::Few(3), granted).await,
        }
    }

    /// The refresh token is refused: what a person has to do now, word for word.
    fn without_refresh(&self, error: Error, lost: bool) -> Error {
        let said = match lost {
            true => format!(
                "the refresh token is refused; an earlier run was cut off while it renewed the token, so the new one \
                 never arrived. {}",
                error.answer
            ),
            false => format!("the refresh token is refused. {}", error.answer),
        };
        let mut told = Error::new(Fault::Denied, DOING, said).hint(self.log_in_again());
        told.status = error.status;
        told
    }

    pub(super) fn log_in_again(&self) -> String {
        if self.settings.refresh_token.is_none() {
            return "check auth.client_id, auth.client_secret, auth.scope and auth.token_url. Without a change, a start an hour later tries them once more"
                .to_owned();
        }
        let page = match &self.settings.authorize_url {
            Some(url) => format!(
                "open {url}?response_type=code&access_type=offline&client_id=CLIENT_ID with the redirect address of the app"
            ),
            None => "open the other side's page for authorizing the app".to_owned(),
        };
        format!(
            "log in again: {page}, allow it, and trade the code it gives for tokens with: curl -d \
             grant_type=authorization_code -d code=CODE -d client_id=CLIENT_ID -d client_secret=CLIENT_SECRET -d \
             redirect_uri=REDIRECT_URI {} . Put the refresh_token of the answer where auth.refresh_token is taken from, \
             then reload the daemon",
            self.settings.token_url
        )
    }
}

const DOING: &str = "getting an access token";

fn basic(id: &SecretString, secret: &SecretString) -> String {
    STANDARD.encode(format!("{}:{}", id.expose_secret(), secret.expose_secret()))
}

fn margin(life: Duration) -> Duration {
    MARGIN.min(life / 10)
}

/// The answer of a token endpoint. Some say 200 and refuse all the same.
fn granted(answer: Answer) -> Result<Granted, Error> {
    let status = answer.status.as_u16();
    let value = answer
        .text()
        .and_then(|text| Value::parse(text).ok())
        .unwrap_or_default();
    let text = |name| value.get(name).and_then(Value::as_text);
    let refused = |fault, said: String| Error::new(fault, DOING, said).status(status);
    if let (true, Some(access)) = (answer.status.is_success(), text("access_token")) {
        let life = match value.get("expires_in") {
            Some(Value::Number(seconds)) => seconds.as_str().split('.').next().and_then(|whole| whole.parse().ok()),
            Some(Value::Text(seconds)) => seconds.trim().parse().ok(),
            _ => None,
        };
        return Ok(Granted {
            access: access.into(),
            life: life.map_or(LIFE, Duration::from_secs).min(LIFE_MAX),
            refresh: text("refresh_token")
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
        });
    }
    let said = match text("error") {
        Some(error) => {
            let more = text("error_description").unwrap_or_default();
            let more = answer.mask(more);
            format!("the token address answered {status}: {} {more}", answer.mask(error))
        }
        None if answer.status.is_success() => format!("the token address answered {status} without an access_token"),
        None => format!("the token address answered {}", answer.tell()),
    };
    let hint = "check auth.client_id, auth.client_secret, auth.scope and auth.token_url";
    match status {
        408 | 425 => Err(refused(Fault::Transient { reached: false }, said)),
        _ => Err(refused(Fault::Denied, said.trim_end().to_owned()).hint(hint)),
    }
}
