//! What these tests run on: a server that answers by a function, a clock that leaps, a memory that can be handed
//! on, and settings written as JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contract::settings::{Kind, Name, Node, Problems, Reader, Settings, Span};
use contract::{
    Clock, Connector, Cursor, Error, Key, Memory, Push, Record, RecordTarget, Seams, Source, Stamp, Target, Use, Value,
};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Asked {
    pub(super) fn param(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(super) fn number(&self, name: &str) -> usize {
        self.param(name).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let of = |(key, _): &&(String, String)| key.eq_ignore_ascii_case(name);
        self.headers.iter().find(of).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Json {
        serde_json::from_str(&self.body).unwrap_or(Json::Null)
    }
}

#[derive(Clone, Debug)]
pub(super) enum Reply {
    Answer(u16, Vec<(String, String)>, String),
    /// The connection ends without a word.
    Reset,
    /// Nothing comes.
    Silence,
}

pub(super) fn ok(body: Json) -> Reply {
    status(200, body)
}

pub(super) fn status(code: u16, body: Json) -> Reply {
    let kind = ("Content-Type".to_owned(), "application/json".to_owned());
    Reply::Answer(code, vec![kind], body.to_string())
}

pub(super) fn text(code: u16, kind: &str, body: &str) -> Reply {
    Reply::Answer(
        code,
        vec![("Content-Type".to_owned(), kind.to_owned())],
        body.to_owned(),
    )
}

pub(super) fn with(reply: Reply, name: &str, value: &str) -> Reply {
    match reply {
        Reply::Answer(code, mut headers, body) => {
            headers.push((name.to_owned(), value.to_owned()));
            Reply::Answer(code, headers, body)
        }
        other => other,
    }
}

type Answering = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

pub(super) struct Server {
    pub(super) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(super) async fn start(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, log): (Answering, _) = (Arc::new(answer), asked.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone(), log.clone()));
            }
        });
        Server { port, asked }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api", self.port)
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn count(&self, method: &str, path: &str) -> usize {
        let asked = self.asked.lock().unwrap();
        asked
            .iter()
            .filter(|asked| asked.method == method && asked.path == path)
            .count()
    }
}

pub(super) async fn serve<S>(mut stream: S, answer: Answering, log: Arc<Mutex<Vec<Asked>>>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut held = Vec::new();
    while let Some(asked) = read_one(&mut stream, &mut held).await {
        log.lock().unwrap().push(asked.clone());
        match answer(&asked) {
            Reply::Answer(code, headers, body) => {
                let mut told = format!("HTTP/1.1 {code} X\r\nContent-Length: {}\r\n", body.len());
                for (name, value) in headers {
                    told.push_str(&format!("{name}: {value}\r\n"));
                }
                told.push_str("\r\n");
                told.push_str(&body);
                if stream.write_all(told.as_bytes()).await.is_err() {
                    return;
                }
            }
            Reply::Reset => return,
            Reply::Silence => std::future::pending::<()>().await,
        }
    }
}

async fn read_one<S: tokio::io::AsyncRead + Unpin>(stream: &mut S, held: &mut Vec<u8>) -> Option<Asked> {
    let head = loop {
        if let Some(at) = held.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8_lossy(&held.drain(..at + 4).collect::<Vec<u8>>()).into_owned();
        }
        more(stream, held).await?;
    };
    let mut lines = head.lines();
    let mut first = lines.next()?.split(' ');
    let (method, target) = (first.next()?.to_owned(), first.next()?.to_owned());
    let pairs = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<(String, String)> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let url = reqwest::Url::parse(&format!("http://x{target}")).unwrap();
    let mut asked = Asked {
        method,
        path: url.path().to_owned(),
        query: url
            .query_pairs()
            .map(|(a, b)| (a.into_owned(), b.into_owned()))
            .collect(),
        headers,
        body: String::new(),
    };
    let length = asked
        .header("content-length")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    while held.len() < length {
        more(stream, held).await?;
    }
    asked.body = String::from_utf8_lossy(&held.drain(..length).collect::<Vec<u8>>()).into_owned();
    Some(asked)
}

async fn more<S: tokio::io::AsyncRead + Unpin>(stream: &mut S, held: &mut Vec<u8>) -> Option<()> {
    let mut part = [0; 8192];
    match stream.read(&mut part).await {
        Ok(0) | Err(_) => None,
        Ok(n) => {
            held.extend_from_slice(&part[..n]);
            Some(())
        }
    }
}

/// Who sleeps wakes at once, and it is later.
#[derive(Debug)]
pub(super) struct Leaps(Instant, AtomicU64);

impl Default for Leaps {
    fn default() -> Leaps {
        Leaps(Instant::now(), AtomicU64::new(0))
    }
}

impl Leaps {
    pub(super) fn leap(&self, by: Duration) {
        self.1
            .fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::Relaxed);
    }
}

#[async_trait]
impl Clock for Leaps {
    fn now(&self) -> Stamp {
        1_790_000_000_000 + Stamp::try_from(self.monotonic().as_millis()).unwrap()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed() + Duration::from_millis(self.1.load(Ordering::Relaxed))
    }

    async fn sleep(&self, duration: Duration) {
        self.leap(duration);
        tokio::task::yield_now().await;
    }
}

#[derive(Debug, Default)]
pub(super) struct Notes(pub(super) Mutex<BTreeMap<String, String>>);

#[async_trait]
impl Memory for Notes {
    fn get(&self, name: &str) -> Option<String> {
        self.0.lock().unwrap().get(name).cloned()
    }

    async fn put(&self, name: &str, value: String) {
        self.0.lock().unwrap().insert(name.to_owned(), value);
    }
}

/// A memory that keeps nothing, as that of commands that write nothing.
#[derive(Debug, Default)]
pub(super) struct Forgets;

#[async_trait]
impl Memory for Forgets {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }

    async fn put(&self, _name: &str, _value: String) {}
}

pub(super) struct Rig {
    pub(super) clock: Arc<Leaps>,
    pub(super) connector: Arc<dyn Connector>,
}

pub(super) fn node(json: &Json) -> Node {
    let span = Span { line: 1, column: 1 };
    let scalar = |text: String, plain| Kind::Scalar {
        text,
        plain,
        secret: false,
        unresolved: false,
    };
    let kind = match json {
        Json::Null => scalar(String::new(), true),
        Json::Bool(value) => scalar(value.to_string(), true),
        Json::Number(value) => scalar(value.to_string(), true),
        // As if it were filled in from the environment, without quotes.
        Json::String(text) if text.starts_with("OUTSIDE:") => Kind::Scalar {
            text: text["OUTSIDE:".len()..].to_owned(),
            plain: true,
            secret: true,
            unresolved: false,
        },
        Json::String(text) => scalar(text.clone(), false),
        Json::Array(items) => Kind::List(items.iter().map(node).collect()),
        Json::Object(fields) => {
            let of = |(name, value): (&String, &Json)| {
                let text = name.clone();
                (Name { text, span }, node(value))
            };
            Kind::Map(fields.iter().map(of).collect())
        }
    };
    Node { span, kind }
}

/// The settings, and every problem that was found in them.
pub(super) fn read(json: &Json) -> (Option<Box<dyn Settings>>, Vec<String>) {
    let node = node(json);
    let mut problems = Problems::default();
    let mut reader = Reader::new(&node, "connectors.erp", Arc::from(Path::new("/base")), &mut problems);
    let settings = (super::super::FACTORY.read)(&mut reader);
    reader.finish();
    let told = problems.0.into_iter().map(|problem| {
        let hint = problem.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", problem.path, problem.message)
    });
    (settings, told.collect())
}

/// What all of these settings have in common, and the rest.
pub(super) fn erp(base: &str, auth: Json, resources: Json) -> Json {
    json!({
        "base_url": base, "auth": auth, "rate_limit": "100000/s", "burst": 1000, "timeout": "500ms",
        "resources": resources,
    })
}

pub(super) fn connect(json: &Json) -> Rig {
    remembering(json, Arc::new(Notes::default()))
}

pub(super) fn remembering(json: &Json, memory: Arc<dyn Memory>) -> Rig {
    let (settings, problems) = read(json);
    assert!(problems.is_empty(), "{problems:#?}");
    let clock: Arc<Leaps> = Arc::default();
    let seams = Seams {
        clock: clock.clone(),
        memory,
        patience: Duration::from_secs(20),
    };
    Rig {
        clock,
        connector: settings.unwrap().connect(&seams).unwrap(),
    }
}

impl Rig {
    pub(super) fn target(&self, name: &str) -> Arc<dyn RecordTarget> {
        match self.connector.target(name).unwrap() {
            Target::Records(target) => target,
            Target::Files(_) => panic!("files"),
        }
    }

    pub(super) fn source(&self, name: &str) -> Arc<dyn Source> {
        self.connector.source(name).unwrap()
    }

    /// One whole pass: its records in the order they came, and the mark it left.
    pub(super) async fn pass(&self, name: &str, since: &str) -> Result<(Vec<(String, Value)>, String), Error> {
        let source = self.source(name);
        let mut pass = source.changes(&Cursor(since.to_owned()), Use::Feed);
        let mut records = Vec::new();
        loop {
            let step = pass.step().await?;
            for row in step.rows {
                match source.decode(row.body, false) {
                    Ok(Record::Whole { value, .. }) => records.push((row.key.0, value)),
                    Ok(_) => panic!("not whole"),
                    Err(error) => records.push((row.key.0, Value::text(error.0))),
                }
            }
            if step.done {
                return Ok((records, step.cursor.unwrap().0));
            }
        }
    }
}

pub(super) fn push(id: u64, record: Json) -> Push {
    Push {
        key: Key(id.to_string()),
        record: Value::parse(&record.to_string()).unwrap(),
        idempotency: format!("selorax:22:{id}:create"),
        sold: 0,
        stamp: None,
    }
}

pub(super) fn value(json: Json) -> Value {
    Value::parse(&json.to_string()).unwrap()
}

/// Counts connections, and answers none.
pub(super) async fn tripwire() -> (u16, Arc<AtomicU64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let touched: Arc<AtomicU64> = Arc::default();
    let counter = touched.clone();
    tokio::spawn(async move {
        let mut held: Vec<TcpStream> = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::Relaxed);
            held.push(stream);
        }
    });
    (port, touched)
}
