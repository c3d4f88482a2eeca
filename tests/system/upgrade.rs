//! A27: a state file of an earlier version is brought up to date, with all that waits in it.

use crate::support::{Desk, Shop, names};

/// Of version 0.1.0 with the first migration only: twelve orders sent in three files, of two later changes one
/// parked by its mapping (1045) and one queued (1049) while the folder could not be written to.
const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/state-0001.db");

#[test]
fn a27_a_state_file_of_the_first_version_is_taken_over_with_all_that_waits_in_it() {
    let shop = Shop::of(12);
    let desk = Desk::new(&shop);
    std::fs::copy(FIXTURE, desk.state()).unwrap();
    desk.run(&["status"])
        .ends(1)
        .says(&["of an older selorax-sync", "brings it up to date"]);
    // Who looks changes nothing.
    assert_eq!(std::fs::read(FIXTURE).unwrap(), std::fs::read(desk.state()).unwrap());
    desk.run(&["--once"]);
    let files = names(&desk.out());
    let texts = files
        .iter()
        .map(|name| std::fs::read_to_string(desk.out().join(name)).unwrap());
    let queued: Vec<String> = texts.filter(|text| text.contains("\"1049\",\"shipped\"")).collect();
    assert_eq!(queued.len(), 1, "what was queued is in one file: {files:?}");
    // The numbers go on behind those of the three files that were sent.
    assert!(
        files
            .iter()
            .all(|name| name.ends_with(".csv") && !name.contains("-00000003.")),
        "{files:?}"
    );
    let status = desk.run(&["status"]).ends(0);
    assert!(status.out.contains("delivered"), "{}", status.out);
    desk.run(&["--once"]);
    assert_eq!(
        names(&desk.out()).len(),
        files.len(),
        "a second run finds nothing more to send"
    );
}
