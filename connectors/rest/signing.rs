//! `auth:` of the config.

use contract::settings::{Kind, Reader};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::json;

use super::jq::{Jq, literals};
use super::oauth::OAuthSettings;
use super::reading::pairs;
use super::rules::statuses;
use super::session::{Carry, SessionSettings};
use super::settings::{parse_https, sound};

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

pub(super) fn auth(reader: &mut Reader<'_>, base: Option<&Url>) -> Option<AuthSettings> {
    let given = reader.has("auth");
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
    let mut more = Vec::new();
    let params = pairs(reader, "params", "oauth2: more of the form that is sent", &mut more);
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
        more,
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
    // Whoever writes a password into the file itself does not want it told either.
    texts(&body, &mut secrets);
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

fn texts(value: &contract::Value, found: &mut Vec<SecretString>) {
    match value {
        contract::Value::Text(text) => found.push(text.as_str().into()),
        contract::Value::List(items) => items.iter().for_each(|item| texts(item, found)),
        contract::Value::Map(fields) => fields.iter().for_each(|(_, field)| texts(field, found)),
        contract::Value::Null | contract::Value::Bool(_) | contract::Value::Number(_) => {}
    }
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
