//! Tryton itself: started on a copy of a database that `cargo xtask test` has prepared, filled through
//! `examples/tryton.yaml`, and read back through its own API.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

use super::examples;
use crate::support::{Running, Shop, options};

const KEY: &str = "0123456789abcdef0123456789abcdef";
/// `{"company": 1}`, and with the storage zone.
const COMPANY: &str = "eyJjb21wYW55IjogMX0=";
const PRODUCTS: usize = 40;
/// The server loads some ten modules at its start.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

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

struct Tryton {
    server: Child,
    port: u16,
    dir: TempDir,
}

impl Tryton {
    fn start() -> Tryton {
        let provided = provided();
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(provided.join("erp.sqlite"), dir.path().join("erp.sqlite")).unwrap();
        // Free at this moment; the server wants a number.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "[database]\nuri = sqlite://\npath = {}\n[web]\nlisten = 127.0.0.1:{port}\n",
            dir.path().display()
        );
        std::fs::write(dir.path().join("trytond.conf"), config).unwrap();
        let log = File::create(dir.path().join("trytond.log")).unwrap();
        let server = Command::new(provided.join("venv/bin/trytond"))
            .arg("-c")
            .arg(dir.path().join("trytond.conf"))
            .args(["-d", "erp"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut tryton = Tryton { server, port, dir };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let ended = tryton.server.try_wait().unwrap();
            assert!(
                ended.is_none() && started.elapsed() < STARTS_WITHIN,
                "trytond: {}",
                tryton.log()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        tryton
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("trytond.log")).unwrap_or_default()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}/erp", self.port)
    }

    /// Rows of a model, by its own API.
    fn rows(&self, model: &str, fields: &[&str]) -> Vec<Value> {
        let fields: String = fields.iter().map(|field| format!("&f={field}")).collect();
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let request = format!(
            "GET /erp/rest/model/{model}?s=10000{fields} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {KEY}\r\n\
             X-Tryton-Context: {COMPANY}\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{answer}");
        serde_json::from_str(body).unwrap()
    }

    /// What each sale comes to, by its reference; none may be there twice.
    fn sales(&self) -> BTreeMap<String, (i64, String)> {
        let mut sales = BTreeMap::new();
        for sale in self.rows("sale.sale", &["reference", "total_amount", "party.code"]) {
            let reference = sale["reference"].as_str().unwrap().to_owned();
            let total = crate::support::paisa(sale["total_amount"]["decimal"].as_str().unwrap()).unwrap();
            let party = sale["party"]["code"].as_str().unwrap_or_default().to_owned();
            let before = sales.insert(reference.clone(), (total, party));
            assert_eq!(before, None, "the sale {reference} is there twice");
        }
        sales
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

/// The example as it stands, at a desk of its own.
struct Office {
    dir: TempDir,
    runs: u32,
}

impl Office {
    fn new() -> Office {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(examples::folder().join("tryton.yaml"), dir.path().join("sync.yaml")).unwrap();
        Office { dir, runs: 0 }
    }

    fn start(&mut self, shop: &Shop, tryton: &Tryton, args: &[&str]) -> Running {
        let access = shop.world().access();
        let mut command = Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
        command
            .env_clear()
            .env("SELORAX_URL", shop.url())
            .env("SELORAX_CLIENT_ID", access.client_id)
            .env("SELORAX_CLIENT_SECRET", access.client_secret)
            .env("TRYTON_URL", tryton.url())
            .env("TRYTON_KEY", KEY)
            .current_dir(self.dir.path())
            .args(args);
        self.runs += 1;
        Running::start(command, self.dir.path().join(format!("run-{}", self.runs)))
    }

    /// Passes until one leaves nothing; each is ended after a while and goes on where the last one was.
    fn settle(&mut self, shop: &Shop, tryton: &Tryton, flows: &[&str]) {
        let args: Vec<&str> = ["--once"].iter().chain(flows).copied().collect();
        let mut told = String::new();
        for _ in 0..4 {
            let outcome = self.start(shop, tryton, &args).wait();
            if outcome.code == Some(0) {
                return;
            }
            told = outcome.err;
        }
        panic!("it does not come to rest: {told}\n{}", tryton.log());
    }
}

#[test]
fn er_01_a2_tryton_takes_100_orders_once_each_with_their_customers_first_and_gives_its_stock() {
    let tryton = Tryton::start();
    let shop = Shop::open(sandbox::Options {
        customers: 30,
        odd_percent: 0,
        ..options(100)
    });
    let mut office = Office::new();
    // Killed in the middle, twice: what was sent and not yet known to be there is looked for, not sent again.
    for share in [10, 40] {
        let mut run = office.start(&shop, &tryton, &["--once", "customers-to-tryton", "orders-to-tryton"]);
        run.until("some sales", || tryton.rows("sale.sale", &["reference"]).len() >= share);
        run.kill();
    }
    office.settle(&shop, &tryton, &["customers-to-tryton", "orders-to-tryton"]);

    let wanted = shop.world().final_orders();
    let wanted: BTreeMap<String, (i64, String)> = wanted
        .iter()
        .filter(|(_, order)| order.status != "pending")
        .map(|(id, order)| {
            let party = order
                .user_id
                .map(|customer| format!("SX{customer}"))
                .unwrap_or_default();
            (id.to_string(), (order.grand_total(), party))
        })
        .collect();
    assert_eq!(tryton.sales(), wanted);
    let parties = tryton.rows("party.party", &["code"]);
    let codes: Vec<&str> = parties.iter().filter_map(|party| party["code"].as_str()).collect();
    let ours = codes.iter().filter(|code| code.starts_with("SX")).count();
    assert_eq!(ours, shop.world().customer_count(), "each customer once");

    // Nothing changed, so nothing is sent.
    office.settle(&shop, &tryton, &["customers-to-tryton", "orders-to-tryton"]);
    assert_eq!(tryton.sales(), wanted);

    office.settle(&shop, &tryton, &["stock-to-file"]);
    let mut stock = BTreeMap::new();
    for entry in std::fs::read_dir(office.dir.path().join("out")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for line in text.lines().skip(1) {
            let (sku, quantity) = line.split_once(',').unwrap();
            let quantity: f64 = quantity.parse().unwrap();
            assert_eq!(stock.insert(sku.to_owned(), quantity), None, "{sku} twice");
        }
    }
    let expected = (1..=PRODUCTS).map(|number| {
        (
            format!("ERP-{number:03}"),
            f64::from(u32::try_from(number).unwrap()) * 3.0,
        )
    });
    assert_eq!(stock, expected.collect());
}
