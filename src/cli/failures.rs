//! `failures`: what waits for a person, and what the person wants done with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Subcommand;
use serde_json::{Value as Json, json};

use super::output::{self, line, local, utc};
use super::progress::Console;
use super::setup::{self, Manner};
use super::{DONE, Usage, run};
use crate::config::{Config, Mode};
use crate::store::{Failure, Place, Store};

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
    pub(super) async fn run(self, path: &Path) -> anyhow::Result<u8> {
        match self {
            Failures::List { json } => list(path, json).await,
            Failures::Show { id, json } => show(path, id, json).await,
            Failures::Retry { ids, all } => retry(path, &ids, all).await,
            Failures::Discard { id } => discard(path, id).await,
        }
    }
}

async fn known(config: &Config) -> anyhow::Result<Vec<Failure>> {
    match Store::look(&config.state_path).await? {
        Some(store) => store.failures().await,
        None => Ok(Vec::new()),
    }
}

fn find(failures: Vec<Failure>, id: i64) -> anyhow::Result<Failure> {
    let found = failures.into_iter().find(|failure| failure.id == id);
    found.ok_or_else(|| Usage(format!("there is no failure {id}\nhint: selorax-sync failures list")).into())
}

/// The flow a failure belongs to. A record that could not be read belongs to all flows of its feed.
fn flow_of(config: &Config, failure: &Failure) -> String {
    match failure.stage {
        Place::Deliver => failure.place.clone(),
        Place::Read => {
            let flows = config
                .flows
                .iter()
                .filter(|flow| flow.from.to_string() == failure.place);
            flows.map(|flow| flow.name.as_str()).collect::<Vec<_>>().join(",")
        }
    }
}

async fn list(path: &Path, as_json: bool) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Offline)?;
    let failures = known(&config).await?;
    if as_json {
        let all: Vec<Json> = failures
            .iter()
            .map(|failure| to_json(&config, failure, false))
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

fn to_json(config: &Config, failure: &Failure, whole: bool) -> Json {
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

async fn show(path: &Path, id: i64, as_json: bool) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Offline)?;
    let failure = find(known(&config).await?, id)?;
    if as_json {
        return output::print_json(&to_json(&config, &failure, true));
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

/// Brings failures back and does at once what is due.
async fn retry(path: &Path, ids: &[i64], all: bool) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Full)?;
    let console = Arc::new(Console::new(false));
    let manner = Manner {
        dry: false,
        wait: Duration::from_secs(30),
        endless: false,
        voice: console.clone(),
    };
    let mut engine = setup::engine(&config, &[], manner).await?;
    let failures = engine.store.failures().await?;
    let mut chosen: Vec<Failure> = Vec::new();
    if all {
        chosen = failures;
    } else {
        for id in ids {
            chosen.push(find(failures.clone(), *id)?);
        }
    }
    for failure in &chosen {
        let feed = match failure.stage {
            Place::Read => failure.place.clone(),
            Place::Deliver => match engine.flows.iter().find(|flow| flow.name == failure.place) {
                Some(flow) => flow.feed.clone(),
                None => {
                    let gone = format!(
                        "failure {} is of the flow `{}`, which the config no longer has",
                        failure.id, failure.place
                    );
                    return Err(Usage(format!("{gone}\nhint: selorax-sync failures discard {}", failure.id)).into());
                }
            },
        };
        engine.store.retry(failure, &feed).await?;
    }
    outln!("trying {} again", chosen.len());
    let done = engine.settle().await;
    run::end(engine, &console, done).await
}

async fn discard(path: &Path, id: i64) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Offline)?;
    let store = Store::open(&config.state_path, Arc::new(contract::RealClock::default())).await?;
    let failure = find(store.failures().await?, id)?;
    store.discard(&failure).await?;
    store.close().await?;
    outln!("failure {id} is out of sight until record {} changes", failure.key);
    Ok(DONE)
}
