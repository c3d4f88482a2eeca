use contract::{FileTarget, Item, Key, Malformed, Value};
use proptest::prelude::*;

use super::super::dialect::{Dialect, LineEnding, Quote, read};
use super::super::encoding::Encoding;
use super::super::formula::unguard;
use super::{encode, item, items, target, text};

fn dialects() -> impl Iterator<Item = Dialect> {
    let encodings = Encoding::NAMES.iter().map(|name| Encoding::named(name).unwrap());
    let mut all = Vec::new();
    for encoding in encodings {
        for delimiter in *b",;\t|" {
            for line_ending in [LineEnding::Lf, LineEnding::CrLf] {
                for (header, quote) in [(true, Quote::All), (false, Quote::Minimal)] {
                    all.push(Dialect {
                        delimiter,
                        encoding,
                        line_ending,
                        header,
                        quote,
                        raw_cells: true,
                    });
                }
            }
        }
    }
    all.into_iter()
}

/// The rows as an importer reads them that knows the dialect and nothing of our protection.
fn imported(dialect: &Dialect, bytes: &[u8]) -> Vec<Vec<String>> {
    let text = match dialect.encoding {
        Encoding::Utf8 | Encoding::Utf8Bom => encoding_rs::UTF_8.decode(bytes).0,
        Encoding::Utf16Le => encoding_rs::UTF_16LE.decode(bytes).0,
        Encoding::Utf16Be => encoding_rs::UTF_16BE.decode(bytes).0,
        Encoding::Windows1252 => encoding_rs::WINDOWS_1252.decode(bytes).0,
    };
    let mut reader = ::csv::ReaderBuilder::new()
        .delimiter(dialect.delimiter)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let rows = reader.records().map(|row| row.unwrap());
    rows.map(|row| row.iter().map(str::to_owned).collect()).collect()
}

fn row_of(cells: &[&str]) -> Item {
    let fields = cells
        .iter()
        .enumerate()
        .map(|(n, cell)| (format!("c{n}").into(), Value::text(*cell)));
    Item {
        key: Key("1".to_owned()),
        rows: vec![Value::Map(fields.collect())],
    }
}

const ROW: &str = r#"{"reference":"1001","phone":"01712345678","total":1460.00,"paid":true,"note":null,"lines":[{"sku":"00123","qty":2}]}"#;

#[test]
fn a_file_reads_as_documented() {
    let all = encode(Dialect::default(), &[ROW]);
    assert_eq!(
        text(&all),
        "\"reference\",\"phone\",\"total\",\"paid\",\"note\",\"lines\"\n\
         \"1001\",\"01712345678\",\"1460.00\",\"true\",\"\",\"[{\"\"sku\"\":\"\"00123\"\",\"\"qty\"\":2}]\"\n"
    );
    let minimal = Dialect {
        quote: Quote::Minimal,
        delimiter: b';',
        ..Dialect::default()
    };
    assert_eq!(
        text(&encode(minimal, &[ROW])),
        "reference;phone;total;paid;note;lines\n\
         1001;01712345678;1460.00;true;;\"[{\"\"sku\"\":\"\"00123\"\",\"\"qty\"\":2}]\"\n"
    );
}

#[test]
fn columns_come_from_the_mapping_or_else_from_the_first_row() {
    let rows = items(&[r#"{"b":1,"a":2}"#, r#"{"a":3,"b":4}"#]);
    let plain = Dialect {
        quote: Quote::Minimal,
        ..Dialect::default()
    };
    let columns = ["a".to_owned(), "b".to_owned()];
    assert_eq!(
        text(&target(plain.clone()).encode(Some(&columns), &rows)),
        "a,b\n2,1\n3,4\n"
    );
    assert_eq!(text(&target(plain).encode(None, &rows)), "b,a\n1,2\n4,3\n");
}

#[test]
fn an_item_that_does_not_fit_is_left_out_whole_and_says_why() {
    let target = target(Dialect::default());
    let items = [
        item(1, &[r#"{"a":1,"b":2}"#, r#"{"a":3,"b":4}"#]),
        item(2, &[r#"{"a":5,"b":6}"#, r#"{"a":7}"#]),
        item(3, &[r#"{"a":8,"b":9,"c":10}"#]),
        item(4, &["[1]"]),
        item(5, &[]),
        item(6, &[r#"{"a":"x\u0000y","b":0}"#]),
        item(7, &[r#"{"b":12,"a":11}"#]),
    ];
    let encoded = target.encode(None, &items);
    let reasons: Vec<&str> = encoded
        .items
        .iter()
        .filter_map(|item| item.as_ref().err())
        .map(|m| m.0.as_str())
        .collect();
    assert_eq!(
        reasons,
        [
            "row 2: the row lacks the column `b`",
            "the file has no column `c`",
            "a row must be an object with columns, not a list",
            "the column `a`: a NUL character (U+0000) cannot be written to a CSV file",
        ]
    );
    assert_eq!(encoded.rows, 3);
    assert_eq!(encoded.items[4], Ok(vec![]));
    let good: Vec<_> = encoded.items.iter().flatten().flatten().copied().collect();
    assert_eq!(target.rows_of(&encoded.bytes).unwrap(), good);
    assert_eq!(
        imported(&Dialect::default(), &encoded.bytes),
        [["a", "b"], ["1", "2"], ["3", "4"], ["11", "12"]]
    );
}

#[test]
fn a_character_that_the_encoding_lacks_parks_its_item_only() {
    let dialect = Dialect {
        encoding: Encoding::Windows1252,
        ..Dialect::default()
    };
    let encoded = encode(dialect.clone(), &[r#"{"name":"Zoë"}"#, r#"{"name":"রহিম"}"#]);
    let Malformed(why) = encoded.items[1].as_ref().unwrap_err();
    assert_eq!(
        why,
        "the column `name`: the character 'র' (U+09B0) cannot be written in windows-1252"
    );
    assert_eq!(encoded.bytes, b"\"name\"\n\"Zo\xeb\"\n");
    let header = encode(dialect, &[r#"{"নাম":"x"}"#]);
    assert!(header.items[0].as_ref().unwrap_err().0.contains("the column name"));
    assert_eq!((header.rows, header.bytes.len()), (0, 0));
}

#[test]
fn nothing_to_write_is_an_empty_file_and_no_panic() {
    let encoded = encode(Dialect::default(), &["{}", "[]", "1"]);
    assert_eq!((encoded.rows, encoded.bytes.len()), (0, 0));
    assert!(encoded.items.iter().all(Result::is_err));
}

#[test]
fn csv_roundtrip_in_every_dialect() {
    let cells = [
        "a,b;c|d\te",
        "line\nline\r\nline\rline",
        "say \"hi\"",
        " blanks ",
        "",
        "#x",
        "\"",
        "Crème € “x”",
        "00123",
    ];
    let other = ["", "", "", "", "", "", "", "", ""];
    for dialect in dialects() {
        let target = target(dialect.clone());
        let encoded = target.encode(None, &[row_of(&cells), row_of(&other), row_of(&cells)]);
        let rows = imported(&dialect, &encoded.bytes);
        let rows = &rows[usize::from(dialect.header)..];
        assert_eq!(rows, [cells, other, cells], "{dialect:?}");
        assert_eq!(read(&dialect, &encoded.bytes).unwrap(), rows, "{dialect:?}");
        let hashes: Vec<_> = encoded.items.into_iter().flat_map(Result::unwrap).collect();
        assert_eq!(target.rows_of(&encoded.bytes).unwrap(), hashes, "{dialect:?}");
    }
}

#[test]
fn sf_22_values_stay_and_formulas_are_defused() {
    let table = [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("+8801712345678", "+8801712345678"),
        ("-5", "-5"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        ("\rx", "'\rx"),
        ("00123", "00123"),
        ("1E5", "1E5"),
        ("90.750", "90.750"),
        ("2024-01-02", "2024-01-02"),
        ("'=x", "''=x"),
    ];
    let (sources, cells): (Vec<&str>, Vec<&str>) = table.into_iter().unzip();
    for mut dialect in dialects() {
        dialect.raw_cells = false;
        let bytes = target(dialect.clone()).encode(None, &[row_of(&sources)]).bytes;
        assert_eq!(imported(&dialect, &bytes).last().unwrap(), &cells);
        assert_eq!(read(&dialect, &bytes).unwrap()[0], sources);
        dialect.raw_cells = true;
        let bytes = target(dialect.clone()).encode(None, &[row_of(&sources)]).bytes;
        assert_eq!(imported(&dialect, &bytes).last().unwrap(), &sources);
    }
    let numbers = encode(
        Dialect::default(),
        &[r#"{"a":-5,"b":-0.50,"c":90.750,"d":9223372036854775808}"#],
    );
    assert_eq!(
        imported(&Dialect::default(), &numbers.bytes)[1],
        ["-5", "-0.50", "90.750", "9223372036854775808"]
    );
}

#[test]
fn api_24_odd_texts_survive_byte_for_byte() {
    let long = "ণ".repeat(64 * 1024 / 3);
    let texts = [
        "\u{202e}gnp.exe",
        "👩‍👩‍👧‍👦",
        "a\nb",
        "\u{fffd}",
        "é",
        "e\u{301}",
        "\u{feff}mark",
        "\u{2028}",
        "রহিম করিম",
        "مرحبا",
        long.as_str(),
    ];
    for dialect in dialects().filter(|dialect| dialect.encoding != Encoding::Windows1252) {
        for texts in [&texts[..], &texts[6..7], &texts[6..8]] {
            let bytes = target(dialect.clone()).encode(None, &[row_of(texts)]).bytes;
            assert_eq!(imported(&dialect, &bytes).last().unwrap(), texts, "{dialect:?}");
            assert_eq!(read(&dialect, &bytes).unwrap(), [texts], "{dialect:?}");
        }
    }
}

#[test]
fn sf_01_a_file_cut_anywhere_is_refused_or_has_fewer_rows() {
    let rows = [
        r#"{"a":"x\n\"y\"","b":"1"}"#,
        r#"{"a":"","b":"2"}"#,
        r#"{"a":"z","b":"3"}"#,
    ];
    for mut dialect in dialects() {
        dialect.header = true;
        let target = target(dialect.clone());
        let whole = target.encode(None, &items(&rows)).bytes;
        let hashes = target.rows_of(&whole).unwrap();
        let cuts = (0..whole.len()).filter_map(|at| target.rows_of(&whole[..at]).ok());
        let lengths: Vec<usize> = cuts
            .map(|rows| {
                assert!(hashes.starts_with(&rows));
                rows.len()
            })
            .collect();
        assert_eq!(lengths, [0, 1, 2], "{dialect:?}");
    }
}

#[test]
fn a_file_that_is_none_of_ours_is_refused() {
    let target = target(Dialect::default());
    for bytes in [&b"a,b\n1\n"[..], b"a\n\"x\n", b"a\nx", b"a\n\xff\n", b"a\nx\0\n", b""] {
        assert!(target.rows_of(bytes).is_err(), "{bytes:?}");
    }
    let ours = target.encode(None, &items(&[r#"{"a":"x","b":"y"}"#]));
    let as_saved_by_another = b"\xef\xbb\xbfa,b\r\nx,y\r\n";
    assert_eq!(
        target.rows_of(as_saved_by_another).unwrap(),
        *ours.items[0].as_ref().unwrap()
    );
}

#[test]
fn the_same_items_give_the_same_bytes_and_order_tells_rows_apart() {
    let target = target(Dialect::default());
    let rows = items(&[r#"{"a":"x","b":""}"#, r#"{"a":"","b":"x"}"#, r#"{"a":"x","b":""}"#]);
    let (once, again) = (target.encode(None, &rows), target.encode(None, &rows));
    assert_eq!(once.bytes, again.bytes);
    assert_eq!(once.items, again.items);
    assert_eq!(once.items[0], once.items[2]);
    assert_ne!(once.items[0], once.items[1]);
}

/// `cargo test --release -p connectors csv -- --ignored --nocapture` prints the time of one batch.
#[test]
#[ignore = "a measurement, not a check"]
fn a_thousand_rows_take_about_a_millisecond() {
    let cells: Vec<String> = (0..20).map(|n| format!("cell {n} +8801712345678")).collect();
    let cells: Vec<&str> = cells.iter().map(String::as_str).collect();
    let items = vec![row_of(&cells); 1000];
    let target = target(Dialect::default());
    for _ in 0..5 {
        let start = std::time::Instant::now();
        let encoded = target.encode(None, &items);
        println!("{:?} for {} bytes", start.elapsed(), encoded.bytes.len());
    }
}

fn any_cell() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>().prop_map(|text| text.replace('\0', "")),
        "['=+@,;|\t\r\n\" \u{feff}0-9a-]{0,8}",
    ]
}

proptest! {
    #[test]
    fn csv_roundtrip_of_any_text(
        rows in proptest::collection::vec(proptest::collection::vec(any_cell(), 3), 1..4),
        pick in any::<prop::sample::Index>(),
        raw_cells in any::<bool>(),
    ) {
        let mut dialect = dialects().nth(pick.index(dialects().count())).unwrap();
        dialect.raw_cells = raw_cells;
        let rows: Vec<Vec<&str>> = rows.iter().map(|row| row.iter().map(String::as_str).collect()).collect();
        let target = target(dialect.clone());
        let encoded = target.encode(None, &rows.iter().map(|row| row_of(row)).collect::<Vec<_>>());
        let lacking = |row: &&Vec<&str>| row.iter().any(|cell| dialect.encoding.lacks(cell).is_some());
        let kept: Vec<Vec<&str>> = rows.iter().filter(|row| !lacking(row)).cloned().collect();
        prop_assert_eq!(encoded.rows, kept.len());
        if encoded.rows > 0 {
            prop_assert_eq!(read(&dialect, &encoded.bytes).unwrap(), kept.clone());
        }
        let importer = imported(&dialect, &encoded.bytes);
        let importer = importer.iter().skip(usize::from(dialect.header));
        let restored: Vec<Vec<&str>> = importer
            .map(|row| row.iter().map(|cell| if raw_cells { cell } else { unguard(cell) }).collect())
            .collect();
        prop_assert_eq!(restored, kept.clone());
        let hashes: Vec<_> = encoded.items.into_iter().flatten().flatten().collect();
        prop_assert_eq!(target.rows_of(&encoded.bytes).unwrap(), hashes);
    }
}
