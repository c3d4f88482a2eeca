//! A program that runs until it is told to end, and what the kernel says of it meanwhile.

use std::process::{Child, Command, Stdio};

use anyhow::Context;

pub(super) struct Running(Child);

impl Running {
    pub(super) fn start(mut command: Command) -> anyhow::Result<Running> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).spawn();
        Ok(Running(child.with_context(|| format!("starting {name}"))?))
    }

    /// User and system time of all its threads, in hundredths of a second: fields 14 and 15 of `/proc/PID/stat`,
    /// counted behind the name in brackets.
    pub(super) fn ticks(&self) -> anyhow::Result<u64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id()))?;
        let (_, fields) = stat.rsplit_once(") ").context("an odd stat file")?;
        let fields = fields.split(' ').skip(11).take(2);
        let times = fields.map(|field| field.parse::<u64>());
        Ok(times.collect::<Result<Vec<_>, _>>()?.iter().sum())
    }

    pub(super) fn resident_kib(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        Ok(number.context("no VmRSS")?.parse()?)
    }

    /// One that has ended by itself did not do what it was started for.
    pub(super) fn is_alive(&mut self) -> anyhow::Result<()> {
        match self.0.try_wait()? {
            None => Ok(()),
            Some(ended) => anyhow::bail!("it ended with {ended}"),
        }
    }

    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        let stopped = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status()?;
        anyhow::ensure!(stopped.success(), "the daemon cannot be stopped");
        let ended = self.0.wait()?;
        anyhow::ensure!(ended.success(), "the daemon ended with {ended}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Best effort: it has ended already where all went well.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}
