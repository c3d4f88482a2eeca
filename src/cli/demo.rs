//! `demo`: the guided first run.

use super::DONE;

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How many orders the pretend store has
    #[arg(long, default_value_t = 3000)]
    orders: usize,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<u8> {
        println!("{}", self.orders);
        Ok(DONE)
    }
}
