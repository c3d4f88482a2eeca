//! The receivers: one that keeps events, and one that only looks at them.

use std::path::Path;

use anyhow::Context;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::kept::{Event, Kept, Waiting};
use crate::signed::{SIGNATURE, Secret, TIMESTAMP};

const PATH: &str = "/webhooks/selorax";
const WAITING_MAX: usize = 2048;

#[derive(Clone)]
struct Desk {
    secret: Secret,
    /// `None`: nothing is kept.
    keeper: Option<mpsc::Sender<Waiting>>,
}

pub(crate) async fn bare(address: &str, secret: &str, folder: &Path) -> anyhow::Result<()> {
    let kept = Kept::open(&folder.join("bare.db")).await.context("opening bare.db")?;
    let (keeper, waiting) = mpsc::channel(WAITING_MAX);
    tokio::select! {
        ended = kept.keep(waiting) => ended.context("keeping events"),
        ended = serve(address, secret, Some(keeper)) => ended,
    }
}

pub(crate) async fn none(address: &str, secret: &str) -> anyhow::Result<()> {
    serve(address, secret, None).await
}

async fn serve(address: &str, secret: &str, keeper: Option<mpsc::Sender<Waiting>>) -> anyhow::Result<()> {
    let secret = Secret::new(secret)?;
    let router = Router::new()
        .route(PATH, post(call))
        .with_state(Desk { secret, keeper });
    let listener = TcpListener::bind(address).await.context("listening")?;
    let listener = axum::serve::ListenerExt::tap_io(listener, |stream| {
        // An answer is one small packet, as it is to the daemon.
        stream.set_nodelay(true).unwrap_or_default();
    });
    Ok(axum::serve(listener, router).await?)
}

async fn call(State(desk): State<Desk>, headers: HeaderMap, body: Bytes) -> (StatusCode, &'static str) {
    let (Some(signature), Some(timestamp)) = (headers.get(SIGNATURE), headers.get(TIMESTAMP)) else {
        return (StatusCode::BAD_REQUEST, "");
    };
    if !desk
        .secret
        .has_signed(signature.as_bytes(), timestamp.as_bytes(), &body)
    {
        return (StatusCode::UNAUTHORIZED, "");
    }
    let Some(event) = event(&body) else {
        return (StatusCode::BAD_REQUEST, "");
    };
    if let Some(keeper) = &desk.keeper {
        let (answer, answered) = oneshot::channel();
        if keeper.try_send((event, answer)).is_err() || answered.await.is_err() {
            return (StatusCode::SERVICE_UNAVAILABLE, "");
        }
    }
    (StatusCode::OK, r#"{"status":"accepted"}"#)
}

fn event(body: &[u8]) -> Option<Event> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let word = |name: &str| Some(body.get(name)?.as_str()?.to_owned());
    let order = body.get("data")?.get("order_id")?.as_i64()?;
    Some(Event(word("event_id")?, word("event_topic")?, order))
}
