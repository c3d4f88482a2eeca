//! What these tests run on: a sandbox store on loopback, a clock that stands still until somebody sleeps,
//! and a config over both in a folder of its own.

mod clock;
mod seen;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use contract::{Connector, Cursor, Error, Key, Pass, Progress, Row, Seams, Source, Stamp};
use sandbox::{Options, Sandbox, World};
use selorax_sync::config::{self, Config, Mode};
use selorax_sync::engine::{Engine, Flow, Ledger, Patience, Range, Voice};
use selorax_sync::store::{Failure, Store};
use tempfile::TempDir;

pub(super) use clock::{Notebook, TestClock};
pub(super) use seen::{Log, expected, most_within, times};

/// The one flow of the config.
pub(super) const FLOW: &str = "orders";

/// Longer than any test waits, in virtual time.
pub(super) const LONG: Duration = Duration::from_secs(30 * 86_400);

#[derive(Default)]
pub(super) struct Quiet(pub(super) Mutex<Vec<String>>);

impl Voice for Quiet {
    fn progress(&self, _flow: &str, _what: &str, _progress: Progress) {}
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
    fn out(&self, _line: &str) {}
    fn would_send(&self, _flow: &str, _file: &str, _row: &str) {}
}

/// How a rig is set up.
pub(super) struct Setup {
    pub(super) options: Options,
    /// Lines of the `store` section, `key: value`.
    pub(super) store: Vec<&'static str>,
    /// Lines of the flow's `map`.
    pub(super) map: Vec<&'static str>,
    pub(super) patience: Duration,
    /// Where the store is; the sandbox where nothing is said.
    pub(super) url: Option<String>,
    pub(super) ahead_ms: i64,
    /// See [`TestClock`].
    pub(super) exact: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            options: Options::default(),
            store: vec![
                "rate_limit: 1000000/s",
                "burst: 1000",
                "concurrency: 4",
                "currency: BDT",
            ],
            map: Vec::new(),
            patience: LONG,
            url: None,
            ahead_ms: 0,
            exact: false,
        }
    }
}

impl Setup {
    pub(super) fn orders(orders: usize) -> Setup {
        Setup::of(Options {
            orders,
            ..Options::default()
        })
    }

    pub(super) fn of(options: Options) -> Setup {
        Setup {
            options,
            ..Setup::default()
        }
    }

    /// Nobody waits for trouble to pass.
    pub(super) fn impatient(mut self) -> Setup {
        self.patience = Duration::ZERO;
        self
    }

    /// Puts a line in place of the one with its key.
    pub(super) fn store(mut self, line: &'static str) -> Setup {
        let key = line.split(':').next().unwrap();
        self.store.retain(|known| known.split(':').next() != Some(key));
        self.store.push(line);
        self
    }

    pub(super) async fn start(self) -> Rig {
        let sandbox = Sandbox::start(self.options.clone()).await.unwrap();
        let clock = TestClock::new(self.ahead_ms, self.exact);
        clock.link(sandbox.world());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sync.yaml");
        let url = self.url.clone().unwrap_or_else(|| sandbox.url());
        std::fs::write(&path, yaml(&self, &url)).unwrap();
        Rig {
            world: sandbox.world().clone(),
            sandbox,
            clock,
            memory: Arc::default(),
            patience: self.patience,
            folder,
            path,
        }
    }
}

fn yaml(setup: &Setup, url: &str) -> String {
    let options = &setup.options;
    let lines = |lines: &[&str], by: usize| {
        lines
            .iter()
            .map(|line| format!("{:by$}{line}\n", ""))
            .collect::<String>()
    };
    format!(
        "version: 1\nstate: {{path: ./state.db}}\nstore:\n  url: {url}\n  store_id: {}\n  client_id: {}\n  \
         client_secret: {}\n{}connectors:\n  drop:\n    type: csv\n    location: ./out\n    dialect: {{raw_cells: true}}\n    \
         resources: {{orders: {{write: {{file: \"orders-{{timestamp}}-{{batch}}.csv\"}}}}}}\nflows:\n  {FLOW}:\n    \
         from: store.orders\n    to: drop.orders\n    map:\n      id: .id\n      number: .number\n      status: .status\n      \
         total: .grand_total\n      updated_at: .updated_at\n      lines: .lines | length\n      \
         skus: '[.lines[] | .sku // \"\"] | join(\"|\")'\n      note: .note\n{}",
        options.store_id,
        options.client_id,
        options.client_secret,
        lines(&setup.store, 2),
        lines(&setup.map, 6),
    )
}

pub(super) struct Rig {
    pub(super) sandbox: Sandbox,
    pub(super) world: Arc<World>,
    pub(super) clock: Arc<TestClock>,
    pub(super) memory: Arc<Notebook>,
    pub(super) patience: Duration,
    pub(super) folder: TempDir,
    pub(super) path: PathBuf,
}

/// What one run of the engine came to.
pub(super) struct Run {
    pub(super) error: Option<String>,
    pub(super) ledger: Ledger,
}

/// What one pass brought.
#[derive(Debug, Default)]
pub(super) struct Walk {
    pub(super) rows: Vec<Row>,
    pub(super) cursor: Option<Cursor>,
    pub(super) too_deep: bool,
    pub(super) covered: Vec<Key>,
    pub(super) notes: Vec<String>,
}

impl Walk {
    pub(super) fn keys(&self) -> BTreeSet<i64> {
        self.rows.iter().map(|row| row.key.0.parse().unwrap()).collect()
    }
}

/// Steps a pass to its end.
pub(super) async fn drive(mut pass: Box<dyn Pass>) -> Result<Walk, Error> {
    let mut walk = Walk::default();
    loop {
        let step = pass.step().await?;
        walk.rows.extend(step.rows);
        walk.cursor = step.cursor.or(walk.cursor);
        walk.covered.extend(step.covered.into_iter().map(|(key, _)| key));
        walk.notes.extend(step.notes);
        walk.too_deep |= step.too_deep.is_some();
        if step.done {
            return Ok(walk);
        }
    }
}

pub(super) fn cursor(stamp: Stamp) -> Cursor {
    Cursor(jiff::Timestamp::from_millisecond(stamp).unwrap().to_string())
}

impl Rig {
    pub(super) fn config(&self) -> Config {
        config::load(&self.path, Mode::Full, &|_| None).unwrap()
    }

    /// A store connector as a new process would make it.
    pub(super) fn store(&self) -> Arc<dyn Connector> {
        self.connector("store", self.memory.clone())
    }

    pub(super) fn orders(&self) -> Arc<dyn Source> {
        self.store().source("orders").unwrap()
    }

    pub(super) fn connector(&self, name: &str, memory: Arc<Notebook>) -> Arc<dyn Connector> {
        let seams = Seams {
            clock: self.clock.clone(),
            memory,
            patience: self.patience,
        };
        self.config().connectors[name].connect(&seams).unwrap()
    }

    pub(super) fn state(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(super) async fn engine(&self, endless: bool) -> Engine {
        let config = self.config();
        let connectors: BTreeMap<String, Arc<dyn Connector>> = [
            ("store".to_owned(), self.store()),
            ("drop".to_owned(), self.connector("drop", Arc::default())),
        ]
        .into();
        let flows = config.flows.iter().map(|flow| Flow {
            name: flow.name.clone(),
            feed: flow.from.to_string(),
            target: flow.to.to_string(),
            source: connectors[&flow.from.connector].source(&flow.from.resource).unwrap(),
            realm: flow.from.to_string(),
            to: connectors[&flow.to.connector].target(&flow.to.resource).unwrap(),
            mapping: flow.mapping.clone(),
            only_new: false,
            guards: true,
            requires: Vec::new(),
            required_by: Vec::new(),
            depth: 0,
            guard: None,
            counted_by: Vec::new(),
        });
        Engine {
            store: Arc::new(Store::open(&config.state_path, self.clock.clone()).await.unwrap()),
            clock: self.clock.clone(),
            flows: flows.collect(),
            neighbours: Vec::new(),
            connectors,
            voice: Arc::new(Quiet::default()),
            dry: false,
            patience: Patience {
                wait: Duration::ZERO,
                endless,
                leaves_walks: false,
                leaves_records: false,
            },
            ahead: BTreeSet::new(),
            starts: Default::default(),
            ledger: BTreeMap::new(),
            lanes: Arc::default(),
            turn: None,
            stop: Default::default(),
            asked_at: 0,
        }
    }

    /// `--once` without waiting for what becomes due later.
    pub(super) async fn once(&self) -> Run {
        let mut engine = self.engine(false).await;
        engine.once().await.unwrap();
        Self::end(engine).await
    }

    /// `--backfill` over everything.
    pub(super) async fn backfill(&self) -> Run {
        let mut engine = self.engine(false).await;
        engine.backfill(Range::default()).await.unwrap();
        Self::end(engine).await
    }

    async fn end(engine: Engine) -> Run {
        let ledger = engine.ledger.get(FLOW).cloned().unwrap_or_default();
        let Engine {
            store,
            connectors,
            flows,
            ..
        } = engine;
        for connector in connectors.values() {
            connector.rest().await;
        }
        drop((connectors, flows));
        Arc::into_inner(store).unwrap().close().await.unwrap();
        let error = ledger.errors().next().map(str::to_owned);
        Run { error, ledger }
    }

    /// Changes every order, one a second, so that no two share a stamp.
    pub(super) fn change_all(&self) {
        for id in self.world.final_orders().into_keys() {
            self.clock.advance(Duration::from_secs(1));
            self.world.update_order(id, |order| order.shipping += 500);
        }
    }

    async fn look(&self) -> Store {
        Store::look(&self.state()).await.unwrap().unwrap()
    }

    pub(super) async fn watermark(&self) -> Option<Cursor> {
        self.look().await.watermark(FLOW).await.unwrap()
    }

    /// Versions that wait for their file.
    pub(super) async fn queued(&self) -> usize {
        let queue = self.look().await.queue(FLOW, "store.orders").await.unwrap();
        usize::try_from(queue.queued).unwrap()
    }

    pub(super) async fn failures(&self) -> Vec<Failure> {
        self.look().await.failures().await.unwrap()
    }

    /// Journal entries of a kind: record and detail.
    pub(super) async fn journal(&self, what: &str) -> Vec<(Option<String>, String)> {
        let all = self.look().await.journal(FLOW, 10_000).await.unwrap();
        let mine = all.into_iter().filter(|entry| entry.2 == what);
        mine.map(|(_, key, _, detail)| (key, detail)).collect()
    }

    /// All rows of all files, oldest file first.
    pub(super) fn rows(&self) -> Vec<BTreeMap<String, String>> {
        seen::rows(&self.folder.path().join("out"))
    }

    /// The last row of each order: what the other side believes now.
    pub(super) fn latest(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        self.rows().into_iter().map(|row| (row["id"].clone(), row)).collect()
    }

    /// The other side believes what is true, of every order there is.
    pub(super) fn assert_delivered(&self) {
        let latest = self.latest();
        for (id, order) in self.world.final_orders() {
            let found = latest
                .get(&id.to_string())
                .unwrap_or_else(|| panic!("order {id} is missing"));
            assert_eq!(*found, expected(&order), "order {id}");
        }
    }

    /// Runs the real binary and gives exit code, stdout and stderr.
    pub(super) async fn run(&self, args: &[&str]) -> (i32, String, String) {
        self.run_with(args, &[]).await
    }

    pub(super) async fn run_with(&self, args: &[&str], env: &[(&str, &Path)]) -> (i32, String, String) {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
        command.arg("--config").arg(&self.path).args(args);
        command.envs(env.iter().copied());
        let output = tokio::task::spawn_blocking(move || command.output())
            .await
            .unwrap()
            .unwrap();
        (
            output.status.code().unwrap_or(-1),
            String::from_utf8(output.stdout).unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    }
}
