//! Ties a flow of stock levels to the flows whose orders are taken off them, or says why it cannot. Must never leave
//! a store unguarded without a word where the same system gives the stock and takes the orders.

use std::time::Duration;

use contract::settings::Reader;

use super::flows::{Feed, Flow};
use super::sections::Connectors;
use super::{Mode, STORE};

/// What books from files may do so only the next day.
const FILES_BOOKED_AFTER: Duration = Duration::from_secs(24 * 3_600);

/// Whose orders are taken off the levels of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// The flows that carry the orders, and the feeds that they read.
    pub flows: Vec<String>,
    pub feeds: Vec<String>,
    pub booked_after: Duration,
    /// A figure's own time says what it contains.
    pub by_stamp: bool,
}

/// What the file says of it.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub off: bool,
    /// The flows that are named; empty: those that bring the store's orders to where the stock comes from.
    pub orders: Vec<String>,
    pub booked_after: Option<Duration>,
}

pub(super) fn read(reader: &mut Reader<'_>) -> Option<Wish> {
    let on = reader
        .field(
            "oversell_guard",
            "of stock into the store: whether what it sold and the ERP has not booked is taken off the levels",
        )
        .default("on")
        .choice(&["on", "off"]);
    let orders = reader
        .field(
            "sold_by",
            "of stock into the store: the flows whose orders are taken off; default: those that bring its orders there",
        )
        .list_of_text();
    let booked_after = reader
        .field(
            "booked_after",
            "of stock into the store: how long after an order was delivered the ERP may still not have booked it; \
             default: 0s, or 24h where the orders go into files",
        )
        .duration();
    Some(Wish {
        off: on? == "off",
        orders: orders.unwrap_or_default(),
        booked_after,
    })
}

fn is_stock(flow: &Flow) -> bool {
    flow.to.connector == STORE && flow.to.resource == "inventory"
}

pub(super) fn tie(file: &mut Reader<'_>, flows: &mut [Flow], mode: Mode, connectors: &Connectors) {
    for at in 0..flows.len() {
        let wish = flows[at].sold.clone();
        let is_given = !wish.orders.is_empty() || wish.booked_after.is_some();
        if !is_stock(&flows[at]) {
            if is_given && mode == Mode::Full {
                let message = format!(
                    "flows.{}: `sold_by` and `booked_after` are for `to: store.inventory`",
                    flows[at].name
                );
                file.problem_at("flows", message, Some("remove them".to_owned()));
            }
            continue;
        }
        if wish.off {
            continue;
        }
        let sales = sales_of(file, &flows[at], &wish, flows, mode);
        if sales.is_empty() {
            continue;
        }
        let into_files = sales.iter().any(|sale| by_files(&sale.to, connectors));
        let booked_after = wish.booked_after.unwrap_or(match into_files {
            true => FILES_BOOKED_AFTER,
            false => Duration::ZERO,
        });
        let mut feeds: Vec<String> = sales.iter().map(|sale| sale.from.to_string()).collect();
        feeds.sort();
        feeds.dedup();
        let guard = Guard {
            flows: sales.iter().map(|sale| sale.name.clone()).collect(),
            feeds,
            booked_after,
            by_stamp: by_files(&flows[at].from, connectors),
        };
        let counted = (flows[at].name.clone(), flows[at].to.clone());
        let by_itself = flows[at].runs_by_itself();
        for flow in flows.iter_mut().filter(|flow| guard.flows.contains(&flow.name)) {
            flow.counted_by.push(counted.clone());
            flow.serves |= by_itself;
        }
        flows[at].guard = Some(guard);
    }
}

fn sales_of(file: &mut Reader<'_>, stock: &Flow, wish: &Wish, flows: &[Flow], mode: Mode) -> Vec<Flow> {
    let is_orders = |flow: &Flow| flow.from.connector == STORE && flow.from.resource == "orders";
    if wish.orders.is_empty() {
        let fits = |flow: &&Flow| is_orders(flow) && flow.to.connector == stock.from.connector;
        let found: Vec<Flow> = flows.iter().filter(fits).cloned().collect();
        if found.is_empty() && mode == Mode::Full {
            let message = format!(
                "flows.{}: no flow brings store.orders to `{}`, so nothing that the store sold is taken off these levels",
                stock.name, stock.from.connector
            );
            let hint = "name the flows of the orders in `sold_by`, or say `oversell_guard: off`";
            file.warning_at("flows", &message, Some(hint.to_owned()));
        }
        return found;
    }
    let mut found = Vec::new();
    for name in &wish.orders {
        match flows.iter().find(|flow| flow.name == *name && is_orders(flow)) {
            Some(flow) => found.push(flow.clone()),
            None if mode == Mode::Full => {
                let message = format!(
                    "flows.{}.sold_by: there is no flow `{name}` with `from: store.orders`",
                    stock.name
                );
                file.problem_at("flows", message, None);
            }
            None => {}
        }
    }
    found
}

/// Whether a feed is files, one after the other.
fn by_files(feed: &Feed, connectors: &Connectors) -> bool {
    connectors
        .ready
        .get(&feed.connector)
        .is_some_and(|settings| !settings.takes_records())
}
