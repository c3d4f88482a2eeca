//! From a checked config to an engine that can run: connectors connected, flows with their ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use contract::{Clock, Connector, Memory, RealClock, Seams};
use tokio_util::sync::CancellationToken;

use super::Usage;
use crate::config::{self, Config, Initial, Mode, STORE};
use crate::engine::{Engine, Flow, Lanes, Patience, Provider, Voice};
use crate::store::{CountedBy, Guard, Store};

pub fn load(path: &Path, mode: Mode) -> anyhow::Result<Config> {
    let config = config::load(path, mode, &config::process_env)?;
    if mode == Mode::Full && !config.warnings.is_empty() {
        eprint!("{}", config.warnings);
    }
    Ok(config)
}

/// The flows that were named, or all of them.
pub fn choose<'c>(config: &'c Config, names: &[String]) -> anyhow::Result<Vec<&'c config::Flow>> {
    if names.is_empty() {
        return Ok(config.flows.iter().collect());
    }
    let find = |name: &String| {
        config.flows.iter().find(|flow| flow.name == *name).ok_or_else(|| {
            let known = config.flows.iter().map(|flow| flow.name.as_str());
            let hint = match contract::settings::nearest(name, known.clone()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the config has: {}", known.collect::<Vec<_>>().join(", ")),
            };
            Usage(format!("there is no flow `{name}`\nhint: {hint}")).into()
        })
    };
    names.iter().map(find).collect()
}

/// How a run goes about it.
#[derive(Clone)]
pub struct Manner {
    /// Nothing is written to the other side.
    pub dry: bool,
    pub patience: Patience,
    pub voice: Arc<dyn Voice>,
    /// Cancelled when the run is to end between two steps.
    pub stop: CancellationToken,
}

/// A config with its state file and its connectors, ready to run. One process at a time has them.
pub struct Parts {
    pub config: Arc<Config>,
    pub store: Arc<Store>,
    pub clock: Arc<dyn Clock>,
    pub connectors: BTreeMap<String, Arc<dyn Connector>>,
    /// The chosen flows, and those that share a feed with them.
    flows: Vec<Flow>,
    pub lanes: Arc<Lanes>,
}

impl Parts {
    /// Opens the state file, which this process then owns, and connects what the named flows need; no name
    /// means all of them. `patience`: how long one call may go on through faults that pass.
    pub async fn open(
        config: Arc<Config>,
        names: &[String],
        clock: Arc<dyn Clock>,
        patience: Duration,
    ) -> anyhow::Result<Parts> {
        choose(&config, names)?;
        let store = Arc::new(Store::open(&config.state_path, clock.clone()).await?);
        Parts::over(config, names, store, clock, patience, Arc::default()).await
    }

    /// For a dry run where no other process has the state: nothing of it is changed.
    pub async fn open_dry(config: Arc<Config>, names: &[String], patience: Duration) -> anyhow::Result<Parts> {
        choose(&config, names)?;
        let clock: Arc<dyn Clock> = Arc::new(RealClock::default());
        let store = Arc::new(Store::scratch(&config.state_path, clock.clone()).await?);
        Parts::over(config, names, store, clock, patience, Arc::default()).await
    }

    /// The same over a state file that is open already. Whoever works over it at the same time shares its lanes.
    pub async fn over(
        config: Arc<Config>,
        names: &[String],
        store: Arc<Store>,
        clock: Arc<dyn Clock>,
        patience: Duration,
        lanes: Arc<Lanes>,
    ) -> anyhow::Result<Parts> {
        let chosen = choose(&config, names)?;
        let all: Vec<&config::Flow> = chosen.iter().copied().chain(neighbours(&config, &chosen)).collect();
        let mut connectors = BTreeMap::new();
        for name in ends(&all, &config) {
            let memory = Arc::new(StoreMemory::new(&store, &name).await?);
            let seams = Seams {
                clock: clock.clone(),
                memory,
                patience,
            };
            connectors.insert(name.clone(), connect(&config, &name, &seams)?);
        }
        let flows: anyhow::Result<Vec<Flow>> = all.into_iter().map(|flow| bind(flow, &connectors)).collect();
        Ok(Parts {
            flows: flows?,
            config,
            store,
            clock,
            connectors,
            lanes,
        })
    }

    /// The same parts with a copy of the state that a dry run may scribble on.
    async fn scratch(&self) -> anyhow::Result<Arc<Store>> {
        let store = Store::scratch(&self.config.state_path, self.clock.clone()).await?;
        Ok(Arc::new(store))
    }

    /// The flows of a feed that run by themselves. Those that run only when they are asked to are looked after,
    /// and delivered, by who asks.
    pub fn scheduled(&self, feed: &str) -> Vec<String> {
        let flows = self.config.flows.iter();
        let own = flows.filter(|flow| flow.from.to_string() == feed && flow.runs_by_itself());
        own.map(|flow| flow.name.clone()).collect()
    }

    /// Those whose target takes records one by one: each is delivered by a task of its own.
    pub fn sent_by_record(&self) -> impl Iterator<Item = &Flow> {
        let own = |flow: &&config::Flow| flow.runs_by_itself();
        let own: BTreeSet<&str> = self
            .config
            .flows
            .iter()
            .filter(own)
            .map(|flow| flow.name.as_str())
            .collect();
        let by_record = self.flows.iter().filter(|flow| flow.goes_by_record());
        by_record.filter(move |flow| own.contains(flow.name.as_str()))
    }

    /// An engine for these flows; no name means all of them.
    pub async fn engine(&self, names: &[String], manner: Manner) -> anyhow::Result<Engine> {
        let chosen = choose(&self.config, names)?;
        let is_chosen = |flow: &&Flow| chosen.iter().any(|chosen| chosen.name == flow.name);
        let flows: Vec<Flow> = self.flows.iter().filter(is_chosen).cloned().collect();
        let shares = |flow: &&Flow| flows.iter().any(|chosen| chosen.feed == flow.feed);
        let neighbours = self.flows.iter().filter(|flow| !is_chosen(flow)).filter(shares);
        let neighbours = neighbours.cloned().collect();
        let (store, lanes) = if manner.dry && !self.store.is_scratch() {
            (self.scratch().await?, Arc::default())
        } else {
            (self.store.clone(), self.lanes.clone())
        };
        Ok(Engine {
            store,
            clock: self.clock.clone(),
            connectors: self.connectors.clone(),
            flows,
            neighbours,
            voice: manner.voice,
            dry: manner.dry,
            patience: manner.patience,
            ahead: BTreeSet::new(),
            starts: BTreeMap::new(),
            ledger: BTreeMap::new(),
            lanes,
            turn: None,
            stop: manner.stop,
            asked_at: 0,
        })
    }

    /// Leaves word for whoever comes next. Answers with the state file, if nobody else uses it any more.
    pub async fn part(self) -> Option<Store> {
        for connector in self.connectors.values() {
            connector.rest().await;
        }
        drop(self.flows);
        drop(self.connectors);
        // The connectors hold the store only weakly.
        Arc::into_inner(self.store)
    }

    /// Leaves word for the next process, and puts the state file in order if nobody else uses it any more.
    pub async fn close(self) -> anyhow::Result<()> {
        match self.part().await {
            Some(store) => store.close().await,
            None => Ok(()),
        }
    }
}

/// The flows besides these that take from the same feeds.
fn neighbours<'c>(config: &'c Config, chosen: &[&config::Flow]) -> Vec<&'c config::Flow> {
    let is_chosen = |flow: &config::Flow| chosen.iter().any(|chosen| chosen.name == flow.name);
    let shares = |flow: &config::Flow| chosen.iter().any(|chosen| chosen.from == flow.from);
    config
        .flows
        .iter()
        .filter(|flow| !is_chosen(flow) && shares(flow))
        .collect()
}

/// The connectors of these flows, and the one that webhooks come from.
fn ends(flows: &[&config::Flow], config: &Config) -> BTreeSet<String> {
    let ends = flows.iter();
    let ends = ends.flat_map(|flow| [flow.from.connector.clone(), flow.to.connector.clone()]);
    ends.chain(config.webhooks.iter().map(|_| STORE.to_owned())).collect()
}

fn connect(config: &Config, name: &str, seams: &Seams) -> anyhow::Result<Arc<dyn Connector>> {
    let settings = config
        .connectors
        .get(name)
        .with_context(|| format!("there is no connector `{name}`"))?;
    Ok(settings.connect(seams)?)
}

/// Ties a flow of the config to its two ends. That they exist was checked with the config.
pub fn bind(flow: &config::Flow, connectors: &BTreeMap<String, Arc<dyn Connector>>) -> anyhow::Result<Flow> {
    let source = connectors
        .get(&flow.from.connector)
        .and_then(|connector| connector.source(&flow.from.resource));
    let target = connectors
        .get(&flow.to.connector)
        .and_then(|connector| connector.target(&flow.to.resource));
    let source = source.with_context(|| format!("{} cannot be read from", flow.from))?;
    let to = target.with_context(|| format!("{} cannot be written to", flow.to))?;
    let realm = source.realm().unwrap_or_else(|| flow.from.to_string());
    source.asked_for(&|field| flow.mapping.mentions(field));
    Ok(Flow {
        name: flow.name.clone(),
        feed: flow.from.to_string(),
        target: flow.to.to_string(),
        source,
        realm,
        to,
        mapping: flow.mapping.clone(),
        only_new: flow.initial == Initial::New,
        guards: flow.guards,
        requires: flow.requires.iter().map(provider).collect(),
        required_by: flow.required_by.iter().map(config::Feed::to_string).collect(),
        depth: flow.depth,
        guard: flow.guard.as_ref().map(|guard| Guard {
            flows: guard.flows.clone(),
            feeds: guard.feeds.clone(),
            booked_after_ms: i64::try_from(guard.booked_after.as_millis()).unwrap_or(i64::MAX),
            by_stamp: guard.by_stamp,
        }),
        counted_by: flow.counted_by.iter().map(counted_by).collect(),
    })
}

fn counted_by((flow, target): &(String, config::Feed)) -> CountedBy {
    CountedBy {
        flow: flow.clone(),
        target: target.to_string(),
    }
}

fn provider(provider: &config::Provider) -> Provider {
    Provider {
        flow: provider.flow.clone(),
        feed: provider.from.to_string(),
        target: provider.to.to_string(),
    }
}

/// A connector's memory in the state file. Read once at start, written through.
#[derive(Debug)]
struct StoreMemory {
    owner: String,
    values: Mutex<HashMap<String, String>>,
    store: Weak<Store>,
}

impl StoreMemory {
    async fn new(store: &Arc<Store>, owner: &str) -> anyhow::Result<StoreMemory> {
        let all = store.memories().await?;
        let values = all
            .into_iter()
            .filter(|(of, ..)| of == owner)
            .map(|(_, name, value)| (name, value))
            .collect();
        Ok(StoreMemory {
            owner: owner.to_owned(),
            values: Mutex::new(values),
            store: Arc::downgrade(store),
        })
    }

    fn values(&self) -> std::sync::MutexGuard<'_, HashMap<String, String>> {
        self.values.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[async_trait]
impl Memory for StoreMemory {
    fn get(&self, name: &str) -> Option<String> {
        self.values().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        let before = self.values().insert(name.to_owned(), value.clone());
        if before.as_ref() == Some(&value) {
            return;
        }
        if let Some(store) = self.store.upgrade()
            && let Err(error) = store.put_memory(&self.owner, name, &value).await
        {
            // The next transaction meets the same trouble and reports it.
            tracing::debug!("{error:#}");
        }
    }
}

/// For commands that write nothing: what earlier runs left is respected, nothing is added.
#[derive(Debug, Default)]
struct Recollection(HashMap<String, String>);

impl Recollection {
    async fn of(config: &Config, owner: &str) -> Recollection {
        let stored = match Store::look(&config.state_path).await {
            Ok(Some(store)) => store.memories().await.unwrap_or_default(),
            Ok(None) | Err(_) => Vec::new(),
        };
        let own = stored.into_iter().filter(|(of, ..)| of == owner);
        Recollection(own.map(|(_, name, value)| (name, value)).collect())
    }
}

#[async_trait]
impl Memory for Recollection {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }

    async fn put(&self, _name: &str, _value: String) {}
}

/// A connector for a command that writes nothing.
pub async fn visit(config: &Config, name: &str) -> anyhow::Result<Arc<dyn Connector>> {
    let memory = Arc::new(Recollection::of(config, name).await);
    let seams = Seams {
        clock: Arc::new(RealClock::default()),
        memory,
        patience: Duration::from_secs(5),
    };
    connect(config, name, &seams)
}
