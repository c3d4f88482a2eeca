//! Files on their way out. A batch keeps its name from the moment it is frozen, across crashes and tries.

use std::collections::{HashMap, HashSet};

use anyhow::Context;
use contract::{Hash, Stamp};
use sqlx::{Connection, Row, SqliteConnection};
use std::sync::atomic::Ordering;

use super::Store;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchState {
    /// Its versions and name are fixed; nothing of it is known to be at the target.
    Frozen,
    /// The whole file lies under its temporary name. If that is gone, it was published.
    Staged,
}

#[derive(Clone, Debug)]
pub struct Batch {
    pub id: i64,
    pub flow: String,
    pub name: String,
    pub state: BatchState,
}

#[derive(Clone, Debug)]
pub struct NewBatch<'a> {
    pub target: &'a str,
    pub flow: &'a str,
    pub number: u64,
    pub name: &'a str,
    /// Outbox rows in it, in order, with the hashes of what they held.
    pub versions: &'a [(i64, Hash)],
    /// Whose versions they are, in the same order.
    pub keys: &'a [&'a str],
    pub rows: usize,
    pub content: &'a [u8],
    /// Outbox rows that cannot be written down, and why.
    pub refused: &'a [(i64, Hash, String)],
    /// Outbox rows that a found file already holds, with the hashes of their rows.
    pub found: &'a [(i64, Hash, Vec<Hash>)],
}

/// What became of a wish to freeze a batch.
#[derive(Clone, Debug)]
pub enum Frozen {
    Batch(Batch),
    /// Nothing was left to be sent in it.
    Nothing,
    /// A newer version took the place of one of these meanwhile: look again.
    Overtaken,
}

impl Store {
    /// T3: names a batch and claims its versions. `None` when nothing is left to be sent in it.
    pub async fn freeze(&self, new: &NewBatch<'_>) -> anyhow::Result<Frozen> {
        let mut connection = self.writing().await?;
        let frozen = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            if !all_still_there(&mut transaction, new).await? {
                transaction.rollback().await?;
                return Ok(Frozen::Overtaken);
            }
            refuse(&mut transaction, new.refused, self.now()).await?;
            drop_found(&mut transaction, new.target, new.found).await?;
            if new.versions.is_empty() {
                transaction.commit().await?;
                return Ok(Frozen::Nothing);
            }
            let id: i64 = sqlx::query_scalar(
                "INSERT INTO batches (target, flow, number, name, state, records, rows, bytes, content, keys, at) \
                 VALUES (?, ?, ?, ?, 'frozen', ?, ?, ?, ?, ?, ?) RETURNING id",
            )
            .bind(new.target)
            .bind(new.flow)
            .bind(i64::try_from(new.number).unwrap_or(i64::MAX))
            .bind(new.name)
            .bind(i64::try_from(new.versions.len()).unwrap_or(i64::MAX))
            .bind(i64::try_from(new.rows).unwrap_or(i64::MAX))
            .bind(i64::try_from(new.content.len()).unwrap_or(i64::MAX))
            .bind(new.content)
            .bind(serde_json::to_string(new.keys).unwrap_or_default())
            .bind(self.now())
            .fetch_one(&mut *transaction)
            .await?;
            let versions: Vec<i64> = new.versions.iter().map(|(id, _)| *id).collect();
            let versions = serde_json::to_string(&versions).unwrap_or_default();
            sqlx::query(
                "UPDATE outbox SET state = 'sending', batch = ?1, attempts = attempts + 1 \
                 WHERE id IN (SELECT value FROM json_each(?2))",
            )
            .bind(id)
            .bind(versions)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await?;
            Ok(Frozen::Batch(Batch {
                id,
                flow: new.flow.to_owned(),
                name: new.name.to_owned(),
                state: BatchState::Frozen,
            }))
        };
        frozen.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Batches of a target that were begun and not published, oldest first.
    pub async fn open_batches(&self, target: &str) -> anyhow::Result<Vec<Batch>> {
        let rows = sqlx::query(
            "SELECT id, flow, name, state FROM batches WHERE target = ? AND state IN ('frozen', 'staged') ORDER BY id",
        )
        .bind(target)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let batch = |row: sqlx::sqlite::SqliteRow| Batch {
            id: row.get(0),
            flow: row.get(1),
            name: row.get(2),
            state: if row.get::<&str, _>(3) == "staged" {
                BatchState::Staged
            } else {
                BatchState::Frozen
            },
        };
        Ok(rows.into_iter().map(batch).collect())
    }

    /// The bytes of a batch, and how many records and rows they are.
    pub async fn content(&self, batch: i64) -> anyhow::Result<(Vec<u8>, u64, u64)> {
        let row = sqlx::query("SELECT content, records, rows FROM batches WHERE id = ?")
            .bind(batch)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        let content: Option<Vec<u8>> = row.get(0);
        let content = content.with_context(|| super::damaged(&self.path))?;
        Ok((
            content,
            u64::try_from(row.get::<i64, _>(1))?,
            u64::try_from(row.get::<i64, _>(2))?,
        ))
    }

    /// Must be durable before the rename: from then on a temporary file that is gone means published.
    pub async fn staged(&self, batch: i64) -> anyhow::Result<()> {
        sqlx::query("UPDATE batches SET state = 'staged' WHERE id = ? AND state = 'frozen'")
            .bind(batch)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// T4: the file is there, so its versions are delivered.
    pub async fn published(&self, batch: i64) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let settled = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(
                "UPDATE batches SET state = 'published', content = NULL, at = max(at, ?), \
                 published = (SELECT coalesce(max(published), 0) + 1 FROM batches) WHERE id = ?",
            )
            .bind(self.now())
            .bind(batch)
            .execute(&mut *transaction)
            .await?;
            super::sold::booked_with(&mut transaction, batch, self.now()).await?;
            sqlx::query("DELETE FROM outbox WHERE batch = ?")
                .bind(batch)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        settled.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// The names of a target's batches.
    pub async fn batch_names(&self, target: &str) -> anyhow::Result<HashSet<String>> {
        let names: Vec<String> = sqlx::query_scalar("SELECT name FROM batches WHERE target = ?")
            .bind(target)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(names.into_iter().collect())
    }

    /// The highest batch number of a target, and the latest time any of its batches was touched.
    pub async fn last_batch(&self, target: &str) -> anyhow::Result<(u64, Stamp)> {
        let (number, at): (i64, i64) =
            sqlx::query_as("SELECT coalesce(max(number), 0), coalesce(max(at), 0) FROM batches WHERE target = ?")
                .bind(target)
                .fetch_one(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok((u64::try_from(number)?, at))
    }

    /// Takes note of a file that this state knows nothing of, with the hashes of its rows. From here on
    /// every record that was last decided on before is compared with such rows before it is sent.
    pub async fn found(&self, target: &str, name: &str, number: u64, rows: &[Hash]) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let noted = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(
                "INSERT INTO batches (target, flow, number, name, state, records, rows, bytes, at) \
                 VALUES (?, '', ?, ?, 'found', 0, ?, 0, ?)",
            )
            .bind(target)
            .bind(i64::try_from(number).unwrap_or(i64::MAX))
            .bind(name)
            .bind(i64::try_from(rows.len()).unwrap_or(i64::MAX))
            .bind(self.now())
            .execute(&mut *transaction)
            .await?;
            let hashes: Vec<i64> = rows.iter().map(|hash| hash.0).collect();
            sqlx::query(
                "INSERT INTO found_rows SELECT ?1, value, count(*) FROM json_each(?2) GROUP BY value \
                 ON CONFLICT DO UPDATE SET n = n + excluded.n",
            )
            .bind(target)
            .bind(serde_json::to_string(&hashes).unwrap_or_default())
            .execute(&mut *transaction)
            .await?;
            sqlx::query("UPDATE outbox SET doubt = 1 WHERE state <> 'sending'")
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        noted.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Whether any row of found files is still unaccounted for.
    pub async fn found_rows(&self, target: &str) -> anyhow::Result<HashMap<Hash, i64>> {
        let rows: Vec<(i64, i64)> = sqlx::query_as("SELECT hash, n FROM found_rows WHERE target = ? AND n > 0")
            .bind(target)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(rows.into_iter().map(|(hash, n)| (Hash(hash), n)).collect())
    }

    /// A new epoch: every link so far is doubtful until it is decided on again.
    pub async fn start_epoch(&self) -> anyhow::Result<()> {
        let epoch = self.epoch.fetch_add(1, Ordering::Relaxed) + 1;
        self.put_memory("", "epoch", &epoch.to_string()).await
    }
}

/// Whether every version is still what it was when it was read: one that waits may be replaced at any moment.
async fn all_still_there(connection: &mut SqliteConnection, new: &NewBatch<'_>) -> sqlx::Result<bool> {
    let sent = new.versions.iter().map(|(id, hash)| (*id, hash.0));
    let refused = new.refused.iter().map(|(id, hash, _)| (*id, hash.0));
    let found = new.found.iter().map(|(id, hash, _)| (*id, hash.0));
    let all: Vec<(i64, i64)> = sent.chain(refused).chain(found).collect();
    let there: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM json_each(?) wanted JOIN outbox ON outbox.id = wanted.value ->> 0 \
         WHERE outbox.state = 'ready' AND outbox.hash = wanted.value ->> 1",
    )
    .bind(serde_json::to_string(&all).unwrap_or_default())
    .fetch_one(connection)
    .await?;
    Ok(usize::try_from(there).is_ok_and(|there| there == all.len()))
}

/// Parks versions that cannot be written down. What was parked of the same record before is overtaken.
async fn refuse(connection: &mut SqliteConnection, refused: &[(i64, Hash, String)], at: Stamp) -> sqlx::Result<()> {
    for (id, _, reason) in refused {
        sqlx::query(
            "DELETE FROM outbox WHERE state = 'parked' AND (flow, key) = (SELECT flow, key FROM outbox WHERE id = ?)",
        )
        .bind(id)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE outbox SET state = 'parked', attempts = attempts + 1, reason = ?2, at = ?3 WHERE id = ?1")
            .bind(id)
            .bind(reason)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Takes versions out that a found file holds, and their rows off the account of what was found.
async fn drop_found(
    connection: &mut SqliteConnection,
    target: &str,
    found: &[(i64, Hash, Vec<Hash>)],
) -> sqlx::Result<()> {
    for (id, _, rows) in found {
        sqlx::query("DELETE FROM outbox WHERE id = ?")
            .bind(id)
            .execute(&mut *connection)
            .await?;
        for hash in rows {
            sqlx::query("UPDATE found_rows SET n = n - 1 WHERE target = ? AND hash = ?")
                .bind(target)
                .bind(hash.0)
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}
