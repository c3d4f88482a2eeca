//! The binary: a runtime, the command line, an exit code.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long calls of the system that are still under way are waited for at the end.
const SHUTDOWN: std::time::Duration = std::time::Duration::from_secs(2);

fn main() -> ExitCode {
    let cli = selorax_sync::cli::Cli::parse();
    // Two workers: the work is waiting, and one may be busy mapping.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(4 << 20)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => {
            let code = runtime.block_on(selorax_sync::cli::main(cli));
            // A disk that hangs must not keep a process that is told to stop.
            runtime.shutdown_timeout(SHUTDOWN);
            ExitCode::from(code)
        }
        Err(error) => {
            eprintln!("error: starting: {error}");
            ExitCode::FAILURE
        }
    }
}
