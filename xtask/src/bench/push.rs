//! What it costs to bring orders to an ERP one by one, each at most once whatever happens: the daemon beside a loop that
//! reads the same pages, posts the same bodies with as many calls at once, and keeps nothing.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use super::desk::{Desk, Shop};
use super::probe::{Cost, measure};
use super::{RUNS, program, tell};

const ORDERS: usize = 10_000;
const ORDERS_MIN: usize = 500;
const CONCURRENCY: [usize; 2] = [4, 16];
const CONFIG: &str = include_str!("push.yaml");

/// Who pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pusher {
    Bare,
    Daemon,
}

impl Pusher {
    const ALL: [Pusher; 2] = [Pusher::Bare, Pusher::Daemon];

    pub(super) fn name(self) -> &'static str {
        match self {
            Pusher::Bare => "bare loop",
            Pusher::Daemon => "selorax-sync",
        }
    }
}

/// A pretend ERP that has nothing yet. It is ended with this.
struct Erp {
    process: Child,
    url: String,
    token: String,
}

impl Erp {
    fn open() -> anyhow::Result<Erp> {
        let mut process = Command::new(program("selorax-sync"))
            .args(["sandbox", "--erp", "--stock", "0", "--listen", "127.0.0.1:0"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the pretend ERP")?;
        let said = process.stdout.take().context("the pretend ERP says nothing")?;
        let mut erp = Erp {
            process,
            url: String::new(),
            token: String::new(),
        };
        for line in BufReader::new(said).lines() {
            let line = line?;
            if let Some((_, url)) = line.split_once("base_url: ") {
                erp.url = url.to_owned();
            }
            if let Some((_, token)) = line.split_once("{type: bearer, token: ") {
                erp.token = token.trim_end_matches('}').to_owned();
                return Ok(erp);
            }
        }
        anyhow::bail!("the pretend ERP ended before it listened")
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        // Best effort: it may be gone already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// `cargo xtask bench push [ORDERS]`
pub(super) fn run(args: &[String]) -> anyhow::Result<()> {
    let orders: usize = match args {
        [] => ORDERS,
        [orders] => orders.parse().context("orders are given as a whole number")?,
        _ => anyhow::bail!("usage: cargo xtask bench push [ORDERS]"),
    };
    anyhow::ensure!(orders >= ORDERS_MIN, "fewer than {ORDERS_MIN} orders tell nothing");
    let shop = Shop::open(&program("selorax-sync"), orders)?;
    tell::head();
    for concurrency in CONCURRENCY {
        let mut costs = Pusher::ALL.map(|pusher| (pusher, Vec::new()));
        // In turns, so that a noisy minute falls on both.
        for _ in 0..RUNS {
            for (pusher, costs) in &mut costs {
                let cost = push(*pusher, &shop, concurrency, orders);
                costs.push(cost.with_context(|| pusher.name())?);
            }
        }
        tell::pushes(orders, concurrency, &costs);
    }
    Ok(())
}

fn push(pusher: Pusher, shop: &Shop, concurrency: usize, orders: usize) -> anyhow::Result<Cost> {
    let erp = Erp::open()?;
    let at_once = concurrency.to_string();
    let config = CONFIG
        .replace("ERP_URL", &erp.url)
        .replace("ERP_TOKEN", &erp.token)
        .replace("CONCURRENCY", &at_once);
    let desk = Desk::with(shop, &config)?;
    let command = match pusher {
        Pusher::Bare => {
            let mut command = Command::new(program("bare"));
            command.args(["push", &shop.url, &shop.token, &erp.url, &erp.token, &at_once]);
            command
        }
        Pusher::Daemon => {
            let mut command = Command::new(program("selorax-sync"));
            command.arg("--config").arg(&desk.config).arg("--backfill");
            command
        }
    };
    let cost = measure(command)?;
    // A run that left out orders was not the run that was to be measured.
    let truth = erp.url.replace("/api", "/_sandbox/truth");
    let created = Command::new(program("bare")).args(["lines", &truth]).output()?;
    let created = String::from_utf8(created.stdout)?;
    anyhow::ensure!(
        created.trim() == orders.to_string(),
        "{} records were created for {orders} orders",
        created.trim()
    );
    Ok(cost)
}
