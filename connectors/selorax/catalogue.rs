//! Which variant of which product a SKU is: an index of the store's products, walked once, kept up to date by what
//! changed since, and kept in the connector's memory. It must never guess: a SKU that several variants share is none.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use contract::{Clock, Cursor, Error, Fault, Key, Memory, Pass, Raw, Row, Source, Stamp, Use, Value, Window};
use serde_json::{Value as Json, json};
use tokio::sync::{Mutex, MutexGuard};

use super::api::Api;
use super::feed::Feed;
use super::products;
use super::read;

const NAME: &str = "catalogue";
/// What is older is brought up to date before it is used.
const FRESH: Duration = Duration::from_secs(10 * 60);
/// A SKU that is not there is looked for again after this.
const FRESH_FOR_UNKNOWN: Duration = Duration::from_secs(2 * 60);
/// So often the whole list is walked again, so that what is gone is forgotten.
const WALK_MS: Stamp = 24 * 60 * 60 * 1_000;
/// So many products are read between two times that the index is kept.
const KEPT_EVERY: usize = 100;
const VARIANTS_MAX: usize = 500_000;

/// Where a SKU is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Spot {
    pub(super) product: Key,
    pub(super) sku_id: String,
}

/// One variant as the product's own answer shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variant {
    pub(super) sku_id: String,
    pub(super) sku: Option<String>,
    pub(super) quantity: Option<i64>,
}

#[derive(Debug)]
pub(super) struct Catalogue {
    api: Arc<Api>,
    products: Arc<Feed>,
    memory: Arc<dyn Memory>,
    clock: Arc<dyn Clock>,
    index: Mutex<Index>,
}

#[derive(Debug, Default)]
struct Index {
    loaded: bool,
    /// Up to where changes were read; `None`: never walked to the end.
    cursor: Option<Cursor>,
    walked_at: Stamp,
    refreshed: Option<Duration>,
    products: BTreeMap<Key, Product>,
    spots: HashMap<String, Vec<Spot>>,
}

#[derive(Clone, Debug, Default)]
struct Product {
    name: String,
    /// What its list row looked like when it was read.
    mark: String,
    /// `(sku_id, sku)`.
    skus: Vec<(String, String)>,
}

impl Catalogue {
    pub(super) fn new(api: &Arc<Api>, products: &Arc<Feed>, memory: &Arc<dyn Memory>, clock: &Arc<dyn Clock>) -> Self {
        Catalogue {
            api: api.clone(),
            products: products.clone(),
            memory: memory.clone(),
            clock: clock.clone(),
            index: Mutex::default(),
        }
    }

    /// The variant with this SKU.
    pub(super) async fn find(&self, sku: &str) -> Result<Spot, Error> {
        let mut index = self.index.lock().await;
        index.load(self.memory.as_ref());
        self.refresh(&mut index, FRESH).await?;
        if !index.spots.contains_key(sku) {
            self.refresh(&mut index, FRESH_FOR_UNKNOWN).await?;
        }
        index.spot(sku)
    }

    /// What is known of it without asking, for a request that is only shown.
    pub(super) fn known(&self, sku: &str) -> Option<Spot> {
        let mut index = self.index.try_lock().ok()?;
        index.load(self.memory.as_ref());
        index.spot(sku).ok()
    }

    /// The product's variants as they are now, and the index with them; `None`: the store has it no more.
    pub(super) async fn variants(&self, product: &Key, doing: &str) -> Result<Option<Vec<Variant>>, Error> {
        let row = self.api.one(&products::SHAPE, product, doing, Use::Stock).await?;
        let mut index = self.index.lock().await;
        let Some(row) = row else {
            index.products.remove(product);
            index.sort();
            return Ok(None);
        };
        let (name, variants) = of_detail(&row).map_err(|why| Error::new(Fault::Rejected, doing, why))?;
        let skus = skus(&variants);
        if index.products.get(product).is_some_and(|known| known.skus != skus) {
            let mark = String::new();
            index.products.insert(product.clone(), Product { name, mark, skus });
            index.sort();
        }
        Ok(Some(variants))
    }

    async fn refresh(&self, index: &mut MutexGuard<'_, Index>, fresh: Duration) -> Result<(), Error> {
        let now = self.clock.monotonic();
        if index.refreshed.is_some_and(|at| now.saturating_sub(at) < fresh) {
            return Ok(());
        }
        let before = index.text();
        let brought = self.bring_up_to_date(index).await;
        index.sort();
        // What was read is kept, also where the rest could not be.
        let after = index.text();
        if after != before {
            self.memory.put(NAME, after).await;
        }
        brought.map_err(|error| with_scope(error))?;
        index.refreshed = Some(self.clock.monotonic());
        Ok(())
    }

    async fn bring_up_to_date(&self, index: &mut Index) -> Result<(), Error> {
        let since = index.cursor.clone();
        let walked_lately = self.clock.now().saturating_sub(index.walked_at) < WALK_MS;
        if let Some(since) = since.filter(|_| walked_lately) {
            let settled = self.products.settled(&since);
            if self
                .follow(index, self.products.changes(&settled, Use::Stock))
                .await?
                .is_some()
            {
                return Ok(());
            }
        }
        let from = self.products.now().await?;
        let walked = self
            .follow(index, self.products.history(Window::default(), None))
            .await?;
        if let Some(Walked { seen, proven: true }) = walked {
            index.products.retain(|key, _| seen.contains(key));
        }
        index.cursor = Some(from);
        index.walked_at = self.clock.now();
        Ok(())
    }

    /// `None`: the changes lie too deep.
    async fn follow(&self, index: &mut Index, mut pass: Box<dyn Pass>) -> Result<Option<Walked>, Error> {
        let mut walked = Walked {
            seen: BTreeSet::new(),
            proven: true,
        };
        let mut read = 0;
        loop {
            let step = pass.step().await?;
            if step.too_deep.is_some() {
                return Ok(None);
            }
            walked.proven &= step.notes.is_empty();
            for row in &step.rows {
                walked.seen.insert(row.key.clone());
                read += usize::from(self.take(index, row).await?);
                if read >= KEPT_EVERY {
                    read = 0;
                    self.memory.put(NAME, index.text()).await;
                }
            }
            if let Some(cursor) = step.cursor.filter(|_| index.cursor.is_some()) {
                index.cursor = Some(cursor);
            }
            if step.done {
                return Ok(Some(walked));
            }
        }
    }

    /// Reads a product whose row is not the one that is known. Whether it was read.
    async fn take(&self, index: &mut Index, row: &Row) -> Result<bool, Error> {
        let mark = row.hash.hex();
        if row.key.0.starts_with('?') || index.products.get(&row.key).is_some_and(|known| known.mark == mark) {
            return Ok(false);
        }
        let doing = format!("reading the variants of product {}", row.key.0);
        let detail = self.api.one(&products::SHAPE, &row.key, &doing, Use::Stock).await?;
        let Some(detail) = detail else {
            index.products.remove(&row.key);
            return Ok(true);
        };
        let (name, variants) = of_detail(&detail).unwrap_or_else(|why| {
            tracing::warn!("{doing}: {why}; none of its SKUs can be written to");
            (String::new(), Vec::new())
        });
        let skus = skus(&variants);
        let all: usize = index.products.values().map(|product| product.skus.len()).sum();
        if all + skus.len() > VARIANTS_MAX {
            let why =
                format!("the store has more than {VARIANTS_MAX} variants, which are more than are kept in memory");
            return Err(Error::new(Fault::Denied, doing, why));
        }
        index.products.insert(row.key.clone(), Product { name, mark, skus });
        Ok(true)
    }
}

struct Walked {
    seen: BTreeSet<Key>,
    proven: bool,
}

impl Index {
    fn load(&mut self, memory: &dyn Memory) {
        if std::mem::replace(&mut self.loaded, true) {
            return;
        }
        let kept = memory
            .get(NAME)
            .and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let Some(kept) = kept else { return };
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        self.cursor = kept["cursor"].as_str().map(|cursor| Cursor(cursor.to_owned()));
        self.walked_at = kept["walked_at"].as_i64().unwrap_or(0);
        for (key, product) in kept["products"].as_object().into_iter().flatten() {
            let pairs = product[2].as_array().into_iter().flatten();
            let product = Product {
                name: text(&product[0]),
                mark: text(&product[1]),
                skus: pairs.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            };
            self.products.insert(Key(key.clone()), product);
        }
        self.sort();
    }

    fn text(&self) -> String {
        let products = self.products.iter();
        let products: serde_json::Map<String, Json> = products
            .map(|(key, product)| (key.0.clone(), json!([product.name, product.mark, product.skus])))
            .collect();
        let cursor = self.cursor.as_ref().map(|cursor| cursor.0.as_str());
        json!({"cursor": cursor, "walked_at": self.walked_at, "products": products}).to_string()
    }

    fn sort(&mut self) {
        self.spots.clear();
        for (key, product) in &self.products {
            for (sku_id, sku) in &product.skus {
                let spot = Spot {
                    product: key.clone(),
                    sku_id: sku_id.clone(),
                };
                self.spots.entry(sku.clone()).or_default().push(spot);
            }
        }
    }

    fn spot(&self, sku: &str) -> Result<Spot, Error> {
        let refused = |why: String, hint: &str| {
            Err(Error::new(Fault::Rejected, format!("looking for SKU {sku} in the store"), why).hint(hint))
        };
        match self.spots.get(sku).map_or(&[][..], Vec::as_slice) {
            [spot] => Ok(spot.clone()),
            [] => refused(
                "no variant in the store has this SKU".to_owned(),
                "give a variant this SKU in the store, or leave the record out with `where`; then `failures retry`",
            ),
            several => {
                let told = several.iter().take(5).map(|spot| {
                    let name = self
                        .products
                        .get(&spot.product)
                        .map_or("", |product| product.name.as_str());
                    format!("variant {} of product {} ({name})", spot.sku_id, spot.product.0)
                });
                let told = told.collect::<Vec<_>>().join(", ");
                refused(
                    format!("{} variants in the store have this SKU: {told}", several.len()),
                    "a SKU must be there once: change it in the store, then `failures retry`",
                )
            }
        }
    }
}

fn skus(variants: &[Variant]) -> Vec<(String, String)> {
    let with_sku = variants
        .iter()
        .filter_map(|variant| Some((variant.sku_id.clone(), variant.sku.clone()?)));
    with_sku.collect()
}

/// The product's name and its variants.
fn of_detail(row: &Row) -> Result<(String, Vec<Variant>), String> {
    let value = match &row.body {
        Raw::Value(value) => value,
        Raw::Unreadable(why) => return Err(why.clone()),
    };
    let product = products::SHAPE.inner(value);
    let Some(list) = products::variants(value, product).map_err(|error| error.0)? else {
        return Err("the store shows no variants for this product".to_owned());
    };
    let name = read::first(product, &["name", "product_name"]).and_then(Value::as_text);
    let variants: Result<Vec<Variant>, String> = list.iter().map(variant).collect();
    Ok((name.unwrap_or_default().to_owned(), variants?))
}

fn variant(item: &Value) -> Result<Variant, String> {
    let id = read::first(item, &["sku_id", "variant_id", "id"]).ok_or("a variant has no sku_id")?;
    let sku = read::sku(read::first(item, &["sku_code", "sku"])).map_err(|error| error.0)?;
    let quantity = read::whole(read::first(item, &["quantity"]), "quantity").map_err(|error| error.0)?;
    Ok(Variant {
        sku_id: read::id(id).map_err(|error| format!("sku_id: {error}"))?,
        sku: sku.as_text().map(str::to_owned),
        quantity: match quantity {
            Value::Number(number) => number.as_str().parse().ok(),
            _ => None,
        },
    })
}

fn with_scope(error: Error) -> Error {
    match error.status {
        Some(403) => error.hint(
            "SKUs are found through the products: give the app the scope read:products in Settings > Apps, then run it \
             again",
        ),
        _ => error,
    }
}
