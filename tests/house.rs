//! The rules of the house that the compiler does not know: who may see whom, and where SQL, the network,
//! the clock and the environment are touched. Reads the sources as text, and tells file and line.

mod papers;
mod source;

use std::path::{Path, PathBuf};

use source::Source;

/// What each part may see of the others: the modules of `src` and the crates beside it. A new part is
/// entered here first.
const SEES: [(&str, &[&str]); 18] = [
    ("contract", &[]),
    ("filter", &["contract"]),
    ("connectors", &["contract", "filter"]),
    ("sandbox", &[]),
    ("xtask", &[]),
    // Shares nothing with what it is measured against.
    ("bench", &[]),
    ("store", &["contract"]),
    ("mapping", &["contract", "filter"]),
    ("decide", &["contract", "mapping", "store"]),
    ("engine", &["contract", "decide", "mapping", "store"]),
    ("config", &["connectors", "contract", "filter", "mapping"]),
    ("work", &["config", "contract", "engine", "store"]),
    ("webhook", &["config", "contract", "engine", "store"]),
    ("admin", &["config", "contract", "engine", "store", "work"]),
    (
        "daemon",
        &["admin", "config", "contract", "engine", "store", "webhook", "work"],
    ),
    (
        "cli",
        &[
            "config", "contract", "daemon", "engine", "sandbox", "store", "webhook", "work",
        ],
    ),
    (
        "lib",
        &[
            "admin", "cli", "config", "daemon", "decide", "engine", "mapping", "store", "webhook", "work",
        ],
    ),
    ("main", &["cli"]),
];

type Rule = fn(&Source) -> Vec<String>;

const RULES: [(&str, Rule); 6] = [
    ("arrows", arrows),
    ("sql", sql),
    ("network", network),
    ("environment", environment),
    ("clock", clock),
    ("tasks", tasks),
];

/// The part that a file belongs to.
fn part(path: &str) -> Option<&str> {
    if let Some(rest) = path.strip_prefix("src/") {
        return rest.split(['/', '.']).next();
    }
    let crates = [
        ("connectors/contract/", "contract"),
        ("connectors/filter/", "filter"),
        ("connectors/", "connectors"),
        ("sandbox/", "sandbox"),
        ("xtask/", "xtask"),
        ("bench/", "bench"),
    ];
    let found = crates.iter().find(|(folder, _)| path.starts_with(folder));
    found.map(|(_, part)| *part)
}

fn arrows(source: &Source) -> Vec<String> {
    let Some(own) = part(&source.path) else {
        return Vec::new();
    };
    let Some((_, sees)) = SEES.iter().find(|(part, _)| *part == own) else {
        return vec![format!(
            "{}: `{own}` is not in the table of tests/house.rs",
            source.path
        )];
    };
    let crates = ["contract", "filter", "connectors", "sandbox"];
    let mut seen: Vec<(usize, String)> = Vec::new();
    for name in crates {
        seen.extend(source.after(name).into_iter().map(|(line, _)| (line, name.to_owned())));
    }
    if source.path.starts_with("src/") {
        for head in ["crate", "super", "selorax_sync"] {
            seen.extend(source.after(head));
        }
    }
    let parts = |name: &str| SEES.iter().any(|(part, _)| *part == name);
    seen.sort();
    seen.iter()
        .filter(|(_, name)| name == "*" || (parts(name) && name != own && !sees.contains(&name.as_str())))
        .map(|(line, name)| format!("{}:{line}: {own} must not see {name}", source.path))
        .collect()
}

fn sql(source: &Source) -> Vec<String> {
    if matches!(part(&source.path), Some("store" | "bench")) {
        return Vec::new();
    }
    let starts = [
        "SELECT ",
        "INSERT INTO ",
        "INSERT OR ",
        "UPDATE ",
        "DELETE FROM ",
        "CREATE TABLE ",
        "PRAGMA ",
    ];
    let texts = source.texts.iter();
    let queries = texts.filter(|(_, text)| starts.iter().any(|start| text.trim_start().starts_with(start)));
    let mut told: Vec<String> = queries
        .map(|(line, _)| format!("{}:{line}: SQL outside src/store", source.path))
        .collect();
    let uses = source.after("sqlx").into_iter();
    told.extend(uses.map(|(line, _)| format!("{}:{line}: sqlx outside src/store", source.path)));
    told
}

fn network(source: &Source) -> Vec<String> {
    let clients = ["Client", "ClientBuilder", "get", "blocking"];
    only(
        source,
        &["connectors/http/", "bench/"],
        "reqwest",
        &clients,
        "connectors/http makes the one client",
    )
}

fn environment(source: &Source) -> Vec<String> {
    let reads = ["var", "vars", "var_os", "vars_os"];
    only(
        source,
        &["src/config/", "xtask/"],
        "env",
        &reads,
        "src/config fills in what comes from outside",
    )
}

fn clock(source: &Source) -> Vec<String> {
    let homes = [
        "connectors/contract/src/seams.rs",
        // How often a bar is drawn, and how long ago something was.
        "src/cli/progress.rs",
        "src/cli/output.rs",
        "sandbox/",
        "xtask/",
        "bench/",
    ];
    let kinds = ["Instant", "SystemTime", "Timestamp", "Zoned"];
    let told = kinds.iter();
    told.flat_map(|kind| only(source, &homes, kind, &["now"], "time comes in through contract::Clock"))
        .collect()
}

fn tasks(source: &Source) -> Vec<String> {
    let why = "a run is one task; the daemon starts, watches and ends those that there are";
    let homes = [
        "sandbox/",
        "src/admin/listen.rs",
        "src/daemon/generation.rs",
        "src/daemon/control.rs",
        "src/webhook/listen.rs",
    ];
    let mut told = only(source, &homes, "tokio", &["spawn"], why);
    told.extend(only(source, &homes, "task", &["spawn", "JoinSet"], why));
    told.extend(only(source, &["sandbox/"], "thread", &["spawn"], why));
    told
}

/// `head::name` may stand in these places only.
fn only(source: &Source, homes: &[&str], head: &str, names: &[&str], why: &str) -> Vec<String> {
    if homes.iter().any(|home| source.path.starts_with(home)) {
        return Vec::new();
    }
    let found = source.within(head).into_iter();
    found
        .filter(|(_, name)| names.contains(&name.as_str()))
        .map(|(line, name)| format!("{}:{line}: {head}::{name}: {why}", source.path))
        .collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of the tree, without what is built or left behind by trying things out.
fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if [".git", "target", "demo"].contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push(path);
        }
    }
}

/// Every text of the tree, by its path from the root.
fn tree() -> Vec<(String, String)> {
    let mut found = Vec::new();
    files(root(), &mut found);
    found.sort();
    let shown = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    let read = |path: PathBuf| Some((shown(&path), std::fs::read_to_string(&path).ok()?));
    found.into_iter().filter_map(read).collect()
}

#[test]
fn every_source_keeps_every_rule() {
    let sources: Vec<Source> = tree()
        .iter()
        .filter(|(path, _)| path.ends_with(".rs") && !source::is_test(path))
        .map(|(path, text)| Source::read(path, text))
        .collect();
    assert!(sources.len() > 50, "only {} sources were found", sources.len());
    let told: Vec<String> = RULES
        .iter()
        .flat_map(|(name, rule)| {
            sources
                .iter()
                .flat_map(rule)
                .map(move |what| format!("[{name}] {what}"))
        })
        .collect();
    assert!(told.is_empty(), "\n{}\n", told.join("\n"));
}

#[test]
fn manifests_hold_the_same_arrows() {
    let crates = ["contract", "filter", "connectors", "sandbox"];
    for (own, folder) in crates
        .iter()
        .zip(["connectors/contract", "connectors/filter", "connectors", "sandbox"])
    {
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let sees = SEES.iter().find(|(part, _)| part == own).unwrap().1;
        for name in crates {
            assert!(
                !depends(&manifest, name) || sees.contains(&name),
                "{own} must not depend on {name}"
            );
        }
    }
}

fn depends(manifest: &str, name: &str) -> bool {
    let mut lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let own = lines.by_ref().take_while(|line| !line.starts_with('['));
    own.into_iter()
        .any(|line| line.split(['.', ' ', '=']).next() == Some(name))
}

#[test]
fn each_rule_can_fail() {
    let bad: [(&str, &str, &str); 23] = [
        ("arrows", "src/store/x.rs", "use crate::engine::Flow;"),
        ("arrows", "src/store/x.rs", "use crate::{config, cli};"),
        ("arrows", "src/store.rs", "fn f() { super::decide::look() }"),
        ("arrows", "src/engine/x.rs", "fn f(c: &crate::config::Config) {}"),
        ("arrows", "src/engine/x.rs", "use super::super::cli::Cli;"),
        ("arrows", "src/engine/x.rs", "use connectors::ALL;"),
        (
            "arrows",
            "src/decide.rs",
            "use crate::{\n    store::Link,\n    engine::Flow,\n};",
        ),
        ("arrows", "src/mapping.rs", "use crate::store::Store;"),
        ("arrows", "src/config/x.rs", "use sandbox::Options;"),
        ("arrows", "src/decide.rs", "use crate::*;"),
        ("arrows", "src/helpers.rs", ""),
        ("arrows", "connectors/csv/x.rs", "fn f() { ::sandbox::serve() }"),
        ("arrows", "connectors/contract/src/x.rs", "use filter::Filter;"),
        ("sql", "src/engine/x.rs", "const Q: &str = \"SELECT 1\";"),
        (
            "sql",
            "src/cli/x.rs",
            "const Q: &str = r#\"\n  UPDATE links SET key = ''\"#;",
        ),
        ("sql", "src/decide.rs", "use sqlx::Row;"),
        ("network", "connectors/csv/x.rs", "use reqwest::{Url, Client};"),
        ("network", "src/cli/x.rs", "let c: reqwest::Client = x;"),
        ("environment", "src/cli/x.rs", "let p = std::env::var(\"HOME\");"),
        ("clock", "src/engine/x.rs", "let t = std::time::Instant::now();"),
        ("clock", "src/decide.rs", "let t = jiff::Timestamp::now();"),
        ("tasks", "src/engine/x.rs", "tokio::spawn(async {});"),
        (
            "tasks",
            "connectors/http/x.rs",
            "use tokio::task::{JoinHandle, JoinSet};",
        ),
    ];
    for (name, path, text) in bad {
        let (_, rule) = RULES.iter().find(|(known, _)| *known == name).unwrap();
        assert!(
            !rule(&Source::read(path, text)).is_empty(),
            "{name} lets {path} have: {text}"
        );
    }
    for (name, _) in RULES {
        assert!(
            bad.iter().any(|(shown, ..)| *shown == name),
            "{name} is not shown to fail"
        );
    }
}

#[test]
fn rules_let_pass_what_is_right() {
    let good = [
        (
            "src/engine/x.rs",
            "use crate::store::{Keep, Link};\nuse super::{Engine, Flow};",
        ),
        (
            "src/engine/x.rs",
            "// use crate::config;\nconst T: &str = \"crate::config::Config\";",
        ),
        ("src/cli/x.rs", "const T: &str = \"pick a flow, then UPDATE it\";"),
        (
            "src/cli/x.rs",
            "let m = Method::DELETE; let t = \"DELETE\"; let c = '\"';",
        ),
        ("connectors/selorax/x.rs", "use reqwest::{Method, Url};"),
        (
            "src/store/x.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::engine::Flow;\n}\n",
        ),
        (
            "connectors/csv/x.rs",
            "use crate::http::Peer;\nlet filter = rows.iter().filter(|row| true);",
        ),
    ];
    for (path, text) in good {
        for (name, rule) in RULES {
            let told = rule(&Source::read(path, text));
            assert!(told.is_empty(), "{name}: {told:?}");
        }
    }
}
