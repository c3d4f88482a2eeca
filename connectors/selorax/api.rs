//! The platform's calls: credentials on, envelope off, every answer judged by its HTTP status first.

use std::sync::Arc;

use contract::{Error, Fault, Key, ParseError, Row, Seams, Stamp, Use, Value};
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use super::list::{self, List};
use super::read;
use super::request::Ready;
use super::resource::Shape;
use super::{Auth, StoreSettings};
use crate::http::{ANSWER_MAX, Answer, Peer, PeerSettings, Probing, Request, Tries};

/// A write that the store puts off so often is given up.
const PUT_OFF_MAX: u32 = 3;

#[derive(Debug)]
pub(super) struct Api {
    peer: Arc<Peer>,
    base: Url,
    headers: HeaderMap,
}

/// The store's profile, as far as we use it.
#[derive(Clone, Debug, Default)]
pub(super) struct Profile {
    pub(super) name: Option<String>,
    pub(super) currency: Option<String>,
}

/// What a list call brought, or that it was too much to take.
#[derive(Debug)]
pub(super) enum Listed {
    Page(List),
    TooLarge,
}

impl Api {
    pub(super) fn new(settings: &StoreSettings, seams: &Seams) -> Result<Arc<Api>, Error> {
        let peer = Peer::new(
            &PeerSettings {
                name: "the store".to_owned(),
                manners: settings.manners,
                secrets: match &settings.auth {
                    Auth::Bearer(token) => vec![token.clone()],
                    Auth::Client { id, secret } => vec![secret.clone(), id.clone()],
                    Auth::Absent => Vec::new(),
                },
                probing: Probing::Eager,
                trusted: Vec::new(),
                answer_max: ANSWER_MAX,
            },
            seams,
        )?;
        Ok(Arc::new(Api {
            peer,
            base: settings.base.clone(),
            headers: credentials(settings)?,
        }))
    }

    pub(super) fn condition(&self) -> String {
        self.peer.condition()
    }

    pub(super) fn requests(&self) -> u64 {
        self.peer.requests()
    }

    pub(super) async fn rest(&self) {
        self.peer.rest().await;
    }

    pub(super) async fn now(&self) -> Stamp {
        self.peer.now().await
    }

    pub(super) async fn store(&self) -> Result<Profile, Error> {
        let request = self.get("store", &[], "reading the store's profile", Use::Feed);
        self.peer
            .call(&request, Tries::Patient, |answer| {
                let (answer, doing) = (judge(answer, &request.doing)?, &request.doing);
                let body = single(&answer, doing)?;
                let text = |name| body.get(name).and_then(Value::as_text).map(str::to_owned);
                Ok(Profile {
                    name: text("name"),
                    currency: text("currency"),
                })
            })
            .await
    }

    pub(super) async fn list(
        &self,
        shape: &Shape,
        params: &[(&str, String)],
        doing: &str,
        purpose: Use,
    ) -> Result<Listed, Error> {
        let request = self.get(shape.path, params, doing, purpose);
        self.peer
            .call(&request, Tries::Patient, |answer| {
                let answer = judge(answer, &request.doing)?;
                if answer.too_large {
                    return Ok(Listed::TooLarge);
                }
                list::parse(text(&answer, &request.doing)?, shape)
                    .map(Listed::Page)
                    .map_err(|error| malformed(&answer, &request.doing, &error))
            })
            .await
    }

    /// One record; `None` for 404.
    pub(super) async fn one(&self, shape: &Shape, key: &Key, doing: &str, purpose: Use) -> Result<Option<Row>, Error> {
        let path = format!("{}/{}", shape.path, key.0);
        self.single(&path, shape, doing, purpose, Some(key)).await
    }

    /// What stands at an address alone; `None` for 404. One that is about another record is no answer.
    pub(super) async fn single(
        &self,
        path: &str,
        shape: &Shape,
        doing: &str,
        purpose: Use,
        key: Option<&Key>,
    ) -> Result<Option<Row>, Error> {
        let request = self.get(path, &[], doing, purpose);
        self.peer
            .call(&request, Tries::Few(2), |answer| {
                if answer.status == reqwest::StatusCode::NOT_FOUND {
                    return Ok(None);
                }
                let answer = judge(answer, &request.doing)?;
                if answer.too_large {
                    let said = "the answer is larger than 32 MiB";
                    return Err(Error::new(Fault::Rejected, &request.doing, said));
                }
                let row = list::single(single_text(&answer, &request.doing)?, shape);
                if key.is_some_and(|key| row.key != *key) && !row.key.0.starts_with('?') {
                    let other = ParseError(format!("it is about {} {} instead", shape.one, row.key.0));
                    return Err(malformed(&answer, &request.doing, &other));
                }
                Ok(Some(row))
            })
            .await
    }

    fn get(&self, path: &str, params: &[(&str, String)], doing: &str, purpose: Use) -> Request {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", url.path()));
        if !params.is_empty() {
            url.query_pairs_mut().extend_pairs(params);
        }
        Request {
            method: Method::GET,
            url,
            headers: self.headers.clone(),
            body: None,
            judged: Vec::new(),
            purpose,
            doing: doing.to_owned(),
        }
    }

    /// A small answer that is no list of records, as a value.
    pub(super) async fn read<T>(
        &self,
        path: &str,
        params: &[(&str, String)],
        doing: &str,
        parse: impl Fn(&Value) -> Result<T, ParseError>,
    ) -> Result<T, Error> {
        let request = self.get(path, params, doing, Use::Feed);
        self.peer
            .call(&request, Tries::Patient, |answer| {
                let answer = judge(answer, doing)?;
                let value = whole(&answer, doing)?;
                parse(&value).map_err(|error| malformed(&answer, doing, &error))
            })
            .await
    }

    /// Asks the store to make something. A request that may have been carried out is never sent again; one that was
    /// put off is. The answer may hold a secret, so no error shows anything of it.
    pub(super) async fn write_once<T>(
        &self,
        path: &str,
        body: &serde_json::Value,
        doing: &str,
        parse: impl Fn(&Value) -> Result<T, ParseError>,
    ) -> Result<T, Error> {
        let mut request = self.get(path, &[], doing, Use::Feed);
        request.method = Method::POST;
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(body.to_string().into_bytes());
        let judged = |answer| {
            let answer = judge(answer, doing)?;
            whole(&answer, doing).and_then(|value| parse(&value).map_err(|error| hidden(doing, &error)))
        };
        let mut put_off = 0;
        loop {
            match self.peer.once(&request, &judged).await {
                // The gate waits out what the store asked for.
                Err(error) if matches!(error.fault, Fault::Throttled { .. }) && put_off < PUT_OFF_MAX => put_off += 1,
                other => return other,
            }
        }
    }
}

impl Api {
    /// Asks the store once to change something. That it answers well says that it was carried out, not that it did
    /// what was meant: that is for a look afterwards to tell.
    pub(super) async fn write(&self, ready: &Ready, doing: &str, purpose: Use) -> Result<(), Error> {
        let request = self.writing(ready, doing, purpose);
        let judged = |answer: Answer| {
            if answer.status == reqwest::StatusCode::NOT_FOUND {
                let said = format!("the store answered {}", answer.tell());
                return Err(Error::new(Fault::Rejected, doing, said).status(404).hint(
                    "it has no such record, or nothing is at this path: check the request in the store's settings",
                ));
            }
            judge(answer, doing).map(|_| ())
        };
        let told = |error: Error| {
            let request = format!("{} {}\n\n{}", ready.method, request.url, ready.body);
            let answer = error.answer.clone();
            error.exchange(self.peer.secrets().mask(&request), answer)
        };
        self.peer.once(&request, judged).await.map_err(told)
    }

    fn writing(&self, ready: &Ready, doing: &str, purpose: Use) -> Request {
        let mut request = self.get(&ready.path, &[], doing, purpose);
        request.method = ready.method.clone();
        let json = HeaderValue::from_static("application/json");
        request.headers.insert(CONTENT_TYPE, json);
        request.body = Some(ready.body.clone().into_bytes());
        request
    }

    /// The request as `curl` would send it, every secret masked.
    pub(super) fn curl(&self, ready: &Ready) -> String {
        let request = self.writing(ready, "", Use::Stock);
        let headers = request.headers.iter().map(|(name, value)| {
            let shown = if value.is_sensitive() {
                None
            } else {
                value.to_str().ok()
            };
            (name.as_str(), shown.unwrap_or("***"))
        });
        let line = crate::http::curl(&request.method, &request.url, headers, Some(&ready.body));
        self.peer.secrets().mask(&line)
    }
}

/// Exactly one of the two ways to sign in. `X-Store-Id` never goes with a Bearer token: other parts of the
/// platform then ask for a dashboard session.
fn credentials(settings: &StoreSettings) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let secret_header = |key: &str, prefix: &str, secret: &SecretString| {
        let mut value = HeaderValue::from_str(&format!("{prefix}{}", secret.expose_secret().trim())).map_err(|_| {
            Error::new(
                Fault::Denied,
                "reading the store's credentials",
                format!("`{key}` has a character no header can carry"),
            )
            .hint("copy it again from the store's app settings")
        })?;
        value.set_sensitive(true);
        Ok::<_, Error>(value)
    };
    match &settings.auth {
        Auth::Bearer(token) => {
            headers.insert(AUTHORIZATION, secret_header("access_token", "Bearer ", token)?);
        }
        Auth::Client { id, secret } => {
            headers.insert(
                HeaderName::from_static("x-client-id"),
                secret_header("client_id", "", id)?,
            );
            headers.insert(
                HeaderName::from_static("x-client-secret"),
                secret_header("client_secret", "", secret)?,
            );
            headers.insert(
                HeaderName::from_static("x-store-id"),
                HeaderValue::from(settings.store_id),
            );
        }
        Auth::Absent => {
            return Err(Error::new(
                Fault::Denied,
                "reading the store's credentials",
                "they are not set in this shell",
            ));
        }
    }
    Ok(headers)
}

/// Passes a 2xx on and turns everything else into the fault it means. Codes only refine the message:
/// the platform names the same situation differently from page to page.
fn judge(answer: Answer, doing: &str) -> Result<Answer, Error> {
    let status = answer.status.as_u16();
    if answer.status.is_success() {
        if answer.headers.contains_key("sunset") {
            let until = answer
                .headers
                .get("sunset")
                .and_then(|value| value.to_str().ok())
                .unwrap_or("?");
            tell_sunset(until);
        }
        return Ok(answer);
    }
    Err(refusal(status, &answer, doing).status(status))
}

fn tell_sunset(until: &str) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        tracing::warn!("the platform says that this version of its API ends on {until}; look for a newer selorax-sync");
    });
}

fn refusal(status: u16, answer: &Answer, doing: &str) -> Error {
    let said = format!("the store answered {}", answer.tell());
    let body = answer
        .text()
        .and_then(|text| Value::parse(text).ok())
        .unwrap_or_default();
    let code = body.get("code").and_then(Value::as_text).unwrap_or("");
    let denied = |hint: &str| Error::new(Fault::Denied, doing, said.clone()).hint(hint);
    match status {
        401 if code == "not_installed" => denied("install the app for this store, or correct store.store_id"),
        401 if code == "session_required" => denied("this address is not the app API; check store.url"),
        401 => denied(
            "the credentials are not accepted: check store.client_id and client_secret, or access_token; nothing is tried until you do",
        ),
        403 => {
            let scope = required_scope(&body).unwrap_or_else(|| "the scope for this".to_owned());
            denied(&format!(
                "give the app the scope {scope} in Settings > Apps, then run it again"
            ))
        }
        400 if matches!(code, "missing_store_id" | "invalid_installation") => {
            denied("check store.store_id, and that the app is installed for that store")
        }
        410 => denied("this version of the platform's API is retired: a newer selorax-sync is needed"),
        300..=399 => denied(
            "redirects are never followed, because credentials would go along; put the final address into store.url",
        ),
        404 => denied("nothing is at this address: check store.url"),
        408 | 425 => Error::new(Fault::Transient { reached: false }, doing, said),
        _ => Error::new(Fault::Rejected, doing, said),
    }
}

fn required_scope(body: &Value) -> Option<String> {
    if let Some(scope) = body.get("required_scope").and_then(Value::as_text) {
        return Some(scope.to_owned());
    }
    let (_, scope) = body.get("message")?.as_text()?.split_once("Required:")?;
    Some(scope.trim().trim_end_matches('.').to_owned())
}

fn text<'a>(answer: &'a Answer, doing: &str) -> Result<&'a str, Error> {
    text_of(answer).map_err(|error| malformed(answer, doing, &error))
}

fn text_of(answer: &Answer) -> Result<&str, ParseError> {
    answer.text().ok_or_else(|| ParseError("not UTF-8".to_owned()))
}

/// A 200 that is not what it should be is a bad moment of the server (a login page, a cut answer), never data.
fn malformed(answer: &Answer, doing: &str, error: &ParseError) -> Error {
    let said = format!("the store's answer cannot be read ({error}): {}", answer.tell());
    Error::new(Fault::Transient { reached: true }, doing, said)
}

fn single_text<'a>(answer: &'a Answer, doing: &str) -> Result<&'a str, Error> {
    list::data(text(answer, doing)?).map_err(|error| malformed(answer, doing, &error))
}

/// An answer as a value, unless it says itself that it is none.
fn whole(answer: &Answer, doing: &str) -> Result<Value, Error> {
    let value =
        text_of(answer)
            .and_then(Value::parse)
            .and_then(|value| match value.get("status").and_then(read::count) {
                Some(status) if status >= 400 => Err(ParseError(format!("it says status {status} itself"))),
                _ => Ok(value),
            });
    value.map_err(|error| hidden(doing, &error))
}

/// What was answered may hold a secret.
fn hidden(doing: &str, error: &ParseError) -> Error {
    let said = format!("the store's answer cannot be read ({error})");
    Error::new(Fault::Transient { reached: true }, doing, said)
}

fn single(answer: &Answer, doing: &str) -> Result<Value, Error> {
    Value::parse(single_text(answer, doing)?).map_err(|error| malformed(answer, doing, &error))
}
