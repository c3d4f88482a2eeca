//! The subscriptions at the store, by the real binary: listed, made once, judged. WH-25.

use sandbox::{Fault, Resource, Rule, Spelling, When};
use serde_json::Value;

use crate::support::{Desk, Outcome, Setup, Shop};

const URL: &str = "http://127.0.0.1:9/webhooks/selorax";
const TOPICS: [&str; 5] = [
    "order.created",
    "order.updated",
    "order.status_changed",
    "order.cancelled",
    "order.deleted",
];

/// A desk whose config has these lines in its section `webhooks`.
fn desk(shop: &Shop, webhooks: &str) -> Desk {
    let section = format!("webhooks:\n  listen: 127.0.0.1:0\n  secrets: [0123456789abcdef]\n{webhooks}");
    let setup = Setup {
        flows: section,
        ..Setup::default()
    };
    Desk::with(shop, setup)
}

fn known(shop: &Shop) -> Desk {
    desk(shop, &format!("  public_url: {URL}\n"))
}

fn json(outcome: &Outcome) -> Value {
    serde_json::from_str(&outcome.out).unwrap_or_else(|error| panic!("{error}: {}", outcome.out))
}

fn posts(shop: &Shop) -> usize {
    let requests = shop.world().requests();
    requests.iter().filter(|request| request.method == "POST").count()
}

fn on_subscribing(what: Fault) -> Rule {
    Rule::write(what).of(Resource::Webhooks).when(When::Times(1))
}

#[test]
fn webhooks_are_made_for_all_that_flows_listen_to_and_never_twice() {
    let shop = Shop::of(3);
    let desk = known(&shop);
    desk.run(&["webhooks", "list"]).ends(0);
    let before = desk.run(&["webhooks", "check"]).ends(3);
    for topic in &TOPICS[..3] {
        let run = format!("selorax-sync webhooks create --url {URL} --topic {topic}");
        assert!(before.out.contains(&run), "{}", before.out);
    }
    let made = desk.run(&["webhooks", "create"]).ends(0);
    let there = shop.world().subscriptions();
    assert_eq!(there.iter().map(|one| one.topic.as_str()).collect::<Vec<_>>(), TOPICS);
    for one in &there {
        let line = made.out.lines().find(|line| line.contains(&one.secret));
        assert!(line.is_some_and(|line| line.contains(&one.topic)), "{}", made.out);
        assert_eq!(one.url, URL);
    }
    assert!(made.out.contains("`webhooks.secrets`"), "{}", made.out);
    assert_eq!(posts(&shop), 5);
    let again = desk.run(&["webhooks", "create", "--url", "http://127.0.0.1:9/webhooks/selorax"]);
    let again = again.ends(0);
    assert!(!again.out.contains("whsec_"), "{}", again.out);
    assert_eq!((posts(&shop), shop.world().subscriptions().len()), (5, 5));
    desk.run(&["webhooks", "check"]).ends(0);
    let listed = json(&desk.run(&["webhooks", "list", "--json"]).ends(0));
    assert_eq!(listed.as_array().unwrap().len(), 5);
    assert_eq!(
        (&listed[0]["topic"], &listed[0]["is_active"], &listed[0]["ours"]),
        (&Value::from(TOPICS[0]), &Value::from(true), &Value::from(true))
    );
    assert!(listed[0].get("secret").is_none());
    assert!(!desk.state().exists(), "nothing of this is kept");
}

#[test]
fn a_store_that_knows_one_spelling_alone_is_asked_in_both() {
    for (spelling, asked) in [(Spelling::Record, 2), (Spelling::Short, 4)] {
        let shop = Shop::of(3);
        shop.world().set_webhooks(|options| options.spelling = spelling);
        let desk = known(&shop);
        let args = [
            "webhooks",
            "create",
            "--json",
            "--topic",
            "order.created",
            "--topic",
            "order.updated",
        ];
        let told = json(&desk.run(&args).ends(0));
        let there = shop.world().subscriptions();
        assert_eq!((there.len(), posts(&shop)), (2, asked), "{told}");
        assert_eq!(told[1]["secret"], there[1].secret.as_str());
        assert_eq!(told[1]["id"], there[1].id.to_string());
    }
}

#[test]
fn an_answer_that_never_came_is_looked_for_in_the_list_and_nothing_is_made_twice() {
    let shop = Shop::of(3);
    let desk = known(&shop);
    let create = || desk.run(&["webhooks", "create", "--topic", "order.created"]);
    shop.world()
        .fault(on_subscribing(Fault::WriteFailed { written: false }));
    create().ends(1);
    assert!(shop.world().subscriptions().is_empty());
    for fault in [Fault::AnswerLost, Fault::WriteFailed { written: true }] {
        let lost = shop.world().fault(on_subscribing(fault));
        let told = create().ends(3);
        assert_eq!(shop.world().fired(lost), 1);
        let there = shop.world().subscriptions();
        assert_eq!(there.len(), 1, "{}", told.out);
        let says = told.out.contains("unheard") && told.out.contains("delete it in Settings");
        assert!(says, "{}", told.out);
        // Its secret is lost; still there is no second one.
        create().ends(0);
        assert_eq!(shop.world().subscriptions().len(), 1);
        shop.world().delete_subscription(there[0].id);
    }
    // What was put off was not done, and is asked for again.
    shop.world().fault(on_subscribing(Fault::too_many(1)));
    create().ends(0);
    assert_eq!(shop.world().subscriptions().len(), 1);
}

#[test]
fn wh_25_one_that_is_off_gone_or_there_three_times_is_told_and_left_as_it_is() {
    let shop = Shop::of(3);
    let world = shop.world();
    let desk = known(&shop);
    desk.run(&["webhooks", "create"]).ends(0);
    let ids: Vec<i64> = world.subscriptions().iter().map(|one| one.id).collect();
    world.update_subscription(ids[0], |one| (one.is_active, one.failures) = (false, 20));
    world.delete_subscription(ids[1]);
    for _ in 0..2 {
        world.subscribe("order.status_changed", URL).unwrap();
    }
    world.delete_subscription(ids[4]);
    world.subscribe("order.updated", "http://127.0.0.1:8/other").unwrap();
    let told = json(&desk.run(&["webhooks", "check", "--json"]).ends(3));
    let verdicts: Vec<(&str, u64, u64)> = told["topics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|topic| {
            let count = |name: &str| topic[name].as_u64().unwrap();
            (topic["verdict"].as_str().unwrap(), count("copies"), count("active"))
        })
        .collect();
    assert_eq!(
        verdicts,
        [
            ("inactive", 1, 0),
            ("missing", 0, 0),
            ("duplicated", 3, 3),
            ("good", 1, 1),
            // No store has to know it.
            ("missing", 0, 0)
        ]
    );
    assert!(told["topics"][4]["to_do"].is_null());
    assert_eq!(told["elsewhere"][0]["url"], "http://127.0.0.1:8/other");
    let text = desk.run(&["webhooks", "check"]).ends(3).out;
    for part in [
        "INACTIVE",
        "MISSING",
        "DUPLICATED",
        "after 20 failed calls",
        "not this daemon's",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // One that is switched off is not made a second time.
    let before = world.subscriptions().len();
    let told = desk.run(&["webhooks", "create", "--topic", "order.created"]).ends(3);
    assert!(told.out.contains("switched off"), "{}", told.out);
    assert_eq!(world.subscriptions().len(), before);
}

#[test]
fn what_cannot_be_done_is_told_with_what_to_do() {
    let shop = Shop::of(3);
    let desk = desk(&shop, "");
    for url in [
        "http://sync.test/x",
        "https://me:pw@sync.test/",
        "sync.test",
        "ftp://127.0.0.1/",
    ] {
        desk.run(&["webhooks", "create", "--url", url]).ends(2).says(&["--url"]);
    }
    desk.run(&["webhooks", "create"]).ends(2).says(&["webhooks.public_url"]);
    assert_eq!(shop.world().request_count(), 0, "the store was asked for nothing");
    let unknown = desk
        .run(&["webhooks", "create", "--url", URL, "--topic", "order.crated"])
        .ends(1);
    assert!(
        unknown.out.contains("Unknown event_topic order.crated"),
        "{}",
        unknown.out
    );
    // The pretend store calls loopback addresses only, and says so.
    let far = desk
        .run(&["webhooks", "create", "--url", "https://sync.test/x"])
        .ends(1);
    assert!(
        far.out.contains("loopback") && far.out.contains("not offered"),
        "{}",
        far.out
    );
    let denied = Rule::any(Fault::forbidden("write:webhooks")).of(Resource::Webhooks);
    shop.world().fault(denied);
    desk.run(&["webhooks", "list"]).ends(1).says(&["write:webhooks"]);
    let bare = Desk::new(&shop);
    bare.run(&["webhooks", "check"])
        .ends(2)
        .says(&["no section `webhooks`"]);
}

#[test]
fn before_there_are_secrets_the_first_subscriptions_can_be_made() {
    let shop = Shop::of(3);
    let mut desk = desk(&shop, "");
    desk.setup.flows = "webhooks:\n  secrets: [\"${NOT_THERE_YET}\"]\n".to_owned();
    desk.configure();
    desk.run(&["check"]).ends(2);
    desk.run(&["webhooks", "create", "--url", URL, "--topic", "order.created"])
        .ends(0);
    assert_eq!(shop.world().subscriptions().len(), 1);
    desk.run(&["webhooks", "check"]).ends(3);
}
