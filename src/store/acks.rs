//! What the other side says of records that were written for it into files. A file of such words counts as a whole, in
//! one transaction with what is known of it.

use contract::Key;
use sqlx::Connection;

use super::{Parked, Store};

/// What is said of one record.
#[derive(Clone, Debug)]
pub struct Ack {
    pub key: String,
    /// Why it was refused; `None`: it was taken.
    pub refused: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Acked {
    pub confirmed: u64,
    pub refused: u64,
    /// Ids that are no record which was sent.
    pub unknown: u64,
}

/// A flow that writes for this target, as far as its files tell.
const OF_TARGET: &str = "l.want_hash IS NOT NULL AND l.flow IN (SELECT DISTINCT flow FROM batches WHERE target = ?1)";

impl Store {
    /// A refused record waits for a person; it is sent again when the person says so, or when it changes.
    pub async fn put_acks(&self, target: &str, file: i64, acks: &[Ack]) -> anyhow::Result<Acked> {
        let taken: Vec<&str> = acks
            .iter()
            .filter(|ack| ack.refused.is_none())
            .map(|ack| ack.key.as_str())
            .collect();
        let refused = acks
            .iter()
            .filter_map(|ack| Some((ack.key.as_str(), ack.refused.as_deref()?)));
        let refused: Vec<(&str, &str)> = refused.collect();
        let all: Vec<&str> = acks.iter().map(|ack| ack.key.as_str()).collect();
        let (taken, refused, all) = (
            serde_json::to_string(&taken)?,
            serde_json::to_string(&refused)?,
            serde_json::to_string(&all)?,
        );
        let at = self.now();
        let mut connection = self.writing().await?;
        let put = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let unknown: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
                "SELECT count(*) FROM json_each(?2) j WHERE NOT EXISTS (SELECT 1 FROM links l WHERE l.key = j.value AND {OF_TARGET})"
            )))
            .bind(target)
            .bind(&all)
            .fetch_one(&mut *transaction)
            .await?;
            // Where a newer version waits to be sent, what was confirmed is the one before it.
            let confirmed = sqlx::query(sqlx::AssertSqlSafe(format!(
                "INSERT INTO acks (flow, key, hash, at) SELECT l.flow, l.key, coalesce((SELECT o.before FROM outbox o \
                 WHERE o.flow = l.flow AND o.key = l.key AND o.state = 'ready'), l.want_hash), ?3 FROM json_each(?2) j \
                 JOIN links l ON l.key = j.value WHERE {OF_TARGET} ON CONFLICT DO UPDATE SET hash = excluded.hash, at = excluded.at"
            )))
            .bind(target)
            .bind(&taken)
            .bind(at)
            .execute(&mut *transaction)
            .await?
            .rows_affected();
            let rows: Vec<(String, String, String)> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
                "SELECT l.flow, l.key, j.value ->> 1 FROM json_each(?2) j JOIN links l ON l.key = j.value ->> 0 WHERE {OF_TARGET} \
                 AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.flow = l.flow AND o.key = l.key AND o.state <> 'parked')"
            )))
            .bind(target)
            .bind(&refused)
            .fetch_all(&mut *transaction)
            .await?;
            let parked = rows.into_iter().map(|(flow, key, reason)| Parked {
                flow,
                key: Key(key),
                reason,
            });
            let parked: Vec<Parked> = parked.collect();
            super::keep::put_parked(&mut transaction, &parked, at).await?;
            for Parked { flow, key, .. } in &parked {
                // The target does not hold it, so that it is sent anew whenever it is looked at again.
                for sql in [
                    "UPDATE links SET want_hash = NULL WHERE flow = ? AND key = ?",
                    "DELETE FROM acks WHERE flow = ? AND key = ?",
                ] {
                    sqlx::query(sql)
                        .bind(flow)
                        .bind(&key.0)
                        .execute(&mut *transaction)
                        .await?;
                }
            }
            sqlx::query("UPDATE dropped SET state = 'closing', verdict = 'applied', rows = ?2 WHERE id = ?1")
                .bind(file)
                .bind(i64::try_from(acks.len()).unwrap_or(i64::MAX))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(Acked {
                confirmed,
                refused: parked.len() as u64,
                unknown: u64::try_from(unknown).unwrap_or_default(),
            })
        };
        put.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Records whose last version was written and not confirmed.
    pub async fn unconfirmed(&self, flow: &str) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM links l WHERE l.flow = ?1 AND l.want_hash IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM acks a WHERE a.flow = l.flow AND a.key = l.key AND a.hash = l.want_hash) \
             AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.flow = l.flow AND o.key = l.key AND o.state <> 'parked')",
        )
        .bind(flow)
        .fetch_one(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(u64::try_from(count)?)
    }
}
