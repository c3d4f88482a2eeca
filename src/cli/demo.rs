//! `demo`: the guided first run. A pretend store is started inside this process, its history is brought
//! over, a few orders change, one pass takes the changes. Writes under ./demo only.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use sandbox::{Clock, Options, Sandbox, World};

use super::progress::Console;
use super::{live, run};
use crate::config::Mode;
use crate::work::{self, Job, grouped, load};

const FOLDER: &str = "demo";
/// Marks a folder that an earlier demo made, which this one may empty.
const MARK: &str = "demo/made-by-selorax-sync-demo";

#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// How many orders the pretend store has
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(10..=200_000))]
    orders: u32,
}

impl Demo {
    pub(super) async fn run(self) -> anyhow::Result<u8> {
        prepare()?;
        let orders = usize::try_from(self.orders)?;
        let options = Options {
            orders,
            clock: Clock::Real,
            ..Options::default()
        };
        let sandbox = Sandbox::start(options.clone())
            .await
            .context("starting the pretend store")?;
        heading(&format!(
            "1. A pretend store with {} orders is up at {}",
            grouped(orders as u64),
            sandbox.url()
        ));
        outln!("   Its config is demo/sync.yaml: a store, a folder, one flow between them.");
        let config = Path::new("demo/sync.yaml");
        std::fs::write(config, yaml(&sandbox.url(), &options, "1m")).context("writing demo/sync.yaml")?;
        own_only(config)?;

        heading("2. selorax-sync --backfill: all history into CSV files, each order once");
        let mut code = pass(config, true).await?;

        heading("3. In the shop two orders come in and three old ones change …");
        change(sandbox.world());
        heading("4. selorax-sync --once: the changes, and nothing else");
        code = code.max(pass(config, false).await?);

        heading("5. Once more: nothing changed, so nothing is sent");
        code = code.max(pass(config, false).await?);

        heading("6. selorax-sync: the daemon, for two of the shop's hours in twelve seconds");
        outln!("   It looks every ten minutes and gives a file one minute to fill.");
        code = code.max(live::show(config, sandbox.world()).await?);

        heading("8. Webhooks: the store calls, and nothing waits for the schedule");
        let address = free_address()?;
        let path = "/webhooks/selorax";
        let subscriptions = sandbox.world().subscribe_all(&format!("http://{address}{path}"));
        let subscriptions = subscriptions.map_err(anyhow::Error::msg)?;
        let secret = subscriptions.first().map(|one| one.secret.as_str()).unwrap_or_default();
        std::fs::write(
            config,
            yaml(&sandbox.url(), &options, "1s") + &hooked(&address, path, secret),
        )
        .context("writing demo/sync.yaml")?;
        outln!("   demo/sync.yaml has a section `webhooks` now; the store calls http://{address}{path}");
        code = code.max(live::ring(config, sandbox.world()).await?);
        sandbox.stop().await;
        tell_files()?;
        outln!("{NEXT}");
        Ok(code)
    }
}

const NEXT: &str = "
To use it with your own store:
  1. selorax-sync init                   asks a few questions and writes sync.yaml
  2. selorax-sync check --connect        tries each credential, scope and folder
  3. selorax-sync preview FLOW           shows what becomes of a few real orders; writes nothing
  4. selorax-sync --backfill             brings the history over; interrupt it as you like
  5. selorax-sync                        the daemon: systemd/selorax-sync.service
To play on: selorax-sync sandbox         a pretend store to point a config at";

pub(super) fn heading(text: &str) {
    outln!("\n\u{2500}\u{2500} {text}");
}

fn prepare() -> anyhow::Result<()> {
    let folder = Path::new(FOLDER);
    let empty = folder.read_dir().map_or(true, |mut entries| entries.next().is_none());
    if !empty && !Path::new(MARK).exists() {
        anyhow::bail!("there is a folder ./demo that no demo made; run this in another place");
    }
    if !empty {
        std::fs::remove_dir_all(folder).context("emptying ./demo")?;
    }
    std::fs::create_dir_all(folder).context("making ./demo")?;
    std::fs::write(MARK, "selorax-sync demo empties this folder when it runs again\n").context("writing into ./demo")
}

/// The config holds credentials, if only of a pretend store.
fn own_only(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

fn yaml(url: &str, options: &Options, max_wait: &str) -> String {
    format!(
        "version: 1
state: {{path: ./state.db}}
store:
  url: {url}
  store_id: {}
  client_id: {}
  client_secret: {}
  rate_limit: 30/s       # a real store gets 60/min unless you say otherwise
  burst: 5
connectors:
  drop:
    type: csv
    location: ./out
    resources:
      orders:
        write: {{file: \"orders-{{timestamp}}-{{batch}}.csv\", max_records: 1000, max_wait: {max_wait}}}
flows:
  orders-to-csv:
    from: store.orders
    to: drop.orders
    schedule: \"*/10 * * * *\"
    map:                 # the columns, each a jq filter over the order
      id: .id
      number: .number
      status: .status
      total: .grand_total
      currency: .currency
      lines: '.lines | length'
      skus: '[.lines[] | .sku // \"?\"] | join(\" \")'
      updated_at: .updated_at
",
        options.store_id, options.client_id, options.client_secret
    )
}

/// An address of this machine where nobody listens just now.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").context("looking for a free address")?;
    Ok(listener.local_addr()?)
}

fn hooked(address: &SocketAddr, path: &str, secret: &str) -> String {
    format!(
        "webhooks:
  listen: {address}
  path: {path}
  secrets: [{secret}]
"
    )
}

async fn pass(path: &Path, history: bool) -> anyhow::Result<u8> {
    let config = Arc::new(load(path, Mode::Full)?);
    let job = if history {
        Job::Backfill {
            flows: Vec::new(),
            since: None,
            until: None,
            dry: false,
        }
    } else {
        Job::Once {
            flows: Vec::new(),
            wait: Duration::from_secs(30),
            dry: false,
        }
    };
    let console = Arc::new(Console::new(history));
    let code = run::here(config, &job, console.clone()).await;
    console.close();
    code
}

fn change(world: &World) {
    for id in world.insert_orders(2) {
        outln!("   order {id} is new");
    }
    let old: Vec<i64> = world.final_orders().keys().copied().take(3).collect();
    for (id, status) in old.into_iter().zip(["shipped", "delivered", "cancelled"]) {
        world.update_order(id, |order| order.status = status.to_owned());
        outln!("   order {id} is now {status}");
    }
}

fn tell_files() -> anyhow::Result<()> {
    let mut names: Vec<String> = Vec::new();
    for entry in Path::new("demo/out").read_dir().context("looking into demo/out")? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    heading(&format!("demo/out now holds {} files; the last one:", names.len()));
    if let Some(last) = names.last() {
        outln!("   demo/out/{last}");
        let text = std::fs::read_to_string(Path::new("demo/out").join(last)).context("reading it")?;
        for line in text.lines().take(6) {
            outln!("   {}", work::line(line, 110));
        }
    }
    Ok(())
}
