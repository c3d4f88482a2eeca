//! The pages of the store, one after the other. Never more than one at a time.

use anyhow::Context;
use reqwest::header::{ACCEPT, AUTHORIZATION};
use serde_json::Value;

/// The largest page that the store gives.
const PAGE_ROWS: usize = 250;

pub(crate) struct Pages {
    client: reqwest::Client,
    url: String,
    token: String,
    at: usize,
    done: bool,
}

impl Pages {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Pages> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Pages {
            client,
            url: format!("{url}/api/apps/v1/orders?limit={PAGE_ROWS}&sort=created_at:asc"),
            token: format!("Bearer {token}"),
            at: 0,
            done: false,
        })
    }

    /// The page that was read last, counted from 1.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) async fn next(&mut self) -> anyhow::Result<Option<Value>> {
        if self.done {
            return Ok(None);
        }
        self.at += 1;
        let request = self.client.get(format!("{}&page={}", self.url, self.at));
        let request = request
            .header(ACCEPT, "application/json")
            .header(AUTHORIZATION, &self.token);
        let answer = request.send().await?.error_for_status()?;
        let body = answer.bytes().await?;
        let page: Value = serde_json::from_slice(&body)?;
        self.done = rows(&page)?.len() < PAGE_ROWS;
        Ok(Some(page))
    }
}

pub(crate) fn rows(page: &Value) -> anyhow::Result<&[Value]> {
    let rows = page.get("data").and_then(Value::as_array);
    rows.map(Vec::as_slice).context("a page without rows")
}
