//! The real program with an ERP's stock on its way into the store.

use std::collections::BTreeMap;

use sandbox::{Fault, Rule, When};

use super::failures;
use crate::support::{Desk, Erp, ErpSetup, Shop};

const FLOW: &str = "stock-from-erp";

/// An ERP with a level for every SKU that is there once, and the config of the contract's example. `guard`: whether what
/// its orders sold is taken off.
fn set_up(shop: &Shop, guard: &str) -> (Erp, Desk, BTreeMap<i64, i64>) {
    let erp = Erp::open(|_| {});
    let mut skus: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for product in shop.world().final_products().values() {
        for variant in &product.variants {
            let sku = variant.sku_code.as_deref().unwrap_or("").trim().to_owned();
            skus.entry(sku).or_default().push((variant.sku_id, variant.quantity));
        }
    }
    let mut expected = BTreeMap::new();
    for (n, (sku, spots)) in (0..).zip(skus.iter().filter(|(sku, spots)| !sku.is_empty() && spots.len() == 1)) {
        let (sku_id, stock) = spots[0];
        // Every third is right already.
        let level = if n % 3 == 0 { stock } else { stock.max(0) + 1 + n };
        let json = serde_json::json!({"sku": sku, "on_hand": level});
        erp.books().put("stock", &json.to_string()).unwrap();
        expected.insert(sku_id, level.max(0));
    }
    let setup = ErpSetup {
        resources: [
            "inventory:",
            "  pull:",
            "    path: /stock",
            "    data_selector: .items",
            "    primary_key: .sku",
            "    cursor: {path: .updated_at, param: updated_since}",
        ]
        .map(str::to_owned)
        .to_vec(),
        flows: [
            "stock-from-erp:",
            "  from: erp.inventory",
            "  to: store.inventory",
            "  schedule: '*/15 * * * *'",
            "  map: {sku: .sku, quantity: .on_hand}",
            &format!("  oversell_guard: {guard}"),
        ]
        .map(str::to_owned)
        .to_vec(),
        ..ErpSetup::default()
    };
    let desk = setup.desk(shop, &erp);
    (erp, desk, expected)
}

fn writes(shop: &Shop) -> usize {
    let asked = shop.world().requests();
    asked.iter().filter(|asked| asked.method != "GET").count()
}

#[track_caller]
fn check(shop: &Shop, expected: &BTreeMap<i64, i64>) {
    for (sku_id, level) in expected {
        assert_eq!(shop.world().stock(*sku_id), Some(*level), "variant {sku_id}");
    }
}

#[test]
fn st_05_an_erps_levels_arrive_in_the_store_and_a_second_run_writes_nothing() {
    let shop = Shop::of(10);
    let (_erp, desk, expected) = set_up(&shop, "off");
    assert!(expected.len() > 20, "{}", expected.len());
    let differ = expected
        .iter()
        .filter(|(id, level)| shop.world().stock(**id) != Some(**level));
    let differ = differ.count();
    desk.run(&["--once", FLOW]).ends(0);
    check(&shop, &expected);
    assert_eq!(writes(&shop), differ, "one write for each that was wrong");
    desk.run(&["--once", FLOW]).ends(0);
    assert_eq!(writes(&shop), differ);
    assert_eq!(failures(&desk).len(), 0);
    desk.find_secrets();
}

/// Pieces by variant in orders that count.
fn sold(shop: &Shop) -> BTreeMap<i64, i64> {
    let mut sold = BTreeMap::new();
    for order in shop
        .world()
        .final_orders()
        .values()
        .filter(|order| order.status != "cancelled")
    {
        for line in &order.lines {
            let has_sku = line.sku.as_deref().is_some_and(|sku| !sku.trim().is_empty());
            if let (Some(variant), Some(pieces), true) = (line.variant_id, line.quantity, has_sku) {
                *sold.entry(variant).or_default() += pieces;
            }
        }
    }
    sold
}

#[test]
fn st_01_what_the_erp_has_not_booked_yet_is_not_offered_once_more() {
    let shop = Shop::of(10);
    let (_erp, desk, expected) = set_up(&shop, "on");
    let sold = sold(&shop);
    assert!(expected.keys().any(|variant| sold.contains_key(variant)));
    // The figures were asked for before the orders arrived there.
    desk.run(&["--once", FLOW]).ends(0);
    let offered: BTreeMap<i64, i64> = expected
        .iter()
        .map(|(variant, level)| (*variant, (level - sold.get(variant).unwrap_or(&0)).max(0)))
        .collect();
    check(&shop, &offered);
    // This ERP counts what it has, whatever is ordered: figures that were asked for later hold the orders.
    desk.run(&["--once", FLOW]).ends(0);
    check(&shop, &expected);
    let done = writes(&shop);
    desk.run(&["--once", FLOW]).ends(0);
    assert_eq!(writes(&shop), done, "nothing more is written");
    assert_eq!(failures(&desk).len(), 0);
}

#[test]
fn st_03_a_run_that_is_killed_between_writes_ends_with_the_right_levels() {
    let shop = Shop::of(10);
    let (_erp, desk, expected) = set_up(&shop, "off");
    // The third write is carried out, and its answer comes long after the kill.
    shop.world().fault(Rule::write(Fault::Hang).when(When::Every(3)));
    for n in 1..4 {
        let mut running = desk.start(&["--once", FLOW]);
        running.until("a write that hangs", || writes(&shop) >= n * 4);
        running.kill();
    }
    shop.world().clear_faults();
    desk.run(&["--once", FLOW]).ends(0);
    check(&shop, &expected);
    assert_eq!(failures(&desk).len(), 0);
}

#[test]
fn a_dry_run_of_stock_shows_requests_and_writes_nothing() {
    let shop = Shop::of(10);
    let (_erp, desk, _) = set_up(&shop, "on");
    let told = desk.run(&["--once", FLOW, "--dry-run"]).ends(0).out;
    assert!(told.contains("curl -X PUT") && told.contains("\"quantity\":"), "{told}");
    assert_eq!(writes(&shop), 0);
}
