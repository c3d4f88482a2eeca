//! The chores of this repository: `cargo xtask test`, `ci` and `bench`. Builds nothing itself; it starts
//! cargo and the tools that the chores need, and says how long each took.

mod bench;
mod deny;
mod needs;
mod sizes;
mod stage;
mod tryton;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::Context;
use stage::Stages;

const USAGE: &str = "usage: cargo xtask test [ARGS for cargo test]
       cargo xtask ci
       cargo xtask bench [ORDERS ...]
       cargo xtask bench webhooks [EVENTS]

test   installs what the tests need where it is missing, then runs all tests
ci     formatting, lints, all tests, documentation, licences and bans, long files
bench  what a backfill, or a webhook, costs in processor time, and how that compares; see docs/bench.md";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let chore = args.next();
    let rest: Vec<String> = args.collect();
    let done = match (chore.as_deref(), rest.as_slice()) {
        (Some("test"), rest) => test(rest),
        (Some("ci"), []) => ci(),
        (Some("bench"), rest) => bench::run(rest),
        // Started by `bench` itself.
        (Some("bench-watch"), rest) => bench::watch(rest),
        (Some("help" | "--help" | "-h"), _) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> anyhow::Result<()> {
    let mut stages = Stages::start();
    stages.run("fmt", || stage::run(cargo(&["fmt", "--all", "--", "--check"])))?;
    stages.run("clippy", || {
        let warnings = ["--", "-D", "warnings"];
        let mut clippy = cargo(&["clippy", "--workspace", "--all-targets", "--locked"]);
        clippy.args(warnings);
        stage::run(clippy)
    })?;
    stages.run("test", || test(&[]))?;
    stages.run("doc", || {
        let mut doc = cargo(&["doc", "--no-deps", "--workspace", "--locked"]);
        doc.env("RUSTDOCFLAGS", "-D warnings");
        stage::run(doc)
    })?;
    stages.run("deny", deny::check)?;
    stages.run("sizes", || sizes::print(root()))?;
    stages.tell();
    Ok(())
}

fn test(args: &[String]) -> anyhow::Result<()> {
    needs::provide().context("providing what the tests need")?;
    tryton::provide().context("providing the ERP of the tests")?;
    let mut test = cargo(&["test", "--workspace", "--locked"]);
    // Most tests wait for other processes: one more at a time than there are cores, unless it is said otherwise.
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        test.env("RUST_TEST_THREADS", (cores + 1).to_string());
    }
    test.args(args);
    stage::run(test)
}

/// The cargo that started this program, in the root of the repository.
fn cargo(args: &[&str]) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(args).current_dir(root());
    cargo
}

fn root() -> &'static Path {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.parent().unwrap_or(own)
}

/// Where cargo puts what it builds.
fn target() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => root().join(target),
        None => root().join("target"),
    }
}
