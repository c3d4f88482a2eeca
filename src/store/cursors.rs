//! Watermarks and backfills: where each flow left off.

use contract::{Cursor, Hash, Key, Stamp};
use rust_decimal::Decimal;
use sqlx::{Connection, Row, SqliteConnection};

use super::{Settle, Store};

const LIVE: &str = "live";

/// What a run went over: distinct records, the sum of their control amounts, and the wrapping sum of the
/// first 64 bits of each key's SHA-256, which does not depend on order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    pub records: u64,
    pub control: Decimal,
    pub ids: i64,
    pub requests: u64,
}

impl Coverage {
    pub fn add(&mut self, key: &Key, control: Option<Decimal>) {
        self.records += 1;
        self.control = self
            .control
            .checked_add(control.unwrap_or_default())
            .unwrap_or(Decimal::MAX);
        self.ids = self.ids.wrapping_add(Hash::of(key.0.as_bytes()).0);
    }

    pub fn join(&mut self, other: &Coverage) {
        self.records += other.records;
        self.control = self.control.checked_add(other.control).unwrap_or(Decimal::MAX);
        self.ids = self.ids.wrapping_add(other.ids);
        self.requests += other.requests;
    }
}

/// A backfill as it stands.
#[derive(Clone, Debug)]
pub struct Backfill {
    pub position: Option<Cursor>,
    /// Where the flow's own watermark goes when it is done.
    pub watermark: Option<Cursor>,
    pub covered: Coverage,
}

impl Store {
    pub async fn watermark(&self, flow: &str) -> anyhow::Result<Option<Cursor>> {
        let position: Option<Option<String>> =
            sqlx::query_scalar("SELECT position FROM cursors WHERE flow = ? AND run = ?")
                .bind(flow)
                .bind(LIVE)
                .fetch_optional(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok(position.flatten().map(Cursor))
    }

    /// Where a flow began that starts with what comes.
    pub async fn start(&self, flow: &str) -> anyhow::Result<Option<Cursor>> {
        let position: Option<String> =
            sqlx::query_scalar("SELECT position FROM cursors WHERE flow = ? AND run = 'start'")
                .bind(flow)
                .fetch_optional(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok(position.map(Cursor))
    }

    /// Kept once: a first pass that was cut off does not begin later for it.
    pub async fn set_start(&self, flow: &str, start: &Cursor) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO cursors (flow, run, position, done, started_at, changed_at) VALUES (?1, 'start', ?2, 1, ?3, ?3) \
             ON CONFLICT DO NOTHING",
        )
        .bind(flow)
        .bind(&start.0)
        .bind(self.now())
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    pub async fn forget_start(&self, flow: &str) -> anyhow::Result<()> {
        sqlx::query("DELETE FROM cursors WHERE flow = ? AND run = 'start'")
            .bind(flow)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// Begins a flow with a walk over its history: its watermark, which holds from now on, and the walk. A walk
    /// that was begun before keeps the watermark it was begun with.
    pub async fn begin_history(&self, flow: &str, run: &str, watermark: &Cursor) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let begun = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("DELETE FROM cursors WHERE flow = ? AND run = 'start'")
                .bind(flow)
                .execute(&mut *transaction)
                .await?;
            sqlx::query(
                "INSERT INTO cursors (flow, run, watermark, started_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?4) \
                 ON CONFLICT DO UPDATE SET position = NULL, watermark = ?3, done = 0, records = 0, control = '0', \
                 ids_hash = 0, requests = 0, started_at = ?4, changed_at = ?4 WHERE done = 1",
            )
            .bind(flow)
            .bind(run)
            .bind(&watermark.0)
            .bind(self.now())
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO cursors (flow, run, position, started_at, changed_at) \
                 SELECT flow, ?2, watermark, ?3, ?3 FROM cursors WHERE flow = ?1 AND run = ?4",
            )
            .bind(flow)
            .bind(LIVE)
            .bind(self.now())
            .bind(run)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        };
        begun.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    pub fn live(flow: &str, position: Cursor, covered: Coverage) -> Settle {
        Settle {
            flow: flow.to_owned(),
            run: LIVE.to_owned(),
            position,
            covered,
            done: false,
        }
    }

    /// The unfinished backfill of that name, or a new one with this watermark.
    pub async fn backfill(&self, flow: &str, run: &str, watermark: &Cursor) -> anyhow::Result<Backfill> {
        let mut connection = self.writing().await?;
        sqlx::query(
            "INSERT INTO cursors (flow, run, watermark, started_at, changed_at) VALUES (?1, ?2, ?3, ?4, ?4) \
             ON CONFLICT DO UPDATE SET position = NULL, watermark = ?3, done = 0, records = 0, control = '0', ids_hash = 0, \
             requests = 0, started_at = ?4, changed_at = ?4 WHERE done = 1",
        )
        .bind(flow)
        .bind(run)
        .bind(&watermark.0)
        .bind(self.now())
        .execute(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let row = sqlx::query(
            "SELECT position, watermark, records, control, ids_hash, requests FROM cursors WHERE flow = ? AND run = ?",
        )
        .bind(flow)
        .bind(run)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(Backfill {
            position: row.get::<Option<String>, _>(0).map(Cursor),
            watermark: row.get::<Option<String>, _>(1).map(Cursor),
            covered: coverage(&row),
        })
    }

    /// Whether a backfill of that name was begun and not finished.
    pub async fn is_under_way(&self, flow: &str, run: &str) -> anyhow::Result<bool> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM cursors WHERE flow = ? AND run = ? AND done = 0")
            .bind(flow)
            .bind(run)
            .fetch_one(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(count > 0)
    }

    /// The latest time of the flow's schedule that was served; `None`: none was yet.
    pub async fn served_slot(&self, flow: &str) -> anyhow::Result<Option<Stamp>> {
        let slot: Option<Option<Stamp>> = sqlx::query_scalar("SELECT slot_at FROM flows WHERE flow = ?")
            .bind(flow)
            .fetch_optional(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(slot.flatten())
    }

    pub async fn serve_slot(&self, flow: &str, slot: Stamp) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO flows (flow, slot_at, run_at) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET slot_at = ?2, run_at = ?3",
        )
        .bind(flow)
        .bind(slot)
        .bind(self.now())
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    pub async fn succeeded(&self, flow: &str) -> anyhow::Result<()> {
        self.flow_state(flow, Some(self.now()), None).await
    }

    pub async fn failed(&self, flow: &str, error: &str) -> anyhow::Result<()> {
        self.flow_state(flow, None, Some(error)).await
    }

    async fn flow_state(&self, flow: &str, success: Option<Stamp>, error: Option<&str>) -> anyhow::Result<()> {
        sqlx::query(
            "INSERT INTO flows (flow, last_success_at, last_error, last_error_at) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT DO UPDATE SET \
             last_success_at = coalesce(?2, last_success_at), last_error = ?3, last_error_at = ?4",
        )
        .bind(flow)
        .bind(success)
        .bind(error)
        .bind(error.map(|_| self.now()))
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }
}

fn coverage(row: &sqlx::sqlite::SqliteRow) -> Coverage {
    Coverage {
        records: u64::try_from(row.get::<i64, _>(2)).unwrap_or(0),
        control: row.get::<String, _>(3).parse().unwrap_or_default(),
        ids: row.get(4),
        requests: u64::try_from(row.get::<i64, _>(5)).unwrap_or(0),
    }
}

/// Moves a cursor. Of a run that covers ground the coverage adds up; a finished backfill hands its
/// watermark over to the flow.
pub(super) async fn settle(connection: &mut SqliteConnection, settle: &Settle, at: Stamp) -> sqlx::Result<()> {
    let before: Option<(String, i64)> =
        sqlx::query_as("SELECT control, ids_hash FROM cursors WHERE flow = ? AND run = ?")
            .bind(&settle.flow)
            .bind(&settle.run)
            .fetch_optional(&mut *connection)
            .await?;
    let (control, ids) = before.unwrap_or_default();
    let control: Decimal = control.parse().unwrap_or_default();
    let control = control.checked_add(settle.covered.control).unwrap_or(Decimal::MAX);
    sqlx::query(
        "INSERT INTO cursors (flow, run, position, done, records, control, ids_hash, requests, started_at, changed_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9) \
         ON CONFLICT DO UPDATE SET position = ?3, done = ?4, records = records + ?5, control = ?6, ids_hash = ?7, \
         requests = requests + ?8, changed_at = ?9",
    )
    .bind(&settle.flow)
    .bind(&settle.run)
    .bind(&settle.position.0)
    .bind(settle.done)
    .bind(i64::try_from(settle.covered.records).unwrap_or(i64::MAX))
    .bind(control.to_string())
    .bind(ids.wrapping_add(settle.covered.ids))
    .bind(i64::try_from(settle.covered.requests).unwrap_or(i64::MAX))
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The walks that a flow has before it are done with.
pub(super) async fn end_walks(connection: &mut SqliteConnection, flow: &str) -> sqlx::Result<()> {
    sqlx::query("UPDATE cursors SET done = 1 WHERE flow = ? AND run IN ('initial', 'catch-up')")
        .bind(flow)
        .execute(connection)
        .await?;
    Ok(())
}
