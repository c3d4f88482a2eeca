//! Changes the shop makes by itself around each page of a list, so that rows shift while a client reads.

use crate::shop::Shop;

/// Random changes around every answer to `GET /orders`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Movement {
    pub inserts: usize,
    pub updates: usize,
    pub deletes: usize,
    /// After so many changes in all the shop stands still.
    pub moves_max: usize,
    /// The world's clock goes on by so much each time, so that stamps differ on a still clock.
    pub advance_ms: i64,
    pub moment: Moment,
}

impl Default for Movement {
    /// One of each after every page, 100 in all, one second apart.
    fn default() -> Movement {
        Movement {
            inserts: 1,
            updates: 1,
            deletes: 1,
            moves_max: 100,
            advance_ms: 1_000,
            moment: Moment::After,
        }
    }
}

/// Whether the changes come before the page is read from the shop or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

pub(crate) struct Moving {
    pub(crate) movement: Movement,
    pub(crate) left: usize,
}

impl Moving {
    /// One round, as far as the cap allows. Returns whether anything moved.
    pub(crate) fn round(&mut self, shop: &mut Shop, now_ms: i64) -> bool {
        let before = self.left;
        for _ in 0..self.movement.inserts.min(self.left) {
            let order = shop.maker.order(now_ms, now_ms);
            shop.insert(order, now_ms);
            self.left -= 1;
        }
        for _ in 0..self.movement.updates.min(self.left) {
            self.left -= usize::from(change_any(shop, now_ms));
        }
        for _ in 0..self.movement.deletes.min(self.left) {
            let Some(id) = shop.any_id() else { break };
            self.left -= usize::from(shop.remove(id, now_ms));
        }
        self.left < before
    }
}

/// Changes one random order as a shop's staff would.
pub(crate) fn change_any(shop: &mut Shop, now_ms: i64) -> bool {
    let Some(mut order) = shop
        .any_id()
        .and_then(|id| shop.get(id))
        .map(|order| order.as_ref().clone())
    else {
        return false;
    };
    shop.maker.change(&mut order);
    order.updated_ms = crate::make::whole_second(now_ms);
    shop.replace(order, now_ms)
}
