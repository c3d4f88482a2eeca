#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value as Json, json};

use super::{Kind, Name, Node, Problems, Reader, Span};

fn scalar(text: &str, plain: bool) -> Node {
    let kind = Kind::Scalar {
        text: text.to_owned(),
        plain,
        secret: false,
        unresolved: false,
    };
    Node {
        span: Span { line: 2, column: 3 },
        kind,
    }
}

fn outside(text: &str, unresolved: bool) -> Node {
    let kind = Kind::Scalar {
        text: text.to_owned(),
        plain: true,
        secret: true,
        unresolved,
    };
    Node {
        span: Span { line: 4, column: 5 },
        kind,
    }
}

fn map(fields: Vec<(&str, Node)>) -> Node {
    let span = Span { line: 1, column: 1 };
    let named = |(text, node): (&str, Node)| {
        let text = text.to_owned();
        (Name { text, span }, node)
    };
    Node {
        span,
        kind: Kind::Map(fields.into_iter().map(named).collect()),
    }
}

/// Reads a map and gives what came of it and what was said.
fn read<T>(node: &Node, read: impl FnOnce(&mut Reader<'_>) -> T) -> (T, Vec<String>) {
    let mut problems = Problems::default();
    let mut reader = Reader::new(node, "", Arc::from(Path::new("/base")), &mut problems);
    let value = read(&mut reader);
    reader.finish();
    let told = problems.0.into_iter().map(|problem| {
        let hint = problem.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        format!("{}: {}{hint}", problem.path, problem.message)
    });
    (value, told.collect())
}

fn described(read: impl FnOnce(&mut Reader<'_>)) -> Json {
    let mut problems = Problems::default();
    let mut reader = Reader::describing(&mut problems);
    read(&mut reader);
    let schema = reader.finish();
    assert!(problems.0.is_empty());
    schema
}

#[test]
fn a_number_in_quotes_is_a_text() {
    let node = map(vec![
        ("n", scalar("5", false)),
        ("b", scalar("true", false)),
        ("t", scalar("5", true)),
    ]);
    let (_, told) = read(&node, |reader| {
        assert_eq!(reader.field("n", "").integer(0, 9), None);
        assert_eq!(reader.field("b", "").boolean(), None);
        assert_eq!(reader.field("t", "").text().as_deref(), Some("5"));
    });
    assert_eq!(
        told,
        [
            "n: expected a value without quotes, found the text \"5\" (remove the quotes)",
            "b: expected a value without quotes, found the text \"true\" (remove the quotes)",
        ]
    );
}

#[test]
fn what_comes_from_outside_is_read_and_never_told() {
    let node = map(vec![
        ("n", outside("7", false)),
        ("bad", outside("s3cret", false)),
        ("own", outside("s3cret", false)),
        ("later", outside("", true)),
        ("none", outside("", false)),
    ]);
    let (_, told) = read(&node, |reader| {
        assert_eq!(reader.field("n", "").integer(0, 9), Some(7));
        assert_eq!(reader.field("bad", "").integer(0, 9), None);
        let repeat = |text: &str| Err::<(), _>(format!("`{text}` is bad"));
        assert_eq!(reader.field("own", "").parsed(json!({}), repeat), None);
        assert_eq!(reader.field("later", "").required().integer(0, 9), None);
        assert_eq!(reader.field("none", "").default("3").integer(0, 9), Some(3));
    });
    assert_eq!(
        told,
        [
            "bad: expected a whole number from 0 to 9, found an interpolated value",
            "own: `…` is bad, found an interpolated value",
        ]
    );
    assert!(!format!("{node:?}").contains("s3cret"));
}

#[test]
fn missing_blank_and_unknown_keys_are_told_with_what_would_do() {
    let node = map(vec![("wait", scalar("", true)), ("nmae", scalar("x", true))]);
    let (_, told) = read(&node, |reader| {
        assert_eq!(reader.field("name", "who it is").required().text(), None);
        assert_eq!(
            reader.field("wait", "").default("30s").duration(),
            Some(Duration::from_secs(30))
        );
    });
    assert_eq!(
        told,
        [
            "name: the key `name` is missing (name: who it is)",
            "wait: the key has no value (leave the key out for the default, 30s)",
            "nmae: unknown key `nmae` (did you mean `name`?)",
        ]
    );
}

#[test]
fn collections_of_the_wrong_type_are_told_with_their_path() {
    let list = |nodes| Node {
        span: Span::default(),
        kind: Kind::List(nodes),
    };
    let inner = map(vec![("n", scalar("x", true))]);
    let node = map(vec![
        ("object", scalar("x", true)),
        ("names", map(vec![("one", inner.clone()), ("two", list(vec![]))])),
        ("items", list(vec![inner, scalar("x", true)])),
        ("words", list(vec![scalar("rde", true), list(vec![])])),
    ]);
    let (_, told) = read(&node, |reader| {
        let n = |reader: &mut Reader<'_>| reader.field("n", "").integer(0, 9);
        reader.field("object", "").object(n);
        reader.field("names", "").map_of(|_, reader| n(reader));
        reader.field("items", "").list_of(n);
        reader.field("words", "").list_of_choices(&["red", "green"]);
    });
    assert_eq!(
        told,
        [
            "object: expected a map of keys, found `x` (known here: n)",
            "names.one.n: expected a whole number from 0 to 9, found `x`",
            "names.two: expected a map of keys, found a list (known here: n)",
            "items[0].n: expected a whole number from 0 to 9, found `x`",
            "items[1]: expected a map of keys, found `x` (known here: n)",
            "words[0]: expected one of red, green, found `rde` (did you mean `red`?)",
            "words[1]: expected a single value, found a list",
        ]
    );
}

#[test]
fn a_section_left_out_has_its_defaults() {
    let n = |reader: &mut Reader<'_>| {
        reader.field("must", "").required().text();
        reader.field("n", "").default("4").integer(0, 9)
    };
    let (_, told) = read(&map(vec![]), |reader| {
        assert_eq!(reader.field("section", "").section(n), Some(4));
        assert_eq!(reader.field("object", "").object(n), None);
    });
    assert!(told.is_empty(), "{told:?}");
}

#[test]
fn a_description_knows_every_key_default_and_list() {
    let schema = described(|reader| {
        reader.field("on", "a switch").default("true").boolean();
        reader.field("wait", "a time").default("30s").duration();
        reader
            .field("any", "as it is")
            .required()
            .raw(json!({"type": "object"}));
        reader.field("names", "by name").map_of(|_, reader| {
            assert!(reader.is_describing());
            reader.field("n", "a number").required().integer(0, 9)
        });
        reader
            .field("items", "in a list")
            .list_of(|reader| reader.field("t", "a text").text());
    });
    let at = |pointer: &str| schema.pointer(pointer).cloned().unwrap_or_default();
    assert_eq!(at("/required"), json!(["any"]));
    assert_eq!(at("/properties/on/default"), json!(true));
    assert_eq!(at("/properties/wait/default"), json!("30s"));
    assert_eq!(at("/properties/any/description"), json!("as it is"));
    assert_eq!(at("/properties/names/additionalProperties/required"), json!(["n"]));
    assert_eq!(
        at("/properties/names/additionalProperties/additionalProperties"),
        json!(false)
    );
    assert_eq!(at("/properties/items/items/properties/t/description"), json!("a text"));
}

#[test]
fn units_are_read_as_people_write_them() {
    for (text, ms) in [
        ("500ms", 500),
        ("30s", 30_000),
        ("10m", 600_000),
        ("2h", 7_200_000),
        ("1 d", 86_400_000),
    ] {
        assert_eq!(super::parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
    }
    for text in [
        "",
        "s",
        "5",
        "-5s",
        "5w",
        "99999999999999999999s",
        "4000d",
        "1.5s",
        "৫s",
    ] {
        assert!(super::parse_duration(text).is_err(), "{text}");
    }
    for (text, bytes) in [("7", 7), ("512KiB", 512 << 10), ("1 MiB", 1 << 20), ("2kB", 2000)] {
        assert_eq!(super::units::parse_size(text), Ok(bytes), "{text}");
    }
    assert_eq!(
        super::units::parse_rate("60/min").unwrap().period(),
        Duration::from_secs(1)
    );
    for text in ["0/s", "60", "60/minute", "/s", "1e3/s", "9999999/s"] {
        assert!(super::units::parse_rate(text).is_err(), "{text}");
    }
}
