//! What the daemon takes while there is nothing to do: memory, and processor time if any can be seen.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use super::desk::{Desk, Shop};
use super::running::Running;

const HISTORY_WITHIN: Duration = Duration::from_secs(120);
/// After its history it has the time to let go of what it took for it.
const SETTLE: Duration = Duration::from_secs(5);
const WATCHED: Duration = Duration::from_secs(30);

pub(super) struct Idle {
    pub(super) watched: Duration,
    /// Hundredths of a second, as the kernel counts them.
    pub(super) ticks: u64,
    pub(super) resident_kib: u64,
}

/// Lets the daemon walk the history, then watches it do nothing; and once more after a restart.
pub(super) fn measure(program: &Path, shop: &Shop, orders: usize) -> anyhow::Result<[Idle; 2]> {
    let desk = Desk::lay(shop)?;
    let mut daemon = start(program, &desk)?;
    let began = Instant::now();
    while desk.check(true, orders).is_err() {
        anyhow::ensure!(
            began.elapsed() < HISTORY_WITHIN,
            "the daemon does not finish the history"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let after_walk = watch(&daemon)?;
    daemon.stop()?;
    let mut daemon = start(program, &desk)?;
    let after_start = watch(&daemon)?;
    daemon.stop()?;
    Ok([after_walk, after_start])
}

fn start(program: &Path, desk: &Desk) -> anyhow::Result<Running> {
    let mut command = Command::new(program);
    command.arg("--config").arg(&desk.config).args(["--quiet", "run"]);
    Running::start(command)
}

fn watch(daemon: &Running) -> anyhow::Result<Idle> {
    std::thread::sleep(SETTLE);
    let before = daemon.ticks()?;
    std::thread::sleep(WATCHED);
    Ok(Idle {
        watched: WATCHED,
        ticks: daemon.ticks()? - before,
        resident_kib: daemon.resident_kib()?,
    })
}
