//! Much at once: WH-10, WH-17 and WH-28. What is counted here is answers, readings and rows; how long it takes is told
//! by `cargo xtask bench webhooks`.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use sandbox::Kind;

use super::rig::{Event, Hooked};
use crate::support::Shop;

#[test]
fn wh_10_ten_thousand_events_for_two_thousand_orders() {
    let shop = Shop::of(2_000);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let ids: Vec<i64> = shop.world().final_orders().into_keys().collect();
    shop.world().clear_requests();
    let started = Instant::now();
    let answered: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..16_usize)
            .map(|client| {
                let (shop, door, ids) = (&shop, hooked.door(), &ids);
                scope.spawn(move || {
                    let mut line = door.connect();
                    let mut answered = 0;
                    for nth in (client..10_000).step_by(16) {
                        let id = ids[nth % ids.len()];
                        if nth < ids.len() {
                            shop.world()
                                .update_order(id, |order| order.status = "shipped".to_owned());
                        }
                        let event = Event::order(shop, &format!("e-{nth}"), "order.updated", id);
                        answered += usize::from(line.send(&event.request()).word() == "accepted");
                    }
                    answered
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    let took = started.elapsed();
    assert_eq!(answered, 10_000);
    hooked.wait_until(&mut daemon, &shop);
    daemon.let_run(Duration::from_secs(3));
    daemon.stop();
    hooked.desk.check(&shop);
    // At most one reading of an order in each coalescing time of two seconds.
    let mut read: BTreeMap<String, Vec<Duration>> = BTreeMap::new();
    let first = shop.world().requests().first().map(|request| request.at).unwrap();
    for request in shop
        .world()
        .requests()
        .iter()
        .filter(|request| request.kind == Kind::Detail)
    {
        read.entry(request.path.clone())
            .or_default()
            .push(request.at.duration_since(first));
    }
    assert_eq!(read.len(), 2_000);
    for (path, times) in read {
        for pair in times.windows(2) {
            assert!(
                pair[1] - pair[0] >= Duration::from_millis(1_900),
                "{path} was read at {times:?}"
            );
        }
    }
    eprintln!("10,000 events were answered in {took:?}");
}

#[test]
fn wh_17_28_whoever_floods_the_address_changes_nothing_and_keeps_nobody_out() {
    let shop = Shop::of(200);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let ids = shop.some_ids(100);
    let over = AtomicBool::new(false);
    let refused = AtomicUsize::new(0);
    // As many silent connections as the machine gives a test; many more than are let in.
    let mut idle = Vec::new();
    while idle.len() < 800
        && let Ok(stream) = std::net::TcpStream::connect(hooked.address)
    {
        idle.push(stream);
    }
    assert!(idle.len() > 300, "{}", idle.len());
    let before = std::fs::metadata(hooked.desk.path("state.db-wal")).unwrap().len();
    std::thread::scope(|scope| {
        for n in 0..3 {
            let (door, shop, over, refused) = (hooked.door(), &shop, &over, &refused);
            scope.spawn(move || {
                let mut forged = Event::order(shop, &format!("forged-{n}"), "order.updated", 1);
                forged.secret = "whsec_not-the-secret-of-anybody".to_owned();
                let request = forged.request();
                let mut line = door.connect();
                while !over.load(Ordering::Relaxed) {
                    match line.try_send(&request) {
                        Ok(answer) => {
                            assert_eq!(answer.status, 401);
                            refused.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(_) => line = door.connect(),
                    }
                }
            });
        }
        // Nothing is kept of the forged ones.
        while refused.load(Ordering::Relaxed) < 3_000 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let after = std::fs::metadata(hooked.desk.path("state.db-wal")).unwrap().len();
        assert_eq!(before, after, "the state was written to");
        // Meanwhile the good ones are taken.
        for (n, id) in ids.iter().enumerate() {
            shop.world()
                .update_order(*id, |order| order.status = "shipped".to_owned());
            let event = Event::order(&shop, &format!("good-{n}"), "order.updated", *id);
            hooked.send(&event).is(200, "accepted");
        }
        over.store(true, Ordering::Relaxed);
    });
    hooked.wait_until(&mut daemon, &shop);
    let log = daemon.said("err");
    let lines = log.lines().filter(|line| line.contains("refused")).count();
    let most = refused.load(Ordering::Relaxed);
    assert!((1..=5).contains(&lines), "{lines} lines about {most} refused calls");
    daemon.stop();
    hooked.desk.check(&shop);
    eprintln!("{most} forged calls beside {} silent connections", idle.len());
}
