//! What an error of the state file means for whoever works with it, and what a person can do about it.

use std::path::Path;

use super::care::Care;

/// An error of the state file, in words.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{told}")]
pub struct StateError {
    told: String,
    passes: bool,
}

impl StateError {
    pub(super) fn new(told: String, passes: bool) -> StateError {
        StateError { told, passes }
    }

    /// Whether it may be over by itself: the file is to be opened and read anew then, since nothing is known of
    /// the transaction that failed.
    pub fn may_pass(error: &anyhow::Error) -> bool {
        error.downcast_ref::<StateError>().is_some_and(|error| error.passes)
    }
}

/// Tells what a person can do about an error of the state file, or else what was being done.
pub(super) fn explain(path: &Path, care: Option<&Care>, error: anyhow::Error, doing: &str) -> anyhow::Error {
    if error.is::<StateError>() {
        return error;
    }
    let text = format!("{error:#}");
    let says = |signs: &[&str]| signs.iter().any(|sign| text.contains(sign));
    let shown = path.display();
    // 4874: no room for the file that SQLite's processes share.
    let (told, passes) = if says(&["database or disk is full", "(code: 13)", "(code: 4874)"]) {
        if let Some(care) = care {
            care.give_way(path);
        }
        let told = format!(
            "the disk with the state file {shown} is full; nothing that was recorded is lost: free some space and run it again"
        );
        (told, true)
    } else if says(&["readonly"]) {
        let told = format!("the state file {shown} cannot be written; check its owner and mode");
        (told, false)
    } else if says(&["malformed", "not a database"]) {
        (super::damaged(path), false)
    } else if says(&["database is locked", "database table is locked"]) {
        let told = format!("another program holds the state file {shown} and does not let go of it: end that program");
        (told, true)
    } else if says(&["non-zero transaction depth"]) {
        // A transaction before this one failed at its end. With the connection goes what is left of it.
        let told = format!("a transaction in the state file {shown} failed, and what came of it is to be read anew");
        (told, true)
    } else if says(&["disk I/O error", "unable to open database file"]) {
        (format!("the disk with the state file {shown} fails ({doing})"), true)
    } else {
        (doing.to_owned(), false)
    };
    error.context(StateError::new(told, passes))
}
