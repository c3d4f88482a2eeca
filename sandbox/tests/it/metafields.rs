//! Metafields: definitions before values, a limit of their own, and a platform that does not have the tables.

use sandbox::{Options, Rate};

use crate::client::{ask, get, started};

const DEFINITION: &str =
    r#"{"namespace":"erp","key":"order_no","name":"n","resource_type":"order","value_type":"string"}"#;

fn value(order: i64, value: &str) -> String {
    format!(
        r#"{{"metafields":[{{"namespace":"erp","key":"order_no","resource_type":"order","resource_id":{order},"value":"{value}"}}]}}"#
    )
}

#[tokio::test]
async fn a_value_needs_a_definition_and_shows_in_its_order() {
    let sandbox = started(Options::default()).await;
    let world = sandbox.world();
    let id = *world.final_orders().keys().next().unwrap();
    assert_eq!(
        ask(&sandbox, "POST", "/metafields/values", &value(id, "A"))
            .await
            .status,
        400
    );
    assert_eq!(
        ask(&sandbox, "POST", "/metafields/definitions", DEFINITION)
            .await
            .status,
        200
    );
    assert_eq!(
        ask(&sandbox, "POST", "/metafields/definitions", DEFINITION)
            .await
            .status,
        409
    );
    let wrong = DEFINITION.replace("order_no", "Order No");
    assert_eq!(
        ask(&sandbox, "POST", "/metafields/definitions", &wrong).await.status,
        400
    );
    let known = get(&sandbox, "/metafields/definitions?resource_type=order")
        .await
        .json();
    assert_eq!(known["data"][0]["key"], "order_no");
    let stamp = world.order(id).unwrap().updated_ms;
    for text in ["A", "SO-7"] {
        assert_eq!(
            ask(&sandbox, "POST", "/metafields/values", &value(id, text))
                .await
                .status,
            200
        );
    }
    let shown = get(&sandbox, &format!("/orders/{id}")).await.json();
    assert_eq!(shown["data"]["metafields"]["erp.order_no"], "SO-7");
    assert_eq!(world.order(id).unwrap().updated_ms, stamp);
    let read = get(
        &sandbox,
        &format!("/metafields/values?resource_type=order&resource_id={id}"),
    )
    .await
    .json();
    assert_eq!(
        (read["data"].as_array().unwrap().len(), &read["data"][0]["value"]),
        (1, &"SO-7".into())
    );
    assert_eq!(world.metafields()[0].value, "SO-7");
    let body = r#"{"exclude_metafields":[{"namespace":"erp","key":"order_no"}],"limit":250}"#;
    let left = ask(&sandbox, "POST", "/orders/filters", body).await;
    assert_eq!((left.ids().len(), left.ids().contains(&id)), (199, false));
}

#[tokio::test]
async fn the_limit_is_their_own_and_the_tables_can_be_missing() {
    let sandbox = started(Options {
        metafield_rate: Some(Rate {
            requests: 2,
            window: std::time::Duration::from_secs(60),
            announce: false,
        }),
        ..Options::default()
    })
    .await;
    let codes = [200, 200, 429];
    for code in codes {
        let reply = get(&sandbox, "/metafields/definitions").await;
        assert_eq!(
            (reply.status, reply.header("Retry-After").is_some()),
            (code, code == 429)
        );
    }
    assert_eq!(get(&sandbox, "/orders").await.status, 200);
    let sandbox = started(Options {
        metafields: false,
        ..Options::default()
    })
    .await;
    let reply = ask(&sandbox, "POST", "/metafields/definitions", DEFINITION).await;
    assert_eq!((reply.status, reply.text().contains("doesn't exist")), (500, true));
}
