//! Webhook events: which were taken, and what they ask for, in one transaction a group. Whoever is told that an
//! event was accepted may forget it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use contract::{Hash, Key, Privacy, PrivacyKind, Stamp, Use};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection};

use super::Store;
use super::keep::urgency;

/// So long an event that comes again is known; twice the time in which the platform sends it again would be 30 hours.
const REMEMBERED_MS: i64 = 35 * 86_400_000;
const FORGOTTEN_AT_ONCE: i64 = 1_000;

/// A verified event, and what it asks for.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub id: String,
    pub topic: String,
    pub body_hash: Hash,
    pub stale: bool,
    pub wish: Wish,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// This record is to be read again for each of these feeds.
    Read {
        feeds: Vec<String>,
        key: Key,
        said_gone: bool,
    },
    /// These feeds are to be scanned; which record it was is not told.
    Scan {
        feeds: Vec<String>,
    },
    /// No flow listens to it.
    Nothing,
    /// It is about another store.
    Foreign,
    /// The app may call the store again.
    Installed,
    /// The app was put out of the store.
    Uninstalled,
    Privacy(Privacy),
}

impl Wish {
    fn done(&self) -> &'static str {
        match self {
            Wish::Read { .. } => "read",
            Wish::Scan { .. } => "scanned",
            Wish::Nothing => "ignored",
            Wish::Foreign => "foreign",
            Wish::Installed | Wish::Uninstalled | Wish::Privacy(_) => "noted",
        }
    }
}

/// What became of an arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Took {
    New,
    /// It was taken before.
    Known,
    /// One of its id and topic was taken before, and said something else. Its record is read again all the same.
    Conflicting,
}

/// What `status` tells of the events of the last day.
#[derive(Clone, Debug, Default)]
pub struct EventReport {
    pub last_at: Option<Stamp>,
    /// By what was done: `read`, `scanned`, `ignored`, `foreign`, `noted`.
    pub last_day: BTreeMap<String, u64>,
    /// Those of them whose signature was too old.
    pub stale: u64,
}

/// The feed's own memory of a wish to be scanned.
const SCAN: &str = "scan_wanted";
/// When an event last said that the app is in the store. Believed once the store answers.
const INSTALLED: &str = "installed_at";
/// Since when the app is out of the store; empty: it is not.
const UNINSTALLED: &str = "uninstalled_at";

impl Store {
    /// Takes a group of events: what was not known is kept, with the readings it asks for after `coalesce`. Durable
    /// when it returns.
    pub async fn take_events(&self, arrivals: &[Arrival], coalesce: Duration) -> anyhow::Result<Vec<Took>> {
        let mut connection = self.writing().await?;
        let at = self.now();
        let due_at = at.saturating_add(i64::try_from(coalesce.as_millis()).unwrap_or(i64::MAX));
        let taken = async {
            let news: Vec<&Arrival> = arrivals.iter().collect();
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            match put_events(&mut transaction, &news, at).await {
                Ok(()) => {
                    ask(&mut transaction, &news, &news, at, due_at).await?;
                    transaction.commit().await?;
                    return Ok(vec![Took::New; arrivals.len()]);
                }
                // Hardly any comes twice, so that is looked into only where it shows.
                Err(error) if is_clash(&error) => transaction.rollback().await?,
                Err(error) => return Err(error),
            }
            let took = judge(arrivals, known(&mut connection, arrivals).await?);
            if took.iter().all(|took| *took == Took::Known) {
                return Ok(took);
            }
            let with = |what: &[Took]| -> Vec<&Arrival> {
                let pairs = arrivals.iter().zip(&took);
                let fit = pairs.filter(|(_, took)| what.contains(took));
                fit.map(|(arrival, _)| arrival).collect()
            };
            let (news, rings) = (with(&[Took::New]), with(&[Took::New, Took::Conflicting]));
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            put_events(&mut transaction, &news, at).await?;
            ask(&mut transaction, &news, &rings, at, due_at).await?;
            transaction.commit().await?;
            Ok(took)
        };
        taken.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Lets events leave that are too old to come again; never so many at once that those which come have to wait.
    pub async fn forget_old_events(&self) -> anyhow::Result<()> {
        let before = self.now().saturating_sub(REMEMBERED_MS);
        loop {
            let done = sqlx::query(
                "DELETE FROM events WHERE (id, topic) IN \
                 (SELECT id, topic FROM events WHERE at < ? ORDER BY at LIMIT ?)",
            )
            .bind(before)
            .bind(FORGOTTEN_AT_ONCE)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
            if done.rows_affected() < FORGOTTEN_AT_ONCE.unsigned_abs() {
                return Ok(());
            }
        }
    }

    /// Whether an event asked for a scan of the feed that was not made yet; the stamp tells one wish from the next.
    pub async fn scan_wanted(&self, feed: &str) -> anyhow::Result<Option<String>> {
        let wanted = self.memory(feed, SCAN).await?;
        Ok(wanted.filter(|at| !at.is_empty()))
    }

    /// The scan that was asked for then is made. A later wish stays.
    pub async fn scan_made(&self, feed: &str, wish: &str) -> anyhow::Result<()> {
        self.forget(feed, SCAN, wish).await
    }

    /// Since when the app is out of the store, as far as events say.
    pub async fn uninstalled_at(&self) -> anyhow::Result<Option<Stamp>> {
        let at = self.memory("store", UNINSTALLED).await?;
        Ok(at.and_then(|at| at.parse().ok()))
    }

    /// When an event last said that the app may call the store.
    pub async fn installed_hint(&self) -> anyhow::Result<Option<Stamp>> {
        let at = self.memory("store", INSTALLED).await?;
        Ok(at.and_then(|at| at.parse().ok()))
    }

    /// The store answers the app, whatever events said before.
    pub async fn is_installed(&self) -> anyhow::Result<()> {
        self.put_memory("store", UNINSTALLED, "").await
    }

    pub async fn event_report(&self) -> anyhow::Result<EventReport> {
        let mut connection = self.locked().await;
        let since = self.now().saturating_sub(86_400_000);
        let told = async {
            let rows: Vec<(String, i64, i64)> =
                sqlx::query_as("SELECT done, count(*), sum(stale) FROM events WHERE at > ? GROUP BY done")
                    .bind(since)
                    .fetch_all(&mut *connection)
                    .await?;
            let last_at = sqlx::query_scalar("SELECT max(at) FROM events")
                .fetch_one(&mut *connection)
                .await?;
            let whole = |n: i64| u64::try_from(n).unwrap_or(0);
            Ok(EventReport {
                last_at,
                stale: rows.iter().map(|(.., stale)| whole(*stale)).sum(),
                last_day: rows.into_iter().map(|(done, n, _)| (done, whole(n))).collect(),
            })
        };
        told.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

/// The bodies of those events that were taken before.
async fn known(
    connection: &mut SqliteConnection,
    arrivals: &[Arrival],
) -> sqlx::Result<BTreeMap<(String, String), Hash>> {
    let ids: Vec<[&str; 2]> = arrivals
        .iter()
        .map(|event| [event.id.as_str(), event.topic.as_str()])
        .collect();
    let ids = serde_json::to_string(&ids).unwrap_or_default();
    let rows = sqlx::query(
        "SELECT events.id, events.topic, events.body_hash FROM json_each(?1) asked JOIN events \
         ON events.id = asked.value ->> 0 AND events.topic = asked.value ->> 1",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().map(|row| ((row.get(0), row.get(1)), Hash(row.get(2))));
    Ok(known.collect())
}

/// Within a group, too, the first of an id counts.
fn judge(arrivals: &[Arrival], mut known: BTreeMap<(String, String), Hash>) -> Vec<Took> {
    let mut judged = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let name = (arrival.id.clone(), arrival.topic.clone());
        judged.push(match known.get(&name) {
            Some(hash) if *hash == arrival.body_hash => Took::Known,
            Some(_) => Took::Conflicting,
            None => {
                known.insert(name, arrival.body_hash);
                Took::New
            }
        });
    }
    judged
}

fn is_clash(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .is_some_and(sqlx::error::DatabaseError::is_unique_violation)
}

async fn put_events(connection: &mut SqliteConnection, events: &[&Arrival], at: Stamp) -> sqlx::Result<()> {
    if events.is_empty() {
        return Ok(());
    }
    let row = |event: &&Arrival| {
        json!([
            event.id,
            event.topic,
            event.body_hash.0,
            event.wish.done(),
            i64::from(event.stale)
        ])
    };
    let rows: Vec<_> = events.iter().map(row).collect();
    sqlx::query(
        "INSERT INTO events (id, topic, body_hash, done, stale, at) SELECT value ->> 0, value ->> 1, value ->> 2, \
         value ->> 3, value ->> 4, ?2 FROM json_each(?1)",
    )
    .bind(serde_json::to_string(&rows).unwrap_or_default())
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// What these events ask for.
async fn ask(
    connection: &mut SqliteConnection,
    news: &[&Arrival],
    rings: &[&Arrival],
    at: Stamp,
    due_at: Stamp,
) -> sqlx::Result<()> {
    ring(connection, rings, at, due_at).await?;
    for arrival in news {
        put_wish(connection, arrival, at).await?;
    }
    Ok(())
}

/// A record that waits to be read anyway is read no later for it. One that was parked, or is being read just now,
/// is read once more. A hint may wait as long as what a scan finds.
async fn ring(connection: &mut SqliteConnection, arrivals: &[&Arrival], at: Stamp, due_at: Stamp) -> sqlx::Result<()> {
    let mut rings: BTreeMap<(&str, &str), (i64, bool)> = BTreeMap::new();
    for arrival in arrivals {
        let Wish::Read { feeds, key, said_gone } = &arrival.wish else {
            continue;
        };
        let asked = urgency(if arrival.stale { Use::Feed } else { Use::Ring });
        for feed in feeds {
            let ring = rings.entry((feed, &key.0)).or_insert((asked, *said_gone));
            *ring = (ring.0.min(asked), *said_gone);
        }
    }
    if rings.is_empty() {
        return Ok(());
    }
    let count = rings.len() as u64;
    let rows: Vec<_> = rings
        .into_iter()
        .map(|((feed, key), (asked, said_gone))| json!([feed, key, asked, i64::from(said_gone)]))
        .collect();
    let rows = serde_json::to_string(&rows).unwrap_or_default();
    // Most often, when many come, their records wait for an earlier event already. Then no index need be touched.
    let waiting = sqlx::query(
        "UPDATE inbox SET rings = rings + 1, ring_due = ?3, said_gone = asked.value ->> 3, at = ?2 \
         FROM json_each(?1) asked WHERE inbox.feed = asked.value ->> 0 AND inbox.key = asked.value ->> 1 \
         AND inbox.parked IS NULL AND inbox.rung_at IS NOT NULL AND inbox.urgency <= asked.value ->> 2 \
         AND inbox.due_at <= ?3",
    )
    .bind(&rows)
    .bind(at)
    .bind(due_at)
    .execute(&mut *connection)
    .await?;
    if waiting.rows_affected() == count {
        return Ok(());
    }
    // Counting a ring twice does no harm: the count only tells that there was one more.
    sqlx::query(
        "INSERT INTO inbox (feed, key, row_hash, urgency, said_gone, due_at, since, at, rings, ring_due, rung_at) \
         SELECT value ->> 0, value ->> 1, 0, value ->> 2, value ->> 3, ?3, ?2, ?2, 1, ?3, ?2 FROM json_each(?1) WHERE true \
         ON CONFLICT (feed, key) DO UPDATE SET rings = inbox.rings + 1, ring_due = excluded.ring_due, \
         said_gone = excluded.said_gone, at = excluded.at, discarded = 0, \
         rung_at = iif(inbox.parked IS NULL, coalesce(inbox.rung_at, excluded.rung_at), excluded.rung_at), \
         due_at = iif(inbox.parked IS NULL, min(inbox.due_at, excluded.due_at), excluded.due_at), \
         urgency = iif(inbox.parked IS NULL, min(inbox.urgency, excluded.urgency), excluded.urgency), \
         attempts = iif(inbox.parked IS NULL, inbox.attempts, 0), \
         missing = iif(inbox.parked IS NULL, inbox.missing, 0), \
         since = iif(inbox.parked IS NULL, inbox.since, excluded.since), \
         answer = iif(inbox.parked IS NULL, inbox.answer, NULL), parked = NULL",
    )
    .bind(rows)
    .bind(at)
    .bind(due_at)
    .execute(connection)
    .await?;
    Ok(())
}

/// What is asked for besides readings.
async fn put_wish(connection: &mut SqliteConnection, arrival: &Arrival, at: Stamp) -> sqlx::Result<()> {
    match &arrival.wish {
        Wish::Read { .. } | Wish::Nothing | Wish::Foreign => Ok(()),
        Wish::Scan { feeds } => {
            // The event's own name tells this wish from one that is being served.
            let wish = format!("{at} {}", arrival.id);
            for feed in feeds.iter().collect::<BTreeSet<_>>() {
                super::put_memory(connection, feed, SCAN, &wish).await?;
            }
            Ok(())
        }
        Wish::Installed => super::put_memory(connection, "store", INSTALLED, &at.to_string()).await,
        Wish::Uninstalled => super::put_memory(connection, "store", UNINSTALLED, &at.to_string()).await,
        Wish::Privacy(asked) => put_privacy(connection, arrival, asked, at).await,
    }
}

async fn put_privacy(
    connection: &mut SqliteConnection,
    arrival: &Arrival,
    asked: &Privacy,
    at: Stamp,
) -> sqlx::Result<()> {
    let kind = match asked.kind {
        PrivacyKind::Tell => "tell",
        PrivacyKind::Redact => "redact",
        PrivacyKind::RedactAll => "redact_all",
    };
    let orders: Vec<&str> = asked.orders.iter().map(|key| key.0.as_str()).collect();
    let customer = asked.customer.as_ref().map(|key| key.0.as_str());
    let names = json!({"customer": customer, "orders": orders, "words": asked.words});
    sqlx::query("INSERT INTO privacy (event, kind, names, at) VALUES (?, ?, ?, ?)")
        .bind(&arrival.id)
        .bind(kind)
        .bind(names.to_string())
        .bind(at)
        .execute(&mut *connection)
        .await?;
    if asked.kind == PrivacyKind::RedactAll {
        // The store is gone, or about to be: what is not removed yet must not be read anew meanwhile.
        super::put_memory(connection, "store", UNINSTALLED, &at.to_string()).await?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
