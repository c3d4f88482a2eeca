//! Products, variants and stock, categories and discounts.

use std::time::Duration;

use sandbox::{Options, StockStamps, Ties};

use crate::client::{Reply, get, set, started, walk_of};

fn goods(products: usize) -> Options {
    Options {
        products,
        orders: 0,
        customers: 0,
        ..Options::default()
    }
}

fn ids(reply: &Reply) -> Vec<i64> {
    reply.ids_under("product_id")
}

#[tokio::test]
async fn list_rows_have_no_variants_and_details_have() {
    let sandbox = started(goods(40)).await;
    let list = get(&sandbox, "/products?limit=250").await.json();
    let row = &list["data"][0];
    for absent in ["variants", "price", "quantity", "sku_code", "description"] {
        assert!(row.get(absent).is_none(), "{absent}");
    }
    let id = row["product_id"].as_i64().unwrap();
    let world = sandbox.world();
    let product = world.product(id).unwrap();
    let reply = get(&sandbox, &format!("/products/{id}")).await;
    let detail = reply.json();
    assert_eq!(
        detail["data"]["variants"].as_array().unwrap().len(),
        product.variants.len()
    );
    let first = &product.variants[0];
    let taka = format!(r#""price":{}.{:02},"#, first.price / 100, first.price % 100);
    assert!(reply.text().contains(&taka), "{taka}");
    assert!(world.delete_variant(first.sku_id));
    assert_eq!(world.stock(first.sku_id), None);
    assert!(world.delete_product(id));
    assert_eq!(get(&sandbox, &format!("/products/{id}")).await.status, 404);
    assert_eq!(get(&sandbox, &format!("/inventory/{id}")).await.status, 404);
    assert!(!ids(&get(&sandbox, "/products?limit=250").await).contains(&id));
    assert!(!ids(&get(&sandbox, "/inventory?limit=250").await).contains(&id));
}

#[tokio::test]
async fn since_is_the_change_and_the_other_filters_do_what_they_say() {
    let sandbox = started(goods(60)).await;
    let world = sandbox.world();
    let all = world.final_products();
    let old = *all.keys().next().unwrap();
    world.advance(Duration::from_secs(3_600));
    world.update_product(old, |product| product.name = "Zamdani".to_owned());
    let changed = get(
        &sandbox,
        "/products?since=2026-01-15T07:00:00.000Z&sort=updated_at:desc",
    )
    .await;
    assert_eq!(ids(&changed), [old]);
    assert_eq!(ids(&get(&sandbox, "/products?search=ZAMD").await), [old]);
    assert_eq!(
        ids(&get(&sandbox, "/products?sort=name:desc&search=zam&limit=1").await),
        [old]
    );
    let world = world.final_products();
    let count = |wanted: &dyn Fn(&sandbox::Product) -> bool| world.values().filter(|product| wanted(product)).count();
    let cases = [
        ("status=active", count(&|product| product.is_active)),
        ("status=inactive", count(&|product| !product.is_active)),
        ("category_id=2", count(&|product| product.category_id == Some(2))),
        (
            "price_min=1000&price_max=2000.50",
            count(&|product| {
                let mut variants = product.variants.iter();
                variants.any(|variant| (100_000..=200_050).contains(&variant.price))
            }),
        ),
    ];
    for (query, expected) in cases {
        assert!(expected > 0, "{query}");
        assert_eq!(
            ids(&get(&sandbox, &format!("/products?limit=250&{query}")).await).len(),
            expected,
            "{query}"
        );
    }
}

#[tokio::test]
async fn stock_is_summed_over_the_variants_and_has_no_since() {
    let sandbox = started(goods(60)).await;
    let world = sandbox.world();
    world.advance(Duration::from_secs(60));
    let product = world
        .final_products()
        .into_values()
        .find(|product| product.variants.len() > 1)
        .unwrap();
    let sku = product.variants[1].sku_id;
    assert!(world.set_stock(sku, 7));
    assert_eq!(world.move_stock(sku, -3), Some(4));
    let list = get(&sandbox, "/inventory?since=2030-01-01T00:00:00Z&limit=250").await;
    assert_eq!(ids(&list).len(), 60, "an unknown parameter is ignored");
    let row = &list.json()["data"][0];
    let now = world.product(product.id).unwrap();
    assert_eq!(row["product_id"], product.id, "the last to move is the first");
    assert_eq!(row["total_quantity"], now.total_quantity());
    assert_eq!(row["variant_count"], now.variants.len());
    assert_eq!(row["updated_at"], "2026-01-15T06:01:00.000Z");
    assert!(row.get("variants").is_none());
    let detail = get(&sandbox, &format!("/inventory/{}", product.id)).await.json();
    assert_eq!(detail["data"]["variants"][1]["quantity"], 4);
    assert_eq!(
        now.updated_ms, product.updated_ms,
        "a move of stock is no change of the product"
    );
    let out = get(&sandbox, "/inventory?status=out_of_stock&limit=250").await;
    let empty = world
        .final_products()
        .values()
        .filter(|product| product.total_quantity() <= 0)
        .count();
    assert_eq!(ids(&out).len(), empty);
    let ordered = get(&sandbox, "/inventory?sort=total_quantity:asc&limit=250")
        .await
        .json();
    let sums: Vec<i64> = ordered["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["total_quantity"].as_i64().unwrap())
        .collect();
    assert!(sums.is_sorted());
}

#[tokio::test]
async fn what_a_move_of_stock_stamps_can_be_chosen() {
    for (stamps, expected) in [
        (StockStamps::Nothing, (false, false)),
        (StockStamps::Inventory, (false, true)),
        (StockStamps::InventoryAndProduct, (true, true)),
    ] {
        let sandbox = started(Options {
            stock_stamps: stamps,
            ..goods(3)
        })
        .await;
        let world = sandbox.world();
        let product = world.final_products().into_values().next().unwrap();
        world.advance(Duration::from_secs(60));
        world.set_stock(product.variants[0].sku_id, 1);
        let now = world.product(product.id).unwrap();
        let moved = (
            now.updated_ms != product.updated_ms,
            now.stocked_ms != product.stocked_ms,
        );
        assert_eq!(moved, expected, "{stamps:?}");
    }
}

#[tokio::test]
async fn many_products_come_once_each_and_codes_can_be_odd() {
    let sandbox = started(Options {
        ties: Ties::ById,
        ..goods(20_000)
    })
    .await;
    let listed = walk_of(&sandbox, "/products", "?limit=250&sort=updated_at:desc", "product_id").await;
    assert_eq!((listed.len(), set(&listed).len()), (20_000, 20_000));
    let stocked = walk_of(&sandbox, "/inventory", "?limit=250", "product_id").await;
    assert_eq!(set(&stocked), set(&listed));
    let all = sandbox.world().final_products();
    let codes: Vec<Option<&str>> = all
        .values()
        .flat_map(|product| product.variants.iter().map(|variant| variant.sku_code.as_deref()))
        .collect();
    assert!(codes.contains(&None));
    assert!(codes.contains(&Some("   ")));
    assert!(codes.iter().filter(|code| **code == Some("PNJ-COT-L")).count() > 1);
}

#[tokio::test]
async fn lines_name_products_the_shop_has() {
    let sandbox = started(Options {
        orders: 50,
        odd_percent: 0,
        ..goods(12)
    })
    .await;
    let products = sandbox.world().final_products();
    for order in sandbox.world().final_orders().values() {
        for line in &order.lines {
            let product = &products[&line.product_id.unwrap()];
            let variant = product.variant(line.variant_id.unwrap()).unwrap();
            assert_eq!((&variant.sku_code, variant.price), (&line.sku, line.price));
        }
    }
}

#[tokio::test]
async fn short_lists_come_in_their_documented_form() {
    let sandbox = started(goods(30)).await;
    let all = get(&sandbox, "/categories?limit=2").await.json();
    assert_eq!(all["data"].as_array().unwrap().len(), 6);
    assert!(all.get("pagination").is_none());
    for query in ["parent_id=0", "parent_id=null"] {
        assert_eq!(
            get(&sandbox, &format!("/categories?{query}"))
                .await
                .ids_under("category_id")
                .len(),
            3
        );
    }
    let active = get(&sandbox, "/discounts?is_active=1").await.json();
    assert_eq!(
        (active["data"].as_array().unwrap().len(), &active["pagination"]["total"]),
        (4, &4.into())
    );
    assert_eq!(
        get(&sandbox, "/discounts?search=eid02").await.ids_under("discount_id"),
        [2]
    );
}
