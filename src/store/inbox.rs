//! The inbox: records that are to be read by their key.

use std::collections::HashMap;

use contract::{Hash, Key, Stamp, Use};
use sqlx::{Connection, Row};

use super::Store;

/// A record that waits in the inbox anyway is sent again as well.
pub(super) const AGAIN: &str = "ON CONFLICT (feed, key) DO UPDATE SET urgency = 0, due_at = excluded.due_at, \
     parked = NULL, attempts = 0, missing = 0, again = iif(excluded.again = '' OR instr(inbox.again, excluded.again) > 0, \
     inbox.again, iif(inbox.again = '', excluded.again, inbox.again || substr(excluded.again, 2)))";

#[derive(Clone, Debug)]
pub struct Waiting {
    pub feed: String,
    pub key: Key,
    pub row_hash: Hash,
    pub stamp: Option<Stamp>,
    pub asked_by: Option<String>,
    pub urgency: Use,
    /// The flows that are to send it even if nothing of it changed.
    again: String,
    pub attempts: u32,
    /// How often the source said in a row that it has no such record.
    pub missing: u32,
    /// How many events had asked for it when it was taken up.
    pub rings: i64,
    /// When the first of the events arrived that wait for it.
    pub rung_at: Option<Stamp>,
    /// The latest of them said that it was deleted.
    pub said_gone: bool,
}

/// Which of the records that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Any,
    /// Those that an event asked for.
    Rung,
}

impl Due {
    /// What the rows must fulfil besides; made of nothing but this.
    fn condition(self) -> &'static str {
        match self {
            Due::Any => "parked IS NULL",
            Due::Rung => "parked IS NULL AND rung_at IS NOT NULL",
        }
    }
}

impl Waiting {
    /// Whether the flow is to send it even if nothing of it changed.
    pub fn is_again_for(&self, flow: &str) -> bool {
        self.again.contains(&format!(",{flow},"))
    }
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

    /// Records of a feed that are due to be read: the urgent ones first, of the same urgency those that waited
    /// longest. A quarter of the places is for the least urgent, so that they get on too.
    pub async fn due(&self, feed: &str, which: Due, limit: usize) -> anyhow::Result<Vec<Waiting>> {
        let patient = limit / 4;
        let fits = which.condition();
        let sql = format!(
            "SELECT key, row_hash, attempts, missing, stamp, asked_by, urgency, again, rings, rung_at, said_gone \
             FROM inbox WHERE id IN ( \
             SELECT id FROM (SELECT id FROM inbox WHERE feed = ?1 AND {fits} AND due_at <= ?2 AND urgency = \
             (SELECT max(urgency) FROM inbox WHERE feed = ?1 AND {fits}) ORDER BY due_at, id LIMIT ?4) \
             UNION SELECT id FROM (SELECT id FROM inbox WHERE feed = ?1 AND {fits} AND due_at <= ?2 \
             ORDER BY urgency, due_at, id LIMIT ?3)) ORDER BY urgency, due_at, id",
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(feed)
            .bind(self.now())
            .bind(i64::try_from(limit - patient)?)
            .bind(i64::try_from(patient)?)
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
            urgency: match row.get::<i64, _>(6) {
                0 => Use::Ring,
                1 => Use::Feed,
                _ => Use::History,
            },
            again: row.get(7),
            rings: row.get(8),
            rung_at: row.get(9),
            said_gone: row.get(10),
        };
        Ok(rows.into_iter().map(waiting).collect())
    }

    /// When the next record of the feed becomes due; `None` when none waits.
    pub async fn next_due(&self, feed: &str, which: Due) -> anyhow::Result<Option<Stamp>> {
        let fits = which.condition();
        let sql = format!("SELECT min(due_at) FROM inbox WHERE feed = ? AND {fits}");
        let at = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).bind(feed);
        at.fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// Puts a record off after a failed try, though not beyond what an event asked for meanwhile.
    pub async fn put_off(&self, waiting: &Waiting, due_at: Stamp, missing: bool, said: &str) -> anyhow::Result<()> {
        sqlx::query(
            "UPDATE inbox SET due_at = iif(rings = ?7, ?3, min(?3, ring_due)), attempts = attempts + 1, missing = CASE WHEN ?4 THEN missing + 1 ELSE 0 END, \
             answer = ?5, at = ?6 WHERE feed = ?1 AND key = ?2",
        )
        .bind(&waiting.feed)
        .bind(&waiting.key.0)
        .bind(due_at)
        .bind(missing)
        .bind(said)
        .bind(self.now())
        .bind(waiting.rings)
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// Keeps a record in mind that the source lists and does not have. Not a failure: it is not asked for
    /// again until its row changes, or an event asks for it.
    pub async fn gone(&self, waiting: &Waiting) -> anyhow::Result<()> {
        let sql = "UPDATE inbox SET parked = iif(rings = ?4, 'gone', NULL), discarded = rings = ?4, at = ?3, \
             due_at = iif(rings = ?4, due_at, ring_due), rung_at = iif(rings = ?4, NULL, rung_at), \
             ring_due = iif(rings = ?4, NULL, ring_due) WHERE feed = ?1 AND key = ?2";
        let mut connection = self.writing().await?;
        let at = self.now();
        let kept = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(sql)
                .bind(&waiting.feed)
                .bind(&waiting.key.0)
                .bind(at)
                .bind(waiting.rings)
                .execute(&mut *transaction)
                .await?;
            super::waits::settled(&mut transaction, &waiting.feed, std::iter::once(&waiting.key), at).await?;
            transaction.commit().await
        };
        kept.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Queues a record to be read and sent again, even if nothing of it changed.
    pub async fn ring_again(&self, feed: &str, flow: &str, key: &Key) -> anyhow::Result<()> {
        let sql = format!(
            "INSERT INTO inbox (feed, key, row_hash, urgency, again, due_at, since, at) \
             SELECT ?1, ?3, coalesce((SELECT row_hash FROM links WHERE flow = ?2 AND key = ?3), 0), 0, ',' || ?2 || ',', \
             ?4, ?4, ?4 WHERE true {AGAIN}"
        );
        sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(feed)
            .bind(flow)
            .bind(&key.0)
            .bind(self.now())
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// The same for every record of a flow that was sent before and changed at its source since then. Answers
    /// with how many.
    pub async fn ring_all_again(&self, feed: &str, flow: &str, since: Stamp) -> anyhow::Result<u64> {
        let sql = format!(
            "INSERT INTO inbox (feed, key, row_hash, stamp, urgency, again, due_at, since, at) \
             SELECT ?1, whole.key, whole.row_hash, whole.stamp, 0, ',' || ?2 || ',', ?4, ?4, ?4 FROM links whole \
             WHERE whole.flow = ?2 AND whole.gone_at IS NULL AND whole.stamp >= ?3 AND instr(whole.key, ':') = 0 \
             AND (whole.want_hash IS NOT NULL OR EXISTS (SELECT 1 FROM links part WHERE part.flow = ?2 \
             AND part.key > whole.key || ':' AND part.key < whole.key || ';' AND part.want_hash IS NOT NULL)) {AGAIN}"
        );
        let done = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(feed)
            .bind(flow)
            .bind(since)
            .bind(self.now())
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(done.rows_affected())
    }

    /// Makes everything that waits out a back-off due now: a one-shot run does its own waiting.
    pub async fn forget_waits(&self, feed: &str) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        for waiting in [
            "UPDATE inbox SET due_at = ?1 WHERE parked IS NULL AND due_at > ?1 AND feed = ?2",
            // Queued by a clock that was ahead.
            "UPDATE outbox SET at = ?1 WHERE state = 'ready' AND at > ?1 AND ?2 = ?2",
        ] {
            let query = sqlx::query(waiting).bind(self.now()).bind(feed);
            let done = query.execute(&mut *connection).await;
            done.map_err(|error| self.explain(error.into()))?;
        }
        Ok(())
    }
}
