//! Customers: their list, its filters, and their orders.

use std::collections::BTreeSet;

use sandbox::{AddressForm, Options, Resource, Ties};

use crate::client::{get, set, started, walk_of};

fn people(customers: usize) -> Options {
    Options {
        customers,
        orders: 60,
        ..Options::default()
    }
}

#[tokio::test]
async fn guests_are_hidden_unless_they_are_asked_for() {
    let sandbox = started(Options {
        ties: Ties::ById,
        ..people(100)
    })
    .await;
    let all = sandbox.world().final_customers();
    let registered: BTreeSet<i64> = all
        .values()
        .filter(|customer| !customer.is_guest)
        .map(|customer| customer.id)
        .collect();
    assert!(registered.len() < 100 && all.len() == 100);
    for query in [
        "?limit=30",
        "?limit=30&include_guests=false",
        "?limit=30&include_guests=1",
    ] {
        assert_eq!(
            set(&walk_of(&sandbox, "/customers", query, "user_id").await),
            registered,
            "{query}"
        );
    }
    let query = "?limit=30&include_guests=true&sort=updated_at:desc";
    let ids = walk_of(&sandbox, "/customers", query, "user_id").await;
    assert_eq!((ids.len(), set(&ids)), (100, all.keys().copied().collect()));
    let guest = all.values().find(|customer| customer.is_guest).unwrap();
    let shown = get(&sandbox, &format!("/customers/{}", guest.id)).await.json();
    assert_eq!(
        (&shown["data"]["is_guest"], &shown["data"]["email"]),
        (&1.into(), &().into())
    );
    assert_eq!(get(&sandbox, "/customers/1").await.status, 404);
}

#[tokio::test]
async fn twenty_thousand_customers_come_once_each() {
    let sandbox = started(Options {
        ties: Ties::ById,
        ..people(20_000)
    })
    .await;
    let query = "?limit=250&include_guests=true&sort=updated_at:desc";
    let ids = walk_of(&sandbox, "/customers", query, "user_id").await;
    assert_eq!((ids.len(), set(&ids).len()), (20_000, 20_000));
    let shown = set(&walk_of(&sandbox, "/customers", "?limit=250&sort=name:asc", "user_id").await);
    assert!(shown.len() < 20_000 && shown.is_subset(&set(&ids)));
}

#[tokio::test]
async fn since_is_creation_and_the_other_filters_do_what_they_say() {
    let sandbox = started(Options {
        ties: Ties::ById,
        ..people(50)
    })
    .await;
    let world = sandbox.world();
    let old = *world.final_customers().keys().next().unwrap();
    world.update_customer(old, |customer| customer.is_guest = false);
    let new = world.insert_customer(|customer| {
        customer.is_guest = false;
        customer.name = "Zebra Crossing".to_owned();
        customer.phone = Some("01799999999".to_owned());
        (customer.total_orders, customer.total_spent) = (900, 99_999_950);
    });
    let ids = |reply: crate::client::Reply| reply.ids_under("user_id");
    let since = "since=2026-01-15T06:00:00.000Z";
    assert_eq!(
        ids(get(&sandbox, &format!("/customers?{since}&include_guests=true")).await),
        [new]
    );
    for query in [
        "search=zebra",
        "search=99999999",
        "total_orders_min=900",
        "total_spent_min=999999.50",
    ] {
        assert_eq!(
            ids(get(&sandbox, &format!("/customers?{query}")).await),
            [new],
            "{query}"
        );
    }
    assert_eq!(ids(get(&sandbox, "/customers?sort=name:desc&limit=250").await).len(), {
        let all = world.final_customers();
        all.values().filter(|customer| !customer.is_guest).count()
    });
    let spent = get(&sandbox, &format!("/customers/{new}")).await.text();
    assert!(spent.contains(r#""total_spent":999999.50"#), "{spent}");
}

#[tokio::test]
async fn an_address_comes_in_each_of_its_forms() {
    let sandbox = started(people(1)).await;
    let world = sandbox.world();
    let id = world.insert_customer(|customer| {
        (customer.address, customer.city) = (Some("House 1".to_owned()), Some("Dhaka".to_owned()));
    });
    let cases = [
        (
            AddressForm::Object,
            serde_json::json!({"address": "House 1", "city": "Dhaka"}),
        ),
        (AddressForm::Text, r#"{"address":"House 1","city":"Dhaka"}"#.into()),
        (AddressForm::Empty, "".into()),
        (AddressForm::Null, ().into()),
    ];
    for (form, shown) in cases {
        world.update_customer(id, |customer| customer.address_form = form);
        let reply = get(&sandbox, &format!("/customers/{id}")).await.json();
        assert_eq!(reply["data"]["address_json"], shown, "{form:?}");
    }
}

#[tokio::test]
async fn orders_are_from_customers_the_shop_has() {
    let sandbox = started(people(20)).await;
    let world = sandbox.world();
    let customers = world.final_customers();
    let buyers: Vec<i64> = world
        .final_orders()
        .values()
        .filter_map(|order| order.user_id)
        .collect();
    assert!(buyers.len() > 50 && buyers.iter().all(|id| customers.contains_key(id)));
    let total: i64 = customers.values().map(|customer| customer.total_orders).sum();
    assert_eq!(total, buyers.len() as i64);
    let buyer = customers.values().find(|customer| customer.total_orders > 1).unwrap();
    let theirs = get(&sandbox, &format!("/customers/{}/orders", buyer.id)).await;
    assert_eq!(theirs.ids().len() as i64, buyer.total_orders);
    assert_eq!(get(&sandbox, "/customers/7/orders").await.status, 404);
    let request = sandbox.world().requests().pop().unwrap();
    assert_eq!(request.resource, Some(Resource::Orders));
}

#[tokio::test]
async fn an_order_touches_its_customer_only_if_that_is_wanted() {
    for touches in [false, true] {
        let sandbox = started(Options {
            orders_touch_customers: touches,
            ..people(5)
        })
        .await;
        let world = sandbox.world();
        world.advance(std::time::Duration::from_secs(60));
        let id = world.insert_order(|order| order.user_id = Some(order.user_id.unwrap_or(301)));
        let order = world.order(id).unwrap();
        let buyer = world.customer(order.user_id.unwrap());
        let touched = buyer.is_some_and(|buyer| buyer.updated_ms == order.updated_ms);
        assert_eq!(touched, touches);
    }
}
