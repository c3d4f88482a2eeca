//! `/api/v1`: what the page shows, for programs. The document of it is `pages/openapi.json`.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::gate::{not_now, refused};
use super::routes::Office;
use super::{Desk, Report};
use crate::work::{DONE, FAILED, Job, MISUSED, failure_json};

const DOCUMENT: &str = include_str!("pages/openapi.json");
/// A job that takes longer goes on by itself, and the answer says so.
const WAIT_FOR_JOB: Duration = Duration::from_secs(10);
const FAILURES_MAX: u32 = 1_000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    flow: Option<String>,
    /// Only with a greater id.
    after: Option<i64>,
    limit: Option<u32>,
}

pub(super) async fn document() -> Response {
    ([(CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}

pub(super) async fn status(Extension(desk): Extension<Arc<Desk>>) -> Response {
    json_or_not_now(desk.standing().await.map(|standing| standing.to_json()))
}

pub(super) async fn failures(
    Extension(desk): Extension<Arc<Desk>>,
    asked: Result<Query<Asked>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let Ok(Query(asked)) = asked else {
        let why = "the query takes flow (a name), after (an id) and limit (1 to 1000)";
        return refused(StatusCode::BAD_REQUEST, why);
    };
    let told = async {
        let Some(store) = desk.store().await? else {
            return Ok(json!([]));
        };
        let feed = asked.flow.as_deref().map(|flow| feed_of(&desk, flow));
        let of = asked.flow.as_deref().zip(feed.as_deref());
        let limit = asked.limit.unwrap_or(FAILURES_MAX).clamp(1, FAILURES_MAX);
        let found = store.failures_after(of, asked.after.unwrap_or(0), limit).await?;
        let all = found.iter().map(|failure| failure_json(&desk.config, failure, false));
        Ok(Json::Array(all.collect()))
    };
    json_or_not_now(told.await)
}

/// The feed that a flow reads; a flow that there is not reads none.
pub(super) fn feed_of(desk: &Desk, flow: &str) -> String {
    let flow = desk.config.flows.iter().find(|known| known.name == flow);
    flow.map(|flow| flow.from.to_string()).unwrap_or_default()
}

pub(super) async fn failure(Extension(desk): Extension<Arc<Desk>>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse() else { return no_failure() };
    let told = async {
        let Some(store) = desk.store().await? else {
            return Ok(None);
        };
        let found = store.failure(id).await?;
        Ok(found.map(|failure| failure_json(&desk.config, &failure, true)))
    };
    match told.await {
        Ok(None) => no_failure(),
        told => json_or_not_now(told.map(|told| told.unwrap_or_default())),
    }
}

pub(super) async fn retry(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Response {
    match id.parse() {
        Ok(id) if is_there(&desk, id).await => carry_out(&office, Job::Retry { ids: vec![id] }).await,
        _ => no_failure(),
    }
}

pub(super) async fn discard(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(id): Path<String>,
) -> Response {
    match id.parse() {
        Ok(id) if is_there(&desk, id).await => carry_out(&office, Job::Discard { id }).await,
        _ => no_failure(),
    }
}

/// Where it cannot be told, the job tells.
async fn is_there(desk: &Desk, id: i64) -> bool {
    match desk.store().await {
        Ok(Some(store)) => store.failure(id).await.map_or(true, |found| found.is_some()),
        Ok(None) => false,
        Err(_) => true,
    }
}

pub(super) async fn run(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Path(flow): Path<String>,
) -> Response {
    if desk.config.flows.iter().all(|known| known.name != flow) {
        return refused(StatusCode::NOT_FOUND, "there is no such flow");
    }
    carry_out(&office, pass_of(flow)).await
}

pub(super) fn pass_of(flow: String) -> Job {
    Job::Once {
        flows: vec![flow],
        wait: Duration::from_secs(30),
        dry: false,
    }
}

/// What came of a job, or that it still goes on, which it then does without anybody waiting.
pub(super) async fn done_soon(office: &Office, job: Job) -> Option<Report> {
    tracing::info!("asked over the admin address for {job:?}");
    tokio::time::timeout(WAIT_FOR_JOB, office.hands.carry_out(job))
        .await
        .ok()
}

async fn carry_out(office: &Office, job: Job) -> Response {
    let Some(Report { told, lines }) = done_soon(office, job).await else {
        return said(StatusCode::ACCEPTED, &json!({"status": "started"}));
    };
    let status = match told.code {
        MISUSED => StatusCode::CONFLICT,
        FAILED => StatusCode::BAD_GATEWAY,
        _ => StatusCode::OK,
    };
    let word = match told.code {
        DONE => "done",
        FAILED | MISUSED => "failed",
        _ => "unfinished",
    };
    said(
        status,
        &json!({"status": word, "code": told.code, "output": lines, "error": told.error}),
    )
}

fn no_failure() -> Response {
    refused(StatusCode::NOT_FOUND, "there is no such failure")
}

/// What is wrong with the state file is for the log; its path is nobody's business here.
fn json_or_not_now(told: anyhow::Result<Json>) -> Response {
    match told {
        Ok(told) => said(StatusCode::OK, &told),
        Err(error) => {
            tracing::warn!("the admin page cannot read the state: {error:#}");
            not_now()
        }
    }
}

fn said(status: StatusCode, told: &Json) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], told.to_string()).into_response()
}
