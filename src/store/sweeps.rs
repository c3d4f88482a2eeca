//! Sweeps: which records one saw, and which are therefore gone from their source. What is gone is told,
//! never acted on.

use contract::{Key, Stamp};
use sqlx::{Connection, Row, SqliteConnection};

use super::{Store, Swept};

/// A sweep that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Tells it from every other sweep of this state.
    pub id: i64,
    /// Links up to this one were there when it began; only of those it says which are gone.
    pub top: i64,
    /// All of it so far was proven complete; else it says nothing of what is gone.
    pub whole: bool,
}

impl Store {
    /// The sweep of a feed that was begun and not finished, or a new one. Its position is kept by `backfill`
    /// under the feed's name.
    pub async fn sweep(&self, feed: &str, resumed: bool) -> anyhow::Result<Sweep> {
        if resumed
            && let Some(text) = self.memory(feed, "sweep").await?
            && let [id, top, rest @ ..] = text.split(' ').collect::<Vec<_>>().as_slice()
            && let (Ok(id), Ok(top)) = (id.parse(), top.parse())
        {
            let whole = rest.is_empty();
            return Ok(Sweep { id, top, whole });
        }
        let top: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) FROM links")
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        let last = self.memory("", "sweeps").await?.and_then(|text| text.parse().ok());
        let id = last.unwrap_or(0_i64) + 1;
        self.put_memory("", "sweeps", &id.to_string()).await?;
        self.put_memory(feed, "sweep", &format!("{id} {top}")).await?;
        Ok(Sweep { id, top, whole: true })
    }

    /// Remembers that a part of the sweep was not proven complete.
    pub async fn sweep_fell_short(&self, feed: &str, sweep: &mut Sweep) -> anyhow::Result<()> {
        sweep.whole = false;
        let text = format!("{} {} short", sweep.id, sweep.top);
        self.put_memory(feed, "sweep", &text).await
    }

    /// Marks what a complete sweep did not see as gone, with its parts, and answers with those that were
    /// not known to be.
    pub async fn find_gone(&self, flow: &str, sweep: Sweep) -> anyhow::Result<Vec<Key>> {
        let mut connection = self.writing().await?;
        let found = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let rows = sqlx::query(
                "UPDATE links SET gone_at = ?4 WHERE flow = ?1 AND id <= ?3 AND gone_at IS NULL AND swept <> ?2 \
                 AND instr(key, ':') = 0 RETURNING key",
            )
            .bind(flow)
            .bind(sweep.id)
            .bind(sweep.top)
            .bind(self.now())
            .fetch_all(&mut *transaction)
            .await?;
            let keys: Vec<Key> = rows.into_iter().map(|row| Key(row.get(0))).collect();
            for key in &keys {
                sqlx::query(
                    "UPDATE links SET gone_at = ?3 WHERE flow = ?1 AND key > ?2 || ':' AND key < ?2 || ';' \
                     AND gone_at IS NULL",
                )
                .bind(flow)
                .bind(&key.0)
                .bind(self.now())
                .execute(&mut *transaction)
                .await?;
            }
            transaction.commit().await?;
            Ok(keys)
        };
        found.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

/// A record that is seen again is not gone any more.
pub(super) async fn put_swept(connection: &mut SqliteConnection, swept: &Swept) -> sqlx::Result<()> {
    let keys: Vec<&str> = swept.keys.iter().map(|key| key.0.as_str()).collect();
    let keys = serde_json::to_string(&keys).unwrap_or_default();
    for flow in &swept.flows {
        // With the whole its parts are there again; which of them are not, its next reading tells.
        sqlx::query(
            "UPDATE links SET gone_at = NULL WHERE flow = ?1 AND gone_at IS NOT NULL AND EXISTS (SELECT 1 FROM links whole \
             WHERE whole.flow = ?1 AND whole.key = substr(links.key, 1, instr(links.key, ':') - 1) \
             AND whole.gone_at IS NOT NULL AND whole.key IN (SELECT value FROM json_each(?2)))",
        )
        .bind(flow)
        .bind(&keys)
        .execute(&mut *connection)
        .await?;
        sqlx::query(
            "UPDATE links SET swept = ?2, gone_at = NULL WHERE flow = ?1 \
             AND key IN (SELECT value FROM json_each(?3))",
        )
        .bind(flow)
        .bind(swept.sweep)
        .bind(&keys)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

pub(super) async fn put_gone(connection: &mut SqliteConnection, gone: &[(String, Key)], at: Stamp) -> sqlx::Result<()> {
    for (flow, key) in gone {
        sqlx::query("UPDATE links SET gone_at = ?3 WHERE flow = ?1 AND key = ?2 AND gone_at IS NULL")
            .bind(flow)
            .bind(&key.0)
            .bind(at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
