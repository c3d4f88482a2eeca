//! What these tests run on: a sandbox store on loopback, a clock that stands still until somebody sleeps,
//! and a config over both in a folder of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use contract::{Clock, Connector, Cursor, Error, Key, Memory, Pass, Progress, Row, Seams, Source, Stamp};
use sandbox::{FIXED_START_MS, Options, Order, Sandbox, World};
use selorax_sync::config::{self, Config, Mode};
use selorax_sync::engine::{Engine, Flow, Ledger, Patience, Range, Voice};
use selorax_sync::store::{Failure, Store};
use tempfile::TempDir;

/// The one flow of the config.
pub(super) const FLOW: &str = "orders";

/// Longer than any test waits, in virtual time.
pub(super) const LONG: Duration = Duration::from_secs(30 * 86_400);

/// Time that passes only while somebody sleeps, and then at once. The world's clock goes along.
#[derive(Debug)]
pub(super) struct TestClock {
    world: Mutex<Option<Linked>>,
    state: Mutex<Turns>,
    /// How far this machine's clock is ahead of the store's.
    ahead_ms: i64,
    /// Time passes only when no request is on its way, so that the store sees each at the time it was sent.
    exact: bool,
}

struct Linked(Arc<World>);

impl std::fmt::Debug for Linked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a world")
    }
}

#[derive(Debug, Default)]
struct Turns {
    now: Duration,
    sleeping: BTreeSet<(Duration, u64)>,
    slept: u64,
}

/// Takes a sleeper off the list, also when its future is dropped.
struct Turn<'c>(&'c TestClock, (Duration, u64));

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.state.lock().unwrap().sleeping.remove(&self.1);
    }
}

impl TestClock {
    pub(super) fn new(ahead_ms: i64, exact: bool) -> Arc<TestClock> {
        Arc::new(TestClock {
            world: Mutex::default(),
            state: Mutex::default(),
            ahead_ms,
            exact,
        })
    }

    /// Until a moment goes by in which the world is asked nothing.
    async fn calm(&self) {
        let asked = || {
            let world = self.world.lock().unwrap();
            world
                .as_ref()
                .map(|Linked(world)| (world.request_count(), world.connections()))
        };
        loop {
            let before = asked();
            tokio::time::sleep(Duration::from_millis(1)).await;
            if asked() == before {
                return;
            }
        }
    }

    pub(super) fn link(&self, world: &Arc<World>) {
        *self.world.lock().unwrap() = Some(Linked(world.clone()));
    }

    pub(super) fn advance(&self, by: Duration) {
        let to = self.monotonic() + by;
        self.reach(to);
    }

    fn reach(&self, to: Duration) {
        let now = {
            let mut state = self.state.lock().unwrap();
            state.now = state.now.max(to);
            state.now
        };
        if let Some(Linked(world)) = &*self.world.lock().unwrap() {
            world.set_clock(FIXED_START_MS + i64::try_from(now.as_millis()).unwrap());
        }
    }

    /// Waits, without passing time itself, until others have slept this far.
    pub(super) async fn reached(&self, to: Duration) {
        while self.monotonic() < to {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Clock for TestClock {
    fn now(&self) -> Stamp {
        FIXED_START_MS + self.ahead_ms + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.state.lock().unwrap().now
    }

    async fn sleep(&self, duration: Duration) {
        let turn = {
            let mut state = self.state.lock().unwrap();
            state.slept += 1;
            let turn = (state.now.saturating_add(duration), state.slept);
            state.sleeping.insert(turn);
            Turn(self, turn)
        };
        loop {
            if self.exact {
                self.calm().await;
            }
            tokio::task::yield_now().await;
            if self.state.lock().unwrap().sleeping.first() == Some(&turn.1) {
                self.reach(turn.1.0);
                return;
            }
        }
    }
}

/// A connector's memory that outlives it, as the state file does.
#[derive(Debug, Default)]
pub(super) struct Notebook(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Memory for Notebook {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }
}

#[derive(Default)]
pub(super) struct Quiet(pub(super) Mutex<Vec<String>>);

impl Voice for Quiet {
    fn progress(&self, _flow: &str, _what: &str, _progress: Progress) {}
    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
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
            files: Flow::target_of(connectors[&flow.to.connector].target(&flow.to.resource).unwrap()),
            mapping: flow.mapping.clone(),
            only_new: false,
        });
        Engine {
            store: Arc::new(Store::open(&config.state_path).await.unwrap()),
            clock: self.clock.clone(),
            flows: flows.collect(),
            neighbours: Vec::new(),
            connectors,
            voice: Arc::new(Quiet::default()),
            dry: false,
            patience: Patience {
                wait: Duration::ZERO,
                endless,
            },
            ahead: BTreeSet::new(),
            ledger: BTreeMap::new(),
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
        engine.finish().await.unwrap();
        Run {
            error: ledger.error.clone(),
            ledger,
        }
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
        rows(&self.folder.path().join("out"))
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

fn rows(folder: &Path) -> Vec<BTreeMap<String, String>> {
    let Ok(listing) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = listing.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "csv"));
    paths.sort();
    let mut all = Vec::new();
    for path in paths {
        let mut reader = csv::Reader::from_path(path).unwrap();
        all.extend(reader.deserialize().map(|row| row.unwrap()));
    }
    all
}

/// An order as its row in a file should be.
pub(super) fn expected(order: &Order) -> BTreeMap<String, String> {
    let total = order.grand_total();
    let skus: Vec<&str> = order
        .lines
        .iter()
        .map(|line| line.sku.as_deref().unwrap_or("").trim())
        .collect();
    let fields = [
        ("id", order.id.to_string()),
        ("number", order.serial.clone().unwrap_or_default()),
        ("status", order.status.clone()),
        ("total", format!("{}.{:02}", total / 100, total % 100)),
        (
            "updated_at",
            format!("{:.3}", jiff::Timestamp::from_millisecond(order.updated_ms).unwrap()),
        ),
        ("lines", order.lines.len().to_string()),
        ("skus", skus.join("|")),
        ("note", order.note.clone().unwrap_or_default()),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into()
}

/// What was logged while it lives, on this thread.
pub(super) struct Log {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: tracing::subscriber::DefaultGuard,
}

struct Sink(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    pub(super) fn start() -> Log {
        let text: Arc<Mutex<Vec<u8>>> = Arc::default();
        let sink = text.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::INFO)
            .with_ansi(false)
            .with_writer(move || Sink(sink.clone()))
            .finish();
        Log {
            text,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.text.lock().unwrap().clone()).unwrap()
    }
}

/// Times at which the store was asked, in milliseconds of virtual time.
pub(super) fn times(world: &World) -> Vec<i64> {
    world
        .requests()
        .iter()
        .map(|request| request.at_ms - FIXED_START_MS)
        .collect()
}

/// The most requests within any window that is open at its end.
pub(super) fn most_within(times: &[i64], window_ms: i64) -> usize {
    let starting = |n: usize| times[n..].iter().take_while(|at| **at < times[n] + window_ms).count();
    (0..times.len()).map(starting).max().unwrap_or(0)
}
