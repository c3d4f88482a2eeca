//! Arguments in, exit code out.

/// A line on stdout. A reader that has gone away (`| head`) is no error.
macro_rules! outln {
    ($($told:tt)*) => {
        $crate::cli::output::write_line(format_args!($($told)*))
    };
}

mod check;
mod demo;
mod failures;
mod init;
mod output;
mod preview;
mod progress;
mod run;
mod sandbox;
mod setup;
mod status;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config;

/// Done, all delivered.
const DONE: u8 = 0;
/// Could not do it.
const FAILED: u8 = 1;
/// The command line or the config is wrong.
const MISUSED: u8 = 2;
/// Finished, but some records wait or are in `failures`.
const UNFINISHED: u8 = 3;

/// Keeps a SeloraX store and an ERP or accounting system in step.
#[derive(Debug, Parser)]
#[command(name = "selorax-sync", version, about, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done · 1 could not do it · 2 usage or config error · 3 done, but some records wait or failed"
)]
pub struct Cli {
    #[command(flatten)]
    common: Common,
    /// One incremental pass of every (or the named) flow: read what is new, deliver, exit
    #[arg(long, value_name = "FLOW", num_args = 0.., conflicts_with = "backfill")]
    once: Option<Vec<String>>,
    /// Walk history, oldest first, deliver it, exit; interrupted, the same command goes on where it was
    #[arg(long, value_name = "FLOW", num_args = 0..)]
    backfill: Option<Vec<String>>,
    /// With --backfill: records created on or after this date (2025-06-15, in the store's time zone) or time
    #[arg(long, value_name = "DATE", requires = "backfill")]
    since: Option<String>,
    /// With --backfill: records created on or before this date or time
    #[arg(long, value_name = "DATE", requires = "backfill")]
    until: Option<String>,
    /// Everything but the writes to the other side; prints what would be sent
    #[arg(long)]
    dry_run: bool,
    /// With --once: how long to wait for what becomes due, and for a peer that is in trouble
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    wait: Duration,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Args)]
struct Common {
    /// The config file [default: ./sync.yaml, else /etc/selorax-sync/sync.yaml]
    #[arg(long, global = true, value_name = "PATH")]
    config: Option<PathBuf>,
    /// How log lines on stderr are written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,
    /// More on stderr; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Only errors on stderr
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The daemon (not in this version; use --once from a timer)
    Run,
    /// Check the config, every mapping and every name; with --connect also each credential and folder
    Check {
        /// Try each credential, scope and path too
        #[arg(long)]
        connect: bool,
    },
    /// Fetch a few records and show what the flow makes of them; writes nothing
    Preview {
        flow: String,
        /// This record
        #[arg(long)]
        id: Option<String>,
        /// So many of the latest
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=250))]
        limit: u64,
        /// One JSON object a line, {"input", "output"}
        #[arg(long)]
        json: bool,
    },
    /// Write a config file to start from: asks, or takes flags; then checks it
    Init(Box<init::Init>),
    /// How each flow stands
    Status {
        #[arg(long)]
        json: bool,
        /// Exit with 3 when something waits or failed
        #[arg(long)]
        check: bool,
    },
    /// Records that could not be read, mapped or delivered
    #[command(subcommand)]
    Failures(failures::Failures),
    /// Print the JSON Schema of the config file, for editors
    Schema,
    /// Print a completion script
    Completions { shell: clap_complete::Shell },
    /// A guided first run on a built-in store; writes under ./demo only
    Demo(demo::Demo),
    /// A pretend SeloraX store on this machine, to try a config against
    Sandbox(sandbox::SandboxArgs),
}

fn duration(text: &str) -> Result<Duration, String> {
    contract::settings::parse_duration(text)
}

/// Runs the command line and answers with the exit code.
pub async fn main(cli: Cli) -> u8 {
    start_log(&cli.common);
    let stop = stop_signal();
    tokio::select! {
        code = dispatch(cli) => code,
        () = stop => {
            eprintln!("interrupted; nothing is lost, and the same command goes on from here");
            FAILED
        }
    }
}

async fn dispatch(cli: Cli) -> u8 {
    let Cli {
        common,
        once,
        backfill,
        since,
        until,
        dry_run,
        wait,
        command,
    } = cli;
    if command.is_some() && (once.is_some() || backfill.is_some()) {
        eprintln!("error: --once and --backfill are commands of their own; leave out the other one");
        return MISUSED;
    }
    let path = config::find(common.config, &config::process_env);
    let result = match (command, once, backfill) {
        (None, Some(flows), None) => run::once(&path, &flows, wait, dry_run).await,
        (None, None, Some(flows)) => run::backfill(&path, &flows, since.as_deref(), until.as_deref(), dry_run).await,
        (None | Some(Command::Run), ..) => {
            eprintln!(
                "error: the daemon is not in this version yet\nhint: `selorax-sync --once` does one pass; \
                 systemd/selorax-sync.timer runs it every few minutes"
            );
            Ok(FAILED)
        }
        (Some(Command::Check { connect }), ..) => check::check(&path, connect).await,
        (Some(Command::Preview { flow, id, limit, json }), ..) => {
            preview::preview(&path, &flow, id.as_deref(), limit, json).await
        }
        (Some(Command::Init(init)), ..) => init.run().await,
        (Some(Command::Status { json, check }), ..) => status::status(&path, json, check).await,
        (Some(Command::Failures(failures)), ..) => failures.run(&path).await,
        (Some(Command::Schema), ..) => output::print_json(&config::schema()),
        (Some(Command::Completions { shell }), ..) => {
            clap_complete::generate(shell, &mut Cli::command(), "selorax-sync", &mut std::io::stdout());
            Ok(DONE)
        }
        (Some(Command::Demo(demo)), ..) => demo.run().await,
        (Some(Command::Sandbox(args)), ..) => args.run().await,
    };
    result.unwrap_or_else(|error| tell(&error))
}

/// Every error leaves the program here, once.
fn tell(error: &anyhow::Error) -> u8 {
    if let Some(broken) = error.downcast_ref::<config::Broken>() {
        eprintln!("{broken}");
        return MISUSED;
    }
    if let Some(Usage(message)) = error.downcast_ref::<Usage>() {
        eprintln!("error: {message}");
        return MISUSED;
    }
    eprintln!("error: {error:#}");
    FAILED
}

/// The person asked for something that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Waits for SIGTERM or SIGINT. One-shot runs may end between any two steps.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

fn start_log(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "selorax_sync=info,connectors=info,warn",
        (false, _) => "selorax_sync=debug,connectors=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    // A second start in one process, as tests do, keeps the first one's settings.
    let started = match common.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    drop(started);
}
