//! Commands beside a live daemon: the same output and exit code as alone, carried out by the daemon.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use sandbox::{Fault, Rule};

use super::rig::{daemon, settled, setup, socket, stop};
use crate::support::{Desk, Setup, Shop, names};

/// A summary without what depends on who asked before: requests, and names of files.
fn told(out: &str) -> Vec<String> {
    let lines = out.lines().filter(|line| !line.trim_start().starts_with("requests"));
    lines.map(str::to_owned).collect()
}

#[test]
fn a_pass_and_a_walk_beside_a_daemon_say_what_they_say_alone() {
    let shop = Shop::of(300);
    let (beside, alone) = (Desk::with(&shop, setup()), Desk::with(&shop, setup()));
    let running = settled(&beside, &shop);
    alone.run(&["--backfill"]).ends(0);
    shop.world().advance(Duration::from_secs(60));
    for id in shop.some_ids(7) {
        shop.world()
            .update_order(id, |order| order.status = "shipped".to_owned());
    }
    for args in [&["--once"][..], &["--backfill"], &["--once", "orders-to-csv"]] {
        let (one, other) = (beside.run(args).ends(0), alone.run(args).ends(0));
        assert_eq!(told(&one.out), told(&other.out), "{args:?}");
    }
    beside.check(&shop);
    let log = running;
    assert_eq!(names(&beside.out()).len(), names(&alone.out()).len());
    stop(log);
}

#[test]
fn mistakes_are_told_and_exit_with_2_beside_a_daemon_too() {
    let shop = Shop::of(20);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    desk.run(&["--once", "orders-to-cvs"])
        .ends(2)
        .says(&["no flow `orders-to-cvs`", "did you mean `orders-to-csv`"]);
    desk.run(&["--backfill", "--since", "yesterday"])
        .ends(2)
        .says(&["`yesterday` is no date"]);
    desk.run(&["failures", "retry", "99"]).ends(2).says(&["no failure 99"]);
    desk.run(&["failures", "discard", "99"])
        .ends(2)
        .says(&["no failure 99"]);
    stop(running);
}

#[test]
fn who_asks_needs_no_secret_and_only_the_owner_may_ask() {
    let shop = Shop::of(20);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    let mode = socket(&desk).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    std::fs::remove_file(desk.path("client-secret")).unwrap();
    for args in [&["--once"][..], &["status"], &["failures", "list"], &["--backfill"]] {
        let mut command = desk.command(args);
        command.env_remove("SX_CLIENT_ID");
        desk.launch(command).wait().ends(0);
    }
    stop(running);
    let mut command = desk.command(&["--once"]);
    command.env_remove("SX_CLIENT_ID");
    desk.launch(command).wait().ends(2).says(&["client-secret"]);
}

#[test]
fn a_dry_run_beside_a_daemon_shows_what_would_be_sent_and_changes_nothing() {
    let shop = Shop::of(30);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    shop.world().advance(Duration::from_secs(60));
    shop.world().insert_orders(2);
    let before = names(&desk.out());
    let shown = desk.run(&["--once", "--dry-run"]).ends(0);
    assert_eq!(shown.out.lines().filter(|line| line.contains(".csv {")).count(), 2);
    assert!(shown.out.contains("would send 2 records"), "{}", shown.out);
    assert_eq!(names(&desk.out()), before);
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    stop(running);
}

#[test]
fn failures_are_tried_again_and_put_out_of_sight_by_the_daemon() {
    let shop = Shop::of(30);
    let mut desk = Desk::with(&shop, setup());
    desk.setup.max_records = 5;
    desk.configure();
    let ids = shop.some_ids(2);
    let rule = |id| {
        let splice = sandbox::Splice::Member {
            path: "items".to_owned(),
            json: "7".to_owned(),
        };
        Rule::any(Fault::Splice {
            order: Some(id),
            splice,
        })
    };
    let (one, other) = (shop.world().fault(rule(ids[0])), shop.world().fault(rule(ids[1])));
    let running = daemon(&desk);
    desk.run(&["--backfill"]).ends(3);
    shop.world().remove_fault(one);
    let list = desk.run(&["failures", "list", "--json"]).ends(0);
    let list: serde_json::Value = serde_json::from_str(&list.out).unwrap();
    let id_of = |record: i64| {
        let record = record.to_string();
        let failures = list.as_array().unwrap().iter();
        let mut found = failures.filter(|failure| failure["record"].as_str() == Some(record.as_str()));
        found.next().unwrap()["id"].to_string()
    };
    let retried = desk.run(&["failures", "retry", &id_of(ids[0])]).ends(3);
    assert!(retried.out.contains("trying 1 again"), "{}", retried.out);
    assert!(retried.out.contains("sent     1 record"), "{}", retried.out);
    desk.run(&["failures", "discard", &id_of(ids[1])]).ends(0);
    desk.run(&["failures", "retry", "--all"]).ends(0);
    assert!(shop.world().fired(other) > 0);
    shop.world().clear_faults();
    stop(running);
}

#[test]
fn a_replay_sends_records_again_that_did_not_change() {
    let shop = Shop::of(40);
    let desk = Desk::with(&shop, setup());
    // Alone first, then beside a daemon.
    desk.run(&["--backfill"]).ends(0);
    for beside in [false, true] {
        let running = beside.then(|| daemon(&desk));
        let rows = desk.rows();
        let id = shop.some_ids(1)[0].to_string();
        let one = desk.run(&["replay", "orders-to-csv", "--id", &id]).ends(0);
        assert!(one.out.contains("1 queued to be sent again"), "{}", one.out);
        assert_eq!(desk.rows(), rows + 1, "beside: {beside}");
        let all = desk.run(&["replay", "orders-to-csv", "--since", "2001-01-01"]).ends(0);
        assert!(all.out.contains("40 queued to be sent again"), "{}", all.out);
        assert_eq!(desk.rows(), rows + 41);
        // Nothing is left of it.
        desk.run(&["--once"]).ends(0);
        desk.run(&["--backfill"]).ends(0);
        assert_eq!(desk.rows(), rows + 41);
        desk.run(&["replay", "nowhere", "--id", "1"]).ends(2);
        desk.run(&["replay", "orders-to-csv"]).ends(2);
        if let Some(running) = running {
            stop(running);
        }
    }
}

#[test]
fn who_goes_away_ends_the_job_and_the_next_one_goes_on_there() {
    let shop = Shop::of(3_000);
    let desk = Desk::with(
        &shop,
        Setup {
            max_records: 100,
            flow: "    schedule: manual\n".to_owned(),
            ..Setup::default()
        },
    );
    let slow = shop.world().fault(Rule::list(Fault::Delay { ms: 60 }));
    let running = daemon(&desk);
    let mut client = desk.start(&["--backfill"]);
    client.until("the first file", || !names(&desk.out()).is_empty());
    client.signal("INT");
    client.wait().ends(1).says(&["interrupted"]);
    // Nobody asks for more: the store is left in peace.
    std::thread::sleep(Duration::from_millis(400));
    let asked = shop.world().request_count();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(
        shop.world().request_count(),
        asked,
        "the daemon goes on with a job that nobody waits for"
    );
    assert!(shop.world().fired(slow) > 0);
    shop.world().clear_faults();
    desk.run(&["--backfill"]).ends(0).says(&["going on with the backfill"]);
    desk.check(&shop);
    stop(running);
}

#[test]
fn a_socket_that_a_killed_daemon_left_is_no_daemon() {
    let shop = Shop::of(30);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    assert_eq!(running.kill().signal, Some(9));
    assert!(socket(&desk).exists());
    shop.world().advance(Duration::from_secs(60));
    shop.world().insert_orders(3);
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    stop(daemon(&desk));
    assert!(!socket(&desk).exists());
}

#[test]
fn tail_shows_each_record_as_it_is_delivered() {
    let shop = Shop::of(12);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    let mut command = desk.command(&["tail", "-n", "2"]);
    command.env_remove("SX_CLIENT_ID");
    let mut tail = desk.launch(command);
    tail.until("two lines", || tail_lines(&desk) >= 2);
    shop.world().advance(Duration::from_secs(60));
    let new = shop.world().insert_orders(3);
    desk.run(&["--once"]).ends(0);
    tail.until("three more lines", || tail_lines(&desk) >= 5);
    tail.signal("INT");
    let told = tail.wait().ends(0).out;
    assert_eq!(told.lines().count(), 5, "{told}");
    for id in new {
        assert!(
            told.lines()
                .skip(2)
                .any(|line| line.contains(&format!("  {id}  orders-"))),
            "{told}"
        );
    }
    desk.run(&["tail", "nowhere"]).ends(2);
    stop(running);
}

/// Lines that the run started last but for the jobs has written.
fn tail_lines(desk: &Desk) -> usize {
    let runs = std::fs::read_dir(desk.path("runs")).unwrap();
    let outs = runs
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "out"));
    let texts = outs.map(|path| std::fs::read_to_string(path).unwrap());
    let tails = texts.filter(|text| text.lines().all(|line| line.contains("  orders-to-csv  ")));
    tails.map(|text| text.lines().count()).max().unwrap_or(0)
}
