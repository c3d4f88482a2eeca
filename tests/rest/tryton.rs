//! Tryton itself: filled through `examples/tryton.yaml`, and read back through its own API. Nothing is asked of the
//! program's own state.

mod server;

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use sandbox::{Order, World};
use serde_json::{Value, json};
use tempfile::TempDir;

use self::server::{KEY, Tryton};
use super::examples;
use crate::support::{Running, Shop, names, options, paisa};

const ORDERS: usize = 100;
const PUSH: [&str; 3] = ["customers-to-tryton", "products-to-tryton", "orders-to-tryton"];

/// The example at a desk of its own.
struct Office {
    dir: TempDir,
    runs: u32,
}

impl Office {
    /// Only the store's address and the times of waiting are others than in the file.
    fn new(shop: &Shop) -> Office {
        let dir = tempfile::tempdir().unwrap();
        let mut text = std::fs::read_to_string(examples::folder().join("tryton.yaml")).unwrap();
        let store = format!("url: {}\n  rate_limit: 1000/s\n  burst: 1000", shop.url());
        for (from, to) in [
            ("url: https://api.selorax.io", store.as_str()),
            (
                "unknown: {wait: 120s, recheck: 30s}",
                "unknown: {wait: 5s, recheck: 2s}",
            ),
        ] {
            assert_eq!(text.matches(from).count(), 1, "{from}");
            text = text.replace(from, to);
        }
        std::fs::write(dir.path().join("sync.yaml"), text).unwrap();
        Office { dir, runs: 0 }
    }

    fn start(&mut self, shop: &Shop, tryton: &Tryton, flows: &[&str]) -> Running {
        let access = shop.world().access();
        let mut command = Command::new(env!("CARGO_BIN_EXE_selorax-sync"));
        command
            .env_clear()
            .env("SELORAX_CLIENT_ID", access.client_id)
            .env("SELORAX_CLIENT_SECRET", access.client_secret)
            .env("TRYTON_URL", tryton.url())
            .env("TRYTON_KEY", KEY)
            .current_dir(self.dir.path())
            .args(["--wait", "120s", "--once"])
            .args(flows);
        self.runs += 1;
        Running::start(command, self.dir.path().join(format!("run-{}", self.runs)))
    }

    #[track_caller]
    fn once(&mut self, shop: &Shop, tryton: &Tryton, flows: &[&str]) {
        self.start(shop, tryton, flows).wait().ends(0);
    }

    /// SKU and quantity of every row of every file, in the order of writing.
    fn stock(&self) -> Vec<(String, i64)> {
        let folder = self.dir.path().join("out");
        let mut stock = Vec::new();
        for name in names(&folder) {
            let mut reader = csv::Reader::from_path(folder.join(name)).unwrap();
            assert!(reader.headers().unwrap().iter().eq(["sku", "quantity"]));
            for row in reader.records().map(Result::unwrap) {
                let quantity = serde_json::from_str(&row[1]).unwrap();
                stock.push((row[0].to_owned(), whole(&quantity)));
            }
        }
        stock
    }
}

/// What a sale is to be: the party's code, the total in paisa, SKU and quantity of each line that has an article.
type Sale = (String, i64, Vec<(String, i64)>);

fn wanted(world: &World) -> BTreeMap<String, Sale> {
    let orders = world.final_orders().into_iter();
    // What is cancelled already when it is seen first is not created only to be cancelled.
    let sent = orders.filter(|(_, order)| !["pending", "cancelled"].contains(&order.status.as_str()));
    let sale = |(id, order): (i64, Arc<Order>)| {
        let party = order.user_id.map_or("the company".to_owned(), |id| format!("SX{id}"));
        let lines = order.lines.iter();
        let mut lines: Vec<(String, i64)> = lines
            .filter_map(|line| Some((line.sku.clone()?, line.quantity.unwrap_or(1))))
            .collect();
        lines.sort();
        (id.to_string(), (party, order.grand_total(), lines))
    };
    sent.map(sale).collect()
}

/// What is there, by Tryton's own word; fails where one reference is there twice.
#[track_caller]
fn sales(tryton: &Tryton) -> BTreeMap<String, Sale> {
    let fields = [
        "reference",
        "party.code",
        "total_amount",
        "untaxed_amount",
        "currency.code",
        "lines.quantity",
        "lines.product.code",
    ];
    let mut sales = BTreeMap::new();
    for sale in tryton.rows("sale.sale", &fields) {
        let reference = sale["reference"].as_str().unwrap().to_owned();
        let party = match sale["party"]["id"].as_i64() {
            Some(1) => "the company",
            _ => sale["party"]["code"].as_str().unwrap(),
        };
        let total = paisa(sale["total_amount"]["decimal"].as_str().unwrap()).unwrap();
        assert_eq!(sale["total_amount"], sale["untaxed_amount"], "{sale}");
        assert_eq!(sale["currency"]["code"], "BDT", "{sale}");
        let lines = sale["lines"].as_array().unwrap().iter();
        let mut lines: Vec<(String, i64)> = lines
            .filter_map(|line| {
                let sku = line["product"]["code"].as_str()?;
                Some((sku.to_owned(), whole(&line["quantity"])))
            })
            .collect();
        lines.sort();
        let before = sales.insert(reference.clone(), (party.to_owned(), total, lines));
        assert!(before.is_none(), "the sale {reference} is there twice");
    }
    sales
}

#[allow(clippy::cast_possible_truncation)]
fn whole(quantity: &Value) -> i64 {
    let quantity = quantity.as_f64().unwrap();
    assert!(quantity.fract() == 0.0, "{quantity}");
    quantity as i64
}

/// A shop of 100 orders that are to be sent, a guest's and one without an article among them, and three that are not.
fn shop() -> Shop {
    let shop = Shop::open(sandbox::Options {
        customers: 30,
        products: 30,
        odd_percent: 0,
        ..options(ORDERS)
    });
    let world = shop.world();
    for (id, _) in world.final_orders() {
        world.update_order(id, |order| {
            if ["pending", "cancelled"].contains(&order.status.as_str()) {
                order.status = "confirmed".to_owned();
            }
        });
    }
    // The pretend shop has some codes twice, which Tryton refuses.
    for id in world.final_products().into_keys() {
        world.update_product(id, |product| {
            for variant in product.variants.iter_mut().skip(1) {
                variant.sku_code = Some(format!("V-{}", variant.sku_id));
            }
        });
    }
    let odd = shop.some_ids(3);
    world.update_order(odd[0], |order| order.user_id = None);
    world.update_order(odd[1], |order| {
        let line = &mut order.lines[0];
        (line.product_id, line.variant_id, line.sku) = (None, None, None);
    });
    world.update_order(odd[2], |order| (order.discount, order.tax) = (12_345, 678));
    for status in ["pending", "pending", "cancelled"] {
        world.insert_order(|order| order.status = status.to_owned());
    }
    shop
}

/// Waits until so many sales are there; a look now and then leaves the server to its work.
fn until_sales(run: &mut Running, tryton: &Tryton, count: usize) {
    run.until("some sales", || {
        std::thread::sleep(Duration::from_millis(100));
        tryton.rows("sale.sale", &["reference"]).len() >= count
    });
}

fn codes(tryton: &Tryton, model: &str) -> Vec<String> {
    let rows = tryton.rows(model, &["code"]);
    let mut codes: Vec<String> = rows
        .iter()
        .filter_map(|row| row["code"].as_str().map(str::to_owned))
        .collect();
    codes.sort();
    codes
}

#[test]
fn er_01_tryton_takes_100_orders_once_each_whoever_is_killed_and_gives_its_stock() {
    let mut tryton = Tryton::start();
    let shop = shop();
    let mut office = Office::new(&shop);
    // Killed in the middle. The orders alone are named; who and what they require goes first.
    let mut run = office.start(&shop, &tryton, &["orders-to-tryton"]);
    until_sales(&mut run, &tryton, 15);
    run.kill();
    let caught = [30, 40, 50, 60]
        .into_iter()
        .any(|count| dies_with_a_sale_in_hand(&mut office, &shop, &tryton, count));
    assert!(caught, "Tryton never had a sale in hand");
    // Then it is Tryton that is killed, and it comes back while the run still goes on.
    let mut run = office.start(&shop, &tryton, &PUSH);
    until_sales(&mut run, &tryton, 75);
    tryton.kill();
    tryton.serve();
    run.wait().ends(0);

    let wanted = wanted(shop.world());
    assert_eq!(wanted.len(), ORDERS);
    assert_eq!(sales(&tryton), wanted);
    let customers = shop.world().final_customers();
    let mut expected: Vec<String> = customers.keys().map(|id| format!("SX{id}")).collect();
    expected.sort();
    let parties = codes(&tryton, "party.party");
    let ours: Vec<&String> = parties.iter().filter(|code| code.starts_with("SX")).collect();
    assert_eq!(ours, expected.iter().collect::<Vec<_>>(), "each customer once");
    let products = shop.world().final_products();
    let variants = products.values().flat_map(|product| &product.variants);
    let mut expected: Vec<String> = variants.map(|variant| variant.sku_code.clone().unwrap()).collect();
    expected.sort();
    assert_eq!(codes(&tryton, "product.product"), expected, "each article once");

    // Nothing changed, so nothing is sent.
    let writes = tryton.writes();
    office.once(&shop, &tryton, &PUSH);
    assert_eq!(tryton.writes(), writes);
    assert_eq!(sales(&tryton), wanted);

    cancels_one(&mut office, &shop, &tryton);
    gives_its_stock(&mut office, &shop, &tryton);
}

/// Killed while Tryton has a sale in hand, which it carries out when nobody listens any more: the next run looks for it.
/// False where it had just answered.
fn dies_with_a_sale_in_hand(office: &mut Office, shop: &Shop, tryton: &Tryton, count: usize) -> bool {
    let mut run = office.start(shop, tryton, &["orders-to-tryton"]);
    until_sales(&mut run, tryton, count);
    tryton.signal("STOP");
    std::thread::sleep(Duration::from_millis(300));
    run.kill();
    let writes = tryton.writes();
    tryton.signal("CONT");
    tryton.writes_more_than(writes)
}

fn cancels_one(office: &mut Office, shop: &Shop, tryton: &Tryton) {
    let id = shop.some_ids(7)[4];
    shop.world().advance(Duration::from_secs(3_600));
    shop.world()
        .update_order(id, |order| order.status = "cancelled".to_owned());
    let cancelled = |tryton: &Tryton| -> Vec<String> {
        let rows = tryton.rows("sale.sale", &["reference", "state"]);
        let cancelled = rows.iter().filter(|sale| sale["state"] == "cancelled");
        cancelled
            .map(|sale| sale["reference"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(cancelled(tryton).len(), 0);
    office.once(shop, tryton, &PUSH);
    assert_eq!(cancelled(tryton), [id.to_string()]);
}

/// Goods come in at Tryton; what its files tell then is what Tryton says, page by page and change by change.
fn gives_its_stock(office: &mut Office, shop: &Shop, tryton: &Tryton) {
    let articles = tryton.rows("product.product", &["code"]);
    assert!(articles.len() > 50, "one page is no test: {}", articles.len());
    for (number, article) in (1..).zip(&articles) {
        receive(tryton, &article["id"], number * 3);
    }
    office.once(shop, tryton, &["stock-to-file"]);
    let mut told = office.stock();
    let level = |row: &Value| (row["code"].as_str().unwrap().to_owned(), whole(&row["quantity"]));
    let mut there: Vec<(String, i64)> = tryton.stock().iter().map(level).collect();
    told.sort();
    there.sort();
    assert_eq!(told, there);
    let mut quantities: Vec<i64> = told.iter().map(|(_, quantity)| *quantity).collect();
    quantities.sort_unstable();
    let expected = (1..).map(|number| number * 3).take(articles.len());
    assert_eq!(quantities, expected.collect::<Vec<_>>());

    // One level changes, and one row tells it.
    receive(tryton, &articles[7]["id"], 5);
    office.once(shop, tryton, &["stock-to-file"]);
    let sku = articles[7]["code"].as_str().unwrap().to_owned();
    let rows = office.stock();
    assert_eq!(rows[told.len()..], [(sku, 8 * 3 + 5)]);
}

/// From the supplier to the storage zone of a new database.
fn receive(tryton: &Tryton, article: &Value, quantity: i64) {
    let movement = json!({
        "product": article, "quantity": quantity, "unit": 1, "from_location": 6, "to_location": 3, "company": 1,
        "currency": 1, "unit_price": {"__class__": "Decimal", "decimal": "4"},
    });
    let movement = tryton.post("stock.move", &movement);
    tryton.post(&format!("stock.move/{}/do", movement["id"]), &json!({}));
}
