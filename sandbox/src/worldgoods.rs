//! What a test sees and changes of the shop's products, variants and stock. No method waits for a client.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::product::{Product, Variant};
use crate::table::Row as _;
use crate::world::World;

impl World {
    /// A random product made now, after `edit`; all stamps are the world's now unless `edit` sets others. Ids of the
    /// product and its variants that are taken are replaced. Returns the id.
    pub fn insert_product(&self, edit: impl FnOnce(&mut Product)) -> i64 {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let mut product = inner.shop.goods.product(now_ms, now_ms);
        edit(&mut product);
        inner.shop.insert_product(product, now_ms)
    }

    /// Changes a product and stamps it, and its row of the inventory, with the world's now. False if there is none.
    pub fn update_product(&self, id: i64, edit: impl FnOnce(&mut Product)) -> bool {
        self.edit_product(id, |product, now_ms| {
            edit(product);
            product.touch(now_ms);
        })
    }

    /// Changes a product and leaves the stamps to `edit`.
    pub fn update_product_quietly(&self, id: i64, edit: impl FnOnce(&mut Product)) -> bool {
        self.edit_product(id, |product, _| edit(product))
    }

    fn edit_product(&self, id: i64, edit: impl FnOnce(&mut Product, i64)) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let found = inner.shop.products.get(id).map(|row| row.as_ref().clone());
        let Some(mut product) = found else { return false };
        edit(&mut product, now_ms);
        product.id = id;
        inner.shop.replace_product(product, now_ms)
    }

    /// The product and its variants vanish from every list and detail.
    pub fn delete_product(&self, id: i64) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        inner.shop.remove_product(id, now_ms)
    }

    pub fn product(&self, id: i64) -> Option<Arc<Product>> {
        self.lock().shop.products.get(id).cloned()
    }

    pub fn product_count(&self) -> usize {
        self.lock().shop.products.len()
    }

    /// The products the shop has now, with variants and stock, by id.
    pub fn final_products(&self) -> BTreeMap<i64, Arc<Product>> {
        self.lock().shop.products.sorted()
    }

    /// A random variant put into a product, after `edit`; the product is stamped. Returns its `sku_id`.
    pub fn insert_variant(&self, product: i64, edit: impl FnOnce(&mut Variant)) -> Option<i64> {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let position = i64::try_from(inner.shop.products.get(product)?.variants.len()).unwrap_or(0);
        let mut variant = inner.shop.goods.variant(position, 10_000);
        edit(&mut variant);
        inner.shop.insert_variant(product, variant, now_ms)
    }

    /// Changes a variant and stamps its product. False if there is none.
    pub fn update_variant(&self, sku_id: i64, edit: impl FnOnce(&mut Variant)) -> bool {
        let product = self.lock().shop.product_of(sku_id);
        product.is_some_and(|id| self.update_product(id, |product| edit_variant(product, sku_id, edit)))
    }

    /// Changes a variant, stock included, and stamps nothing.
    pub fn update_variant_quietly(&self, sku_id: i64, edit: impl FnOnce(&mut Variant)) -> bool {
        let product = self.lock().shop.product_of(sku_id);
        product.is_some_and(|id| self.update_product_quietly(id, |product| edit_variant(product, sku_id, edit)))
    }

    /// Takes a variant out of its product, which is stamped.
    pub fn delete_variant(&self, sku_id: i64) -> bool {
        let product = self.lock().shop.product_of(sku_id);
        product.is_some_and(|id| {
            self.update_product(id, |product| {
                product.variants.retain(|variant| variant.sku_id != sku_id);
            })
        })
    }

    /// Sets the stock of a variant; what that stamps is an option. False if there is no such variant.
    pub fn set_stock(&self, sku_id: i64, quantity: i64) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        inner.shop.stock(sku_id, now_ms, |_| quantity).is_some()
    }

    /// Moves the stock of a variant by so much and returns what is left.
    pub fn move_stock(&self, sku_id: i64, by: i64) -> Option<i64> {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        inner.shop.stock(sku_id, now_ms, |quantity| quantity.saturating_add(by))
    }

    /// The stock of a variant.
    pub fn stock(&self, sku_id: i64) -> Option<i64> {
        let inner = self.lock();
        let product = inner.shop.products.get(inner.shop.product_of(sku_id)?)?;
        product.variant(sku_id).map(|variant| variant.quantity)
    }

    /// The product that holds a variant.
    pub fn product_of(&self, sku_id: i64) -> Option<i64> {
        self.lock().shop.product_of(sku_id)
    }
}

/// The number stays, whatever the edit does to it.
fn edit_variant(product: &mut Product, sku_id: i64, edit: impl FnOnce(&mut Variant)) {
    let found = product.variants.iter_mut().find(|variant| variant.sku_id == sku_id);
    if let Some(variant) = found {
        edit(variant);
        variant.sku_id = sku_id;
    }
}
