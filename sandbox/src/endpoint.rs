//! Which endpoint of the platform a request means; it looks at method and path only.

use crate::fault::Kind;
use crate::http::Incoming;
use crate::resource::Resource;

pub(crate) const BASE: &str = "/api/apps/v1";

/// An id in a path; `None` if what stands for it is no number, which is no record's id.
type Id = Option<i64>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    List(Resource),
    Detail(Resource, Id),
    /// The orders of one customer.
    OrdersOf(Id),
    /// `POST /orders/filters`, which only reads.
    Filters,
    Store,
    Subscriptions,
    Definitions,
    Values,
    Write(Write),
    WrongMethod,
    Unknown,
}

/// A request that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    /// Of an order, a customer or a product.
    Create(Resource),
    Update(Resource, Id),
    Delete(Resource, Id),
    OrderStatus(Id),
    AddVariant(Id),
    UpdateVariant(Id, Id),
    DeleteVariant(Id, Id),
    SetStock(Id),
    AdjustStock(Id),
    Subscribe,
    Define,
    PutValues,
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
        let written = write(&incoming.method, &steps);
        if let Some(write) = written {
            return Endpoint::Write(write);
        }
        match (incoming.method.as_str(), read(&steps), steps.as_slice()) {
            ("POST", _, ["orders", "filters"]) => Endpoint::Filters,
            (_, Endpoint::Unknown, _) => Endpoint::Unknown,
            ("GET", endpoint, _) => endpoint,
            _ => Endpoint::WrongMethod,
        }
    }

    pub(crate) fn kind(self) -> Kind {
        match self {
            Endpoint::List(_)
            | Endpoint::OrdersOf(_)
            | Endpoint::Filters
            | Endpoint::Subscriptions
            | Endpoint::Definitions
            | Endpoint::Values => Kind::List,
            Endpoint::Detail(..) => Kind::Detail,
            Endpoint::Store => Kind::Store,
            Endpoint::Write(_) => Kind::Write,
            Endpoint::WrongMethod | Endpoint::Unknown => Kind::Any,
        }
    }

    /// The kind of record that is answered or changed.
    pub(crate) fn resource(self) -> Option<Resource> {
        Some(match self {
            Endpoint::List(resource) | Endpoint::Detail(resource, _) => resource,
            Endpoint::OrdersOf(_) | Endpoint::Filters => Resource::Orders,
            Endpoint::Store => Resource::Store,
            Endpoint::Subscriptions => Resource::Webhooks,
            Endpoint::Definitions | Endpoint::Values => Resource::Metafields,
            Endpoint::Write(write) => write.resource(),
            Endpoint::WrongMethod | Endpoint::Unknown => return None,
        })
    }

    pub(crate) fn record(self) -> Id {
        match self {
            Endpoint::Detail(_, id) => id,
            Endpoint::Write(write) => write.record(),
            _ => None,
        }
    }

    /// `Err` where no credentials are looked at, `Ok(None)` where any good ones do.
    pub(crate) fn scope(self) -> Result<Option<String>, NoRoute> {
        let resource = match self {
            Endpoint::OrdersOf(_) => Resource::Customers,
            other => other.resource().ok_or(NoRoute)?,
        };
        let right = if self.kind() == Kind::Write { "write" } else { "read" };
        Ok((resource != Resource::Webhooks).then(|| format!("{right}:{}", resource.scope())))
    }
}

/// There is nothing at this path.
pub(crate) struct NoRoute;

impl Write {
    fn resource(self) -> Resource {
        match self {
            Write::Create(resource) | Write::Update(resource, _) | Write::Delete(resource, _) => resource,
            Write::OrderStatus(_) => Resource::Orders,
            Write::AddVariant(_) | Write::UpdateVariant(..) | Write::DeleteVariant(..) => Resource::Products,
            Write::SetStock(_) | Write::AdjustStock(_) => Resource::Inventory,
            Write::Subscribe => Resource::Webhooks,
            Write::Define | Write::PutValues => Resource::Metafields,
        }
    }

    fn record(self) -> Id {
        match self {
            Write::Update(_, id)
            | Write::Delete(_, id)
            | Write::OrderStatus(id)
            | Write::AddVariant(id)
            | Write::UpdateVariant(id, _)
            | Write::DeleteVariant(id, _)
            | Write::SetStock(id)
            | Write::AdjustStock(id) => id,
            Write::Create(_) | Write::Subscribe | Write::Define | Write::PutValues => None,
        }
    }
}

fn read(steps: &[&str]) -> Endpoint {
    let named = LISTS
        .into_iter()
        .find(|resource| steps.first().is_some_and(|step| *step == resource.name()));
    match (named, steps) {
        (None, ["store"]) => Endpoint::Store,
        (None, ["webhooks"]) => Endpoint::Subscriptions,
        (None, ["metafields", "definitions"]) => Endpoint::Definitions,
        (None, ["metafields", "values"]) => Endpoint::Values,
        (Some(resource), [_]) => Endpoint::List(resource),
        (Some(Resource::Customers), [_, id, "orders"]) => Endpoint::OrdersOf(id.parse().ok()),
        (Some(resource), [_, id]) if resource != Resource::Categories => Endpoint::Detail(resource, id.parse().ok()),
        _ => Endpoint::Unknown,
    }
}

fn write(method: &str, steps: &[&str]) -> Option<Write> {
    let id = |step: &str| step.parse::<i64>().ok();
    Some(match (method, steps) {
        ("POST", ["orders"]) => Write::Create(Resource::Orders),
        ("PUT", ["orders", order]) => Write::Update(Resource::Orders, id(order)),
        ("PUT", ["orders", order, "status"]) => Write::OrderStatus(id(order)),
        ("POST", ["customers"]) => Write::Create(Resource::Customers),
        ("PUT", ["customers", customer]) => Write::Update(Resource::Customers, id(customer)),
        ("DELETE", ["customers", customer]) => Write::Delete(Resource::Customers, id(customer)),
        ("POST", ["products"]) => Write::Create(Resource::Products),
        ("PUT", ["products", product]) => Write::Update(Resource::Products, id(product)),
        ("DELETE", ["products", product]) => Write::Delete(Resource::Products, id(product)),
        ("POST", ["products", product, "variants"]) => Write::AddVariant(id(product)),
        ("PUT", ["products", product, "variants", sku]) => Write::UpdateVariant(id(product), id(sku)),
        ("DELETE", ["products", product, "variants", sku]) => Write::DeleteVariant(id(product), id(sku)),
        ("PUT", ["inventory", product]) => Write::SetStock(id(product)),
        ("POST", ["inventory", product, "adjust"]) => Write::AdjustStock(id(product)),
        ("POST", ["webhooks"]) => Write::Subscribe,
        ("POST", ["metafields", "definitions"]) => Write::Define,
        ("POST", ["metafields", "values"]) => Write::PutValues,
        _ => return None,
    })
}
