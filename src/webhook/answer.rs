//! One call: what HTTP says of it, whether it is signed, whether it is old, and what is answered.

use std::net::IpAddr;
use std::time::Duration;

use contract::{About, Call, Event, Refused};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Bytes, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, EXPECT, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::intake::{Current, Intake};
use super::refusals::Refusals;
use super::tally::{Tally, Told};
use super::watch::Watch;
use super::{Desk, proxies};
use crate::store::{Arrival, Took, Wish};

/// The platform gives up after 15 seconds.
const BODY_WITHIN: Duration = Duration::from_secs(15);
/// Of a body that is too large so much is read and dropped, so that the peer gets to read the answer.
const DROPPED_BYTES_MAX: u64 = 4 << 20;
const DROPPED_WITHIN: Duration = Duration::from_secs(2);
/// When a call that could not be kept may come again.
const AGAIN_AFTER: &str = "30";
const PATH_BYTES_MAX: usize = 4096;
/// Bodies up to this size, which events have, are read at once; larger ones share so many bytes, so that whoever sends
/// much, unsigned, cannot fill the memory.
const SMALL_BYTES: u64 = 64 << 10;
const LARGE_BYTES_IN_ALL: usize = 16 << 20;
const LARGE_WAITS: Duration = Duration::from_secs(5);

type Answer = Response<Full<Bytes>>;

/// What all calls share.
pub(super) struct Office {
    pub(super) current: Current,
    pub(super) intake: Intake,
    pub(super) tally: Tally,
    pub(super) refusals: Refusals,
    pub(super) watch: Watch,
    pub(super) large: Semaphore,
}

/// As many bytes as all large bodies together may have while they are read.
pub(super) fn room_for_large() -> Semaphore {
    Semaphore::new(LARGE_BYTES_IN_ALL)
}

impl Office {
    pub(super) async fn answer(&self, request: Request<Incoming>, peer: IpAddr) -> Answer {
        let Some(desk) = self.current.borrow().clone() else {
            return self.deferred();
        };
        if let Some(answer) = self.unfit(&desk, &request) {
            return answer;
        }
        let (head, body) = request.into_parts();
        let expects = head.headers.contains_key(EXPECT);
        let body = match self.body(&desk, body, expects).await {
            Ok(body) => body,
            Err(answer) => return answer,
        };
        let headers: Vec<(&str, &[u8])> = head
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .collect();
        let opened = desk.hook.open(&Call {
            headers: &headers,
            body: &body,
        });
        match opened {
            Ok(event) => self.keep(&desk, event).await,
            Err(refused) => {
                let forwarded = head.headers.get_all("x-forwarded-for").iter();
                let forwarded = forwarded.filter_map(|header| header.to_str().ok());
                let from = proxies::client(peer, &desk.settings.trusted_proxies, forwarded);
                self.refused(&desk, &refused, from).await
            }
        }
    }

    /// What can be said before the body is read.
    fn unfit(&self, desk: &Desk, request: &Request<Incoming>) -> Option<Answer> {
        let is_encoded = |value: &HeaderValue| !value.as_bytes().eq_ignore_ascii_case(b"identity");
        let (status, why) = if request.uri().path().len() > PATH_BYTES_MAX {
            (StatusCode::URI_TOO_LONG, "the path is too long")
        } else if request.uri().path() != desk.settings.path {
            (StatusCode::NOT_FOUND, "nothing is here")
        } else if request.method() != Method::POST {
            (StatusCode::METHOD_NOT_ALLOWED, "webhooks are sent by POST")
        } else if request.headers().get_all(CONTENT_ENCODING).iter().any(is_encoded) {
            (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the body as it was signed, without a Content-Encoding",
            )
        } else {
            return None;
        };
        self.tally.count(Told::Unfit);
        let mut answer = failed(status, why);
        if status == StatusCode::METHOD_NOT_ALLOWED {
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        }
        // What follows is not read.
        closing(&mut answer);
        Some(answer)
    }

    async fn body(&self, desk: &Desk, body: Incoming, expects: bool) -> Result<Bytes, Answer> {
        let most = desk.settings.max_body;
        let limit = usize::try_from(most).unwrap_or(usize::MAX);
        let is_large = body.size_hint().lower() > most;
        if is_large {
            // Whoever waits for our word before sending has sent nothing.
            if !expects {
                drop_rest(body).await;
            }
            return Err(self.cut(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than webhooks.max_body",
            ));
        }
        let _room = self.room(desk, body.size_hint().exact()).await?;
        match tokio::time::timeout(BODY_WITHIN, Limited::new(body, limit).collect()).await {
            Ok(Ok(collected)) => Ok(collected.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.cut(
                StatusCode::PAYLOAD_TOO_LARGE,
                "the body is larger than webhooks.max_body",
            )),
            Ok(Err(_)) => Err(self.cut(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => Err(self.cut(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
        }
    }

    /// The part of the memory that a large body takes, for as long as it is read. One whose length is not told may
    /// become as large as any.
    async fn room(&self, desk: &Desk, length: Option<u64>) -> Result<Option<SemaphorePermit<'_>>, Answer> {
        let length = length.unwrap_or(desk.settings.max_body);
        if length <= SMALL_BYTES {
            return Ok(None);
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX).min(LARGE_BYTES_IN_ALL);
        let room = self.large.acquire_many(u32::try_from(length).unwrap_or(u32::MAX));
        match tokio::time::timeout(LARGE_WAITS, room).await {
            Ok(Ok(room)) => Ok(Some(room)),
            Ok(Err(_)) | Err(_) => Err(self.deferred()),
        }
    }

    fn cut(&self, status: StatusCode, why: &str) -> Answer {
        self.tally.count(Told::Unfit);
        let mut answer = failed(status, why);
        closing(&mut answer);
        answer
    }

    async fn refused(&self, desk: &Desk, refused: &Refused, from: IpAddr) -> Answer {
        let now = desk.clock.monotonic();
        match refused {
            Refused::Missing(header) => {
                self.tally.count(Told::Missing);
                let detail = format!(" ({header})");
                self.refusals.tell("a header is missing", &detail, from, now);
                failed(StatusCode::BAD_REQUEST, &format!("the header {header} is missing"))
            }
            Refused::Signature => {
                self.tally.count(Told::Unsigned);
                self.watch.unsigned(desk).await;
                let detail = "; if it came from your store, webhooks.secrets lacks the secret of its subscription";
                self.refusals
                    .tell("none of the secrets has signed it", detail, from, now);
                failed(StatusCode::UNAUTHORIZED, "bad signature")
            }
            Refused::Malformed(what) => {
                self.tally.count(Told::Malformed);
                let detail: String = format!(" ({what})").chars().take(200).collect();
                self.refusals.tell("it is signed and no event", &detail, from, now);
                failed(
                    StatusCode::BAD_REQUEST,
                    "the body is no event: a JSON object is expected",
                )
            }
        }
    }

    async fn keep(&self, desk: &Desk, event: Event) -> Answer {
        let age = desk.hook.now().await.abs_diff(event.signed_at);
        let is_stale = u128::from(age) > desk.settings.tolerance.as_millis();
        let arrival = Arrival {
            id: event.id,
            body_hash: event.body_hash,
            stale: is_stale,
            wish: wish(desk, &event.topic, event.about),
            topic: event.topic,
        };
        if event.contradicted {
            self.tally.count(Told::Contradicted);
        }
        let done = match arrival.wish {
            Wish::Nothing | Wish::Foreign => (Told::Ignored, "ignored"),
            _ => (Told::Accepted, "accepted"),
        };
        let is_foreign = arrival.wish == Wish::Foreign;
        let (told, word) = match self.intake.take(arrival).await {
            None => return self.deferred(),
            Some(Took::New) => done,
            Some(Took::Known) => (Told::Duplicate, "duplicate"),
            Some(Took::Conflicting) => (Told::Conflicting, "duplicate"),
        };
        self.tally.count(told);
        if told != Told::Duplicate {
            if is_stale {
                self.tally.count(Told::Stale);
            }
            self.watch.signed(desk, is_stale, is_foreign).await;
        }
        said(StatusCode::OK, format!("{{\"status\":\"{word}\"}}"))
    }

    /// It could not be kept, so the platform is to send it again.
    fn deferred(&self) -> Answer {
        self.tally.count(Told::Deferred);
        let mut answer = failed(
            StatusCode::SERVICE_UNAVAILABLE,
            "it cannot be kept just now; send it again",
        );
        answer
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from_static(AGAIN_AFTER));
        closing(&mut answer);
        answer
    }
}

/// What an event asks for, as far as any flow listens.
fn wish(desk: &Desk, topic: &str, about: About) -> Wish {
    let of = |resource: &str| -> Vec<String> {
        let feed = format!("{}.{resource}", crate::config::STORE);
        let listening = desk.listening.get(topic).into_iter().flatten();
        listening.filter(|known| **known == feed).cloned().collect()
    };
    let wish = match about {
        About::OtherStore => return Wish::Foreign,
        About::Installed => return Wish::Installed,
        About::Uninstalled => return Wish::Uninstalled,
        About::Privacy(asked) => return Wish::Privacy(asked),
        About::Unknown => return Wish::Nothing,
        About::Record { resource, key } => Wish::Read {
            feeds: of(resource),
            key,
            said_gone: false,
        },
        About::Deleted { resource, key } => Wish::Read {
            feeds: of(resource),
            key,
            said_gone: true,
        },
        About::Resource(resource) => Wish::Scan { feeds: of(resource) },
    };
    match &wish {
        Wish::Read { feeds, .. } | Wish::Scan { feeds } if feeds.is_empty() => Wish::Nothing,
        _ => wish,
    }
}

async fn drop_rest(mut body: Incoming) {
    let drain = async {
        let mut dropped = 0;
        while let Some(Ok(frame)) = body.frame().await {
            dropped += frame.data_ref().map_or(0, |data| data.len() as u64);
            if dropped > DROPPED_BYTES_MAX {
                return;
            }
        }
    };
    tokio::time::timeout(DROPPED_WITHIN, drain).await.unwrap_or_default();
}

fn said(status: StatusCode, body: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body)));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(CONTENT_TYPE, json);
    answer
}

fn failed(status: StatusCode, why: &str) -> Answer {
    said(status, serde_json::json!({ "error": why }).to_string())
}

fn closing(answer: &mut Answer) {
    answer
        .headers_mut()
        .insert(CONNECTION, HeaderValue::from_static("close"));
}
