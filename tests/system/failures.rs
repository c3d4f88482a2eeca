//! ER-10: a record that always fails waits for a person, and nothing waits for it.

use sandbox::{Fault, Options, RowShape, Rule, Splice};
use serde_json::Value;

use crate::support::{Desk, Setup, Shop, options};

fn list(desk: &Desk) -> Vec<Value> {
    let told = desk.run(&["failures", "list", "--json"]).ends(0);
    serde_json::from_str(&told.out).unwrap()
}

#[track_caller]
fn the_one(desk: &Desk, record: i64) -> (String, Value) {
    let listed = list(desk);
    assert_eq!(listed.len(), 1, "{listed:#?}");
    let failure = listed[0].clone();
    for (name, fits) in [
        ("id", failure["id"].is_i64()),
        ("flow", failure["flow"] == "orders-to-csv"),
        ("record", failure["record"].as_str() == Some(&record.to_string())),
        (
            "reason",
            failure["reason"].as_str().is_some_and(|reason| !reason.is_empty()),
        ),
        (
            "attempts",
            failure["attempts"].as_i64().is_some_and(|attempts| attempts > 0),
        ),
        (
            "at",
            failure["at"]
                .as_str()
                .is_some_and(|at| at.parse::<jiff::Timestamp>().is_ok()),
        ),
    ] {
        assert!(fits, "{name} is not as it should be: {failure:#}");
    }
    (failure["id"].to_string(), failure)
}

#[test]
fn er_10_an_order_that_cannot_be_read_is_parked_and_can_be_tried_again() {
    let shop = Shop::open(Options {
        rows: RowShape::Bare,
        ..options(30)
    });
    let world = shop.world();
    let desk = Desk::new(&shop);
    let poison = shop.some_ids(3)[1];
    let broken = world.fault(Rule::detail(Fault::error_500()).order(poison));
    desk.run(&["--once"]).ends(3);
    assert!(world.fired(broken) > 1);
    assert_eq!(desk.rows(), 29, "the others must not wait");
    let (id, failure) = the_one(&desk, poison);
    assert!(
        failure["reason"].as_str().unwrap().contains("reading it failed"),
        "{failure:#}"
    );
    desk.run(&["failures", "list"]).ends(0);
    let shown = desk.run(&["failures", "show", &id]).ends(0);
    assert!(
        shown.out.contains("500") && shown.out.contains(&poison.to_string()),
        "{}",
        shown.out
    );
    let shown: Value = serde_json::from_str(&desk.run(&["failures", "show", &id, "--json"]).ends(0).out).unwrap();
    assert!(shown["answer"].as_str().unwrap().contains("500"), "{shown:#}");
    desk.run(&["failures", "show", "999999"]).ends(2);

    desk.run(&["failures", "retry", &id]).ends(3);
    world.remove_fault(broken);
    let (id, _) = the_one(&desk, poison);
    desk.run(&["failures", "retry", &id]).ends(0);
    assert_eq!(list(&desk), Vec::<Value>::new());
    desk.check(&shop);
}

#[test]
fn er_10_an_order_that_cannot_be_mapped_is_parked_until_it_changes() {
    let shop = Shop::of(30);
    let world = shop.world();
    let mut setup = Setup::default();
    setup.map = setup.map.replace(
        "status: .status",
        r#"status: 'if .note == "poison" then error("no such account") else .status end'"#,
    );
    let desk = Desk::with(&shop, setup);
    let poison = shop.some_ids(3)[1];
    world.update_order(poison, |order| order.note = Some("poison".to_owned()));
    desk.run(&["--once"]).ends(3);
    assert_eq!(desk.rows(), 29);
    let (id, failure) = the_one(&desk, poison);
    assert!(
        failure["reason"].as_str().unwrap().contains("no such account"),
        "{failure:#}"
    );
    desk.run(&["failures", "retry", "--all"]).ends(3);
    assert_eq!(the_one(&desk, poison).0, id, "trying again made another failure of it");
    desk.run(&["failures", "discard", &id]).ends(0);
    assert_eq!(list(&desk), Vec::<Value>::new());
    desk.run(&["--once"]).ends(0);

    world.advance(std::time::Duration::from_secs(60));
    world.update_order(poison, |order| order.note = Some("cured".to_owned()));
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
}

#[test]
fn er_10_a_mapping_that_is_mended_takes_its_failures_along() {
    let shop = Shop::of(20);
    let mut setup = Setup::default();
    let good = setup.map.clone();
    setup.map = good.replace(
        "status: .status",
        r#"status: 'if .note == "poison" then error("no") else .status end'"#,
    );
    let mut desk = Desk::with(&shop, setup);
    let poison = shop.some_ids(3)[1];
    shop.world()
        .update_order(poison, |order| order.note = Some("poison".to_owned()));
    desk.run(&["--once"]).ends(3);
    desk.setup.map = good;
    desk.configure();
    desk.run(&["--once"]).ends(0);
    assert_eq!(list(&desk), Vec::<Value>::new());
    desk.check(&shop);
}

#[test]
fn api_20_a_row_that_is_nonsense_is_parked_alone() {
    let shop = Shop::of(30);
    let poison = shop.some_ids(3)[1];
    let splice = shop
        .world()
        .fault(Rule::splice(poison, Splice::member("grand_total", "\"1,500.00\"")));
    let desk = Desk::new(&shop);
    desk.run(&["--once"]).ends(3);
    assert!(shop.world().fired(splice) > 0);
    assert_eq!(desk.rows(), 29);
    the_one(&desk, poison);
    shop.world().remove_fault(splice);
    desk.run(&["failures", "retry", "--all"]).ends(0);
    desk.check(&shop);
}

#[test]
fn api_24_what_an_encoding_lacks_parks_its_record_and_the_others_go() {
    let shop = Shop::of(0);
    let world = shop.world();
    let plain = |name: &'static str| {
        move |order: &mut sandbox::Order| {
            order.note = Some(name.to_owned());
            order.customer.name = Some(name.to_owned());
        }
    };
    for note in ["Müller", "Café", "plain"] {
        world.insert_order(plain(note));
    }
    let poison = world.insert_order(plain("রহিম"));
    world.insert_order(plain("last"));
    let setup = Setup {
        drop: "    dialect: {encoding: windows-1252}\n".to_owned(),
        ..Setup::default()
    };
    let desk = Desk::with(&shop, setup);
    desk.run(&["--once"]).ends(3);
    let (id, failure) = the_one(&desk, poison);
    assert!(failure["reason"].as_str().unwrap().contains("note"), "{failure:#}");
    let files = crate::support::names(&desk.out());
    assert_eq!(files.len(), 1);
    let bytes = std::fs::read(desk.out().join(&files[0])).unwrap();
    assert_eq!(
        bytes.iter().filter(|byte| **byte == b'\n').count(),
        5,
        "a header and four rows"
    );
    assert!(bytes.windows(6).any(|part| part == b"M\xfcller"));
    desk.run(&["failures", "retry", &id]).ends(3);
    assert_eq!(crate::support::names(&desk.out()), files, "nothing may be sent of it");
    world.advance(std::time::Duration::from_secs(60));
    world.update_order(poison, |order| order.note = Some("Rahim".to_owned()));
    desk.run(&["--once"]).ends(0);
    assert_eq!(list(&desk), Vec::<Value>::new());
}
