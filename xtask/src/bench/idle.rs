//! What the daemon takes while there is nothing to do: memory, and processor time if any can be seen.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::desk::{Desk, Shop};

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
    let mut daemon = Daemon::start(program, &desk)?;
    let began = Instant::now();
    while desk.check(true, orders).is_err() {
        anyhow::ensure!(
            began.elapsed() < HISTORY_WITHIN,
            "the daemon does not finish the history"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let after_walk = daemon.watch()?;
    daemon.stop()?;
    let mut daemon = Daemon::start(program, &desk)?;
    let after_start = daemon.watch()?;
    daemon.stop()?;
    Ok([after_walk, after_start])
}

struct Daemon(Child);

impl Daemon {
    fn start(program: &Path, desk: &Desk) -> anyhow::Result<Daemon> {
        let child = Command::new(program)
            .arg("--config")
            .arg(&desk.config)
            .args(["--quiet", "run"])
            .stdin(Stdio::null())
            .spawn()
            .context("starting the daemon")?;
        Ok(Daemon(child))
    }

    fn watch(&mut self) -> anyhow::Result<Idle> {
        std::thread::sleep(SETTLE);
        let before = self.ticks()?;
        std::thread::sleep(WATCHED);
        Ok(Idle {
            watched: WATCHED,
            ticks: self.ticks()? - before,
            resident_kib: self.resident_kib()?,
        })
    }

    /// User and system time: fields 14 and 15 of `/proc/PID/stat`, counted behind the name in brackets.
    fn ticks(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("an odd stat file")?;
        let fields = fields.split(' ').skip(11).take(2);
        let times = fields.map(|field| field.parse::<u64>());
        Ok(times.collect::<Result<Vec<_>, _>>()?.iter().sum())
    }

    fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }

    fn stop(&mut self) -> anyhow::Result<()> {
        let stopped = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()?;
        anyhow::ensure!(stopped.success(), "the daemon cannot be stopped");
        let ended = self.0.wait()?;
        anyhow::ensure!(ended.success(), "the daemon ended with {ended}");
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Best effort: it has ended already where all went well.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
