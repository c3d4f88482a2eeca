//! The pretend store of a test, in this process, and what its truth says a run must have seen.

use std::sync::Arc;

use sandbox::{Options, Order, Sandbox, World};
use sha2::{Digest, Sha256};
use tokio::runtime::Runtime;

use super::CANARY;

pub(crate) struct Shop {
    sandbox: Sandbox,
    /// Declared behind the sandbox, so that it outlives it.
    _runtime: Runtime,
}

/// A shop with so many orders and secrets that are easy to find where they must not be.
pub(crate) fn options(orders: usize) -> Options {
    Options {
        orders,
        client_id: format!("sx_app_{CANARY}{}", "5a".repeat(13)),
        client_secret: format!("sx_secret_{CANARY}{}", "5b".repeat(29)),
        access_token: format!("sx_at_{CANARY}{}", "5c".repeat(45)),
        ..Options::default()
    }
}

impl Shop {
    pub(crate) fn open(options: Options) -> Shop {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let sandbox = runtime.block_on(Sandbox::start(options)).unwrap();
        Shop {
            sandbox,
            _runtime: runtime,
        }
    }

    pub(crate) fn of(orders: usize) -> Shop {
        Shop::open(options(orders))
    }

    pub(crate) fn world(&self) -> &Arc<World> {
        self.sandbox.world()
    }

    pub(crate) fn url(&self) -> String {
        self.sandbox.url()
    }

    /// So many ids of orders that exist, spread over all of them.
    pub(crate) fn some_ids(&self, count: usize) -> Vec<i64> {
        let ids: Vec<i64> = self.world().final_orders().into_keys().collect();
        let step = (ids.len() / count).max(1);
        ids.into_iter().step_by(step).take(count).collect()
    }
}

/// What a summary tells of a walk: how many records, the sum of their totals in paisa, the fingerprint of their ids.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Covered {
    pub(crate) records: u64,
    pub(crate) total: i64,
    pub(crate) ids: String,
}

impl Covered {
    /// From the truth, by a reckoning of its own.
    pub(crate) fn expected(world: &World) -> Covered {
        let orders = world.final_orders();
        let first_half = |id: &i64| {
            let sum = Sha256::digest(id.to_string().as_bytes());
            i64::from_be_bytes(sum[..8].try_into().unwrap())
        };
        let ids = orders.keys().map(first_half).fold(0, i64::wrapping_add);
        Covered {
            records: u64::try_from(orders.len()).unwrap(),
            total: orders.values().map(|order: &Arc<Order>| order.grand_total()).sum(),
            ids: format!("{ids:016x}"),
        }
    }

    /// From the `history` line of a summary.
    pub(crate) fn told(out: &str) -> Covered {
        let line = out.lines().find(|line| line.trim_start().starts_with("history"));
        let line = line.unwrap_or_else(|| panic!("no history line in:\n{out}"));
        let words: Vec<&str> = line.split([' ', ',']).filter(|word| !word.is_empty()).collect();
        let behind = |name: &str| words[words.iter().position(|word| *word == name).unwrap() + 1];
        let count = words.iter().position(|word| *word == "records").unwrap();
        // Thousands are grouped with commas, which the split took apart.
        let digits: String = words[1..count].concat();
        Covered {
            records: digits.parse().unwrap(),
            total: super::check::paisa(behind("total")).unwrap(),
            ids: behind("ids").to_owned(),
        }
    }
}
