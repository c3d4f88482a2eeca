//! What is written for people: it names nothing foreign, its links lead somewhere, it tells every key of
//! the config, and the unit files are ones that systemd reads.

use std::path::Path;
use std::process::Command;

use serde_json::Value as Json;

use super::{root, tree};

/// The project speaks of itself alone: no path of the machine it was written on, no host of a registry.
fn foreign(text: &str) -> Option<&'static str> {
    let words = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("crates", ".io"),
        concat!("pypi", ".org"),
        concat!("registry.npmjs", ".org"),
        concat!("<<<<", "<<<"),
    ];
    words.into_iter().find(|word| text.contains(word))
}

#[test]
fn no_file_names_what_is_foreign() {
    // Cargo's own file names where the crates come from.
    for (path, text) in tree().iter().filter(|(path, _)| path != "Cargo.lock") {
        if let Some(word) = foreign(text) {
            panic!("{path} names {word}");
        }
    }
    assert!(foreign(concat!("see /wo", "rk/notes")).is_some());
}

/// The targets of Markdown links that are files.
fn links(text: &str) -> Vec<&str> {
    let behind = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', '#']).next());
    behind
        .filter(|link| !link.is_empty() && !link.contains("://"))
        .collect()
}

#[test]
fn links_lead_somewhere() {
    let mut seen = 0;
    for (path, text) in tree().iter().filter(|(path, _)| path.ends_with(".md")) {
        let folder = root().join(path).parent().unwrap().to_owned();
        for link in links(text) {
            seen += 1;
            assert!(folder.join(link).exists(), "{path}: {link} is not there");
        }
    }
    assert!(seen > 5, "only {seen} links were found");
}

/// The keys that a schema names, as far down as it goes.
fn keys(schema: &Json, found: &mut Vec<String>) {
    if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
        found.extend(properties.keys().cloned());
    }
    let inner: Vec<&Json> = match schema {
        Json::Object(fields) => fields.values().collect(),
        Json::Array(items) => items.iter().collect(),
        _ => Vec::new(),
    };
    inner.into_iter().for_each(|inner| keys(inner, found));
}

#[test]
fn the_manual_tells_every_key_of_the_config() {
    let manual = std::fs::read_to_string(root().join("docs/config.md")).unwrap();
    let mut named = Vec::new();
    keys(&selorax_sync::config::schema(), &mut named);
    assert!(named.len() > 40, "only {} keys were found", named.len());
    let missing: Vec<&String> = named
        .iter()
        .filter(|key| !manual.contains(&format!("`{key}`")))
        .collect();
    assert!(missing.is_empty(), "docs/config.md does not tell {missing:?}");
}

#[test]
fn systemd_reads_the_unit_file() {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(root().join("systemd/selorax-sync.service")).unwrap();
    // The program is where this machine has it.
    let own = text.replace("/usr/bin/selorax-sync", env!("CARGO_BIN_EXE_selorax-sync"));
    let unit = folder.path().join("selorax-sync.service");
    std::fs::write(&unit, own).unwrap();
    assert_eq!(verify(&unit), Ok(()), "the unit file as it is");
    std::fs::write(&unit, "[Service]\nType=notify\nProtectSistem=strict\n").unwrap();
    assert!(verify(&unit).is_err(), "a misspelt key is not told");
}

fn verify(unit: &Path) -> Result<(), String> {
    let out = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(unit)
        .output()
        .expect("systemd-analyze is not here; `cargo xtask test` installs it");
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    // Other units of this machine are not ours to judge.
    let ours: Vec<&str> = told.lines().filter(|line| line.contains("selorax-sync")).collect();
    match out.status.success() && ours.is_empty() {
        true => Ok(()),
        false => Err(told),
    }
}

#[test]
fn the_config_of_the_readme_is_a_good_one() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    let block = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sync.yaml");
    std::fs::write(&path, block).unwrap();
    let mut check = assert_cmd::Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
    check.arg("check").arg("--config").arg(&path);
    check
        .env("SELORAX_CLIENT_ID", "id")
        .env("SELORAX_CLIENT_SECRET", "secret");
    check.assert().success();
}
