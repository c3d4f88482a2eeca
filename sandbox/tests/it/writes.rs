//! Writes: what they change, what they refuse, and the ways in which their answers mislead.

use sandbox::{By, Fault, Options, Record, Resource, Rule, StatusKey, VariantPut, When};

use crate::client::{End, ask, get, started};

fn first(sandbox: &sandbox::Sandbox) -> i64 {
    *sandbox.world().final_orders().keys().next().unwrap()
}

#[tokio::test]
async fn a_status_under_the_wrong_key_is_answered_and_ignored() {
    for (key, works) in [
        (StatusKey::Status, [true, false]),
        (StatusKey::OrderStatus, [false, true]),
        (StatusKey::Either, [true, true]),
    ] {
        let sandbox = started(Options {
            status_key: key,
            ..Options::default()
        })
        .await;
        let path = format!("/orders/{}/status", first(&sandbox));
        for (name, works) in ["status", "order_status"].into_iter().zip(works) {
            let reply = ask(&sandbox, "PUT", &path, &format!(r#"{{"{name}":"by {name}"}}"#)).await;
            assert_eq!(reply.status, 200);
            let now = sandbox.world().order(first(&sandbox)).unwrap();
            assert_eq!(now.status == format!("by {name}"), works, "{key:?} {name}");
            assert_eq!(reply.json()["data"]["order_status"], now.status.as_str());
        }
    }
}

#[tokio::test]
async fn orders_are_written_as_the_api_and_stamped() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    world.advance(std::time::Duration::from_secs(60));
    let id = first(&sandbox);
    let reply = ask(
        &sandbox,
        "PUT",
        &format!("/orders/{id}"),
        r#"{"note":"n","shipping":70.5,"odd":1}"#,
    )
    .await;
    assert_eq!(reply.status, 200);
    let order = world.order(id).unwrap();
    assert_eq!(
        (order.note.as_deref(), order.shipping, order.updated_ms),
        (Some("n"), 7_050, world.now_ms())
    );
    assert!(order.extra.is_empty(), "unknown names are ignored");
    let last = world.events().pop().unwrap();
    assert_eq!((last.by, last.resource(), last.id), (By::Api, Resource::Orders, id));
    assert!(last.json().contains(r#""by":"api""#));
    let sku = world.final_products().values().next().unwrap().variants[0].clone();
    let body = format!(
        r#"{{"customer_id":301,"items":[{{"sku_id":{},"quantity":3}},{{"name":"গিফট","price":"12.50"}}],"shipping":60}}"#,
        sku.sku_id
    );
    let made = ask(&sandbox, "POST", "/orders", &body).await.json();
    let made = world.order(made["data"]["order_id"].as_i64().unwrap()).unwrap();
    assert_eq!(made.sub_total(), 3 * sku.price + 1_250);
    assert_eq!((made.lines[0].sku.clone(), made.user_id), (sku.sku_code, Some(301)));
    for (method, path, body, status) in [
        ("POST", "/orders", "{}", 400),
        ("POST", "/orders", r#"{"items":[{"sku_id":1}]}"#, 400),
        ("PUT", "/orders/1", "{}", 404),
        ("PUT", "/orders/x/status", r#"{"status":"a"}"#, 404),
        ("PUT", "/orders", "{}", 405),
        ("PUT", &*format!("/orders/{id}"), "{", 400),
        ("PUT", &*format!("/orders/{id}"), r#"{"shipping":"much"}"#, 400),
    ] {
        assert_eq!(
            ask(&sandbox, method, path, body).await.status,
            status,
            "{method} {path} {body}"
        );
    }
}

#[tokio::test]
async fn customers_products_and_variants_come_and_go() {
    let sandbox = started(Options {
        created_code: 201,
        ..Options::default()
    })
    .await;
    let world = sandbox.world();
    let made = ask(
        &sandbox,
        "POST",
        "/customers",
        r#"{"name":"Nila","phone":"01711111111","address_json":{"city":"Dhaka"}}"#,
    )
    .await;
    assert_eq!(made.status, 201);
    let id = made.json()["data"]["user_id"].as_i64().unwrap();
    ask(
        &sandbox,
        "PUT",
        &format!("/customers/{id}"),
        r#"{"email":"n@example.com"}"#,
    )
    .await;
    let customer = world.customer(id).unwrap();
    assert_eq!(
        (customer.email.as_deref(), customer.city.as_deref()),
        (Some("n@example.com"), Some("Dhaka"))
    );
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("/customers/{id}"), "").await.status,
        200
    );
    assert_eq!(get(&sandbox, &format!("/customers/{id}")).await.status, 404);
    let body = r#"{"name":"Mug","variants":[{"price":250,"sku_code":"MUG","quantity":4}]}"#;
    let made = ask(&sandbox, "POST", "/products", body).await.json();
    let id = made["data"]["product_id"].as_i64().unwrap();
    let sku = made["data"]["variants"][0]["sku_id"].as_i64().unwrap();
    assert_eq!((world.stock(sku), world.product_of(sku)), (Some(4), Some(id)));
    let path = format!("/products/{id}/variants");
    let more = ask(&sandbox, "POST", &path, r#"{"price":300.75,"variant_name":"Large"}"#)
        .await
        .json();
    let large = more["data"]["sku_id"].as_i64().unwrap();
    assert_eq!(
        ask(&sandbox, "PUT", &format!("{path}/{large}"), r#"{"images":"a,b"}"#)
            .await
            .status,
        200
    );
    let product = world.product(id).unwrap();
    assert_eq!(product.variant(large).unwrap().images.as_deref(), Some("a,b"));
    assert_eq!(
        product.variant(large).unwrap().price,
        30_075,
        "a part of a body leaves the rest"
    );
    ask(
        &sandbox,
        "PUT",
        &format!("/products/{id}"),
        r#"{"is_active":0,"name":"Cup"}"#,
    )
    .await;
    assert!(!world.product(id).unwrap().is_active);
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("{path}/{large}"), "").await.status,
        200
    );
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("{path}/{large}"), "").await.status,
        404
    );
    assert_eq!(
        ask(&sandbox, "DELETE", &format!("/products/{id}"), "").await.status,
        200
    );
    assert_eq!(get(&sandbox, &format!("/products/{id}")).await.status, 404);
    assert_eq!(world.written().len(), 3 + 6);
}

#[tokio::test]
async fn stock_is_set_or_moved() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let product = world.final_products().into_values().next().unwrap();
    let (id, sku) = (product.id, product.variants[0].sku_id);
    let set = ask(
        &sandbox,
        "PUT",
        &format!("/inventory/{id}"),
        &format!(r#"{{"sku_id":{sku},"quantity":40}}"#),
    )
    .await;
    assert_eq!(set.json()["data"]["variants"][0]["quantity"], 40);
    for (key, left) in [("adjustment", 38), ("quantity", 36), ("delta", 34)] {
        let body = format!(r#"{{"sku_id":{sku},"{key}":-2,"reason":"sold"}}"#);
        assert_eq!(
            ask(&sandbox, "POST", &format!("/inventory/{id}/adjust"), &body)
                .await
                .status,
            200
        );
        assert_eq!(world.stock(sku), Some(left));
    }
    for body in [
        r#"{"quantity":1}"#.to_owned(),
        r#"{"sku_id":1,"quantity":1}"#.to_owned(),
        format!(r#"{{"sku_id":{sku}}}"#),
    ] {
        let status = ask(&sandbox, "PUT", &format!("/inventory/{id}"), &body).await.status;
        assert!(status == 400 || status == 404, "{body}");
    }
    assert_eq!(world.stock(sku), Some(34));
}

#[tokio::test]
async fn writes_need_their_own_scope() {
    let sandbox = started(Options::default()).await;
    sandbox
        .world()
        .set_access(|access| access.scopes.retain(|scope| !scope.starts_with("write")));
    for (method, path, scope) in [
        ("PUT", "/orders/1", "write:orders"),
        ("POST", "/customers", "write:customers"),
        ("DELETE", "/products/1/variants/2", "write:products"),
        ("POST", "/inventory/1/adjust", "write:inventory"),
        ("POST", "/metafields/values", "write:metafields"),
    ] {
        let reply = ask(&sandbox, method, path, "{}").await;
        assert_eq!((reply.status, &reply.json()["required_scope"]), (403, &scope.into()));
    }
    assert_eq!(sandbox.world().written().len(), 0);
}

#[tokio::test]
async fn faults_of_writes_say_one_thing_and_do_another() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let path = format!("/orders/{}/status", first(&sandbox));
    for (what, status, written) in [
        (Fault::AnswerLost, 0, true),
        (Fault::WriteRefused, 400, false),
        (Fault::WriteIgnored, 200, false),
        (Fault::WriteFailed { written: true }, 500, true),
        (Fault::WriteFailed { written: false }, 500, false),
        (Fault::error_500(), 500, false),
    ] {
        let rule = world.fault(Rule::write(what.clone()).of(Resource::Orders).when(When::Times(1)));
        let before = world.written().len();
        assert_eq!(get(&sandbox, "/orders").await.status, 200, "a read is not hit");
        let reply = ask(&sandbox, "PUT", &path, r#"{"status":"new"}"#).await;
        assert_eq!(
            (reply.status, world.written().len() - before),
            (status, usize::from(written)),
            "{what:?}"
        );
        assert_eq!(reply.end == End::Reset, what == Fault::AnswerLost);
        assert_eq!(world.fired(rule), 1);
    }
}

#[tokio::test]
async fn a_put_of_a_variant_can_fail_either_way() {
    for (mode, status, written) in [
        (VariantPut::Works, 200, true),
        (VariantPut::FailsWritten, 500, true),
        (VariantPut::FailsUnwritten, 500, false),
    ] {
        let sandbox = started(Options {
            variant_put: mode,
            ..Options::default()
        })
        .await;
        let product = sandbox.world().final_products().into_values().next().unwrap();
        let path = format!("/products/{}/variants/{}", product.id, product.variants[0].sku_id);
        assert_eq!(ask(&sandbox, "PUT", &path, r#"{"price":1}"#).await.status, status);
        let now = sandbox.world().product(product.id).unwrap();
        assert_eq!(now.variants[0].price == 100, written, "{mode:?}");
        assert!(matches!(sandbox.world().written().first(), Some(Record::Product(_))) == written);
    }
}

#[tokio::test]
async fn filters_that_fit_filter_and_others_are_ignored_without_a_word() {
    let sandbox = started(Options {
        rows: sandbox::RowShape::Bare,
        ..Options::default()
    })
    .await;
    let all = sandbox.world().final_orders();
    let count = |wanted: &dyn Fn(&sandbox::Order) -> bool| all.values().filter(|order| wanted(order)).count();
    let ids: Vec<i64> = all.keys().copied().take(2).collect();
    let cases = [
        (
            r#"{"name":"order_status","type":"is","dataType":"select","value":["delivered"]}"#.to_owned(),
            count(&|order| order.status == "delivered"),
        ),
        (
            format!(
                r#"{{"name":"order_id","type":"is","dataType":"select","value":[{},"{}"]}}"#,
                ids[0], ids[1]
            ),
            2,
        ),
        (
            r#"{"name":"tracking_code","type":"is_not_empty","dataType":"text","value":""}"#.to_owned(),
            count(&|order| order.tracking_code.as_ref().is_some_and(|code| !code.is_empty())),
        ),
        (
            r#"{"name":"order_status","type":"select","dataType":"text","value":["delivered"]}"#.to_owned(),
            all.len(),
        ),
        (
            r#"{"name":"grand_total","type":"is","dataType":"select","value":[1]}"#.to_owned(),
            all.len(),
        ),
    ];
    for (filter, expected) in cases {
        let body = format!(r#"{{"filters":[{filter}],"limit":500,"page":1,"sort":"created_at","order":"DESC"}}"#);
        let reply = ask(&sandbox, "POST", "/orders/filters", &body).await;
        assert_eq!(
            (reply.status, &reply.json()["pagination"]["total"]),
            (200, &expected.into()),
            "{filter}"
        );
        assert_eq!(reply.json()["pagination"]["limit"], 250);
        assert!(reply.json()["data"][0]["items"].is_array());
    }
    assert_eq!(sandbox.world().written().len(), 0, "it only reads");
}
