//! Calls to one peer over HTTP: taken by turns, paced, retried, bounded. The only place that builds an
//! HTTP client.
//! Never follows a redirect, never takes a proxy from the environment, never puts a URL's query or
//! a header into an error.

mod circuit;
mod curl;
mod gate;
mod manners;
mod pace;
mod retry;
mod secrets;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use contract::{Error, Fault, Seams, Stamp, Use};
use reqwest::header::{AGE, CONTENT_TYPE, DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode, Url};
use secrecy::SecretString;
use tokio::sync::Mutex;

pub(crate) use circuit::Probing;
pub(crate) use curl::curl;
use gate::Gate;
pub(crate) use manners::Manners;
use retry::Budget;
pub(crate) use retry::Tries;
pub(crate) use secrets::Secrets;

pub(crate) const ANSWER_MAX: usize = 32 << 20;
/// The whole of one call may take this many times the configured time-out, which bounds each wait in it.
const TOTAL_TIMEOUTS: u32 = 4;
/// How much of an answer is looked at for an excerpt, and how much of it an error shows.
const EXCERPT_OF: usize = 4096;
const EXCERPT_CHARS: usize = 200;
const OFFSETS_KEPT: usize = 5;
/// A clock that is off by more is worth a word.
const OFFSET_TOLD_MS: i64 = 30_000;
/// A peer that asks for a longer pause is asked again after this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(15 * 60);

/// What a peer is and how it wants to be treated.
#[derive(Clone, Debug)]
pub(crate) struct PeerSettings {
    /// How errors call it: `the store`.
    pub(crate) name: String,
    pub(crate) manners: Manners,
    /// What no error may repeat, even if the peer says it back.
    pub(crate) secrets: Vec<SecretString>,
    pub(crate) probing: Probing,
    /// PEM certificates that are trusted beside those that this machine trusts anyway.
    pub(crate) trusted: Vec<u8>,
    /// An answer larger than this, after decompression, is cut off.
    pub(crate) answer_max: usize,
}

#[derive(Debug)]
pub(crate) struct Peer {
    client: reqwest::Client,
    name: String,
    total_timeout: Duration,
    seams: Seams,
    gate: Gate,
    budget: Budget,
    requests: AtomicU64,
    secrets: Secrets,
    answer_max: usize,
    /// The last offsets of the peer's clock against ours, in milliseconds.
    offsets: Mutex<Vec<i64>>,
    told_offset: AtomicBool,
}

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Option<Vec<u8>>,
    /// Statuses that are no faults of the peer, whatever they say by themselves: the caller judges them.
    pub(crate) judged: Vec<u16>,
    /// Whose share of the turns it takes.
    pub(crate) purpose: Use,
    /// For errors: `reading page 3 of the orders`.
    pub(crate) doing: String,
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The body went on beyond the limit and was not read to its end.
    pub(crate) too_large: bool,
    secrets: Secrets,
}

impl Peer {
    pub(crate) fn new(settings: &PeerSettings, seams: &Seams) -> Result<Arc<Peer>, Error> {
        let trusted = reqwest::Certificate::from_pem_bundle(&settings.trusted).map_err(|error| {
            Error::new(Fault::Denied, "reading the trusted certificates", causes(&error))
                .hint("the file holds certificates in PEM form, each from BEGIN CERTIFICATE to END CERTIFICATE")
        })?;
        let client = reqwest::Client::builder()
            .user_agent(concat!("selorax-sync/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(settings.manners.timeout.min(Duration::from_secs(10)))
            .read_timeout(settings.manners.timeout)
            .tls_version_min(reqwest::tls::Version::TLS_1_2)
            .tls_certs_merge(trusted)
            .build()
            .map_err(|error| {
                Error::new(Fault::Denied, "setting up HTTPS", causes(&error))
                    .hint("the server's list of trusted certificates may be missing: install ca-certificates")
            })?;
        Ok(Arc::new(Peer {
            client,
            name: settings.name.clone(),
            total_timeout: settings.manners.timeout * TOTAL_TIMEOUTS,
            seams: seams.clone(),
            gate: Gate::new(settings, seams),
            budget: Budget::default(),
            requests: AtomicU64::new(0),
            secrets: Secrets::new(settings.secrets.clone()),
            answer_max: settings.answer_max,
            offsets: Mutex::new(Vec::new()),
            told_offset: AtomicBool::new(false),
        }))
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// What the peer's errors may not repeat; tokens that are fetched later are added to it.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    pub(crate) fn condition(&self) -> String {
        self.gate.describe()
    }

    pub(crate) async fn rest(&self) {
        self.gate.pace.rest().await;
    }

    /// The peer's clock: ours plus the middle of the last five offsets that its answers told.
    pub(crate) async fn now(&self) -> Stamp {
        let offset = median(&self.offsets.lock().await);
        self.seams.clock.now().saturating_add(offset)
    }

    /// Sends once and reads the answer. 429 and 5xx are faults here, unless the request says otherwise; every
    /// other status is the caller's to judge. Only for one who has leave.
    async fn send(&self, request: &Request) -> Result<Answer, Error> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = match tokio::time::timeout(self.total_timeout, self.exchange(request)).await {
            Ok(answer) => answer?,
            Err(_) => {
                let after = format!("no complete answer within {} s", self.total_timeout.as_secs_f32());
                return Err(Error::new(Fault::Transient { reached: true }, &request.doing, after));
            }
        };
        self.learn_clock(&answer.headers).await;
        if request.judged.contains(&answer.status.as_u16()) {
            return Ok(answer);
        }
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            let retry_after = self.retry_after(&answer.headers);
            self.gate.pace.throttled(retry_after).await;
            return Err(Error::new(
                Fault::Throttled { retry_after },
                &request.doing,
                format!("{} answered 429 (too many requests)", self.name),
            )
            .status(429));
        }
        if answer.status.is_server_error() {
            if let Some(pause) = self.retry_after(&answer.headers) {
                self.gate.pace.pause(pause).await;
            }
            let said = format!("{} answered {}", self.name, answer.tell());
            let error = Error::new(Fault::Transient { reached: true }, &request.doing, said);
            return Err(error.status(answer.status.as_u16()));
        }
        Ok(answer)
    }

    async fn exchange(&self, request: &Request) -> Result<Answer, Error> {
        let fault = |error: reqwest::Error| self.transport_fault(&request.doing, error);
        let mut sending = self
            .client
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone());
        if let Some(body) = &request.body {
            sending = sending.body(body.clone());
        }
        let mut response = sending.send().await.map_err(fault)?;
        let mut answer = Answer {
            status: response.status(),
            headers: response.headers().clone(),
            body: Vec::new(),
            too_large: false,
            secrets: self.secrets.clone(),
        };
        // Parts are put together at the end: what is too large is let go at once, and never copied to grow.
        let (mut parts, mut length) = (Vec::new(), 0);
        answer.too_large = response
            .content_length()
            .is_some_and(|told| told > self.answer_max as u64);
        while !answer.too_large
            && let Some(part) = response.chunk().await.map_err(fault)?
        {
            length += part.len();
            answer.too_large = length > self.answer_max;
            parts.push(part);
        }
        if !answer.too_large {
            answer.body = parts.concat();
        }
        Ok(answer)
    }

    fn transport_fault(&self, doing: &str, error: reqwest::Error) -> Error {
        let error = error.without_url();
        let causes = causes(&error);
        // rustls says so in words only, and a certificate does not get better by asking again.
        let tls = [
            "certificate",
            "peer is incompatible",
            "received fatal alert",
            "invalid peer",
        ];
        if error.is_connect() && tls.iter().any(|word| causes.contains(word)) {
            return Error::new(
                Fault::Denied,
                doing,
                format!("the secure connection to {} failed: {causes}", self.name),
            )
            .hint("nothing was sent; check the address, the server's certificate and this machine's clock");
        }
        let what = if error.is_timeout() {
            format!("no answer from {} in time", self.name)
        } else if error.is_connect() {
            format!("cannot reach {}", self.name)
        } else {
            format!("the answer of {} broke off", self.name)
        };
        let fault = Fault::Transient {
            reached: !error.is_connect(),
        };
        Error::new(fault, doing, format!("{what}: {causes}"))
    }

    async fn learn_clock(&self, headers: &HeaderMap) {
        if headers.contains_key(AGE) {
            return;
        }
        let Some(date) = date_of(headers) else { return };
        let mut offsets = self.offsets.lock().await;
        offsets.push(date.saturating_sub(self.seams.clock.now()));
        if offsets.len() > OFFSETS_KEPT {
            offsets.remove(0);
        }
        let offset = median(&offsets);
        if offsets.len() == OFFSETS_KEPT
            && offset.abs() > OFFSET_TOLD_MS
            && !self.told_offset.swap(true, Ordering::Relaxed)
        {
            let (by, way) = (offset.abs() / 1000, if offset > 0 { "behind" } else { "ahead of" });
            tracing::warn!(
                "this machine's clock is {by} s {way} that of {}; set it right",
                self.name
            );
        }
    }

    /// `Retry-After` in seconds or as an HTTP date, the latter against the answer's own `Date`
    /// (RFC 9110, 10.2.3). Nonsense, several headers that disagree and a time that is over count as none.
    fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        let mut values = headers.get_all(RETRY_AFTER).iter();
        let first = values.next()?;
        if values.any(|other| other != first) {
            return None;
        }
        let text = first.to_str().ok()?.trim();
        let pause = if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            Duration::from_secs(text.parse().unwrap_or(u64::MAX))
        } else {
            let until = stamp_of(text)?;
            let now = date_of(headers).unwrap_or_else(|| self.seams.clock.now());
            Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0))
        };
        if pause.is_zero() {
            return None;
        }
        if pause > RETRY_AFTER_MAX {
            tracing::warn!(
                asked_s = pause.as_secs(),
                "{} asks for a pause of more than 15 minutes; it is asked again after 15",
                self.name
            );
        }
        Some(pause.min(RETRY_AFTER_MAX))
    }
}

fn median(offsets: &[i64]) -> i64 {
    let mut sorted = offsets.to_vec();
    sorted.sort_unstable();
    sorted.get(sorted.len() / 2).copied().unwrap_or(0)
}

fn date_of(headers: &HeaderMap) -> Option<Stamp> {
    stamp_of(headers.get(DATE)?.to_str().ok()?)
}

fn stamp_of(http_date: &str) -> Option<Stamp> {
    let date = httpdate::parse_http_date(http_date).ok()?;
    let since = date.duration_since(std::time::UNIX_EPOCH).ok()?;
    Stamp::try_from(since.as_millis()).ok()
}

impl Answer {
    /// Status, kind and the beginning of the body, fit for a log line.
    pub(crate) fn tell(&self) -> String {
        let kind = self
            .headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or("no content type");
        // A good answer in the right form holds customers' data, which belongs in no log.
        if self.status.is_success() && kind.contains("json") {
            return format!("{} ({kind}) of {} bytes", self.status.as_u16(), self.body.len());
        }
        let body = String::from_utf8_lossy(&self.body[..self.body.len().min(EXCERPT_OF)]);
        // Masked before it is cut: half a secret is too much as well.
        let body = self.secrets.mask(&body);
        let plain = body.chars().map(|c| if c.is_control() { ' ' } else { c });
        let excerpt: String = plain.take(EXCERPT_CHARS).collect();
        match excerpt.trim() {
            "" => format!("{} with an empty body", self.status.as_u16()),
            excerpt => format!("{} ({kind}): {excerpt}", self.status.as_u16()),
        }
    }

    /// A part of the answer without what no message may repeat.
    pub(crate) fn mask(&self, text: &str) -> String {
        self.secrets.mask(text)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok()
    }
}

/// The whole chain of causes: reqwest's own words alone say only "error sending request".
fn causes(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !told.contains(&text) {
            told = format!("{told}: {text}");
        }
        next = cause.source();
    }
    told
}
