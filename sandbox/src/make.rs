//! Makes random orders that look like those of a shop in Bangladesh; the same seed makes the same orders.

use std::collections::BTreeMap;

use fastrand::Rng;

use crate::customer::Customer;
use crate::order::{Line, Order, Recipient};
use crate::table::Table;

pub(crate) const DAY_MS: i64 = 86_400_000;
/// The first good's numbers as a product and as a thing kept in stock; the others follow.
pub(crate) const FIRST_PRODUCT: i64 = 150;
pub(crate) const FIRST_SKU: i64 = 900;

pub(crate) const NAMES: [&str; 12] = [
    "রহিম উদ্দিন",
    "আয়েশা সিদ্দিকা",
    "করিম হোসেন",
    "ফাতেমা বেগম",
    "মোঃ সাইফুল ইসলাম",
    "নুসরাত জাহান",
    "Tanvir Ahmed",
    "Sadia Islam",
    "Md. Rakib Hasan",
    "শর্মিষ্ঠা চক্রবর্তী",
    "Jannatul Ferdous",
    "অনিক দাশ",
];

pub(crate) const PLACES: [(&str, &str); 6] = [
    ("House 12, Road 5, Dhanmondi", "Dhaka"),
    ("বাড়ি ৭, সড়ক ৩, উত্তরা", "Dhaka"),
    ("Agrabad C/A, 2nd floor", "Chattogram"),
    ("জিন্দাবাজার, \"নীলা ভিলা\"", "সিলেট"),
    ("Station Road; near the mosque", "Rajshahi"),
    ("Boyra Main Road, House 44/A", "Khulna"),
];

/// Name, SKU, price in paisa.
pub(crate) const GOODS: [(&str, &str, i64); 12] = [
    ("Cotton Panjabi / L", "PNJ-COT-L", 185_000),
    ("Cotton Panjabi / XL", "PNJ-COT-XL", 190_000),
    ("জামদানি শাড়ি", "SAR-JAM-01", 650_000),
    ("Three Piece, unstitched", "TPC-UN-07", 245_000),
    ("Leather Sandal 42", "SND-42", 129_950),
    ("মধু ১ কেজি", "HNY-1KG", 85_000),
    ("Ghee 500 g", "GHE-500", 72_550),
    ("Phone Case, \"Clear\"", "CAS-CLR", 35_000),
    ("Earbuds TWS", "EAR-TWS-2", 149_999),
    ("Baby Blanket", "BBY-BLK", 99_000),
    ("নকশি কাঁথা", "NAK-KAN", 320_025),
    ("Tea 250 g", "0042", 18_000),
];

/// Holds the chance and the counters orders are made from.
pub(crate) struct Maker {
    pub(crate) rng: Rng,
    store_id: i64,
    odd_percent: u32,
    next_id: i64,
    next_line: i64,
    next_serial: i64,
}

impl Maker {
    pub(crate) fn new(seed: u64, store_id: i64, odd_percent: u32) -> Maker {
        Maker {
            rng: Rng::with_seed(seed),
            store_id,
            odd_percent,
            next_id: 1_040,
            next_line: 5_000,
            next_serial: 1_000,
        }
    }

    /// The orders the shop starts with, oldest first apart from a few ids that do not follow time.
    pub(crate) fn first_orders(
        &mut self,
        count: usize,
        spread_days: u32,
        now_ms: i64,
        buyers: &Table<Customer>,
    ) -> Vec<Order> {
        let stamps = stamps(&mut self.rng, count, spread_days, now_ms);
        stamps
            .into_iter()
            .map(|created| self.order(created, now_ms, buyers))
            .collect()
    }

    /// One order created at `created_ms` and last changed between then and `now_ms`, from one of the customers if there
    /// are any.
    pub(crate) fn order(&mut self, created_ms: i64, now_ms: i64, buyers: &Table<Customer>) -> Order {
        let created_ms = whole_second(created_ms);
        let age = now_ms.saturating_sub(created_ms).max(0);
        let lag = self.rng.i64(0..=age.min(20 * DAY_MS));
        let paid = self.rng.u32(0..100) < 40;
        let id = self.fresh_id();
        let lines = self.lines();
        let pick = self.rng.usize(0..5_000);
        let mut order = Order {
            id,
            store_id: self.store_id,
            user_id: i64::try_from(300 + pick).ok(),
            status: self.status(age).to_owned(),
            financial_status: Some(if paid { "paid" } else { "unpaid" }.to_owned()),
            fulfillment_status: Some("unfulfilled".to_owned()),
            lines,
            tax: 0,
            shipping: if self.rng.bool() { 6_000 } else { 12_000 },
            discount: if self.rng.u32(0..4) == 0 { 10_000 } else { 0 },
            total_error: 0,
            payment_method: Some(if paid { "bkash" } else { "cod" }.to_owned()),
            note: (self.rng.u32(0..8) == 0).then(|| "বিকাল ৫টার আগে দিবেন, please".to_owned()),
            created_ms,
            updated_ms: whole_second(created_ms + lag),
            customer: self.customer(),
            courier: None,
            courier_id: None,
            tracking_code: None,
            serial: Some(self.serial()),
            metafields: BTreeMap::new(),
            extra: BTreeMap::new(),
        };
        if let Some(buyer) = buyers.nth(pick % buyers.len().max(1)) {
            order.user_id = Some(buyer.id);
            order.customer = recipient(buyer);
        }
        self.ship(&mut order);
        if self.rng.u32(0..100) < self.odd_percent {
            self.make_odd(&mut order);
        }
        order
    }

    /// Ids grow with gaps, because the platform counts across all its stores.
    pub(crate) fn fresh_id(&mut self) -> i64 {
        self.next_id += self.rng.i64(1..6);
        self.next_id
    }

    pub(crate) fn fresh_line(&mut self) -> i64 {
        self.next_line += 1;
        self.next_line
    }

    /// A change as a shop's staff would make one.
    pub(crate) fn change(&mut self, order: &mut Order) {
        match self.rng.u32(0..4) {
            0 => order.note = Some(format!("called {} times", self.rng.u32(1..9))),
            1 => order.shipping += 1_000,
            2 => order.discount += 500,
            _ => {}
        }
        let next = [
            "confirmed",
            "processing",
            "shipped",
            "delivered",
            "completed",
            "cancelled",
        ];
        if let Some(status) = self.rng.choice(next) {
            order.status = status.to_owned();
        }
        self.ship(order);
    }

    fn serial(&mut self) -> String {
        // Stores reset their serials, so numbers repeat.
        self.next_serial = if self.next_serial > 9_000 {
            1_001
        } else {
            self.next_serial + 1
        };
        self.next_serial.to_string()
    }

    fn status(&mut self, age_ms: i64) -> &'static str {
        let old = [
            "delivered",
            "delivered",
            "completed",
            "cancelled",
            "refunded",
            "shipped",
        ];
        let young = ["pending", "pending", "confirmed", "processing", "processing", "hold"];
        let from = if age_ms > 10 * DAY_MS { old } else { young };
        self.rng.choice(from).unwrap_or("pending")
    }

    fn ship(&mut self, order: &mut Order) {
        let shipped = matches!(order.status.as_str(), "shipped" | "delivered" | "completed");
        if shipped && order.courier.is_none() {
            let courier = if self.rng.bool() { "pathao" } else { "Steadfast" };
            order.courier = Some(courier.to_owned());
            order.courier_id = Some(format!("{}-{}", courier.to_uppercase(), order.id));
            order.tracking_code = Some(format!("CN{:08}", self.rng.u32(0..100_000_000)));
        }
    }

    fn customer(&mut self) -> Recipient {
        let name = self.rng.choice(NAMES).unwrap_or(NAMES[0]);
        let (address, city) = self.rng.choice(PLACES).unwrap_or(PLACES[0]);
        let phone = format!("01{}{:08}", self.rng.u32(3..10), self.rng.u32(0..100_000_000));
        let email = (self.rng.u32(0..3) == 0).then(|| format!("buyer{}@example.com", self.rng.u32(1..9_999)));
        Recipient {
            name: Some(name.to_owned()),
            phone: Some(phone),
            email,
            address: Some(address.to_owned()),
            city: Some(city.to_owned()),
        }
    }

    fn lines(&mut self) -> Vec<Line> {
        let count = self.rng.usize(1..4);
        (0..count).map(|_| self.line()).collect()
    }

    fn line(&mut self) -> Line {
        let at = self.rng.usize(0..GOODS.len());
        let (name, sku, price) = GOODS[at];
        let number = i64::try_from(at).unwrap_or(0);
        Line {
            id: self.fresh_line(),
            product_id: Some(FIRST_PRODUCT + number),
            variant_id: Some(FIRST_SKU + number),
            bundle_id: None,
            name: name.to_owned(),
            price,
            quantity: Some(self.rng.i64(1..4)),
            image: Some(format!("products/{}.webp", FIRST_PRODUCT + number)),
            sku: Some(sku.to_owned()),
        }
    }

    fn make_odd(&mut self, order: &mut Order) {
        let kind = self.rng.u32(0..6);
        let line = order.lines.first_mut();
        match (kind, line) {
            (0, _) => order.user_id = None,
            (1, Some(line)) => line.sku = None,
            (2, Some(line)) => line.quantity = None,
            (3, Some(line)) => {
                line.product_id = None;
                line.variant_id = None;
                line.bundle_id = Some(77);
            }
            (4, _) => {
                order.user_id = None;
                order.customer.email = None;
                order.customer.phone = None;
            }
            _ => {
                order.financial_status = None;
                order.fulfillment_status = None;
                order.payment_method = None;
                order.tracking_code = Some(String::new());
            }
        }
    }
}

/// What an order takes over from the buyer's profile.
fn recipient(customer: &Customer) -> Recipient {
    Recipient {
        name: (!customer.name.is_empty()).then(|| customer.name.clone()),
        phone: customer.phone.clone(),
        email: customer.email.clone(),
        address: customer.address.clone(),
        city: customer.city.clone(),
    }
}

/// Stamps of creation over the days before now, oldest first apart from a few that change places.
pub(crate) fn stamps(rng: &mut Rng, count: usize, spread_days: u32, now_ms: i64) -> Vec<i64> {
    let spread = i64::from(spread_days).saturating_mul(DAY_MS).max(1_000);
    let step = spread / i64::try_from(count).unwrap_or(i64::MAX).max(1);
    let starts = (0..count).scan(now_ms - spread, |start, _| {
        *start += step;
        Some(*start - step)
    });
    let mut stamps: Vec<i64> = starts.map(|start| start + rng.i64(0..step.max(1))).collect();
    for at in 1..stamps.len() {
        if rng.u32(0..100) < 2 {
            stamps.swap(at - 1, at);
        }
    }
    stamps
}

/// The platform keeps whole seconds.
pub(crate) fn whole_second(ms: i64) -> i64 {
    ms.div_euclid(1_000) * 1_000
}
