//! The commands that change nothing, and what scripts rely on of the others.

use std::process::Command;

use serde_json::Value;

use crate::support::{Desk, Setup, Shop, names};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The files in a folder, with their content. SQLite makes empty ones beside a state file that is looked at.
fn snapshot(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let files = names(folder).into_iter().filter(|name| folder.join(name).is_file());
    let files = files.filter(|name| !name.ends_with("-shm"));
    let files = files.filter(|name| !(name.ends_with("-wal") && folder.join(name).metadata().unwrap().len() == 0));
    files
        .map(|name| (name.clone(), std::fs::read(folder.join(&name)).unwrap()))
        .collect()
}

#[test]
fn a_dry_run_shows_what_would_be_sent_and_changes_nothing() {
    let shop = Shop::of(40);
    let desk = Desk::new(&shop);
    for command in ["--once", "--backfill"] {
        let outcome = desk.run(&[command, "--dry-run"]).ends(0);
        assert!(
            !desk.state().exists() && !desk.out().exists(),
            "{command} --dry-run wrote"
        );
        let shown = outcome.out.lines().filter(|line| line.contains(r#""total":"#)).count();
        assert_eq!(shown, 40, "{}", outcome.out);
    }
    desk.run(&["--once"]).ends(0);
    shop.world().advance(std::time::Duration::from_secs(60));
    for id in shop.some_ids(4) {
        shop.world()
            .update_order(id, |order| order.note = Some("dry".to_owned()));
    }
    let (state, sent) = (snapshot(&desk.path(".")), snapshot(&desk.out()));
    for command in ["--once", "--backfill"] {
        let outcome = desk.run(&[command, "--dry-run"]).ends(0);
        assert_eq!(outcome.out.matches(r#""note":"dry""#).count(), 4, "{}", outcome.out);
        assert!(
            snapshot(&desk.path(".")) == state,
            "{command} --dry-run touched the state"
        );
        assert!(snapshot(&desk.out()) == sent, "{command} --dry-run touched the folder");
    }
    assert_eq!(
        names(&desk.path("tmp")),
        Vec::<String>::new(),
        "copies of the state were left behind"
    );
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
}

#[test]
fn status_needs_neither_state_nor_secrets() {
    let shop = Shop::of(3);
    let desk = Desk::new(&shop);
    std::fs::remove_file(desk.path("client-secret")).unwrap();
    let bare = |args: &[&str]| {
        let mut command: Command = desk.command(args);
        command.env_remove("SX_CLIENT_ID");
        desk.launch(command).wait()
    };
    let told = json(&bare(&["status", "--json"]).ends(0).out);
    assert_eq!(told["state"]["exists"], false);
    assert_eq!(told["flows"][0]["name"], "orders-to-csv");
    assert_eq!(told["flows"][0]["failed"], 0);
    assert!(told["flows"][0]["last_success"].is_null());
    bare(&["status"]).ends(0);
    let none = json(&bare(&["failures", "list", "--json"]).ends(0).out);
    assert_eq!(none, Value::Array(Vec::new()));
    bare(&["--once"]).ends(2);
    assert!(!desk.state().exists(), "status made a state file");
}

#[test]
fn status_tells_of_a_run_that_went_well() {
    let shop = Shop::of(30);
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(0);
    let told = json(&desk.run(&["status", "--json", "--check"]).ends(0).out);
    let flow = &told["flows"][0];
    assert!(
        flow["last_success"].is_string() && flow["watermark"].is_string(),
        "{told}"
    );
    assert!(flow["last_error"].is_null(), "{told}");
    assert_eq!((&flow["queued"], &flow["files"]), (&Value::from(0), &Value::from(1)));
}

#[test]
fn check_schema_and_completions_answer() {
    let shop = Shop::of(3);
    let desk = Desk::new(&shop);
    desk.run(&["check"]).ends(0);
    assert_eq!(
        shop.world().request_count(),
        0,
        "check without --connect asked the store"
    );
    desk.run(&["check", "--connect"]).ends(0);
    assert!(shop.world().request_count() > 0);
    shop.world()
        .set_access(|access| access.client_secret = "another".to_owned());
    let refused = desk.run(&["check", "--connect"]).ends(1);
    assert!(refused.out.contains("FAILED  store"), "{}", refused.out);
    let schema = json(&desk.run(&["schema"]).ends(0).out);
    assert!(schema["properties"]["flows"].is_object() && schema["$schema"].is_string());
    let script = desk.run(&["completions", "bash"]).ends(0);
    assert!(script.out.contains("complete -F") && script.out.contains("--backfill"));
    desk.run(&["--once", "no-such-flow"])
        .ends(2)
        .says(&["no flow `no-such-flow`"]);
    desk.run(&["--no-such-option"]).ends(2);
    assert!(!desk.state().exists());
}

#[test]
fn preview_shows_both_sides_and_writes_nothing() {
    let shop = Shop::of(30);
    let desk = Desk::new(&shop);
    let id = shop.some_ids(1)[0];
    let shown = desk.run(&["preview", "orders-to-csv", "--id", &id.to_string()]).ends(0);
    assert!(
        shown.out.contains(&id.to_string()) && shown.out.contains("grand_total"),
        "{}",
        shown.out
    );
    let limited = desk
        .run(&["preview", "orders-to-csv", "--limit", "2", "--json"])
        .ends(0);
    assert_eq!(
        limited
            .out
            .lines()
            .map(json)
            .filter(|line| line["output"].is_array())
            .count(),
        2
    );
    desk.run(&["preview", "orders-to-csv", "--id", "1"])
        .ends(1)
        .says(&["no record 1"]);
    desk.run(&["preview", "orders-to-cvs"])
        .ends(2)
        .says(&["did you mean `orders-to-csv`"]);
    assert!(!desk.state().exists() && !desk.out().exists());
}

#[test]
fn a_flow_that_starts_with_what_is_new_sends_only_what_comes_later() {
    let shop = Shop::of(100);
    let setup = Setup {
        flow: "    initial: new\n".to_owned(),
        ..Setup::default()
    };
    let desk = Desk::with(&shop, setup);
    desk.run(&["--once"]).ends(0);
    assert_eq!(desk.rows(), 0);
    shop.world().advance(std::time::Duration::from_secs(60));
    let new = shop.world().insert_orders(3);
    let old = shop.some_ids(2);
    for id in &old {
        shop.world()
            .update_order(*id, |order| order.note = Some("changed later".to_owned()));
    }
    desk.run(&["--once"]).ends(0);
    let (rows, wrong) = crate::support::rows(&desk.out(), 1000);
    assert_eq!(wrong, Vec::<String>::new());
    let mut sent: Vec<i64> = rows.iter().map(|row| row.id).collect();
    sent.sort_unstable();
    let mut expected = [new, old].concat();
    expected.sort_unstable();
    assert_eq!(sent, expected);
    desk.run(&["--once"]).ends(0);
    assert_eq!(desk.rows(), expected.len());
    // A backfill asks for all of it.
    desk.run(&["--backfill"]).ends(0);
    desk.check(&shop);
}
