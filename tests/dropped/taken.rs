//! Good files, guards, and what a person does about them.

use crate::support::Erp;

use super::rig::{Reading, Rig, sheet};

#[test]
fn a_snapshot_changes_what_differs_and_lies_in_the_archive() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock-1.csv", "sku,name,on_hand\n00123,Lamp,5\nB,\"a,b\",0\n");
    rig.once()
        .ends(0)
        .says(&["drop.inventory: stock-1.csv taken: 2 rows, 2 changes"]);
    assert_eq!(rig.out(), ["00123,5", "B,0"]);
    assert_eq!(
        (rig.lying(""), rig.lying("archive")),
        (vec![], vec!["stock-1.csv".to_owned()])
    );
    rig.drop("stock-2.csv", "on_hand,sku\n5,00123\n7,B\n3,C\n");
    rig.once().ends(0).says(&["3 rows, 2 changes"]);
    assert_eq!(rig.out(), ["00123,5", "B,0", "B,7", "C,3"]);
    assert!(rig.failures().is_empty());
    // Nothing is left to be done, and absence changes nothing.
    rig.drop("stock-3.csv", "sku,on_hand\nC,3\n");
    rig.once().ends(0).says(&["1 rows, 0 changes"]);
    assert_eq!(rig.out().len(), 4);
}

#[test]
fn sf_07_a_file_is_taken_when_it_has_not_changed_for_settle() {
    let rig = Rig::new(Reading {
        read: "settle: 1500ms",
        ..Reading::default()
    });
    rig.drop("stock.csv", "sku,on_hand\nA,1\n");
    let mut run = rig.desk.start(&["run"]);
    let began = std::time::Instant::now();
    // Its writer is slow, and pauses for less than `settle`.
    for n in 2..5 {
        run.let_run(std::time::Duration::from_millis(700));
        let rows: String = (1..=n).map(|n| format!("A{n},{n}\n")).collect();
        rig.drop("stock.csv", format!("sku,on_hand\n{rows}"));
        assert!(rig.out().is_empty(), "it was read before it was still");
    }
    run.until("the file", || rig.out().len() == 4);
    assert!(began.elapsed() > std::time::Duration::from_millis(3_500));
    run.signal("TERM");
    run.wait().ends(0);
    assert_eq!(rig.lying("archive"), ["stock.csv"]);
}

#[test]
fn sf_07_a_marker_and_a_footer_prove_that_a_file_is_complete() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, marker: '{stem}.done', footer: 'END,{rows}'",
        ..Reading::default()
    });
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,2\n");
    rig.once().ends(0);
    assert_eq!(rig.out().len(), 0);
    rig.drop("stock.done", "");
    rig.once()
        .ends(0)
        .says(&["stock.csv waits: its footer is not there yet"]);
    assert_eq!(
        (rig.out().len(), rig.lying("")),
        (0, vec!["stock.csv".to_owned(), "stock.done".to_owned()])
    );
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,2\nEND,2");
    rig.once().ends(0);
    assert_eq!(
        (rig.out(), rig.lying("")),
        (vec!["A,1".to_owned(), "B,2".to_owned()], vec![])
    );
    rig.drop("stock.csv", "sku,on_hand\nA,1\nEND,2\n");
    rig.drop("stock.done", "");
    rig.once().ends(3).says(&["the footer says 2 rows, and there are 1"]);
}

#[test]
fn sf_08_a_name_may_come_again_and_the_same_content_has_no_effect() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock.csv", "sku,on_hand\nA,1\n");
    rig.once().ends(0);
    rig.drop("stock.csv", "sku,on_hand\nA,2\n");
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,1", "A,2"]);
    rig.drop("stock-copy.csv", "sku,on_hand\nA,2\n");
    rig.once()
        .ends(0)
        .says(&["stock-copy.csv skipped: it has the same content as stock.csv"]);
    assert_eq!(rig.out().len(), 2);
    assert_eq!(rig.lying("archive").len(), 3, "each under a name of its own");
}

#[test]
fn sf_24_st_02_an_older_snapshot_is_skipped_by_time_or_by_name() {
    let rig = Rig::new(Reading::default());
    rig.drop_aged("stock-b.csv", "sku,on_hand\nA,1\n", 60);
    rig.drop_aged("stock-a.csv", "sku,on_hand\nA,2\n", 30);
    rig.once().ends(0);
    assert_eq!(rig.levels()["A"], "2", "the newest counts");
    rig.drop_aged("stock-c.csv", "sku,on_hand\nA,9\n", 40);
    rig.once()
        .ends(0)
        .says(&["stock-c.csv skipped: it is older than stock-a.csv"]);
    assert_eq!(rig.levels()["A"], "2");

    // A clock that is wrong does not matter where the name tells.
    let rig = Rig::new(Reading {
        read: "settle: 0s, pattern: 'stock-{order}.csv'",
        ..Reading::default()
    });
    let yaml = std::fs::read_to_string(rig.path("sync.yaml"))
        .unwrap()
        .replace("pattern: 'stock*.csv', ", "");
    rig.desk.write("sync.yaml", &yaml);
    rig.drop_aged("stock-20261127.csv", "sku,on_hand\nA,1\n", 90_000);
    rig.once().ends(0);
    rig.drop("stock-20261126.csv", "sku,on_hand\nA,9\n");
    rig.once()
        .ends(0)
        .says(&["skipped: it is older than stock-20261127.csv"]);
    assert_eq!(rig.levels()["A"], "1");
}

#[test]
fn sf_12_a_sku_that_is_there_twice_counts_once_or_fails_alone() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,2\nA,1\nC,3\nB,4\n");
    rig.once().ends(3);
    assert_eq!(rig.out(), ["A,1", "C,3"]);
    let failures = rig.failures();
    assert_eq!(failures.len(), 1, "{failures:?}");
    let (_, record, reason) = &failures[0];
    assert_eq!(record, "B");
    assert_eq!(
        reason,
        "stock.csv: it is there more than once with different values: lines 3, 6"
    );
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,4\nC,3\n");
    rig.once().ends(0);
    assert_eq!((rig.levels()["B"].as_str(), rig.failures().len()), ("4", 0));
}

#[test]
fn st_06_sf_24_a_file_that_looks_wrong_as_a_whole_is_held_until_a_person_says() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock-1.csv", sheet(40, |n| n as i64 + 1));
    rig.once().ends(0);
    for (name, text, told) in [
        (
            "stock-zero.csv",
            sheet(40, |n| if n < 38 { 0 } else { 1 + n as i64 }),
            "38 of 40 SKUs become 0",
        ),
        (
            "stock-jump.csv",
            sheet(40, |n| if n == 1 { 2_000 } else { n as i64 + 1 }),
            "S-00001 from 2 to 2000",
        ),
        (
            "stock-short.csv",
            sheet(23, |n| n as i64 + 1),
            "it has 23 rows, and the last file had 40",
        ),
    ] {
        rig.drop(name, text);
        rig.once().ends(3).says(&[&format!("{name} held")]);
        let failures = rig.failures();
        assert_eq!(failures.len(), 1, "{failures:?}");
        let (id, record, reason) = &failures[0];
        assert!(record == name && reason.contains(told), "{record}: {reason}");
        assert_eq!(
            (rig.out().len(), rig.lying("")),
            (40, vec![name.to_owned()]),
            "nothing was changed"
        );
        rig.once().ends(3);
        assert_eq!(rig.out().len(), 40);
        if name == "stock-short.csv" {
            rig.desk.run(&["failures", "retry", &id.to_string()]).ends(0);
            assert_eq!(rig.out().len(), 40);
            assert_eq!(rig.lying("archive"), ["stock-1.csv", "stock-short.csv"]);
        } else {
            rig.desk.run(&["failures", "discard", &id.to_string()]).ends(0);
            rig.once().ends(0);
            assert_eq!((rig.out().len(), rig.failures().len()), (40, 0));
            assert!(rig.lying("rejected").contains(&name.to_owned()));
        }
    }
    rig.configure(Reading {
        flow: "guards: off",
        ..Reading::default()
    });
    rig.drop("stock-9.csv", sheet(40, |_| 0));
    rig.once().ends(0);
    assert_eq!(rig.out().len(), 80);
}

#[test]
fn st_06_an_approved_file_takes_effect() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock-1.csv", sheet(20, |_| 5));
    rig.once().ends(0);
    rig.drop("stock-2.csv", sheet(20, |_| 0));
    rig.once().ends(3);
    let (id, ..) = rig.failures().remove(0);
    let mut daemon = rig.desk.start(&["run"]);
    daemon.until("the daemon", || {
        rig.path("state.db").with_extension("db.sock").exists() || daemon_up(&rig)
    });
    rig.desk.run(&["failures", "retry", &id.to_string()]);
    daemon.until("the file", || rig.out().len() == 40);
    daemon.signal("TERM");
    daemon.wait().ends(0);
    assert!(rig.levels().values().all(|level| level == "0"));
    assert!(rig.failures().is_empty());
}

fn daemon_up(rig: &Rig) -> bool {
    let status = rig.desk.run(&["status"]);
    !status.out.contains("no daemon runs")
}

#[test]
fn what_is_absent_becomes_zero_where_the_config_says_so() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, absent: zero, numbers: [on_hand]",
        ..Reading::default()
    });
    rig.drop("stock-1.csv", "sku,on_hand\nA,1\nB,2\nC,0\n");
    rig.once().ends(0);
    rig.drop("stock-2.csv", "sku,on_hand\nA,1\n");
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,1", "B,2", "C,0", "B,0"]);
}

#[test]
fn a_delta_is_added_once_for_each_file() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, mode: delta, after: delete",
        map: "{sku: .sku, delta: .change}",
        ..Reading::default()
    });
    rig.drop("stock-1.csv", "sku,change\nA,5\nA,-2\nB,1\n");
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,5", "A,-2", "B,1"]);
    rig.drop("stock-2.csv", "sku,change\nA,5\nA,-2\nB,1\n");
    rig.once().ends(0).says(&["the same content as stock-1.csv"]);
    rig.drop("stock-1.csv", "sku,change\nA,5\n");
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,5", "A,-2", "B,1", "A,5"]);
    assert!(rig.lying("").is_empty() && rig.lying("archive").is_empty());
}

#[test]
fn a_file_that_is_kept_is_taken_once() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, after: keep",
        ..Reading::default()
    });
    rig.drop("stock.csv", "sku,on_hand\nA,1\n");
    for _ in 0..3 {
        rig.once().ends(0);
    }
    assert_eq!((rig.out().len(), rig.lying("")), (1, vec!["stock.csv".to_owned()]));
}

#[test]
fn a_dry_run_leaves_the_folder_and_the_state_as_they_are() {
    let rig = Rig::new(Reading::default());
    rig.drop("stock.csv", "sku,on_hand\nA,1\n");
    rig.desk.run(&["--once", "--dry-run"]).ends(0);
    assert_eq!((rig.out().len(), rig.lying("")), (0, vec!["stock.csv".to_owned()]));
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,1"]);
}

#[test]
fn a_file_goes_to_an_erp_record_by_record_and_only_changes_do() {
    let erp = Erp::open(|_| {});
    let rig = Rig::new(Reading::default());
    rig.desk.write("erp-token", &erp.books().credentials().token);
    let yaml = std::fs::read_to_string(rig.path("sync.yaml")).unwrap();
    let yaml = yaml.replace("to: out.stock", "to: erp.stock").replace(
        "flows:\n",
        &format!(
            "  erp:
    type: rest
    base_url: {}
    auth: {{type: bearer, token: '${{file:./erp-token}}'}}
    rate_limit: 1000/s
    resources:
      stock:
        push:
          create: {{path: /stock, id: .data.id, body: '{{reference: .sku, quantity}}'}}
          update: {{path: '/stock/{{id}}', body: '{{quantity}}'}}
          find: {{path: /stock, params: {{reference: .sku}}, id: '.items[].id'}}
flows:
",
            erp.url()
        ),
    );
    rig.desk.write("sync.yaml", &yaml);
    rig.drop("stock.csv", "sku,on_hand\n007,5\nB,1\n");
    rig.once().ends(0);
    assert_eq!(erp.books().truth_of("stock").len(), 2);
    rig.drop("stock.csv", "sku,on_hand\n007,5\nB,2\n");
    rig.once().ends(0);
    let commits = erp.books().truth_of("stock");
    assert_eq!(commits.len(), 3, "one create each, and one update: {commits:?}");
    let held = erp.books().with_reference("stock", "007");
    assert_eq!(held[0].document.raw("quantity"), Some("5"), "a number, not a text");
}
