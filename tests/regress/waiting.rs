//! Versions that wait for a blocked target while the mapping or the record moves on.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::{Fault, Rule};

use super::{all_rows, block, failures, files, free, ids, open_batches, parked, status};
use crate::support::{Desk, Setup, Shop, names};

const ONCE: [&str; 3] = ["--once", "--wait", "0s"];
/// A folder that nothing makes: files are named and frozen for it, and cannot be written.
const MISSING: &str = "./missing/out";

fn note(shop: &Shop, id: i64, note: &str) {
    shop.world().advance(Duration::from_secs(60));
    assert!(
        shop.world()
            .update_order(id, |order| order.note = Some(note.to_owned()))
    );
}

#[test]
fn a_waiting_version_survives_a_newer_mapping_that_fails() {
    let shop = Shop::of(30);
    let mut desk = Desk::new(&shop);
    block(&desk);
    desk.run(&ONCE).ends(1);
    assert_eq!((status(&desk, "queued"), open_batches(&desk).len()), (30, 0));
    let good = desk.setup.map.clone();
    desk.setup.map = good.replace("status: .status", r#"status: 'error("x")'"#);
    desk.configure();
    // One of them also changes while it cannot be mapped.
    note(&shop, shop.some_ids(3)[1], "changed meanwhile");
    desk.run(&["--backfill"]).ends(1);
    assert_eq!(parked(&desk).len(), 30, "every mapping failed");
    assert!(failures(&desk)[0]["reason"].as_str().unwrap().contains('x'));
    assert_eq!(status(&desk, "queued"), 30, "what waited was lost");
    desk.setup.map = good;
    desk.configure();
    free(&desk);
    desk.run(&ONCE).ends(0);
    assert_eq!(
        ids(&desk.out()),
        shop.world().final_orders().into_keys().collect::<Vec<_>>()
    );
    assert_eq!(parked(&desk).len(), 0);
    for args in [&["--once"], &["--backfill"]] {
        desk.run(args).ends(0);
        assert_eq!(desk.rows(), 30, "{args:?} sent something again");
    }
    desk.check(&shop);
}

#[test]
fn a_frozen_file_keeps_its_columns_and_later_versions_have_the_new_ones() {
    let shop = Shop::of(30);
    let mut desk = Desk::with(
        &shop,
        Setup {
            location: MISSING.to_owned(),
            ..Setup::default()
        },
    );
    desk.run(&ONCE).ends(1);
    let frozen = open_batches(&desk);
    assert_eq!(frozen.len(), 1);
    let before = csv::Reader::from_reader(frozen[0].1.as_slice())
        .headers()
        .unwrap()
        .len();
    desk.setup.map.push_str("      again: .note\n");
    desk.configure();
    let changed = shop.some_ids(3);
    for id in &changed {
        note(&shop, *id, "later");
    }
    std::fs::create_dir(desk.path("missing")).unwrap();
    desk.run(&ONCE).ends(0);
    let sent = files(&desk.out());
    assert_eq!(sent[0].name, frozen[0].0);
    assert!(
        std::fs::read(desk.out().join(&frozen[0].0)).unwrap() == frozen[0].1,
        "the frozen bytes were changed"
    );
    assert_eq!((sent[0].columns.len(), sent[0].rows.len()), (before, 30));
    for file in &sent[1..] {
        assert_eq!(file.columns.len(), before + 1, "{}", file.name);
    }
    desk.run(&["--backfill"]).ends(0);
    assert_eq!(parked(&desk).len(), 0);
    let newer: Vec<_> = files(&desk.out())
        .into_iter()
        .skip(1)
        .flat_map(|file| file.rows)
        .collect();
    assert_eq!(newer.len(), 30, "each order once under the new mapping");
    for id in changed {
        let row = newer.iter().find(|row| row["id"] == id.to_string()).unwrap();
        assert_eq!((&*row["again"], &*row["note"]), ("later", "later"));
    }
    let count = names(&desk.out()).len();
    desk.run(&["--backfill"]).ends(0);
    assert_eq!(names(&desk.out()).len(), count, "sent again");
}

#[test]
fn queued_versions_keep_their_columns_and_no_file_has_two_sets() {
    let shop = Shop::of(30);
    let mut desk = Desk::new(&shop);
    block(&desk);
    desk.run(&ONCE).ends(1);
    assert_eq!((status(&desk, "queued"), open_batches(&desk).len()), (30, 0));
    desk.setup.map = format!("      first: .note\n{}", desk.setup.map);
    desk.configure();
    // Blocked, a run does not look at the source; with the files stopped it does.
    for id in shop.some_ids(5) {
        note(&shop, id, "later");
    }
    desk.run(&ONCE).ends(1);
    assert_eq!((status(&desk, "queued"), open_batches(&desk).len()), (30, 0));
    free(&desk);
    desk.run(&ONCE).ends(0);
    let sent = files(&desk.out());
    let sets: BTreeMap<usize, usize> = sent.iter().fold(BTreeMap::new(), |mut sets, file| {
        *sets.entry(file.columns.len()).or_default() += file.rows.len();
        sets
    });
    assert_eq!(sets.values().sum::<usize>(), 30, "{sets:?}");
    assert!(sets.get(&8) >= Some(&5), "{sets:?}");
    assert_eq!(
        ids(&desk.out()),
        shop.world().final_orders().into_keys().collect::<Vec<_>>()
    );
    for row in all_rows(&desk.out()) {
        let order = shop.world().order(row["id"].parse().unwrap()).unwrap();
        assert_eq!(row["note"], order.note.clone().unwrap_or_default());
        assert!(row.get("first").is_none_or(|first| *first == row["note"]));
    }
    assert_eq!((parked(&desk).len(), status(&desk, "queued")), (0, 0));
}

#[test]
fn a_record_that_is_back_at_what_was_delivered_is_not_sent() {
    let shop = Shop::of(10);
    let map = "      id: .id\n      note: .note\n".to_owned();
    let desk = Desk::with(
        &shop,
        Setup {
            map,
            ..Setup::default()
        },
    );
    let id = shop.some_ids(3)[1];
    note(&shop, id, "A");
    desk.run(&ONCE).ends(0);
    assert_eq!(all_rows(&desk.out()).len(), 10);
    let delivered = names(&desk.out());
    block(&desk);
    for between in [&["B"][..], &["C", "D"]] {
        for text in between {
            note(&shop, id, text);
            desk.run(&ONCE).ends(1);
            assert_eq!(status(&desk, "queued"), 1, "{text} waits");
        }
        note(&shop, id, "A");
        desk.run(&ONCE).ends(1);
        assert_eq!(status(&desk, "queued"), 0, "A is what the target holds");
    }
    free(&desk);
    for args in [&ONCE[..], &["--backfill"]] {
        desk.run(args).ends(0);
        assert_eq!(names(&desk.out()), delivered);
    }
    // And it is not taken for settled for ever.
    note(&shop, id, "B");
    desk.run(&ONCE).ends(0);
    let rows = all_rows(&desk.out());
    assert_eq!((rows.len(), &*rows[10]["note"]), (11, "B"));
}

#[test]
fn what_is_queued_goes_out_while_the_source_is_down() {
    let shop = Shop::of(20);
    let desk = Desk::new(&shop);
    block(&desk);
    desk.run(&ONCE).ends(1);
    assert_eq!(status(&desk, "queued"), 20);
    free(&desk);
    let down = shop.world().fault(Rule::list(Fault::unavailable(None)));
    desk.run(&["--once", "--wait", "1s"]).ends(1).says(&["503"]);
    assert!(shop.world().fired(down) > 0);
    assert_eq!((desk.rows(), status(&desk, "queued")), (20, 0));
    shop.world().clear_faults();
    desk.run(&ONCE).ends(0);
    assert_eq!(desk.rows(), 20);
    desk.check(&shop);
}

#[test]
fn a_staged_file_that_was_away_when_it_was_looked_for_is_published_when_it_is_back() {
    let shop = Shop::of(5);
    let desk = Desk::new(&shop);
    desk.run(&ONCE).ends(0);
    // As a power cut between the sync and the rename would leave it, with the folder's volume not mounted at
    // the next start: the state says published, and the volume still has the temporary file.
    let name = names(&desk.out()).remove(0);
    let (whole, hidden) = (desk.out().join(&name), desk.out().join(format!(".{name}.part")));
    std::fs::rename(&whole, &hidden).unwrap();
    let outcome = desk.run(&ONCE).ends(0);
    assert!(outcome.err.contains("is published now"), "{}", outcome.err);
    assert!(whole.exists() && !hidden.exists());
    assert_eq!(desk.rows(), 5);
    desk.check(&shop);
}
