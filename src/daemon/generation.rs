//! One generation: a config, its connectors and their tasks, from one reload to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Start;
use super::caretaker::Caretaker;
use super::courier::Courier;
use super::herald::Herald;
use super::historian::Historian;
use super::patience::Delays;
use super::steward::Steward;
use super::worker::Worker;
use crate::config::{Config, STORE};
use crate::engine::Stopped;
use crate::store::Store;
use crate::webhook::Desk;
use crate::work::Parts;

/// How long a task may take to get to its next step before it is left where it is; what it did not keep is done
/// again. With the time to put the state file in order this must stay below ten seconds.
const GRACE: Duration = Duration::from_secs(5);
const LOOK_AT_JOBS: Duration = Duration::from_millis(20);
const PANIC_DELAY: Duration = Duration::from_secs(1);
const PANIC_DELAY_MAX: Duration = Duration::from_secs(60);

pub(super) struct Generation {
    parts: Mutex<Option<Arc<Parts>>>,
    pub(super) stop: CancellationToken,
    tasks: Mutex<Vec<JoinHandle<()>>>,
    /// Errors of the state file, which end the generation.
    broken: mpsc::Sender<anyhow::Error>,
    breaks: tokio::sync::Mutex<mpsc::Receiver<anyhow::Error>>,
    /// Rung by events about the app itself and about privacy.
    notable: Arc<Notify>,
}

pub(super) enum End {
    Stop,
    Reload(Box<Config>),
    State(anyhow::Error),
}

impl Generation {
    pub(super) fn start(parts: Parts) -> Generation {
        let parts = Arc::new(parts);
        let (broken, breaks) = mpsc::channel(4);
        let generation = Generation {
            parts: Mutex::new(Some(parts.clone())),
            stop: CancellationToken::new(),
            tasks: Mutex::default(),
            broken,
            breaks: tokio::sync::Mutex::new(breaks),
            notable: Arc::default(),
        };
        let feeds: BTreeSet<String> = parts.config.flows.iter().map(|flow| flow.from.to_string()).collect();
        let mut historians = BTreeMap::new();
        for feed in feeds {
            let walks = Arc::new(Notify::new());
            historians.insert(feed.clone(), walks.clone());
            let worker = Arc::new(Worker::new(
                parts.clone(),
                &feed,
                walks.clone(),
                generation.stop.clone(),
            ));
            let historian = Arc::new(Historian::new(parts.clone(), &feed, walks, generation.stop.clone()));
            let name = format!("the worker of {feed}");
            generation.keep_going(&name, &feed, move || worker.clone().work());
            let name = format!("the historian of {feed}");
            generation.keep_going(&name, &feed, move || historian.clone().work());
        }
        for flow in parts.sent_by_record() {
            let courier = Arc::new(Courier::new(parts.clone(), flow, generation.stop.clone()));
            let name = format!("the courier of {}", flow.name);
            generation.keep_going(&name, &flow.feed, move || courier.clone().work());
        }
        let steward = Arc::new(Steward::new(
            parts.clone(),
            generation.notable.clone(),
            generation.stop.clone(),
        ));
        generation.keep_going("the steward", "", move || steward.clone().work());
        let herald = Arc::new(Herald::new(parts.clone(), generation.stop.clone()));
        generation.keep_going("the herald", "", move || herald.clone().work());
        let caretaker = Arc::new(Caretaker::new(parts, historians, generation.stop.clone()));
        generation.keep_going("the caretaker of the subscriptions", "", move || {
            caretaker.clone().work()
        });
        generation
    }

    /// The parts, as long as the generation has not ended.
    pub(super) fn parts(&self) -> Option<Arc<Parts>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the receiver of webhooks needs of this generation; `None`: its config has none.
    pub(super) fn desk(&self) -> Option<Desk> {
        let parts = self.parts()?;
        let settings = parts.config.webhooks.clone()?;
        let hook = parts.connectors.get(STORE)?.webhook(&settings.secrets)?;
        Some(Desk {
            listening: Desk::listening(&parts.config),
            settings,
            hook,
            store: Arc::downgrade(&parts.store),
            lanes: parts.lanes.clone(),
            clock: parts.clock.clone(),
            broken: self.broken.clone(),
            notable: self.notable.clone(),
        })
    }

    /// Runs a task until the generation ends. One that panics is started again, later each time; its turn at the
    /// feed and its transaction go with it.
    fn keep_going(
        &self,
        name: &str,
        feed: &str,
        task: impl Fn() -> BoxFuture<'static, anyhow::Result<()>> + Send + 'static,
    ) {
        let (name, feed) = (name.to_owned(), feed.to_owned());
        let (stop, broken, parts) = (self.stop.clone(), self.broken.clone(), self.parts());
        let supervised = async move {
            let mut delays = Delays::new(PANIC_DELAY, PANIC_DELAY_MAX);
            loop {
                let panic = match within_grace(task(), stop.clone()).await {
                    Ok(Ok(())) => return,
                    Ok(Err(error)) if error.is::<Stopped>() => return,
                    Ok(Err(error)) => {
                        // The receiver goes with the generation, which then has ended anyway.
                        broken.send(error).await.unwrap_or_default();
                        return;
                    }
                    Err(panic) => panic,
                };
                let delay = delays.next();
                tracing::error!(
                    "{name} broke down: {panic}; it starts again in {} s",
                    delay.as_secs_f32()
                );
                if let Some(parts) = &parts {
                    note_panic(parts, &feed, &name, &panic).await;
                }
                tokio::select! {
                    () = tokio::time::sleep(delay) => {}
                    () = stop.cancelled() => return,
                }
            }
        };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        tasks.push(tokio::spawn(supervised));
    }

    /// Waits for what ends it. A config that cannot run ends nothing: the one at work stays in force.
    pub(super) async fn until_end(&self, start: &Start) -> End {
        let mut breaks = self.breaks.lock().await;
        loop {
            tokio::select! {
                () = start.stop.cancelled() => return End::Stop,
                Some(error) = breaks.recv() => return End::State(error),
                () = start.reload.notified() => {}
            }
            let Some(parts) = self.parts() else { return End::Stop };
            match reload(start, &parts) {
                Ok(next) => return End::Reload(Box::new(next)),
                Err(error) => {
                    tracing::error!("the config was not taken over, the one at work stays in force: {error:#}");
                }
            }
        }
    }

    /// Tells the generation that the state file fails, from a job.
    pub(super) fn break_with(&self, error: anyhow::Error) {
        // Full only if others said so already.
        self.broken.try_send(error).unwrap_or_default();
    }

    /// Ends every task between two steps, or after a while anywhere. Answers with the state file if nothing
    /// holds it any more.
    pub(super) async fn end(&self) -> Option<Store> {
        self.stop.cancel();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            // Panics were caught where the task is supervised.
            task.await.unwrap_or_default();
        }
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut parts = parts?;
        // Jobs hold the parts as well; they end at their next step too, or when their grace is over.
        let looks = (GRACE + GRACE / 5).as_millis() / LOOK_AT_JOBS.as_millis();
        for _ in 0..looks {
            match Arc::try_unwrap(parts) {
                Ok(parts) => return parts.part().await,
                Err(shared) => parts = shared,
            }
            tokio::time::sleep(LOOK_AT_JOBS).await;
        }
        None
    }
}

/// The task's end, or that it panicked. Once the stop is given it has a while to get to its next step.
pub(super) async fn within_grace<T: Send + 'static>(
    task: impl Future<Output = anyhow::Result<T>> + Send + 'static,
    stop: CancellationToken,
) -> Result<anyhow::Result<T>, String> {
    let mut task = tokio::spawn(task);
    let grace_over = async {
        stop.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let joined = tokio::select! {
        joined = &mut task => joined,
        () = grace_over => {
            task.abort();
            task.await
        }
    };
    match joined {
        Ok(end) => Ok(end),
        Err(error) if error.is_cancelled() => Ok(Err(Stopped.into())),
        Err(error) => Err(panic_text(error)),
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(cause) = error.try_into_panic() else {
        return "it was cancelled".to_owned();
    };
    let text = cause.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
    text.unwrap_or("a panic without words").to_owned()
}

async fn note_panic(parts: &Parts, feed: &str, name: &str, panic: &str) {
    for flow in parts.config.flows.iter().filter(|flow| flow.from.to_string() == feed) {
        let told = format!("{name} broke down and was started again: {panic}");
        if let Err(error) = parts.store.failed(&flow.name, &told).await {
            tracing::debug!("{error:#}");
        }
    }
}

/// The new config, if it can be taken over.
fn reload(start: &Start, now: &Parts) -> anyhow::Result<Config> {
    let config = (start.load)()?;
    anyhow::ensure!(
        config.state_path == now.config.state_path,
        "state.path cannot change while the daemon runs; restart it for that"
    );
    super::tell_unserved(&config);
    Ok(config)
}
