//! The pretend ERP of a test, in this process, and the config of a flow that fills it.

use std::collections::BTreeMap;
use std::sync::Arc;

use sandbox::erp::{Books, Commit, Credentials, Deed, ErpOptions};
use tokio::runtime::Runtime;

use super::{CANARY, Desk, Setup, Shop};

pub(crate) struct Erp {
    erp: sandbox::erp::Erp,
    /// Declared behind it, so that it outlives it.
    _runtime: Runtime,
}

/// An ERP with secrets that are easy to find where they must not be.
pub(crate) fn erp_options() -> ErpOptions {
    ErpOptions {
        credentials: Credentials {
            token: format!("erp-{CANARY}-token"),
            password: format!("erp-{CANARY}-password"),
            api_key: format!("erp-{CANARY}-key"),
            client_secret: format!("erp-{CANARY}-secret"),
            refresh_token: format!("erp-{CANARY}-refresh"),
            ..Credentials::default()
        },
        ..ErpOptions::default()
    }
}

impl Erp {
    pub(crate) fn open(edit: impl FnOnce(&mut ErpOptions)) -> Erp {
        let mut options = erp_options();
        edit(&mut options);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let erp = runtime.block_on(sandbox::erp::Erp::start(options)).unwrap();
        Erp { erp, _runtime: runtime }
    }

    pub(crate) fn books(&self) -> &Arc<Books> {
        self.erp.books()
    }

    pub(crate) fn url(&self) -> String {
        self.erp.url()
    }

    /// How often clients created a sales order with each reference.
    pub(crate) fn created(&self) -> BTreeMap<String, usize> {
        let mut created = BTreeMap::new();
        for commit in self.commits(Deed::Created) {
            *created.entry(commit.reference.unwrap_or_default()).or_default() += 1;
        }
        created
    }

    pub(crate) fn commits(&self, deed: Deed) -> Vec<Commit> {
        let mut commits = self.books().truth_of("sales-orders");
        commits.retain(|commit| commit.deed == deed);
        commits
    }

    /// Fails unless every order of the shop but these is there exactly once, with its total to the digit.
    #[track_caller]
    pub(crate) fn check_but(&self, shop: &Shop, absent: &[i64]) {
        let orders = shop.world().final_orders();
        let mut expected: BTreeMap<String, usize> = orders.keys().map(|id| (id.to_string(), 1)).collect();
        for id in absent {
            expected.remove(&id.to_string());
        }
        assert_eq!(self.created(), expected, "how often each order was created");
        for (id, order) in orders.iter().filter(|(id, _)| !absent.contains(id)) {
            for held in self.books().with_reference("sales-orders", &id.to_string()) {
                let total = held.document.raw("total").unwrap_or_default();
                assert_eq!(super::check::paisa(total), Ok(order.grand_total()), "the total of {id}");
            }
        }
    }

    #[track_caller]
    pub(crate) fn check(&self, shop: &Shop) {
        self.check_but(shop, &[]);
    }
}

/// The parts of a config that a test of the ERP may want otherwise; each is YAML at its place.
#[derive(Clone, Debug)]
pub(crate) struct ErpSetup {
    pub(crate) auth: String,
    pub(crate) rate: String,
    pub(crate) unknown: String,
    /// Lines below `push:`.
    pub(crate) push: Vec<String>,
    /// Lines below `erp:` and below its `resources:`.
    pub(crate) connector: Vec<String>,
    pub(crate) resources: Vec<String>,
    /// Lines below the flow.
    pub(crate) flow: Vec<String>,
    /// Further lines below its `map:`.
    pub(crate) map: Vec<String>,
    /// Lines below `flows:`.
    pub(crate) flows: Vec<String>,
    /// Lines of `drop`'s resources.
    pub(crate) drop: Vec<String>,
}

pub(crate) const CREATE: &str = "create: {path: /sales-orders, id: .data.id, idempotency_header: Idempotency-Key, success: .success, error: .error.message}";
pub(crate) const UPDATE: &str = "update: {path: '/sales-orders/{id}', success: .success, error: .error.message}";
pub(crate) const FIND: &str = "find: {path: /sales-orders, params: {reference: .reference}, id: '.items[].id'}";
pub(crate) const READ: &str =
    "read: {path: '/sales-orders/{id}', compare: {total: .data.total, customer: .data.customer}}";

impl Default for ErpSetup {
    fn default() -> ErpSetup {
        ErpSetup {
            auth: "{type: bearer, token: '${file:./erp-token}'}".to_owned(),
            rate: "100000/s".to_owned(),
            unknown: "{wait: 300ms, recheck: 200ms}".to_owned(),
            push: [CREATE, UPDATE, FIND, READ].map(str::to_owned).to_vec(),
            connector: Vec::new(),
            resources: Vec::new(),
            flow: Vec::new(),
            map: Vec::new(),
            flows: Vec::new(),
            drop: Vec::new(),
        }
    }
}

impl ErpSetup {
    fn setup(&self, erp: &Erp) -> Setup {
        let lines = |lines: &[String], depth: usize| -> String {
            let indent = " ".repeat(depth);
            lines.iter().map(|line| format!("{indent}{line}\n")).collect()
        };
        let connectors = format!(
            "  erp:\n    type: rest\n    base_url: {}\n    auth: {}\n    rate_limit: {}\n    burst: 200\n    timeout: 2s\n    \
             unknown: {}\n{}    resources:\n      orders:\n        push:\n{}{}",
            erp.url(),
            self.auth,
            self.rate,
            self.unknown,
            lines(&self.connector, 4),
            lines(&self.push, 10),
            lines(&self.resources, 6),
        );
        let map = [
            "reference: .id | tostring",
            "customer: .customer.name",
            "status: .status",
            "total: .grand_total",
        ];
        let flows = format!(
            "  orders-to-erp:\n    from: store.orders\n    to: erp.orders\n{}    map:\n{}{}{}",
            lines(&self.flow, 4),
            lines(&map.map(str::to_owned), 6),
            lines(&self.map, 6),
            lines(&self.flows, 2),
        );
        Setup {
            connectors,
            flows,
            resources: lines(&self.drop, 6),
            ..Setup::default()
        }
    }

    pub(crate) fn desk(&self, shop: &Shop, erp: &Erp) -> Desk {
        let desk = Desk::with(shop, self.setup(erp));
        let credentials = erp.books().credentials();
        desk.write("erp-token", &credentials.token);
        desk.write("erp-secret", &credentials.client_secret);
        desk.write("erp-refresh", &erp.books().refresh_token());
        desk
    }
}
