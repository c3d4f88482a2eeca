//! The connector with its settings as the config would give them, a clock that can be put forward, and a memory that
//! outlives it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contract::settings::{Kind, Name, Node, Problems, Reader, Span};
use contract::{Clock, Connector, Error, Key, Memory, Push, Receipt, RecordTarget, Seams, Stamp, Target, Value};
use sandbox::{Options, Sandbox, World};
use serde_json::{Value as Json, json};

use crate::selorax::FACTORY;

#[derive(Debug)]
pub(super) struct Forward(Instant, AtomicI64);

impl Forward {
    pub(super) fn by(&self, seconds: i64) {
        self.1.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for Forward {
    fn now(&self) -> Stamp {
        sandbox::FIXED_START_MS + i64::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed() + Duration::from_millis(self.1.load(Ordering::Relaxed).unsigned_abs())
    }

    async fn sleep(&self, duration: Duration) {
        self.1
            .fetch_add(i64::try_from(duration.as_millis()).unwrap(), Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Memory for Notes {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }
}

pub(super) struct Rig {
    pub(super) sandbox: Sandbox,
    pub(super) clock: Arc<Forward>,
    memory: Arc<Notes>,
    settings: Json,
}

impl Rig {
    pub(super) async fn new(more: Json) -> Rig {
        Rig::of(
            Options {
                orders: 20,
                ..Options::default()
            },
            more,
        )
        .await
    }

    pub(super) async fn of(options: Options, more: Json) -> Rig {
        let sandbox = Sandbox::start(options.clone()).await.unwrap();
        let mut settings = json!({
            "url": sandbox.url(), "store_id": 22, "client_id": options.client_id,
            "client_secret": options.client_secret, "rate_limit": "1000/s", "burst": 1000, "timeout": "2s",
        });
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        Rig {
            sandbox,
            clock: Arc::new(Forward(Instant::now(), AtomicI64::new(0))),
            memory: Arc::default(),
            settings,
        }
    }

    pub(super) fn world(&self) -> &World {
        self.sandbox.world()
    }

    /// A process of its own: only the memory outlives the one before.
    pub(super) fn connector(&self) -> Arc<dyn Connector> {
        let node = node(&self.settings);
        let mut problems = Problems::default();
        let mut reader = Reader::new(&node, "store", Arc::from(Path::new("/")), &mut problems);
        let settings = (FACTORY.read)(&mut reader).unwrap();
        let seams = Seams {
            clock: self.clock.clone(),
            memory: self.memory.clone(),
            patience: Duration::ZERO,
        };
        settings.connect(&seams).unwrap()
    }

    pub(super) fn target(&self, resource: &str) -> Arc<dyn RecordTarget> {
        match self.connector().target(resource) {
            Some(Target::Records(target)) => target,
            _ => panic!("no target {resource}"),
        }
    }

    /// The bodies of the writes that the store was asked for.
    pub(super) fn writes(&self) -> Vec<String> {
        let asked = self.world().requests();
        let writes = asked.into_iter().filter(|asked| asked.method != "GET");
        writes.map(|asked| asked.body).collect()
    }
}

pub(super) fn push(key: &str, record: Json) -> Push {
    Push {
        key: Key(key.to_owned()),
        record: Value::parse(&record.to_string()).unwrap(),
        idempotency: format!("erp.stock:{key}:create"),
        sold: 0,
        stamp: None,
    }
}

pub(super) async fn create(target: &Arc<dyn RecordTarget>, push: &Push) -> Result<Receipt, Error> {
    target.create(std::slice::from_ref(push)).await.remove(0)
}

fn node(json: &Json) -> Node {
    let span = Span { line: 1, column: 1 };
    let kind = match json {
        Json::Object(members) => Kind::Map(
            members
                .iter()
                .map(|(name, value)| {
                    let name = Name {
                        text: name.clone(),
                        span,
                    };
                    (name, node(value))
                })
                .collect(),
        ),
        Json::Array(items) => Kind::List(items.iter().map(node).collect()),
        scalar => Kind::Scalar {
            text: match scalar {
                Json::String(text) => text.clone(),
                other => other.to_string(),
            },
            plain: !scalar.is_string(),
            secret: false,
            unresolved: false,
        },
    };
    Node { kind, span }
}
