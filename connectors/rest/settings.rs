//! The settings of a `rest` connector but for its resources' own: where it is, how to sign in, and its manners.

use std::path::PathBuf;
use std::time::Duration;

use contract::Unknown;
use contract::settings::{Kind, Rate, Reader};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::json;

use super::jq::{Jq, literals};
use super::oauth::OAuthSettings;
use super::place::Place;
use super::pull::pairs;
use super::rules::statuses;
use super::session::{Carry, SessionSettings};

#[derive(Debug)]
pub(super) struct Peer {
    pub(super) base: Url,
    pub(super) auth: AuthSettings,
    pub(super) rate: Rate,
    pub(super) burst: u32,
    pub(super) concurrency: usize,
    pub(super) timeout: Duration,
    pub(super) answer_max: usize,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) params: Vec<(String, String)>,
    pub(super) unknown: Unknown,
    pub(super) ping: Option<Place>,
    /// What came from outside the file, wherever it stands.
    pub(super) secrets: Vec<SecretString>,
}

#[derive(Debug)]
pub(super) enum AuthSettings {
    None,
    Bearer {
        scheme: String,
        token: SecretString,
    },
    Basic {
        user: SecretString,
        password: SecretString,
    },
    Key {
        name: String,
        in_query: bool,
        value: SecretString,
    },
    OAuth(Box<OAuthSettings>),
    Session(Box<SessionSettings>),
    /// Not resolved in this run.
    Absent,
}

const KINDS: [&str; 6] = ["none", "bearer", "basic", "api_key", "oauth2", "session"];

impl Peer {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Peer> {
        let mut secrets = Vec::new();
        let base = reader
            .field(
                "base_url",
                "what all paths count from; https, or http on a loopback address",
            )
            .required()
            .parsed(json!({"type": "string", "format": "uri"}), parse_base);
        let auth = auth(reader, base.as_ref());
        let rate = reader
            .field("rate_limit", "requests a time, all uses together: N/s, N/min or N/h")
            .default("10/s")
            .rate();
        let burst = reader
            .field("burst", "requests that may go out at once after a quiet time")
            .default("10")
            .integer(1, 1000);
        let concurrency = reader
            .field("concurrency", "requests under way at once")
            .default("4")
            .integer(1, 64);
        let timeout = reader
            .field("timeout", "for connecting and for each wait within an answer")
            .default("30s")
            .duration();
        let answer_max = reader
            .field("answer_max", "an answer larger than this is not taken")
            .default("32MiB")
            .size();
        let ca_file = reader
            .field(
                "ca_file",
                "certificates (PEM) that are trusted beside those of this machine",
            )
            .text();
        let ca_file = ca_file.map(|path| reader.resolve(&path));
        let headers = pairs(reader, "headers", "headers of every request", &mut secrets);
        let headers = headers.and_then(|headers| sound(reader, headers));
        let params = pairs(reader, "params", "query parameters of every request", &mut secrets);
        let unknown = unknown(reader);
        let ping = reader
            .field(
                "ping",
                "a path to read for `check --connect`, where no resource is read",
            )
            .parsed(json!({"type": "string", "pattern": "^/"}), Place::parse);
        Some(Peer {
            base: base?,
            auth: auth?,
            rate: rate?,
            burst: u32::try_from(burst?).ok()?,
            concurrency: usize::try_from(concurrency?).ok()?,
            timeout: timeout?.max(Duration::from_millis(100)),
            answer_max: usize::try_from(answer_max?).ok()?.clamp(1 << 10, 256 << 20),
            ca_file,
            headers: headers?,
            params: params?,
            unknown: unknown?,
            ping,
            secrets,
        })
    }
}

fn sound(reader: &mut Reader<'_>, headers: Vec<(String, String)>) -> Option<Vec<(String, String)>> {
    let own = ["host", "content-length", "transfer-encoding", "connection"];
    let bad = headers.iter().find(|(name, value)| {
        let sound = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
        !sound || own.contains(&name.to_ascii_lowercase().as_str())
    });
    match bad {
        Some((name, _)) => {
            reader.problem_at("headers", format!("`{name}` cannot be sent as a header"), None);
            None
        }
        None => Some(headers),
    }
}

fn unknown(reader: &mut Reader<'_>) -> Option<Unknown> {
    let about = "after an answer that never came: how long to wait, and how long between two looks";
    reader.field("unknown", about).section(|reader| {
        let wait = reader
            .field(
                "wait",
                "before the first look; longer than the other side works on a request",
            )
            .default("120s")
            .duration();
        let recheck = reader
            .field("recheck", "between a look that found nothing and the second")
            .default("30s")
            .duration();
        Some(Unknown {
            wait: wait?,
            recheck: recheck?,
        })
    })
}

/// The address that all paths count from.
fn parse_base(text: &str) -> Result<Url, String> {
    let mut url = parse_https(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a base URL without `?` and `#`".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn parse_https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without a login in it: use `auth`".to_owned());
    }
    let host = url.host_str().ok_or("expected a URL with a host")?;
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let loopback = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match url.scheme() {
        "https" => Ok(url),
        "http" if loopback => Ok(url),
        "http" => Err("expected https: plain http is for loopback addresses only".to_owned()),
        _ => Err("expected an https URL".to_owned()),
    }
}

fn auth(reader: &mut Reader<'_>, base: Option<&Url>) -> Option<AuthSettings> {
    let given = reader
        .node()
        .and_then(|node| node.get("auth"))
        .is_some_and(|node| !node.is_null());
    let about = "how requests are signed in: none, bearer, basic, api_key, oauth2 or session";
    let read = reader.field("auth", about).object(|reader| read_auth(reader, base));
    if given { read } else { Some(AuthSettings::None) }
}

fn read_auth(reader: &mut Reader<'_>, base: Option<&Url>) -> Option<AuthSettings> {
    let kind = reader.field("type", "the kind of signing in").required().choice(&KINDS);
    let scheme = reader
        .field("scheme", "bearer, oauth2: the word in front of the token")
        .default("Bearer")
        .text();
    let token = reader.field("token", "bearer: the token").secret();
    let username = reader.field("username", "basic: the user's name").secret();
    let password = reader.field("password", "basic: the password").secret();
    let name = reader
        .field("name", "api_key: the name of the header or of the parameter")
        .text();
    let place = reader
        .field("in", "api_key: where it goes")
        .default("header")
        .choice(&["header", "query"]);
    let value = reader.field("value", "api_key: the key, as it is sent").secret();
    let oauth = oauth_fields(reader, scheme.clone());
    let session = session_fields(reader, base);
    let uses: &[&str] = match kind? {
        "bearer" => &["token", "scheme"],
        "basic" => &["username", "password"],
        "api_key" => &["name", "in", "value"],
        "oauth2" => &OAUTH,
        "session" => &SESSION,
        _ => &[],
    };
    let needs: &[&str] = match kind? {
        "bearer" => &["token"],
        "basic" => &["username", "password"],
        "api_key" => &["name", "value"],
        "oauth2" => &["token_url", "client_id"],
        "session" => &["login"],
        _ => &[],
    };
    if !fits(reader, kind?, uses, needs) {
        return None;
    }
    // What is there and yet has no value comes from outside, and is not there in this run.
    Some(match kind? {
        "none" => AuthSettings::None,
        "bearer" => token.map_or(AuthSettings::Absent, |token| AuthSettings::Bearer {
            scheme: scheme.unwrap_or_else(|| "Bearer".to_owned()),
            token,
        }),
        "basic" => match username.zip(password) {
            Some((user, password)) => AuthSettings::Basic { user, password },
            None => AuthSettings::Absent,
        },
        "api_key" => match (name, value) {
            (Some(name), Some(value)) => AuthSettings::Key {
                name,
                in_query: place? == "query",
                value,
            },
            _ => AuthSettings::Absent,
        },
        "oauth2" => oauth.map_or(AuthSettings::Absent, |oauth| AuthSettings::OAuth(Box::new(oauth))),
        _ => AuthSettings::Session(Box::new(session?)),
    })
}

const OAUTH: [&str; 9] = [
    "token_url",
    "client_id",
    "client_secret",
    "scope",
    "refresh_token",
    "authorize_url",
    "client_auth",
    "params",
    "scheme",
];
const SESSION: [&str; 6] = ["login", "token_path", "send", "life", "expired", "expired_when"];

/// Whether the keys are those of this kind. Tells what is missing, and what belongs to another.
fn fits(reader: &mut Reader<'_>, kind: &str, uses: &[&str], needs: &[&str]) -> bool {
    let names: Vec<String> = match reader.node().map(|node| &node.kind) {
        Some(Kind::Map(fields)) => fields.iter().map(|(name, _)| name.text.clone()).collect(),
        _ => Vec::new(),
    };
    let others = ["token", "username", "password", "name", "in", "value"];
    let all: Vec<&str> = others.iter().chain(&OAUTH).chain(&SESSION).copied().collect();
    let mut fits = true;
    for name in names.iter().map(String::as_str) {
        if all.contains(&name) && !uses.contains(&name) {
            let hint = match uses {
                [] => "it has no other keys".to_owned(),
                uses => format!("it has {}", uses.join(", ")),
            };
            reader.problem_at(name, format!("auth of type {kind} has no `{name}`"), Some(hint));
            fits = false;
        }
    }
    for name in needs {
        if !names.iter().any(|given| given == name) {
            reader.problem(format!("auth of type {kind} needs `{name}`"), None);
            fits = false;
        }
    }
    fits
}

fn oauth_fields(reader: &mut Reader<'_>, scheme: Option<String>) -> Option<OAuthSettings> {
    let token_url = reader
        .field(
            "token_url",
            "oauth2: where tokens are given; https, or http on a loopback address",
        )
        .parsed(json!({"type": "string", "format": "uri"}), parse_https);
    let client_id = reader.field("client_id", "oauth2: the client's id").secret();
    let client_secret = reader.field("client_secret", "oauth2: the client's secret").secret();
    let scope = reader.field("scope", "oauth2: what is asked for").text();
    let refresh_token = reader
        .field(
            "refresh_token",
            "oauth2: the token that a person got once; without it the client's credentials are used",
        )
        .secret();
    let authorize_url = reader
        .field("authorize_url", "oauth2: where a person logs in again; for messages")
        .text();
    let client_auth = reader
        .field("client_auth", "oauth2: where the client's credentials go")
        .default("body")
        .choice(&["body", "header"]);
    let params = pairs(
        reader,
        "params",
        "oauth2: more of the form that is sent",
        &mut Vec::new(),
    );
    Some(OAuthSettings {
        token_url: token_url?,
        client_id: client_id?,
        client_secret,
        scope,
        refresh_token,
        authorize_url,
        in_header: client_auth? == "header",
        scheme: scheme?,
        params: params?,
    })
}

/// A login's request, as it is sent.
struct Login {
    url: Url,
    method: Method,
    body: contract::Value,
    is_form: bool,
    headers: HeaderMap,
    success: Option<Jq>,
    secrets: Vec<SecretString>,
}

fn session_fields(reader: &mut Reader<'_>, base: Option<&Url>) -> Option<SessionSettings> {
    let login = reader
        .field("login", "session: the request that signs in")
        .object(|reader| read_login(reader, base));
    let token = Jq::read(
        reader,
        "token_path",
        "session: jq over the answer, the token; default: its cookies are kept",
    );
    let carry = reader
        .field("send", "session: how the token goes along")
        .section(read_carry);
    let life = reader
        .field(
            "life",
            "session: how long a login is good; default: until it is refused",
        )
        .duration();
    let expired = statuses(
        reader,
        "expired",
        "session: statuses besides 401 that say that the session has ended",
    );
    let expired_when = Jq::read(
        reader,
        "expired_when",
        "session: jq over an answer, holds where it says that the session has ended",
    );
    let login = login?;
    let mut expired = expired?;
    expired.push(401);
    Some(SessionSettings {
        url: login.url,
        method: login.method,
        body: login.body,
        is_form: login.is_form,
        headers: login.headers,
        token: token.map(std::sync::Arc::new),
        success: login.success.map(std::sync::Arc::new),
        carry: carry?,
        life,
        expired,
        expired_when: expired_when.map(std::sync::Arc::new),
        secrets: login.secrets,
    })
}

fn read_login(reader: &mut Reader<'_>, base: Option<&Url>) -> Option<Login> {
    let mut secrets = Vec::new();
    let place = super::request::place(reader);
    let method = reader
        .field("method", "the HTTP method")
        .default("POST")
        .choice(&["POST", "PUT", "GET"]);
    let form = reader
        .field("form", "the form's fields, as they are sent")
        .raw(json!({"type": "object"}));
    let form = form.map(|node| literals(node, &mut secrets));
    let json_body = reader.field("json", "the JSON body, as it is sent").raw(json!({}));
    let json_body = json_body.map(|node| literals(node, &mut secrets));
    let headers = pairs(reader, "headers", "headers of the login", &mut secrets);
    let success = Jq::read(reader, "success", "jq over the answer: holds when the login was good");
    let (body, is_form) = match (form, json_body) {
        (Some(form), None) => (form, true),
        (None, Some(body)) => (body, false),
        _ => {
            reader.problem("a login sends a `form` or a `json` body, one of them", None);
            return None;
        }
    };
    let headers = sound(reader, headers?)?;
    let mut map = HeaderMap::new();
    for (name, value) in &headers {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            map.insert(name, value);
        }
    }
    let url = place?.url(base?, &contract::Value::Null, None).ok()?;
    Some(Login {
        url,
        method: Method::from_bytes(method?.as_bytes()).ok()?,
        body,
        is_form,
        headers: map,
        success,
        secrets,
    })
}

fn read_carry(reader: &mut Reader<'_>) -> Option<Carry> {
    let place = reader
        .field("in", "where the token goes")
        .default("header")
        .choice(&["header", "query", "cookie"]);
    let name = reader
        .field("name", "the name of the header, the parameter or the cookie")
        .default("Authorization")
        .text();
    let prefix = reader
        .field("prefix", "what stands in front of the token in a header")
        .default("Bearer ")
        .text();
    let name = name?;
    Some(match place? {
        "query" => Carry::Query(name),
        "cookie" => Carry::Cookie(name),
        _ => match HeaderName::from_bytes(name.as_bytes()) {
            Ok(name) => Carry::Header(name, prefix?),
            Err(_) => {
                reader.problem_at("name", format!("`{name}` is no name of a header"), None);
                return None;
            }
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_https_or_here() {
        for (text, base) in [
            ("https://erp.example.com/api/", "https://erp.example.com/api"),
            ("https://erp.example.com", "https://erp.example.com/"),
            ("http://127.0.0.1:8069", "http://127.0.0.1:8069/"),
            ("http://localhost:1/x", "http://localhost:1/x"),
        ] {
            assert_eq!(parse_base(text).unwrap().as_str(), base);
        }
        for bad in [
            "http://erp.example.com",
            "ftp://x",
            "erp",
            "https://u:p@x.test",
            "https://x.test/?a",
            "https://x.test/#a",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }
}
