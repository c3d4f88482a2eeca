//! Stages of a chore: what ran, how long it took, and the first one that failed.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

pub(crate) struct Stages {
    started: Instant,
    done: Vec<(&'static str, Duration)>,
}

impl Stages {
    pub(crate) fn start() -> Stages {
        Stages {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs one stage and says how long it took. An error ends the chore.
    pub(crate) fn run(&mut self, name: &'static str, stage: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
        let started = Instant::now();
        let result = stage();
        let took = started.elapsed();
        let word = if result.is_ok() { "ok" } else { "FAILED" };
        println!("== {name}: {word} in {:.1} s", took.as_secs_f64());
        self.done.push((name, took));
        result.with_context(|| format!("stage {name}"))
    }

    /// All of it once more, in few words.
    pub(crate) fn tell(&self) {
        for (name, took) in &self.done {
            println!("   {name:<8} {:>7.1} s", took.as_secs_f64());
        }
        println!("== all stages passed in {:.1} s", self.started.elapsed().as_secs_f64());
    }
}

/// Runs a command to its end; its output goes where ours goes.
pub(crate) fn run(mut command: Command) -> anyhow::Result<()> {
    let shown = shown(&command);
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("starting `{shown}`"))?;
    anyhow::ensure!(status.success(), "`{shown}` failed: {status}");
    Ok(())
}

fn shown(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    let name = program.file_name().unwrap_or(command.get_program());
    let words = std::iter::once(name).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
