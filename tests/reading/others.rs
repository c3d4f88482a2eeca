//! Customers, products, stock and the store's profile: their history while the shop goes on and the platform
//! stumbles, and the walks by keyset against a store that hides, miscounts or ignores what it is asked.

pub(crate) mod checker;
mod doubtful;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use contract::{Fault as Trouble, Key, Record, Source, Use, Window};
use sandbox::{Fault, Length, Movement, Options, Resource, Rule, StockStamps, When};

use crate::support::{Covered, Desk, Setup as Config, Shop, options};

use super::rig::{Rig, Setup, cursor, drive};
use checker::Kind;

fn desk(shop: &Shop, kind: Kind) -> Desk {
    let config = Config {
        drop: "    dialect: {raw_cells: true}\n".to_owned(),
        resources: kind.resource(),
        flows: kind.flow(),
        ..Config::default()
    };
    Desk::with(shop, config)
}

/// Stumbles of every kind, each about every `nth` answer of this sort.
fn stumble(shop: &Shop, rule: fn(Fault) -> Rule, resource: Resource, nth: u64) -> Vec<u64> {
    let truncated = |length| Fault::Truncate { bytes: 700, length };
    let faults = [
        (Fault::too_many(1), nth + 5),
        (Fault::error_500(), nth + 1),
        (Fault::bad_gateway(), nth - 1),
        (Fault::ResetBefore, nth + 3),
        (Fault::ResetAfter { bytes: 300 }, nth - 3),
        (truncated(Length::Whole), nth + 7),
        (truncated(Length::Cut), nth - 7),
    ];
    let order = |(what, nth)| shop.world().fault(rule(what).of(resource).when(When::Every(nth)));
    faults.map(order).to_vec()
}

#[track_caller]
fn check(kind: Kind, desk: &Desk, shop: &Shop) {
    let wrong = kind.complaints(&desk.out(), shop.world());
    let shown: Vec<&String> = wrong.iter().take(12).collect();
    assert!(wrong.is_empty(), "{} complaints, such as {shown:#?}", wrong.len());
}

/// History while everything moves and stumbles, then what changed, then the same history once more.
fn tell(kind: Kind, resource: Resource, shop: &Shop, faults: &[u64]) {
    let (world, desk) = (shop.world(), desk(shop, kind));
    let flow = format!("{}-to-csv", kind.name());
    world.move_each_list_answer(Movement {
        moves_max: 240,
        only: Some(resource),
        ..Movement::default()
    });
    let first = desk.run(&["--backfill", &flow]).ends(0);
    assert!(!first.out.contains("unproven"), "{}", first.out);
    assert_eq!(world.moves_left(), 0, "the shop did not move as much as was meant");
    for fault in faults {
        assert!(world.fired(*fault) > 0, "a fault never struck");
    }
    world.clear_faults();
    for _ in 0..2 {
        desk.run(&["--once", &flow]).ends(0);
    }
    check(kind, &desk, shop);
    let rows = kind.rows(&desk.out()).len();
    let again = desk.run(&["--backfill", &flow]).ends(0);
    assert_eq!(kind.rows(&desk.out()).len(), rows, "a second backfill must add nothing");
    assert_eq!(Covered::told(&again.out), kind.cover(world));
    println!("{} took {:?}, then {:?}", kind.name(), first.took, again.took);

    world.advance(Duration::from_secs(3600));
    world.update_any_of(resource, 3);
    desk.run(&["--once", &flow]).ends(0);
    check(kind, &desk, shop);
}

#[test]
fn history_of_20000_customers_while_they_move_and_the_platform_stumbles() {
    let shop = Shop::open(Options {
        customers: 20_000,
        ..options(400)
    });
    // More of one second than fit on a page.
    let (world, ids) = (shop.world(), shop.world().final_customers());
    let stamp = world.now_ms() - 90 * 86_400_000;
    for id in ids.into_keys().step_by(40) {
        assert!(world.update_customer_quietly(id, |customer| customer.created_ms = stamp));
    }
    let faults = stumble(&shop, Rule::list, Resource::Customers, 40);
    tell(Kind::Customers, Resource::Customers, &shop, &faults);
}

#[test]
fn history_of_20000_products_while_they_move_and_the_platform_stumbles() {
    let shop = Shop::open(Options {
        products: 20_000,
        ..options(0)
    });
    let mut faults = stumble(&shop, Rule::list, Resource::Products, 40);
    faults.extend(stumble(&shop, Rule::detail, Resource::Products, 5_000));
    tell(Kind::Products, Resource::Products, &shop, &faults);
}

#[test]
fn history_of_the_stock_of_20000_products_while_it_moves_and_the_platform_stumbles() {
    let shop = Shop::open(Options {
        products: 20_000,
        stock_stamps: StockStamps::Inventory,
        ..options(0)
    });
    let mut faults = stumble(&shop, Rule::list, Resource::Inventory, 60);
    faults.extend(stumble(&shop, Rule::detail, Resource::Products, 5_000));
    tell(Kind::Inventory, Resource::Inventory, &shop, &faults);
}

fn small(customers: usize, products: usize) -> Setup {
    Setup::of(Options {
        orders: 0,
        customers,
        products,
        limit_max: 10,
        ..Options::default()
    })
}

fn source(rig: &Rig, name: &str) -> Arc<dyn Source> {
    rig.store().source(name).unwrap()
}

/// What is walked by keyset, and all there is of it.
fn walked(rig: &Rig) -> [(&'static str, BTreeSet<i64>); 2] {
    [
        ("customers", rig.world.final_customers().into_keys().collect()),
        ("products", rig.world.final_products().into_keys().collect()),
    ]
}

#[tokio::test]
async fn a_walk_by_keyset_ends_whatever_the_totals_say_and_doubts_an_empty_page() {
    for total in [
        None,
        Some(0),
        Some(7),
        Some(44),
        Some(45),
        Some(46),
        Some(i64::MAX),
        Some(-3),
    ] {
        let rig = small(45, 45).start().await;
        let wrong = rig.world.fault(Rule::list(Fault::WrongTotal { total }));
        for (name, ids) in walked(&rig) {
            let empty = rig.world.fault(Rule::list(Fault::EmptyPage).when(When::Nth(3)));
            let walk = drive(source(&rig, name).history(Window::default(), None))
                .await
                .unwrap();
            assert_eq!(rig.world.fired(empty), 1);
            assert_eq!(walk.keys(), ids, "{name}, total {total:?}");
            assert_eq!(walk.covered.len(), 45, "{name}, total {total:?}");
            let told = total.is_some_and(|total| total >= 0 && total != 45);
            assert_eq!(
                !walk.notes.is_empty(),
                told,
                "{name}, total {total:?}: {:?}",
                walk.notes
            );
        }
        assert!(rig.world.fired(wrong) > 0);
    }
}

#[tokio::test]
async fn a_page_size_cut_down_without_a_word_and_ties_across_pages_hide_nothing() {
    for rows in [1, 7, 250] {
        let rig = Setup::of(Options {
            orders: 0,
            customers: 45,
            products: 45,
            limit_max: 20,
            ..Options::default()
        });
        let rig = rig.start().await;
        let stamp = rig.world.now_ms() - 86_400_000;
        for (n, id) in rig.world.final_customers().into_keys().enumerate().take(30) {
            let ms = if n < 25 { stamp } else { stamp + 1000 };
            rig.world
                .update_customer_quietly(id, |customer| customer.created_ms = ms);
        }
        rig.world.tie_updated_of(Resource::Products, 38, stamp);
        let clamped = rig.world.fault(Rule::list(Fault::ClampLimit { rows }));
        for (name, ids) in walked(&rig) {
            let walk = drive(source(&rig, name).history(Window::default(), None))
                .await
                .unwrap();
            assert_eq!(walk.keys(), ids, "{name}, {rows} rows");
            assert_eq!(
                (walk.covered.len(), walk.notes),
                (45, Vec::new()),
                "{name}, {rows} rows"
            );
        }
        assert_eq!(rig.world.fired(clamped) > 0, rows < 20);
    }
}

#[tokio::test]
async fn a_users_window_is_honoured_to_the_second_whatever_the_list_is_filtered_by() {
    let rig = small(45, 45).start().await;
    let customers = rig.world.final_customers();
    let mut created: Vec<i64> = customers.values().map(|one| one.created_ms).collect();
    created.sort_unstable();
    let products = rig.world.final_products();
    let time = |ms| Some(jiff::Timestamp::from_millisecond(ms).unwrap());
    for (since, until) in [
        (Some(10), Some(20)),
        (Some(30), None),
        (None, Some(5)),
        (Some(44), Some(44)),
    ] {
        let (since, until) = (since.map(|n: usize| created[n]), until.map(|n: usize| created[n]));
        let window = Window {
            since: since.and_then(time),
            until: until.and_then(time),
        };
        let inside = |ms: i64| since.is_none_or(|since| ms >= since) && until.is_none_or(|until| ms <= until);
        let mine = customers
            .values()
            .filter(|one| inside(one.created_ms))
            .map(|one| one.id);
        let walk = drive(source(&rig, "customers").history(window, None)).await.unwrap();
        assert_eq!(walk.keys(), mine.collect::<BTreeSet<i64>>());
        assert_eq!((walk.covered.len(), walk.notes.len()), (walk.keys().len(), 0));
        let mine = products.values().filter(|one| inside(one.created_ms)).map(|one| one.id);
        let walk = drive(source(&rig, "products").history(window, None)).await.unwrap();
        assert_eq!(walk.keys(), mine.collect::<BTreeSet<i64>>());
        assert_eq!((walk.covered.len(), walk.notes.len()), (walk.keys().len(), 0));
    }
}

#[tokio::test]
async fn a_walk_by_keyset_goes_on_where_it_was_and_covers_each_once() {
    let rig = small(45, 45).start().await;
    for (name, ids) in walked(&rig) {
        let mut pass = source(&rig, name).history(Window::default(), None);
        let (mut covered, mut rows, mut cursor) = (Vec::new(), BTreeSet::new(), None);
        while cursor.is_none() || covered.len() < 20 {
            let step = pass.step().await.unwrap();
            covered.extend(step.covered.into_iter().map(|(key, _)| key));
            rows.extend(step.rows.iter().map(|row| row.key.0.parse::<i64>().unwrap()));
            cursor = step.cursor.or(cursor);
        }
        let rest = drive(source(&rig, name).history(Window::default(), cursor.as_ref()))
            .await
            .unwrap();
        rows.extend(rest.keys());
        covered.extend(rest.covered);
        assert_eq!(rows, ids, "{name}");
        assert_eq!((covered.len(), covered.iter().collect::<BTreeSet<_>>().len()), (45, 45));
    }
}

#[tokio::test]
async fn a_row_that_a_page_leaves_out_once_is_found_by_the_count() {
    let rig = small(45, 0).start().await;
    let created_ms = rig.world.final_customers().values().nth(13).unwrap().created_ms + 1000;
    let young = rig.world.insert_customer(|customer| customer.created_ms = created_ms);
    // Another copy answers once, which does not have it yet.
    let hidden = Fault::HideYoung {
        order: Some(young),
        age_ms: 20 * 365 * 86_400_000,
    };
    let hidden = Rule::list(hidden).of(Resource::Customers).when(When::Nth(2));
    let hidden = rig.world.fault(hidden);
    let walk = drive(source(&rig, "customers").history(Window::default(), None))
        .await
        .unwrap();
    assert!(rig.world.fired(hidden) > 0);
    assert_eq!(walk.keys(), rig.world.final_customers().into_keys().collect());
    assert_eq!((walk.covered.len(), walk.notes.len()), (46, 0));
}

#[tokio::test]
async fn what_changed_is_read_newest_first_and_products_since_the_watermark_only() {
    let rig = small(45, 45).start().await;
    let now = rig.world.now_ms();
    rig.clock.advance(Duration::from_secs(7_200));
    rig.world.update_any_of(Resource::Customers, 3);
    rig.world.update_any_of(Resource::Products, 3);
    rig.world.clear_requests();
    for name in ["customers", "products", "inventory"] {
        let source = source(&rig, name);
        let walk = drive(source.changes(&cursor(now), Use::Feed)).await.unwrap();
        assert!(walk.keys().len() >= 3, "{name}");
        let newest = rig.world.now_ms() / 1000 * 1000;
        assert_eq!(source.stamp(&walk.cursor.unwrap()), Some(newest), "{name}");
    }
    let queries: Vec<String> = rig
        .world
        .requests()
        .iter()
        .map(|request| request.query.clone())
        .collect();
    assert!(queries[0].contains("include_guests=true") && !queries[0].contains("since"));
    assert!(
        queries
            .iter()
            .any(|query| query.contains("sort=updated_at%3Adesc&since=")),
        "{queries:?}"
    );
    // A deleted one is none.
    let gone = *rig.world.final_customers().keys().next().unwrap();
    assert!(rig.world.delete_customer(gone));
    let read = source(&rig, "customers").read(&Key(gone.to_string()), Use::Ring).await;
    assert!(read.unwrap().is_none());
}

#[tokio::test]
async fn one_bad_row_spoils_no_other() {
    let rig = small(45, 45).start().await;
    let spoilt = |resource, id: i64, json: &str| {
        let splice = Fault::Splice {
            order: Some(id),
            splice: sandbox::Splice::Row { json: json.to_owned() },
        };
        rig.world.fault(Rule::any(splice).of(resource))
    };
    let customer = rig.world.final_customers().into_keys().nth(20).unwrap();
    let product = rig.world.final_products().into_keys().nth(20).unwrap();
    spoilt(Resource::Customers, customer, r#"{"user_id":"what","created_at":7}"#);
    spoilt(Resource::Products, product, "[]");
    for (name, ids) in walked(&rig) {
        let source = source(&rig, name);
        let walk = drive(source.history(Window::default(), None)).await.unwrap();
        let rows = walk.rows.into_iter();
        let (good, bad): (Vec<_>, Vec<_>) = rows.partition(|row| !row.key.0.starts_with('?'));
        let good: BTreeSet<i64> = good.iter().map(|row| row.key.0.parse().unwrap()).collect();
        assert_eq!(good.len(), ids.len() - 1, "{name}");
        assert!(!bad.is_empty() && bad.iter().all(|row| source.decode(row.body.clone(), false).is_err()));
        assert_eq!((walk.covered.len(), walk.notes), (45, Vec::new()), "{name}");
    }
}

#[tokio::test]
async fn stock_is_read_from_the_inventory_where_products_may_not_be_read() {
    let rig = small(0, 12).start().await;
    let (id, product) = rig.world.final_products().into_iter().next().unwrap();
    let key = Key(id.to_string());
    for allowed in [true, false] {
        if !allowed {
            let scopes = |access: &mut sandbox::Access| access.scopes.retain(|scope| scope != "read:products");
            rig.world.set_access(scopes);
        }
        rig.world.clear_requests();
        let source = source(&rig, "inventory");
        for _ in 0..2 {
            let row = source.read(&key, Use::Feed).await.unwrap().unwrap();
            let Record::Parts(parts) = source.decode(row.body, true).unwrap() else {
                panic!("not in parts")
            };
            assert_eq!(parts.len(), product.variants.len());
            for (part, variant) in parts.iter().zip(&product.variants) {
                assert_eq!(part.id, variant.sku_id.to_string());
                let quantity = part.value.get("quantity").unwrap().to_json();
                assert_eq!(quantity, variant.quantity.to_string());
            }
        }
        assert_eq!(rig.world.request_count(), if allowed { 2 } else { 3 });
    }
    let error = source(&rig, "products").read(&key, Use::Feed).await.unwrap_err();
    assert_eq!(error.fault, Trouble::Denied);
    let findings = rig.store().probe().await;
    let told = |what: &str| findings.iter().find(|finding| finding.what.contains(what)).unwrap();
    let refused = told("read:products");
    let hint = refused.result.as_ref().unwrap_err().hint.clone().unwrap();
    assert!(
        refused.optional && hint.contains("store.products") && hint.contains("read:products"),
        "{hint}"
    );
    assert!(told("read:inventory").result.is_ok() && !told("read:orders").optional);
}

#[tokio::test]
async fn the_stores_profile_is_one_record() {
    let rig = small(0, 0).start().await;
    let source = source(&rig, "store");
    for pass in [
        source.changes(&cursor(0), Use::Feed),
        source.history(Window::default(), None),
    ] {
        let walk = drive(pass).await.unwrap();
        assert_eq!((walk.covered.len(), walk.rows.len()), (1, 1));
        let Record::Whole { value, .. } = source.decode(walk.rows[0].body.clone(), false).unwrap() else {
            panic!("not whole")
        };
        assert_eq!(value.get("id").unwrap().to_json(), "22");
        assert_eq!(value.get("currency").unwrap().to_json(), "\"BDT\"");
        let again = source.read(&walk.rows[0].key, Use::Feed).await.unwrap().unwrap();
        assert_eq!(again.hash, walk.rows[0].hash);
    }
    assert!(source.read(&Key("23".to_owned()), Use::Feed).await.unwrap().is_none());
}
