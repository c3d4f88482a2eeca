//! Texts and words nobody planned for.

use sandbox::{RowShape, Splice};

use super::odd::spliced;

#[tokio::test]
async fn api_24_texts_of_any_kind_reach_the_other_side_as_they_were() {
    let long = format!("\"{}\"", "ন".repeat(21_845));
    let cases = [
        ("\"a\u{202e}gnirts\"", "a\u{202e}gnirts"),
        ("\"👨\u{200d}👩\u{200d}👧 ok\"", "👨\u{200d}👩\u{200d}👧 ok"),
        ("\"line one\\nline two\\r\\n\\tthree\"", "line one\nline two\r\n\tthree"),
        ("\"caf\u{e9}\"", "caf\u{e9}"),
        ("\"cafe\u{301}\"", "cafe\u{301}"),
        ("\"\\ud83d\\ude00\"", "😀"),
        ("\"quote \\\" comma , semi ;\"", "quote \" comma , semi ;"),
        (long.as_str(), &long[1..long.len() - 1]),
        ("\"=1+1\"", "=1+1"),
        ("\" blanks \"", " blanks "),
    ];
    // What is no text: half a pair is replaced, and a file cannot hold NUL.
    let broken = ["\"lone \\ud800 here\"", "\"a\\u0000b\""];
    let splices: Vec<Splice> = cases
        .iter()
        .map(|case| case.0)
        .chain(broken)
        .map(|json| Splice::member("note", json))
        .collect();
    let (rig, ids, rules) = spliced(RowShape::WithLines, vec![], &splices).await;
    assert_eq!(rig.once().await.error, None);
    let (latest, failures) = (rig.latest(), rig.failures().await);
    for (n, (json, note)) in cases.iter().enumerate() {
        assert!(rig.world.fired(rules[n]) > 0);
        assert_eq!(
            latest.get(&ids[n].to_string()).map(|row| row["note"].as_str()),
            Some(*note),
            "{json:.60}: {failures:?}"
        );
    }
    let lone = &latest[&ids[cases.len()].to_string()]["note"];
    let middle = lone
        .strip_prefix("lone ")
        .and_then(|rest| rest.strip_suffix(" here"))
        .unwrap();
    assert!(
        !middle.is_empty() && middle.chars().all(|c| c == '\u{fffd}'),
        "{lone:?}"
    );
    let nul = ids[cases.len() + 1].to_string();
    assert_eq!(
        (failures.len(), failures[0].key.as_str()),
        (1, nul.as_str()),
        "{failures:?}"
    );
    assert!(
        failures[0].reason.contains("`note`") && failures[0].reason.contains("NUL"),
        "{failures:?}"
    );
    assert_eq!(latest.len() + failures.len(), ids.len());
}

#[tokio::test]
async fn api_19_unknown_fields_and_words_are_kept_and_an_unknown_status_is_never_dropped() {
    let splices = [
        Splice::member("order_status", "\"handed_to_rider\""),
        Splice::member("loyalty", r#"{"points":12.50,"tier":["gold"]}"#),
        Splice::member("order_status", "\"CONFIRMED\""),
    ];
    let map = vec!["points: .raw.loyalty.points", "raw_status: .raw.order_status"];
    let (rig, ids, rules) = spliced(RowShape::WithLines, map, &splices).await;
    assert_eq!(rig.once().await.error, None);
    assert!(rules.iter().all(|rule| rig.world.fired(*rule) > 0));
    let latest = rig.latest();
    assert_eq!(latest[&ids[0].to_string()]["status"], "handed_to_rider");
    assert_eq!(latest[&ids[1].to_string()]["points"], "12.50");
    let known = &latest[&ids[2].to_string()];
    assert_eq!(
        (known["status"].as_str(), known["raw_status"].as_str()),
        ("confirmed", "CONFIRMED")
    );

    // Where the mapping knows a table of statuses, an unknown one is parked by name, and sent once it is known.
    let mut yaml = std::fs::read_to_string(&rig.path).unwrap();
    yaml = yaml.replace("status: .status\n", "status: .status | lookup(\"status\")\n");
    let known = [
        "pending",
        "confirmed",
        "processing",
        "shipped",
        "delivered",
        "completed",
        "cancelled",
        "hold",
        "refunded",
    ];
    let table = |extra: &str| {
        let entries: String = known.iter().map(|name| format!("      {name}: {name}\n")).collect();
        format!("{yaml}tables:\n  status:\n    entries:\n{entries}{extra}")
    };
    std::fs::write(&rig.path, table("")).unwrap();
    assert_eq!(rig.backfill().await.error, None);
    let failures = rig.failures().await;
    assert_eq!(failures.len(), 1, "{failures:?}");
    assert_eq!(failures[0].key, ids[0].to_string());
    assert!(failures[0].reason.contains("handed_to_rider"), "{failures:?}");
    std::fs::write(&rig.path, table("      handed_to_rider: shipped\n")).unwrap();
    assert_eq!(rig.backfill().await.error, None);
    assert!(rig.failures().await.is_empty());
    assert_eq!(rig.latest()[&ids[0].to_string()]["status"], "shipped");
}
