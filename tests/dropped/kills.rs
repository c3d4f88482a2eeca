//! `kill -9` between every two steps that reach the disk: the same file goes on, and nothing is done twice.

use super::rig::{Reading, Rig, sheet};

#[test]
fn sf_18_killed_at_each_sync_and_rename_a_file_counts_once() {
    let mut killed = 0;
    for call in ["fsync", "renameat2"] {
        for when in [1, 6, 12, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36] {
            let rig = Rig::new(Reading {
                read: "settle: 0s, mode: delta",
                map: "{sku: .sku, delta: .on_hand}",
                ..Reading::default()
            });
            rig.drop("stock.csv", sheet(3, |n| n as i64 + 1));
            let inject = format!("{call}:signal=SIGKILL:when={when}");
            let run = rig.desk.strace(call, Some(&inject), &["--once"]);
            let was_killed = run.code != Some(0);
            killed += usize::from(was_killed);
            rig.once().ends(0);
            let at = format!("killed at {call} {when}");
            assert_eq!(rig.out(), ["S-00000,1", "S-00001,2", "S-00002,3"], "{at}");
            assert_eq!(rig.lying("archive"), ["stock.csv"], "{at}");
            if !was_killed {
                break;
            }
        }
    }
    assert!(killed > 10, "only {killed} runs were killed");
}

#[test]
fn sf_09_killed_while_it_is_rejected_a_file_lies_beside_its_report() {
    for call in ["fsync", "renameat2"] {
        for when in [1, 2, 3, 4, 5, 6] {
            let rig = Rig::new(Reading::default());
            rig.drop("stock.csv", "");
            let inject = format!("{call}:signal=SIGKILL:when={when}");
            rig.desk.strace(call, Some(&inject), &["--once"]);
            rig.once().ends(3);
            assert_eq!(
                rig.lying("rejected"),
                ["stock.csv", "stock.csv.error.txt"],
                "{call} {when}"
            );
            assert_eq!((rig.failures().len(), rig.out().len()), (1, 0));
        }
    }
}

#[test]
fn sf_24_killed_while_it_takes_effect_a_snapshot_goes_on_and_repeats_nothing() {
    let mut killed = 0;
    for when in [22, 26, 29, 32, 35, 38] {
        let rig = Rig::new(Reading::default());
        rig.drop("stock.csv", sheet(2_500, |n| n as i64));
        let inject = format!("fsync:signal=SIGKILL:when={when}");
        let run = rig.desk.strace("fsync", Some(&inject), &["--once"]);
        killed += usize::from(run.code != Some(0));
        rig.once().ends(0);
        let out = rig.out();
        assert_eq!((out.len(), rig.levels().len()), (2_500, 2_500), "killed at {when}");
        assert_eq!(rig.levels()["S-02499"], "2499");
        assert_eq!(rig.lying("archive"), ["stock.csv"]);
    }
    assert!(killed >= 5, "only {killed} runs were killed");
}
