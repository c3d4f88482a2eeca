//! Orders that require their customers, and products: who comes first, and what becomes of those who wait.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::erp::{Commit, Deed, Fault, Kind, Rule};
use sandbox::{Order, World};
use serde_json::Value;

use super::{failures, once};
use crate::support::{Desk, Erp, ErpSetup, Shop};

const CUSTOMERS: [&str; 6] = [
    "customers:",
    "  push:",
    "    create: {path: /customers, id: .data.id, idempotency_header: Idempotency-Key}",
    "    update: {path: '/customers/{id}'}",
    "    find: {path: /customers, params: {reference: .reference}, id: '.items[].id'}",
    "    read: {path: '/customers/{id}', compare: {name: .data.name}}",
];

fn lines<const N: usize>(lines: [&str; N]) -> Vec<String> {
    lines.map(str::to_owned).to_vec()
}

/// Orders carry what the ERP calls their customer.
fn setup() -> ErpSetup {
    ErpSetup {
        resources: lines(CUSTOMERS),
        flow: lines(["requires: [customers]"]),
        map: lines(["customer_id: $refs.customers"]),
        flows: lines([
            "customers-to-erp:",
            "  from: store.customers",
            "  to: erp.customers",
            "  map: {reference: .id | tostring, name: .name}",
        ]),
        ..ErpSetup::default()
    }
}

/// The creates of a resource by reference; fails where one was created twice.
#[track_caller]
fn created(erp: &Erp, resource: &str) -> BTreeMap<String, Commit> {
    let mut created = BTreeMap::new();
    for commit in erp.books().truth_of(resource) {
        if commit.deed == Deed::Created {
            let reference = commit.reference.clone().unwrap();
            assert!(created.insert(reference.clone(), commit).is_none(), "{reference} twice");
        }
    }
    created
}

/// Fails unless each order but these is there once, with what the ERP calls its customer, who came before it.
#[track_caller]
fn check_but(shop: &Shop, erp: &Erp, absent: &[i64]) {
    erp.check_but(shop, absent);
    let customers = created(erp, "customers");
    let orders = created(erp, "sales-orders");
    for (id, order) in shop.world().final_orders() {
        let Some(held) = orders.get(&id.to_string()) else {
            continue;
        };
        let told: Value = serde_json::from_str(&held.record).unwrap();
        match order.user_id {
            None => assert!(told["customer_id"].is_null(), "{told}"),
            Some(customer) => {
                let customer = &customers[&customer.to_string()];
                assert_eq!(told["customer_id"], customer.id, "order {id}");
                assert!(customer.seq < held.seq, "order {id} came before its customer");
            }
        }
    }
}

fn customer_of(world: &World, order: i64) -> i64 {
    world.order(order).unwrap().user_id.unwrap()
}

fn orders_of(world: &World, customer: i64) -> Vec<i64> {
    let orders = world.final_orders().into_iter();
    let own = orders.filter(|(_, order)| order.user_id == Some(customer));
    own.map(|(id, _)| id).collect()
}

fn failure_of(parked: &[Value], record: i64) -> &Value {
    let record = record.to_string();
    let own = |failure: &&Value| failure["record"].as_str() == Some(&record);
    parked.iter().find(own).unwrap()
}

fn retry_all(desk: &Desk) {
    desk.run(&["failures", "retry", "--all"]).ends(0);
}

#[test]
fn each_customer_goes_once_and_before_its_orders_and_guests_go_with_null() {
    let shop = Shop::of(40);
    shop.world().insert_order(|order: &mut Order| order.user_id = None);
    let erp = Erp::open(|_| {});
    let desk = setup().desk(&shop, &erp);
    // The orders alone are named; all goes in one run.
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
    let commits = erp.books().truth().len();
    once(&desk).ends(0);
    assert_eq!(erp.books().truth().len(), commits, "no write without a change");
    // A customer who changes holds up no order, and orders do not change with them.
    shop.world().advance(Duration::from_secs(3_600));
    let id = shop.some_ids(3)[1];
    let customer = customer_of(shop.world(), id);
    shop.world()
        .update_customer(customer, |customer| customer.name = "Nila".to_owned());
    shop.world()
        .update_order(id, |order: &mut Order| order.status = "delivered".to_owned());
    once(&desk).ends(0);
    assert_eq!(erp.books().truth().len(), commits + 2);
    // Sent again it refers to the same customer, who is not sent again.
    desk.run(&["replay", "orders-to-erp", "--id", &id.to_string()]).ends(0);
    let truth = erp.books().truth();
    assert_eq!(truth.len(), commits + 3);
    let told: Value = serde_json::from_str(&truth[commits + 2].record).unwrap();
    let customers = created(&erp, "customers");
    assert_eq!(told["customer_id"], customers[&customer.to_string()].id);
    desk.find_secrets();
}

#[test]
fn a_history_goes_in_one_run_and_nobody_waits_in_it() {
    let readings = |setup: &ErpSetup| {
        let shop = Shop::of(60);
        let erp = Erp::open(|_| {});
        setup.desk(&shop, &erp).run(&["--backfill"]).ends(0);
        erp.check(&shop);
        if setup.flow.contains(&"requires: [customers]".to_owned()) {
            check_but(&shop, &erp, &[]);
        }
        let requests = shop.world().requests();
        requests.iter().filter(|asked| asked.path.contains("/orders/1")).count()
    };
    let without = ErpSetup {
        flow: Vec::new(),
        map: Vec::new(),
        ..setup()
    };
    assert_eq!(
        readings(&setup()),
        readings(&without),
        "orders that were read by their id"
    );
}

#[test]
fn er_10_a_customer_that_is_refused_parks_its_orders_and_no_others_and_all_go_once_it_is_not() {
    let shop = Shop::of(40);
    let erp = Erp::open(|_| {});
    let customer = customer_of(shop.world(), shop.some_ids(2)[1]);
    let theirs = orders_of(shop.world(), customer);
    let refuse = Fault::Refuse {
        references: vec![customer.to_string()],
        message: "Tax number is missing".to_owned(),
    };
    let refuse = erp.books().fault(Rule::new(Kind::Write, refuse).of("customers"));
    let desk = setup().desk(&shop, &erp);
    once(&desk).ends(3);
    check_but(&shop, &erp, &theirs);
    let parked = failures(&desk);
    assert_eq!(parked.len(), 1 + theirs.len(), "{parked:#?}");
    for order in &theirs {
        let failure = failure_of(&parked, *order);
        let reason = failure["reason"].as_str().unwrap();
        for part in [
            &format!("waits for customers {customer}"),
            "`customers-to-erp`",
            "Tax number is missing",
        ] {
            assert!(reason.contains(part), "{part} is not in {reason}");
        }
    }
    once(&desk).ends(3);
    assert_eq!(failures(&desk).len(), 1 + theirs.len());

    // The ERP is put right; retrying the customer alone is enough.
    erp.books().remove_fault(refuse);
    let failure = failure_of(&parked, customer);
    desk.run(&["failures", "retry", &failure["id"].to_string()]).ends(0);
    check_but(&shop, &erp, &[]);
    assert_eq!(failures(&desk).len(), 0);
}

#[test]
fn er_10_retrying_all_brings_everything_once() {
    let shop = Shop::of(30);
    let erp = Erp::open(|_| {});
    let refuse = Fault::Refuse {
        references: Vec::new(),
        message: "Closed".to_owned(),
    };
    let refuse = erp.books().fault(Rule::new(Kind::Write, refuse).of("customers"));
    let desk = setup().desk(&shop, &erp);
    once(&desk).ends(3);
    assert_eq!(
        created(&erp, "sales-orders").len(),
        shop.world()
            .final_orders()
            .values()
            .filter(|order| order.user_id.is_none())
            .count()
    );
    erp.books().remove_fault(refuse);
    retry_all(&desk);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
    assert_eq!(failures(&desk).len(), 0);
}

#[test]
fn a_customer_that_its_flow_leaves_out_parks_the_order_until_it_is_sent_after_all() {
    let shop = Shop::of(12);
    let erp = Erp::open(|_| {});
    let customer = customer_of(shop.world(), shop.some_ids(2)[1]);
    let theirs = orders_of(shop.world(), customer);
    let mut setup = setup();
    setup.flows.push(format!("  where: .id != {customer}"));
    let mut desk = setup.desk(&shop, &erp);
    once(&desk).ends(3);
    check_but(&shop, &erp, &theirs);
    let parked = failures(&desk);
    assert_eq!(parked.len(), theirs.len());
    let reason = parked[0]["reason"].as_str().unwrap();
    assert!(reason.contains("`customers-to-erp` does not send"), "{reason}");
    // Once it is sent, the orders go by themselves.
    desk.setup.flows = desk.setup.flows.replace(&format!("  where: .id != {customer}\n"), "");
    desk.configure();
    desk.run(&["--backfill", "customers-to-erp"]);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
}

#[test]
fn a_customer_that_is_gone_parks_the_order_and_one_from_before_the_flow_began_is_fetched() {
    let shop = Shop::of(12);
    let erp = Erp::open(|_| {});
    let mut setup = setup();
    setup.flows.push("  initial: new".to_owned());
    let desk = setup.desk(&shop, &erp);
    let order = shop.some_ids(2)[1];
    let gone = customer_of(shop.world(), order);
    let theirs = orders_of(shop.world(), gone);
    shop.world().delete_customer(gone);
    once(&desk).ends(3);
    check_but(&shop, &erp, &theirs);
    let parked = failures(&desk);
    assert_eq!(parked.len(), theirs.len(), "{parked:#?}");
    let reason = parked[0]["reason"].as_str().unwrap();
    assert!(
        reason.contains(&format!("waits for customers {gone}, which is no longer at its source")),
        "{reason}"
    );
    // Of the customers only those went that orders refer to.
    let referred = shop.world().final_orders();
    for customer in created(&erp, "customers").keys() {
        assert!(
            referred
                .values()
                .any(|order| order.user_id.map(|id| id.to_string()).as_ref() == Some(customer))
        );
    }
}

#[test]
fn a2_killed_at_any_moment_nothing_is_lost_or_doubled() {
    let shop = Shop::of(60);
    let erp = Erp::open(|options| options.keeps_keys = false);
    let slow = erp.books().fault(Rule::any(Fault::Delay { ms: 15 }));
    let desk = setup().desk(&shop, &erp);
    let mut chance = fastrand::Rng::with_seed(11);
    let mut killed = 0;
    for _ in 0..40 {
        let mut run = desk.start(&["--once", "orders-to-erp"]);
        run.let_run(Duration::from_millis(chance.u64(40..700)));
        killed += usize::from(run.kill().signal == Some(9));
    }
    assert!(killed >= 5, "{killed} killed");
    erp.books().remove_fault(slow);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
    assert_eq!(failures(&desk).len(), 0);
}

#[test]
fn a2_killed_between_a_customer_and_its_orders_nothing_is_lost_or_doubled() {
    let shop = Shop::of(12);
    let erp = Erp::open(|options| options.keeps_keys = false);
    let desk = setup().desk(&shop, &erp);
    // The customers are known to be wanted, and so are the orders that wait for them; none is there yet.
    let down = erp.books().fault(Rule::new(Kind::Write, Fault::Down).of("customers"));
    desk.run(&["--once", "orders-to-erp", "--wait", "0s"]);
    erp.books().remove_fault(down);
    let slow = erp.books().fault(Rule::new(Kind::Write, Fault::Delay { ms: 60 }));
    let wanted = shop.world().final_orders().into_values();
    let wanted: std::collections::BTreeSet<i64> = wanted.filter_map(|order| order.user_id).collect();
    for customers in [1, wanted.len() / 2, wanted.len()] {
        let mut run = desk.start(&["--once", "orders-to-erp"]);
        run.until("the customers", || erp.books().count("customers") >= customers);
        assert_eq!(run.kill().signal, Some(9));
    }
    assert!(erp.created().len() < shop.world().final_orders().len());
    erp.books().remove_fault(slow);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
}

#[test]
fn an_order_waits_while_its_customer_is_on_its_way_and_that_is_told() {
    let shop = Shop::of(6);
    let erp = Erp::open(|_| {});
    let down = erp.books().fault(Rule::new(Kind::Write, Fault::Down).of("customers"));
    let desk = setup().desk(&shop, &erp);
    let waiting = shop
        .world()
        .final_orders()
        .values()
        .filter(|order| order.user_id.is_some())
        .count();
    desk.run(&["--once", "orders-to-erp", "--wait", "0s"]);
    let told = desk.run(&["status", "--json"]).out;
    let told: Value = serde_json::from_str(&told).unwrap();
    let flows = told["flows"].as_array().unwrap();
    let orders = flows.iter().find(|flow| flow["name"] == "orders-to-erp").unwrap();
    assert_eq!(orders["waiting"], waiting, "{orders}");
    assert!(desk.run(&["status"]).out.contains("wait for others that they require"));
    desk.run(&["status", "--check"]).ends(3);
    assert_eq!(failures(&desk).len(), 0);
    // A dry run shows the customers, and says no more of the orders than that they wait.
    desk.run(&["--once", "orders-to-erp", "--dry-run"]).ends(3);
    assert_eq!(failures(&desk).len(), 0);
    erp.books().remove_fault(down);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
}

#[test]
fn what_would_be_sent_is_shown_with_what_it_waits_for() {
    let shop = Shop::of(6);
    let erp = Erp::open(|_| {});
    let desk = setup().desk(&shop, &erp);
    let order = shop.some_ids(3)[1];
    let customer = customer_of(shop.world(), order);
    let shown = |args: &[&str]| desk.run(args).ends(0).out;
    let waits = format!("waits for customers {customer}");
    let preview = ["preview", "orders-to-erp", "--id", &order.to_string()];
    assert!(shown(&preview).contains(&waits));
    let dry = shown(&["--once", "orders-to-erp", "--dry-run"]);
    assert!(dry.contains(&format!("{order} {waits}")), "{dry}");
    assert_eq!(erp.books().truth().len(), 0);
    once(&desk).ends(0);
    let id = created(&erp, "customers")[&customer.to_string()].id.clone();
    assert!(shown(&preview).contains(&format!("customer_id: \"{id}\"")));
}

#[test]
fn products_of_all_lines_are_required_and_mapped_by_their_keys() {
    let shop = Shop::of(15);
    let erp = Erp::open(|options| options.resources.push("items".to_owned()));
    let mut setup = setup();
    setup.resources.extend(lines([
        "items:",
        "  push:",
        "    create: {path: /items, id: .data.id}",
        "    find: {path: /items, params: {reference: .reference}, id: '.items[].id'}",
    ]));
    setup.flow = lines(["requires: [customers, products]"]);
    setup
        .map
        .push("items: '[.lines[] | $refs.products[.product_id | tostring]]'".to_owned());
    setup.flows.extend(lines([
        "products-to-erp:",
        "  from: store.products",
        "  to: erp.items",
        "  map: {reference: .id | tostring, name: .name}",
    ]));
    let desk = setup.desk(&shop, &erp);
    once(&desk).ends(0);
    check_but(&shop, &erp, &[]);
    let items = created(&erp, "items");
    let orders = created(&erp, "sales-orders");
    for (id, order) in shop.world().final_orders() {
        let told: Value = serde_json::from_str(&orders[&id.to_string()].record).unwrap();
        let ids = order
            .lines
            .iter()
            .map(|line| line.product_id.map(|id| items[&id.to_string()].id.clone()));
        assert_eq!(told["items"], serde_json::json!(ids.collect::<Vec<_>>()), "order {id}");
    }
}

#[test]
fn the_daemon_sends_customers_first_too_although_their_flow_has_no_schedule() {
    let shop = Shop::of(20);
    let erp = Erp::open(|_| {});
    let mut setup = setup();
    setup.flows.push("  schedule: manual".to_owned());
    let desk = setup.desk(&shop, &erp);
    let mut daemon = desk.daemon();
    let wanted = shop.world().final_orders().len();
    daemon.until("the orders in the ERP", || erp.created().len() == wanted);
    daemon.stop();
    check_but(&shop, &erp, &[]);
    let referred = shop.world().final_orders().into_values();
    let referred: std::collections::BTreeSet<String> = referred
        .filter_map(|order| order.user_id)
        .map(|id| id.to_string())
        .collect();
    let sent: Vec<String> = created(&erp, "customers").into_keys().collect();
    assert_eq!(
        sent,
        referred.into_iter().collect::<Vec<_>>(),
        "only who is referred to"
    );
}

#[test]
fn er_12_customers_and_orders_that_a_restore_lost_come_back_in_order_with_the_new_ids() {
    let shop = Shop::of(30);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        unknown: "{wait: 20ms, recheck: 50ms}".to_owned(),
        ..setup()
    };
    let desk = setup.desk(&shop, &erp);
    once(&desk).ends(0);
    erp.books().drop_last("sales-orders", 8);
    erp.books().drop_last("customers", 3);
    let told = desk.run(&["reconcile", "--repair", "--json"]);
    let told: Value = serde_json::from_str(&told.out).unwrap();
    let [customers, orders] = [&told["flows"][0], &told["flows"][1]];
    assert_eq!(customers["flow"], "customers-to-erp");
    assert_eq!(
        (&customers["repair"]["repaired"], &orders["repair"]["repaired"]),
        (&3.into(), &8.into()),
        "{told:#}"
    );
    assert_eq!(desk.rows(), 0, "files have no part in it");
    // Orders that were not lost, and refer to a customer who was.
    let moved = orders["first"]["skipped"].as_array().unwrap();
    assert!(moved.iter().all(|one| one["skipped"] == "moved"), "{moved:?}");
    assert_eq!(told["code"], if moved.is_empty() { 0 } else { 3 });
    for one in moved {
        desk.run(&["replay", "orders-to-erp", "--id", one["record"].as_str().unwrap()])
            .ends(0);
    }
    desk.run(&["reconcile"]).ends(0);
    for (id, order) in shop.world().final_orders() {
        let held = erp.books().with_reference("sales-orders", &id.to_string());
        assert_eq!(held.len(), 1);
        if let Some(customer) = order.user_id {
            let known = erp.books().with_reference("customers", &customer.to_string());
            assert_eq!(held[0].document.text("customer_id").as_ref(), Some(&known[0].id));
        }
    }
}
