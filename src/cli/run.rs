//! `--once` and `--backfill`.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::progress::Console;
use super::setup::{self, Manner};
use super::{DONE, FAILED, UNFINISHED, Usage, output};
use crate::config::Mode;
use crate::engine::{Engine, Ledger, Range};
use crate::store::Queue;

pub(super) async fn once(path: &Path, flows: &[String], wait: Duration, dry: bool) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Full)?;
    let console = Arc::new(Console::new(false));
    let manner = Manner {
        dry,
        wait,
        endless: false,
        voice: console.clone(),
    };
    let mut engine = setup::engine(&config, flows, manner).await?;
    let done = engine.once().await;
    end(engine, &console, done).await
}

pub(super) async fn backfill(
    path: &Path,
    flows: &[String],
    since: Option<&str>,
    until: Option<&str>,
    dry: bool,
) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Full)?;
    let range = Range {
        since: since
            .map(|text| moment(text, &config.timezone, Edge::Start))
            .transpose()?,
        until: until
            .map(|text| moment(text, &config.timezone, Edge::End))
            .transpose()?,
    };
    if let (Some(since), Some(until)) = (range.since, range.until)
        && since > until
    {
        return Err(Usage("--since lies behind --until".to_owned()).into());
    }
    let console = Arc::new(Console::new(true));
    let manner = Manner {
        dry,
        wait: Duration::ZERO,
        endless: true,
        voice: console.clone(),
    };
    let mut engine = setup::engine(&config, flows, manner).await?;
    let done = engine.backfill(range).await;
    end(engine, &console, done).await
}

/// Tells what the run did and works out its exit code.
pub(super) async fn end(engine: Engine, console: &Console, done: anyhow::Result<()>) -> anyhow::Result<u8> {
    console.close();
    let mut unfinished = false;
    let mut troubled = false;
    for flow in engine.flows.clone() {
        let ledger = engine.ledger.get(&flow.name).cloned().unwrap_or_default();
        let is_well = done.is_ok() && ledger.errors().next().is_none();
        if is_well && !engine.dry {
            engine.store.succeeded(&flow.name).await?;
        }
        let queue = engine.queue(&flow).await?;
        output::summary(&flow, &ledger, &queue, engine.requests(&flow.feed), engine.dry);
        unfinished |= queue != Queue::default() || ledger.unproven > 0;
        troubled |= !is_well;
    }
    let errors: BTreeSet<&str> = engine.ledger.values().flat_map(Ledger::errors).collect();
    for error in errors {
        eprintln!("error: {error}");
    }
    let code = match (troubled, unfinished) {
        (true, _) => FAILED,
        (false, true) => UNFINISHED,
        (false, false) => DONE,
    };
    done?;
    engine.finish().await?;
    Ok(code)
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
