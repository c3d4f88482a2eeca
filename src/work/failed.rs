//! Failures as `failures`, the admin page and its API tell them.

use serde_json::{Value as Json, json};

use super::Usage;
use super::words::utc;
use crate::config::Config;
use crate::store::{Failure, Place};

pub fn no_failure(id: i64) -> Usage {
    Usage(format!("there is no failure {id}\nhint: selorax-sync failures list"))
}

/// The flow a failure belongs to. A record that could not be read belongs to all flows of its feed.
pub fn flow_of(config: &Config, failure: &Failure) -> String {
    match failure.stage {
        Place::Deliver => failure.place.clone(),
        Place::Read => {
            let flows = config
                .flows
                .iter()
                .filter(|flow| flow.from.to_string() == failure.place);
            let flows = flows.map(|flow| flow.name.as_str()).collect::<Vec<_>>().join(",");
            match flows.is_empty() {
                true => failure.place.clone(),
                false => flows,
            }
        }
    }
}

/// `whole`: with what was to be sent, and the last call and its answer, secrets masked.
pub fn failure_json(config: &Config, failure: &Failure, whole: bool) -> Json {
    let mut told = json!({
        "id": failure.id,
        "flow": flow_of(config, failure),
        "record": failure.key,
        "stage": match failure.stage { Place::Read => "read", Place::Deliver => "deliver" },
        "reason": failure.reason,
        "attempts": failure.attempts,
        "since": utc(failure.since),
        "at": utc(failure.at),
    });
    if whole && let Some(object) = told.as_object_mut() {
        object.insert("request".to_owned(), json!(failure.body));
        object.insert("answer".to_owned(), json!(failure.answer));
    }
    told
}
