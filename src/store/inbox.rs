//! The inbox: records that are to be read by their key.

use std::collections::HashMap;

use contract::{Hash, Key, Stamp};
use sqlx::Row;

use super::{Store, now};

#[derive(Clone, Debug)]
pub struct Waiting {
    pub feed: String,
    pub key: Key,
    pub row_hash: Hash,
    pub stamp: Option<Stamp>,
    pub asked_by: Option<String>,
    pub attempts: u32,
    /// How often the source said in a row that it has no such record.
    pub missing: u32,
}

impl Store {
    /// Those of the keys that are parked unread, with the row they were parked for.
    pub async fn parked_rows(&self, feed: &str, keys: &[&Key]) -> anyhow::Result<HashMap<Key, Hash>> {
        let keys: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT key, row_hash FROM inbox WHERE feed = ?1 AND parked IS NOT NULL \
             AND key IN (SELECT value FROM json_each(?2))",
        )
        .bind(feed)
        .bind(serde_json::to_string(&keys)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(rows.into_iter().map(|(key, hash)| (Key(key), Hash(hash))).collect())
    }

    /// Records of a feed that are due to be read, those that waited longest first.
    pub async fn due(&self, feed: &str, limit: usize) -> anyhow::Result<Vec<Waiting>> {
        let rows = sqlx::query(
            "SELECT key, row_hash, attempts, missing, stamp, asked_by FROM inbox \
             WHERE feed = ? AND parked IS NULL AND due_at <= ? ORDER BY due_at, id LIMIT ?",
        )
        .bind(feed)
        .bind(now())
        .bind(i64::try_from(limit)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let waiting = |row: sqlx::sqlite::SqliteRow| Waiting {
            feed: feed.to_owned(),
            key: Key(row.get(0)),
            row_hash: Hash(row.get(1)),
            attempts: row.get::<u32, _>(2),
            missing: row.get::<u32, _>(3),
            stamp: row.get(4),
            asked_by: row.get(5),
        };
        Ok(rows.into_iter().map(waiting).collect())
    }

    /// When the next record of the feed becomes due; `None` when none waits.
    pub async fn next_due(&self, feed: &str) -> anyhow::Result<Option<Stamp>> {
        let at = sqlx::query_scalar("SELECT min(due_at) FROM inbox WHERE feed = ? AND parked IS NULL").bind(feed);
        at.fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// Puts a record off after a failed try.
    pub async fn put_off(&self, waiting: &Waiting, due_at: Stamp, missing: bool, said: &str) -> anyhow::Result<()> {
        sqlx::query(
            "UPDATE inbox SET due_at = ?3, attempts = attempts + 1, missing = CASE WHEN ?4 THEN missing + 1 ELSE 0 END, \
             answer = ?5, at = ?6 WHERE feed = ?1 AND key = ?2",
        )
        .bind(&waiting.feed)
        .bind(&waiting.key.0)
        .bind(due_at)
        .bind(missing)
        .bind(said)
        .bind(now())
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// Keeps a record in mind that the source lists and does not have. Not a failure: it is not asked for
    /// again until its row changes.
    pub async fn gone(&self, waiting: &Waiting) -> anyhow::Result<()> {
        sqlx::query("UPDATE inbox SET parked = 'gone', discarded = 1, at = ?3 WHERE feed = ?1 AND key = ?2")
            .bind(&waiting.feed)
            .bind(&waiting.key.0)
            .bind(now())
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// Makes everything that waits out a back-off due now: a one-shot run does its own waiting.
    pub async fn forget_waits(&self) -> anyhow::Result<()> {
        sqlx::query("UPDATE inbox SET due_at = ?1 WHERE parked IS NULL AND due_at > ?1")
            .bind(now())
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }
}
