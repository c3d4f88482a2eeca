//! Files that are not taken, each with the exact words that a user sees. `RECORD_EXPECTED=1` writes them down anew.

use std::path::Path;

use super::rig::{Reading, Rig};

fn utf16(text: &str, big: bool) -> Vec<u8> {
    let spell = if big { u16::to_be_bytes } else { u16::to_le_bytes };
    text.encode_utf16().flat_map(spell).collect()
}

/// The bad files: a name, its bytes, and what the config says.
fn cases() -> Vec<(&'static str, Vec<u8>, Reading<'static>)> {
    let plain = Reading::default();
    let dialect = |dialect: &'static str| Reading { dialect, ..plain };
    let file = |rows: &str| format!("sku,on_hand\n{rows}").into_bytes();
    vec![
        ("sf_09_empty", Vec::new(), plain),
        ("sf_10_header_only", file(""), plain),
        (
            "sf_11_utf_16_for_utf_8",
            [b"\xff\xfe".to_vec(), utf16("sku,on_hand\nA,1\n", false)].concat(),
            plain,
        ),
        (
            "sf_11_big_for_little_endian",
            [b"\xfe\xff".to_vec(), utf16("sku,on_hand\nA,1\n", true)].concat(),
            dialect("{encoding: utf-16le}"),
        ),
        (
            "sf_11_windows_1252_for_utf_8",
            b"sku,on_hand\nCr\xe8me,1\n".to_vec(),
            plain,
        ),
        (
            "sf_11_utf_8_for_windows_1252",
            "sku,on_hand\nCrème,1\n".as_bytes().to_vec(),
            dialect("{encoding: windows-1252}"),
        ),
        ("sf_11_semicolon_for_comma", b"sku;on_hand\nA;1\n".to_vec(), plain),
        ("sf_11_utf_16_without_a_mark", utf16("sku,on_hand\nA,1\n", false), plain),
        (
            "sf_14_no_numbers",
            file("A,1\nB,\nC,N/A\nD,1e3\nE,-1\nF,1.5\nG,1000000000000\nH, 5\n"),
            plain,
        ),
        (
            "sf_15_other_formats",
            file("A,\"13,75\"\nB,\"1.234,56\"\nC,1 234\nD,١٢٣\n"),
            plain,
        ),
        ("sf_16_no_line_end", file("A,1\nB,2"), plain),
        ("sf_16_cut_in_a_row", file("A,1\nB\n"), plain),
        ("sf_16_stray_quote", file("A,1\nB,\"2\nC,3\n"), plain),
        ("sf_16_quote_in_a_cell", file("A,1\nB\",2\n"), plain),
        ("sf_21_column_missing", b"sku,name\nA,Lamp\n".to_vec(), plain),
        ("sf_21_column_renamed", b"sku,onhand\nA,1\n".to_vec(), plain),
        ("sf_21_key_missing", b"code,on_hand\nA,1\n".to_vec(), plain),
        ("sf_21_column_twice", b"sku,on_hand,on_hand\nA,1,2\n".to_vec(), plain),
        ("key_is_blank", file("A,1\n ,2\n"), plain),
    ]
}

#[test]
fn sf_09_to_sf_21_bad_files_are_rejected_whole_with_these_words() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dropped/expected");
    for (name, bytes, reading) in cases() {
        let rig = Rig::new(reading);
        rig.drop("stock-good.csv", "");
        std::fs::remove_file(rig.path("in/stock-good.csv")).unwrap();
        rig.drop("stock.csv", &bytes);
        rig.once().ends(3);
        assert!(rig.out().is_empty(), "{name} had an effect");
        assert_eq!(rig.lying(""), [""; 0], "{name}");
        assert_eq!(rig.lying("rejected"), ["stock.csv", "stock.csv.error.txt"], "{name}");
        assert_eq!(
            std::fs::read(rig.path("in/rejected/stock.csv")).unwrap(),
            bytes,
            "{name}"
        );
        let failures = rig.failures();
        assert_eq!(failures.len(), 1, "{name}: {failures:?}");
        assert_eq!(failures[0].1, "stock.csv");
        let report = std::fs::read_to_string(rig.path("in/rejected/stock.csv.error.txt")).unwrap();
        let seen = format!("# failures list\n{}\n\n# stock.csv.error.txt\n{report}", failures[0].2);
        let expected = folder.join(format!("{name}.expected"));
        if std::env::var_os("RECORD_EXPECTED").is_some() {
            std::fs::write(&expected, &seen).unwrap();
        }
        assert_eq!(seen, std::fs::read_to_string(&expected).unwrap_or_default(), "{name}");
        // A good file ends it.
        rig.configure(Reading::default());
        rig.drop("stock.csv", "sku,on_hand\nA,1\n");
        rig.once().ends(0);
        assert_eq!((rig.out().len(), rig.failures().len()), (1, 0), "{name}");
    }
}

#[test]
fn sf_11_each_declared_format_is_read() {
    let text = "sku,on_hand\r\n\"Crème, \"\"a\"\"\r\nb\",\"1\"\r\n";
    let encoded = |mark: &[u8], bytes: Vec<u8>| [mark.to_vec(), bytes].concat();
    for (dialect, bytes) in [
        ("{}", text.as_bytes().to_vec()),
        ("{}", encoded(b"\xef\xbb\xbf", text.as_bytes().to_vec())),
        ("{encoding: utf-16le}", utf16(text, false)),
        ("{encoding: utf-16le}", encoded(b"\xff\xfe", utf16(text, false))),
        ("{encoding: utf-16be}", encoded(b"\xfe\xff", utf16(text, true))),
        ("{encoding: windows-1252}", text.chars().map(|c| c as u8).collect()),
        (
            "{delimiter: ;}",
            text.replace("sku,", "sku;").replace("\",", "\";").into_bytes(),
        ),
        (
            "{delimiter: tab}",
            text.replace("sku,", "sku\t").replace("\",", "\"\t").into_bytes(),
        ),
    ] {
        let rig = Rig::new(Reading {
            dialect,
            ..Reading::default()
        });
        rig.drop("stock.csv", bytes);
        rig.once().ends(0);
        let name = crate::support::names(&rig.path("out")).remove(0);
        let out = std::fs::read(rig.path("out").join(name)).unwrap();
        let mut rows = csv::Reader::from_reader(out.as_slice());
        let row = rows.records().next().unwrap().unwrap();
        assert_eq!((&row[0], &row[1]), ("Crème, \"a\"\r\nb", "1"), "{dialect}");
    }
}

#[test]
fn sf_15_the_declared_number_format_is_read_exactly() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, numbers: [on_hand], decimal: ',', grouping: '.'",
        ..Reading::default()
    });
    rig.drop("stock.csv", "sku,on_hand\nA,\"1.234,00\"\nB,7\n");
    rig.once().ends(0);
    assert_eq!(rig.out(), ["A,1234", "B,7"]);
    rig.drop("stock.csv", "sku,on_hand\nA,\"1.23\"\nB,7\n");
    rig.once().ends(3);
}

#[test]
fn sf_14_with_skip_rows_only_the_bad_rows_fail() {
    let rig = Rig::new(Reading {
        read: "settle: 0s, on_error: skip_rows",
        ..Reading::default()
    });
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,N/A\nC,\nD,4\n");
    rig.once().ends(3);
    assert_eq!(rig.out(), ["A,1", "D,4"]);
    let told: Vec<(String, String)> = rig
        .failures()
        .into_iter()
        .map(|(_, record, why)| (record, why))
        .collect();
    let expected = [
        (
            "B",
            "stock.csv line 3: quantity: \"N/A\" is no number as `decimal` and `grouping` have it",
        ),
        ("C", "stock.csv line 4: quantity: it is empty, where a number is to be"),
    ];
    assert_eq!(told, expected.map(|(record, why)| (record.to_owned(), why.to_owned())));
    rig.drop("stock.csv", "sku,on_hand\nA,1\nB,2\nC,3\nD,4\n");
    rig.once().ends(0);
    assert_eq!((rig.levels().len(), rig.failures().len()), (4, 0));
}
