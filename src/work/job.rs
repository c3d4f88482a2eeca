//! Jobs: everything that changes the state because a person asked for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use contract::Key;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::failed::no_failure;
use super::parts::{Manner, Parts};
use super::reconcile::{Telling, reconcile};
use super::summary::{grouped, summary};
use super::{DONE, FAILED, MISUSED, UNFINISHED, Usage};
use crate::config;
use crate::engine::{Aftermath, Engine, Ledger, Patience, Range, Voice};
use crate::store::{Failure, Place, Queue, Store};

/// What was asked for. Names of flows: none means all.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    Once {
        flows: Vec<String>,
        wait: Duration,
        dry: bool,
    },
    /// Dates as the user wrote them; they mean days of the store's time zone.
    Backfill {
        flows: Vec<String>,
        since: Option<String>,
        until: Option<String>,
        dry: bool,
    },
    /// No ids means all of them.
    Retry {
        ids: Vec<i64>,
    },
    Discard {
        id: i64,
    },
    Replay {
        flow: String,
        since: Option<String>,
        id: Option<String>,
    },
    Reconcile {
        flow: Option<String>,
        repair: bool,
        /// How many may be repaired; `None`: as many as is usual.
        at_most: Option<u64>,
        json: bool,
    },
}

impl Job {
    /// The flows it needs; none means all.
    pub fn flows(&self) -> Vec<String> {
        match self {
            Job::Once { flows, .. } | Job::Backfill { flows, .. } => flows.clone(),
            Job::Replay { flow, .. } => vec![flow.clone()],
            Job::Reconcile { flow, .. } => flow.iter().cloned().collect(),
            Job::Retry { .. } | Job::Discard { .. } => Vec::new(),
        }
    }

    pub fn is_dry(&self) -> bool {
        matches!(self, Job::Once { dry: true, .. } | Job::Backfill { dry: true, .. })
    }

    /// A long one, whose progress is of interest.
    pub fn is_walk(&self) -> bool {
        matches!(self, Job::Backfill { .. } | Job::Reconcile { .. })
    }

    /// How long one call may go on through faults that pass, in a process that does nothing else.
    pub fn patience(&self) -> Duration {
        match self {
            Job::Once { wait, .. } => (*wait).max(Duration::from_secs(5)),
            Job::Backfill { .. } => Duration::MAX,
            Job::Retry { .. } | Job::Discard { .. } | Job::Replay { .. } | Job::Reconcile { .. } => {
                Duration::from_secs(30)
            }
        }
    }

    fn manner(&self, voice: Arc<dyn Voice>, stop: CancellationToken) -> Manner {
        let wait = match self {
            Job::Once { wait, .. } => *wait,
            _ => Duration::from_secs(30),
        };
        Manner {
            dry: self.is_dry(),
            patience: Patience {
                wait,
                endless: matches!(self, Job::Backfill { .. } | Job::Replay { .. } | Job::Reconcile { .. }),
                leaves_walks: false,
                leaves_records: false,
            },
            voice,
            stop,
        }
    }
}

/// Carries a job out and tells what came of it. Stopped between two steps, the same job goes on from there;
/// `queued` tells it then that what it had to queue is queued.
pub async fn perform(
    parts: Arc<Parts>,
    job: Job,
    voice: Arc<dyn Voice>,
    stop: CancellationToken,
    queued: Arc<AtomicBool>,
) -> anyhow::Result<u8> {
    if let Job::Discard { id } = job {
        return discard(parts.store.clone(), id, voice).await;
    }
    let range = range(&job, &parts.config.timezone)?;
    let names = parts.config.with_required(&job.flows());
    let mut engine = parts.engine(&names, job.manner(voice.clone(), stop)).await?;
    if let Job::Reconcile {
        flow,
        repair,
        at_most,
        json,
    } = &job
    {
        let aftermath = match repair {
            true => Aftermath::Repair { at_most: *at_most },
            false => Aftermath::Tell,
        };
        let telling = match json {
            true => Telling::AsJson,
            false => Telling::ForPeople,
        };
        return reconcile(&mut engine, flow.as_deref(), aftermath, telling, voice.as_ref()).await;
    }
    let before: BTreeMap<String, u64> = engine
        .feeds()
        .into_iter()
        .map(|feed| (feed.clone(), engine.requests(&feed)))
        .collect();
    let done = match &job {
        Job::Once { .. } => engine.once().await,
        Job::Backfill { .. } => engine.backfill(range).await,
        Job::Retry { ids } => {
            if !queued.load(Ordering::Acquire) {
                retry(&engine, ids, voice.as_ref()).await?;
                queued.store(true, Ordering::Release);
            }
            engine.settle().await
        }
        Job::Replay { flow, id, .. } => {
            if !queued.load(Ordering::Acquire) {
                replay(&mut engine, flow, range.since, id.as_deref(), voice.as_ref()).await?;
                queued.store(true, Ordering::Release);
            }
            engine.settle().await
        }
        Job::Discard { .. } | Job::Reconcile { .. } => Ok(()),
    };
    let passed = matches!(job, Job::Once { .. } | Job::Backfill { .. });
    end(&engine, voice.as_ref(), &before, passed, done).await
}

/// Tells what the run did and works out its exit code.
async fn end(
    engine: &Engine,
    voice: &dyn Voice,
    before: &BTreeMap<String, u64>,
    passed: bool,
    done: anyhow::Result<()>,
) -> anyhow::Result<u8> {
    let mut unfinished = false;
    let mut troubled = false;
    for flow in &engine.flows {
        let ledger = engine.ledger.get(&flow.name).cloned().unwrap_or_default();
        let is_well = done.is_ok() && ledger.errors().next().is_none();
        // Of a feed that was not looked at nothing is known.
        if is_well && passed && !engine.dry {
            engine.store.succeeded(&flow.name).await?;
        }
        let queue = engine.queue(flow).await?;
        let before = before.get(&flow.feed).copied().unwrap_or(0);
        let requests = engine.requests(&flow.feed).saturating_sub(before);
        summary(voice, flow, &ledger, &queue, requests, engine.dry);
        unfinished |= queue != Queue::default() || ledger.unproven > 0;
        troubled |= !is_well;
    }
    let errors: BTreeSet<&str> = engine.ledger.values().flat_map(Ledger::errors).collect();
    for error in errors {
        voice.say(&format!("error: {error}"));
    }
    done?;
    Ok(match (troubled, unfinished) {
        (true, _) => FAILED,
        (false, true) => UNFINISHED,
        (false, false) => DONE,
    })
}

/// Brings failures back; the run that follows does at once what is due.
async fn retry(engine: &Engine, ids: &[i64], voice: &dyn Voice) -> anyhow::Result<()> {
    let mut chosen: Vec<Failure> = Vec::new();
    if ids.is_empty() {
        chosen = engine.store.failures().await?;
    }
    for id in ids {
        let found = engine.store.failure(*id).await?;
        chosen.push(found.ok_or_else(|| no_failure(*id))?);
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
    voice.out(&format!("trying {} again", chosen.len()));
    Ok(())
}

/// Puts a failure out of sight. Needs nothing but the state file.
pub async fn discard(store: Arc<Store>, id: i64, voice: Arc<dyn Voice>) -> anyhow::Result<u8> {
    let failure = store.failure(id).await?.ok_or_else(|| no_failure(id))?;
    store.discard(&failure).await?;
    voice.out(&format!(
        "failure {id} is out of sight until record {} changes",
        failure.key
    ));
    Ok(DONE)
}

/// Queues records to be read and sent again. That they are queued is durable, so each is sent again once.
async fn replay(
    engine: &mut Engine,
    flow: &str,
    since: Option<Timestamp>,
    id: Option<&str>,
    voice: &dyn Voice,
) -> anyhow::Result<()> {
    let Some(flow) = engine.flows.iter().find(|known| known.name == flow).cloned() else {
        return Err(Usage(format!("there is no flow `{flow}`")).into());
    };
    if flow.source.files().is_some() {
        let hint = "change the file, or another one that says how things are now, and drop it";
        return Err(Usage(format!(
            "`{}` reads files, and a file is taken once\nhint: {hint}",
            flow.name
        ))
        .into());
    }
    // A record that is being read just now would take the wish away with it.
    engine.enter(&flow.feed).await?;
    let queued = match (id, since) {
        (Some(id), _) => {
            let key = Key(id.to_owned()).whole();
            engine.store.ring_again(&flow.feed, &flow.name, &key).await?;
            1
        }
        (None, since) => {
            let since = since.map_or(i64::MIN, Timestamp::as_millisecond);
            engine.store.ring_all_again(&flow.feed, &flow.name, since).await?
        }
    };
    engine.leave();
    voice.out(&format!("{}: {} queued to be sent again", flow.name, grouped(queued)));
    Ok(())
}

fn range(job: &Job, zone: &TimeZone) -> anyhow::Result<Range> {
    let (since, until) = match job {
        Job::Backfill { since, until, .. } => (since.as_deref(), until.as_deref()),
        Job::Replay { since, .. } => (since.as_deref(), None),
        _ => (None, None),
    };
    let range = Range {
        since: since.map(|text| moment(text, zone, Edge::Start)).transpose()?,
        until: until.map(|text| moment(text, zone, Edge::End)).transpose()?,
    };
    if let (Some(since), Some(until)) = (range.since, range.until)
        && since > until
    {
        return Err(Usage("--since lies behind --until".to_owned()).into());
    }
    Ok(range)
}

enum Edge {
    Start,
    End,
}

/// A time with its offset, or a date in the store's time zone: its first or its last second.
fn moment(text: &str, zone: &TimeZone, edge: Edge) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let wrong = || {
        Usage(format!(
            "`{text}` is no date; write 2025-06-15, or 2025-06-15T10:30:00Z"
        ))
    };
    let date: jiff::civil::Date = text.parse().map_err(|_| wrong())?;
    let start = date.to_zoned(zone.clone()).map_err(|_| wrong())?;
    Ok(match edge {
        Edge::Start => start.timestamp(),
        Edge::End => start.end_of_day().map_err(|_| wrong())?.timestamp(),
    })
}

/// An exit code, and what is to be said on stderr.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq, Serialize)]
pub struct Told {
    pub code: u8,
    pub error: Option<String>,
}

/// Every error becomes words and an exit code here.
pub fn told(result: anyhow::Result<u8>) -> Told {
    let error = match result {
        Ok(code) => return Told { code, error: None },
        Err(error) => error,
    };
    if let Some(broken) = error.downcast_ref::<config::Broken>() {
        return Told {
            code: MISUSED,
            error: Some(broken.to_string()),
        };
    }
    let code = if error.is::<Usage>() { MISUSED } else { FAILED };
    Told {
        code,
        error: Some(format!("error: {error:#}")),
    }
}
