//! All the pretend shop holds and how it changes; it knows neither HTTP nor faults.

use std::collections::HashMap;
use std::io;

use crate::customer::Customer;
use crate::goods::GoodsMaker;
use crate::journal::Journal;
use crate::make::{Maker, whole_second};
use crate::metafields::Metafields;
use crate::options::{Options, StockStamps};
use crate::order::Order;
use crate::people::PeopleMaker;
use crate::product::{Product, Variant};
use crate::resource::Resource;
use crate::small::{Category, Discount};
use crate::table::{Row, Table};

pub(crate) struct Shop {
    pub(crate) orders: Table<Order>,
    pub(crate) customers: Table<Customer>,
    pub(crate) products: Table<Product>,
    pub(crate) categories: Table<Category>,
    pub(crate) discounts: Table<Discount>,
    pub(crate) metafields: Metafields,
    pub(crate) journal: Journal,
    pub(crate) maker: Maker,
    pub(crate) people: PeopleMaker,
    pub(crate) goods: GoodsMaker,
    /// Which product holds a variant.
    skus: HashMap<i64, i64>,
    stock_stamps: StockStamps,
    orders_touch_customers: bool,
}

impl Shop {
    pub(crate) fn new(options: &Options, now_ms: i64) -> io::Result<Shop> {
        let mut people = PeopleMaker::new(options);
        let mut goods = GoodsMaker::new(options);
        let mut maker = Maker::new(options.seed, options.store_id, options.odd_percent);
        let mut customers = people.first(options.customers, options.spread_days, now_ms);
        let buyers = Table::new(customers.clone());
        let orders = maker.first_orders(options.orders, options.spread_days, now_ms, &buyers);
        people.reckon(&mut customers, &orders);
        let products = goods.first(options.products, options.spread_days, now_ms);
        let skus = products.iter().flat_map(|product| {
            let variants = product.variants.iter();
            variants.map(|variant| (variant.sku_id, product.id))
        });
        let mut shop = Shop {
            skus: skus.collect(),
            categories: Table::new(goods.categories(options.categories, &products, now_ms)),
            discounts: Table::new(goods.discounts(options.discounts, now_ms)),
            orders: Table::new(orders),
            customers: Table::new(customers),
            products: Table::new(products),
            metafields: Metafields::new(),
            journal: Journal::new(options.truth_file.as_deref())?,
            maker,
            people,
            goods,
            stock_stamps: options.stock_stamps,
            orders_touch_customers: options.orders_touch_customers,
        };
        shop.orders.note_all(&mut shop.journal, now_ms);
        shop.customers.note_all(&mut shop.journal, now_ms);
        shop.products.note_all(&mut shop.journal, now_ms);
        shop.categories.note_all(&mut shop.journal, now_ms);
        shop.discounts.note_all(&mut shop.journal, now_ms);
        shop.journal.end_first();
        Ok(shop)
    }

    pub(crate) fn random_order(&mut self, now_ms: i64) -> Order {
        self.maker.order(now_ms, now_ms, &self.customers)
    }

    /// Adds an order; an id already taken is replaced by a fresh one.
    pub(crate) fn insert_order(&mut self, mut order: Order, now_ms: i64) -> i64 {
        while self.orders.has(order.id) {
            order.id = self.maker.fresh_id();
        }
        let buyer = order.user_id.and_then(|id| self.customers.get(id));
        let buyer = buyer.filter(|_| self.orders_touch_customers);
        if let Some(mut buyer) = buyer.map(|buyer| buyer.as_ref().clone()) {
            buyer.total_orders += 1;
            buyer.total_spent = buyer.total_spent.saturating_add(order.grand_total());
            buyer.touch(now_ms);
            self.customers.replace(buyer, &mut self.journal, now_ms);
        }
        self.orders.insert(order, &mut self.journal, now_ms)
    }

    pub(crate) fn insert_customer(&mut self, mut customer: Customer, now_ms: i64) -> i64 {
        while self.customers.has(customer.id) {
            customer.id = self.people.fresh_id();
        }
        self.customers.insert(customer, &mut self.journal, now_ms)
    }

    /// Variants whose number is taken get fresh ones, as the product does.
    pub(crate) fn insert_product(&mut self, mut product: Product, now_ms: i64) -> i64 {
        while self.products.has(product.id) {
            product.id = self.goods.fresh_id();
        }
        for variant in &mut product.variants {
            while self.skus.contains_key(&variant.sku_id) {
                variant.sku_id = self.goods.fresh_sku();
            }
            self.skus.insert(variant.sku_id, product.id);
        }
        self.products.insert(product, &mut self.journal, now_ms)
    }

    pub(crate) fn replace_product(&mut self, product: Product, now_ms: i64) -> bool {
        let id = product.id;
        if !self.forget_skus(id) {
            return false;
        }
        self.skus
            .extend(product.variants.iter().map(|variant| (variant.sku_id, id)));
        self.products.replace(product, &mut self.journal, now_ms)
    }

    pub(crate) fn remove_product(&mut self, id: i64, now_ms: i64) -> bool {
        self.forget_skus(id);
        self.products.remove(id, &mut self.journal, now_ms)
    }

    /// False if there is no such product.
    fn forget_skus(&mut self, product: i64) -> bool {
        let Some(product) = self.products.get(product) else {
            return false;
        };
        for variant in &product.variants {
            self.skus.remove(&variant.sku_id);
        }
        true
    }

    /// The product that holds a variant.
    pub(crate) fn product_of(&self, sku_id: i64) -> Option<i64> {
        self.skus.get(&sku_id).copied()
    }

    /// Changes the stock of one variant, with the stamps the options give such a change.
    pub(crate) fn stock(&mut self, sku_id: i64, now_ms: i64, change: impl FnOnce(i64) -> i64) -> Option<i64> {
        let product = self.product_of(sku_id).and_then(|id| self.products.get(id))?;
        let mut product = product.as_ref().clone();
        let variant = product.variants.iter_mut().find(|variant| variant.sku_id == sku_id)?;
        variant.quantity = change(variant.quantity);
        let quantity = variant.quantity;
        match self.stock_stamps {
            StockStamps::Nothing => {}
            StockStamps::Inventory => product.stocked_ms = whole_second(now_ms),
            StockStamps::InventoryAndProduct => product.touch(now_ms),
        }
        self.products.replace(product, &mut self.journal, now_ms);
        Some(quantity)
    }

    /// A variant put into a product; a number already taken is replaced by a fresh one. The product is stamped.
    pub(crate) fn insert_variant(&mut self, product: i64, mut variant: Variant, now_ms: i64) -> Option<i64> {
        let mut product = self.products.get(product)?.as_ref().clone();
        while self.skus.contains_key(&variant.sku_id) {
            variant.sku_id = self.goods.fresh_sku();
        }
        let sku_id = variant.sku_id;
        product.variants.push(variant);
        product.touch(now_ms);
        self.replace_product(product, now_ms).then_some(sku_id)
    }

    /// Changes a random record of this kind as a shop's staff would; false if there is none.
    pub(crate) fn change_any(&mut self, resource: Resource, now_ms: i64) -> bool {
        match resource {
            Resource::Orders => self.change_any_order(now_ms),
            Resource::Customers => {
                let found = self.customers.any_id(&mut self.people.rng);
                let found = found.and_then(|id| self.customers.get(id));
                let Some(mut customer) = found.map(|row| row.as_ref().clone()) else {
                    return false;
                };
                self.people.change(&mut customer);
                customer.touch(now_ms);
                self.customers.replace(customer, &mut self.journal, now_ms)
            }
            Resource::Products => {
                let Some(mut product) = self.any_product() else {
                    return false;
                };
                self.goods.change(&mut product);
                product.touch(now_ms);
                self.replace_product(product, now_ms)
            }
            Resource::Inventory => {
                let Some(product) = self.any_product() else {
                    return false;
                };
                let Some(variant) = self.goods.rng.choice(&product.variants) else {
                    return false;
                };
                let moved = self.goods.rng.i64(-3..=3);
                self.stock(variant.sku_id, now_ms, |quantity| quantity + moved)
                    .is_some()
            }
            _ => false,
        }
    }

    /// A new random record; false for a kind that does not move.
    pub(crate) fn insert_any(&mut self, resource: Resource, now_ms: i64) -> bool {
        match resource {
            Resource::Orders => {
                let order = self.random_order(now_ms);
                self.insert_order(order, now_ms);
            }
            Resource::Customers => {
                let customer = self.people.customer(now_ms, now_ms);
                self.insert_customer(customer, now_ms);
            }
            Resource::Products | Resource::Inventory => {
                let product = self.goods.product(now_ms, now_ms);
                self.insert_product(product, now_ms);
            }
            _ => return false,
        }
        true
    }

    pub(crate) fn delete_any(&mut self, resource: Resource, now_ms: i64) -> bool {
        match resource {
            Resource::Orders => {
                let id = self.orders.any_id(&mut self.maker.rng);
                id.is_some_and(|id| self.orders.remove(id, &mut self.journal, now_ms))
            }
            Resource::Customers => {
                let id = self.customers.any_id(&mut self.people.rng);
                id.is_some_and(|id| self.customers.remove(id, &mut self.journal, now_ms))
            }
            Resource::Products | Resource::Inventory => {
                let id = self.products.any_id(&mut self.goods.rng);
                id.is_some_and(|id| self.remove_product(id, now_ms))
            }
            _ => false,
        }
    }

    fn change_any_order(&mut self, now_ms: i64) -> bool {
        let found = self.orders.any_id(&mut self.maker.rng);
        let found = found.and_then(|id| self.orders.get(id));
        let Some(mut order) = found.map(|order| order.as_ref().clone()) else {
            return false;
        };
        self.maker.change(&mut order);
        order.touch(now_ms);
        self.orders.replace(order, &mut self.journal, now_ms)
    }

    fn any_product(&mut self) -> Option<Product> {
        let id = self.products.any_id(&mut self.goods.rng)?;
        self.products.get(id).map(|row| row.as_ref().clone())
    }
}
