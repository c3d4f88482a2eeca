//! What all lists have in common: rights, rules for one kind of record, movement, and the log of the truth.

use sandbox::{Change, Fault, Movement, Options, Record, Resource, Rule, Splice, When};

use crate::client::{get, set, started, walk_of};

const LISTS: [(Resource, &str, &str); 4] = [
    (Resource::Orders, "/orders", "order_id"),
    (Resource::Customers, "/customers", "user_id"),
    (Resource::Products, "/products", "product_id"),
    (Resource::Inventory, "/inventory", "product_id"),
];

#[tokio::test]
async fn each_list_has_its_own_scope() {
    let sandbox = started(Options::default()).await;
    let paths = [
        "/orders",
        "/customers",
        "/products",
        "/inventory",
        "/discounts",
        "/store",
    ];
    for path in paths {
        sandbox.world().set_access(|access| {
            access.scopes.retain(|scope| *scope != format!("read:{}", &path[1..]));
        });
        let reply = get(&sandbox, path).await;
        assert_eq!(
            (reply.status, &reply.json()["required_scope"]),
            (403, &format!("read:{}", &path[1..]).into())
        );
        assert_eq!(
            get(&sandbox, &format!("{path}/301")).await.status,
            if path == "/store" { 404 } else { 403 }
        );
    }
    assert_eq!(
        get(&sandbox, "/categories").await.json()["required_scope"],
        "read:products"
    );
}

#[tokio::test]
async fn a_rule_can_be_for_one_kind_of_record() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    for (resource, path, name) in LISTS {
        let rule = world.fault(Rule::list(Fault::EmptyPage).of(resource));
        for (other, path, name) in LISTS {
            let empty = get(&sandbox, path).await.ids_under(name).is_empty();
            assert_eq!(empty, other == resource, "{path}");
        }
        assert_eq!(world.fired(rule), 1);
        world.clear_faults();
        let id = get(&sandbox, path).await.ids_under(name)[0];
        let splice = Splice::member("spliced", "[1]");
        let what = Fault::Splice {
            order: Some(id),
            splice,
        };
        let rule = world.fault(Rule::any(what.clone()).of(resource));
        let shown = get(&sandbox, &format!("{path}/{id}")).await.json();
        assert_eq!(shown["data"]["spliced"][0], 1, "{path}");
        assert_eq!(world.fired(rule), 1);
        world.clear_faults();
        let rule = world.fault(Rule::any(what));
        get(&sandbox, &format!("{path}/{id}")).await;
        assert_eq!(
            world.fired(rule),
            u64::from(resource == Resource::Orders),
            "a bare id is an order's"
        );
        world.clear_faults();
        let rule = world.fault(
            Rule::detail(Fault::error_500())
                .of(resource)
                .record(id)
                .when(When::Times(1)),
        );
        assert_eq!(get(&sandbox, &format!("{path}/{id}")).await.status, 500);
        assert_eq!(world.fired(rule), 1);
        world.clear_faults();
    }
}

#[tokio::test]
async fn every_list_bends_to_the_faults_of_pages_and_rows() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    for (resource, path, name) in LISTS {
        let whole = get(&sandbox, &format!("{path}?limit=10&sort=updated_at:desc")).await;
        let rules = [
            Rule::list(Fault::ClampLimit { rows: 5 }),
            Rule::list(Fault::WrongTotal { total: Some(1) }),
            Rule::list(Fault::PadRows { bytes: 1_000 }),
            Rule::list(Fault::PadPage { bytes: 1_000 }),
            Rule::list(Fault::StaleCopy { lag_ms: 1_000 }),
            Rule::list(Fault::HideYoung {
                order: None,
                age_ms: 5_000,
            }),
        ];
        world.advance(std::time::Duration::from_secs(10));
        world.update_any_of(resource, 2);
        let ids: Vec<u64> = rules.into_iter().map(|rule| world.fault(rule.of(resource))).collect();
        let bent = get(&sandbox, &format!("{path}?limit=10&sort=updated_at:desc")).await;
        assert_eq!(
            (bent.ids_under(name).len(), &bent.json()["pagination"]["total"]),
            (5, &1.into()),
            "{path}"
        );
        assert!(bent.body.len() > whole.body.len() / 2 + 6_000);
        assert!(ids[..5].iter().all(|id| world.fired(*id) == 1), "{path}");
        world.clear_faults();
        let hidden = world.fault(Rule::list(Fault::HideYoung {
            order: None,
            age_ms: 5_000,
        }));
        get(&sandbox, path).await;
        assert_eq!(world.fired(hidden), 1, "{path}");
        world.clear_faults();
        let last = world.fault(Rule::list(Fault::LastPageForEver));
        let again = world.fault(Rule::list(Fault::RepeatPreviousPage).page(2));
        assert!(
            !get(&sandbox, &format!("{path}?page=99"))
                .await
                .ids_under(name)
                .is_empty()
        );
        get(&sandbox, &format!("{path}?limit=5&page=2")).await;
        assert_eq!((world.fired(last), world.fired(again)), (1, 1), "{path}");
        world.clear_faults();
    }
}

#[tokio::test]
async fn what_is_listed_moves_and_the_truth_tells() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let counts = || (world.order_count(), world.customer_count(), world.product_count());
    let before = world.events().len();
    for (resource, path, name) in LISTS {
        let others = counts();
        world.move_each_list_answer(Movement {
            inserts: 2,
            moves_max: 30,
            ..Movement::default()
        });
        while world.moves_left() > 0 {
            walk_of(&sandbox, path, "?limit=10&include_guests=true", name).await;
        }
        let now = counts();
        assert_eq!(now.0 == others.0, resource != Resource::Orders);
        assert_eq!(now.1 == others.1, resource != Resource::Customers);
        assert_eq!(
            now.2 == others.2,
            !matches!(resource, Resource::Products | Resource::Inventory)
        );
    }
    let events = world.events();
    assert_eq!(events.len(), before + 4 * 30);
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq));
    let mut held = std::collections::BTreeSet::new();
    for event in events.iter().filter(|event| event.resource() == Resource::Products) {
        match (event.kind, &event.record) {
            (Change::Deleted, _) => assert!(held.remove(&event.id)),
            (_, Record::Product(product)) => {
                assert_eq!(product.id, event.id);
                held.insert(event.id);
            }
            _ => panic!("a product's entry without a product"),
        }
    }
    assert_eq!(held, world.final_products().into_keys().collect());
    let line: serde_json::Value = serde_json::from_str(&events.last().unwrap().json()).unwrap();
    assert_eq!(
        (&line["resource"], &line["product"]["product_id"]),
        (&"products".into(), &line["id"])
    );
}

#[tokio::test]
async fn ties_are_made_in_every_list() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let stamp = world.now_ms() + 60_000;
    for (resource, path, name) in LISTS {
        let tied = world.tie_updated_of(resource, 20, stamp);
        let page = get(
            &sandbox,
            &format!("{path}?sort=updated_at:desc&limit=20&include_guests=true"),
        )
        .await;
        assert_eq!(set(&page.ids_under(name)), set(&tied), "{path}");
    }
}
