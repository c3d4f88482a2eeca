//! `sandbox`: the pretend store as a command.

use std::net::SocketAddr;

use super::DONE;

#[derive(Debug, clap::Args)]
pub(super) struct SandboxArgs {
    /// Where it listens; loopback addresses only
    #[arg(long, default_value = "127.0.0.1:8380")]
    listen: SocketAddr,
    /// How many orders it starts with
    #[arg(long, default_value_t = 2000)]
    orders: usize,
    /// The same seed makes the same shop
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl SandboxArgs {
    pub(super) async fn run(self) -> anyhow::Result<u8> {
        let options = sandbox::Options {
            listen: self.listen,
            orders: self.orders,
            seed: self.seed,
            // People compare what they see with the clock on the wall.
            clock: sandbox::Clock::Real,
            ..sandbox::Options::default()
        };
        sandbox::serve(options, |line| outln!("{line}")).await?;
        Ok(DONE)
    }
}
