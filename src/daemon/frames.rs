//! What goes over the socket beside the state file: one JSON object a line. The asker sends one job; the
//! daemon answers with lines of output, and at last with the exit code.

use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

use crate::work::{Job, Told};

/// A job with everything in it is far below this.
pub(super) const JOB_BYTES_MAX: u64 = 1 << 20;

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Wish {
    Ping,
    Job(Job),
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Frame {
    Out(String),
    Say(String),
    Progress {
        flow: String,
        what: String,
        seen: u64,
        total: Option<u64>,
    },
    WouldSend {
        flow: String,
        file: String,
        row: String,
    },
    End(Told),
}

/// `state.db.sock` beside `state.db`.
pub(super) fn socket_path(state: &Path) -> PathBuf {
    let mut name = state.file_name().unwrap_or_default().to_owned();
    name.push(".sock");
    state.with_file_name(name)
}

/// A path of a socket that the system takes, which allows 107 bytes: a longer one is reached through its folder's
/// handle. The handle must live as long as the path is used.
pub(super) fn short(path: &Path) -> std::io::Result<(PathBuf, Option<std::fs::File>)> {
    use std::os::fd::AsRawFd;
    if path.as_os_str().len() < 100 {
        return Ok((path.to_owned(), None));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = std::fs::File::open(folder.unwrap_or(Path::new(".")))?;
    let name = path.file_name().unwrap_or_default();
    let through = Path::new("/proc/self/fd")
        .join(folder.as_raw_fd().to_string())
        .join(name);
    Ok((through, Some(folder)))
}
