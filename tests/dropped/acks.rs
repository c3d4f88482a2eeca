//! Files in which the other side says what became of orders.

use crate::support::{Desk, Setup, Shop, names};

fn desk(shop: &Shop) -> Desk {
    let setup = Setup {
        resources: "      answers:
        write:
          file: \"answers-{batch}.csv\"
          acks: {pattern: 'ack*.csv', settle: 0s, id: order, status: status, message: text, ok: [ok, booked]}
"
        .to_owned(),
        flows: "  answered:\n    from: store.orders\n    to: drop.answers\n    map: {id: .id}\n".to_owned(),
        ..Setup::default()
    };
    Desk::with(shop, setup)
}

fn written(desk: &Desk) -> Vec<String> {
    let all = names(&desk.out()).into_iter();
    all.filter(|name| name.starts_with("answers-")).collect()
}

#[test]
fn sf_19_seven_are_confirmed_and_three_wait_with_the_erp_s_words() {
    let shop = Shop::of(10);
    let desk = desk(&shop);
    desk.run(&["--once", "answered"]).ends(0);
    let unconfirmed = || {
        let status = desk.run(&["status", "--json"]).ends(0);
        let told: serde_json::Value = serde_json::from_str(&status.out).unwrap();
        let flows = told["flows"].as_array().unwrap();
        let flow = flows.iter().find(|flow| flow["name"] == "answered").unwrap();
        flow["unconfirmed"].as_u64()
    };
    assert_eq!(unconfirmed(), Some(10));
    let ids: Vec<i64> = shop.world().final_orders().keys().copied().collect();
    let mut text = "order,status,text\n".to_owned();
    for (n, id) in ids.iter().enumerate() {
        text.push_str(&match n < 7 {
            true => format!("{id},booked,\n"),
            false => format!("{id},refused,customer is blocked\n"),
        });
    }
    std::fs::write(desk.out().join("ack-1.csv"), text + "999999,ok,\n").unwrap();
    desk.run(&["--once", "answered"])
        .ends(3)
        .says(&["ack-1.csv taken: 7 confirmed, 3 refused, 1 unknown"]);
    assert_eq!(unconfirmed(), Some(0));
    let listed = desk.run(&["failures", "list", "--json"]).ends(0);
    let failures: Vec<serde_json::Value> = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(failures.len(), 3);
    let reason = failures[0]["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        "the other side refused it in ack-1.csv: refused: customer is blocked"
    );
    desk.run(&["failures", "retry", "--all"]);
    assert_eq!(unconfirmed(), Some(3));
    let files = written(&desk);
    assert_eq!(files.len(), 2);
    let again = std::fs::read_to_string(desk.out().join(&files[1])).unwrap();
    assert_eq!(again.lines().count(), 4, "{again}");
    desk.run(&["--once", "answered"]).ends(0);
    assert_eq!(written(&desk).len(), 2);
}

#[test]
fn sf_19_an_answer_that_cannot_be_read_confirms_nothing() {
    let shop = Shop::of(3);
    let desk = desk(&shop);
    desk.run(&["--once", "answered"]).ends(0);
    for (name, text, told) in [
        ("ack-1.csv", "order,text\n1,ok\n", "the column `status` is missing"),
        ("ack-2.csv", "order,status,text\n1,,\n", "is empty"),
    ] {
        std::fs::write(desk.out().join(name), text).unwrap();
        desk.run(&["--once", "answered"]).says(&[told]);
        assert!(desk.out().join("rejected").join(name).exists());
    }
    let status = desk.run(&["status"]).ends(0);
    assert!(status.out.contains("unconfirmed   3 records"), "{}", status.out);
}
