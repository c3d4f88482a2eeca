//! Bad configs with the exact report each, and what no file may ever cause: a panic, a problem without
//! a place, a secret in a message.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use super::{Broken, Config, Mode, load};

const SECRET: &str = "canary-sekrit-0123456789abcdef";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The environment of all tests here.
fn env(name: &str) -> Option<String> {
    match name {
        "SELORAX_CLIENT_ID" => Some("client-1".to_owned()),
        "SELORAX_CLIENT_SECRET" => Some(SECRET.to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn write(text: &[u8]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sync.yaml"), text).unwrap();
    folder
}

fn load_text(text: &str, mode: Mode) -> Result<Config, Broken> {
    let folder = write(text.as_bytes());
    load(&folder.path().join("sync.yaml"), mode, &env)
}

fn example() -> String {
    std::fs::read_to_string(root().join("sync.yaml.example")).unwrap()
}

/// With `BLESS=1` the expected reports are written anew, to be read in the diff.
#[test]
fn each_bad_config_gets_exactly_its_report() {
    let folder = root().join("tests/config");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    assert!(files.len() >= 15);
    let mut wrong = Vec::new();
    for path in files {
        let broken = load(&path, Mode::Full, &env).unwrap_err();
        let prefix = format!("{}/", folder.display());
        let report = format!("{broken}\n").replace(&prefix, "");
        assert!(
            !report.contains("canary") && !report.contains("not-to-be-shown"),
            "{report}"
        );
        let expected = path.with_extension("expected");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &report).unwrap();
        }
        if std::fs::read_to_string(&expected).unwrap_or_default() != report {
            wrong.push(report);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_example_loads_without_a_word() {
    let config = load_text(&example(), Mode::Full).unwrap();
    assert!(config.warnings.is_empty(), "{}", config.warnings);
    assert!(config.state_path.ends_with("state.db"));
    assert_eq!(config.timezone.iana_name(), Some("Asia/Dhaka"));
    assert_eq!(config.connectors.keys().collect::<Vec<_>>(), ["drop", "store"]);
    assert_eq!(config.flows.len(), 1);
    assert_eq!(config.flows[0].to.to_string(), "drop.orders");
    assert_eq!(config.flows[0].triggers.len(), 5);
    assert!(!format!("{config:?}").contains("canary"));
}

/// The commented flow and the commented sections are as true as the rest.
#[test]
fn the_example_loads_with_its_comments_made_keys() {
    let text: String = example()
        .lines()
        .scan(false, |inside, line| {
            *inside |= line.starts_with("# webhooks:");
            let flow = line.strip_prefix("  # ").filter(|rest| {
                [" ", "erp:", "lines-to-drop:"]
                    .iter()
                    .any(|start| rest.starts_with(start))
            });
            let line = match (flow, line.strip_prefix("# ").filter(|_| *inside)) {
                (Some(rest), _) => format!("  {rest}\n"),
                (None, Some(rest)) => format!("{rest}\n"),
                _ => format!("{line}\n"),
            };
            Some(line)
        })
        .collect();
    let vars = |name: &str| match name {
        "SELORAX_WEBHOOK_SECRET" | "ADMIN_TOKEN" | "ERP_TOKEN" | "SMTP_PASSWORD" => Some(SECRET.to_owned()),
        "SLACK_WEBHOOK_URL" => Some("https://hooks.example.com/services/T0".to_owned()),
        _ => env(name),
    };
    let folder = write(text.as_bytes());
    let config = load(&folder.path().join("sync.yaml"), Mode::Full, &vars).unwrap();
    assert_eq!(config.alerts.channels.len(), 3);
    assert_eq!(config.flows.len(), 2);
    let erp = &config.connectors["erp"];
    assert_eq!(
        (erp.sources(), erp.targets()),
        (vec!["stock".to_owned()], vec!["orders".to_owned()])
    );
    assert_eq!(config.webhooks.unwrap().secrets.len(), 1);
    assert!(config.admin.unwrap().token.is_some());
    assert_eq!(config.warnings.problems().len(), 1);
}

#[test]
fn offline_needs_no_secrets() {
    let none = |_: &str| None;
    let folder = write(example().as_bytes());
    let path = folder.path().join("sync.yaml");
    let config = load(&path, Mode::Offline, &none).unwrap();
    assert_eq!(config.flows.len(), 1);
    let broken = load(&path, Mode::Full, &none).unwrap_err();
    let report = broken.to_string();
    assert!(
        report.contains("SELORAX_CLIENT_ID is not set") && report.ends_with("2 problems"),
        "{report}"
    );

    let hidden = example()
        .replace("./state.db", "${STATE_DIR}/state.db")
        .replace("./out", "${OUT}");
    let report = load_text(&hidden, Mode::Offline).unwrap_err().to_string();
    assert!(report.contains("state.path: the path is not known here"), "{report}");
    assert!(report.ends_with("1 problem"), "{report}");

    let unread = example()
        .replace("https://api.selorax.io", "${URL}")
        .replace("./out", "${OUT}");
    let config = load_text(&unread, Mode::Offline).unwrap();
    assert!(config.connectors.is_empty());
    assert_eq!(config.flows.len(), 1);
}

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let folder = tempfile::tempdir().unwrap();
    let report = load(folder.path(), Mode::Full, &env).unwrap_err().to_string();
    assert!(report.contains("this is a folder"), "{report}");
    let report = load(&folder.path().join("none.yaml"), Mode::Full, &env)
        .unwrap_err()
        .to_string();
    assert!(report.contains("there is no such file"), "{report}");
    let big = load_text(&"# much\n".repeat(200_000), Mode::Full)
        .unwrap_err()
        .to_string();
    assert!(big.contains("more than 1048576 bytes"), "{big}");
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_nothing() {
    for text in [format!("\u{feff}{}", example()), example().replace('\n', "\r\n")] {
        load_text(&text, Mode::Full).unwrap();
    }
    let report = load_text("\u{feff}versoin: 1\r\n", Mode::Full).unwrap_err().to_string();
    assert!(report.contains("sync.yaml:1:1: versoin: unknown key"), "{report}");
}

#[test]
fn bombs_are_refused_at_once() {
    let brackets = load_text(&"[".repeat(100_000), Mode::Full).unwrap_err().to_string();
    assert!(brackets.contains("nests at most 64 deep"), "{brackets}");
    let large = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(100_000), "*a,".repeat(20_000));
    let large = load_text(&large, Mode::Full).unwrap_err().to_string();
    assert!(large.contains("bytes of text, aliases counted"), "{large}");
    let mut chain = "a0: &a0 [x]\n".to_owned();
    for n in 1..5_000 {
        chain.push_str(&format!("a{n}: &a{n} [*a{}]\n", n - 1));
    }
    let chain = load_text(&chain, Mode::Full).unwrap_err().to_string();
    assert!(chain.contains("nested more than 64 deep"), "{chain}");
    let own = load_text("a: &a [*a]\n", Mode::Full).unwrap_err().to_string();
    assert!(own.contains("an alias to the very thing"), "{own}");
}

#[test]
fn anchors_and_merge_keys_spare_repetition() {
    let text = example().replace(
        "\n      lines:\n        write:\n",
        "\n      lines:\n        write:\n          <<: *limits\n",
    );
    let text = text.replace(
        "      orders:\n        write:\n",
        "      orders:\n        write: &limits\n",
    );
    assert!(text.contains("*limits"));
    // `file` is given by the map itself, so the merged one does not come through.
    load_text(&text, Mode::Full).unwrap();
}

#[test]
fn a_secret_in_a_file_that_everyone_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let folder = write(
        example()
            .replace("${SELORAX_CLIENT_SECRET}", "in-the-file-itself")
            .as_bytes(),
    );
    let path = folder.path().join("sync.yaml");
    for (mode, count) in [(0o644, 1), (0o600, 0)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let warnings = load(&path, Mode::Full, &env).unwrap().warnings;
        assert_eq!(warnings.problems().len(), count, "{warnings}");
        assert!(!warnings.to_string().contains("itself"), "{warnings}");
    }
}

fn secret_file(mode: u32, content: &[u8]) -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt;
    let folder = write(
        example()
            .replace("${SELORAX_CLIENT_SECRET}", "${file:keys/s}")
            .as_bytes(),
    );
    std::fs::create_dir(folder.path().join("keys")).unwrap();
    let path = folder.path().join("keys/s");
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    folder
}

#[test]
fn a_secret_file_that_others_can_read_is_refused() {
    let load_it = |folder: &tempfile::TempDir| load(&folder.path().join("sync.yaml"), Mode::Full, &env);
    for (mode, good) in [
        (0o600, true),
        (0o400, true),
        (0o640, true),
        (0o644, false),
        (0o660, false),
        (0o604, false),
    ] {
        let folder = secret_file(mode, b"s3cret-of-a-file\n");
        match load_it(&folder) {
            Ok(_) => assert!(good, "{mode:o}"),
            Err(broken) => {
                let report = broken.to_string();
                assert!(!good && report.contains("run: chmod 600 "), "{mode:o} {report}");
                assert!(!report.contains("s3cret"), "{report}");
            }
        }
    }
    for (content, why) in [
        (&b"\n"[..], "is empty"),
        (b"\xff\n", "is not UTF-8"),
        (&[b'x'; 70_000], "65536 bytes"),
    ] {
        let report = load_it(&secret_file(0o600, content)).unwrap_err().to_string();
        assert!(report.contains(why), "{report}");
    }
}

#[test]
fn credentials_come_from_the_service_managers_folder() {
    let folder = write(
        example()
            .replace("${SELORAX_CLIENT_SECRET}", "${cred:secret}")
            .as_bytes(),
    );
    std::fs::write(folder.path().join("secret"), "s3cret\n").unwrap();
    let place = folder.path().display().to_string();
    let vars = |name: &str| match name {
        "CREDENTIALS_DIRECTORY" => Some(place.clone()),
        _ => env(name),
    };
    load(&folder.path().join("sync.yaml"), Mode::Full, &vars).unwrap();
}

#[test]
fn interpolation_takes_only_what_it_knows() {
    let base = "version: 1\nstore: {url: https://api.selorax.io, store_id: 22, access_token: \"${EMPTY:-abc}\"}\n";
    let state = |text: &str| load_text(&format!("{base}state: {{path: {text}}}\n"), Mode::Full);
    let name = |text: &str| {
        let path = state(text).unwrap().state_path;
        path.file_name().unwrap().to_str().unwrap().to_owned()
    };
    assert_eq!(name("'$${NAME}.db'"), "${NAME}.db");
    assert_eq!(name("'a$b$.db'"), "a$b$.db");
    assert_eq!(name("'${EMPTY:-x}-${SELORAX_CLIENT_ID}.db'"), "x-client-1.db");
    assert_eq!(name("'${NONE:-}'"), "state.db");
    assert!(state("'${NAME:?why}'").is_err());
    assert!(state("'${}'").is_err());
    assert!(state("'${'").is_err());
}

/// Every place is in the file, and nothing that came from outside is told.
fn sound(text: &str) {
    let Err(broken) = load_text(text, Mode::Full) else {
        return;
    };
    let lines = text.lines().count().max(1);
    assert!(!broken.0.is_empty());
    for problem in broken.0.problems() {
        let (line, column) = (problem.span.line, problem.span.column);
        assert!(
            (1..=lines + 1).contains(&line) && column >= 1,
            "{line}:{column} of {lines}\n{text}"
        );
    }
    assert!(!broken.to_string().contains("canary"), "{broken}");
}

#[test]
fn every_prefix_of_the_example_is_judged_without_a_panic() {
    let text = example();
    // Comments make most of the text and nothing of the tree.
    let text: String = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| format!("{line}\n"))
        .collect();
    for (end, _) in text.char_indices() {
        sound(&text[..end]);
    }
}

#[test]
fn each_line_lost_doubled_or_garbled_is_judged_without_a_panic() {
    let text = example();
    let lines: Vec<&str> = text.lines().collect();
    for n in (0..lines.len()).filter(|n| !lines[*n].trim_start().starts_with('#')) {
        let with = |changed: &[String]| {
            let mut all: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
            all.splice(n..=n, changed.iter().cloned());
            sound(&(all.join("\n") + "\n"));
        };
        let line = lines[n].to_owned();
        with(&[]);
        with(&[line.clone(), line.clone()]);
        for garbled in [
            line.replace(':', ""),
            line.replace(' ', "\t"),
            line.replace(char::is_alphabetic, "ভ"),
            line.replace(": ", ": ["),
            line.replace(": ", ": \u{0}\u{7f}"),
            line.replace(": ", ": &a *a "),
            format!("{line} ${{"),
            format!("{line}\n{line}: {{{{"),
            line.chars().rev().collect(),
            format!("    {line}"),
        ] {
            with(&[garbled]);
        }
    }
}

#[test]
fn an_outside_value_is_in_no_message_wherever_it_stands() {
    let text = example();
    for (n, line) in text.lines().enumerate() {
        let Some((key, _)) = line.split_once(": ").filter(|_| !line.trim_start().starts_with('#')) else {
            continue;
        };
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        for value in [
            "${SELORAX_CLIENT_SECRET}",
            "\"${SELORAX_CLIENT_SECRET}.x\"",
            "[\"${SELORAX_CLIENT_SECRET}\"]",
        ] {
            lines[n] = format!("{key}: {value}");
            sound(&lines.join("\n"));
        }
    }
}

#[test]
fn the_config_is_found_where_it_is_said_to_be() {
    let vars = |name: &str| (name == "SELORAX_SYNC_CONFIG").then(|| "/x/y.yaml".to_owned());
    assert_eq!(super::find(Some("a.yaml".into()), &vars), Path::new("a.yaml"));
    assert_eq!(super::find(None, &vars), Path::new("/x/y.yaml"));
    assert!(super::find(None, &|_| None).ends_with("sync.yaml"));
}

#[test]
fn the_schema_knows_every_section_and_every_kind() {
    let schema = super::schema();
    let sections = schema["properties"].as_object().unwrap();
    for name in [
        "version",
        "state",
        "store",
        "connectors",
        "tables",
        "webhooks",
        "admin",
        "flows",
    ] {
        assert!(sections[name]["description"].is_string(), "{name}");
    }
    let kinds = schema["properties"]["connectors"]["additionalProperties"]["oneOf"]
        .as_array()
        .unwrap();
    assert_eq!(kinds[0]["properties"]["type"]["const"], "csv");
    assert_eq!(schema["properties"]["store"]["properties"]["burst"]["default"], 10);
    let flow = &schema["properties"]["flows"]["additionalProperties"]["properties"];
    for key in [
        "from", "to", "schedule", "triggers", "initial", "where", "map", "each", "guards",
    ] {
        assert!(flow[key].is_object(), "{key}");
    }
}
