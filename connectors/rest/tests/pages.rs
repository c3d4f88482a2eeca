//! Listings: pages join without gaps under every kind of paging, also while records move, and every mark that a
//! pass leaves can be gone on from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use contract::{Fault, Key, Use, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

use super::rig::{Asked, Reply, Rig, Server, connect, erp, ok, status, text, tripwire, with};

fn pull(settings: Json) -> Json {
    let mut pull = json!({"path": "/stock", "data_selector": ".items", "primary_key": ".sku"});
    for (name, value) in settings.as_object().unwrap() {
        pull[name] = value.clone();
    }
    json!({"stock": {"pull": pull}})
}

fn connected(server: &Server, settings: Json) -> Rig {
    connect(&erp(&server.url(), json!({"type": "none"}), pull(settings)))
}

fn rows(from: usize, to: usize) -> Vec<Json> {
    (from..to)
        .map(|n| json!({"sku": format!("S{n}"), "on_hand": n}))
        .collect()
}

/// The paging that a server does, and the settings for it.
fn styles() -> [(&'static str, Json); 7] {
    [
        (
            "page",
            json!({"type": "page_number", "page_param": "page", "size_param": "limit", "size": 7}),
        ),
        (
            "page0",
            json!({"type": "page_number", "page_param": "page", "first": 0, "size_param": "limit", "size": 7}),
        ),
        (
            "offset",
            json!({"type": "offset", "offset_param": "start", "limit_param": "limit", "limit": 7}),
        ),
        ("cursor", json!({"type": "cursor", "path": ".next", "param": "after"})),
        ("url", json!({"type": "next_url", "path": ".next"})),
        ("link", json!({"type": "link_header"})),
        (
            "body",
            json!({"type": "offset", "offset_param": ".params.page.start", "limit_param": ".params.limit", "limit": 7}),
        ),
    ]
}

/// One page of all rows, in the style asked for. It gives at most `cap` rows whatever is asked for.
fn page(style: &str, asked: &Asked, all: &[Json], cap: usize) -> Reply {
    let body = asked.json();
    let size = match style {
        "page" | "page0" | "offset" => asked.number("limit").min(cap),
        "body" => usize::try_from(body["params"]["limit"].as_u64().unwrap())
            .unwrap()
            .min(cap),
        _ => cap,
    };
    let from = match style {
        "page" => (asked.number("page") - 1) * size,
        "page0" => asked.number("page") * size,
        "offset" => asked.number("start"),
        "body" => usize::try_from(body["params"]["page"]["start"].as_u64().unwrap()).unwrap(),
        _ => asked.number("after"),
    };
    let to = (from + size).min(all.len());
    let items: Vec<Json> = all.get(from..to).unwrap_or_default().to_vec();
    let more = to < all.len();
    match style {
        "cursor" => ok(json!({"items": items, "next": if more { json!(to.to_string()) } else { json!(null) }})),
        "url" => ok(
            json!({"items": items, "next": if more { json!(format!("/api/stock?after={to}")) } else { json!(null) }}),
        ),
        "link" if more => with(
            ok(json!({"items": items})),
            "Link",
            &format!("</api/stock?after=0>; rel=\"first\", <?after={to}>; title=\"a, b\"; rel=\"next last\""),
        ),
        _ => ok(json!({"items": items})),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// However many records there are, and however few a page takes, each is there once and in its order.
    #[test]
    fn pages_join_without_gaps(count in 0_usize..40, cap in 1_usize..12) {
        for (style, paginator) in styles() {
            let all = rows(0, count);
            let keys = runtime().block_on(async {
                let given = all.clone();
                let server = Server::start(move |asked| page(style, asked, &given, cap)).await;
                let mut settings = json!({"paginator": paginator});
                if style == "body" {
                    settings["method"] = json!("POST");
                    settings["body"] = json!({"params": {"domain": []}});
                }
                let rig = connected(&server, settings);
                let (records, _) = rig.pass("stock", "").await.unwrap();
                records.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
            });
            let expected: Vec<String> = (0..count).map(|n| format!("S{n}")).collect();
            prop_assert_eq!(&keys, &expected, "{}", style);
        }
    }

    /// Passes that follow each other, each from where the one before ended, see every change, whatever changes
    /// between two pages.
    #[test]
    fn every_mark_can_be_gone_on_from(
        edits in prop::collection::vec((0_usize..25, 0_u8..4), 1..40),
        style in 0_usize..6,
        inclusive in any::<bool>(),
    ) {
        let (style, paginator) = styles()[style].clone();
        let outcome = runtime().block_on(async {
            let world: Arc<Mutex<World>> = Arc::new(Mutex::new(World::new(25, edits)));
            let shared = world.clone();
            let server = Server::start(move |asked| {
                let mut world = shared.lock().unwrap();
                world.someone_edits();
                let listed = world.since(asked.param("since"), inclusive);
                page(style, asked, &listed, 7)
            }).await;
            let cursor = json!({"path": ".at", "param": "since", "format": "number", "inclusive": inclusive});
            let rig = connected(&server, json!({"paginator": paginator, "cursor": cursor}));
            let (mut known, mut mark) = (BTreeMap::new(), String::new());
            for _ in 0..60 {
                let (records, next) = rig.pass("stock", &mark).await.unwrap();
                known.extend(records.into_iter().map(|(key, value)| (key, value.to_json())));
                mark = next;
                if world.lock().unwrap().edits.is_empty() && known == world.lock().unwrap().all() {
                    break;
                }
            }
            let all = world.lock().unwrap().all();
            (known, all)
        });
        prop_assert_eq!(outcome.0, outcome.1);
    }
}

/// Records that somebody edits while they are read.
struct World {
    rows: Vec<(usize, u64)>,
    edits: Vec<(usize, u8)>,
    now: u64,
}

impl World {
    fn new(count: usize, edits: Vec<(usize, u8)>) -> World {
        World {
            rows: (0..count).map(|n| (n, n as u64)).collect(),
            edits,
            now: count as u64,
        }
    }

    fn someone_edits(&mut self) {
        let edits = self.edits.pop();
        let Some((row, pause)) = edits.filter(|(_, pause)| *pause < 3) else {
            return;
        };
        self.now += u64::from(pause);
        let now = self.now;
        if let Some(row) = self.rows.get_mut(row) {
            row.1 = now;
        }
    }

    fn since(&self, since: Option<&str>, inclusive: bool) -> Vec<Json> {
        let since: Option<u64> = since.map(|text| text.parse::<i64>().unwrap().max(0) as u64);
        let mut rows = self.rows.clone();
        rows.retain(|(_, at)| {
            since.is_none_or(|since| {
                if inclusive {
                    *at >= since
                } else {
                    *at > since || since == 0
                }
            })
        });
        rows.sort_by_key(|(n, at)| (*at, *n));
        rows.into_iter().map(World::told).collect()
    }

    fn told((n, at): (usize, u64)) -> Json {
        json!({"sku": format!("S{n}"), "at": at})
    }

    fn all(&self) -> BTreeMap<String, String> {
        let told = |row: &(usize, u64)| Value::parse(&World::told(*row).to_string()).unwrap().to_json();
        self.rows.iter().map(|row| (format!("S{}", row.0), told(row))).collect()
    }
}

#[tokio::test]
async fn a_number_keeps_its_digits_and_a_key_its_colon() {
    let server =
        Server::start(|_| text(200, "application/json", r#"{"items":[{"sku":"a:b%","price":1460.00}]}"#)).await;
    let rig = connected(&server, json!({}));
    let (records, _) = rig.pass("stock", "").await.unwrap();
    assert_eq!(records[0].0, "a%3Ab%25");
    assert_eq!(records[0].1.to_json(), r#"{"sku":"a:b%","price":1460.00}"#);
}

#[tokio::test]
async fn er_06_a_next_page_elsewhere_is_never_asked_for() {
    let (port, touched) = tripwire().await;
    for told in [
        format!("http://127.0.0.1:{port}/stock"),
        format!("//127.0.0.1:{port}/stock"),
        "https://evil.example/stock".to_owned(),
        "http://169.254.169.254/latest".to_owned(),
        format!("http://user:pw@127.0.0.1:{port}/"),
        "file:///etc/passwd".to_owned(),
    ] {
        let next = told.clone();
        let server = Server::start(move |_| ok(json!({"items": [{"sku": "1"}], "next": next}))).await;
        let rig = connected(&server, json!({"paginator": {"type": "next_url", "path": ".next"}}));
        let error = rig.pass("stock", "").await.unwrap_err();
        assert_eq!(error.fault, Fault::Denied, "{told}: {error}");
        assert_eq!(server.asked().len(), 1, "{told}");
    }
    let server = Server::start(move |_| {
        let link = format!("<http://127.0.0.1:{port}/stock>; rel=next");
        with(ok(json!({"items": [{"sku": "1"}]})), "Link", &link)
    })
    .await;
    let rig = connected(&server, json!({"paginator": {"type": "link_header"}}));
    assert_eq!(rig.pass("stock", "").await.unwrap_err().fault, Fault::Denied);
    assert_eq!(touched.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn er_06_a_listing_that_goes_round_or_stands_still_fails() {
    for (style, paginator) in styles() {
        let server = Server::start(move |_| {
            let reply =
                ok(json!({"items": rows(0, 7), "next": match style { "url" => "/api/stock?a=1", _ => "same" }}));
            with(reply, "Link", "</api/stock?after=7>; rel=\"next\"")
        })
        .await;
        let rig = connected(&server, json!({"paginator": paginator, "method": "POST", "body": {}}));
        let error = rig.pass("stock", "").await.unwrap_err();
        assert!(matches!(error.fault, Fault::Transient { .. }), "{style}: {error}");
    }
}

#[tokio::test]
async fn er_06_a_listing_that_ends_before_its_total_fails() {
    let server = Server::start(|asked| match asked.number("page") {
        1 => ok(json!({"items": rows(0, 7), "total": 12})),
        _ => ok(json!({"items": [], "total": 12})),
    })
    .await;
    let paginator = json!({"type": "page_number", "page_param": "page", "total": ".total"});
    let rig = connected(&server, json!({"paginator": paginator}));
    let error = rig.pass("stock", "").await.unwrap_err();
    assert!(error.answer.contains("7 records, and 12"), "{error}");
}

#[tokio::test]
async fn a_total_and_a_word_that_all_was_told_spare_the_last_request() {
    for (name, filter) in [("total", ".total"), ("more", ".more")] {
        let server = Server::start(|asked| {
            let from = (asked.number("page") - 1) * 5;
            ok(json!({"items": rows(from, from + 5), "total": 10, "more": from == 0}))
        })
        .await;
        let mut paginator = json!({"type": "page_number", "page_param": "page", "size_param": "n", "size": 5});
        paginator[name] = json!(filter);
        let rig = connected(&server, json!({"paginator": paginator}));
        assert_eq!(rig.pass("stock", "").await.unwrap().0.len(), 10);
        assert_eq!(server.asked().len(), 2, "{name}");
    }
}

/// Some give their last page for every number behind it.
#[tokio::test]
async fn a_short_last_page_that_comes_again_is_the_end() {
    let server = Server::start(|asked| match asked.number("page") {
        1 => ok(json!({"items": rows(0, 5)})),
        _ => ok(json!({"items": rows(5, 8)})),
    })
    .await;
    let paginator = json!({"type": "page_number", "page_param": "page", "size_param": "n", "size": 5});
    let rig = connected(&server, json!({"paginator": paginator}));
    assert_eq!(rig.pass("stock", "").await.unwrap().0.len(), 8);
}

/// A new record has no time of change yet.
#[tokio::test]
async fn a_mark_falls_back_to_another_field() {
    let server = Server::start(|_| {
        ok(json!({"items": [
            {"sku": "1", "write": null, "create": "2026-11-01 10:00:00"},
            {"sku": "2", "write": "2026-11-01 09:00:00", "create": "2026-10-01 10:00:00"},
            {"sku": "3", "write": null, "create": null},
        ]}))
    })
    .await;
    let cursor = json!({
        "path": [".write", ".create"], "param": "d", "lag": "1h",
        "value": "[\"OR\", [\"write\", \">=\", .], [\"create\", \">=\", .]] | tojson",
    });
    let rig = connected(&server, json!({"cursor": cursor}));
    let (records, mark) = rig.pass("stock", "").await.unwrap();
    assert_eq!((records.len(), mark.as_str()), (3, "2026-11-01 10:00:00"));
    let (_, again) = rig.pass("stock", &mark).await.unwrap();
    assert_eq!(again, mark);
    let asked = server.asked();
    assert_eq!(asked[0].param("d"), None);
    let from = r#"["OR",["write",">=","2026-11-01 09:00:00"],["create",">=","2026-11-01 09:00:00"]]"#;
    assert_eq!(asked[1].param("d"), Some(from));
}

/// Where nothing can be asked by change, each pass reads all, and a record that did not change is the same.
#[tokio::test]
async fn without_a_cursor_all_is_listed_and_told_by_content() {
    let server = Server::start(|_| ok(json!({"items": rows(0, 3)}))).await;
    let rig = connected(&server, json!({}));
    let source = rig.source("stock");
    let hashes = async || {
        let mut pass = source.changes(&source.now().await.unwrap(), Use::Feed);
        let step = pass.step().await.unwrap();
        assert!(step.done);
        step.rows
            .iter()
            .map(|row| (row.key.clone(), row.hash))
            .collect::<BTreeSet<_>>()
    };
    assert_eq!(hashes().await, hashes().await);
}

#[tokio::test]
async fn one_record_is_read_at_its_address_or_looked_for() {
    let server = Server::start(|asked| match asked.path.as_str() {
        "/api/stock" => page("page", asked, &rows(0, 20), 7),
        "/api/stock/S3" => ok(json!({"data": {"sku": "S3", "on_hand": 3}})),
        "/api/stock/S4" => ok(json!({"data": {"sku": "S5"}})),
        _ => status(404, json!({})),
    })
    .await;
    let paginator = json!({"type": "page_number", "page_param": "page", "size_param": "limit", "size": 7});
    let read = json!({"path": "/stock/{id}", "data_selector": ".data"});
    let with_address = connected(&server, json!({"paginator": paginator, "read": read}));
    let without = connected(&server, json!({"paginator": paginator}));
    let found = async |rig: &Rig, key: &str| {
        let row = rig.source("stock").read(&Key(key.to_owned()), Use::Ring).await;
        row.map(|row| row.map(|row| row.key.0))
    };
    assert_eq!(found(&with_address, "S3").await.unwrap().as_deref(), Some("S3"));
    assert_eq!(found(&with_address, "S9").await.unwrap(), None);
    assert!(found(&with_address, "S4").await.is_err(), "another record is no answer");
    assert_eq!(found(&without, "S16").await.unwrap().as_deref(), Some("S16"));
    assert_eq!(found(&without, "S99").await.unwrap(), None);
}

#[tokio::test]
async fn a_record_without_a_key_is_told_and_the_others_go_on() {
    let server = Server::start(|_| ok(json!({"items": [{"sku": null, "a": 1}, {"sku": {"x": 1}}, {"sku": 7}]}))).await;
    let rig = connected(&server, json!({}));
    let (records, _) = rig.pass("stock", "").await.unwrap();
    assert!(
        records[0].0.starts_with('?') && records[0].1.to_json().contains("no value at primary_key"),
        "{records:?}"
    );
    assert!(records[1].1.to_json().contains("an object"), "{records:?}");
    assert_eq!(records[2].0, "7");
}

#[tokio::test]
async fn answers_that_cannot_be_right_fail_the_pass() {
    let deep = format!("{{\"items\":[{}1{}]}}", "[".repeat(80), "]".repeat(80));
    let large = format!("{{\"items\":[{{\"sku\":\"{}\"}}]}}", "x".repeat(70_000));
    for (body, part) in [
        (r#"{"rows":[]}"#, "no list where data_selector looks"),
        (r#"{"items":[1,2]}"#, "where records are wanted"),
        (r#"{"items":{"a":1}}"#, ""),
        ("", "empty body"),
        ("<html>", "cannot be read"),
        (&deep, "levels deep"),
        (&large, "answer_max"),
    ] {
        let told = body.to_owned();
        let server = Server::start(move |_| text(200, "application/json", &told)).await;
        let mut json = erp(&server.url(), json!({"type": "none"}), pull(json!({})));
        json["answer_max"] = json!("64KiB");
        let outcome = connect(&json).pass("stock", "").await;
        match part {
            "" => assert_eq!(outcome.unwrap().0.len(), 1, "an object is one record"),
            part => {
                let error = outcome.unwrap_err();
                assert!(error.answer.contains(part), "{error}");
            }
        }
    }
}

#[tokio::test]
async fn what_only_reads_is_asked_again_where_the_answer_did_not_come() {
    let failed = std::sync::atomic::AtomicU64::new(0);
    let server = Server::start(move |asked| match failed.fetch_add(1, Ordering::Relaxed) {
        0 => Reply::Reset,
        1 => status(503, json!({})),
        _ => page("offset", asked, &rows(0, 9), 4),
    })
    .await;
    let paginator = json!({"type": "offset", "offset_param": "start", "limit_param": "limit", "limit": 4});
    let rig = connected(&server, json!({"paginator": paginator}));
    assert_eq!(rig.pass("stock", "").await.unwrap().0.len(), 9);
}
