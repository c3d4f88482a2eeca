//! `failures`: what waits for a person, and what the person wants done with it.

use std::path::Path;

use clap::Subcommand;
use serde_json::Value as Json;

use super::DONE;
use super::output;
use crate::config::{Config, Mode};
use crate::store::{Failure, Store};
use crate::work::{Job, failure_json, flow_of, line, load, local, no_failure};

#[derive(Debug, Subcommand)]
pub(super) enum Failures {
    /// All of them, a line each
    List {
        #[arg(long)]
        json: bool,
    },
    /// One of them, whole
    Show {
        id: i64,
        #[arg(long)]
        json: bool,
    },
    /// Try again now
    Retry {
        #[arg(required_unless_present = "all")]
        ids: Vec<i64>,
        #[arg(long, conflicts_with = "ids")]
        all: bool,
    },
    /// Put it out of sight until the record changes
    Discard { id: i64 },
}

impl Failures {
    /// What changes the state is a job.
    pub(super) fn job(&self) -> Option<Job> {
        match self {
            Failures::List { .. } | Failures::Show { .. } => None,
            Failures::Retry { ids, .. } => Some(Job::Retry { ids: ids.clone() }),
            Failures::Discard { id } => Some(Job::Discard { id: *id }),
        }
    }

    /// What only looks.
    pub(super) async fn look(self, path: &Path) -> anyhow::Result<u8> {
        match self {
            Failures::List { json } => list(path, json).await,
            Failures::Show { id, json } => show(path, id, json).await,
            Failures::Retry { .. } | Failures::Discard { .. } => Ok(DONE),
        }
    }
}

async fn known(config: &Config) -> anyhow::Result<Vec<Failure>> {
    match Store::look(&config.state_path).await? {
        Some(store) => store.failures().await,
        None => Ok(Vec::new()),
    }
}

async fn list(path: &Path, as_json: bool) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let failures = known(&config).await?;
    if as_json {
        let all: Vec<Json> = failures
            .iter()
            .map(|failure| failure_json(&config, failure, false))
            .collect();
        return output::print_json(&Json::Array(all));
    }
    if failures.is_empty() {
        outln!("nothing failed");
    }
    for failure in &failures {
        outln!(
            "{:>5}  {}  {} {}  {} tries: {}",
            failure.id,
            local(failure.at, &config.timezone),
            flow_of(&config, failure),
            failure.key,
            failure.attempts,
            line(&failure.reason, 200)
        );
    }
    Ok(DONE)
}

async fn show(path: &Path, id: i64, as_json: bool) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let found = match Store::look(&config.state_path).await? {
        Some(store) => store.failure(id).await?,
        None => None,
    };
    let failure = found.ok_or_else(|| no_failure(id))?;
    if as_json {
        return output::print_json(&failure_json(&config, &failure, true));
    }
    outln!("failure   {}", failure.id);
    outln!("flow      {}", flow_of(&config, &failure));
    outln!("record    {}", failure.key);
    outln!("reason    {}", failure.reason);
    outln!("attempts  {}", failure.attempts);
    outln!("since     {}", local(failure.since, &config.timezone));
    outln!("last      {}", local(failure.at, &config.timezone));
    if let Some(body) = &failure.body {
        outln!("to send   {}", line(body, 4000));
    }
    if let Some(answer) = &failure.answer {
        outln!("answer    {}", line(answer, 4000));
    }
    outln!(
        "next      selorax-sync failures retry {0}, or failures discard {0}",
        failure.id
    );
    Ok(DONE)
}
