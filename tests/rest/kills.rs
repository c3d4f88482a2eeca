//! SY-01: `kill -9` at random moments of a push run. The ERP's own log says whether anything was lost or done twice.

use std::time::Duration;

use sandbox::When;
use sandbox::erp::{Fault, Loss, Rule};

use super::{FLOW, failures};
use crate::support::{Erp, ErpSetup, Shop};

const KILLS: usize = 200;
const ORDERS: usize = 400;
/// Orders that come with each run that got to its end.
const MORE: usize = 40;

#[test]
fn sy_01_er_01_two_hundred_kills_across_a_push_run_lose_and_double_nothing() {
    let shop = Shop::of(ORDERS);
    let world = shop.world();
    // It takes a reference twice, and forgets keys: what the program does about a call in doubt decides.
    let erp = Erp::open(|options| options.keeps_keys = false);
    // The answers of some calls are lost besides, and all take their time, so that kills fall between.
    let cut = Fault::AnswerLost(Loss::Reset);
    erp.books().fault(Rule::create(cut).when(When::Every(37)));
    let slow = erp.books().fault(Rule::create(Fault::Delay { ms: 15 }));
    let setup = ErpSetup {
        unknown: "{wait: 1s, recheck: 300ms}".to_owned(),
        connector: vec!["concurrency: 4".to_owned()],
        ..ErpSetup::default()
    };
    let desk = setup.desk(&shop, &erp);
    let mut chance = fastrand::Rng::with_seed(11);
    let (mut killed, mut on_the_wire) = (0, 0);
    while killed < KILLS {
        let before = erp.books().requests().len();
        let mut run = desk.start(&["--once", FLOW]);
        run.let_run(Duration::from_millis(chance.u64(20..500)));
        let outcome = run.kill();
        match outcome.signal {
            Some(9) => {
                killed += 1;
                on_the_wire += usize::from(erp.books().requests().len() > before);
            }
            _ => {
                outcome.ends(0);
                world.advance(Duration::from_secs(60));
                world.update_any(10);
                world.insert_orders(MORE);
            }
        }
    }
    assert!(
        on_the_wire * 4 >= KILLS,
        "only {on_the_wire} of {KILLS} kills fell into the time in which it sent"
    );
    erp.books().remove_fault(slow);
    desk.run(&["--once", FLOW]).ends(0);
    desk.run(&["--once", FLOW]).ends(0);
    erp.check(&shop);
    assert_eq!(failures(&desk), Vec::<serde_json::Value>::new());
    let orders = world.order_count();
    eprintln!("{KILLS} kills, {on_the_wire} of them while it sent; {orders} orders, each of them once");
}
