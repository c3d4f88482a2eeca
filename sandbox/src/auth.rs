//! The platform's rules about credentials and scopes.

use crate::answer::Answer;
use crate::http::Incoming;
use crate::options::Access;
use crate::presets::insufficient_scope;
use crate::requests::Auth;

/// Which credentials the request carries, whether right or wrong.
pub(crate) fn carried(incoming: &Incoming) -> Auth {
    let bearer = incoming.header("authorization").is_some();
    let client = incoming.header("x-client-id").is_some() || incoming.header("x-client-secret").is_some();
    match (bearer, client) {
        (true, true) => Auth::Both,
        (true, false) => Auth::Bearer,
        (false, true) => Auth::Client,
        (false, false) => Auth::None,
    }
}

/// `Err` is the refusal; `None` for a scope asks for none.
pub(crate) fn check(incoming: &Incoming, access: &Access, scope: Option<&str>) -> Result<(), Answer> {
    match incoming.header("authorization") {
        Some(value) => check_bearer(value, access)?,
        None => check_client(incoming, access)?,
    }
    let Some(scope) = scope else { return Ok(()) };
    let normal = |name: &str| name.replace('_', ":");
    if access.scopes.iter().any(|granted| normal(granted) == normal(scope)) {
        return Ok(());
    }
    Err(Answer::canned(insufficient_scope(scope)))
}

fn check_bearer(value: &str, access: &Access) -> Result<(), Answer> {
    let token = value
        .split_once(' ')
        .filter(|(kind, _)| kind.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token);
    match token {
        None => Err(missing_token()),
        Some(token) if token.trim() == access.access_token => Ok(()),
        Some(_) => Err(Answer::error(401, "invalid_token", "Invalid or expired access token.")),
    }
}

fn check_client(incoming: &Incoming, access: &Access) -> Result<(), Answer> {
    let (Some(id), Some(secret)) = (incoming.header("x-client-id"), incoming.header("x-client-secret")) else {
        return Err(missing_token());
    };
    let store = incoming
        .header("x-store-id")
        .or_else(|| incoming.query_value("store_id"));
    let Some(store) = store.filter(|store| !store.trim().is_empty()) else {
        let message = "Missing store id. Provide X-Store-Id header or store_id parameter.";
        return Err(Answer::error(400, "missing_store_id", message));
    };
    if id != access.client_id || secret != access.client_secret {
        return Err(Answer::error(401, "invalid_client", "Invalid client credentials."));
    }
    if store.trim().parse() != Ok(access.store_id) {
        return Err(Answer::error(
            401,
            "not_installed",
            "App is not installed for this store.",
        ));
    }
    Ok(())
}

fn missing_token() -> Answer {
    let message = "Access denied. Provide Bearer token or X-Client-Id + X-Client-Secret.";
    Answer::error(401, "missing_token", message)
}
