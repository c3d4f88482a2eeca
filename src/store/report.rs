//! What people are told: counts for `status`, and the journal.

use contract::Stamp;
use sqlx::{Row, SqliteConnection};

use super::{Note, Store};

/// A feed's memory of what last went wrong with its walks, deep passes and sweeps; empty: nothing.
pub const HISTORY_ERROR: &str = "history_error";
/// The journal keeps this much.
const JOURNAL_MS: i64 = 90 * 86_400_000;

#[derive(Clone, Debug, Default)]
pub struct FlowReport {
    pub watermark: Option<String>,
    pub last_success_at: Option<Stamp>,
    pub last_error: Option<String>,
    pub last_error_at: Option<Stamp>,
    pub flagged: u64,
    pub files: u64,
    /// Records that a target which takes them one by one is known to hold.
    pub records: u64,
    /// Of those, the ones with changes that the target cannot be given.
    pub unsent: u64,
    pub backfills_under_way: Vec<String>,
    /// Records that the other side has not confirmed, where it does that.
    pub unconfirmed: Option<u64>,
    /// Records that are no longer at the source.
    pub deleted: u64,
    /// The latest time of its schedule that was served.
    pub slot_at: Option<Stamp>,
}

/// How much waits where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// To be read from the source.
    pub to_read: u64,
    /// To be delivered.
    pub queued: u64,
    /// Parked for a person.
    pub failed: u64,
    /// Waiting for other records, which have to be at the target before them.
    pub waiting: u64,
}

impl Store {
    pub async fn flow_report(&self, flow: &str) -> anyhow::Result<FlowReport> {
        let mut connection = self.locked().await;
        let row = sqlx::query(
            "SELECT (SELECT position FROM cursors WHERE flow = ?1 AND run = 'live'), f.last_success_at, f.last_error, f.last_error_at, \
             (SELECT count(*) FROM journal WHERE flow = ?1 AND what = 'flagged'), \
             (SELECT count(*) FROM batches WHERE flow = ?1 AND state = 'published'), \
             (SELECT count(*) FROM links WHERE flow = ?1 AND gone_at IS NOT NULL), f.slot_at, \
             (SELECT count(*) FROM refs WHERE flow = ?1), (SELECT count(*) FROM refs WHERE flow = ?1 AND unsent > 0) \
             FROM (SELECT 1) LEFT JOIN flows f ON f.flow = ?1",
        )
        .bind(flow)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let backfills: Vec<String> =
            sqlx::query_scalar("SELECT run FROM cursors WHERE flow = ?1 AND run <> 'live' AND done = 0")
                .bind(flow)
                .fetch_all(&mut *connection)
                .await?;
        Ok(FlowReport {
            watermark: row.get(0),
            last_success_at: row.get(1),
            last_error: row.get(2),
            last_error_at: row.get(3),
            flagged: u64::try_from(row.get::<i64, _>(4))?,
            files: u64::try_from(row.get::<i64, _>(5))?,
            backfills_under_way: backfills,
            deleted: u64::try_from(row.get::<i64, _>(6))?,
            slot_at: row.get(7),
            records: u64::try_from(row.get::<i64, _>(8))?,
            unsent: u64::try_from(row.get::<i64, _>(9))?,
            unconfirmed: None,
        })
    }

    pub async fn queue(&self, flow: &str, feed: &str) -> anyhow::Result<Queue> {
        let row = sqlx::query(
            "SELECT (SELECT count(*) FROM inbox WHERE feed = ?2 AND parked IS NULL), \
             (SELECT count(*) FROM outbox WHERE flow = ?1 AND state <> 'parked'), \
             (SELECT count(*) FROM failures WHERE (stage = 'read' AND place = ?2) OR (stage = 'deliver' AND place = ?1)), \
             (SELECT count(DISTINCT w.key) FROM waits w WHERE w.flow = ?1 AND NOT EXISTS (SELECT 1 FROM outbox o \
             WHERE o.flow = w.flow AND o.key = w.key AND o.state = 'parked'))",
        )
        .bind(flow)
        .bind(feed)
        .fetch_one(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let count = |n: usize| u64::try_from(row.get::<i64, _>(n)).unwrap_or(0);
        Ok(Queue {
            to_read: count(0),
            queued: count(1),
            failed: count(2),
            waiting: count(3),
        })
    }

    pub async fn trim_journal(&self) -> anyhow::Result<()> {
        sqlx::query("DELETE FROM journal WHERE at < ?")
            .bind(self.now() - JOURNAL_MS)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// The latest entries of a flow's journal, newest first.
    pub async fn journal(
        &self,
        flow: &str,
        limit: u32,
    ) -> anyhow::Result<Vec<(Stamp, Option<String>, String, String)>> {
        sqlx::query_as("SELECT at, key, what, detail FROM journal WHERE flow = ? ORDER BY id DESC LIMIT ?")
            .bind(flow)
            .bind(limit)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))
    }
}

/// The same word about the same record is kept once, however often it is said.
pub(super) async fn put_notes(connection: &mut SqliteConnection, notes: &[Note], at: Stamp) -> sqlx::Result<()> {
    for note in notes {
        sqlx::query("DELETE FROM journal WHERE flow = ?1 AND what = ?2 AND key IS ?3 AND detail = ?4")
            .bind(&note.flow)
            .bind(note.what)
            .bind(note.key.as_ref().map(|key| &key.0))
            .bind(&note.detail)
            .execute(&mut *connection)
            .await?;
        sqlx::query("INSERT INTO journal (at, flow, key, what, detail) VALUES (?, ?, ?, ?, ?)")
            .bind(at)
            .bind(&note.flow)
            .bind(note.key.as_ref().map(|key| &key.0))
            .bind(note.what)
            .bind(&note.detail)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
