//! The private side: the admin page, its API, health and metrics. It shows what the state file says, and hands what a
//! person wants done to the daemon as the same jobs that commands give it. It must never show a secret, and never do
//! anything for a page of another site.

mod api;
mod gate;
mod health;
mod listen;
mod metrics;
mod pages;
mod routes;
mod sessions;
mod view;

use std::collections::BTreeMap;
use std::sync::Arc;

use contract::{Clock, Connector, Stamp};
use futures::future::BoxFuture;

pub use listen::Admin;

use crate::config::{self, Config};
use crate::engine::Lanes;
use crate::store::Store;
use crate::work::{Job, Standing, Told};

/// Everything that one config and its connectors say; a reload brings the next one.
pub struct Desk {
    pub settings: config::Admin,
    pub config: Arc<Config>,
    pub connectors: BTreeMap<String, Arc<dyn Connector>>,
    pub clock: Arc<dyn Clock>,
    pub lanes: Arc<Lanes>,
    /// When this process began, in milliseconds since 1970 UTC.
    pub started_at: Stamp,
}

/// Carries jobs out, as for a command beside the daemon.
pub trait Hands: Send + Sync {
    fn carry_out(&self, job: Job) -> BoxFuture<'static, Report>;
    /// What became of webhook calls since the start, by kind.
    fn calls(&self) -> Vec<(&'static str, u64)>;
}

/// What came of a job, and what it said.
pub struct Report {
    pub told: Told,
    pub lines: Vec<String>,
}

impl Desk {
    /// The state file as it is now, beside whoever writes it.
    async fn store(&self) -> anyhow::Result<Option<Store>> {
        Store::look(&self.config.state_path).await
    }

    async fn standing(&self) -> anyhow::Result<Standing<'_>> {
        let store = self.store().await?;
        Standing::of(&self.config, store.as_ref(), true, self.clock.now()).await
    }
}
