//! Calls to the other side: credentials on, one new token where one is refused, and every failed call with what
//! was sent and answered, without a secret in it. The host is the one of the config, whatever an answer says.

use std::fmt;
use std::sync::Arc;

use contract::{Error, Fault, Malformed, Use, Value};
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};

use super::auth::Auth;
use super::request::{Prepared, Sent, cut};
use crate::http::{Answer, Peer, Request, Tries};

/// As much of an answer is looked at to show its beginning: more than is shown, so that no secret is cut in two.
const SHOWN_OF: usize = 128 << 10;

pub(super) struct Api {
    pub(super) peer: Arc<Peer>,
    pub(super) base: Url,
    /// Of every request, as the config has them.
    pub(super) headers: Vec<(String, String)>,
    pub(super) params: Vec<(String, String)>,
    pub(super) auth: Auth,
}

/// What may hold a secret is not shown.
impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base).finish_non_exhaustive()
    }
}

/// How a call is made.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    pub(super) doing: String,
    pub(super) purpose: Use,
    /// What it changes is not changed twice: it is sent once. `None`; else it only looks, and may be repeated.
    pub(super) looks: Option<Tries>,
    pub(super) judged: Vec<u16>,
}

impl Api {
    /// With what every request has, where it says nothing else. A next page's address has its parameters already.
    pub(super) fn complete(&self, mut prepared: Prepared) -> Prepared {
        let given: Vec<String> = prepared.url.query_pairs().map(|(name, _)| name.into_owned()).collect();
        let params = self.params.iter().filter(|(name, _)| !given.contains(name));
        super::request::add_params(&mut prepared.url, &params.cloned().collect::<Vec<_>>());
        let mut headers = self.headers.clone();
        headers.retain(|(name, _)| !prepared.headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)));
        headers.append(&mut prepared.headers);
        if let Some(body) = &prepared.body
            && !headers
                .iter()
                .any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.push(("Content-Type".to_owned(), body.kind.to_owned()));
        }
        Prepared { headers, ..prepared }
    }

    /// Makes the call and gives what `parse` makes of its answer. `parse` may be asked several times.
    pub(super) async fn call<T>(
        &self,
        prepared: Prepared,
        manner: &Manner,
        parse: impl Fn(&Answer) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let prepared = self.complete(prepared);
        let mut renewed = false;
        loop {
            let ticket = self.auth.ticket().await.map_err(|error| not_reached(error, manner))?;
            let mut request = self.request(&prepared, manner)?;
            ticket.stamp(&mut request.url, &mut request.headers);
            let taken = |answer: Answer| match self.is_refused(&answer) {
                true => Ok(Err(self.denied(&answer, manner))),
                false => parse(&answer)
                    .map(Ok)
                    .map_err(|error| self.with_answer(error, &prepared, &answer)),
            };
            let result = match manner.looks {
                Some(tries) => self.peer.call(&request, tries, taken).await,
                None => self.peer.once(&request, taken).await,
            };
            match result {
                Ok(Ok(value)) => {
                    self.auth.accepted().await;
                    return Ok(value);
                }
                Ok(Err(denied)) if renewed => {
                    self.auth.refused_again().await;
                    return Err(denied);
                }
                Ok(Err(_)) => {
                    self.auth.refused(&ticket).await;
                    renewed = true;
                }
                Err(error) => return Err(self.with_request(error, &prepared)),
            }
        }
    }

    /// Whether the token is what is refused, and another can be had.
    fn is_refused(&self, answer: &Answer) -> bool {
        let status = answer.status.as_u16();
        match (&self.auth, self.auth.session()) {
            (Auth::Fetched(_), None) => status == 401,
            (_, Some(session)) => {
                let value = answer
                    .text()
                    .and_then(|text| Value::parse(text).ok())
                    .unwrap_or_default();
                session.is_over(status, &value)
            }
            _ => false,
        }
    }

    fn denied(&self, answer: &Answer, manner: &Manner) -> Error {
        let said = format!("it answered {}, with a new token as well", answer.tell());
        Error::new(Fault::Denied, &manner.doing, said)
            .status(answer.status.as_u16())
            .hint("allow the user or the app of these credentials to do this, or correct what stands under auth")
    }

    fn request(&self, prepared: &Prepared, manner: &Manner) -> Result<Request, Error> {
        let mut headers = HeaderMap::new();
        for (name, value) in &prepared.headers {
            let pair = HeaderName::from_bytes(name.as_bytes())
                .ok()
                .zip(HeaderValue::from_str(value).ok());
            let Some((header, value)) = pair else {
                let said = format!("the header {name} would hold a character that no header can carry");
                return Err(Error::new(Fault::Rejected, &manner.doing, said));
            };
            headers.insert(header, value);
        }
        let mut judged = manner.judged.clone();
        if let Some(session) = self.auth.session() {
            judged.extend(session.judged());
        }
        Ok(Request {
            method: prepared.method.clone(),
            url: prepared.url.clone(),
            headers,
            body: prepared.body.as_ref().map(|body| body.text.clone().into_bytes()),
            judged,
            purpose: manner.purpose,
            doing: manner.doing.clone(),
        })
    }

    fn with_answer(&self, error: Error, prepared: &Prepared, answer: &Answer) -> Error {
        let mut told = format!("HTTP {}\n", answer.status.as_u16());
        for name in ["content-type", "retry-after", "location"] {
            if let Some(value) = answer.headers.get(name).and_then(|value| value.to_str().ok()) {
                told.push_str(&format!("{name}: {}\n", answer.mask(value)));
            }
        }
        told.push('\n');
        let body = &answer.body[..answer.body.len().min(SHOWN_OF)];
        told.push_str(&cut(&answer.mask(&String::from_utf8_lossy(body))));
        error.exchange(self.told(prepared), told)
    }

    fn told(&self, prepared: &Prepared) -> String {
        self.peer.secrets().mask(&self.outline(prepared).tell())
    }

    fn with_request(&self, error: Error, prepared: &Prepared) -> Error {
        match error.exchange {
            Some(_) => error,
            None => error.exchange(self.told(prepared), String::new()),
        }
    }

    /// The request with its credentials, for a person: every secret is masked.
    pub(super) fn outline(&self, prepared: &Prepared) -> Prepared {
        let secrets = self.peer.secrets();
        let mut shown = prepared.clone();
        self.auth.outline().stamp_masked(&mut shown.url, &mut shown.headers);
        for (_, value) in &mut shown.headers {
            *value = secrets.mask(value);
        }
        shown.body = shown.body.map(|body| Sent {
            text: secrets.mask(&body.text),
            ..body
        });
        shown
    }

    /// The request as `curl` would send it, every secret masked.
    pub(super) fn curl(&self, prepared: Prepared) -> String {
        let shown = self.outline(&self.complete(prepared));
        self.peer.secrets().mask(&shown.curl())
    }

    /// An address that an answer gave, if it is one of the same host, by the same way.
    pub(super) fn pinned(&self, from: &Url, told: &str) -> Result<Url, Malformed> {
        let refuse = |why: String| Err(Malformed(why));
        let url = match from.join(told) {
            Ok(url) => url,
            Err(error) => return refuse(format!("the next page's address is none ({error})")),
        };
        let same = url.scheme() == self.base.scheme()
            && url.host_str() == self.base.host_str()
            && url.port_or_known_default() == self.base.port_or_known_default();
        if !same || !url.username().is_empty() || url.password().is_some() {
            let elsewhere = url.host_str().unwrap_or("nowhere").to_owned();
            let own = self.base.host_str().unwrap_or_default();
            return refuse(format!(
                "the next page is said to be at {elsewhere}, and only {own} is asked"
            ));
        }
        Ok(url)
    }
}

/// Whatever became of the token's own request, the one that it was for was not sent.
fn not_reached(mut error: Error, manner: &Manner) -> Error {
    if matches!(error.fault, Fault::Transient { .. }) {
        error.fault = Fault::Transient { reached: false };
    }
    error.doing = format!("{} ({})", manner.doing, error.doing);
    error
}
