//! Which endpoint of the platform a request means; it looks at method and path only.

use crate::fault::Kind;
use crate::http::Incoming;
use crate::resource::Resource;

pub(crate) const BASE: &str = "/api/apps/v1";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    List(Resource),
    /// `None` if what stands for the id is no number.
    Detail(Resource, Option<i64>),
    /// The orders of one customer.
    OrdersOf(Option<i64>),
    Store,
    WrongMethod,
    Unknown,
}

const LISTS: [Resource; 6] = [
    Resource::Orders,
    Resource::Customers,
    Resource::Products,
    Resource::Inventory,
    Resource::Categories,
    Resource::Discounts,
];

impl Endpoint {
    pub(crate) fn of(incoming: &Incoming) -> Endpoint {
        let Some(rest) = incoming.path.strip_prefix(BASE) else {
            return Endpoint::Unknown;
        };
        let steps: Vec<&str> = rest.trim_matches('/').split('/').collect();
        let named = LISTS
            .into_iter()
            .find(|resource| steps.first().is_some_and(|step| *step == resource.name()));
        let endpoint = match (named, steps.as_slice()) {
            (None, ["store"]) => Endpoint::Store,
            (Some(resource), [_]) => Endpoint::List(resource),
            (Some(Resource::Customers), [_, id, "orders"]) => Endpoint::OrdersOf(id.parse().ok()),
            (Some(resource), [_, id]) if resource != Resource::Categories => {
                Endpoint::Detail(resource, id.parse().ok())
            }
            _ => return Endpoint::Unknown,
        };
        if incoming.method == "GET" {
            endpoint
        } else {
            Endpoint::WrongMethod
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Endpoint::List(_) | Endpoint::OrdersOf(_) => Kind::List,
            Endpoint::Detail(..) => Kind::Detail,
            Endpoint::Store => Kind::Store,
            Endpoint::WrongMethod | Endpoint::Unknown => Kind::Any,
        }
    }

    /// The kind of record that is answered or changed.
    pub(crate) fn resource(self) -> Option<Resource> {
        match self {
            Endpoint::List(resource) | Endpoint::Detail(resource, _) => Some(resource),
            Endpoint::OrdersOf(_) => Some(Resource::Orders),
            Endpoint::Store => Some(Resource::Store),
            Endpoint::WrongMethod | Endpoint::Unknown => None,
        }
    }

    pub(crate) fn record(self) -> Option<i64> {
        match self {
            Endpoint::Detail(_, id) => id,
            _ => None,
        }
    }

    /// `None` where no credentials are looked at.
    pub(crate) fn scope(self) -> Option<String> {
        let resource = match self {
            Endpoint::OrdersOf(_) => Resource::Customers,
            other => other.resource()?,
        };
        Some(format!("read:{}", resource.scope()))
    }
}
