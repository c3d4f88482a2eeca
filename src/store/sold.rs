//! What was sold and not booked yet, beside the figures that it is taken off. Kept in the transactions that decide
//! on an order and record its delivery; must never lose a sale that the ERP's figure may not contain.

use std::collections::{BTreeMap, BTreeSet};

use contract::{Key, Stamp};
use serde_json::json;
use sqlx::{Row, SqliteConnection};

use super::{Ended, Keep, Store, Version};

/// After so long a booked sale is forgotten, if no figure is older than its booking.
const BOOKED_KEPT_MS: Stamp = 90 * 86_400_000;

/// How stock is guarded against selling it twice: whose orders count, and when the ERP has booked one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Guard {
    /// The flows that carry the orders, and the feeds that they read.
    pub flows: Vec<String>,
    pub feeds: Vec<String>,
    /// How long after an order was delivered the ERP may still not have booked it.
    pub booked_after_ms: Stamp,
    /// The figures' own time says what they contain, as of a file; else the time at which they were asked for.
    pub by_stamp: bool,
}

/// A flow whose levels depend on the orders of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedBy {
    pub flow: String,
    pub target: String,
}

/// What an order takes by now, by SKU. Of one that is cancelled: nothing.
#[derive(Clone, Debug)]
pub struct Sale {
    pub flow: String,
    pub key: Key,
    pub lines: BTreeMap<String, i64>,
    /// It was sent before, so what this state never counted of it is at the target.
    pub known: bool,
    /// The flows whose levels count it.
    pub counted_by: Vec<String>,
}

/// The source shows these figures as they are known, or as this unit of facts has them.
#[derive(Clone, Debug)]
pub struct Sighting {
    pub flow: String,
    pub key: Key,
    /// Of a figure that is new.
    pub sku: Option<String>,
    pub as_of: Stamp,
    pub guard: Guard,
}

/// All figures of a flow are known as of then.
#[derive(Clone, Debug)]
pub struct Confirmed {
    pub flow: String,
    pub as_of: Stamp,
    pub guard: Guard,
}

/// A scan that came to its end.
#[derive(Clone, Debug)]
pub struct Scan {
    pub feed: String,
    pub at: Stamp,
}

/// What an order takes off a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unbooked {
    pub flow: String,
    pub order: String,
    pub pieces: i64,
}

/// Holds a level back until the orders are known up to its figure. `?7` is the JSON list of the orders' feeds.
pub(super) const UNKNOWN_SALES: &str = "o.as_of IS NOT NULL AND EXISTS (SELECT 1 FROM json_each(?7) w \
     LEFT JOIN scans s ON s.feed = w.value WHERE s.at IS NULL OR s.at < o.as_of \
     OR EXISTS (SELECT 1 FROM inbox i WHERE i.feed = w.value AND i.parked IS NULL AND i.attempts = 0 AND i.missing = 0 \
     AND i.since <= s.done))";

/// An order's row counts when the figure cannot contain it: not booked, or not surely before the figure.
const OPEN: &str = "SELECT s.flow, s.key, sum(s.pieces) AS pieces FROM sold s WHERE s.sku = ?1 \
     AND s.flow IN (SELECT value FROM json_each(?2)) AND (s.booked_at IS NULL OR s.booked_at + ?3 >= ?4) \
     GROUP BY s.flow, s.key HAVING sum(s.pieces) > 0 ORDER BY s.flow, s.key";

/// The SKU as it is matched.
pub fn matched(sku: &str) -> Option<&str> {
    Some(sku.trim()).filter(|sku| !sku.is_empty())
}

pub(super) async fn put_sold(connection: &mut SqliteConnection, keep: &Keep, at: Stamp) -> sqlx::Result<()> {
    for sighting in &keep.figures {
        put_figure(connection, keep, sighting, at).await?;
    }
    for confirmed in &keep.confirmed {
        confirm(connection, confirmed, at).await?;
    }
    for sale in &keep.sales {
        put_sale(connection, sale, at).await?;
    }
    for (flow, key) in &keep.gone {
        let counted: BTreeSet<&String> = keep.counted_by.get(flow).into_iter().flatten().collect();
        if !counted.is_empty() {
            let sale = Sale {
                flow: flow.clone(),
                key: key.clone(),
                lines: BTreeMap::new(),
                known: true,
                counted_by: counted.into_iter().cloned().collect(),
            };
            put_sale(connection, &sale, at).await?;
        }
    }
    if let Some(scan) = &keep.scanned {
        sqlx::query(
            "INSERT INTO scans (feed, at, done) VALUES (?1, ?2, ?3) ON CONFLICT (feed) DO UPDATE SET \
             at = max(at, excluded.at), done = excluded.done",
        )
        .bind(&scan.feed)
        .bind(scan.at)
        .bind(at)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// Where the figure moves on over a booking, less is taken off the same number: it is due again.
async fn put_figure(
    connection: &mut SqliteConnection,
    keep: &Keep,
    sighting: &Sighting,
    at: Stamp,
) -> sqlx::Result<()> {
    let Sighting {
        flow,
        key,
        as_of,
        guard,
        ..
    } = sighting;
    let passed: i64 = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM figures f JOIN sold s ON s.sku = f.sku WHERE f.flow = ?1 AND f.key = ?2 \
         AND s.flow IN (SELECT value FROM json_each(?3)) AND s.booked_at IS NOT NULL \
         AND s.booked_at + ?4 >= f.as_of AND s.booked_at + ?4 < ?5)",
    )
    .bind(flow)
    .bind(&key.0)
    .bind(json!(guard.flows).to_string())
    .bind(guard.booked_after_ms)
    .bind(as_of)
    .fetch_one(&mut *connection)
    .await?;
    let want = keep.wants.iter().find(|want| want.flow == *flow && want.key == *key);
    if let (Some(want), Some(sku)) = (want, &sighting.sku) {
        sqlx::query(
            "INSERT INTO figures (flow, key, sku, body, hash, stamp, as_of) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) \
             ON CONFLICT (flow, key) DO UPDATE SET sku = excluded.sku, body = excluded.body, hash = excluded.hash, \
             stamp = excluded.stamp, as_of = excluded.as_of",
        )
        .bind(flow)
        .bind(&key.0)
        .bind(sku)
        .bind(&want.body)
        .bind(want.hash.0)
        .bind(want.stamp)
        .bind(as_of)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE outbox SET as_of = ?3 WHERE flow = ?1 AND key = ?2 AND state = 'ready'")
            .bind(flow)
            .bind(&key.0)
            .bind(as_of)
            .execute(&mut *connection)
            .await?;
    } else {
        sqlx::query("UPDATE figures SET as_of = ?3 WHERE flow = ?1 AND key = ?2 AND as_of < ?3")
            .bind(flow)
            .bind(&key.0)
            .bind(as_of)
            .execute(&mut *connection)
            .await?;
    }
    if passed != 0 {
        due_again(connection, "f.flow = ?1 AND f.key = ?2", flow, &key.0, at).await?;
    }
    Ok(())
}

/// A figure that was asked for while an order was on its way may contain it or not. Where it is still the same later,
/// it does; it is looked at only where something was booked since the last time.
async fn confirm(connection: &mut SqliteConnection, confirmed: &Confirmed, at: Stamp) -> sqlx::Result<()> {
    let Confirmed { flow, as_of, guard } = confirmed;
    let name = format!(":{flow}");
    let last: Option<i64> = sqlx::query_scalar("SELECT at FROM scans WHERE feed = ?")
        .bind(&name)
        .fetch_optional(&mut *connection)
        .await?;
    let keys: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT f.key FROM sold s JOIN figures f ON f.sku = s.sku AND f.flow = ?1 \
         WHERE s.booked_at >= ?5 AND s.flow IN (SELECT value FROM json_each(?2)) AND s.booked_at + ?3 >= f.as_of \
         AND s.booked_at + ?3 < ?4",
    )
    .bind(flow)
    .bind(json!(guard.flows).to_string())
    .bind(guard.booked_after_ms)
    .bind(as_of)
    .bind(last.unwrap_or(0).saturating_sub(guard.booked_after_ms))
    .fetch_all(&mut *connection)
    .await?;
    if !keys.is_empty() {
        let keys = json!(keys).to_string();
        sqlx::query("UPDATE figures SET as_of = ?3 WHERE flow = ?1 AND key IN (SELECT value FROM json_each(?2))")
            .bind(flow)
            .bind(&keys)
            .bind(as_of)
            .execute(&mut *connection)
            .await?;
        let which = "f.flow = ?1 AND f.key IN (SELECT value FROM json_each(?2))";
        due_again(connection, which, flow, &keys, at).await?;
    }
    sqlx::query(
        "INSERT INTO scans (feed, at, done) VALUES (?1, ?2, ?2) ON CONFLICT (feed) DO UPDATE SET at = max(at, excluded.at)",
    )
    .bind(&name)
    .bind(as_of)
    .execute(connection)
    .await?;
    Ok(())
}

async fn put_sale(connection: &mut SqliteConnection, sale: &Sale, at: Stamp) -> sqlx::Result<()> {
    let rows = sqlx::query("SELECT sku, sum(pieces) FROM sold WHERE flow = ?1 AND key = ?2 GROUP BY sku")
        .bind(&sale.flow)
        .bind(&sale.key.0)
        .fetch_all(&mut *connection)
        .await?;
    let before: BTreeMap<String, i64> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    let (waiting, any): (Option<i64>, bool) = sqlx::query_as(
        "SELECT max(iif(state = 'ready', id, NULL)), count(*) > 0 FROM outbox WHERE flow = ?1 AND key = ?2",
    )
    .bind(&sale.flow)
    .bind(&sale.key.0)
    .fetch_one(&mut *connection)
    .await?;
    // It was sent when nobody counted.
    let booked = (sale.known && before.is_empty() && !any).then_some(0_i64);
    let skus: BTreeSet<&String> = before.keys().chain(sale.lines.keys()).collect();
    let mut changed = Vec::new();
    for sku in skus {
        let pieces = sale.lines.get(sku).unwrap_or(&0) - before.get(sku).unwrap_or(&0);
        if pieces == 0 {
            continue;
        }
        sqlx::query(
            "INSERT INTO sold (flow, key, sku, pieces, seq, booked_at, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .bind(&sale.flow)
        .bind(&sale.key.0)
        .bind(sku)
        .bind(pieces)
        .bind(waiting)
        .bind(booked)
        .bind(at)
        .execute(&mut *connection)
        .await?;
        changed.push(sku);
    }
    if let Some(waiting) = waiting {
        sqlx::query("UPDATE sold SET seq = ?3 WHERE flow = ?1 AND key = ?2 AND booked_at IS NULL AND seq IS NULL")
            .bind(&sale.flow)
            .bind(&sale.key.0)
            .bind(waiting)
            .execute(&mut *connection)
            .await?;
    }
    if booked.is_none() && !changed.is_empty() {
        let which = "f.flow IN (SELECT value FROM json_each(?1)) AND f.sku IN (SELECT value FROM json_each(?2))";
        let (flows, skus) = (json!(sale.counted_by).to_string(), json!(changed).to_string());
        due_again(connection, which, &flows, &skus, at).await?;
    }
    Ok(())
}

/// The newest figure goes out once more, with what is to be taken off it by then.
async fn due_again(
    connection: &mut SqliteConnection,
    which: &str,
    first: &str,
    second: &str,
    at: Stamp,
) -> sqlx::Result<()> {
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "INSERT INTO outbox (flow, key, body, hash, before, doubt, state, act, stamp, at, as_of) \
         SELECT f.flow, f.key, f.body, f.hash, NULL, 0, 'ready', 'put', f.stamp, ?3, f.as_of FROM figures f WHERE {which} \
         ON CONFLICT (flow, key) WHERE state = 'ready' DO UPDATE SET before = NULL, as_of = excluded.as_of, \
         attempts = 0, due_at = 0"
    )))
    .bind(first)
    .bind(second)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// The target has these versions of orders: what they tell is booked there from now on.
pub(super) async fn booked<'a>(
    connection: &mut SqliteConnection,
    flow: &str,
    versions: impl Iterator<Item = (i64, &'a Key)>,
    at: Stamp,
) -> sqlx::Result<()> {
    let versions: Vec<serde_json::Value> = versions.map(|(id, key)| json!([id, key.0])).collect();
    if versions.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE sold SET booked_at = ?3 FROM json_each(?2) w WHERE sold.flow = ?1 AND sold.key = w.value ->> 1 \
         AND sold.booked_at IS NULL AND sold.seq <= w.value ->> 0",
    )
    .bind(flow)
    .bind(json!(versions).to_string())
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// The same, for the versions in a file.
pub(super) async fn booked_with(connection: &mut SqliteConnection, batch: i64, at: Stamp) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE sold SET booked_at = ?2 FROM outbox o WHERE o.batch = ?1 AND sold.flow = o.flow AND sold.key = o.key \
         AND sold.booked_at IS NULL AND sold.seq <= o.id",
    )
    .bind(batch)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// A level that may have been set and a newer one for it: only the newer one goes out, whatever became of the other,
/// because setting it is right either way and setting the older one is not.
pub(super) async fn newest_counts(connection: &mut SqliteConnection, flow: &str, busy: &[i64]) -> sqlx::Result<()> {
    let overtaken: Vec<(i64, i64)> = sqlx::query_as(
        "SELECT old.id, new.id FROM outbox old JOIN outbox new ON new.flow = old.flow AND new.key = old.key \
         AND new.state = 'ready' WHERE old.flow = ?1 AND old.unsure = 1 AND old.wire = 0 AND old.state <> 'ready' \
         AND old.id NOT IN (SELECT value FROM json_each(?2)) \
         AND EXISTS (SELECT 1 FROM figures f WHERE f.flow = old.flow AND f.key = old.key)",
    )
    .bind(flow)
    .bind(json!(busy).to_string())
    .fetch_all(&mut *connection)
    .await?;
    for (old, new) in overtaken {
        sqlx::query("UPDATE outbox SET before = NULL WHERE id = ?")
            .bind(new)
            .execute(&mut *connection)
            .await?;
        sqlx::query("DELETE FROM outbox WHERE id = ?")
            .bind(old)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// What is to be taken off these versions' levels.
pub(super) async fn take_off(
    connection: &mut SqliteConnection,
    guard: &Guard,
    versions: &mut [(Version, bool)],
) -> sqlx::Result<()> {
    for (version, _) in versions {
        let Some(sku) = sku_of(&version.record) else { continue };
        let as_of: Option<i64> = sqlx::query_scalar("SELECT as_of FROM outbox WHERE id = ?")
            .bind(version.id)
            .fetch_one(&mut *connection)
            .await?;
        let open = open(connection, guard, &sku, as_of.unwrap_or(0)).await?;
        let pieces: i64 = open.iter().map(|order| order.pieces).sum();
        version.sold = u64::try_from(pieces).unwrap_or(0);
        version.sold_in = open;
    }
    Ok(())
}

async fn open(
    connection: &mut SqliteConnection,
    guard: &Guard,
    sku: &str,
    as_of: Stamp,
) -> sqlx::Result<Vec<Unbooked>> {
    let rows = sqlx::query(OPEN)
        .bind(sku)
        .bind(json!(guard.flows).to_string())
        .bind(guard.booked_after_ms)
        .bind(as_of)
        .fetch_all(connection)
        .await?;
    let open = |row: &sqlx::sqlite::SqliteRow| Unbooked {
        flow: row.get(0),
        order: row.get(1),
        pieces: row.get(2),
    };
    Ok(rows.iter().map(open).collect())
}

/// The SKU of a mapped level.
pub fn sku_of(record: &contract::Value) -> Option<String> {
    match record.get("sku")? {
        contract::Value::Text(text) => matched(text).map(str::to_owned),
        contract::Value::Null => None,
        other => Some(other.to_json()),
    }
}

/// The versions that ended at the target, with what they were.
pub(super) fn done(ended: &[Ended]) -> impl Iterator<Item = (i64, &Key)> {
    let is_done = |row: &&Ended| matches!(row.end, super::End::Done { .. });
    ended.iter().filter(is_done).map(|row| (row.id, &row.key))
}

impl Store {
    /// Whether levels of the flow wait for a scan of the orders.
    pub async fn waits_for_sales(&self, flow: &str, guard: &Guard) -> anyhow::Result<bool> {
        let sql =
            format!("SELECT 1 FROM outbox o WHERE o.flow = ?1 AND o.state = 'ready' AND ({UNKNOWN_SALES}) LIMIT 1");
        let found: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(sql.replace("?7", "?2")))
            .bind(flow)
            .bind(json!(guard.feeds).to_string())
            .fetch_optional(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(found.is_some())
    }

    /// What would be taken off a figure of this SKU that was asked for now.
    pub async fn unbooked(&self, guard: &Guard, sku: &str) -> anyhow::Result<Vec<Unbooked>> {
        let now = self.now();
        let found = open(&mut *self.locked().await, guard, sku, now).await;
        found.map_err(|error| self.explain(error.into()))
    }

    /// Forgets what every figure has contained for long.
    pub async fn trim_sold(&self) -> anyhow::Result<()> {
        sqlx::query(
            "DELETE FROM sold WHERE booked_at < ?1 AND booked_at < (SELECT coalesce(min(as_of), 0) FROM figures) AND at < ?1",
        )
        .bind(self.now() - BOOKED_KEPT_MS)
        .execute(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }
}
