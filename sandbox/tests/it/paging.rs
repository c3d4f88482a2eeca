//! Pages, sorting, filters and the forms of an order.

use std::collections::BTreeSet;

use sandbox::{DetailShape, Options, RowShape, Sandbox, Ties};
use tokio::net::TcpStream;

use crate::client::{exchange, get, set, shop, walk};

#[tokio::test]
async fn every_order_comes_once_when_nothing_moves() {
    let sandbox = shop(333).await;
    let all: BTreeSet<i64> = sandbox.world().final_orders().into_keys().collect();
    for sort in ["created_at:desc", "created_at:asc", "updated_at:desc", "updated_at:asc"] {
        let ids = walk(&sandbox, &format!("?sort={sort}&limit=100")).await;
        assert_eq!(ids.len(), 333, "{sort}");
        assert_eq!(set(&ids), all, "{sort}");
    }
}

#[tokio::test]
async fn rows_are_sorted_and_the_limit_is_clamped_silently() {
    let sandbox = shop(300).await;
    let reply = get(&sandbox, "/orders?sort=updated_at:desc&limit=9999").await;
    let body = reply.json();
    assert_eq!(
        body["pagination"],
        serde_json::json!({"page": 1, "limit": 250, "total": 300})
    );
    let stamps: Vec<&str> = body["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["updated_at"].as_str().unwrap())
        .collect();
    assert_eq!(stamps.len(), 250);
    assert!(stamps.windows(2).all(|two| two[0] >= two[1]));
    assert!(stamps.iter().all(|stamp| stamp.ends_with(".000Z")));
    let reply = get(&sandbox, "/orders?sort=phone&page=0&limit=nonsense").await;
    assert_eq!(reply.json()["pagination"]["limit"], 50);
    assert_eq!(reply.ids(), get(&sandbox, "/orders?sort=created_at:desc").await.ids());
}

#[tokio::test]
async fn strict_mode_complains_instead() {
    let sandbox = Sandbox::start(Options {
        orders: 3,
        strict: true,
        ..Options::default()
    })
    .await
    .unwrap();
    for query in ["limit=251", "page=0", "sort=phone", "since=yesterday"] {
        assert_eq!(get(&sandbox, &format!("/orders?{query}")).await.status, 400, "{query}");
    }
    assert_eq!(
        get(&sandbox, "/orders?limit=250&page=1&sort=grand_total:asc")
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn since_and_until_are_creation_times_and_inclusive() {
    let sandbox = shop(100).await;
    let mut stamps: Vec<i64> = sandbox
        .world()
        .final_orders()
        .values()
        .map(|order| order.created_ms)
        .collect();
    stamps.sort_unstable();
    let (low, high) = (stamps[20], stamps[69]);
    let text = |ms: i64| jiff_text(ms);
    let query = format!("/orders?limit=250&since={}&until={}", text(low), text(high));
    let created = get(&sandbox, &format!("{query}&sort=created_at:asc")).await;
    let totals = get(&sandbox, &format!("{query}&sort=grand_total:asc")).await;
    assert_eq!(created.ids().len(), 50);
    assert_eq!(set(&created.ids()), set(&totals.ids()));
    assert_eq!(created.json()["pagination"]["total"], 50);
    let next = format!("/orders?limit=250&since={}&until={}", text(low + 1), text(high - 1));
    assert_eq!(get(&sandbox, &next).await.ids().len(), 48);
    let offset = format!("/orders?limit=250&since={}", text(low).replace('Z', "%2B00:00"));
    assert_eq!(get(&sandbox, &offset).await.ids().len(), 80);
}

fn jiff_text(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap().to_string()
}

#[tokio::test]
async fn status_and_customer_select_exactly() {
    let sandbox = shop(200).await;
    let customer = sandbox
        .world()
        .final_orders()
        .values()
        .find_map(|order| order.user_id)
        .unwrap();
    let orders = sandbox.world().final_orders();
    let pending = orders.values().filter(|order| order.status == "delivered").count();
    let ids = walk(&sandbox, "?status=delivered&limit=7").await;
    assert_eq!((ids.len(), set(&ids).len()), (pending, pending));
    let ids = walk(&sandbox, &format!("?customer_id={customer}&limit=250")).await;
    assert!(!ids.is_empty() && ids.iter().all(|id| orders[id].user_id == Some(customer)));
    let changed = ids[0];
    sandbox.world().update_order(changed, |order| order.user_id = None);
    assert!(
        !walk(&sandbox, &format!("?customer_id={customer}&limit=250"))
            .await
            .contains(&changed)
    );
}

#[tokio::test]
async fn ties_come_in_a_new_order_each_time_and_are_complete_on_one_page() {
    let sandbox = shop(240).await;
    let stamp = sandbox.world().now_ms();
    let tied = sandbox.world().tie_updated(200, stamp);
    let first = get(&sandbox, "/orders?sort=updated_at:desc&limit=200").await.ids();
    let second = get(&sandbox, "/orders?sort=updated_at:desc&limit=200").await.ids();
    assert_eq!(set(&first), set(&tied));
    assert_eq!(set(&second), set(&tied));
    assert_ne!(first, second);
    let across = walk(&sandbox, "?sort=updated_at:desc&limit=30").await;
    assert_eq!(across.len(), 240);
    assert!(set(&across).len() < 240, "a tie over several pages loses rows");
    let created = sandbox.world().tie_created(5, stamp);
    let newest = get(&sandbox, "/orders?sort=created_at:desc&limit=5").await.ids();
    assert_eq!(set(&newest), set(&created));
}

#[tokio::test]
async fn ties_can_be_stable() {
    let sandbox = Sandbox::start(Options {
        orders: 60,
        ties: Ties::ById,
        ..Options::default()
    })
    .await
    .unwrap();
    sandbox.world().tie_updated(60, sandbox.world().now_ms());
    let ids = walk(&sandbox, "?sort=updated_at:desc&limit=7").await;
    assert_eq!(set(&ids).len(), 60);
}

#[tokio::test]
async fn money_has_two_decimals_and_adds_up() {
    let sandbox = shop(50).await;
    let id = sandbox.world().insert_order(|order| {
        order.lines[0].price = 1_234_505;
        order.lines[0].quantity = Some(3);
        order.lines.truncate(1);
        (order.tax, order.shipping, order.discount) = (7, 6_000, 10_000);
    });
    let text = get(&sandbox, &format!("/orders/{id}")).await.text();
    assert!(
        text.contains(r#""sub_total":37035.15,"tax":0.07,"shipping":60.00,"discount":100.00,"grand_total":36995.22"#)
    );
    assert!(text.contains(r#""price":12345.05,"quantity":3"#));
}

#[tokio::test]
async fn rows_and_details_come_in_the_shape_that_was_asked_for() {
    let bare = Options {
        orders: 1,
        rows: RowShape::Bare,
        detail: DetailShape::Aliased,
        ..Options::default()
    };
    let sandbox = Sandbox::start(bare).await.unwrap();
    let row = get(&sandbox, "/orders").await.json()["data"][0].clone();
    assert!(row.get("items").is_none() && row.get("customer_name").is_none());
    let detail = get(&sandbox, &format!("/orders/{}", row["order_id"])).await.json()["data"].clone();
    assert_eq!(detail["id"], row["order_id"]);
    assert!(detail["line_items"].is_array() && detail["delivery_address"].is_string());
    let wrapped = Options {
        orders: 1,
        detail: DetailShape::Wrapped,
        ..Options::default()
    };
    let sandbox = Sandbox::start(wrapped).await.unwrap();
    let id = get(&sandbox, "/orders").await.ids()[0];
    let detail = get(&sandbox, &format!("/orders/{id}")).await.json()["data"].clone();
    assert_eq!(detail["order"]["order_id"], id);
    assert_eq!(detail["items"], detail["order"]["items"]);
    let missing = get(&sandbox, "/orders/1").await;
    assert_eq!(
        (missing.status, missing.json()["message"].as_str()),
        (404, Some("Order not found"))
    );
}

#[tokio::test]
async fn one_connection_takes_many_requests_and_every_answer_has_the_worlds_date() {
    let sandbox = shop(3).await;
    let mut stream = TcpStream::connect(sandbox.addr()).await.unwrap();
    for _ in 0..3 {
        let reply = exchange(&mut stream, "GET", "/api/apps/v1/orders", &[], "").await;
        assert_eq!(reply.header("Date"), Some("Thu, 15 Jan 2026 06:00:00 GMT"));
    }
    assert_eq!((sandbox.world().connections(), sandbox.world().request_count()), (1, 3));
}

#[tokio::test]
async fn the_same_seed_makes_the_same_shop() {
    let (one, two) = (shop(40).await, shop(40).await);
    assert_eq!(one.world().final_orders(), two.world().final_orders());
    let ids: Vec<i64> = one.world().final_orders().into_keys().collect();
    assert!(ids.windows(2).any(|two| two[1] - two[0] > 1), "ids have gaps");
}
