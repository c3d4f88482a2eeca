//! Flows beside one another, and files as the folder's reader sees them.

use crate::support::{Desk, Setup, Shop, names, rows};

const LINES: &str = "      lines:
        write: {file: \"lines-{timestamp}-{batch}.csv\", max_records: 50}
";

/// A second flow on the same feed, to another connector.
fn two(location: &str) -> Setup {
    Setup {
        connectors: format!("  other:\n    type: csv\n    location: {location}\n    resources:\n{LINES}"),
        flows: "  lines-to-csv:
    from: store.orders
    to: other.lines
    each: .lines[]
    map: {order: $record.id, sku: .sku, quantity: .quantity}
"
        .to_owned(),
        ..Setup::default()
    }
}

fn lines_expected(shop: &Shop) -> usize {
    shop.world()
        .final_orders()
        .values()
        .map(|order| order.lines.len())
        .sum()
}

fn lines_written(desk: &Desk) -> usize {
    let files = names(&desk.path("other"));
    let count = |name: &String| {
        let text = std::fs::read(desk.path("other").join(name)).unwrap();
        csv::Reader::from_reader(text.as_slice())
            .records()
            .map(Result::unwrap)
            .count()
    };
    files.iter().map(count).sum()
}

#[test]
fn two_flows_on_one_feed_both_get_everything() {
    let shop = Shop::of(300);
    let desk = Desk::with(&shop, two("./other"));
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    assert_eq!(lines_written(&desk), lines_expected(&shop));
    desk.run(&["--backfill"]).ends(0);
    assert_eq!(lines_written(&desk), lines_expected(&shop));
    desk.check(&shop);
}

#[test]
fn a10_a_flow_whose_target_is_in_trouble_does_not_hold_up_the_other() {
    let shop = Shop::of(300);
    let mut setup = two("./other");
    // Nothing makes the folder above.
    setup.location = "./missing/out".to_owned();
    let mut desk = Desk::with(&shop, setup);
    desk.run(&["--once"]).ends(1).says(&["missing"]);
    assert_eq!(
        lines_written(&desk),
        lines_expected(&shop),
        "the other flow was held up"
    );
    std::fs::create_dir(desk.path("missing")).unwrap();
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    assert_eq!(lines_written(&desk), lines_expected(&shop));
    desk.setup.location = "./missing/out".to_owned();
}

#[test]
fn a_file_that_was_begun_under_another_mapping_loses_no_record() {
    let shop = Shop::of(60);
    let mut setup = Setup::default();
    let good = setup.map.clone();
    setup.location = "./missing/out".to_owned();
    setup.map = good.replace("note: .note", "remark: .note");
    let mut desk = Desk::with(&shop, setup);
    // The file is named and its records are in it, but it cannot be written.
    desk.run(&["--once"]).ends(1);
    std::fs::create_dir(desk.path("missing")).unwrap();
    desk.setup.map = good;
    desk.configure();
    desk.run(&["--backfill"]).ends(0);
    let text: String = names(&desk.out())
        .iter()
        .map(|name| std::fs::read_to_string(desk.out().join(name)).unwrap())
        .collect();
    for id in shop.world().final_orders().keys() {
        assert!(text.contains(&format!("\"{id}\",")), "order {id} is lost");
    }
}

#[test]
fn a_file_that_was_begun_under_another_encoding_loses_no_record() {
    let shop = Shop::of(60);
    let setup = Setup {
        location: "./missing/out".to_owned(),
        ..Setup::default()
    };
    let mut desk = Desk::with(&shop, setup);
    desk.run(&["--once"]).ends(1);
    std::fs::create_dir(desk.path("missing")).unwrap();
    desk.setup.drop = "    dialect: {encoding: windows-1252}\n".to_owned();
    desk.configure();
    desk.run(&["--once"]).ends(0);
    let ids: std::collections::BTreeSet<i64> = {
        let text = names(&desk.out())
            .iter()
            .map(|name| std::fs::read(desk.out().join(name)).unwrap())
            .collect::<Vec<_>>();
        let cells = text
            .iter()
            .flat_map(|bytes| csv::Reader::from_reader(bytes.as_slice()).into_byte_records());
        cells
            .map(|cells| std::str::from_utf8(&cells.unwrap()[0]).unwrap().parse().unwrap())
            .collect()
    };
    assert_eq!(ids, shop.world().final_orders().into_keys().collect());
}

#[test]
fn files_hold_no_more_records_than_they_may_and_their_names_sort_as_written() {
    let shop = Shop::of(230);
    let setup = Setup {
        max_records: 50,
        ..Setup::default()
    };
    let desk = Desk::with(&shop, setup);
    desk.run(&["--backfill"]).ends(0);
    let (sent, wrong) = rows(&desk.out(), 50);
    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!((sent.len(), names(&desk.out()).len()), (230, 5));
    desk.check(&shop);
}
