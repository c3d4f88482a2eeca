//! The socket beside the state file: jobs come in, lines of output and an exit code go out. Only the owner of
//! the state file may connect.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use contract::Progress;
use futures::future::BoxFuture;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::frames::{Frame, JOB_BYTES_MAX, Wish, short, socket_path};
use super::generation::{Generation, within_grace};
use crate::admin::{Hands, Report};
use crate::engine::{Stopped, Voice};
use crate::store::StateError;
use crate::webhook::Receiver;
use crate::work::{FAILED, Job, Told, perform, told};

/// An asker sends its job at once.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How long to leave the socket alone after it could not accept, as when files have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(500);

/// Who asks at a time when nothing can be done is told so after this.
const SILENT_FOR: Duration = Duration::from_secs(1);

/// Steps of progress are told only while fewer frames than this wait for an asker.
const PROGRESS_WAITING: usize = 100;

type Current = watch::Receiver<Option<Arc<Generation>>>;

/// At the end: for what jobs came to, which is being told.
const LAST_WORDS: Duration = Duration::from_millis(500);

pub(super) struct Control {
    path: PathBuf,
    task: JoinHandle<()>,
    closing: CancellationToken,
}

impl Control {
    /// Must be called by the owner of the state file: a socket that lies there then is left over.
    pub(super) fn open(state: &Path, current: Current, stop: CancellationToken) -> anyhow::Result<Control> {
        let path = socket_path(state);
        let doing = || format!("opening the socket {} for commands beside the daemon", path.display());
        let bound = (|| {
            if path.symlink_metadata().is_ok() {
                std::fs::remove_file(&path)?;
            }
            let (near, _folder) = short(&path)?;
            let listener = UnixListener::bind(near)?;
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
            Ok::<_, std::io::Error>(listener)
        })();
        let listener = bound.with_context(doing)?;
        let closing = CancellationToken::new();
        let task = tokio::spawn(accept(listener, current, stop, closing.clone()));
        Ok(Control { path, task, closing })
    }

    /// Whoever waits for the end of a job is told it, if that is soon.
    pub(super) async fn close(mut self) {
        self.closing.cancel();
        if tokio::time::timeout(LAST_WORDS, &mut self.task).await.is_err() {
            self.task.abort();
        }
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!("removing {}: {error}", self.path.display());
        }
    }
}

async fn accept(listener: UnixListener, current: Current, stop: CancellationToken, closing: CancellationToken) {
    let mut told = false;
    let crowded = Arc::new(Notify::new());
    let mut askers = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = closing.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                told = false;
                askers.spawn(serve(stream, current.clone(), stop.clone(), crowded.clone()));
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("commands beside the daemon have to wait: {error}");
                }
                // The daemon's own work needs files too: who has not said yet what they want goes.
                crowded.notify_waiters();
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
        while askers.try_join_next().is_some() {}
    }
    drop(listener);
    while askers.join_next().await.is_some() {}
}

async fn serve(stream: UnixStream, current: Current, stop: CancellationToken, crowded: Arc<Notify>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader.take(JOB_BYTES_MAX));
    let mut line = String::new();
    let asked = tokio::select! {
        asked = tokio::time::timeout(ASK_WITHIN, reader.read_line(&mut line)) => asked,
        () = crowded.notified() => return,
    };
    if !matches!(asked, Ok(Ok(1..))) {
        return;
    }
    let job = match serde_json::from_str(&line) {
        Ok(Wish::Ping) => None,
        Ok(Wish::Job(job)) => Some(job),
        Err(error) => {
            let error = Some(format!("error: the daemon does not know this job: {error}"));
            write(&mut writer, &Frame::End(Told { code: FAILED, error })).await;
            return;
        }
    };
    let Some(job) = job else {
        write(&mut writer, &Frame::Out(env!("CARGO_PKG_VERSION").to_owned())).await;
        return;
    };
    tracing::info!("asked for {job:?}");
    // Who goes away without waiting for the end wants no more of it.
    let gone = stop.child_token();
    let (frames, mut waiting) = mpsc::unbounded_channel();
    let unwritten = Arc::new(AtomicUsize::new(0));
    let voice: Arc<dyn Voice> = Arc::new(AskerVoice {
        frames: frames.clone(),
        waiting: unwritten.clone(),
    });
    // A task of its own: whoever does not read what it says must not keep it from being stopped.
    let mut doing = tokio::spawn(carry_out(job, current, voice, gone.clone()));
    let mut over = false;
    let mut end = String::new();
    loop {
        tokio::select! {
            biased;
            frame = waiting.recv() => match frame {
                Some(frame) => {
                    let last = matches!(frame, Frame::End(_));
                    unwritten.fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1)).unwrap_or(0);
                    if !write(&mut writer, &frame).await || last {
                        break;
                    }
                }
                None => break,
            },
            done = &mut doing, if !over => {
                over = true;
                let told = done.unwrap_or_else(|error| told(Err(anyhow::anyhow!("the job broke down: {error}"))));
                frames.send(Frame::End(told)).unwrap_or_default();
            }
            _ = reader.read_line(&mut end), if !over => {
                gone.cancel();
                break;
            }
        }
    }
    gone.cancel();
}

/// Jobs that come over the admin address.
pub(super) struct Errands {
    current: Current,
    stop: CancellationToken,
    receiver: Arc<Receiver>,
}

impl Errands {
    pub(super) fn new(current: Current, stop: CancellationToken, receiver: Arc<Receiver>) -> Errands {
        Errands {
            current,
            stop,
            receiver,
        }
    }
}

impl Hands for Errands {
    /// Whoever stops waiting for it does not stop it.
    fn carry_out(&self, job: Job) -> BoxFuture<'static, Report> {
        let voice = Arc::new(Lines::default());
        let doing = carry_out(job, self.current.clone(), voice.clone(), self.stop.child_token());
        let doing = tokio::spawn(doing);
        Box::pin(async move {
            let told = doing
                .await
                .unwrap_or_else(|error| told(Err(anyhow::anyhow!("the job broke down: {error}"))));
            Report {
                told,
                lines: std::mem::take(&mut *voice.0.lock().unwrap_or_else(PoisonError::into_inner)),
            }
        })
    }

    fn calls(&self) -> Vec<(&'static str, u64)> {
        self.receiver.calls()
    }
}

/// Lines of a job's output that are kept for whoever asked over the admin address.
const LINES_MAX: usize = 200;

/// Remembers what a job says.
#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Lines {
    fn keep(&self, line: &str) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() < LINES_MAX {
            lines.push(line.to_owned());
        }
    }
}

impl Voice for Lines {
    fn progress(&self, _flow: &str, _what: &str, _progress: Progress) {}

    fn say(&self, line: &str) {
        self.keep(line);
    }

    fn out(&self, line: &str) {
        self.keep(line);
    }

    fn would_send(&self, _flow: &str, _file: &str, _row: &str) {}
}

/// Does the job, over as many generations as come and go meanwhile: each goes on where the one before stopped.
async fn carry_out(job: Job, mut current: Current, voice: Arc<dyn Voice>, gone: CancellationToken) -> Told {
    let mut has_said = false;
    let queued = Arc::new(AtomicBool::new(false));
    loop {
        let generation = loop {
            if gone.is_cancelled() {
                return told(Err(Stopped.into()));
            }
            let found = current.borrow_and_update().clone();
            if let Some(generation) = found {
                break generation;
            }
            tokio::select! {
                changed = current.changed() => {
                    if changed.is_err() {
                        return told(Err(Stopped.into()));
                    }
                }
                () = tokio::time::sleep(SILENT_FOR), if !has_said => {
                    has_said = true;
                    voice.say("waiting for the daemon, which cannot use its state file just now; its log says why");
                }
                () = gone.cancelled() => {}
            }
        };
        let Some(parts) = generation.parts() else {
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        // Ends with the generation, and when nobody waits for it any more.
        let stop = generation.stop.child_token();
        let done = {
            let (job, voice, stop) = (job.clone(), voice.clone(), stop.clone());
            let parts = parts.clone();
            perform(parts, job, voice, stop, queued.clone())
        };
        drop(parts);
        let watched = within_grace(done, stop.clone());
        tokio::pin!(watched);
        let done = tokio::select! {
            done = &mut watched => done,
            () = gone.cancelled() => {
                stop.cancel();
                watched.await
            }
        };
        match done {
            Ok(Err(error)) if error.is::<Stopped>() && generation.stop.is_cancelled() && !gone.is_cancelled() => {}
            Ok(Err(error)) if StateError::may_pass(&error) && !gone.is_cancelled() && !job.is_dry() => {
                voice.say(&format!("{error:#}; the daemon opens the state file again and goes on"));
                generation.break_with(error);
                generation.stop.cancelled().await;
            }
            Ok(result) => {
                // What a person must see to ends the daemon too, and not only at its next pass.
                if let Some(error) = result
                    .as_ref()
                    .err()
                    .and_then(|error| error.downcast_ref::<StateError>())
                {
                    generation.break_with(error.clone().into());
                }
                return told(result);
            }
            Err(panic) => return told(Err(anyhow::anyhow!("the job broke down: {panic}"))),
        }
    }
}

/// Writes one frame. `false`: nobody reads any more.
async fn write(writer: &mut OwnedWriteHalf, frame: &Frame) -> bool {
    let Ok(mut line) = serde_json::to_vec(frame) else {
        return false;
    };
    line.push(b'\n');
    writer.write_all(&line).await.is_ok()
}

/// Talks to whoever asked.
struct AskerVoice {
    frames: mpsc::UnboundedSender<Frame>,
    /// Frames that were not written yet.
    waiting: Arc<AtomicUsize>,
}

impl AskerVoice {
    fn tell(&self, frame: Frame) {
        // Nobody listens any more: the job is about to be told so.
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.frames.send(frame).unwrap_or_default();
    }
}

impl Voice for AskerVoice {
    fn backlog(&self) -> usize {
        self.waiting.load(Ordering::Acquire)
    }

    fn progress(&self, flow: &str, what: &str, progress: Progress) {
        // Who reads slowly sees fewer steps of it.
        if self.backlog() > PROGRESS_WAITING {
            return;
        }
        self.tell(Frame::Progress {
            flow: flow.to_owned(),
            what: what.to_owned(),
            seen: progress.seen,
            total: progress.total,
        });
    }

    fn say(&self, line: &str) {
        self.tell(Frame::Say(line.to_owned()));
    }

    fn out(&self, line: &str) {
        self.tell(Frame::Out(line.to_owned()));
    }

    fn would_send(&self, flow: &str, file: &str, row: &str) {
        self.tell(Frame::WouldSend {
            flow: flow.to_owned(),
            file: file.to_owned(),
            row: row.to_owned(),
        });
    }
}
