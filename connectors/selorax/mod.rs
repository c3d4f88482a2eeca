//! The SeloraX store: its settings, and what it offers. Talks to `/api/apps/v1` only.

mod api;
mod catalogue;
mod changes;
mod customers;
mod feed;
mod history;
mod hook;
mod inventory;
mod keyset;
mod learned;
mod level;
mod list;
mod listing;
mod movement;
mod order;
mod order_status;
mod orders;
mod products;
mod proof;
mod read;
mod request;
mod resource;
mod second;
mod span;
mod stock;
mod store;
mod subscriptions;
#[cfg(test)]
#[path = "tests/mod.rs"]
mod writing;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::{Rate, Reader, Settings, https_or_loopback};
use contract::{Connector, Error, Factory, Finding, Seams, Source, Subscriptions, Target, Upkeep, Webhook};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::json;

use api::Api;
use catalogue::Catalogue;
use customers::Customers;
use feed::Feed;
use hook::Hook;
use inventory::Inventory;
use learned::Learned;
use order_status::OrderStatus;
use orders::Orders;
use products::Products;
use request::{Form, Usual};
use resource::{Resource, Shape};
use stock::{Stock, StockSettings};
use store::Profile;
use subscriptions::Hooks;

use crate::http::Manners;

pub(crate) const FACTORY: Factory = Factory {
    kind: "selorax",
    read: read_settings,
};

#[derive(Clone, Debug)]
pub(crate) struct StoreSettings {
    /// Ends in `/api/apps/v1/`.
    base: Url,
    store_id: i64,
    auth: Auth,
    manners: Manners,
    overlap: Duration,
    upkeep: Upkeep,
    currency: Option<String>,
    order_status: Option<order_status::Settings>,
    stock: StockSettings,
}

#[derive(Clone, Debug)]
pub(crate) enum Auth {
    Bearer(SecretString),
    Client {
        id: SecretString,
        secret: SecretString,
    },
    /// Not resolved in this run, which therefore cannot call the store.
    Absent,
}

fn read_settings(reader: &mut Reader<'_>) -> Option<Box<dyn Settings>> {
    let base = reader
        .field(
            "url",
            "the store's API, with or without /api; https, or http on a loopback address",
        )
        .required()
        .parsed(json!({"type": "string", "format": "uri"}), parse_base);
    let store_id = reader
        .field("store_id", "the store's number")
        .required()
        .integer(1, i64::MAX);
    let auth = read_auth(reader);
    let manners = Manners::read(reader, "60/min", "2");
    reader
        .field("timezone", "for dates in files and reports")
        .default("Asia/Dhaka")
        .parsed(json!({"type": "string"}), |name| {
            jiff::tz::TimeZone::get(name).map_err(|error| error.to_string())
        });
    let overlap = reader
        .field("overlap", "how far each scan reaches back behind its watermark")
        .default("10m")
        .duration();
    let upkeep = read_upkeep(reader);
    let currency = reader
        .field("currency", "ISO 4217 code; asked of the store where it is not given")
        .text();
    let stock = read_stock(reader);
    let order_status = order_status::Settings::read(reader);
    Some(Box::new(StoreSettings {
        base: base?,
        store_id: store_id?,
        auth,
        manners: manners?,
        overlap: overlap?,
        upkeep: upkeep?,
        currency,
        order_status,
        stock: stock?,
    }))
}

/// What the daemon does besides its schedules to find what reading by change leaves out. 0s: never.
fn read_upkeep(reader: &mut Reader<'_>) -> Option<Upkeep> {
    let about = "how the daemon finds what scans by change leave out; 0s in a time: never";
    reader.field("upkeep", about).section(|upkeep| {
        let deep_every = upkeep
            .field("deep_every", "so often it looks much further back than a scan does")
            .default("1h")
            .duration();
        let deep_reach = upkeep
            .field("deep_reach", "how far back it looks then")
            .default("24h")
            .duration();
        let sweep_every = upkeep
            .field("sweep_every", "so often it goes over all records and counts")
            .default("24h")
            .duration();
        Some(Upkeep {
            deep_every: deep_every?,
            deep_reach: deep_reach?,
            sweep_every: sweep_every?,
        })
    })
}

/// Either a token or both halves of client credentials; which of them is checked by presence, so that a
/// run that needs no secret works without them.
fn read_auth(reader: &mut Reader<'_>) -> Auth {
    let given = |reader: &Reader<'_>, name: &str| {
        reader
            .node()
            .and_then(|node| node.get(name))
            .is_some_and(|node| !node.is_null())
    };
    let (has_token, has_id, has_secret) = (
        given(reader, "access_token"),
        given(reader, "client_id"),
        given(reader, "client_secret"),
    );
    let token = reader
        .field("access_token", "a Bearer token, instead of client credentials")
        .secret();
    let id = reader.field("client_id", "client credentials: the id").secret();
    let secret = reader.field("client_secret", "client credentials: the secret").secret();
    if has_token && (has_id || has_secret) {
        reader.problem_at(
            "access_token",
            "both a token and client credentials are given",
            Some("keep `access_token`, or `client_id` and `client_secret`".to_owned()),
        );
    } else if !(has_token || has_id && has_secret) {
        let missing = match (has_id, has_secret) {
            (true, false) => "`client_secret` is missing beside `client_id`",
            (false, true) => "`client_id` is missing beside `client_secret`",
            _ => "credentials are missing",
        };
        reader.problem(
            missing,
            Some("give `client_id` and `client_secret`, or `access_token`".to_owned()),
        );
    }
    match (token, id, secret) {
        (Some(token), _, _) => Auth::Bearer(token),
        (None, Some(id), Some(secret)) => Auth::Client { id, secret },
        _ => Auth::Absent,
    }
}

/// How stock is written. The platform does not document the bodies.
fn read_stock(reader: &mut Reader<'_>) -> Option<StockSettings> {
    const NAMES: &[&str] = &["product_id", "sku_id"];
    let about = "how stock is written; every write is read back";
    reader.field("inventory", about).section(|inventory| {
        let set = inventory.field("set", "the request for a level").section(|set| {
            let usual = Usual {
                method: "PUT",
                path: "/inventory/{product_id}",
                body: "{sku_id, quantity}",
                names: NAMES,
            };
            Form::read(set, usual)
        });
        let adjust = inventory
            .field("adjust", "the request for a movement")
            .section(|adjust| {
                let usual = Usual {
                    method: "POST",
                    path: "/inventory/{product_id}/adjust",
                    body: "{sku_id, adjustment: .delta}",
                    names: NAMES,
                };
                Form::read(adjust, usual)
            });
        Some(StockSettings {
            set: set?,
            adjust: adjust?,
        })
    })
}

/// Both conventions for the base are about: with and without `/api`, and people paste the whole prefix.
fn parse_base(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("not a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a URL with a login in it; use the credential keys".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a base URL without `?` and `#`".to_owned());
    }
    let Some(host) = url.host_str() else {
        return Err("a URL with a host".to_owned());
    };
    https_or_loopback(url.scheme(), host)?;
    let mut path = url.path().trim_end_matches('/').to_owned();
    for suffix in ["/apps/v1", "/api"] {
        if let Some(shorter) = path.strip_suffix(suffix) {
            path = shorter.trim_end_matches('/').to_owned();
        }
    }
    url.set_path(&format!("{path}/api/apps/v1/"));
    Ok(url)
}

impl Settings for StoreSettings {
    fn connect(&self, seams: &Seams) -> Result<Arc<dyn Connector>, Error> {
        let api = Api::new(self, seams)?;
        let learned = Learned::new(self.currency.clone());
        let resources: [Arc<dyn Resource>; 4] = [
            Arc::new(Orders { learned }),
            Arc::new(Customers),
            Arc::new(Products),
            Arc::new(Inventory::default()),
        ];
        let feeds = resources.map(|resource| {
            Arc::new(Feed {
                store_id: self.store_id,
                api: api.clone(),
                overlap: self.overlap,
                upkeep: self.upkeep,
                resource,
            })
        });
        let profile = Arc::new(Profile {
            api: api.clone(),
            overlap: self.overlap,
        });
        let order_status = self.order_status.clone();
        let order_status = order_status.map(|settings| Arc::new(OrderStatus::new(api.clone(), settings)));
        let [_, _, products, _] = &feeds;
        let catalogue = Catalogue::new(&api, products, &seams.memory, &seams.clock);
        let seams = (&seams.memory, &seams.clock);
        let stock = Arc::new(Stock::new(
            &api,
            &self.stock,
            catalogue,
            seams,
            self.manners.concurrency,
        ));
        Ok(Arc::new(Store {
            stock,
            api,
            store_id: self.store_id,
            feeds,
            profile,
            order_status,
        }))
    }

    fn sources(&self) -> Vec<String> {
        let shapes = [
            &orders::SHAPE,
            &customers::SHAPE,
            &products::SHAPE,
            &inventory::SHAPE,
            &store::SHAPE,
        ];
        shapes.map(|shape| shape.path.to_owned()).to_vec()
    }

    fn targets(&self) -> Vec<String> {
        let order_status = self.order_status.iter().map(|_| "order_status".to_owned());
        [inventory::SHAPE.path.to_owned()]
            .into_iter()
            .chain(order_status)
            .collect()
    }

    fn takes_records(&self) -> bool {
        true
    }

    fn rate_limit(&self) -> Option<Rate> {
        Some(self.manners.rate)
    }
}

#[derive(Debug)]
struct Store {
    api: Arc<Api>,
    store_id: i64,
    /// Orders first: the one that the app must be able to read.
    feeds: [Arc<Feed>; 4],
    profile: Arc<Profile>,
    order_status: Option<Arc<OrderStatus>>,
    stock: Arc<Stock>,
}

#[async_trait]
impl Connector for Store {
    async fn probe(&self) -> Vec<Finding> {
        let store = self.api.store().await.map(|store| match store.name {
            Some(name) => format!("{name}, currency {}", store.currency.as_deref().unwrap_or("not told")),
            None => "answered".to_owned(),
        });
        let mut findings = vec![Finding {
            what: "reading the store's profile (read:store)".to_owned(),
            result: store,
            optional: true,
        }];
        for feed in &self.feeds {
            let shape = feed.shape();
            findings.push(Finding {
                what: format!("reading {} ({})", shape.all, shape.scope),
                result: feed.probe().await.map_err(|error| without_scope(error, shape)),
                optional: shape.path != orders::SHAPE.path,
            });
        }
        findings
    }

    fn source(&self, resource: &str) -> Option<Arc<dyn Source>> {
        if resource == store::SHAPE.path {
            return Some(self.profile.clone());
        }
        let feed = self.feeds.iter().find(|feed| feed.shape().path == resource)?;
        Some(feed.clone())
    }

    fn target(&self, resource: &str) -> Option<Target> {
        if resource == inventory::SHAPE.path {
            return Some(Target::Records(self.stock.clone()));
        }
        let status = self.order_status.clone().filter(|_| resource == "order_status")?;
        Some(Target::Records(status))
    }

    fn webhook(&self, secrets: &[SecretString]) -> Option<Arc<dyn Webhook>> {
        Some(Arc::new(Hook::new(self.api.clone(), self.store_id, secrets)))
    }

    fn subscriptions(&self) -> Option<Arc<dyn Subscriptions>> {
        Some(Arc::new(Hooks { api: self.api.clone() }))
    }

    fn condition(&self) -> String {
        self.api.condition()
    }

    fn requests(&self) -> u64 {
        self.api.requests()
    }

    async fn rest(&self) {
        self.api.rest().await;
    }
}

/// A scope that nobody needs who has no flow from this resource.
fn without_scope(error: Error, shape: &Shape) -> Error {
    if error.status != Some(403) || shape.path == orders::SHAPE.path {
        return error;
    }
    let hint = format!(
        "only flows from store.{} need this: for them, give the app the scope {} in Settings > Apps",
        shape.path, shape.scope
    );
    error.hint(hint)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_the_base_means_the_same() {
        for text in [
            "https://api.selorax.io",
            "https://api.selorax.io/",
            "https://api.selorax.io/api",
            "https://api.selorax.io/api/",
            "https://api.selorax.io/api/apps/v1",
            "https://api.selorax.io/api/apps/v1/",
        ] {
            assert_eq!(
                parse_base(text).unwrap().as_str(),
                "https://api.selorax.io/api/apps/v1/",
                "{text}"
            );
        }
        assert_eq!(
            parse_base("http://127.0.0.1:9/api").unwrap().as_str(),
            "http://127.0.0.1:9/api/apps/v1/"
        );
        for bad in [
            "http://api.selorax.io",
            "ftp://x",
            "api.selorax.io",
            "https://u:p@x.test",
            "https://x.test/?a=1",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }
}
