//! `/healthz`: the process is up. `/readyz`: it can do its work. Open to all, and tells nothing but that.

use std::sync::Arc;

use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};

use super::Desk;

/// One state in which the work stands still until a person acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lacks {
    State,
    Access,
}

pub(super) async fn healthz() -> Response {
    said(StatusCode::OK, r#"{"status":"up"}"#)
}

pub(super) async fn readyz(Extension(desk): Extension<Arc<Desk>>) -> Response {
    match lacks(&desk).await {
        None => said(StatusCode::OK, r#"{"status":"ready"}"#),
        Some(Lacks::State) => said(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"not ready","lacks":"the state file cannot be read"}"#,
        ),
        Some(Lacks::Access) => said(
            StatusCode::SERVICE_UNAVAILABLE,
            r#"{"status":"not ready","lacks":"a system refuses the credentials; see status"}"#,
        ),
    }
}

async fn lacks(desk: &Desk) -> Option<Lacks> {
    match desk.standing().await {
        Ok(_) => desk.lanes.any_refused().then_some(Lacks::Access),
        Err(error) => {
            tracing::warn!("not ready: {error:#}");
            Some(Lacks::State)
        }
    }
}

fn said(status: StatusCode, text: &'static str) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], text).into_response()
}
