//! The processor time and the memory of one program. The kernel counts these for all children of a process
//! together, so each program gets a process of its own for a parent: this one, started anew.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    pub(super) user: Duration,
    pub(super) system: Duration,
    pub(super) wall: Duration,
    pub(super) peak_kib: u64,
}

impl Cost {
    pub(super) fn processor(&self) -> Duration {
        self.user + self.system
    }
}

/// Runs the command below a process of its own, and reads what that one says of it.
pub(super) fn measure(command: Command) -> anyhow::Result<Cost> {
    let mut parent = Command::new(std::env::current_exe()?);
    parent
        .arg("bench-watch")
        .arg(command.get_program())
        .args(command.get_args());
    let output = parent.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    anyhow::ensure!(output.status.success(), "it failed: {}", output.status);
    let told = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    match numbers.as_slice() {
        [user, system, wall, peak_kib] => Ok(Cost {
            user: Duration::from_micros(*user),
            system: Duration::from_micros(*system),
            wall: Duration::from_micros(*wall),
            peak_kib: *peak_kib,
        }),
        _ => anyhow::bail!("the watching process said {told:?}"),
    }
}

/// The other end of [`measure`]: runs one program to its end, and tells microseconds of user, system and
/// wall time, and its peak resident set in KiB.
pub(crate) fn watch(args: &[String]) -> anyhow::Result<()> {
    let (program, args) = args.split_first().context("nothing to watch")?;
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).stdout(Stdio::null());
    let began = Instant::now();
    let output = command.output().with_context(|| format!("starting {program}"))?;
    let wall = began.elapsed();
    // What it says matters only when it fails.
    let said = String::from_utf8_lossy(&output.stderr);
    anyhow::ensure!(output.status.success(), "{}: {said}", output.status);
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    println!(
        "{} {} {} {}",
        usage.user_time().num_microseconds(),
        usage.system_time().num_microseconds(),
        wall.as_micros(),
        usage.max_rss()
    );
    Ok(())
}
