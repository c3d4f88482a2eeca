//! Makes random customers; the same seed makes the same ones, whatever orders are made beside them.

use std::collections::{BTreeMap, HashMap};

use fastrand::Rng;

use crate::customer::{AddressForm, Customer};
use crate::make::{DAY_MS, NAMES, PLACES, stamps, whole_second};
use crate::options::Options;
use crate::order::Order;

/// Of a hundred customers so many are guests.
const GUESTS_PERCENT: u32 = 15;

pub(crate) struct PeopleMaker {
    pub(crate) rng: Rng,
    store_id: i64,
    odd_percent: u32,
    next_id: i64,
}

impl PeopleMaker {
    pub(crate) fn new(options: &Options) -> PeopleMaker {
        PeopleMaker {
            rng: Rng::with_seed(options.seed ^ 0x0c05),
            store_id: options.store_id,
            odd_percent: options.odd_percent,
            next_id: 300,
        }
    }

    pub(crate) fn fresh_id(&mut self) -> i64 {
        self.next_id += self.rng.i64(1..4);
        self.next_id
    }

    /// The customers the shop starts with.
    pub(crate) fn first(&mut self, count: usize, spread_days: u32, now_ms: i64) -> Vec<Customer> {
        let stamps = stamps(&mut self.rng, count, spread_days, now_ms);
        stamps
            .into_iter()
            .map(|created| self.customer(created, now_ms))
            .collect()
    }

    /// One customer who came at `created_ms` and last changed between then and `now_ms`.
    pub(crate) fn customer(&mut self, created_ms: i64, now_ms: i64) -> Customer {
        let created_ms = whole_second(created_ms);
        let age = now_ms.saturating_sub(created_ms).max(0);
        let lag = self.rng.i64(0..=age.min(90 * DAY_MS));
        let is_guest = self.rng.u32(0..100) < GUESTS_PERCENT;
        let name = self.rng.choice(NAMES).unwrap_or(NAMES[0]);
        let (address, city) = self.rng.choice(PLACES).unwrap_or(PLACES[0]);
        let email = self.rng.u32(0..3) == 0;
        let id = self.fresh_id();
        let mut customer = Customer {
            id,
            store_id: self.store_id,
            name: format!("{name} {}", id % 97),
            email: (email && !is_guest).then(|| format!("buyer{id}@example.com")),
            phone: Some(format!("01{}{:08}", self.rng.u32(3..10), self.rng.u32(0..100_000_000))),
            address: Some(address.to_owned()),
            city: Some(city.to_owned()),
            address_form: AddressForm::Object,
            is_guest,
            total_orders: 0,
            total_spent: 0,
            created_ms,
            updated_ms: whole_second(created_ms + lag),
            extra: BTreeMap::new(),
        };
        if self.rng.u32(0..100) < self.odd_percent {
            self.make_odd(&mut customer);
        }
        customer
    }

    /// A change as the customer or the shop's staff would make one.
    pub(crate) fn change(&mut self, customer: &mut Customer) {
        match self.rng.u32(0..3) {
            0 => {
                let (address, city) = self.rng.choice(PLACES).unwrap_or(PLACES[0]);
                customer.address = Some(format!("{address}, flat {}", self.rng.u32(1..99)));
                customer.city = Some(city.to_owned());
            }
            1 => customer.phone = Some(format!("017{:08}", self.rng.u32(0..100_000_000))),
            _ => customer.email = Some(format!("new{}@example.com", self.rng.u32(1..100_000))),
        }
    }

    /// What the first orders say about their buyers.
    pub(crate) fn reckon(&self, customers: &mut [Customer], orders: &[Order]) {
        let mut sums: HashMap<i64, (i64, i64)> = HashMap::new();
        for order in orders {
            let Some(buyer) = order.user_id else { continue };
            let sum = sums.entry(buyer).or_default();
            sum.0 += 1;
            sum.1 = sum.1.saturating_add(order.grand_total());
        }
        for customer in customers {
            (customer.total_orders, customer.total_spent) = sums.get(&customer.id).copied().unwrap_or_default();
        }
    }

    fn make_odd(&mut self, customer: &mut Customer) {
        match self.rng.u32(0..6) {
            0 => customer.address_form = AddressForm::Text,
            1 => customer.address_form = AddressForm::Empty,
            2 => customer.address_form = AddressForm::Null,
            3 => customer.phone = None,
            4 => {
                customer.is_guest = true;
                customer.email = None;
            }
            _ => customer.name = String::new(),
        }
    }
}
