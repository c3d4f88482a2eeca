//! Every kind of fault really strikes the requests it is for, and the shop is whole again after it.

use std::time::Duration;

use sandbox::{Fault, Kind, Options, Resource, Rule, Sandbox, When, World};

use crate::client::{ask, get, get_impatiently, started};

/// Requests of which one at least suits any fault.
async fn rummage(sandbox: &Sandbox, rule: &Rule) {
    let world = sandbox.world();
    world.advance(Duration::from_secs(60));
    world.update_any(3);
    if rule.what == Fault::Hang || matches!(rule.what, Fault::LongLength { .. }) {
        get_impatiently(sandbox, "/orders").await;
        return;
    }
    let id = *world.final_orders().keys().next().unwrap();
    if rule.on.kind == Kind::Write {
        ask(sandbox, "PUT", &format!("/orders/{id}"), r#"{"note":"x"}"#).await;
        return;
    }
    for path in ["/orders?limit=10&page=2", "/orders?limit=10&page=99"] {
        get(sandbox, path).await;
    }
}

#[tokio::test]
async fn every_kind_strikes_as_often_as_it_is_ordered() {
    let sandbox = started(Options {
        orders: 25,
        ..Options::default()
    })
    .await;
    let world = sandbox.world();
    for rule in World::fault_kinds() {
        let name = rule.name.clone();
        let id = world.fault(rule.clone().when(When::Times(2)));
        for _ in 0..2 {
            rummage(&sandbox, &rule).await;
        }
        let struck = world.fired(id);
        assert_eq!(struck, 2, "{name}");
        assert!(
            world
                .requests()
                .iter()
                .any(|request| request.fault.as_deref() == Some(&name)),
            "{name}"
        );
        assert_eq!(
            get(&sandbox, "/orders").await.ids().len(),
            world.order_count(),
            "{name} is over"
        );
        world.clear_faults();
    }
}

#[tokio::test]
async fn kinds_can_be_ordered_for_one_kind_of_record_and_read_back_as_json() {
    let sandbox = started(Options::default()).await;
    for rule in World::fault_kinds() {
        let text = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<Rule>(&text).unwrap(), rule);
        let id = sandbox.world().fault(rule.of(Resource::Customers));
        assert_eq!(get(&sandbox, "/orders?limit=10").await.ids().len(), 10);
        assert_eq!(sandbox.world().fired(id), 0);
    }
}
