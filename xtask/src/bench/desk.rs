//! Where a measured program works: a pretend store in a process of its own, and a fresh folder with the
//! config of the benchmark. Both are gone afterwards.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::Context;

use crate::target;

/// Twenty plain paths, none of which needs more than a list row has.
const CONFIG: &str = include_str!("bench.yaml");

/// A pretend store with this many orders.
pub(super) struct Shop {
    process: Child,
    pub(super) url: String,
    pub(super) token: String,
}

impl Shop {
    pub(super) fn open(program: &Path, orders: usize) -> anyhow::Result<Shop> {
        let mut process = Command::new(program)
            .args(["sandbox", "--listen", "127.0.0.1:0", "--orders", &orders.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the sandbox")?;
        let said = process.stdout.take().context("the sandbox says nothing")?;
        let mut shop = Shop {
            process,
            url: String::new(),
            token: String::new(),
        };
        for line in BufReader::new(said).lines() {
            let line = line?;
            if let Some((_, url)) = line.split_once(" listens on ") {
                shop.url = url.to_owned();
            }
            if let Some((_, token)) = line.split_once("access_token: ") {
                shop.token = token.to_owned();
                return Ok(shop);
            }
        }
        anyhow::bail!("the sandbox ended before it listened")
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Best effort: it may be gone already.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// A folder for one run.
pub(super) struct Desk {
    pub(super) folder: PathBuf,
    pub(super) config: PathBuf,
}

impl Desk {
    pub(super) fn lay(shop: &Shop) -> anyhow::Result<Desk> {
        Desk::with(shop, CONFIG)
    }

    pub(super) fn with(shop: &Shop, config: &str) -> anyhow::Result<Desk> {
        let folder = target().join("bench");
        clear(&folder)?;
        std::fs::create_dir_all(&folder)?;
        let file = folder.join("sync.yaml");
        let text = config.replace("SHOP_URL", &shop.url).replace("SHOP_TOKEN", &shop.token);
        std::fs::write(&file, text)?;
        Ok(Desk { folder, config: file })
    }

    /// A run that left out orders was not the run that was to be measured.
    pub(super) fn check(&self, daemon: bool, orders: usize) -> anyhow::Result<()> {
        if !daemon {
            return Ok(());
        }
        let mut rows = 0;
        for entry in std::fs::read_dir(self.folder.join("out"))? {
            // One header a file; no cell of the pretend store spans lines.
            rows += std::fs::read_to_string(entry?.path())?.lines().count() - 1;
        }
        anyhow::ensure!(rows == orders, "{rows} rows were written for {orders} orders");
        Ok(())
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        clear(&self.folder).ok();
    }
}

fn clear(folder: &Path) -> std::io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
