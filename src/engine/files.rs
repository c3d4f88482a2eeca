//! Delivering files: ready versions become batches, batches become files. A batch keeps its name and its
//! versions from the moment it is frozen; that it was staged is durable before the rename, so after a
//! crash a temporary file that is gone means that the file was published.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use contract::{Fields, FileTarget, Hash, Item, Place, Value};
use jiff::Timestamp;

use super::{Engine, Flow, passes};
use crate::store::{Batch, BatchState, Frozen, NewBatch, Ready};

/// Rows of a dry run that may wait to be read.
const BACKLOG_MAX: usize = 2_000;

#[derive(Clone, Copy)]
enum Act<'a> {
    Stage(&'a [u8]),
    Publish,
}
/// The bytes of a file, and how many records and rows they are.
type Content = (Vec<u8>, u64, u64);

/// A flow whose records become files.
#[derive(Clone)]
pub(super) struct FileFlow {
    flow: Flow,
    pub(super) files: Arc<dyn FileTarget>,
}

impl FileFlow {
    pub(super) fn new(flow: &Flow, files: &Arc<dyn FileTarget>) -> FileFlow {
        FileFlow {
            flow: flow.clone(),
            files: files.clone(),
        }
    }
}

impl Deref for FileFlow {
    type Target = Flow;
    fn deref(&self) -> &Flow {
        &self.flow
    }
}

impl Engine {
    /// Makes files of what is ready. `close`: also of what does not fill one yet.
    pub(super) async fn deliver_files(&mut self, flow: &FileFlow, close: bool) -> anyhow::Result<()> {
        if let Err(error) = self.finish_open(flow).await {
            self.stop_target(flow, error).await?;
        }
        while !self.is_target_down(&flow.name) {
            match self.deliver(flow, close).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => self.stop_target(flow, error).await?,
            }
        }
        Ok(())
    }

    /// One batch. `false`: nothing to do.
    async fn deliver(&mut self, flow: &FileFlow, close: bool) -> anyhow::Result<bool> {
        self.check_stop()?;
        let lane = self.lanes.of(&flow.target);
        let _turn = lane.turn().await;
        let count = self.store.ready_count(&flow.name).await?;
        let most = flow.files.max_records();
        let full = count >= most as u64;
        if count == 0 || !(full || close || self.waited(flow).await?) {
            return Ok(false);
        }
        let ready = self.store.ready(&flow.name, most).await?;
        if let Some((batch, content)) = self.freeze(flow, &ready).await? {
            drop(ready);
            self.publish(flow, &batch, Some(content)).await?;
        }
        Ok(true)
    }

    /// Whether what is ready has waited for as long as a file may stay open.
    async fn waited(&self, flow: &FileFlow) -> anyhow::Result<bool> {
        let most_ms = i64::try_from(flow.files.max_wait().as_millis()).unwrap_or(i64::MAX);
        let since = self.store.ready_since(&flow.name).await?;
        Ok(since.is_some_and(|at| self.clock.now().saturating_sub(at) >= most_ms))
    }

    /// T3: settles which versions go into the next file, its name, and its bytes.
    async fn freeze(&mut self, flow: &FileFlow, ready: &[Ready]) -> anyhow::Result<Option<(Batch, Content)>> {
        let mut refused = Vec::new();
        let mut candidates: Vec<(&Ready, Item)> = Vec::new();
        for version in ready {
            match item(version) {
                Ok(item) => candidates.push((version, item)),
                Err(reason) => refused.push((version.id, version.hash, reason)),
            }
        }
        // One file has one set of columns. After a change of the mapping older versions still have theirs.
        let columns = candidates
            .first()
            .map(|(_, item)| names(item).map(str::to_owned).collect());
        let columns: Vec<String> = columns.unwrap_or_default();
        let same = candidates
            .iter()
            .take_while(|(_, item)| names(item).eq(columns.iter().map(String::as_str)))
            .count();
        candidates.truncate(same);
        let (versions, items): (Vec<&Ready>, Vec<Item>) = candidates.into_iter().unzip();
        let encoded = flow.files.encode(Some(&columns), &items);
        let mut found = Vec::new();
        let mut going: Vec<((i64, Hash), Item)> = Vec::new();
        let mut there = self.found_rows_if(flow, ready).await?;
        for ((version, item), written) in versions.into_iter().zip(items).zip(&encoded.items) {
            match written {
                Err(reason) => refused.push((version.id, version.hash, reason.0.clone())),
                Ok(rows) if version.doubt && super::found::takes_all(&mut there, rows) => {
                    found.push((version.id, version.hash, rows.clone()));
                }
                Ok(_) => going.push(((version.id, version.hash), item)),
            }
        }
        let (versions, items): (Vec<(i64, Hash)>, Vec<Item>) = going.into_iter().unzip();
        let keys: Vec<&str> = items.iter().map(|item| item.key.0.as_str()).collect();
        let whole = items.len() == encoded.items.len();
        let encoded = if whole {
            encoded
        } else {
            flow.files.encode(Some(&columns), &items)
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
                keys: &keys,
                rows: encoded.rows,
                content: &encoded.bytes,
                refused: &refused,
                found: &found,
            })
            .await?;
        let batch = match batch {
            Frozen::Batch(batch) => Some(batch),
            Frozen::Nothing => None,
            // The next look takes the newer versions.
            Frozen::Overtaken => return Ok(None),
        };
        self.ledger(&flow.name).known += found.len() as u64;
        let content = (encoded.bytes, versions.len() as u64, encoded.rows as u64);
        Ok(batch.map(|batch| (batch, content)))
    }

    /// The next batch number and opening time. Both only grow, so that names sort in order of writing.
    async fn next_number(&mut self, flow: &FileFlow) -> anyhow::Result<(u64, Timestamp)> {
        let (number, at) = self.store.last_batch(&flow.target).await?;
        let opened = self.clock.now().max(at);
        Ok((number + 1, Timestamp::from_millisecond(opened)?))
    }

    /// Brings a frozen or staged batch to its end. Once it is recorded that it was staged, it is never staged
    /// again: a temporary file that is gone then means that it was published.
    async fn publish(&mut self, flow: &FileFlow, batch: &Batch, content: Option<Content>) -> anyhow::Result<()> {
        if self.dry {
            return self.show(flow, batch).await;
        }
        let (content, records, rows) = match content {
            Some(frozen) => frozen,
            None => self.store.content(batch.id).await?,
        };
        let place = flow.files.place();
        if batch.state == BatchState::Frozen {
            self.patiently(place.as_ref(), &batch.name, Act::Stage(&content))
                .await?;
            self.store.staged(batch.id).await?;
        }
        self.patiently(place.as_ref(), &batch.name, Act::Publish).await?;
        self.store.published(batch.id).await?;
        self.target_is_well(&flow.name);
        let ledger = self.ledger(&flow.name);
        ledger.files += 1;
        ledger.rows += rows;
        ledger.sent += records;
        Ok(())
    }

    /// Repeats what fails in a way that passes, for as long as this run waits.
    async fn patiently(&self, place: &dyn Place, file: &str, act: Act<'_>) -> anyhow::Result<()> {
        let started = self.clock.monotonic();
        let mut pause = Duration::from_secs(1);
        loop {
            let done = match act {
                Act::Stage(content) => place.stage(file, content).await,
                Act::Publish => place.publish(file).await.map(drop),
            };
            let Err(error) = done else { return Ok(()) };
            let error = anyhow::Error::from(error);
            let waited = self.clock.monotonic().saturating_sub(started);
            if !passes(&error) || waited + pause > self.patience.wait {
                return Err(error);
            }
            tracing::warn!(file, "{error:#}; trying again in {} s", pause.as_secs());
            self.pause(pause).await?;
            pause = (pause * 2).min(Duration::from_secs(60));
        }
    }

    /// In a dry run on a scratch state: prints the rows and counts them as sent.
    async fn show(&mut self, flow: &FileFlow, batch: &Batch) -> anyhow::Result<()> {
        for version in self.store.of_batch(batch.id).await? {
            let item = item(&version).map_err(anyhow::Error::msg)?;
            while self.voice.backlog() > BACKLOG_MAX {
                self.pause(Duration::from_millis(20)).await?;
            }
            for row in &item.rows {
                self.voice.would_send(&flow.name, &batch.name, &row.to_json());
                self.ledger(&flow.name).rows += 1;
            }
            self.ledger(&flow.name).sent += 1;
        }
        self.ledger(&flow.name).files += 1;
        self.store.published(batch.id).await
    }

    async fn finish_open(&mut self, flow: &FileFlow) -> anyhow::Result<()> {
        if self.dry || self.store.open_batches(&flow.target).await?.is_empty() {
            return Ok(());
        }
        let lane = self.lanes.of(&flow.target);
        let _turn = lane.turn().await;
        self.finish_batches(flow).await
    }

    /// Finishes the batches that an earlier run left in the middle.
    pub(super) async fn finish_batches(&mut self, flow: &FileFlow) -> anyhow::Result<()> {
        for batch in self.store.open_batches(&flow.target).await? {
            if batch.flow == flow.name {
                self.publish(flow, &batch, None).await?;
            }
        }
        Ok(())
    }
}

fn item(version: &Ready) -> Result<Item, String> {
    match Value::parse_own(&version.body) {
        Ok(Value::List(rows)) => Ok(Item {
            key: version.key.clone(),
            rows,
        }),
        Ok(other) => Err(format!("the outbox holds {} instead of a list", other.kind())),
        Err(error) => Err(format!("what the outbox holds cannot be read: {error}")),
    }
}

/// The names of its first row's fields.
fn names(item: &Item) -> impl Iterator<Item = &str> {
    let first = match item.rows.first() {
        Some(Value::Map(fields)) => Some(fields),
        _ => None,
    };
    first.into_iter().flat_map(Fields::names)
}
