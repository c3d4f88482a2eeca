//! Delivering: ready versions become batches, batches become files. A batch keeps its name and its
//! versions from the moment it is frozen; that it was staged is durable before the rename, so after a
//! crash a temporary file that is gone means that the file was published.

use std::time::Duration;

use contract::{Encoded, Item, Value};
use jiff::Timestamp;

use super::{Engine, Flow, passes};
use crate::store::{Batch, BatchState, NewBatch, Ready};

impl Engine {
    /// Delivers what is ready, for each flow. `close`: also what does not fill a file yet. A target in
    /// trouble stops its own flow only.
    pub(super) async fn deliver_all(&mut self, close: bool) -> anyhow::Result<()> {
        for flow in self.flows.clone() {
            while !self.is_stopped(&flow.name) {
                match self.deliver(&flow, close).await {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => self.stop_flow(&flow, error).await?,
                }
            }
        }
        Ok(())
    }

    /// One batch. `false`: nothing to do.
    async fn deliver(&mut self, flow: &Flow, close: bool) -> anyhow::Result<bool> {
        let (count, oldest) = self.store.ready_count(&flow.name).await?;
        let most = flow.files.max_records();
        let full = count >= most as u64;
        let waited = oldest.is_some_and(|at| {
            crate::store::now().saturating_sub(at)
                >= i64::try_from(flow.files.max_wait().as_millis()).unwrap_or(i64::MAX)
        });
        if count == 0 || !(full || close || waited) {
            return Ok(false);
        }
        let ready = self.store.ready(&flow.name, most).await?;
        if let Some((batch, encoded)) = self.freeze(flow, &ready).await? {
            self.publish(flow, &batch, encoded).await?;
        }
        Ok(true)
    }

    /// T3: settles which versions go into the next file, and its name.
    async fn freeze(&mut self, flow: &Flow, ready: &[Ready]) -> anyhow::Result<Option<(Batch, Encoded)>> {
        let items = items(ready)?;
        let columns = flow.mapping.columns();
        let encoded = flow.files.encode(columns, &items);
        let mut refused = Vec::new();
        let mut found = Vec::new();
        let mut going: Vec<(i64, Item)> = Vec::new();
        let mut there = self.found_rows_if(flow, ready).await?;
        for ((version, item), written) in ready.iter().zip(items).zip(&encoded.items) {
            match written {
                Err(reason) => refused.push((version.id, reason.0.clone())),
                Ok(rows) if version.doubt && super::found::takes_all(&mut there, rows) => {
                    found.push((version.id, rows.clone()));
                }
                Ok(_) => going.push((version.id, item)),
            }
        }
        let (versions, items): (Vec<i64>, Vec<Item>) = going.into_iter().unzip();
        let whole = versions.len() == ready.len();
        let encoded = if whole {
            encoded
        } else {
            flow.files.encode(columns, &items)
        };
        let (number, opened) = self.next_number(flow).await?;
        let name = flow.files.name(opened, number);
        let batch = self
            .store
            .freeze(&NewBatch {
                target: &flow.target,
                flow: &flow.name,
                number,
                name: &name,
                versions: &versions,
                rows: encoded.rows,
                bytes: encoded.bytes.len(),
                refused: &refused,
                found: &found,
            })
            .await?;
        self.ledger(&flow.name).known += found.len() as u64;
        Ok(batch.map(|batch| (batch, encoded)))
    }

    /// The next batch number and opening time. Both only grow, so that names sort in order of writing.
    async fn next_number(&mut self, flow: &Flow) -> anyhow::Result<(u64, Timestamp)> {
        let (number, at) = self.store.last_batch(&flow.target).await?;
        let opened = crate::store::now().max(at);
        Ok((number + 1, Timestamp::from_millisecond(opened)?))
    }

    async fn publish(&mut self, flow: &Flow, batch: &Batch, encoded: Encoded) -> anyhow::Result<()> {
        if self.dry {
            return self.show(flow, batch).await;
        }
        let started = self.clock.monotonic();
        let mut pause = Duration::from_secs(1);
        while let Err(error) = self.try_publish(flow, batch, &encoded).await {
            let waited = self.clock.monotonic().saturating_sub(started);
            let patient = self.patience.endless || waited + pause <= self.patience.wait;
            if !passes(&error) || !patient {
                return Err(error);
            }
            tracing::warn!(file = batch.name, "{error:#}; trying again in {} s", pause.as_secs());
            self.clock.sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
        let ledger = self.ledger(&flow.name);
        ledger.files += 1;
        ledger.rows += encoded.rows as u64;
        ledger.sent += encoded.items.len() as u64;
        Ok(())
    }

    async fn try_publish(&self, flow: &Flow, batch: &Batch, encoded: &Encoded) -> anyhow::Result<()> {
        let place = flow.files.place();
        place.stage(&batch.name, &encoded.bytes).await?;
        self.store.staged(batch.id).await?;
        place.publish(&batch.name).await?;
        self.store.published(batch.id).await
    }

    /// In a dry run on a scratch state: prints the rows and counts them as sent.
    async fn show(&mut self, flow: &Flow, batch: &Batch) -> anyhow::Result<()> {
        for item in items(&self.store.of_batch(batch.id).await?)? {
            for row in &item.rows {
                self.voice.would_send(&flow.name, &batch.name, &row.to_json());
                self.ledger(&flow.name).rows += 1;
            }
            self.ledger(&flow.name).sent += 1;
        }
        self.ledger(&flow.name).files += 1;
        self.store.published(batch.id).await
    }

    /// Finishes the batches that an earlier run left in the middle.
    pub(super) async fn finish_batches(&mut self, flow: &Flow) -> anyhow::Result<()> {
        for batch in self.store.open_batches(&flow.target).await? {
            if batch.flow != flow.name {
                continue;
            }
            match batch.state {
                BatchState::Staged if !self.dry => {
                    flow.files.place().publish(&batch.name).await?;
                    self.store.published(batch.id).await?;
                }
                BatchState::Frozen | BatchState::Staged => {
                    let items = items(&self.store.of_batch(batch.id).await?)?;
                    let encoded = flow.files.encode(flow.mapping.columns(), &items);
                    self.publish(flow, &batch, encoded).await?;
                }
            }
        }
        Ok(())
    }
}

fn items(ready: &[Ready]) -> anyhow::Result<Vec<Item>> {
    let item = |version: &Ready| match Value::parse(&version.body)? {
        Value::List(rows) => Ok(Item {
            key: version.key.clone(),
            rows,
        }),
        other => anyhow::bail!(
            "record {}: the outbox holds {} instead of a list",
            version.key.0,
            other.kind()
        ),
    };
    ready.iter().map(item).collect()
}
