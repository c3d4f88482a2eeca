//! The configs of `examples/`: each is one that `check` takes, with what it wants from the environment.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

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

fn check(path: &Path) -> (Option<i32>, String) {
    let text = std::fs::read_to_string(path).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
    command.env_clear().arg("--config").arg(path).arg("check");
    for name in wanted(&text) {
        command.env(&name, value(&name));
    }
    let output = command.output().unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8_lossy(&told).into_owned())
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
