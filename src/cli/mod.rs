//! Arguments in, exit code out.

/// A line on stdout. A reader that has gone away (`| head`) is no error.
macro_rules! outln {
    ($($told:tt)*) => {
        $crate::cli::output::write_line(format_args!($($told)*))
    };
}

mod alert;
mod check;
mod demo;
mod explain;
mod failures;
mod init;
mod live;
mod output;
mod preview;
mod progress;
mod run;
mod sandbox;
mod status;
mod tail;
mod webhooks;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config;
use crate::work::{self, DONE, FAILED, Job, MISUSED, UNFINISHED, Usage};

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
    /// The daemon: passes on schedule, delivery, commands beside it (also without any command)
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
        /// Exit with 3 when something waits, failed or is alerted
        #[arg(long)]
        check: bool,
    },
    /// Records that could not be read, mapped or delivered
    #[command(subcommand)]
    Failures(failures::Failures),
    /// Send records again even if nothing of them changed
    Replay {
        flow: String,
        /// Records that were sent and changed on or after this date (2025-06-15, in the store's time zone) or time
        #[arg(long, value_name = "DATE", required_unless_present = "id", conflicts_with = "id")]
        since: Option<String>,
        /// This record
        #[arg(long)]
        id: Option<String>,
    },
    /// Whether a target that takes records one by one holds what was sent to it; writes nothing without --repair
    Reconcile {
        flow: Option<String>,
        /// Send again what is missing, and give what is different its content
        #[arg(long)]
        repair: bool,
        /// With --repair: change nothing if there are more than this [default: 50, or 1 % of the records if more]
        #[arg(long, value_name = "N", requires = "repair")]
        at_most: Option<u64>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// What the store calls this daemon about
    #[command(subcommand)]
    Webhooks(webhooks::Webhooks),
    /// Everything that is known of one order, customer or SKU, oldest first
    Explain {
        /// Its key at the store, or its id at a target
        record: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Copy the state to a new file, also while the daemon works with it
    Backup { path: PathBuf },
    /// Who is told when data does not flow
    #[command(subcommand)]
    Alert(alert::AlertCommand),
    /// What is being delivered, live, one line a record
    Tail {
        flow: Option<String>,
        /// Begin with so many of the latest
        #[arg(short = 'n', long, default_value_t = 10)]
        lines: u32,
    },
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
    let is_daemon = cli.once.is_none() && cli.backfill.is_none() && matches!(cli.command, None | Some(Command::Run));
    let _log = start_log(&cli.common, is_daemon);
    if is_daemon {
        let path = config::find(cli.common.config, &config::process_env);
        return tell(run::daemon(&path).await.map(|()| DONE));
    }
    // What goes on until somebody ends it ends well that way.
    let interrupted = match job_of(&cli) {
        // Asked for again it would be queued again.
        Some(Job::Replay { .. } | Job::Retry { .. }) => {
            "interrupted; what was queued is seen to by the next run, or by the daemon"
        }
        _ => "interrupted; nothing is lost, and the same command goes on from here",
    };
    let is_endless = matches!(cli.command, Some(Command::Tail { .. } | Command::Sandbox(_)));
    tokio::select! {
        code = dispatch(cli) => code,
        () = stop_signal() => {
            if is_endless {
                return DONE;
            }
            eprintln!("{interrupted}");
            FAILED
        }
    }
}

async fn dispatch(cli: Cli) -> u8 {
    let path = config::find(cli.common.config.clone(), &config::process_env);
    if cli.command.is_some() && (cli.once.is_some() || cli.backfill.is_some()) {
        eprintln!("error: --once and --backfill are commands of their own; leave out the other one");
        return MISUSED;
    }
    match job_of(&cli) {
        Some(job) => run::job(&path, &job).await,
        None => tell(command(cli, &path).await),
    }
}

/// The job that was asked for, if it is one.
fn job_of(cli: &Cli) -> Option<Job> {
    let dry = cli.dry_run;
    if let Some(flows) = &cli.once {
        return Some(Job::Once {
            flows: flows.clone(),
            wait: cli.wait,
            dry,
        });
    }
    if let Some(flows) = &cli.backfill {
        return Some(Job::Backfill {
            flows: flows.clone(),
            since: cli.since.clone(),
            until: cli.until.clone(),
            dry,
        });
    }
    match cli.command.as_ref()? {
        Command::Failures(failures) => failures.job(),
        Command::Replay { flow, since, id } => Some(Job::Replay {
            flow: flow.clone(),
            since: since.clone(),
            id: id.clone(),
        }),
        Command::Reconcile {
            flow,
            repair,
            at_most,
            json,
        } => Some(Job::Reconcile {
            flow: flow.clone(),
            repair: *repair,
            at_most: *at_most,
            json: *json,
        }),
        _ => None,
    }
}

async fn command(cli: Cli, path: &std::path::Path) -> anyhow::Result<u8> {
    match cli.command {
        Some(Command::Check { connect }) => check::check(path, connect).await,
        Some(Command::Preview { flow, id, limit, json }) => {
            preview::preview(path, &flow, id.as_deref(), limit, json).await
        }
        Some(Command::Init(init)) => init.run().await,
        Some(Command::Status { json, check }) => status::status(path, json, check).await,
        Some(Command::Failures(failures)) => failures.look(path).await,
        Some(Command::Webhooks(webhooks)) => webhooks.run(path).await,
        Some(Command::Explain { record, json }) => explain::explain(path, &record, json).await,
        Some(Command::Backup { path: to }) => explain::backup(path, &to).await,
        Some(Command::Alert(alert)) => alert.run(path).await,
        Some(Command::Tail { flow, lines }) => tail::tail(path, flow.as_deref(), lines).await,
        Some(Command::Schema) => output::print_json(&config::schema()),
        Some(Command::Completions { shell }) => {
            clap_complete::generate(shell, &mut Cli::command(), "selorax-sync", &mut std::io::stdout());
            Ok(DONE)
        }
        Some(Command::Demo(demo)) => demo.run().await,
        Some(Command::Sandbox(args)) => args.run().await,
        // Jobs, and the daemon.
        Some(Command::Run | Command::Replay { .. } | Command::Reconcile { .. }) | None => Ok(DONE),
    }
}

fn tell(result: anyhow::Result<u8>) -> u8 {
    let told = work::told(result);
    if let Some(error) = told.error {
        eprintln!("{error}");
    }
    told.code
}

/// Waits for SIGTERM or SIGINT. A command may end between any two steps.
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

/// Log lines go to stderr. The daemon's are written by a thread of their own, so that a reader who stands still
/// holds up the log and nothing else; what is too much for it then is dropped. The guard writes out the rest.
fn start_log(common: &Common, is_daemon: bool) -> Option<tracing_appender::non_blocking::WorkerGuard> {
    let level = match (common.quiet, common.verbose, is_daemon) {
        (true, ..) => "error",
        (false, 0, false) => "warn",
        (false, 0, true) | (false, 1, _) => "selorax_sync=info,connectors=info,warn",
        (false, ..) => "selorax_sync=debug,connectors=debug,info",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    let ansi = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(ansi);
    // A second start in one process, as tests do, keeps the first one's settings.
    if !is_daemon {
        let builder = builder.with_writer(std::io::stderr);
        let started = match common.log_format {
            LogFormat::Text => builder.with_target(false).try_init(),
            LogFormat::Json => builder.json().try_init(),
        };
        drop(started);
        return None;
    }
    let (writer, guard) = tracing_appender::non_blocking(std::io::stderr());
    let builder = builder.with_writer(writer);
    let started = match common.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    drop(started);
    Some(guard)
}
