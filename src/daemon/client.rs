//! Asks a daemon that runs over the same state file to carry a job out.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use contract::Progress;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::frames::{Frame, Wish, short, socket_path};
use crate::engine::Voice;
use crate::work::{Job, Told};

/// `None`: there is no daemon. A socket that nobody listens on was left by one that was killed.
async fn connect(state: &Path) -> Option<UnixStream> {
    let (path, _folder) = short(&socket_path(state)).ok()?;
    UnixStream::connect(&path).await.ok()
}

/// Whether a daemon answers.
pub async fn is_up(state: &Path) -> bool {
    let answer = async {
        let mut stream = connect(state).await?;
        let ping = serde_json::to_string(&Wish::Ping).ok()?;
        stream.write_all(format!("{ping}\n").as_bytes()).await.ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.ok()?;
        (!line.is_empty()).then_some(())
    };
    tokio::time::timeout(Duration::from_secs(2), answer)
        .await
        .is_ok_and(|answer| answer.is_some())
}

/// Has the job done by the daemon, with its output told to `voice`. `None`: there is no daemon.
pub async fn ask(state: &Path, job: &Job, voice: &dyn Voice) -> anyhow::Result<Option<Told>> {
    let Some(mut stream) = connect(state).await else {
        return Ok(None);
    };
    let wish = serde_json::to_string(&Wish::Job(job.clone()))?;
    let lost = "the daemon that runs over this state file went away; nothing is lost: run the command again";
    stream.write_all(format!("{wish}\n").as_bytes()).await.context(lost)?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).await.context(lost)?;
        // Half a line is the last word of a daemon that was killed.
        anyhow::ensure!(line.ends_with('\n'), lost);
        let frame: Frame = serde_json::from_str(&line).context(
            "the daemon that runs over this state file speaks otherwise; it may be of another version: restart it",
        )?;
        match frame {
            Frame::Out(line) => voice.out(&line),
            Frame::Say(line) => voice.say(&line),
            Frame::Progress {
                flow,
                what,
                seen,
                total,
            } => voice.progress(&flow, &what, Progress { seen, total }),
            Frame::WouldSend { flow, file, row } => voice.would_send(&flow, &file, &row),
            Frame::End(told) => return Ok(Some(told)),
        }
    }
}
