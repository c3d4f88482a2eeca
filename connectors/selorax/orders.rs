//! Orders as a resource. Their list can be sorted by change but filtered only by creation, so what
//! changed is found by reading newest changes first, and history by windows of creation time.

use async_trait::async_trait;
use contract::{Error, Key, Malformed, Record, Row, Use, Value};

use super::api::Api;
use super::learned::Learned;
use super::order;
use super::resource::{Resource, Shape, Since};

pub(super) const SHAPE: Shape = Shape {
    path: "orders",
    scope: "read:orders",
    one: "order",
    all: "orders",
    whose: "orders'",
    ids: &["order_id", "id"],
    wrapper: "order",
    control: &["grand_total", "total"],
    params: &[],
    since: Since::CreatedUntil,
};

#[derive(Debug)]
pub(super) struct Orders {
    pub(super) learned: Learned,
}

#[async_trait]
impl Resource for Orders {
    fn shape(&self) -> &'static Shape {
        &SHAPE
    }

    async fn prepare(&self, api: &Api) -> Result<(), Error> {
        self.learned.learn_currency(api).await
    }

    async fn study(&self, api: &Api, rows: &[Row]) -> Result<(), Error> {
        self.learned.learn_contact(api, rows).await
    }

    async fn read(&self, api: &Api, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        self.learned.learn_currency(api).await?;
        let doing = format!("reading order {}", key.0);
        api.one(&SHAPE, key, &doing, purpose).await
    }

    fn decode(&self, value: Value, single: bool) -> Result<Record, Malformed> {
        if !single && self.learned.lacks_contact(&value) {
            return Ok(Record::Partial);
        }
        order::decode(value, single, self.learned.currency().as_deref())
    }

    fn asked_for(&self, mentions: &dyn Fn(&str) -> bool) {
        if mentions("customer") || mentions("shipping_address") {
            self.learned.want_contact();
        }
    }
}
