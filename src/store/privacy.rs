//! Requests under privacy law, carried out in the state file. What was delivered stays delivered: links keep their
//! keys and hashes, so nothing is sent twice. What was not loses its body and is read again from the store, which
//! has redacted it, so nothing is lost either. What is removed is gone from the file and its log as bytes, too.

mod find;
mod person;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

use std::collections::BTreeSet;

use contract::{Key, Privacy, PrivacyKind, Stamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};

use find::{Found, ON_ITS_WAY_MS};
use person::Person;

use super::Store;

/// Stands in the place of a text that told of a person.
const REMOVED: &str = "removed on a request under privacy law";
/// The state's own memory of a file to be written anew, because what was removed may still lie in it as bytes.
const SCRUB: &str = "scrub_wanted";
/// Rows removed in one transaction.
const PIECE: usize = 250;
/// How long a transaction that must wait for readers may hold up everybody else.
const PATIENCE_MS: u32 = 200;

/// A request that was not carried out yet.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: i64,
    pub at: Stamp,
    pub asked: Privacy,
}

/// Where records come from, as the config has it.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// The connector of the store, and its feeds of customers and orders.
    pub store: String,
    pub customers: String,
    pub orders: String,
    /// Flows, each with its feed.
    pub flows: Vec<(String, String)>,
}

impl Places {
    fn feed_of(&self, flow: &str) -> Option<&str> {
        let found = self.flows.iter().find(|(name, _)| name == flow);
        found.map(|(_, feed)| feed.as_str())
    }

    fn is_of_store(&self, feed: &str) -> bool {
        feed.split('.').next() == Some(self.store.as_str())
    }
}

/// What was removed so far.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
struct Tally {
    /// Versions that waited for delivery, or were parked.
    versions: u64,
    /// Readings that had failed, with what was answered.
    readings: u64,
    /// Lines of the journal.
    lines: u64,
    /// Errors and alerts.
    texts: u64,
}

/// How a request stands after a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Round {
    /// Nothing is left, as far as the state shows. In words: what was removed.
    Done(String),
    /// Something was found, or may still be on its way. So many files and calls wait for their target.
    Again { open: u64 },
}

/// What the state holds of a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holding {
    /// Records known by number and hash alone: by flow, how many.
    pub known: Vec<(String, u64)>,
    pub versions: u64,
    pub readings: u64,
    pub lines: u64,
    pub texts: u64,
    /// Delivered files that hold their records.
    pub files: Vec<String>,
    /// Their records at targets that take records one by one, as `erp.orders SO-17`.
    pub records: Vec<String>,
}

impl Store {
    /// The requests that were not carried out yet, oldest first.
    pub async fn open_requests(&self) -> anyhow::Result<Vec<Request>> {
        let rows: Vec<(i64, String, String, Stamp)> =
            sqlx::query_as("SELECT id, kind, coalesce(names, '{}'), at FROM privacy WHERE done_at IS NULL ORDER BY id")
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        rows.into_iter()
            .map(|(id, kind, names, at)| request(id, &kind, &names, at))
            .collect()
    }

    /// Removes once what is held of the person, or of everybody; does nothing about files under way, which are
    /// finished first. To be called again later until it is done.
    pub async fn redact(&self, request: &Request, places: &Places) -> anyhow::Result<Round> {
        let found = self.find(request, places).await?;
        self.remove(request, &found).await?;
        let open = found.open.len() as u64;
        // What was being read when the request arrived is kept a little later.
        if !found.is_empty() || self.now() < request.at.saturating_add(ON_ITS_WAY_MS) {
            return Ok(Round::Again { open });
        }
        let tally = self.tally(request.id).await?;
        let words = format!(
            "removed {} versions that waited or had failed, {} failed readings, {} lines of the journal, {} errors and alerts",
            tally.versions, tally.readings, tally.lines, tally.texts
        );
        self.settle_request(request.id, &words).await?;
        Ok(Round::Done(words))
    }

    /// What is held of the person, for the operator to tell them. The request is done with that.
    pub async fn tell(&self, request: &Request, places: &Places) -> anyhow::Result<Holding> {
        let found = self.find(request, places).await?;
        let held = Holding {
            versions: (found.versions.len() + found.open.len()) as u64,
            readings: found.readings.len() as u64,
            lines: found.lines.len() as u64,
            texts: (found.errors.len() + found.memories.len() + found.alerts.len()) as u64,
            ..self.handed_over(request, places).await?
        };
        Ok(held)
    }

    /// What was delivered of the person's records, which no request reaches.
    pub async fn handed_over(&self, request: &Request, places: &Places) -> anyhow::Result<Holding> {
        let person = Person::of(&request.asked);
        let mut held = Holding::default();
        let (mut files, mut records) = (BTreeSet::new(), BTreeSet::new());
        for (flow, feed) in &places.flows {
            let keys: Vec<&String> = match feed {
                feed if *feed == places.customers => person.customer.iter().collect(),
                feed if *feed == places.orders => person.orders.iter().collect(),
                _ => continue,
            };
            let keys = serde_json::to_string(&keys)?;
            let mut connection = self.locked().await;
            let read = async {
                let known: i64 = sqlx::query_scalar(
                    "SELECT count(*) FROM links WHERE flow = ?1 AND key IN (SELECT value FROM json_each(?2))",
                )
                .bind(flow)
                .bind(&keys)
                .fetch_one(&mut *connection)
                .await?;
                let names: Vec<String> = sqlx::query_scalar(
                    "SELECT DISTINCT name FROM batches, json_each(batches.keys) held WHERE flow = ?1 AND state = 'published' \
                     AND held.value IN (SELECT value FROM json_each(?2)) ORDER BY name",
                )
                .bind(flow)
                .bind(&keys)
                .fetch_all(&mut *connection)
                .await?;
                let there: Vec<String> = sqlx::query_scalar(
                    "SELECT target || ' ' || coalesce(id, 'without a known number, of record ' || key) FROM refs \
                     WHERE feed = ?1 AND flow = ?3 AND key IN (SELECT value FROM json_each(?2))",
                )
                .bind(feed)
                .bind(&keys)
                .bind(flow)
                .fetch_all(&mut *connection)
                .await?;
                Ok((known, names, there))
            };
            let (known, names, there) = read.await.map_err(|error: sqlx::Error| self.explain(error.into()))?;
            if known > 0 {
                held.known.push((flow.clone(), u64::try_from(known)?));
            }
            files.extend(names);
            records.extend(there);
        }
        held.files = files.into_iter().collect();
        held.records = records.into_iter().collect();
        Ok(held)
    }

    /// The request is carried out: what it named is forgotten, and the file is to be written anew.
    pub async fn settle_request(&self, id: i64, result: &str) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let at = self.now();
        let settled = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query("UPDATE privacy SET names = NULL, done_at = ?2, result = ?3 WHERE id = ?1")
                .bind(id)
                .bind(at)
                .bind(result)
                .execute(&mut *transaction)
                .await?;
            super::put_memory(&mut transaction, "", SCRUB, &at.to_string()).await?;
            transaction.commit().await
        };
        settled.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Writes the file anew and empties its log where something was removed that may still lie there as bytes:
    /// `secure_delete` alone leaves remnants of rows that moved from page to page. `false`: to be tried again,
    /// because somebody reads just now or there is no room for it.
    pub async fn scrub(&self) -> anyhow::Result<bool> {
        let wanted = self.memory("", SCRUB).await?.filter(|at| !at.is_empty());
        let Some(wanted) = wanted else { return Ok(true) };
        let mut connection = self.writing().await?;
        let scrubbed = scrub(&mut connection).await;
        drop(connection);
        match scrubbed {
            Ok(true) => {
                self.forget("", SCRUB, &wanted).await?;
                Ok(true)
            }
            Ok(false) => Ok(false),
            // What else it may mean, the next transaction tells.
            Err(error) => {
                tracing::warn!(
                    "{} could not be written anew: {error}; trying again later",
                    self.path.display()
                );
                Ok(false)
            }
        }
    }

    async fn tally(&self, id: i64) -> anyhow::Result<Tally> {
        let told: Option<Option<String>> = sqlx::query_scalar("SELECT result FROM privacy WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        let tally = told.flatten().and_then(|told| serde_json::from_str(&told).ok());
        Ok(tally.unwrap_or_default())
    }

    async fn remove(&self, request: &Request, found: &Found) -> anyhow::Result<()> {
        let at = self.now();
        for piece in found.versions.chunks(PIECE) {
            let rows = serde_json::to_string(piece)?;
            let removed = self.in_one(request.id, "versions", async |connection| {
                remove_versions(connection, &rows, at).await
            });
            removed.await?;
        }
        for piece in found.readings.chunks(PIECE) {
            let rows = serde_json::to_string(piece)?;
            let removed = self.in_one(request.id, "readings", async |connection| {
                remove_readings(connection, &rows, at).await
            });
            removed.await?;
        }
        for piece in found.lines.chunks(PIECE) {
            let rows = serde_json::to_string(piece)?;
            let removed = self.in_one(request.id, "lines", async |connection| {
                let sql = "DELETE FROM journal WHERE id IN (SELECT value FROM json_each(?))";
                let done = sqlx::query(sql).bind(&rows).execute(connection).await?;
                Ok(done.rows_affected())
            });
            removed.await?;
        }
        if found.errors.is_empty() && found.memories.is_empty() && found.alerts.is_empty() {
            return Ok(());
        }
        self.in_one(request.id, "texts", async |connection| {
            remove_texts(connection, found).await
        })
        .await
    }

    /// One transaction that removes something and adds it to the request's tally.
    async fn in_one(
        &self,
        id: i64,
        what: &str,
        remove: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<u64>,
    ) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let removed = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let count = remove(&mut transaction).await?;
            sqlx::query(
                "UPDATE privacy SET result = json_set(coalesce(result, ?3), ?2, coalesce(result ->> ?2, 0) + ?4) \
                 WHERE id = ?1",
            )
            .bind(id)
            .bind(format!("$.{what}"))
            .bind(serde_json::to_string(&Tally::default()).unwrap_or_default())
            .bind(i64::try_from(count).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        };
        removed.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

fn request(id: i64, kind: &str, names: &str, at: Stamp) -> anyhow::Result<Request> {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Names {
        customer: Option<String>,
        orders: Vec<String>,
        words: Vec<String>,
    }
    let names: Names = serde_json::from_str(names)?;
    let kind = match kind {
        "tell" => PrivacyKind::Tell,
        "redact" => PrivacyKind::Redact,
        _ => PrivacyKind::RedactAll,
    };
    Ok(Request {
        id,
        at,
        asked: Privacy {
            kind,
            customer: names.customer.map(Key),
            orders: names.orders.into_iter().map(Key).collect(),
            words: names.words,
        },
    })
}

/// Rows are `[id, hash, feed]`; one that changed meanwhile is left to the next round. What was wanted is forgotten
/// with its version, so that the record is decided on anew when it is read: as if this version had never come. One
/// whose call went unanswered is left alone: without it nobody would know that the target may hold it.
async fn remove_versions(connection: &mut SqliteConnection, rows: &str, at: Stamp) -> sqlx::Result<u64> {
    const ASKED: &str = "json_each(?1) asked JOIN outbox ON outbox.id = asked.value ->> 0 \
         AND outbox.hash = asked.value ->> 1 AND outbox.state <> 'sending' AND outbox.unsure = 0";
    let steps = [
        format!(
            "UPDATE links SET want_hash = o.before, epoch = iif(o.doubt, -1, links.epoch) FROM (SELECT outbox.flow, \
             outbox.key, outbox.hash, outbox.before, outbox.doubt FROM {ASKED} WHERE discarded = 0 AND body <> '') o \
             WHERE links.flow = o.flow AND links.key = o.key AND links.want_hash = o.hash AND ?2 = ?2"
        ),
        format!(
            "INSERT INTO inbox (feed, key, row_hash, urgency, due_at, since, at) SELECT asked.value ->> 2, \
             substr(outbox.key || ':', 1, instr(outbox.key || ':', ':') - 1), coalesce((SELECT row_hash FROM links \
             WHERE links.flow = outbox.flow AND links.key = substr(outbox.key || ':', 1, instr(outbox.key || ':', ':') - 1)), \
             0), 1, ?2, ?2, ?2 FROM {ASKED} WHERE discarded = 0 AND asked.value ->> 2 IS NOT NULL \
             ON CONFLICT (feed, key) DO UPDATE SET due_at = min(inbox.due_at, excluded.due_at), attempts = 0, missing = 0, \
             urgency = iif(inbox.parked IS NULL, min(inbox.urgency, 1), 1), parked = NULL, answer = NULL, discarded = 0"
        ),
        // Out of sight for a person: it stays there, without what it said.
        format!(
            "UPDATE outbox SET body = '', hash = 0, reason = '{REMOVED}', answer = NULL, request = NULL WHERE discarded = 1 \
             AND id IN (SELECT outbox.id FROM {ASKED}) AND ?2 = ?2"
        ),
        format!("DELETE FROM outbox WHERE discarded = 0 AND id IN (SELECT outbox.id FROM {ASKED}) AND ?2 = ?2"),
    ];
    let mut count = 0;
    for (n, step) in steps.into_iter().enumerate() {
        let done = sqlx::query(sqlx::AssertSqlSafe(step)).bind(rows).bind(at);
        let done = done.execute(&mut *connection).await?;
        if n >= 2 {
            count += done.rows_affected();
        }
    }
    Ok(count)
}

/// What was answered goes; a record that was parked is read once more.
async fn remove_readings(connection: &mut SqliteConnection, rows: &str, at: Stamp) -> sqlx::Result<u64> {
    let done = sqlx::query(
        "UPDATE inbox SET answer = NULL, at = ?2, due_at = iif(parked IS NULL OR discarded, due_at, ?2), \
         attempts = iif(parked IS NULL, attempts, 0), missing = iif(parked IS NULL, missing, 0), \
         parked = CASE WHEN parked IS NULL OR discarded = 0 THEN NULL WHEN parked = 'gone' THEN parked ELSE ?3 END \
         WHERE id IN (SELECT value FROM json_each(?1))",
    )
    .bind(rows)
    .bind(at)
    .bind(REMOVED)
    .execute(connection)
    .await?;
    Ok(done.rows_affected())
}

async fn remove_texts(connection: &mut SqliteConnection, found: &Found) -> sqlx::Result<u64> {
    let mut count = 0;
    let steps = [
        (
            "UPDATE flows SET last_error = ?2 WHERE flow IN (SELECT value FROM json_each(?1))",
            json!(found.errors),
        ),
        (
            "UPDATE memory SET value = ?2 WHERE (owner, name) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?1))",
            json!(found.memories),
        ),
        (
            "UPDATE alerts SET told = ?2 WHERE name IN (SELECT value FROM json_each(?1))",
            json!(found.alerts),
        ),
    ];
    for (step, names) in steps {
        let done = sqlx::query(step).bind(names.to_string()).bind(REMOVED);
        count += done.execute(&mut *connection).await?.rows_affected();
    }
    Ok(count)
}

/// Whether all of the log went into the file and nothing of it is left.
async fn scrub(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let busy = |ms: u32| format!("PRAGMA busy_timeout = {ms}");
    sqlx::query(sqlx::AssertSqlSafe(busy(PATIENCE_MS)))
        .execute(&mut *connection)
        .await?;
    let done = async {
        sqlx::query("VACUUM").execute(&mut *connection).await?;
        let (held, ..): (i64, i64, i64) = sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)")
            .fetch_one(&mut *connection)
            .await?;
        Ok(held == 0)
    };
    let done = done.await;
    sqlx::query(sqlx::AssertSqlSafe(busy(super::BUSY_MS)))
        .execute(connection)
        .await?;
    done
}
