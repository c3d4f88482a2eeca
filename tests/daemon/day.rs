//! A day of the daemon's life, on a clock that hurries, with every kind of fault that the pretend store has.
//! What changes a record at the store is left out: nothing is written to it in this version.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use contract::Clock;
use fastrand::Rng;
use sandbox::{Kind as Part, Options, Resource, Rule, When, World};

use super::inside::{Fast, Inside};
use crate::reading::others::checker::Kind;
use crate::support::{Desk, Setup, Shop, options};

const OF_EACH: usize = 30;
/// The day takes about a minute and a half.
const FACTOR: u32 = 900;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const EVERY: &str = "    schedule: \"*/5 * * * *\"\n";
const KINDS: [Kind; 3] = [Kind::Customers, Kind::Products, Kind::Inventory];

fn desk(shop: &Shop) -> Desk {
    let flow = |kind: Kind| {
        let flow = kind.flow().replace("to: drop.", "to: goods.");
        flow.replace("    from:", &format!("{EVERY}    from:"))
    };
    // Beside the orders' folder, of which all that is in it is looked at.
    let goods = "  goods:\n    type: csv\n    location: ./goods\n    dialect: {raw_cells: true}\n    resources:\n";
    Desk::with(
        shop,
        Setup {
            flow: EVERY.to_owned(),
            // A hanging answer is waited for in real time, in which this is long.
            timeout: "300ms".to_owned(),
            store: "  upkeep: {deep_every: 30m, sweep_every: 30m}\n".to_owned(),
            connectors: format!("{goods}{}", KINDS.map(Kind::resource).concat()),
            flows: KINDS.map(flow).concat(),
            ..Setup::default()
        },
    )
}

/// Every kind of fault that can strike who only reads, each once a go and so many goes, in a random order.
fn faults(chance: &mut Rng) -> Vec<Rule> {
    let reads = |rule: &Rule| rule.on.kind != Part::Write;
    let kinds: Vec<Rule> = World::fault_kinds().into_iter().filter(reads).collect();
    assert!(kinds.len() >= 50, "only {} kinds", kinds.len());
    let mut all: Vec<Rule> = Vec::new();
    for mut kind in kinds {
        // An order's own answer without its time of change is taken at its word, and so would be in the files.
        if kind.name == "splice-no-stamp" {
            kind.on.kind = Part::List;
        }
        all.extend(std::iter::repeat_n(kind.when(When::Times(1)), OF_EACH));
    }
    chance.shuffle(&mut all);
    all
}

/// A little of everything that happens in a shop.
fn life(world: &World, chance: &mut Rng) {
    world.update_any(chance.usize(0..4));
    for resource in [Resource::Customers, Resource::Products, Resource::Inventory] {
        world.update_any_of(resource, chance.usize(0..2));
    }
    if chance.u32(0..3) == 0 {
        world.insert_orders(1);
        world.insert_customer(|_| {});
    }
    if chance.u32(0..20) == 0 {
        let ids: Vec<i64> = world.final_orders().into_keys().collect();
        world.delete_order(ids[chance.usize(0..ids.len())]);
    }
}

struct Ordered {
    rule: u64,
    name: String,
}

/// How many of each kind have not struck yet.
fn open(world: &World, ordered: &[Ordered]) -> BTreeMap<String, usize> {
    let mut open = BTreeMap::new();
    for fault in ordered.iter().filter(|fault| world.fired(fault.rule) == 0) {
        *open.entry(fault.name.clone()).or_default() += 1;
    }
    open
}

/// Orders faults and lets the shop live, tick by tick, until the day is over.
fn live(shop: &Shop, clock: &Fast, inside: &Inside, chance: &mut Rng) -> Vec<Ordered> {
    let world = shop.world();
    let mut waiting = faults(chance);
    let whole = waiting.len();
    let mut ordered: Vec<Ordered> = Vec::new();
    let started = clock.monotonic();
    let mut lived = Duration::ZERO;
    inside.until_within(Duration::from_secs(240), "the end of the day", || {
        let gone = clock.monotonic().saturating_sub(started);
        while lived < gone {
            lived += MINUTE;
            world.advance(MINUTE);
            life(world, chance);
        }
        // Spread over the day but for its last hour.
        let share = gone.as_millis().min(DAY.as_millis()) as usize * whole / (DAY.as_millis() as usize * 23 / 24);
        while ordered.len() < share.min(whole)
            && let Some(rule) = waiting.pop()
        {
            let name = rule.name.clone();
            let rule = world.fault(rule);
            ordered.push(Ordered { rule, name });
        }
        gone >= DAY
    });
    ordered
}

#[test]
fn a_day_with_thirty_faults_of_each_kind_leaves_the_files_as_the_shop_has_it() {
    let shop = Shop::open(Options {
        customers: 320,
        products: 270,
        ..options(600)
    });
    let world = shop.world();
    let desk = desk(&shop);
    let clock = Fast::new(world.now_ms(), FACTOR);
    let hurrying: Arc<dyn Clock> = clock.clone();
    let inside = Inside::start(&desk, &shop, hurrying, |_| {});
    let mut chance = Rng::with_seed(11);
    let ordered = live(&shop, &clock, &inside, &mut chance);
    // What has not found its moment yet gets more time, in which nothing else happens.
    inside.until_within(Duration::from_secs(120), "the last fault", || {
        world.advance(MINUTE);
        world.update_any(2);
        for resource in [Resource::Customers, Resource::Products, Resource::Inventory] {
            world.update_any_of(resource, 1);
        }
        std::thread::sleep(MINUTE / FACTOR);
        let open = open(world, &ordered);
        open.is_empty()
    });
    let requests = world.request_count();
    println!(
        "{} faults of {} struck in {requests} requests",
        ordered.len(),
        ordered.len() / OF_EACH
    );
    world.clear_faults();
    world.advance(MINUTE);
    // A feed that was refused is left alone for five minutes; what no row tells of is read within seven sweeps.
    let started = clock.monotonic();
    inside.until("four hours of peace", || clock.monotonic() - started > 240 * MINUTE);
    // A record that the store refused to show waits for a person, with the reason. All others are there.
    let refused = desk.run(&["failures", "list", "--json"]).ends(0).out;
    let refused: Vec<serde_json::Value> = serde_json::from_str(&refused).unwrap();
    assert!(
        refused
            .iter()
            .all(|failure| !failure["reason"].as_str().unwrap().is_empty())
    );
    println!("{} records wait for a person", refused.len());
    desk.run(&["failures", "retry", "--all"]);
    for _ in 0..3 {
        desk.run(&["--once"]);
    }
    inside.stop();
    for kind in KINDS {
        let wrong = kind.complaints(&desk.path("goods"), world);
        assert!(
            wrong.is_empty(),
            "{} complaints, such as {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(9)]
        );
    }
    desk.check(&shop);
}
