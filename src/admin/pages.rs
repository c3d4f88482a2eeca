//! The pages: HTML made here, for a browser without script as well. All text goes through templates, which escape it.

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::rejection::{FormRejection, QueryRejection};
use axum::extract::{Form, Path, Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use secrecy::ExposeSecret;
use serde::Deserialize;

use super::Desk;
use super::api::{done_soon, feed_of, pass_of};
use super::gate::{COOKIE_NAME, Caller, cookie, not_now, refused, too_often};
use super::listen::Peer;
use super::routes::Office;
use super::sessions::same;
use super::view::{DeliveryRow, FailureRow, Frame, Overview};
use crate::work::{Job, line};

const FAILURES_A_PAGE: u32 = 50;
const DELIVERIES_SHOWN: u32 = 200;
const TOLD_CHARS: usize = 400;

#[derive(Template)]
#[template(path = "overview.html")]
struct OverviewPage {
    frame: Frame,
    overview: Overview,
}

#[derive(Template)]
#[template(path = "failures.html")]
struct FailuresPage {
    frame: Frame,
    flows: Vec<String>,
    flow: String,
    rows: Vec<FailureRow>,
    /// Where the next page begins.
    next: Option<i64>,
}

#[derive(Template)]
#[template(path = "failure.html")]
struct FailurePage {
    frame: Frame,
    failure: FailureRow,
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    flows: Vec<String>,
    flow: String,
    rows: Vec<DeliveryRow>,
}

#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage {
    frame: Frame,
}

#[derive(Template)]
#[template(path = "said.html")]
struct SaidPage {
    frame: Frame,
    heading: &'static str,
    lines: Vec<String>,
    back: &'static str,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Listed {
    #[serde(default)]
    flow: String,
    #[serde(default)]
    after: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct Signed {
    #[serde(default)]
    csrf: String,
}

#[derive(Deserialize)]
pub(super) struct Login {
    #[serde(default)]
    token: String,
}

fn frame(title: &'static str, caller: &Caller, desk: &Desk) -> Frame {
    Frame {
        title,
        csrf: caller.csrf().to_owned(),
        has_login: desk.settings.token.is_some() && *caller != Caller::Anyone,
        told: None,
    }
}

fn shown(page: &impl Template, status: StatusCode) -> Response {
    match page.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => failed(&anyhow::anyhow!("making a page: {error}")),
    }
}

/// Details are for the log.
fn failed(error: &anyhow::Error) -> Response {
    tracing::warn!("the admin page: {error:#}");
    not_now()
}

pub(super) async fn overview(Extension(desk): Extension<Arc<Desk>>, Extension(caller): Extension<Caller>) -> Response {
    match desk.standing().await {
        Ok(standing) => {
            let overview = Overview::of(&standing, &desk);
            let frame = frame("Overview", &caller, &desk);
            shown(&OverviewPage { frame, overview }, StatusCode::OK)
        }
        Err(error) => failed(&error),
    }
}

fn flows(desk: &Desk) -> Vec<String> {
    desk.config.flows.iter().map(|flow| flow.name.clone()).collect()
}

pub(super) async fn failures(
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    listed: Result<Query<Listed>, QueryRejection>,
) -> Response {
    let listed = listed.map(|Query(listed)| listed).unwrap_or_default();
    let found = async {
        let Some(store) = desk.store().await? else {
            return Ok(Vec::new());
        };
        let feed = feed_of(&desk, &listed.flow);
        let of = (!listed.flow.is_empty()).then_some((listed.flow.as_str(), feed.as_str()));
        store.failures_after(of, listed.after, FAILURES_A_PAGE + 1).await
    };
    let mut found = match found.await {
        Ok(found) => found,
        Err(error) => return failed(&error),
    };
    let is_more = found.len() > FAILURES_A_PAGE as usize;
    found.truncate(FAILURES_A_PAGE as usize);
    let page = FailuresPage {
        frame: frame("Failures", &caller, &desk),
        flows: flows(&desk),
        flow: listed.flow,
        next: found.last().map(|last| last.id).filter(|_| is_more),
        rows: found.iter().map(|failure| FailureRow::of(failure, &desk)).collect(),
    };
    shown(&page, StatusCode::OK)
}

pub(super) async fn failure(
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Response {
    let found = async {
        let (Some(store), Ok(id)) = (desk.store().await?, id.parse()) else {
            return Ok(None);
        };
        store.failure(id).await
    };
    match found.await {
        Ok(Some(failure)) => {
            let page = FailurePage {
                frame: frame("Failure", &caller, &desk),
                failure: FailureRow::of(&failure, &desk),
            };
            shown(&page, StatusCode::OK)
        }
        Ok(None) => {
            let lines =
                vec!["It is not there any more: it was delivered, discarded, or its record changed.".to_owned()];
            said(
                &desk,
                &caller,
                "No such failure",
                lines,
                "/failures",
                StatusCode::NOT_FOUND,
            )
        }
        Err(error) => failed(&error),
    }
}

fn said(
    desk: &Desk,
    caller: &Caller,
    heading: &'static str,
    lines: Vec<String>,
    back: &'static str,
    status: StatusCode,
) -> Response {
    let frame = frame(heading, caller, desk);
    let page = SaidPage {
        frame,
        heading,
        lines,
        back,
    };
    shown(&page, status)
}

/// Whether a form is one of ours.
fn is_signed(caller: &Caller, form: &Signed) -> bool {
    match caller {
        Caller::Bearer => true,
        Caller::Anyone => false,
        Caller::Browser { csrf } => !csrf.is_empty() && same(csrf, &form.csrf),
    }
}

fn unsigned() -> Response {
    refused(StatusCode::FORBIDDEN, "the form is too old; load the page again")
}

pub(super) async fn act_on_failure(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path((id, act)): Path<(String, String)>,
    form: Result<Form<Signed>, FormRejection>,
) -> Response {
    if !form.is_ok_and(|Form(form)| is_signed(&caller, &form)) {
        return unsigned();
    }
    let job = match (id.parse(), act.as_str()) {
        (Ok(id), "retry") => Job::Retry { ids: vec![id] },
        (Ok(id), "discard") => Job::Discard { id },
        _ => return refused(StatusCode::NOT_FOUND, "there is nothing here"),
    };
    carry_out(&office, &desk, &caller, job, "/failures").await
}

pub(super) async fn run(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Path(flow): Path<String>,
    form: Result<Form<Signed>, FormRejection>,
) -> Response {
    if !form.is_ok_and(|Form(form)| is_signed(&caller, &form)) {
        return unsigned();
    }
    if desk.config.flows.iter().all(|known| known.name != flow) {
        return refused(StatusCode::NOT_FOUND, "there is no such flow");
    }
    carry_out(&office, &desk, &caller, pass_of(flow), "/").await
}

async fn carry_out(office: &Office, desk: &Desk, caller: &Caller, job: Job, back: &'static str) -> Response {
    let Some(report) = done_soon(office, job).await else {
        let lines = vec!["It goes on; the overview shows what comes of it.".to_owned()];
        return said(desk, caller, "Begun", lines, back, StatusCode::ACCEPTED);
    };
    let heading = match report.told.code {
        0 => "Done",
        3 => "Done, but something waits or failed",
        _ => "It did not work",
    };
    let all = report.lines.iter().chain(report.told.error.as_ref());
    let lines = all.map(|told| line(told, TOLD_CHARS)).collect();
    said(desk, caller, heading, lines, back, StatusCode::OK)
}

pub(super) async fn deliveries(
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    listed: Result<Query<Listed>, QueryRejection>,
) -> Response {
    let listed = listed.map(|Query(listed)| listed).unwrap_or_default();
    let found = async {
        let Some(store) = desk.store().await? else {
            return Ok(Vec::new());
        };
        let flow = (!listed.flow.is_empty()).then_some(listed.flow.as_str());
        let mark = store.delivery_mark().await?;
        store.delivered_lately(flow, mark, DELIVERIES_SHOWN).await
    };
    match found.await {
        Ok(found) => {
            let page = DeliveriesPage {
                frame: frame("Deliveries", &caller, &desk),
                flows: flows(&desk),
                flow: listed.flow,
                rows: found
                    .iter()
                    .rev()
                    .map(|delivered| DeliveryRow::of(delivered, &desk))
                    .collect(),
            };
            shown(&page, StatusCode::OK)
        }
        Err(error) => failed(&error),
    }
}

pub(super) async fn login(Extension(desk): Extension<Arc<Desk>>, Extension(caller): Extension<Caller>) -> Response {
    if caller != Caller::Anyone {
        return to("/");
    }
    let frame = frame("Log in", &caller, &desk);
    shown(&LoginPage { frame }, StatusCode::OK)
}

pub(super) async fn log_in(
    State(office): State<Arc<Office>>,
    Extension(desk): Extension<Arc<Desk>>,
    Extension(caller): Extension<Caller>,
    Extension(Peer(from)): Extension<Peer>,
    form: Result<Form<Login>, FormRejection>,
) -> Response {
    let Some(token) = &desk.settings.token else {
        return to("/");
    };
    let now = desk.clock.monotonic();
    if !office.sessions.may_try(from, now) {
        return too_often();
    }
    let is_right = form.is_ok_and(|Form(form)| same(&form.token, token.expose_secret()));
    if !is_right {
        office.sessions.was_wrong(from, now);
        let mut frame = frame("Log in", &caller, &desk);
        frame.told = Some("That is not the token of admin.token in the config.".to_owned());
        return shown(&LoginPage { frame }, StatusCode::UNAUTHORIZED);
    }
    let Some(cookie) = office.sessions.begin(token, now) else {
        return failed(&anyhow::anyhow!("the system gives no random numbers"));
    };
    let set = format!("{COOKIE_NAME}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict");
    (StatusCode::SEE_OTHER, [(LOCATION, "/".to_owned()), (SET_COOKIE, set)]).into_response()
}

pub(super) async fn log_out(
    State(office): State<Arc<Office>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    form: Result<Form<Signed>, FormRejection>,
) -> Response {
    if !form.is_ok_and(|Form(form)| is_signed(&caller, &form)) {
        return unsigned();
    }
    if let Some(cookie) = cookie(&headers) {
        office.sessions.end(cookie);
    }
    let gone = format!("{COOKIE_NAME}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0");
    (
        StatusCode::SEE_OTHER,
        [(LOCATION, "/login".to_owned()), (SET_COOKIE, gone)],
    )
        .into_response()
}

fn to(place: &'static str) -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, place)]).into_response()
}
