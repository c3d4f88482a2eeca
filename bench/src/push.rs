//! Posts what the benchmark's mapping makes of each order, as many at once as it is told to.

use anyhow::Context;
use futures::{StreamExt, TryStreamExt, stream};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::pages::{Pages, rows};

pub(crate) struct Erp {
    client: reqwest::Client,
    url: String,
    token: String,
}

impl Erp {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Erp> {
        Ok(Erp {
            client: reqwest::Client::builder().no_proxy().build()?,
            url: format!("{url}/sales-orders"),
            token: format!("Bearer {token}"),
        })
    }

    /// Creates a record. What it became there must be told.
    async fn create(&self, order: &Value) -> anyhow::Result<()> {
        let id = order.get("order_id").context("an order without an id")?.to_string();
        let record = json!({
            "reference": id,
            "number": order.get("order_number"),
            "status": order.get("status"),
            "total": order.get("grand_total"),
        });
        let request = self.client.post(&self.url).header(AUTHORIZATION, &self.token);
        let request = request
            .header(CONTENT_TYPE, "application/json")
            .header("idempotency-key", format!("selorax:22:{id}:create"))
            .body(record.to_string());
        let answer = request.send().await?.error_for_status()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await?)?;
        answer.pointer("/data/id").context("an answer without an id")?;
        Ok(())
    }
}

pub(crate) async fn push(url: &str, token: &str, erp: &Erp, concurrency: usize) -> anyhow::Result<usize> {
    let mut pages = Pages::new(url, token)?;
    let mut pushed = 0;
    while let Some(page) = pages.next().await? {
        let rows = rows(&page)?;
        let creates = stream::iter(rows).map(|order| erp.create(order));
        creates.buffer_unordered(concurrency).try_collect::<Vec<()>>().await?;
        pushed += rows.len();
    }
    Ok(pushed)
}
