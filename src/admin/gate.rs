//! Who may come in, and what a browser may do with what it is given. Every request passes here, so no page can forget
//! it.
//!
//! | trouble | what holds it off |
//! |---|---|
//! | a page of another site, by a name that it makes point here (DNS rebinding) | `Host` must be an address, `localhost`, or of `admin.hosts` |
//! | a form of another site | effects by POST only; `Origin` and `Sec-Fetch-Site` must be ours, and a form carries a secret of its session |
//! | a guess at the token | ten wrong ones a minute for each address; compared in constant time |
//! | script in an order | templates escape; a content security policy without inline script |

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, LOCATION, ORIGIN, REFERRER_POLICY,
    RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use secrecy::ExposeSecret;

use super::Desk;
use super::listen::Peer;
use super::routes::Office;
use super::sessions::same;

pub(super) const COOKIE_NAME: &str = "__Host-selorax-sync";
/// Of a request that is no form.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const ANSWER_WITHIN: Duration = Duration::from_secs(60);

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Caller {
    /// A program that has the token.
    Bearer,
    /// A browser that logged in, or that needs no login; its forms have to carry this.
    Browser { csrf: String },
    /// Not known, at a place that is open to all.
    Anyone,
}

impl Caller {
    /// What this caller's forms have to carry.
    pub(super) fn csrf(&self) -> &str {
        match self {
            Caller::Browser { csrf } => csrf,
            Caller::Bearer | Caller::Anyone => "",
        }
    }
}

/// What is open without a token.
fn is_open(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/login") || path.starts_with("/static/")
}

fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || path == "/metrics"
}

pub(super) async fn pass(State(office): State<Arc<Office>>, request: Request, next: Next) -> Response {
    let mut answer = match admit(&office, request) {
        Ok(request) => match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
            Ok(answer) => answer,
            Err(_) => refused(StatusCode::GATEWAY_TIMEOUT, "it takes too long; it may still be done"),
        },
        Err(answer) => *answer,
    };
    let headers = answer.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    answer
}

/// The request with its caller, or what is answered instead.
fn admit(office: &Office, mut request: Request) -> Result<Request, Box<Response>> {
    let path = request.uri().path().to_owned();
    let Some(desk) = office.desk() else {
        // Whether the process is up can be told without a config.
        if path == "/healthz" {
            request.extensions_mut().insert(Caller::Anyone);
            return Ok(request);
        }
        return Err(Box::new(not_now()));
    };
    if !is_our_host(request.headers(), &desk.settings.hosts) {
        let why = "this name is not one of the admin address; add it to admin.hosts";
        return Err(Box::new(refused(StatusCode::MISDIRECTED_REQUEST, why)));
    }
    let from = request.extensions().get::<Peer>().map(|peer| peer.0);
    let caller = match who(office, &desk, request.headers(), from) {
        Ok(caller) => caller,
        Err(_) if is_open(&path) => Caller::Anyone,
        Err(answer) if is_for_programs(&path) || request.method() != Method::GET => return Err(answer),
        Err(_) => return Err(Box::new(to_login())),
    };
    if request.method() != Method::GET && request.method() != Method::HEAD {
        if !is_own_site(request.headers()) {
            let why = "this came from a page of another site";
            return Err(Box::new(refused(StatusCode::FORBIDDEN, why)));
        }
        // A form has it in its body, which whoever takes the form looks at.
        if is_for_programs(&path) && !carries(request.headers(), &caller) {
            let why = "a browser has to send x-csrf-token; a program sends Authorization: Bearer";
            return Err(Box::new(refused(StatusCode::FORBIDDEN, why)));
        }
    }
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(desk);
    Ok(request)
}

fn who(office: &Office, desk: &Desk, headers: &HeaderMap, from: Option<IpAddr>) -> Result<Caller, Box<Response>> {
    let Some(token) = &desk.settings.token else {
        // Only where the address is loopback.
        return Ok(Caller::Browser {
            csrf: office.csrf.clone(),
        });
    };
    let now = desk.clock.monotonic();
    if let Some(given) = headers.get(AUTHORIZATION) {
        let from = from.unwrap_or(IpAddr::from([0, 0, 0, 0]));
        if !office.sessions.may_try(from, now) {
            return Err(Box::new(too_often()));
        }
        let given = given.to_str().ok().and_then(bearer);
        if given.is_some_and(|given| same(given, token.expose_secret())) {
            return Ok(Caller::Bearer);
        }
        office.sessions.was_wrong(from, now);
        return Err(Box::new(unknown("the token is not the one of admin.token")));
    }
    let session = cookie(headers).and_then(|cookie| office.sessions.csrf(cookie, token, now));
    match session {
        Some(csrf) => Ok(Caller::Browser { csrf }),
        None => Err(Box::new(unknown(
            "send Authorization: Bearer with admin.token, or log in",
        ))),
    }
}

fn bearer(text: &str) -> Option<&str> {
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

pub(super) fn cookie(headers: &HeaderMap) -> Option<&str> {
    let all = headers
        .get_all(COOKIE)
        .into_iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';'));
    pairs.find_map(|pair| pair.trim().strip_prefix(COOKIE_NAME)?.strip_prefix('='))
}

/// An address cannot be made to point elsewhere; a name can.
fn is_our_host(headers: &HeaderMap, names: &[String]) -> bool {
    let mut hosts = headers.get_all(HOST).iter();
    let (Some(host), None) = (hosts.next().and_then(|host| host.to_str().ok()), hosts.next()) else {
        return false;
    };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    IpAddr::from_str(name).is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Browsers say where a request comes from; programs say nothing.
fn is_own_site(headers: &HeaderMap) -> bool {
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| site != b"same-origin" && site != b"none") {
        return false;
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    origin.is_some_and(|(_, from)| host.is_some_and(|host| host.eq_ignore_ascii_case(from)))
}

/// Whoever may do something with the cookie alone, or without one, has to show that it is no other site's page.
fn carries(headers: &HeaderMap, caller: &Caller) -> bool {
    match caller {
        Caller::Bearer => true,
        Caller::Anyone => false,
        Caller::Browser { csrf } => {
            let given = headers.get(CSRF_HEADER).and_then(|given| given.to_str().ok());
            let is_browser = [COOKIE, ORIGIN].iter().any(|name| headers.contains_key(name))
                || headers.contains_key("sec-fetch-site");
            given.map_or(!is_browser, |given| same(given, csrf))
        }
    }
}

pub(super) fn refused(status: StatusCode, why: &str) -> Response {
    let body = serde_json::json!({ "error": why }).to_string();
    let mut answer = Response::new(Body::from(body));
    *answer.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    answer.headers_mut().insert(axum::http::header::CONTENT_TYPE, json);
    answer
}

fn unknown(why: &str) -> Response {
    let mut answer = refused(StatusCode::UNAUTHORIZED, why);
    let scheme = HeaderValue::from_static("Bearer realm=\"selorax-sync\"");
    answer.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    answer
}

pub(super) fn too_often() -> Response {
    let mut answer = refused(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute");
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("60"));
    answer
}

pub(super) fn not_now() -> Response {
    let why = "the daemon cannot use its state file or config just now; its log says why";
    let mut answer = refused(StatusCode::SERVICE_UNAVAILABLE, why);
    answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    answer
}

fn to_login() -> Response {
    (StatusCode::SEE_OTHER, [(LOCATION, "/login")]).into_response()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn sc_03_a_name_that_is_not_ours_is_not_served() {
        let names = vec!["sync.example.com".to_owned()];
        for good in [
            "127.0.0.1:8378",
            "127.0.0.1",
            "localhost:9999",
            "LOCALHOST",
            "[::1]:8378",
            "192.0.2.7",
            "Sync.example.com:443",
        ] {
            assert!(is_our_host(&headers(&[("host", good)]), &names), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:8378",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "",
            "[::1",
            "0x7f000001",
        ] {
            let known = bad == "[::1";
            assert_eq!(is_our_host(&headers(&[("host", bad)]), &names), known, "{bad}");
        }
        assert!(!is_our_host(&headers(&[]), &names));
        assert!(!is_our_host(
            &headers(&[("host", "localhost"), ("host", "localhost")]),
            &names
        ));
    }

    #[test]
    fn sc_02_another_site_is_told_by_what_browsers_say() {
        let host = ("host", "127.0.0.1:8378");
        for (more, is_own) in [
            (vec![], true),
            (vec![("origin", "http://127.0.0.1:8378")], true),
            (vec![("origin", "http://127.0.0.1:9")], false),
            (vec![("origin", "https://evil.example")], false),
            (vec![("origin", "null")], false),
            (vec![("sec-fetch-site", "same-origin")], true),
            (vec![("sec-fetch-site", "none")], true),
            (vec![("sec-fetch-site", "same-site")], false),
            (vec![("sec-fetch-site", "cross-site")], false),
        ] {
            let all: Vec<_> = more.iter().copied().chain([host]).collect();
            assert_eq!(is_own_site(&headers(&all)), is_own, "{more:?}");
        }
    }

    #[test]
    fn sc_02_a_browser_has_to_show_the_secret_of_its_session() {
        let browser = Caller::Browser {
            csrf: "secret".to_owned(),
        };
        assert!(carries(&headers(&[]), &Caller::Bearer));
        assert!(!carries(&headers(&[]), &Caller::Anyone));
        assert!(carries(&headers(&[(CSRF_HEADER, "secret")]), &browser));
        assert!(!carries(&headers(&[(CSRF_HEADER, "other")]), &browser));
        assert!(!carries(&headers(&[("cookie", "a=b")]), &browser));
        assert!(!carries(&headers(&[("origin", "http://127.0.0.1:8378")]), &browser));
        // A program on this machine, where no token is asked for.
        assert!(carries(&headers(&[]), &browser));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let both = headers(&[("cookie", "a=b; __Host-selorax-sync=abc; c=d")]);
        assert_eq!(cookie(&both), Some("abc"));
        assert_eq!(cookie(&headers(&[("cookie", "x__Host-selorax-sync=abc")])), None);
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc "), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
    }
}
