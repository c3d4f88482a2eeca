//! Webhooks: signed as the platform signs, retried on a fast clock, doubled, reordered, given up and switched off.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::{Clock, Options, Outcome, Sandbox, Spelling, TOPICS, Waits, WebhookOptions, sign};

use crate::client::{ask, get, started};
use crate::receiver::Receiver;

async fn hooked(webhooks: WebhookOptions) -> Sandbox {
    started(Options {
        orders: 5,
        webhooks,
        ..Options::default()
    })
    .await
}

async fn settled(sandbox: &Sandbox) {
    for _ in 0..500 {
        if sandbox.world().pending_deliveries() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("deliveries are still under way");
}

fn hasty(factor: u32) -> WebhookOptions {
    WebhookOptions {
        waits: Waits::Hastened(factor),
        ..WebhookOptions::default()
    }
}

#[test]
fn signatures_are_those_of_the_fact_sheet() {
    let zeros = format!("whsec_{}", "0".repeat(64));
    let digits = format!("whsec_{}", "0123456789abcdef".repeat(4));
    let a = r#"{"event_id":"550e8400-e29b-41d4-a716-446655440000","event_topic":"order.status_changed","store_id":22,"timestamp":"2024-02-28T10:00:00.000Z","data":{"order_id":1234,"status":"confirmed","previous_status":"pending"}}"#;
    let b = r#"{"event_id":"evt_abc123","event_topic":"customer.created","store_id":22,"store_name":"ফুলের দোকান","timestamp":"2026-03-01T10:30:00.000Z","data":{"user_id":301,"name":"রহিম","phone":"+8801712345678"}}"#;
    let c = concat!(
        r#"{ "event_id": "e3",  "event_topic": "inventory.updated", "store_id": 7, "timestamp": "2026-03-01T10:30:00.000Z", "data": { "total": 1500.0, "url": "https:\/\/x.test\/a" } }"#,
        "\n"
    );
    assert_eq!((a.len(), b.len(), c.len()), (215, 228, 173));
    let cases = [
        (
            &zeros,
            "1709107200",
            a,
            "405f8e2a4ff783393ea60dc56f9ac294187389836d175d347a3211b4821f98c3",
        ),
        (
            &digits,
            "1772361000",
            b,
            "74f4afb07a06811a544a6e7bb29abc6e004d124b536b33a2955d071f19574ae5",
        ),
        (
            &digits,
            "1772361000",
            c,
            "1aa43ffd4867a66820d2faf59b754525254bcfe5f9817947bede67dd5259eb76",
        ),
        (
            &zeros,
            "1709107200",
            "{}",
            "402f211e4bd092290eb7d6099124a65cf6f5adb55c5bb1d349e80ea6cbb72961",
        ),
    ];
    for (secret, timestamp, body, expected) in cases {
        assert_eq!(sign(secret, timestamp, body.as_bytes()), format!("sha256={expected}"));
    }
    let stripped = sign(&"0".repeat(64), "1709107200", a.as_bytes());
    assert_eq!(
        stripped,
        "sha256=3760c46ec7f0fa351c0a254588dc9a4699e1cf5b3e6af0b5ea8088d921321a0d"
    );
}

#[tokio::test]
async fn every_topic_is_told_with_the_headers_of_the_platform_and_no_lines() {
    let sandbox = hooked(WebhookOptions {
        undocumented_topics: true,
        ..WebhookOptions::default()
    })
    .await;
    let world = sandbox.world();
    let receiver = Receiver::start(|_| 204).await;
    let made = world.subscribe_all(&receiver.url()).unwrap();
    let order = world.insert_order(|order| order.status = "pending".to_owned());
    world.update_order(order, |order| order.note = Some("x".to_owned()));
    world.update_order(order, |order| order.status = "cancelled".to_owned());
    world.delete_order(order);
    let customer = world.insert_customer(|_| {});
    world.update_customer(customer, |_| {});
    let product = world.insert_product(|_| {});
    world.update_product(product, |product| product.name.push('!'));
    let sku = world.product(product).unwrap().variants[0].sku_id;
    world.set_stock(sku, 12_345);
    world.delete_product(product);
    world.publish("app.installed", r#"{"app_id":7}"#);
    world.publish("app.uninstalled", r#"{"app_id":7}"#);
    settled(&sandbox).await;
    let posts = receiver.posts();
    let topics: BTreeSet<&str> = posts
        .iter()
        .map(|post| post.header("X-SeloraX-Webhook-Event"))
        .collect();
    assert_eq!(topics, TOPICS.into_iter().collect());
    for post in &posts {
        let body = post.json();
        assert!(post.is_signed_with(&made[0].secret));
        assert!(post.head.starts_with("POST /hooks?from=test HTTP/1.1"));
        assert_eq!(body["event_id"], post.header("X-SeloraX-Webhook-Event-Id"));
        assert_eq!(body["event_id"], post.header("X-SeloraX-Idempotency-Key"));
        assert_eq!(body["event_topic"], post.header("X-SeloraX-Webhook-Event"));
        assert_eq!(body["store_id"], 22);
        assert_eq!(post.header("User-Agent"), "SeloraX-Webhook/1.0");
        assert_eq!(post.header("X-SeloraX-Timestamp"), "1768456800");
        assert_eq!(post.header("X-SeloraX-Delivery-Id").len(), 36);
        assert!(body["data"].get("items").is_none() && body["data"].get("grand_total").is_none());
    }
    let changed = posts
        .iter()
        .find(|post| post.body.contains("order.status_changed"))
        .unwrap()
        .json();
    assert_eq!(changed["data"]["previous_status"], "pending");
    let stock = posts.iter().find(|post| post.body.contains("12345")).unwrap().json();
    assert_eq!(
        (&stock["event_topic"], &stock["data"]["sku_id"]),
        (&"inventory.updated".into(), &sku.into())
    );
}

#[tokio::test]
async fn a_failed_delivery_is_tried_six_times_on_the_worlds_clock() {
    let sandbox = hooked(WebhookOptions::default()).await;
    let world = sandbox.world();
    let receiver = Receiver::start(|_| 503).await;
    let made = world.subscribe("order.created", &receiver.url()).unwrap();
    world.insert_order(|_| {});
    receiver.until(1).await;
    for (number, minutes) in [(2, 1), (3, 5), (4, 30), (5, 120), (6, 720)] {
        while world.deliveries().len() + 1 < number {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        world.advance(Duration::from_secs(minutes * 60 - 1));
        tokio::time::sleep(Duration::from_millis(30)).await;
        assert_eq!(receiver.posts().len(), number - 1, "not a second before its time");
        world.advance(Duration::from_secs(1));
        receiver.until(number).await;
    }
    settled(&sandbox).await;
    let log = world.deliveries();
    assert_eq!(
        log.iter().map(|one| one.attempt).collect::<Vec<_>>(),
        [1, 2, 3, 4, 5, 6]
    );
    assert_eq!(log[4].outcome, Outcome::Retrying);
    assert_eq!((log[5].outcome, log[5].status), (Outcome::Dead, Some(503)));
    let posts = receiver.posts();
    let of = |name: &str| {
        posts
            .iter()
            .map(|post| post.header(name).to_owned())
            .collect::<BTreeSet<_>>()
            .len()
    };
    assert_eq!(
        (of("X-SeloraX-Delivery-Id"), of("X-SeloraX-Timestamp")),
        (6, 6),
        "each attempt is signed anew"
    );
    assert_eq!(of("X-SeloraX-Webhook-Event-Id"), 1);
    assert!(posts.iter().all(|post| post.is_signed_with(&made.secret)));
    assert_eq!(world.subscriptions()[0].failures, 6);
}

#[tokio::test]
async fn waits_can_be_hastened_and_a_scaled_clock_hastens_them_too() {
    for (clock, waits) in [
        (Clock::Fixed(sandbox::FIXED_START_MS), Waits::Hastened(1_000_000)),
        (
            Clock::Scaled {
                start_ms: sandbox::FIXED_START_MS,
                factor: 1_000_000,
            },
            Waits::WorldClock,
        ),
    ] {
        let sandbox = started(Options {
            orders: 0,
            clock,
            webhooks: WebhookOptions {
                waits,
                ..WebhookOptions::default()
            },
            ..Options::default()
        })
        .await;
        let receiver = Receiver::start(|number| if number < 3 { 500 } else { 200 }).await;
        sandbox.world().subscribe("order.created", &receiver.url()).unwrap();
        sandbox.world().insert_order(|_| {});
        assert_eq!(receiver.until(4).await.len(), 4);
        settled(&sandbox).await;
        assert_eq!(sandbox.world().deliveries()[3].outcome, Outcome::Delivered);
        assert_eq!(sandbox.world().subscriptions()[0].failures, 0, "a success forgives");
    }
}

#[tokio::test]
async fn a_slow_or_absent_answer_is_a_failure_and_so_is_a_redirect() {
    let sandbox = hooked(WebhookOptions {
        timeout: Duration::from_millis(100),
        ..hasty(1_000_000)
    })
    .await;
    let receiver = Receiver::start(|number| [0, 302, 201][number]).await;
    sandbox.world().subscribe("order.created", &receiver.url()).unwrap();
    sandbox.world().insert_order(|_| {});
    receiver.until(3).await;
    settled(&sandbox).await;
    let told: Vec<Option<u16>> = sandbox.world().deliveries().iter().map(|one| one.status).collect();
    assert_eq!(told, [None, Some(302), Some(201)]);
}

#[tokio::test]
async fn a_subscription_that_fails_too_often_is_switched_off_and_misses_what_happens() {
    let sandbox = hooked(WebhookOptions {
        deactivate_after: Some(3),
        ..hasty(1_000_000)
    })
    .await;
    let world = sandbox.world();
    let receiver = Receiver::start(|_| 401).await;
    let made = world.subscribe("order.created", &receiver.url()).unwrap();
    world.insert_order(|_| {});
    receiver.until(6).await;
    settled(&sandbox).await;
    let listed = get(&sandbox, "/webhooks").await.json();
    assert_eq!(
        (&listed["data"][0]["is_active"], &listed["data"][0]["failure_count"]),
        (&0.into(), &6.into())
    );
    assert!(listed["data"][0].get("signing_secret").is_none());
    world.insert_orders(2);
    assert_eq!((world.pending_deliveries(), world.lost_events()), (0, 2));
    world.update_subscription(made.id, |one| one.is_active = true);
    world.insert_order(|_| {});
    receiver.until(7).await;
}

#[tokio::test]
async fn events_come_twice_late_in_another_order_or_with_an_old_stamp() {
    let receiver = Receiver::start(|_| 200).await;
    let sandbox = hooked(WebhookOptions {
        duplicate_percent: 100,
        stale_by_ms: 600_000,
        ..WebhookOptions::default()
    })
    .await;
    let made = sandbox.world().subscribe("order.created", &receiver.url()).unwrap();
    sandbox.world().insert_order(|_| {});
    let posts = receiver.until(2).await;
    assert_eq!(posts[0].body, posts[1].body);
    assert_ne!(
        posts[0].header("X-SeloraX-Delivery-Id"),
        posts[1].header("X-SeloraX-Delivery-Id")
    );
    assert_eq!(posts[0].header("X-SeloraX-Timestamp"), "1768456200");
    assert!(posts[0].is_signed_with(&made.secret));
    settled(&sandbox).await;
    let event = sandbox.world().deliveries()[0].event_id.clone();
    assert!(sandbox.world().redeliver(&event));
    receiver.until(3).await;
    let sandbox = hooked(WebhookOptions {
        reorder_percent: 50,
        ..WebhookOptions::default()
    })
    .await;
    let receiver = Receiver::start(|_| 200).await;
    sandbox.world().subscribe("order.created", &receiver.url()).unwrap();
    let ids = sandbox.world().insert_orders(20);
    let posts = receiver.until(20).await;
    let came: Vec<i64> = posts
        .iter()
        .map(|post| post.json()["data"]["order_id"].as_i64().unwrap())
        .collect();
    assert_ne!(came, ids);
    assert_eq!(BTreeSet::from_iter(came), BTreeSet::from_iter(ids));
}

#[tokio::test]
async fn subscriptions_are_made_in_either_spelling_and_stay_on_this_machine() {
    let short = r#"{"topic":"order.created","url":"http://127.0.0.1:9/x"}"#;
    let record = r#"{"event_topic":"order.created","target_url":"http://localhost:9"}"#;
    for (spelling, short_code, record_code) in [
        (Spelling::Both, 200, 200),
        (Spelling::Record, 400, 200),
        (Spelling::Short, 200, 400),
    ] {
        let sandbox = hooked(WebhookOptions {
            spelling,
            ..WebhookOptions::default()
        })
        .await;
        assert_eq!(ask(&sandbox, "POST", "/webhooks", short).await.status, short_code);
        let made = ask(&sandbox, "POST", "/webhooks", record).await;
        assert_eq!(made.status, record_code);
        if record_code == 200 {
            let secret = made.json()["data"]["signing_secret"].as_str().unwrap().to_owned();
            assert_eq!((secret.len(), secret.starts_with("whsec_")), (70, true));
            assert_eq!(secret, sandbox.world().subscriptions().last().unwrap().secret);
        }
    }
    let sandbox = hooked(WebhookOptions::default()).await;
    for url in [
        "https://127.0.0.1:9/x",
        "http://10.0.0.1/x",
        "http://example.com/x",
        "http://127.0.0.1.example.com/",
        "http://127.0.0.1@example.com/",
        "http://127.0.0.1:9/a b",
        "ftp://127.0.0.1/",
        "",
    ] {
        assert!(sandbox.world().subscribe("order.created", url).is_err(), "{url}");
    }
    assert!(sandbox.world().subscribe("order.created", "http://[::1]:9/").is_ok());
    assert!(
        sandbox
            .world()
            .subscribe("product.stock_low", "http://127.0.0.1:9/")
            .is_err()
    );
    let secrets = [0, 1].map(|_| {
        sandbox
            .world()
            .subscribe("order.created", "http://127.0.0.1:9/")
            .unwrap()
            .secret
    });
    assert_ne!(secrets[0], secrets[1], "each has a secret of its own");
}

#[tokio::test]
async fn a_write_comes_back_as_a_webhook() {
    let sandbox = hooked(WebhookOptions::default()).await;
    let receiver = Receiver::start(|_| 200).await;
    sandbox
        .world()
        .subscribe("order.status_changed", &receiver.url())
        .unwrap();
    let id = *sandbox.world().final_orders().keys().next().unwrap();
    ask(&sandbox, "PUT", &format!("/orders/{id}/status"), r#"{"status":"odd"}"#).await;
    assert_eq!(receiver.until(1).await[0].json()["data"]["status"], "odd");
}

#[tokio::test]
async fn many_events_are_all_delivered() {
    let sandbox = hooked(WebhookOptions::default()).await;
    let receiver = Receiver::start(|_| 200).await;
    sandbox.world().subscribe("order.created", &receiver.url()).unwrap();
    let ids = sandbox.world().insert_orders(300);
    let posts = receiver.until(300).await;
    settled(&sandbox).await;
    let came = posts
        .iter()
        .map(|post| post.json()["data"]["order_id"].as_i64().unwrap());
    assert_eq!(BTreeSet::from_iter(came), BTreeSet::from_iter(ids));
}
