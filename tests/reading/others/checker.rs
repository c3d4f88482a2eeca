//! The checker for what is not an order. It knows the files and the shop's own log of the truth, and nothing
//! of the program.

use std::collections::BTreeMap;
use std::path::Path;

use sandbox::{AddressForm, Change, Customer, Product, Record, Variant, World};
use sha2::{Digest, Sha256};

use crate::support::Covered;

/// What is looked at: each makes files of its own name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Customers,
    Products,
    Inventory,
}

/// The cells of one version, the key first.
pub(crate) type Version = Vec<String>;

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Kind::Customers => "customers",
            Kind::Products => "products",
            Kind::Inventory => "inventory",
        }
    }

    /// The lines of the flow's `map`: key and filter.
    fn map(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Kind::Customers => &[
                ("id", ".id"),
                ("name", ".name"),
                ("email", ".email"),
                ("phone", ".phone"),
                ("street", ".address.address"),
                ("city", ".address.city"),
                ("guest", ".is_guest"),
                ("orders", ".total_orders"),
                ("spent", ".total_spent"),
                ("updated", ".updated_at"),
            ],
            Kind::Products => &[
                ("id", ".id"),
                ("name", ".name"),
                ("slug", ".slug"),
                ("active", ".is_active"),
                (
                    "variants",
                    "[.variants[] | \"\\(.sku_id) \\(.sku) \\(.name) \\(.price)\"] | join(\"; \")",
                ),
                ("updated", ".updated_at"),
            ],
            Kind::Inventory => &[
                ("sku_id", ".sku_id"),
                ("sku", ".sku"),
                ("product", ".product_id"),
                ("name", ".product_name"),
                ("quantity", ".quantity"),
            ],
        }
    }

    pub(crate) fn resource(self) -> String {
        let name = self.name();
        format!("      {name}:\n        write: {{file: \"{name}-{{timestamp}}-{{batch}}.csv\", max_records: 2000}}\n")
    }

    pub(crate) fn flow(self) -> String {
        let name = self.name();
        let lines = self.map().iter();
        let map: String = lines
            .map(|(key, filter)| format!("      {key}: '{filter}'\n"))
            .collect();
        format!("  {name}-to-csv:\n    from: store.{name}\n    to: drop.{name}\n    map:\n{map}")
    }

    /// All versions that a record of the shop's log makes.
    fn versions(self, record: &Record) -> Vec<Version> {
        match (self, record) {
            (Kind::Customers, Record::Customer(customer)) => vec![customer_of(customer)],
            (Kind::Products, Record::Product(product)) => vec![product_of(product)],
            (Kind::Inventory, Record::Product(product)) => stock_of(product),
            _ => Vec::new(),
        }
    }

    /// What the shop has at last, by key.
    pub(crate) fn truth(self, world: &World) -> BTreeMap<String, Version> {
        let (customers, products) = (world.final_customers(), world.final_products());
        let versions: Vec<Version> = match self {
            Kind::Customers => customers.values().map(|customer| customer_of(customer)).collect(),
            Kind::Products => products.values().map(|product| product_of(product)).collect(),
            Kind::Inventory => products.values().flat_map(|product| stock_of(product)).collect(),
        };
        versions
            .into_iter()
            .map(|version| (version[0].clone(), version))
            .collect()
    }

    /// What a summary must say of the whole history, by a reckoning of its own.
    pub(crate) fn cover(self, world: &World) -> Covered {
        let (ids, total): (Vec<i64>, i64) = match self {
            Kind::Customers => {
                let all = world.final_customers();
                (
                    all.keys().copied().collect(),
                    all.values().map(|one| one.total_spent).sum(),
                )
            }
            Kind::Products => (world.final_products().into_keys().collect(), 0),
            Kind::Inventory => {
                let all = world.final_products();
                // As if in paisa, because a summary is read that way.
                let total = all.values().map(|one| one.total_quantity() * 100).sum();
                (all.keys().copied().collect(), total)
            }
        };
        let first_half = |id: &i64| {
            let sum = Sha256::digest(id.to_string().as_bytes());
            i64::from_be_bytes(sum[..8].try_into().unwrap())
        };
        let print = ids.iter().map(first_half).fold(0, i64::wrapping_add);
        Covered {
            records: ids.len() as u64,
            total,
            ids: format!("{print:016x}"),
        }
    }

    /// All rows of this kind's files, in the order of their names.
    pub(crate) fn rows(self, folder: &Path) -> Vec<Version> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        paths.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with(self.name()));
        paths.sort();
        let mut rows = Vec::new();
        for path in paths {
            let mut reader = csv::Reader::from_path(&path).unwrap();
            assert!(
                reader
                    .headers()
                    .unwrap()
                    .iter()
                    .eq(self.map().iter().map(|(key, _)| *key))
            );
            rows.extend(
                reader
                    .records()
                    .map(|row| row.unwrap().iter().map(str::to_owned).collect::<Version>()),
            );
        }
        rows
    }

    /// All that is wrong: something lost, a version sent twice, out of order or never true.
    pub(crate) fn complaints(self, folder: &Path, world: &World) -> Vec<String> {
        let mut history: BTreeMap<String, Vec<Version>> = BTreeMap::new();
        for event in world.events().iter().filter(|event| event.kind != Change::Deleted) {
            for version in self.versions(&event.record) {
                let versions = history.entry(version[0].clone()).or_default();
                if versions.last() != Some(&version) {
                    versions.push(version);
                }
            }
        }
        let (mut wrong, mut at, mut last) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for row in self.rows(folder) {
            let versions = history.get(&row[0]).map(Vec::as_slice).unwrap_or_default();
            let from: &mut usize = at.entry(row[0].clone()).or_default();
            match versions.iter().skip(*from).position(|version| *version == row) {
                Some(ahead) => *from += ahead + 1,
                None if versions.contains(&row) => wrong.push(format!("twice, or out of order: {row:?}")),
                None => wrong.push(format!("never was so: {row:?}")),
            }
            last.insert(row[0].clone(), row);
        }
        for (key, version) in self.truth(world) {
            match last.get(&key) {
                Some(row) if *row == version => {}
                Some(row) => wrong.push(format!("its last row is not its final version: {row:?}, {version:?}")),
                None => wrong.push(format!("is lost: {version:?}")),
            }
        }
        wrong
    }
}

fn time(ms: i64) -> String {
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap())
}

fn money(paisa: i64) -> String {
    format!("{}.{:02}", paisa / 100, paisa % 100)
}

fn customer_of(customer: &Customer) -> Version {
    let has_address = matches!(customer.address_form, AddressForm::Object | AddressForm::Text);
    let place = |part: &Option<String>| part.clone().filter(|_| has_address).unwrap_or_default();
    vec![
        customer.id.to_string(),
        customer.name.clone(),
        customer.email.clone().unwrap_or_default(),
        customer.phone.clone().unwrap_or_default(),
        place(&customer.address),
        place(&customer.city),
        customer.is_guest.to_string(),
        customer.total_orders.to_string(),
        money(customer.total_spent),
        time(customer.updated_ms),
    ]
}

fn code(variant: &Variant) -> Option<String> {
    let code = variant.sku_code.as_deref().unwrap_or_default().trim();
    Some(code.to_owned()).filter(|code| !code.is_empty())
}

fn product_of(product: &Product) -> Version {
    let variant = |variant: &Variant| {
        let (code, price) = (code(variant).unwrap_or("null".to_owned()), money(variant.price));
        format!("{} {code} {} {price}", variant.sku_id, variant.name)
    };
    let variants: Vec<String> = product.variants.iter().map(variant).collect();
    vec![
        product.id.to_string(),
        product.name.clone(),
        product.slug.clone(),
        product.is_active.to_string(),
        variants.join("; "),
        time(product.updated_ms),
    ]
}

fn stock_of(product: &Product) -> Vec<Version> {
    let row = |variant: &Variant| {
        vec![
            variant.sku_id.to_string(),
            code(variant).unwrap_or_default(),
            product.id.to_string(),
            product.name.clone(),
            variant.quantity.to_string(),
        ]
    };
    product.variants.iter().map(row).collect()
}
