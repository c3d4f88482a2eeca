//! The binary: a runtime, the command line, an exit code.

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = selorax_sync::cli::Cli::parse();
    // Two workers: the work is waiting, and one may be busy mapping.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_stack_size(4 << 20)
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => ExitCode::from(runtime.block_on(selorax_sync::cli::main(cli))),
        Err(error) => {
            eprintln!("error: starting: {error}");
            ExitCode::FAILURE
        }
    }
}
