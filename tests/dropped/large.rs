//! A file of many rows is read in bounded memory, and only what changed goes on.

use super::rig::{Reading, Rig, sheet};

const ROWS: usize = 200_000;
/// Of a program built without optimisation; the bound that users are told is 128 MiB.
const PEAK_KB_MAX: u64 = 128 * 1024;

#[test]
fn sf_20_200_000_rows_in_bounded_memory() {
    let rig = Rig::new(Reading {
        flow: "guards: off",
        ..Reading::default()
    });
    rig.drop("stock-1.csv", sheet(ROWS, |n| n as i64));
    rig.once().ends(0);
    assert_eq!(rig.out().len(), ROWS);
    rig.drop(
        "stock-2.csv",
        sheet(ROWS, |n| if n % 20_000 == 7 { 1 } else { n as i64 }),
    );
    let mut daemon = rig.desk.start(&["run"]);
    daemon.until("the second file", || rig.out().len() > ROWS);
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    daemon.signal("TERM");
    daemon.wait().ends(0);
    assert_eq!(rig.out().len(), ROWS + 10);
    assert!(peak < PEAK_KB_MAX, "{peak} kB at the most");
}
