//! Jobs from the command line: by the daemon that runs over the same state file, or else in this process.

use std::path::Path;
use std::sync::Arc;

use contract::RealClock;
use tokio_util::sync::CancellationToken;

use super::progress::Console;
use crate::config::{self, Config, Mode};
use crate::daemon::{self, Start};
use crate::engine::Voice;
use crate::store::Store;
use crate::work::{Job, Parts, Told, discard, load, perform, told};

pub(super) async fn job(path: &Path, job: &Job) -> u8 {
    let console = Arc::new(Console::new(job.is_walk()));
    let done = by_daemon_or_here(path, job, &console).await;
    console.close();
    let told = done.unwrap_or_else(|error| told(Err(error)));
    if let Some(error) = &told.error {
        eprintln!("{error}");
    }
    told.code
}

async fn by_daemon_or_here(path: &Path, job: &Job, console: &Arc<Console>) -> anyhow::Result<Told> {
    // The daemon has the secrets; who asks it needs only to know where its state file is.
    if let Ok(outline) = load(path, Mode::Offline)
        && let Some(told) = daemon::ask(&outline.state_path, job, console.as_ref()).await?
    {
        return Ok(told);
    }
    let mode = match job {
        Job::Discard { .. } => Mode::Offline,
        _ => Mode::Full,
    };
    here(Arc::new(load(path, mode)?), job, console.clone())
        .await
        .map(|code| told(Ok(code)))
}

/// In this process, which then owns the state file.
pub(super) async fn here(config: Arc<Config>, job: &Job, console: Arc<Console>) -> anyhow::Result<u8> {
    let voice: Arc<dyn Voice> = console;
    if let Job::Discard { id } = job {
        let store = Arc::new(Store::open(&config.state_path, Arc::new(RealClock::default())).await?);
        let code = discard(store.clone(), *id, voice).await?;
        if let Some(store) = Arc::into_inner(store) {
            store.close().await?;
        }
        return Ok(code);
    }
    let (names, patience) = (config.with_required(&job.flows()), job.patience());
    let parts = if job.is_dry() {
        Parts::open_dry(config, &names, patience).await?
    } else {
        Parts::open(config, &names, Arc::new(RealClock::default()), patience).await?
    };
    let parts = Arc::new(parts);
    let code = perform(
        parts.clone(),
        job.clone(),
        voice,
        CancellationToken::new(),
        Arc::default(),
    )
    .await?;
    if let Some(parts) = Arc::into_inner(parts) {
        parts.close().await?;
    }
    Ok(code)
}

/// The daemon, until SIGTERM or SIGINT. SIGHUP reads the config again.
pub(super) async fn daemon(path: &Path) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let stop = CancellationToken::new();
    let reload = Arc::new(tokio::sync::Notify::new());
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let mut hup = signal(SignalKind::hangup())?;
    let path = path.to_owned();
    let running = daemon::run(Start {
        load: Box::new(move || {
            let config = config::load(&path, Mode::Full, &config::process_env)?;
            // Through the log, which holds up nobody when stderr is not read.
            if !config.warnings.is_empty() {
                tracing::warn!("{}", config.warnings);
            }
            Ok(config)
        }),
        clock: Arc::new(RealClock::default()),
        stop: stop.clone(),
        reload: reload.clone(),
    });
    tokio::pin!(running);
    loop {
        tokio::select! {
            done = &mut running => return done,
            _ = term.recv() => stop.cancel(),
            _ = int.recv() => stop.cancel(),
            _ = hup.recv() => reload.notify_one(),
        }
    }
}
