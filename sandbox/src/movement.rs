//! Changes the shop makes by itself around each page of a list, so that rows shift while a client reads.

use crate::resource::Resource;
use crate::shop::Shop;

/// Random changes around every list answer, of the kind of record that is listed.
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
    /// Only around the lists of this one; `None` = around every list.
    pub only: Option<Resource>,
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
            only: None,
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
    pub(crate) fn round(&mut self, shop: &mut Shop, resource: Resource, now_ms: i64) -> bool {
        if self.movement.only.is_some_and(|only| only != resource) {
            return false;
        }
        let before = self.left;
        for _ in 0..self.movement.inserts.min(self.left) {
            self.left -= usize::from(shop.insert_any(resource, now_ms));
        }
        for _ in 0..self.movement.updates.min(self.left) {
            self.left -= usize::from(shop.change_any(resource, now_ms));
        }
        for _ in 0..self.movement.deletes.min(self.left) {
            self.left -= usize::from(shop.delete_any(resource, now_ms));
        }
        self.left < before
    }
}
