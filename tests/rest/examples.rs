//! The configs of `examples/`: each is one that `check` takes, with what it wants from the environment, and whose maps
//! take the store's records.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{Shop, options};

pub(super) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// The names in `${NAME}` and `${NAME:-default}`.
fn wanted(text: &str) -> BTreeSet<String> {
    let names = text
        .split("${")
        .skip(1)
        .filter_map(|rest| rest.split(['}', ':']).next());
    names.map(str::to_owned).collect()
}

fn value(name: &str) -> &'static str {
    match name {
        name if name.ends_with("_URL") => "https://erp.example.com",
        name if name.ends_with("_USER") => "2",
        _ => "0123456789abcdef",
    }
}

/// With all that the file wants from the environment.
fn command(path: &Path) -> Command {
    let text = std::fs::read_to_string(path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
    command.env_clear().arg("--config").arg(path);
    for name in wanted(&text) {
        command.env(&name, value(&name));
    }
    command
}

fn check(path: &Path) -> (Option<i32>, String) {
    let output = command(path).arg("check").output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
}

/// The names of the flows that read from the store.
fn flows(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let pairs = lines.windows(2).filter(|pair| pair[1].starts_with("    from: store."));
    pairs.map(|pair| pair[0].trim().trim_end_matches(':')).collect()
}

/// What the records of a shop become.
fn preview(path: &Path, shop: &Shop, flow: &str) -> Vec<Value> {
    let access = shop.world().access();
    let mut command = command(path);
    command
        .env("SELORAX_CLIENT_ID", access.client_id)
        .env("SELORAX_CLIENT_SECRET", access.client_secret)
        .args(["preview", flow, "--limit", "20", "--json"]);
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{flow}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_example_maps_what_the_store_has() {
    let shop = Shop::open(sandbox::Options {
        odd_percent: 0,
        ..options(60)
    });
    let store = format!("url: {}\n  rate_limit: 1000/s\n  burst: 1000", shop.url());
    for entry in std::fs::read_dir(folder()).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        // No ERP is there to tell what its customers are called.
        let text: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().starts_with("requires:"))
            .collect();
        let text = text.join("\n").replace("url: https://api.selorax.io", &store);
        let text = text
            .replace("$refs.customers", "(\"7\")")
            .replace("$refs.products", "({})");
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sync.yaml");
        std::fs::write(&path, &text).unwrap();
        let flows = flows(&text);
        assert!(flows.len() >= 2, "{flows:?}");
        for flow in flows {
            let rows = preview(&path, &shop, flow);
            assert_eq!(rows.len(), 20, "{flow}");
            for row in rows {
                assert!(row["error"].is_null() && !row["output"][0].is_null(), "{flow}: {row}");
            }
        }
    }
}

#[test]
fn every_example_is_a_config_that_check_takes_without_a_complaint() {
    let mut seen = BTreeSet::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        seen.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
        let (code, told) = check(&path);
        assert_eq!(code, Some(0), "{}:\n{told}", path.display());
        assert!(!told.contains("warning"), "{}:\n{told}", path.display());
    }
    let expected = ["dolibarr", "erpnext", "odoo", "tryton", "zoho-books"];
    assert_eq!(seen, expected.map(str::to_owned).into());
}

#[test]
fn every_example_says_at_its_top_what_it_was_tested_against() {
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let top: Vec<&str> = text.lines().take_while(|line| line.starts_with('#')).collect();
        let said = top.iter().any(|line| line.contains("ested against the real thing"));
        assert!(said, "{} does not say it", path.display());
    }
}
