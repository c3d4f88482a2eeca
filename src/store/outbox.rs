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
    /// Of the body, which was checked against it.
    pub hash: Hash,
    pub doubt: bool,
}

/// Versions that one answer of the database carries. A row costs more on its way between two threads than
/// to be found, so many travel as one.
const AT_ONCE: usize = 250;

impl Store {
    /// How many versions of a flow are ready.
    pub async fn ready_count(&self, flow: &str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM outbox WHERE flow = ? AND state = 'ready'")
            .bind(flow)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(u64::try_from(count)?)
    }

    /// When the oldest of them was queued.
    pub async fn ready_since(&self, flow: &str) -> anyhow::Result<Option<Stamp>> {
        sqlx::query_scalar("SELECT min(at) FROM outbox WHERE flow = ? AND state = 'ready'")
            .bind(flow)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// The versions that would go next.
    pub async fn ready(&self, flow: &str, limit: usize) -> anyhow::Result<Vec<Ready>> {
        let mut ready: Vec<Ready> = Vec::new();
        loop {
            let wanted = AT_ONCE.min(limit - ready.len());
            let after = ready.last().map_or(0, |version| version.id);
            // A body is JSON without blanks, so no line ends in it.
            let (heads, bodies): (String, Option<String>) = sqlx::query_as(
                "SELECT json_group_array(json_array(id, key, doubt, hash)), group_concat(body, char(10)) \
                 FROM (SELECT id, key, doubt, hash, body FROM outbox WHERE flow = ? AND state = 'ready' AND id > ? \
                 ORDER BY id LIMIT ?)",
            )
            .bind(flow)
            .bind(after)
            .bind(i64::try_from(wanted)?)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
            let heads: Vec<(i64, String, i64, i64)> = serde_json::from_str(&heads)?;
            let found = heads.len();
            let bodies = bodies.unwrap_or_default();
            let mut bodies = bodies.split('\n');
            for (id, key, doubt, hash) in heads {
                let version = Ready {
                    id,
                    key: Key(key),
                    body: bodies.next().unwrap_or_default().to_owned(),
                    hash: Hash(hash),
                    doubt: doubt != 0,
                };
                ready.push(self.checked(version, hash)?);
            }
            if found < wanted || ready.len() == limit {
                return Ok(ready);
            }
        }
    }

    /// The versions of a batch, in the order of its file; for a dry run, which shows them.
    pub async fn of_batch(&self, batch: i64) -> anyhow::Result<Vec<Ready>> {
        let rows = sqlx::query("SELECT id, key, body, doubt, hash FROM outbox WHERE batch = ? ORDER BY id")
            .bind(batch)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        let version = |row: &sqlx::sqlite::SqliteRow| Ready {
            id: row.get(0),
            key: Key(row.get(1)),
            body: row.get(2),
            hash: Hash(row.get(4)),
            doubt: row.get(3),
        };
        rows.iter().map(|row| self.checked(version(row), row.get(4))).collect()
    }

    /// A body that no longer has the hash it was stored with must not go out.
    fn checked(&self, version: Ready, hash: i64) -> anyhow::Result<Ready> {
        anyhow::ensure!(
            Hash::of(version.body.as_bytes()) == Hash(hash),
            "{} (record {})",
            super::damaged(&self.path),
            version.key.0
        );
        Ok(version)
    }
}
