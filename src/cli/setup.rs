//! From a checked config to an engine that can run: connectors connected, flows with their ends.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use contract::{Clock, Connector, Memory, RealClock, Seams};

use super::Usage;
use crate::config::{self, Config, Initial, Mode};
use crate::engine::{Engine, Flow, Patience, Voice};
use crate::store::Store;

pub(super) fn load(path: &Path, mode: Mode) -> anyhow::Result<Config> {
    let config = config::load(path, mode, &config::process_env)?;
    if mode == Mode::Full && !config.warnings.is_empty() {
        eprint!("{}", config.warnings);
    }
    Ok(config)
}

/// The flows that were named, or all of them.
pub(super) fn choose<'c>(config: &'c Config, names: &[String]) -> anyhow::Result<Vec<&'c config::Flow>> {
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

/// What a run is made of, besides its flows.
pub(super) struct Manner {
    pub(super) dry: bool,
    pub(super) wait: Duration,
    pub(super) endless: bool,
    pub(super) voice: Arc<dyn Voice>,
}

/// An engine over the config's state file, which this process then owns.
pub(super) async fn engine(config: &Config, names: &[String], manner: Manner) -> anyhow::Result<Engine> {
    let chosen = choose(config, names)?;
    let clock: Arc<dyn Clock> = Arc::new(RealClock::default());
    let store = if manner.dry {
        Store::scratch(&config.state_path, clock.clone()).await?
    } else {
        Store::open(&config.state_path, clock.clone()).await?
    };
    let store = Arc::new(store);
    let patience = if manner.endless {
        Duration::MAX
    } else {
        manner.wait.max(Duration::from_secs(5))
    };
    let mut connectors = BTreeMap::new();
    let others = neighbours(config, &chosen);
    let all: Vec<_> = chosen.iter().chain(&others).copied().collect();
    for name in ends(&all) {
        let memory = Arc::new(StoreMemory::new(&store, &name).await?);
        let seams = Seams {
            clock: clock.clone(),
            memory,
            patience,
        };
        connectors.insert(name.clone(), connect(config, &name, &seams)?);
    }
    let bind_all = |flows: Vec<&config::Flow>| flows.into_iter().map(|flow| bind(flow, &connectors)).collect();
    let (flows, neighbours): (anyhow::Result<_>, anyhow::Result<_>) = (bind_all(chosen), bind_all(others));
    let (flows, neighbours) = (flows?, neighbours?);
    Ok(Engine {
        store,
        clock,
        connectors,
        flows,
        neighbours,
        voice: manner.voice,
        dry: manner.dry,
        patience: Patience {
            wait: manner.wait,
            endless: manner.endless,
        },
        ahead: BTreeSet::new(),
        starts: BTreeMap::new(),
        ledger: BTreeMap::new(),
    })
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

fn ends(flows: &[&config::Flow]) -> BTreeSet<String> {
    flows
        .iter()
        .flat_map(|flow| [flow.from.connector.clone(), flow.to.connector.clone()])
        .collect()
}

pub(super) fn connect(config: &Config, name: &str, seams: &Seams) -> anyhow::Result<Arc<dyn Connector>> {
    let settings = config
        .connectors
        .get(name)
        .with_context(|| format!("there is no connector `{name}`"))?;
    Ok(settings.connect(seams)?)
}

/// Ties a flow of the config to its two ends. That they exist was checked with the config.
pub(super) fn bind(flow: &config::Flow, connectors: &BTreeMap<String, Arc<dyn Connector>>) -> anyhow::Result<Flow> {
    let source = connectors
        .get(&flow.from.connector)
        .and_then(|connector| connector.source(&flow.from.resource));
    let target = connectors
        .get(&flow.to.connector)
        .and_then(|connector| connector.target(&flow.to.resource));
    let source = source.with_context(|| format!("{} cannot be read from", flow.from))?;
    source.asked_for(&|field| flow.mapping.mentions(field));
    Ok(Flow {
        name: flow.name.clone(),
        feed: flow.from.to_string(),
        target: flow.to.to_string(),
        source,
        files: Flow::target_of(target.with_context(|| format!("{} cannot be written to", flow.to))?),
        mapping: flow.mapping.clone(),
        only_new: flow.initial == Initial::New,
    })
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
pub(super) struct Recollection(HashMap<String, String>);

impl Recollection {
    pub(super) async fn of(config: &Config, owner: &str) -> Recollection {
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
pub(super) async fn visit(config: &Config, name: &str) -> anyhow::Result<Arc<dyn Connector>> {
    let memory = Arc::new(Recollection::of(config, name).await);
    let seams = Seams {
        clock: Arc::new(RealClock::default()),
        memory,
        patience: Duration::from_secs(5),
    };
    connect(config, name, &seams)
}
