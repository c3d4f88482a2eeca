//! The outbox: versions that wait to be delivered.

use contract::{Hash, Key, Stamp};
use sqlx::Row;

use super::Store;

/// One version, claimed or about to be.
#[derive(Clone, Debug)]
pub struct Ready {
    pub id: i64,
    pub key: Key,
    pub body: String,
    pub doubt: bool,
}

impl Store {
    /// How many versions of a flow are ready, and when the oldest was queued.
    pub async fn ready_count(&self, flow: &str) -> anyhow::Result<(u64, Option<Stamp>)> {
        let row = sqlx::query("SELECT count(*), min(at) FROM outbox WHERE flow = ? AND state = 'ready'")
            .bind(flow)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok((u64::try_from(row.get::<i64, _>(0))?, row.get(1)))
    }

    /// The versions that would go next.
    pub async fn ready(&self, flow: &str, limit: usize) -> anyhow::Result<Vec<Ready>> {
        let rows = sqlx::query(
            "SELECT id, key, body, doubt, hash FROM outbox WHERE flow = ? AND state = 'ready' ORDER BY id LIMIT ?",
        )
        .bind(flow)
        .bind(i64::try_from(limit)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        self.checked(rows)
    }

    /// The versions of a batch, in the order of its file; for a dry run, which shows them.
    pub async fn of_batch(&self, batch: i64) -> anyhow::Result<Vec<Ready>> {
        let rows = sqlx::query("SELECT id, key, body, doubt, hash FROM outbox WHERE batch = ? ORDER BY id")
            .bind(batch)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        self.checked(rows)
    }

    /// A body that no longer has the hash it was stored with must not go out.
    fn checked(&self, rows: Vec<sqlx::sqlite::SqliteRow>) -> anyhow::Result<Vec<Ready>> {
        let mut ready = Vec::with_capacity(rows.len());
        for row in rows {
            let version = Ready {
                id: row.get(0),
                key: Key(row.get(1)),
                body: row.get(2),
                doubt: row.get(3),
            };
            anyhow::ensure!(
                Hash::of(version.body.as_bytes()) == Hash(row.get(4)),
                "{} (record {})",
                super::damaged(&self.path),
                version.key.0
            );
            ready.push(version);
        }
        Ok(ready)
    }
}
