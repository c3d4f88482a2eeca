//! What is answered, and what is kept of it.

use std::time::{Duration, Instant};

use sandbox::{Canned, Fault, Rule, When};

use super::rig::{Event, Hooked, PATH, body, secret};
use crate::support::{Running, Shop, rows};

fn status(hooked: &Hooked) -> serde_json::Value {
    serde_json::from_str(&hooked.desk.run(&["status", "--json"]).ends(0).out).unwrap()
}

/// How many events of the last day were dealt with so.
fn events(hooked: &Hooked, done: &str) -> u64 {
    status(hooked)["webhooks"]["last_day"][done].as_u64().unwrap_or(0)
}

fn stop(daemon: Running, hooked: &Hooked, shop: &Shop) {
    daemon.stop();
    hooked.desk.check(shop);
}

#[test]
fn wh_02_03_04_05_06_07_08_what_an_event_is_answered_and_what_comes_of_it() {
    let shop = Shop::of(60);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let ids = shop.some_ids(12);
    let change = |n: usize| {
        assert!(
            shop.world()
                .update_order(ids[n], |order| order.status = "shipped".to_owned())
        );
    };

    // WH-02: nothing stands in for a missing header, and those besides the two are not needed.
    change(0);
    let event = Event::order(&shop, "e-0", "order.updated", ids[0]);
    hooked
        .send(&event.clone().header("X-SeloraX-Signature", ""))
        .is_refused(400);
    hooked
        .send(&event.clone().header("X-SeloraX-Timestamp", ""))
        .is_refused(400);
    hooked.send(&event).is(200, "accepted");
    hooked.wait_until(&mut daemon, &shop);

    // WH-03, WH-04: too old or too new, and not seen before: a hint that is followed. Seen before: a duplicate.
    // The pretend store's clock stands, and the daemon's idea of it runs on.
    for (n, seconds) in [(1, -301), (2, -31_536_000), (3, 340)] {
        change(n);
        let stale = Event::order(&shop, &format!("e-{n}"), "order.updated", ids[n]).signed_at(&shop, seconds);
        hooked.send(&stale).is(200, "accepted");
        hooked.wait_until(&mut daemon, &shop);
        hooked.send(&stale).is(200, "duplicate");
    }
    assert_eq!(status(&hooked)["webhooks"]["stale"], 3);

    // WH-05: the same a thousand times at once.
    change(4);
    let event = Event::order(&shop, "e-4", "order.updated", ids[4]);
    let request = event.request();
    let before = events(&hooked, "read");
    let door = hooked.door();
    let answers: Vec<String> = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut line = door.connect();
                    let words = (0..50).map(|_| line.send(&request).word().to_owned());
                    words.collect::<Vec<_>>()
                })
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let accepted = answers.iter().filter(|word| *word == "accepted").count();
    let duplicates = answers.iter().filter(|word| *word == "duplicate").count();
    assert_eq!((accepted, duplicates), (1, 999));
    assert_eq!(events(&hooked, "read"), before + 1);
    hooked.wait_until(&mut daemon, &shop);

    // WH-07: the same id with another body. Nothing in it is believed, and the record is read again.
    change(5);
    let other = Event::of_body(
        &shop,
        &body(
            "e-4",
            "order.updated",
            &format!(r#"{{"order_id":{},"total":1}}"#, ids[5]),
        ),
    );
    hooked.send(&other).is(200, "duplicate");
    hooked.wait_until(&mut daemon, &shop);

    // WH-08: what the headers say is not signed.
    change(6);
    let event = Event::order(&shop, "e-6", "order.updated", ids[6])
        .header("X-SeloraX-Webhook-Event-Id", "e-0")
        .header("X-SeloraX-Webhook-Event", "product.deleted")
        .header("X-SeloraX-Delivery-Id", "d");
    hooked.send(&event).is(200, "accepted");
    hooked.wait_until(&mut daemon, &shop);
    let replayed = event.header("X-SeloraX-Webhook-Event-Id", "brand-new");
    hooked.send(&replayed).is(200, "duplicate");

    // WH-06: also after a restart, and fifteen hours later.
    daemon.stop();
    shop.world().advance(Duration::from_secs(15 * 3600));
    let mut daemon = hooked.desk.daemon();
    hooked.await_receiver(&mut daemon);
    hooked
        .send(&Event::order(&shop, "e-0", "order.updated", ids[0]))
        .is(200, "duplicate");
    stop(daemon, &hooked, &shop);
    let twice = rows(&hooked.desk.out(), 1000)
        .0
        .iter()
        .filter(|row| row.id == ids[4])
        .count();
    assert_eq!(twice, 2, "once by its history, once by a thousand calls");
}

#[test]
fn wh_01_13_14_15_16_27_what_is_no_event_of_ours() {
    let shop = Shop::of(20);
    let hooked = Hooked::new(&shop);
    let daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    let event = Event::order(&shop, "e-1", "order.updated", id);

    // WH-01, WH-21: another secret, other bytes, other ways to write it.
    let mut forged = event.clone();
    forged.secret = "whsec_somebody-elses-secret".to_owned();
    hooked.send(&forged).is_refused(401);
    let spaced = event.request();
    let spaced = String::from_utf8(spaced)
        .unwrap()
        .replace("\"data\":{", "\"data\": {")
        .replace("Content-Length: ", "X-Old: ");
    let length = event.body.len() + 1;
    let spaced = spaced.replace("Host:", &format!("Content-Length: {length}\r\nHost:"));
    hooked.connect().send(spaced.as_bytes()).is_refused(401);
    let shouted = event.signature().to_ascii_uppercase();
    hooked
        .send(&event.clone().header("X-SeloraX-Signature", &shouted))
        .is_refused(401);

    // WH-13: the signature decides, whatever the content type says; a body that is encoded cannot be checked.
    for (n, kind) in ["text/plain", "application/x-www-form-urlencoded", ""]
        .into_iter()
        .enumerate()
    {
        let event = Event::order(&shop, &format!("kind-{n}"), "order.updated", id);
        hooked.send(&event.header("Content-Type", kind)).is(200, "accepted");
    }
    hooked
        .send(&event.clone().header("Content-Encoding", "gzip"))
        .is_refused(415);
    let expecting = Event::order(&shop, "expects", "order.updated", id).header("Expect", "100-continue");
    let mut line = hooked.connect();
    let request = expecting.request();
    let (head, rest) = request.split_at(request.len() - expecting.body.len());
    line.write(head).unwrap();
    assert_eq!(line.read().unwrap().status, 100);
    line.send(rest).is(200, "accepted");

    // WH-14: signed, and not JSON; a bare list; nested beyond reason.
    for text in ["", "not json", "[1]", &"[".repeat(100_000), "{\"a\":"] {
        hooked.send(&Event::of_body(&shop, text)).is_refused(400);
    }
    // WH-15, WH-16: a topic that nobody knows, and another store's event.
    hooked
        .send(&Event::of_body(&shop, &body("u-1", "moon.landed", "{}")))
        .is(200, "ignored");
    hooked
        .send(&Event::order(&shop, "u-2", "product.updated", 5))
        .is(200, "ignored");
    let foreign =
        body("u-3", "order.updated", &format!(r#"{{"order_id":{id}}}"#)).replace("\"store_id\":22", "\"store_id\":23");
    let before = shop.world().request_count();
    hooked.send(&Event::of_body(&shop, &foreign)).is(200, "ignored");
    assert_eq!(events(&hooked, "ignored"), 2);
    assert_eq!(events(&hooked, "foreign"), 1);

    // WH-27: other methods and places.
    for (request, status) in [
        (format!("GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"), 405),
        (
            format!("PUT {PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            405,
        ),
        (format!("TRACE {PATH} HTTP/1.1\r\nHost: x\r\n\r\n"), 405),
        (
            format!("POST /{PATH} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            404,
        ),
        (
            format!("POST {PATH}/../ HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"),
            404,
        ),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".to_owned(),
            404,
        ),
        (
            format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(64 << 10)),
            414,
        ),
    ] {
        let answer = hooked.connect().send(request.as_bytes());
        answer.is_refused(status);
        let allows = answer.head.to_ascii_lowercase().contains("allow: post");
        assert_eq!(allows, status == 405, "{answer:?}");
    }
    assert!(
        shop.world().request_count() - before < 8,
        "nothing was read for the other store"
    );
    stop(daemon, &hooked, &shop);
}

#[test]
fn wh_11_12_24_bodies_and_heads_that_do_not_fit() {
    let shop = Shop::of(10);
    let hooked = Hooked::with(&shop, "  max_body: 64KiB\n", |_| {});
    let daemon = hooked.daemon();
    let large = Event::of_body(
        &shop,
        &body("e", "order.updated", &format!("\"{}\"", "x".repeat(64 << 10))),
    );
    // WH-12: told too long, really too long, and told longer than it is.
    hooked.send(&large).is_refused(413);
    let head = |length: &str| format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n");
    hooked
        .connect()
        .send(head("Content-Length: 999999999999").as_bytes())
        .is_refused(413);
    let mut endless = hooked.connect();
    endless.write(head("Transfer-Encoding: chunked").as_bytes()).unwrap();
    let chunk = format!("1000\r\n{}\r\n", "y".repeat(4096));
    let chunks = (0..17).take_while(|_| endless.write(chunk.as_bytes()).is_ok()).count();
    assert!(chunks > 10);
    endless.read().unwrap().is_refused(413);
    // A chunked body that fits is as good as any other.
    let good = Event::order(&shop, "chunked", "order.updated", shop.some_ids(1)[0]);
    let text = String::from_utf8(good.request()).unwrap();
    let (front, content) = text.split_once("\r\n\r\n").unwrap();
    let front = front.replace(
        &format!("Content-Length: {}", good.body.len()),
        "Transfer-Encoding: chunked",
    );
    let (one, two) = content.split_at(40);
    let chunked = format!(
        "{front}\r\n\r\n{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    );
    hooked.connect().send(chunked.as_bytes()).is(200, "accepted");

    // WH-24: two ways to read one message.
    let event = Event::order(&shop, "framed", "order.updated", shop.some_ids(1)[0]);
    let text = String::from_utf8(event.request()).unwrap();
    let length = format!("Content-Length: {}", event.body.len());
    for spoiled in [
        text.replace(&length, &format!("{length}\r\nTransfer-Encoding: chunked")),
        text.replace(&length, &format!("{length}\r\n{length}")),
        text.replace("Host: hooks.example", "Host: hooks\r\n .example"),
        text.replacen("\r\n", "\n", 2),
    ] {
        let mut line = hooked.connect();
        line.send(spoiled.as_bytes()).is_refused(400);
        assert!(line.is_closed());
    }
    // WH-11: a body that comes one byte at a time is cut off, though it comes.
    let request = event.request();
    let (front, content) = request.split_at(request.len() - event.body.len());
    let mut line = hooked.connect();
    line.write(front).unwrap();
    let started = Instant::now();
    let mut sent = 0;
    for byte in content {
        if line.write(&[*byte]).is_err() || started.elapsed() > Duration::from_secs(16) {
            break;
        }
        sent += 1;
        std::thread::sleep(Duration::from_millis(500));
    }
    line.read().unwrap().is_refused(408);
    assert!(sent < content.len());
    // Nobody else minded.
    hooked.send(&event).is(200, "accepted");
    stop(daemon, &hooked, &shop);
}

#[test]
fn wh_20_a_secret_is_rotated_without_a_gap_and_without_a_restart() {
    let shop = Shop::of(10);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    let new = format!("{}new", secret());
    let signed = |name: &str, secret: &str| {
        let mut event = Event::order(&shop, name, "order.updated", id);
        event.secret = secret.to_owned();
        hooked.send(&event).status
    };
    let reload = |secrets: &str, daemon: &mut Running, times: usize| {
        let webhooks = hooked
            .desk
            .setup
            .webhooks
            .replace("[\"${file:./hook-secret}\"]", secrets);
        let text = std::fs::read_to_string(hooked.desk.path("sync.yaml")).unwrap();
        let from = text.find("webhooks:").unwrap();
        let to = text.find("connectors:").unwrap();
        hooked
            .desk
            .write("sync.yaml", &format!("{}{webhooks}{}", &text[..from], &text[to..]));
        daemon.signal("HUP");
        daemon.until_said_times("the new config is in force", times);
    };
    assert_eq!((signed("1", &secret()), signed("2", &new)), (200, 401));
    hooked.desk.write("hook-secret-2", &new);
    reload(
        "[\"${file:./hook-secret}\", \"${file:./hook-secret-2}\"]",
        &mut daemon,
        1,
    );
    hooked.await_receiver(&mut daemon);
    daemon.until("both secrets", || signed("3", &new) == 200);
    assert_eq!(signed("4", &secret()), 200);
    reload("[\"${file:./hook-secret-2}\"]", &mut daemon, 2);
    daemon.until("the new secret alone", || signed("5", &secret()) == 401);
    assert_eq!(signed("6", &new), 200);
    stop(daemon, &hooked, &shop);
}

#[test]
fn wh_22_a_secret_that_is_none_is_refused_at_the_start() {
    let shop = Shop::of(1);
    for bad in ["", "whsec_short"] {
        let hooked = Hooked::new(&shop);
        hooked.desk.write("hook-secret", bad);
        hooked.desk.run(&["run"]).ends(2).says(&["webhooks.secrets[0]"]);
    }
}

#[test]
fn an_address_that_is_taken_is_told_with_what_to_do() {
    let shop = Shop::of(1);
    let hooked = Hooked::new(&shop);
    let _taken = std::net::TcpListener::bind(hooked.address).unwrap();
    let told = hooked.address.to_string();
    hooked.desk.run(&["run"]).ends(1).says(&[&told, "webhooks.listen"]);
}

#[test]
fn wh_26_an_order_that_the_store_does_not_show_yet_is_asked_for_again() {
    let shop = Shop::of(30);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let id = shop.world().insert_orders(1)[0];
    // Four times in a row it is not there: more often than a listed record may be.
    let unknown = Fault::Answer(Canned::error(404, "not_found", "Order not found"));
    let hidden = shop.world().fault(Rule::detail(unknown).order(id).when(When::Times(4)));
    hooked
        .send(&Event::order(&shop, "new", "order.created", id))
        .is(200, "accepted");
    hooked.wait_until(&mut daemon, &shop);
    assert_eq!(shop.world().fired(hidden), 4);
    let failures = hooked.desk.run(&["failures", "list", "--json"]).ends(0).out;
    assert_eq!(failures.trim(), "[]");
    stop(daemon, &hooked, &shop);
}

#[test]
fn wh_19_what_cannot_be_kept_is_put_off_and_taken_when_it_comes_again() {
    let shop = Shop::of(20);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    shop.world()
        .update_order(id, |order| order.status = "shipped".to_owned());
    let event = Event::order(&shop, "e", "order.updated", id);
    let answer = hooked.desk.while_locked(|| hooked.send(&event));
    answer.is_refused(503);
    assert!(answer.head.to_ascii_lowercase().contains("retry-after: "), "{answer:?}");
    daemon.until("the state file again", || hooked.send(&event).status == 200);
    hooked.wait_until(&mut daemon, &shop);
    stop(daemon, &hooked, &shop);
}

#[test]
fn a_test_event_goes_the_whole_way_in_the_open_and_over_tls() {
    let shop = Shop::of(20);
    let id = shop.some_ids(1)[0];
    let plain = Hooked::new(&shop);
    let daemon = plain.daemon();
    let told = plain
        .desk
        .run(&["webhooks", "send", "order.updated", "--id", &id.to_string()])
        .ends(0);
    assert!(told.out.contains("200 {\"status\":\"accepted\"}"), "{}", told.out);
    plain
        .desk
        .run(&["webhooks", "send", "order.moved", "--id", "1"])
        .ends(0);
    plain
        .desk
        .run(&["webhooks", "send", "moon.landed", "--id", "1"])
        .ends(2)
        .says(&["order.updated"]);
    assert_eq!(events(&plain, "read"), 1);
    stop(daemon, &plain, &shop);
    let told = plain
        .desk
        .run(&["webhooks", "send", "order.updated", "--id", "1"])
        .ends(1);
    assert!(
        told.err.contains("does the daemon run with this config?"),
        "{}",
        told.err
    );

    let keys = "  public_url: https://hooks.example/webhooks/selorax\n  tls: {cert: ./cert.pem, key: ./key.pem}\n";
    let secured = Hooked::with(&shop, keys, |_| {});
    let made = rcgen::generate_simple_self_signed(["hooks.example".to_owned()]).unwrap();
    secured.desk.write("cert.pem", &made.cert.pem());
    secured.desk.write("key.pem", &made.signing_key.serialize_pem());
    let daemon = secured.daemon();
    let told = secured
        .desk
        .run(&["webhooks", "send", "order.updated", "--id", &id.to_string()])
        .ends(0);
    assert!(told.out.contains("200 {\"status\":\"accepted\"}"), "{}", told.out);
    // Whoever does not speak TLS there gets nothing.
    let event = Event::order(&shop, "plain", "order.updated", id);
    assert!(secured.door().try_send(&event).is_none());
    stop(daemon, &secured, &shop);
    // A certificate that cannot be read is told at the start.
    secured.desk.write("cert.pem", "nothing");
    secured.desk.run(&["run"]).ends(1).says(&["webhooks.tls"]);
}

#[test]
fn wh_03_16_what_calls_say_about_clock_and_subscriptions_is_an_alert() {
    let shop = Shop::of(10);
    let hooked = Hooked::new(&shop);
    let daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    for n in 0..3 {
        let stale = Event::order(&shop, &format!("s-{n}"), "order.updated", id).signed_at(&shop, -400);
        hooked.send(&stale).is(200, "accepted");
    }
    let foreign = body("f", "order.updated", r#"{"order_id":1}"#).replace("\"store_id\":22", "\"store_id\":23");
    hooked.send(&Event::of_body(&shop, &foreign)).is(200, "ignored");
    let alerts = status(&hooked)["alerts"].to_string();
    assert!(
        alerts.contains("webhooks.clock") && alerts.contains("webhooks.other_store"),
        "{alerts}"
    );
    hooked.desk.run(&["status", "--check"]).ends(3);
    stop(daemon, &hooked, &shop);
}

#[test]
fn a_reload_whose_door_cannot_be_opened_leaves_the_one_that_is_open() {
    let shop = Shop::of(10);
    let hooked = Hooked::new(&shop);
    let mut daemon = hooked.daemon();
    let id = shop.some_ids(1)[0];
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = std::fs::read_to_string(hooked.desk.path("sync.yaml")).unwrap();
    let other = taken.local_addr().unwrap().to_string();
    hooked
        .desk
        .write("sync.yaml", &text.replace(&hooked.address.to_string(), &other));
    daemon.signal("HUP");
    daemon.until_said("set webhooks.listen to a free address");
    shop.world()
        .update_order(id, |order| order.status = "shipped".to_owned());
    daemon.until("the old door", || {
        let event = Event::order(&shop, "after", "order.updated", id);
        hooked
            .door()
            .try_send(&event)
            .is_some_and(|answer| answer.status == 200)
    });
    hooked.wait_until(&mut daemon, &shop);
    stop(daemon, &hooked, &shop);
}
