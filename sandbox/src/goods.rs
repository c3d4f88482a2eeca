//! Makes random products, categories and discounts; the same seed makes the same ones, whatever else is made.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::make::{DAY_MS, FIRST_PRODUCT, FIRST_SKU, GOODS, stamps, whole_second};
use crate::options::Options;
use crate::product::{Product, Variant};
use crate::small::{Category, Discount};

const SIZES: [&str; 5] = ["S", "M", "L", "XL", "XXL"];
const CATEGORIES: [&str; 6] = ["পোশাক", "Food", "Electronics", "Home", "শিশু", "Shoes"];

pub(crate) struct GoodsMaker {
    pub(crate) rng: Rng,
    store_id: i64,
    odd_percent: u32,
    categories: i64,
    made: usize,
    next_id: i64,
    next_sku: i64,
}

impl GoodsMaker {
    pub(crate) fn new(options: &Options) -> GoodsMaker {
        GoodsMaker {
            rng: Rng::with_seed(options.seed ^ 0x900d5),
            store_id: options.store_id,
            odd_percent: options.odd_percent,
            categories: i64::try_from(options.categories).unwrap_or(0),
            made: 0,
            next_id: FIRST_PRODUCT - 1,
            // The first numbers belong to the goods that the lines of orders name.
            next_sku: FIRST_SKU + 100,
        }
    }

    pub(crate) fn fresh_id(&mut self) -> i64 {
        self.next_id += 1;
        self.next_id
    }

    pub(crate) fn fresh_sku(&mut self) -> i64 {
        self.next_sku += 1;
        self.next_sku
    }

    /// The products the shop starts with.
    pub(crate) fn first(&mut self, count: usize, spread_days: u32, now_ms: i64) -> Vec<Product> {
        let stamps = stamps(&mut self.rng, count, spread_days, now_ms);
        stamps
            .into_iter()
            .map(|created| self.product(created, now_ms))
            .collect()
    }

    /// One product made at `created_ms` and last changed between then and `now_ms`. The first dozen are the goods that
    /// the lines of orders name.
    pub(crate) fn product(&mut self, created_ms: i64, now_ms: i64) -> Product {
        let created_ms = whole_second(created_ms);
        let age = now_ms.saturating_sub(created_ms).max(0);
        let lag = self.rng.i64(0..=age.min(60 * DAY_MS));
        let stocked = self.rng.i64(0..=age.min(10 * DAY_MS));
        let id = self.fresh_id();
        let made = self.made;
        self.made += 1;
        let (title, code, price) = GOODS[made % GOODS.len()];
        let again = made / GOODS.len();
        let name = title.split(" / ").next().unwrap_or(title);
        let name = if again == 0 {
            name.to_owned()
        } else {
            format!("{name} {again}")
        };
        let code = if again == 0 {
            code.to_owned()
        } else {
            format!("{code}-{again}")
        };
        let mut product = Product {
            id,
            store_id: self.store_id,
            slug: format!("product-{id}"),
            name,
            category_id: (self.categories > 0).then(|| 1 + id % self.categories),
            brand_id: (self.rng.u32(0..3) == 0).then(|| self.rng.i64(1..9)),
            is_active: self.rng.u32(0..100) >= 8,
            is_visible: self.rng.u32(0..100) >= 5,
            description: (self.rng.u32(0..2) == 0).then(|| "<p>খাঁটি &amp; \"pure\"</p>".to_owned()),
            short_description: None,
            is_featured: self.rng.u32(0..6) == 0,
            is_bestseller: self.rng.u32(0..6) == 0,
            created_ms,
            updated_ms: whole_second(created_ms + lag),
            stocked_ms: whole_second(now_ms - stocked),
            variants: Vec::new(),
            extra: BTreeMap::new(),
        };
        self.fill(&mut product, &code, price);
        if again == 0
            && let Some(variant) = product.variants.first_mut()
        {
            variant.sku_id = FIRST_SKU + i64::try_from(made).unwrap_or(0);
        }
        product
    }

    fn fill(&mut self, product: &mut Product, code: &str, price: i64) {
        let count = if self.rng.bool() { 1 } else { self.rng.i64(2..5) };
        for position in 0..count {
            let mut variant = self.variant(position, price);
            let size = SIZES[self.rng.usize(0..SIZES.len())];
            if count > 1 {
                variant.name = format!("{size} / {}", position + 1);
            }
            let suffix = if position == 0 {
                String::new()
            } else {
                format!("-{position}")
            };
            variant.sku_code = Some(format!("{code}{suffix}"));
            if self.rng.u32(0..100) < self.odd_percent {
                self.make_odd(&mut variant);
            }
            product.variants.push(variant);
        }
    }

    /// A variant without a code of its own.
    pub(crate) fn variant(&mut self, position: i64, price: i64) -> Variant {
        let sold_out = self.rng.u32(0..10) == 0;
        let price = price + position * 5_000;
        Variant {
            sku_id: self.fresh_sku(),
            name: "Default".to_owned(),
            sku_code: None,
            price,
            compare_at_price: (self.rng.u32(0..4) == 0).then_some(price + 20_000),
            quantity: if sold_out { 0 } else { self.rng.i64(1..120) },
            available: None,
            is_default: position == 0,
            images: (self.rng.u32(0..3) != 0)
                .then(|| format!("products/{position}.webp,https://img.example.com/1.jpg")),
            weight: (self.rng.u32(0..3) == 0).then(|| self.rng.i64(1..2_000)),
            position,
            free_shipping: false,
            extra: BTreeMap::new(),
        }
    }

    /// A change as a shop's staff would make one.
    pub(crate) fn change(&mut self, product: &mut Product) {
        match self.rng.u32(0..4) {
            0 => product.is_active = !product.is_active,
            1 => product.name.push('+'),
            2 => product.description = Some(format!("<p>edition {}</p>", self.rng.u32(1..1_000))),
            _ => {}
        }
        if let Some(at) = self.rng.choice(0..product.variants.len())
            && let Some(variant) = product.variants.get_mut(at)
        {
            variant.price += 500;
        }
    }

    fn make_odd(&mut self, variant: &mut Variant) {
        match self.rng.u32(0..5) {
            0 => variant.sku_code = None,
            1 => variant.sku_code = Some("   ".to_owned()),
            2 => variant.sku_code = Some(GOODS[0].1.to_owned()),
            3 => variant.available = Some(variant.quantity == 0),
            _ => variant.quantity = -2,
        }
    }

    pub(crate) fn categories(&self, count: usize, products: &[Product], now_ms: i64) -> Vec<Category> {
        let made = (1..=count).map(|number| {
            let id = i64::try_from(number).unwrap_or(0);
            let held = products
                .iter()
                .filter(|product| product.category_id == Some(id))
                .count();
            let stamp = whole_second(now_ms - 300 * DAY_MS);
            Category {
                id,
                store_id: self.store_id,
                name: CATEGORIES[(number - 1) % CATEGORIES.len()].to_owned(),
                slug: format!("category-{id}"),
                image: None,
                parent_id: (id > 3).then(|| id % 3 + 1),
                is_featured: id == 1,
                position_index: id / 2,
                products_count: i64::try_from(held).unwrap_or(0),
                created_ms: stamp,
                updated_ms: stamp,
            }
        });
        made.collect()
    }

    pub(crate) fn discounts(&self, count: usize, now_ms: i64) -> Vec<Discount> {
        let made = (1..=count).map(|number| {
            let id = i64::try_from(number).unwrap_or(0);
            let stamp = whole_second(now_ms - id * DAY_MS);
            let is_amount = id % 2 == 0;
            Discount {
                id,
                store_id: self.store_id,
                code: format!("EID{id:02}"),
                is_amount,
                amount: if is_amount { 10_000 } else { 0 },
                percentage: if is_amount { 0 } else { 10 },
                free_shipping_on: id % 3 == 0,
                minimum_order_value: is_amount.then_some(100_000),
                maximum_discount_amount: (!is_amount).then_some(50_000),
                is_active: id % 4 != 0,
                total_use: None,
                use_per_user: Some(1),
                starts_ms: Some(stamp),
                ends_ms: None,
                created_ms: stamp,
                updated_ms: stamp,
            }
        });
        made.collect()
    }
}
