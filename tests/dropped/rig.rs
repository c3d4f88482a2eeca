//! A folder where stock files are dropped, and one where what they change comes out as files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::support::{Desk, Outcome, Shop, names};

pub(super) struct Rig {
    _shop: Shop,
    pub(super) desk: Desk,
}

/// Lines below `read:` besides the pattern and how long a file must be still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reading<'a> {
    pub(super) read: &'a str,
    pub(super) dialect: &'a str,
    pub(super) map: &'a str,
    pub(super) flow: &'a str,
}

impl Default for Reading<'_> {
    fn default() -> Self {
        Reading {
            read: "settle: 0s",
            dialect: "{}",
            map: "{sku: .sku, quantity: .on_hand}",
            flow: "schedule: '*/10 * * * *'",
        }
    }
}

impl Rig {
    pub(super) fn new(reading: Reading<'_>) -> Rig {
        let shop = Shop::of(1);
        let desk = Desk::new(&shop);
        let rig = Rig { _shop: shop, desk };
        rig.configure(reading);
        std::fs::create_dir(rig.path("in")).unwrap();
        rig
    }

    pub(super) fn configure(&self, reading: Reading<'_>) {
        let Reading {
            read,
            dialect,
            map,
            flow,
        } = reading;
        self.desk.write(
            "sync.yaml",
            &format!(
                "version: 1
state: {{path: ./state.db}}
store: {{url: 'http://127.0.0.1:9', store_id: 22, access_token: '${{file:./client-secret}}'}}
connectors:
  drop:
    type: csv
    location: ./in
    dialect: {dialect}
    resources:
      inventory:
        read: {{pattern: 'stock*.csv', poll: 100ms, {read}}}
  out:
    type: csv
    location: ./out
    dialect: {{quote: minimal}}
    resources:
      stock:
        write: {{file: 'out-{{batch}}.csv', max_records: 100000, max_wait: 100ms}}
flows:
  stock:
    from: drop.inventory
    to: out.stock
    {flow}
    map: {map}
"
            ),
        );
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.desk.path(name)
    }

    pub(super) fn drop(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path("in").join(name), bytes).unwrap();
    }

    /// As `drop`, changed last so many seconds ago.
    pub(super) fn drop_aged(&self, name: &str, bytes: impl AsRef<[u8]>, seconds: u64) {
        self.drop(name, bytes);
        let file = std::fs::File::options()
            .write(true)
            .open(self.path("in").join(name))
            .unwrap();
        let at = file.metadata().unwrap().modified().unwrap() - std::time::Duration::from_secs(seconds);
        file.set_modified(at).unwrap();
    }

    pub(super) fn once(&self) -> Outcome {
        self.desk.run(&["--once"])
    }

    /// All that came out, in order: a line a row.
    pub(super) fn out(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for name in names(&self.path("out")) {
            if name.ends_with(".csv") {
                let text = std::fs::read_to_string(self.path("out").join(name)).unwrap();
                rows.extend(text.lines().skip(1).map(str::to_owned));
            }
        }
        rows
    }

    /// What each SKU was set to last.
    pub(super) fn levels(&self) -> BTreeMap<String, String> {
        let pair = |row: String| {
            row.split_once(',')
                .map(|(sku, level)| (sku.to_owned(), level.to_owned()))
        };
        self.out().into_iter().filter_map(pair).collect()
    }

    pub(super) fn lying(&self, folder: &str) -> Vec<String> {
        let mut all = names(&self.path("in").join(folder));
        all.retain(|name| self.path("in").join(folder).join(name).is_file());
        all
    }

    pub(super) fn failures(&self) -> Vec<(i64, String, String)> {
        let listed = self.desk.run(&["failures", "list", "--json"]).ends(0);
        let all: Vec<serde_json::Value> = serde_json::from_str(&listed.out).unwrap();
        let text = |told: &serde_json::Value, name: &str| told[name].as_str().unwrap().to_owned();
        let failure =
            |told: &serde_json::Value| (told["id"].as_i64().unwrap(), text(told, "record"), text(told, "reason"));
        all.iter().map(failure).collect()
    }
}

/// A file of so many SKUs.
pub(super) fn sheet(rows: usize, level: impl Fn(usize) -> i64) -> String {
    let mut text = "sku,on_hand\n".to_owned();
    for n in 0..rows {
        text.push_str(&format!("S-{n:05},{}\n", level(n)));
    }
    text
}
