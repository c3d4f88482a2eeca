//! A Tryton server of a test's own, on a copy of the database that `cargo xtask test` has prepared.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub(super) const KEY: &str = "0123456789abcdef0123456789abcdef";
/// `{"company": 1}`, and with the storage zone.
const COMPANY: &str = "eyJjb21wYW55IjogMX0=";
const STORAGE: &str = "eyJjb21wYW55IjogMSwgImxvY2F0aW9ucyI6IFszXX0=";
/// It loads some ten modules at its start.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// What `cargo xtask test` has installed and prepared.
fn provided() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().to_owned();
    let provided = target.join("tryton");
    assert!(
        provided.join("ready").is_file(),
        "Tryton is not in {}: `cargo xtask test` installs it",
        provided.display()
    );
    provided
}

pub(super) struct Tryton {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl Tryton {
    pub(super) fn start() -> Tryton {
        let dir = tempfile::tempdir().unwrap();
        // The second one only where the database was not closed properly.
        for name in ["erp.sqlite", "erp.sqlite-wal"] {
            let file = provided().join(name);
            if file.exists() {
                std::fs::copy(file, dir.path().join(name)).unwrap();
            }
        }
        // Free at this moment; the server wants a number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[database]\nuri = sqlite://\npath = {}\n[web]\nlisten = 127.0.0.1:{port}\n",
            dir.path().display()
        );
        std::fs::write(dir.path().join("trytond.conf"), config).unwrap();
        let server = spawn(dir.path());
        let mut tryton = Tryton { server, port, dir };
        tryton.until_it_listens();
        tryton
    }

    /// `kill -9`
    pub(super) fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Once more, where it has been killed.
    pub(super) fn serve(&mut self) {
        self.server = spawn(self.dir.path());
        self.until_it_listens();
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.server.id().to_string();
        let kill = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(kill.unwrap().success(), "cannot send {name} to {id}");
    }

    fn until_it_listens(&mut self) {
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            let ended = self.server.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < STARTS_WITHIN,
                "trytond: {}",
                self.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("trytond.log")).unwrap_or_default()
    }

    /// How many requests it has logged that write.
    pub(super) fn writes(&self) -> usize {
        let log = self.log();
        let writes = log
            .lines()
            .filter(|line| ["\"POST ", "\"PUT "].iter().any(|word| line.contains(word)));
        writes.count()
    }

    /// Whether it does so within a short time.
    pub(super) fn writes_more_than(&self, count: usize) -> bool {
        let started = Instant::now();
        while self.writes() <= count && started.elapsed() < ANSWERS_WITHIN {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.writes() > count
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/erp", self.port)
    }

    /// All rows of a model.
    pub(super) fn rows(&self, model: &str, fields: &[&str]) -> Vec<Value> {
        self.get(model, fields, COMPANY)
    }

    /// Code and quantity of every article in the storage zone.
    pub(super) fn stock(&self) -> Vec<Value> {
        self.get("product.product", &["code", "quantity"], STORAGE)
    }

    fn get(&self, model: &str, fields: &[&str], context: &str) -> Vec<Value> {
        let fields: String = fields.iter().map(|field| format!("&f={field}")).collect();
        let rows = self.ask("GET", &format!("{model}?s=10000{fields}"), context, "");
        rows.as_array().unwrap().clone()
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", path, COMPANY, &body.to_string())
    }

    fn ask(&self, method: &str, path: &str, context: &str, body: &str) -> Value {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!(
            "{method} /erp/rest/model/{path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\
             X-Tryton-Context: {context}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1);
        match status {
            Some("200") => serde_json::from_str(body).unwrap(),
            Some("204") => Value::Null,
            _ => panic!("{method} {path}: {answer}\n{}", self.log()),
        }
    }
}

impl Drop for Tryton {
    fn drop(&mut self) {
        // Fails where it has ended already.
        if self.server.kill().is_ok() {
            self.server.wait().ok();
        }
    }
}

fn spawn(dir: &Path) -> Child {
    let log = File::options()
        .append(true)
        .create(true)
        .open(dir.join("trytond.log"))
        .unwrap();
    let mut server = Command::new(provided().join("venv/bin/trytond"));
    server.arg("-c").arg(dir.join("trytond.conf")).args(["-d", "erp"]);
    server.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    server.spawn().unwrap()
}
