//! The daemon: for each feed a worker that passes on schedule and a historian for what takes long, a
//! socket for jobs, and signals. Config and connectors live for a generation; a reload starts the next one over
//! the same state file. It must never acknowledge, move or send what the state file does not hold.

mod caretaker;
mod client;
mod control;
mod courier;
mod frames;
mod generation;
mod historian;
mod notify;
mod patience;
mod slots;
mod steward;
mod worker;

use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Stamp};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

pub use client::{ask, is_up};
use control::{Control, Errands};
use generation::{End, Generation};
use patience::Delays;

use crate::admin::Admin;
use crate::config::Config;
use crate::engine::Lanes;
use crate::store::{StateError, Store};
use crate::webhook::Receiver;
use crate::work::Parts;

/// How long one call may go on through faults that pass before the daemon notes the trouble and does other
/// things meanwhile.
const CALL_PATIENCE: Duration = Duration::from_secs(60);

/// A state file that was good for so long is opened again at once when it fails.
const SOUND_AFTER: Duration = Duration::from_secs(60);
/// With the time that calls of the system still get at the very end, this must stay below ten seconds.
const ENDS_WITHIN: Duration = Duration::from_millis(6_500);

/// How long events that are being kept are waited for before the state file is taken away from them; at the end there
/// is no time for more.
const PAUSE: Duration = Duration::from_secs(8);
const PAUSE_AT_END: Duration = Duration::from_millis(500);

/// What the daemon is given at start.
pub struct Start {
    /// Reads and checks the config, now and at each reload.
    pub load: Box<dyn Fn() -> anyhow::Result<Config> + Send + Sync>,
    pub clock: Arc<dyn Clock>,
    /// Cancelled by SIGTERM and SIGINT.
    pub stop: CancellationToken,
    /// Rung by SIGHUP.
    pub reload: Arc<Notify>,
}

/// Runs until it is told to stop. An error is one that a person must deal with: a config that cannot run, or a
/// state file that cannot be used.
pub async fn run(start: Start) -> anyhow::Result<()> {
    let config = Arc::new((start.load)()?);
    let store = tokio::select! {
        opened = Store::open(&config.state_path, start.clock.clone()) => opened?,
        () = start.stop.cancelled() => return Ok(()),
    };
    let mut parts = assemble(&start, config, Arc::new(store), Arc::default()).await?;
    let (generations, current) = watch::channel(None);
    let control = Control::open(&parts.config.state_path, current.clone(), start.stop.clone())?;
    let receiver = Arc::new(Receiver::start());
    let admin = Admin::start(Arc::new(Errands::new(current, start.stop.clone(), receiver.clone())));
    let started_at = start.clock.now();
    let mut is_first = true;
    let mut delays = Delays::new(Duration::from_secs(1), Duration::from_secs(30));
    let outcome = loop {
        let (config, lanes) = (parts.config.clone(), parts.lanes.clone());
        let started = start.clock.monotonic();
        let generation = Arc::new(Generation::start(parts));
        generations.send_replace(Some(generation.clone()));
        match open_doors(&receiver, &admin, &generation, started_at, is_first).await {
            Ok(()) => {}
            Err(error) => {
                generations.send_replace(None);
                close(generation.end().await).await?;
                break Err(error);
            }
        }
        if std::mem::take(&mut is_first) {
            notify::ready();
            tell_running(&config);
        }
        let end = generation.until_end(&start).await;
        generations.send_replace(None);
        admin.pause();
        let hurry = async {
            start.stop.cancelled().await;
            tokio::time::sleep(PAUSE_AT_END).await;
        };
        tokio::select! {
            () = receiver.pause(PAUSE) => {}
            () = hurry => {}
        }
        match end {
            End::Stop => {
                let ending = async { close(generation.end().await).await };
                break in_time(&start, ending).await.unwrap_or(Ok(()));
            }
            End::Reload(next) => {
                let store = generation.end().await;
                delays.reset();
                match renew(&start, *next, config, store, lanes).await {
                    Ok(next) => parts = next,
                    Err(error) => break Err(error),
                }
                notify::ready();
            }
            End::State(error) => {
                tracing::error!("{error:#}");
                if in_time(&start, generation.end()).await.is_none() {
                    break Ok(());
                }
                if start.clock.monotonic().saturating_sub(started) >= SOUND_AFTER {
                    delays.reset();
                }
                match reopen(&start, &config, error, &mut delays, lanes).await {
                    Ok(Some(next)) => parts = next,
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            }
        }
    };
    notify::stopping();
    admin.close();
    receiver.close().await;
    control.close().await;
    if outcome.is_ok() {
        tracing::info!("stopped");
    }
    outcome
}

/// Opens both addresses for a generation. At the first one an address that cannot be had ends the daemon: a config that
/// never worked is not to be mistaken for one that does. Later what was open before stays open.
async fn open_doors(
    receiver: &Receiver,
    admin: &Admin,
    generation: &Generation,
    started_at: Stamp,
    is_first: bool,
) -> anyhow::Result<()> {
    let opened = [
        ("webhooks are received", receiver.open(generation.desk()).await),
        (
            "the admin page is served",
            admin.open(generation.admin_desk(started_at)).await,
        ),
    ];
    for (what, result) in opened {
        match result {
            Ok(()) => {}
            Err(error) if is_first => return Err(error),
            Err(error) => tracing::error!("{what} as before, if at all: {error:#}"),
        }
    }
    Ok(())
}

fn tell_running(config: &Config) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        flows = config.flows.len(),
        "running"
    );
}

/// A lock on the state file or a disk that hangs must not keep a daemon that is told to stop. What is not put in
/// order then, the next start puts in order. `None`: it was told to stop, and the time for that is over.
async fn in_time<T>(start: &Start, doing: impl Future<Output = T>) -> Option<T> {
    let over = async {
        start.stop.cancelled().await;
        tokio::time::sleep(ENDS_WITHIN).await;
    };
    tokio::select! {
        done = doing => Some(done),
        () = over => {
            tracing::warn!("the state file was not put in order in time; the next start does that, and nothing is lost");
            None
        }
    }
}

async fn close(store: Option<Store>) -> anyhow::Result<()> {
    match store {
        Some(store) => store.close().await,
        None => Ok(()),
    }
}

/// The state file failed in a way that may pass (a full disk, a lock that somebody holds, an I/O error): nothing
/// of the transaction counts, the connection is gone, and the file is opened and read anew. `None`: told to stop.
async fn reopen(
    start: &Start,
    config: &Arc<Config>,
    mut error: anyhow::Error,
    delays: &mut Delays,
    lanes: Arc<Lanes>,
) -> anyhow::Result<Option<Parts>> {
    loop {
        if !StateError::may_pass(&error) {
            return Err(error);
        }
        let delay = delays.next();
        tracing::warn!("{error:#}; opening the state file again in {} s", delay.as_secs());
        tokio::select! {
            () = start.clock.sleep(delay) => {}
            () = start.stop.cancelled() => return Ok(None),
        }
        let opened = tokio::select! {
            opened = Store::open(&config.state_path, start.clock.clone()) => opened,
            () = start.stop.cancelled() => return Ok(None),
        };
        let assembled = match opened {
            Ok(store) => assemble(start, config.clone(), Arc::new(store), lanes.clone()).await,
            Err(error) => Err(error),
        };
        error = match assembled {
            Ok(parts) => return Ok(Some(parts)),
            Err(error) => error,
        };
    }
}

async fn assemble(start: &Start, config: Arc<Config>, store: Arc<Store>, lanes: Arc<Lanes>) -> anyhow::Result<Parts> {
    let parts = Parts::over(config, &[], store, start.clock.clone(), CALL_PATIENCE, lanes).await?;
    steward::look_first(&parts).await?;
    Ok(parts)
}

/// The next generation after a reload: with the new config, or with the old one where the new one cannot be
/// connected. The connectors before have left word of their pace by now.
async fn renew(
    start: &Start,
    next: Config,
    before: Arc<Config>,
    store: Option<Store>,
    lanes: Arc<Lanes>,
) -> anyhow::Result<Parts> {
    let store = match store {
        Some(store) => store,
        None => Store::open(&before.state_path, start.clock.clone()).await?,
    };
    let store = Arc::new(store);
    match assemble(start, Arc::new(next), store.clone(), lanes.clone()).await {
        Ok(parts) => {
            tracing::info!(flows = parts.config.flows.len(), "the new config is in force");
            Ok(parts)
        }
        Err(error) => {
            tracing::error!("the config was not taken over, the one at work stays in force: {error:#}");
            assemble(start, before, store, lanes).await
        }
    }
}
