//! What the state knows of one record, in the order in which it happened. Looks only.

use contract::Stamp;
use sqlx::FromRow;

use super::Store;

/// Of one record this much is told at most; the latest of it.
const FACTS_MAX: i64 = 1_000;

#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Fact {
    pub at: Stamp,
    /// The flow or feed that it is about.
    pub place: String,
    pub key: String,
    pub what: String,
    pub detail: String,
}

impl Store {
    /// Everything that the state knows of the records with this key at the store, or with this id at a target,
    /// oldest first.
    pub async fn story(&self, record: &str) -> anyhow::Result<Vec<Fact>> {
        let mut facts: Vec<Fact> = sqlx::query_as(
            "WITH keys (key) AS (SELECT ?1 UNION SELECT key FROM refs WHERE id = ?1), \
             facts (at, place, key, what, detail) AS ( \
             SELECT at, flow, key, what, detail FROM journal WHERE key IN (SELECT key FROM keys) \
             UNION ALL SELECT since, feed, key, 'to read', CASE WHEN rung_at IS NULL THEN 'seen in a list' \
             ELSE 'the store called about it' END || ', tried ' || attempts || ' times' \
             FROM inbox WHERE parked IS NULL AND key IN (SELECT key FROM keys) \
             UNION ALL SELECT at, feed, key, 'read failed', parked || ': ' || coalesce(answer, '') \
             || CASE discarded WHEN 1 THEN ' (discarded)' ELSE '' END \
             FROM inbox WHERE parked IS NOT NULL AND key IN (SELECT key FROM keys) \
             UNION ALL SELECT stamp, flow, key, 'known', 'this version of the source was understood last' \
             FROM links WHERE stamp IS NOT NULL AND key IN (SELECT key FROM keys) \
             UNION ALL SELECT at, flow, key, CASE state WHEN 'parked' THEN 'delivery failed' WHEN 'sending' \
             THEN 'being sent' ELSE 'to deliver' END, coalesce(call, act) || ', tried ' || attempts || ' times' \
             || coalesce(', key ' || idem, '') || coalesce(', ' || reason, '') || coalesce(': ' || answer, '') \
             || CASE unsure WHEN 1 THEN ' (unanswered: looked for before it is sent again)' ELSE '' END \
             || CASE discarded WHEN 1 THEN ' (discarded)' ELSE '' END \
             FROM outbox WHERE key IN (SELECT key FROM keys) \
             UNION ALL SELECT at, flow, key, 'waits', 'for ' || need_key || ' of ' || need_flow \
             FROM waits WHERE key IN (SELECT key FROM keys) \
             UNION ALL SELECT at, flow, key, 'call', call || coalesce(', the target calls it ' || id, '') \
             FROM deliveries WHERE key IN (SELECT key FROM keys) \
             UNION ALL SELECT at, flow, key, 'at the target', target || '.' || feed || coalesce(' as ' || id, '') \
             || CASE cancelled WHEN 1 THEN ', cancelled' ELSE '' END \
             || CASE WHEN unsent > 0 THEN ', with changes that it cannot be given' ELSE '' END \
             FROM refs WHERE key IN (SELECT key FROM keys) \
             UNION ALL SELECT b.at, b.flow, k.value, 'file', b.name FROM batches b, json_each(b.keys) k \
             WHERE b.keys IS NOT NULL AND k.value IN (SELECT key FROM keys)) \
             SELECT at, place, key, what, detail FROM facts ORDER BY at DESC LIMIT ?2",
        )
        .bind(record)
        .bind(FACTS_MAX)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        facts.reverse();
        Ok(facts)
    }
}
