//! A23, SC-08 and `app.uninstalled`, as the store sends them: over real sockets, to a daemon whose clock is hurried.

use std::net::TcpListener;
use std::sync::Arc;

use contract::Clock;
use serde_json::Value;

use super::inside::{Fast, Inside};
use crate::support::{Desk, Setup, Shop, names};

const MINUTE: i64 = 60_000;
/// Ten minutes in a second.
const FACTOR: u32 = 600;
const TOPICS: [&str; 5] = [
    "app.installed",
    "app.uninstalled",
    "customers/redact",
    "customers/data_request",
    "order.created",
];

struct Rig {
    shop: Shop,
    desk: Desk,
    clock: Arc<Fast>,
    inside: Inside,
}

impl Rig {
    /// A daemon that has begun with what comes and is called by the shop.
    fn start(max_wait: &str) -> Rig {
        let shop = Shop::of(40);
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let url = format!("http://{address}/webhooks/selorax");
        // Requests under privacy law come without anybody having asked for them: no client may subscribe to them.
        let subscribed = TOPICS.map(|_| shop.world().subscribe("order.created", &url).unwrap());
        for (one, topic) in subscribed.iter().zip(TOPICS) {
            let secret = subscribed[0].secret.clone();
            shop.world().update_subscription(one.id, |one| {
                one.secret = secret;
                one.topic = topic.to_owned();
            });
        }
        let setup = Setup {
            flow: "    schedule: \"*/10 * * * *\"\n    initial: new\n".to_owned(),
            max_wait: max_wait.to_owned(),
            map: "      id: .id\n      to: .customer.name\n      phone: .customer.phone\n".to_owned(),
            store: "  upkeep: {deep_every: 0s, sweep_every: 0s}\n".to_owned(),
            webhooks: format!(
                "webhooks:\n  listen: {address}\n  secrets: [\"${{file:./hook-secret}}\"]\n  check_every: 0s\n"
            ),
            ..Setup::default()
        };
        let desk = Desk::with(&shop, setup);
        desk.write("hook-secret", &subscribed[0].secret);
        let clock = Fast::new(shop.world().now_ms(), FACTOR);
        let inside = Inside::start(&desk, &shop, clock.clone(), |_| {});
        let rig = Rig {
            shop,
            desk,
            clock,
            inside,
        };
        rig.inside.until("the first pass", || {
            rig.status()["flows"][0]["last_success"].is_string()
        });
        rig
    }

    fn status(&self) -> Value {
        serde_json::from_str(&self.desk.run(&["status", "--json"]).ends(0).out).unwrap()
    }

    fn has_alert(&self, part: &str) -> bool {
        let status = self.status();
        let alerts = status["alerts"].as_array().unwrap();
        alerts
            .iter()
            .any(|alert| alert["told"].as_str().unwrap().contains(part))
    }

    fn pass(&self, minutes: i64) {
        let from = self.clock.now();
        self.inside
            .until("some time", || self.clock.now() - from > minutes * MINUTE);
    }

    /// Whether the state file or its log has the text as bytes.
    fn holds(&self, text: &str) -> bool {
        ["state.db", "state.db-wal"].iter().any(|name| {
            let bytes = std::fs::read(self.desk.path(name)).unwrap_or_default();
            bytes.windows(text.len()).any(|part| part == text.as_bytes())
        })
    }

    fn rows(&self) -> usize {
        self.delivered()
            .lines()
            .filter(|row| !row.starts_with("\"id\""))
            .count()
    }

    fn delivered(&self) -> String {
        let read = |name: String| std::fs::read_to_string(self.desk.out().join(name)).unwrap();
        names(&self.desk.out()).into_iter().map(read).collect()
    }
}

#[test]
fn a_store_that_removed_the_app_is_left_alone_until_it_answers() {
    let rig = Rig::start("1m");
    let world = rig.shop.world();
    let secret = world.access().client_secret;
    world.set_access(|access| access.client_secret = "another".to_owned());
    world.publish("app.uninstalled", "{}");
    rig.inside
        .until("the alert", || rig.has_alert("the app was removed from the store"));
    world.insert_orders(3);
    world.clear_requests();
    rig.pass(60);
    // Twelve times; what is refused is asked for once more at once.
    let requests = world.requests();
    assert!(
        (16..=28).contains(&requests.len()),
        "asked {} times in an hour",
        requests.len()
    );
    assert!(
        requests.iter().all(|request| !request.query.contains("limit=250")),
        "something was read meanwhile"
    );
    let refused = rig.desk.run(&["--once", "--wait", "0s"]).ends(1);
    assert!(
        refused.err.contains("the app was removed from the store"),
        "{}",
        refused.err
    );
    world.set_access(|access| access.client_secret = secret);
    // Said to be back, it is asked at once.
    world.publish("app.installed", "{}");
    rig.inside.until("what came meanwhile", || rig.rows() == 3);
    rig.inside.until("the end of the alert", || !rig.has_alert("removed"));
    // One that is not true heals by itself.
    world.publish("app.uninstalled", "{}");
    world.insert_orders(1);
    rig.inside.until("what came after it", || rig.rows() == 4);
    rig.inside.until("the end of the alert", || !rig.has_alert("removed"));
    rig.inside.stop();
}

#[test]
fn sc_08_a_customer_is_forgotten_and_their_order_arrives_once_as_the_store_shows_it() {
    // What is queued stays queued long enough to be caught by the request.
    let rig = Rig::start("1h");
    let world = rig.shop.world();
    let (name, phone) = ("Rahima Khatun", "01712345678");
    let theirs = || {
        world.insert_order(|order| {
            order.customer.name = Some(name.to_owned());
            order.customer.phone = Some(phone.to_owned());
        })
    };
    let earlier = theirs();
    rig.inside.until("the delivered one", || rig.rows() == 1);
    let order = theirs();
    world.insert_orders(1);
    rig.inside
        .until("two in the queue", || rig.status()["flows"][0]["queued"] == 2);
    rig.inside
        .until("the name in the state", || rig.holds(name) && rig.holds(phone));
    world.update_order(order, |order| {
        order.customer.name = Some("removed".to_owned());
        order.customer.phone = None;
    });
    let person = format!(
        r#"{{"customer":{{"id":1,"name":"{name}","phone":"+88{phone}"}},"orders_to_redact":[{earlier},{order}]}}"#
    );
    world.publish("customers/data_request", &person);
    rig.inside
        .until("what is held is told", || rig.has_alert("asked what is held of them"));
    world.publish("customers/redact", &person);
    rig.inside
        .until("nothing of them in the file", || !rig.holds(name) && !rig.holds(phone));
    rig.inside.until("both orders", || rig.rows() == 3);
    let line = format!("\"{order}\",");
    let count = |text: &str| text.lines().filter(|row| row.starts_with(&line)).count();
    assert_eq!(count(&rig.delivered()), 1);
    // What was delivered before is out of reach, and told.
    assert_eq!(rig.delivered().matches(name).count(), 1);
    assert!(rig.has_alert("is to be removed"));
    // Old events of the orders have no second effect.
    for id in [earlier, order] {
        world.publish("order.created", &format!(r#"{{"order_id":{id}}}"#));
    }
    rig.pass(75);
    assert_eq!((rig.rows(), count(&rig.delivered())), (3, 1));
    assert!(!rig.holds(name) && !rig.holds(phone));
    rig.inside.stop();
}
