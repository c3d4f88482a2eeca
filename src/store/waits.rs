//! Records that wait for others, which have to be at the target before them. Who waits is woken by the transaction
//! that makes the id known, or parked by the one in which the required record comes to nothing; so nobody has to
//! look, and no crash comes between.

use std::collections::BTreeMap;

use contract::{Key, Stamp};
use serde_json::json;
use sqlx::{Row, SqliteConnection};

use super::Store;

/// A record of a flow, and the records that it waits for; with none it waits no more.
#[derive(Clone, Debug)]
pub struct Wait {
    pub flow: String,
    pub feed: String,
    pub key: Key,
    /// It is to be sent even if nothing of it changed.
    pub again: bool,
    pub needs: Vec<Need>,
}

/// A record that has to be at a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The flow that delivers it, the feed that it is read from and where it goes.
    pub flow: String,
    pub feed: String,
    pub target: String,
    pub key: Key,
}

impl std::fmt::Display for Need {
    /// `customers 55`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let resource = self
            .feed
            .split_once('.')
            .map_or(self.feed.as_str(), |(_, resource)| resource);
        write!(f, "{resource} {}", self.key.0)
    }
}

/// What to do about a required record of which nothing is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Silent {
    /// Nobody has asked for it yet: it is read.
    Ask,
    /// It was just looked at: who waits for it waits in vain.
    Park,
}

/// How a required record stands.
enum Standing {
    There,
    Coming,
    Silent,
    Failed(String),
}

/// Who waits for what, as it is stored.
struct Waiter {
    flow: String,
    key: String,
    feed: String,
    need: Need,
    standing: Standing,
}

impl Store {
    /// What a flow requires changed: who waits for anything else is read anew. `providers` are the flows that it
    /// requires, each with its target.
    pub async fn forget_other_needs(&self, flow: &str, providers: &[(&str, &str)]) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let forgotten = async {
            let mut transaction = sqlx::Connection::begin_with(&mut *connection, "BEGIN IMMEDIATE").await?;
            let keys: Vec<(String, String)> = sqlx::query_as(
                "DELETE FROM waits WHERE flow = ?1 AND NOT EXISTS (SELECT 1 FROM json_each(?2) p \
                 WHERE p.value ->> 0 = need_flow AND p.value ->> 1 = need_target) RETURNING key, feed",
            )
            .bind(flow)
            .bind(json!(providers).to_string())
            .fetch_all(&mut *transaction)
            .await?;
            for (key, feed) in keys {
                wake(&mut transaction, flow, &key, &feed, false, self.now()).await?;
            }
            transaction.commit().await
        };
        forgotten.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

/// At the end of a transaction that read and mapped records: notes who waits, and looks after those who wait for
/// what was read. A record's id may have become known since its waiter was mapped, so all of this looks for itself.
pub(super) async fn put_waits(
    connection: &mut SqliteConnection,
    waits: &[Wait],
    read: &[(&str, &Key)],
    at: Stamp,
) -> sqlx::Result<()> {
    let mut asked: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for wait in waits {
        sqlx::query("DELETE FROM waits WHERE flow = ?1 AND key = ?2")
            .bind(&wait.flow)
            .bind(&wait.key.0)
            .execute(&mut *connection)
            .await?;
        for need in &wait.needs {
            let whole = need.key.clone().whole();
            sqlx::query("INSERT INTO waits VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING")
                .bind(&wait.flow)
                .bind(&wait.key.0)
                .bind(&wait.feed)
                .bind(&need.flow)
                .bind(&need.feed)
                .bind(&need.target)
                .bind(&need.key.0)
                .bind(&whole.0)
                .bind(wait.again)
                .bind(at)
                .execute(&mut *connection)
                .await?;
            if !read.iter().any(|(feed, key)| *feed == need.feed && **key == whole) {
                asked.entry(&need.feed).or_default().push(whole.0);
            }
        }
    }
    for (feed, keys) in asked {
        review(connection, feed, keys, Silent::Ask, at).await?;
    }
    let mut by_feed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (feed, key) in read {
        by_feed.entry(feed).or_default().push(key.0.clone());
    }
    for (feed, keys) in by_feed {
        review(connection, feed, keys, Silent::Park, at).await?;
    }
    Ok(())
}

/// Looks after those who wait for these records of a feed, of which something was settled.
pub(super) async fn settled(
    connection: &mut SqliteConnection,
    feed: &str,
    keys: impl Iterator<Item = &Key>,
    at: Stamp,
) -> sqlx::Result<()> {
    let keys: Vec<String> = keys.map(|key| key.clone().whole().0).collect();
    review(connection, feed, keys, Silent::Park, at).await
}

async fn review(
    connection: &mut SqliteConnection,
    feed: &str,
    keys: Vec<String>,
    silent: Silent,
    at: Stamp,
) -> sqlx::Result<()> {
    // Who is parked may be waited for in turn. No flow requires itself, so this comes to an end.
    let mut next = vec![(feed.to_owned(), keys)];
    while let Some((feed, keys)) = next.pop() {
        if keys.is_empty() {
            continue;
        }
        for waiter in waiters(connection, &feed, &keys).await? {
            let need = &waiter.need;
            match (&waiter.standing, silent) {
                (Standing::Coming, Silent::Park) => {}
                (Standing::There, _) => arrived(connection, &waiter, at).await?,
                (Standing::Coming, Silent::Ask) => hurry(connection, need, at).await?,
                (Standing::Silent, Silent::Ask) => ask(connection, need, at).await?,
                (Standing::Silent, Silent::Park) => {
                    let why = format!(
                        "`{}` does not send: its `where` says no, or it is from before it began",
                        need.flow
                    );
                    park(connection, &waiter, &why, at).await?;
                    next.push((waiter.feed, vec![Key(waiter.key).whole().0]));
                }
                (Standing::Failed(why), _) => {
                    park(connection, &waiter, why, at).await?;
                    next.push((waiter.feed, vec![Key(waiter.key).whole().0]));
                }
            }
        }
    }
    Ok(())
}

async fn waiters(connection: &mut SqliteConnection, feed: &str, keys: &[String]) -> sqlx::Result<Vec<Waiter>> {
    let rows = sqlx::query(
        "SELECT w.flow, w.key, w.feed, w.need_flow, w.need_target, w.need_key, r.key IS NOT NULL, r.id, \
         EXISTS (SELECT 1 FROM outbox o WHERE o.flow = w.need_flow AND o.key = w.need_key AND o.state = 'ready') \
         OR EXISTS (SELECT 1 FROM outbox o WHERE o.target = w.need_target AND o.feed = w.need_feed \
         AND o.key = w.need_key AND o.state = 'sending'), \
         p.id IS NOT NULL, p.unsure, p.reason, i.id IS NOT NULL, i.parked, \
         EXISTS (SELECT 1 FROM waits n WHERE n.flow = w.need_flow AND n.key = w.need_key) \
         FROM waits w \
         LEFT JOIN refs r ON r.target = w.need_target AND r.feed = w.need_feed AND r.key = w.need_key \
         LEFT JOIN outbox p ON p.flow = w.need_flow AND p.key = w.need_key AND p.state = 'parked' \
         LEFT JOIN inbox i ON i.feed = w.need_feed AND i.key = w.need_whole \
         WHERE w.need_feed = ?1 AND w.need_whole IN (SELECT value FROM json_each(?2)) ORDER BY w.at, w.flow, w.key",
    )
    .bind(feed)
    .bind(json!(keys).to_string())
    .fetch_all(connection)
    .await?;
    let waiter = |row: &sqlx::sqlite::SqliteRow| Waiter {
        flow: row.get(0),
        key: row.get(1),
        feed: row.get(2),
        need: Need {
            flow: row.get(3),
            feed: feed.to_owned(),
            target: row.get(4),
            key: Key(row.get(5)),
        },
        standing: standing(row),
    };
    Ok(rows.iter().map(waiter).collect())
}

fn standing(row: &sqlx::sqlite::SqliteRow) -> Standing {
    let (need_flow, need_target): (&str, &str) = (row.get(3), row.get(4));
    let (is_there, id): (bool, Option<&str>) = (row.get(6), row.get(7));
    let (queued, parked): (bool, bool) = (row.get(8), row.get(9));
    // A version whose call went unanswered waits for a person, and newer ones behind it.
    let unsure = parked && row.get::<Option<bool>, _>(10).unwrap_or(false);
    let (listed, unread): (bool, Option<&str>) = (row.get(12), row.get(13));
    if id.is_some() {
        return Standing::There;
    }
    if queued && !unsure || listed && unread.is_none() {
        return Standing::Coming;
    }
    if parked {
        let reason: Option<&str> = row.get(11);
        // Whole: what is removed for a person's sake is found by whole words.
        let reason = reason.unwrap_or_default();
        return Standing::Failed(format!("`{need_flow}` could not deliver: {reason}"));
    }
    if is_there {
        let why =
            format!("is at {need_target} under an id that is not known: its `create` or `find` has to tell the `id`");
        return Standing::Failed(why);
    }
    match unread {
        Some("gone") => Standing::Failed("is no longer at its source".to_owned()),
        Some(reason) => Standing::Failed(format!("could not be read: {reason}")),
        None if row.get(14) => Standing::Coming,
        None => Standing::Silent,
    }
}

/// One record less to wait for. With the last one the record is read again, because what it was is not kept.
async fn arrived(connection: &mut SqliteConnection, waiter: &Waiter, at: Stamp) -> sqlx::Result<()> {
    let again: Option<bool> = sqlx::query_scalar(
        "DELETE FROM waits WHERE flow = ?1 AND key = ?2 AND need_flow = ?3 AND need_key = ?4 RETURNING again",
    )
    .bind(&waiter.flow)
    .bind(&waiter.key)
    .bind(&waiter.need.flow)
    .bind(&waiter.need.key.0)
    .fetch_optional(&mut *connection)
    .await?;
    let left: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM waits WHERE flow = ?1 AND key = ?2)")
        .bind(&waiter.flow)
        .bind(&waiter.key)
        .fetch_one(&mut *connection)
        .await?;
    match again.filter(|_| !left) {
        Some(again) => wake(connection, &waiter.flow, &waiter.key, &waiter.feed, again, at).await,
        None => Ok(()),
    }
}

async fn wake(
    connection: &mut SqliteConnection,
    flow: &str,
    key: &str,
    feed: &str,
    again: bool,
    at: Stamp,
) -> sqlx::Result<()> {
    let whole = Key(key.to_owned()).whole();
    // With the row that led to it, or the next pass would take that row for news.
    let sql = format!(
        "INSERT INTO inbox (feed, key, row_hash, urgency, again, due_at, since, at) VALUES (?1, ?3, \
         coalesce((SELECT row_hash FROM links WHERE flow = ?2 AND key = ?3), 0), 0, iif(?5, ',' || ?2 || ',', ''), \
         ?4, ?4, ?4) {}",
        super::inbox::AGAIN
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(feed)
        .bind(flow)
        .bind(&whole.0)
        .bind(at)
        .bind(again)
        .execute(connection)
        .await?;
    Ok(())
}

/// Nobody has asked for it yet. It is read for the flow that delivers it, however old it is.
async fn ask(connection: &mut SqliteConnection, need: &Need, at: Stamp) -> sqlx::Result<()> {
    let whole = need.key.clone().whole();
    sqlx::query(
        "INSERT INTO inbox (feed, key, row_hash, asked_by, urgency, due_at, since, at) VALUES (?1, ?2, \
         coalesce((SELECT row_hash FROM links WHERE flow = ?3 AND key = ?2), 0), ?3, 0, ?4, ?4, ?4) ON CONFLICT DO NOTHING",
    )
    .bind(&need.feed)
    .bind(&whole.0)
    .bind(&need.flow)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// It is to be read anyway: others wait for it now. What a failed try put off stays put off.
async fn hurry(connection: &mut SqliteConnection, need: &Need, at: Stamp) -> sqlx::Result<()> {
    sqlx::query(
        "UPDATE inbox SET urgency = 0, asked_by = coalesce(asked_by, ?3), at = ?4 \
         WHERE feed = ?1 AND key = ?2 AND parked IS NULL",
    )
    .bind(&need.feed)
    .bind(&need.key.clone().whole().0)
    .bind(&need.flow)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

/// It still waits: when what it waits for arrives after all, it goes on by itself. A version of it that may have
/// been carried out waits for a person already.
async fn park(connection: &mut SqliteConnection, waiter: &Waiter, why: &str, at: Stamp) -> sqlx::Result<()> {
    let reason = format!(
        "waits for {}, which {why}. Once that is at the target this record goes on by itself; see to that one, or \
         change this record",
        waiter.need
    );
    sqlx::query(
        "INSERT INTO outbox (flow, key, body, hash, state, attempts, reason, at) VALUES (?1, ?2, '', 0, 'parked', 1, ?3, ?4) \
         ON CONFLICT (flow, key) WHERE state = 'parked' DO UPDATE SET body = '', hash = 0, attempts = outbox.attempts + 1, \
         reason = ?3, answer = NULL, discarded = 0, at = ?4 WHERE outbox.reason IS NOT ?3 AND outbox.unsure = 0",
    )
    .bind(&waiter.flow)
    .bind(&waiter.key)
    .bind(reason)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
