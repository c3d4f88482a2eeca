//! What is served where, and what all of it shares.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::sync::watch;

use super::gate::{pass, refused};
use super::sessions::{Sessions, unguessable};
use super::{Desk, Hands, api, health, metrics, pages};

const BODY_BYTES_MAX: usize = 16 << 10;
const STYLE: &str = include_str!("pages/style.css");
const SCRIPT: &str = include_str!("pages/page.js");
/// The files change with the program only.
const AN_HOUR: &str = "private, max-age=3600";

pub(super) struct Office {
    current: watch::Receiver<Option<Arc<Desk>>>,
    pub(super) hands: Arc<dyn Hands>,
    pub(super) sessions: Sessions,
    /// What forms have to carry where nobody logs in. Where no chance is to be had, no form is taken.
    pub(super) csrf: String,
}

impl Office {
    pub(super) fn new(current: watch::Receiver<Option<Arc<Desk>>>, hands: Arc<dyn Hands>) -> Office {
        Office {
            current,
            hands,
            sessions: Sessions::default(),
            csrf: unguessable().unwrap_or_default(),
        }
    }

    pub(super) fn desk(&self) -> Option<Arc<Desk>> {
        self.current.borrow().clone()
    }
}

pub(super) fn router(office: Arc<Office>) -> Router {
    Router::new()
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(metrics::metrics))
        .route("/api/v1/openapi.json", get(api::document))
        .route("/api/v1/status", get(api::status))
        .route("/api/v1/failures", get(api::failures))
        .route("/api/v1/failures/{id}", get(api::failure))
        .route("/api/v1/failures/{id}/retry", post(api::retry))
        .route("/api/v1/failures/{id}/discard", post(api::discard))
        .route("/api/v1/flows/{flow}/run", post(api::run))
        .route("/", get(pages::overview))
        .route("/failures", get(pages::failures))
        .route("/failures/{id}", get(pages::failure))
        .route("/failures/{id}/{act}", post(pages::act_on_failure))
        .route("/flows/{flow}/run", post(pages::run))
        .route("/deliveries", get(pages::deliveries))
        .route("/login", get(pages::login).post(pages::log_in))
        .route("/logout", post(pages::log_out))
        .route("/static/style.css", get(|| file("text/css; charset=utf-8", STYLE)))
        .route(
            "/static/page.js",
            get(|| file("text/javascript; charset=utf-8", SCRIPT)),
        )
        .fallback(|| async { refused(StatusCode::NOT_FOUND, "there is nothing here") })
        .method_not_allowed_fallback(|| async { refused(StatusCode::METHOD_NOT_ALLOWED, "not with this method") })
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(office.clone(), pass))
        .with_state(office)
}

async fn file(kind: &'static str, text: &'static str) -> Response {
    ([(CONTENT_TYPE, kind), (CACHE_CONTROL, AN_HOUR)], text).into_response()
}
