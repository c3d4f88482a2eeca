//! What a pretend ERP is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use crate::options::{Clock, Rate};

/// How a pretend ERP is set up. The default is an empty one on a free loopback port with the machine's clock, which
/// takes every kind of credential, keeps idempotency keys, and takes the same reference twice.
#[derive(Clone, Debug)]
pub struct ErpOptions {
    /// Loopback only; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Rows of stock it starts with: `SKU-0001` and so on.
    pub stock: usize,
    pub clock: Clock,
    pub seed: u64,
    /// The kinds of record it has, as its paths name them.
    pub resources: Vec<String>,
    /// Ids are numbers instead of texts such as `SO-1001`.
    pub number_ids: bool,
    /// A second record with the same `reference` gets 409.
    pub unique_references: bool,
    /// A key seen before is answered as it was the first time.
    pub keeps_keys: bool,
    /// The header that carries the idempotency key.
    pub key_header: String,
    /// Rows a page can have at most; a greater limit is clamped silently.
    pub limit_max: usize,
    /// Its own limit of requests; `None` = unlimited.
    pub rate: Option<Rate>,
    pub credentials: Credentials,
    /// Which of them it takes.
    pub ways: Vec<Way>,
    /// Every commit is appended here as a line of JSON.
    pub truth_file: Option<PathBuf>,
}

/// What clients prove themselves with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// As a bearer token.
    pub token: String,
    /// For basic access and for `/login`.
    pub user: String,
    pub password: String,
    /// In the header `X-Api-Key`, or in the query as `api_key`.
    pub api_key: String,
    /// For `/token`.
    pub client_id: String,
    pub client_secret: String,
    /// The first one; each is good for one refresh.
    pub refresh_token: String,
    /// How long tokens from `/token` and sessions from `/login` are good for.
    pub life_seconds: i64,
}

/// One way to prove oneself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Nothing is asked for.
    None,
    Bearer,
    Basic,
    ApiKey,
    /// A token of `/token`.
    OAuth,
    /// A cookie or token of `/login`.
    Session,
}

impl Way {
    pub(crate) const ALL: [Way; 5] = [Way::Bearer, Way::Basic, Way::ApiKey, Way::OAuth, Way::Session];
}

impl Default for Credentials {
    fn default() -> Credentials {
        Credentials {
            token: "erp-token-5b1f".to_owned(),
            user: "sync".to_owned(),
            password: "erp-password-77c2".to_owned(),
            api_key: "erp-key-90ad".to_owned(),
            client_id: "erp-client".to_owned(),
            client_secret: "erp-secret-31e8".to_owned(),
            refresh_token: "erp-refresh-0".to_owned(),
            life_seconds: 3600,
        }
    }
}

impl Default for ErpOptions {
    fn default() -> ErpOptions {
        ErpOptions {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            stock: 0,
            clock: Clock::Real,
            seed: 1,
            resources: ["sales-orders", "customers", "stock"].map(str::to_owned).to_vec(),
            number_ids: false,
            unique_references: false,
            keeps_keys: true,
            key_header: "idempotency-key".to_owned(),
            limit_max: 500,
            rate: None,
            credentials: Credentials::default(),
            ways: Way::ALL.to_vec(),
            truth_file: None,
        }
    }
}
