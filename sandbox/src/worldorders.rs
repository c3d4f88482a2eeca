//! What a test sees and changes of the shop's orders and customers. No method waits for a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::customer::Customer;
use crate::journal::Journal;
use crate::make::whole_second;
use crate::order::Order;
use crate::resource::Resource;
use crate::table::{Row, Table};
use crate::world::World;

impl World {
    /// A random order created now, after `edit`; both stamps are the world's now unless `edit` sets others.
    /// An id that is taken is replaced. Returns the id.
    pub fn insert_order(&self, edit: impl FnOnce(&mut Order)) -> i64 {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let mut order = inner.shop.random_order(now_ms);
        edit(&mut order);
        inner.shop.insert_order(order, now_ms)
    }

    /// So many random orders created now.
    pub fn insert_orders(&self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.insert_order(|_| {})).collect()
    }

    /// Changes an order and stamps it with the world's now. False if there is no such order.
    pub fn update_order(&self, id: i64, edit: impl FnOnce(&mut Order)) -> bool {
        self.edit_order(id, |order, now_ms| {
            edit(order);
            order.touch(now_ms);
        })
    }

    /// Changes an order and leaves `updated_ms` to `edit`: a change the platform does not stamp, or any odd stamp.
    pub fn update_order_quietly(&self, id: i64, edit: impl FnOnce(&mut Order)) -> bool {
        self.edit_order(id, |order, _| edit(order))
    }

    /// So many random changes of random orders, stamped.
    pub fn update_any(&self, count: usize) {
        self.update_any_of(Resource::Orders, count);
    }

    /// So many random changes of random records of this kind, stamped; of `Inventory`, changes of stock.
    pub fn update_any_of(&self, resource: Resource, count: usize) {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        for _ in 0..count {
            inner.shop.change_any(resource, now_ms);
        }
    }

    pub fn delete_order(&self, id: i64) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let shop = &mut inner.shop;
        shop.orders.remove(id, &mut shop.journal, now_ms)
    }

    /// Gives `count` random orders this `updated_at` (ms since 1970); returns their ids.
    pub fn tie_updated(&self, count: usize, stamp_ms: i64) -> Vec<i64> {
        self.tie_updated_of(Resource::Orders, count, stamp_ms)
    }

    /// Gives `count` random records of this kind this `updated_at`; of `Inventory`, the one of its rows.
    pub fn tie_updated_of(&self, resource: Resource, count: usize, stamp_ms: i64) -> Vec<i64> {
        let stamp_ms = whole_second(stamp_ms);
        let ids = self.any_ids(resource, count);
        for id in &ids {
            match resource {
                Resource::Orders => self.update_order_quietly(*id, |order| order.updated_ms = stamp_ms),
                Resource::Customers => self.update_customer_quietly(*id, |customer| customer.updated_ms = stamp_ms),
                Resource::Products => self.update_product_quietly(*id, |product| product.updated_ms = stamp_ms),
                Resource::Inventory => self.update_product_quietly(*id, |product| product.stocked_ms = stamp_ms),
                _ => false,
            };
        }
        ids
    }

    /// Gives `count` random orders this `created_at` (ms since 1970); `updated_at` stays. Returns their ids.
    pub fn tie_created(&self, count: usize, stamp_ms: i64) -> Vec<i64> {
        let ids = self.any_ids(Resource::Orders, count);
        for id in &ids {
            self.update_order_quietly(*id, |order| order.created_ms = whole_second(stamp_ms));
        }
        ids
    }

    fn any_ids(&self, resource: Resource, count: usize) -> Vec<i64> {
        let mut inner = self.lock();
        let mut ids: Vec<i64> = match resource {
            Resource::Orders => inner.shop.orders.sorted().into_keys().collect(),
            Resource::Customers => inner.shop.customers.sorted().into_keys().collect(),
            Resource::Products | Resource::Inventory => inner.shop.products.sorted().into_keys().collect(),
            _ => Vec::new(),
        };
        inner.rng.shuffle(&mut ids);
        ids.truncate(count);
        ids
    }

    fn edit_order(&self, id: i64, edit: impl FnOnce(&mut Order, i64)) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let shop = &mut inner.shop;
        edit_in(&mut shop.orders, &mut shop.journal, id, now_ms, edit)
    }

    pub fn order(&self, id: i64) -> Option<Arc<Order>> {
        self.lock().shop.orders.get(id).cloned()
    }

    pub fn order_count(&self) -> usize {
        self.lock().shop.orders.len()
    }

    /// What the shop holds now, by id: what a client that missed nothing would have.
    pub fn final_orders(&self) -> BTreeMap<i64, Arc<Order>> {
        self.lock().shop.orders.sorted()
    }

    /// A random customer who came now, after `edit`; both stamps are the world's now unless `edit` sets others.
    /// An id that is taken is replaced. Returns the id.
    pub fn insert_customer(&self, edit: impl FnOnce(&mut Customer)) -> i64 {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let mut customer = inner.shop.people.customer(now_ms, now_ms);
        edit(&mut customer);
        inner.shop.insert_customer(customer, now_ms)
    }

    /// Changes a customer and stamps it with the world's now. False if there is no such customer.
    pub fn update_customer(&self, id: i64, edit: impl FnOnce(&mut Customer)) -> bool {
        self.edit_customer(id, |customer, now_ms| {
            edit(customer);
            customer.touch(now_ms);
        })
    }

    /// Changes a customer and leaves `updated_ms` to `edit`.
    pub fn update_customer_quietly(&self, id: i64, edit: impl FnOnce(&mut Customer)) -> bool {
        self.edit_customer(id, |customer, _| edit(customer))
    }

    fn edit_customer(&self, id: i64, edit: impl FnOnce(&mut Customer, i64)) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let shop = &mut inner.shop;
        edit_in(&mut shop.customers, &mut shop.journal, id, now_ms, edit)
    }

    pub fn delete_customer(&self, id: i64) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let shop = &mut inner.shop;
        shop.customers.remove(id, &mut shop.journal, now_ms)
    }

    pub fn customer(&self, id: i64) -> Option<Arc<Customer>> {
        self.lock().shop.customers.get(id).cloned()
    }

    pub fn customer_count(&self) -> usize {
        self.lock().shop.customers.len()
    }

    /// The customers the shop has now, guests included, by id.
    pub fn final_customers(&self) -> BTreeMap<i64, Arc<Customer>> {
        self.lock().shop.customers.sorted()
    }
}

/// Puts an edited version in place of a record; the id stays, whatever the edit does to it.
pub(crate) fn edit_in<R: Row>(
    table: &mut Table<R>,
    journal: &mut Journal,
    id: i64,
    now_ms: i64,
    edit: impl FnOnce(&mut R, i64),
) -> bool {
    let Some(mut row) = table.get(id).map(|row| row.as_ref().clone()) else {
        return false;
    };
    edit(&mut row, now_ms);
    row.set_id(id);
    table.replace(row, journal, now_ms)
}
