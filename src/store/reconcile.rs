//! What a target is known to hold, laid beside what it lists; and what it turned out not to hold, put to be sent
//! again. What was forgotten and what is to be sent instead are one transaction.

use contract::{Hash, Key, Stamp};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection};

use super::{Course, Store, Want};

/// A record that a flow sent to a target and did not cancel there.
#[derive(Clone, Debug)]
pub struct Sent {
    pub key: Key,
    /// The target's own id; `None`: it was never told.
    pub id: Option<Key>,
    /// Of what it was given last.
    pub hash: Hash,
    /// When that was.
    pub at: Stamp,
    pub stand: Stand,
}

/// Whether something of a record is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    Rests,
    /// A newer version waits, or a call may still be carried out.
    Waits,
    Parked,
}

/// Whose record a listed id is, as far as the state knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Of the flow, and not cancelled.
    Own,
    /// Cancelled, or of another flow.
    Other,
    Nobodys,
}

/// What is to be done about a record that is not at the target as it should be.
#[derive(Clone, Debug)]
pub struct Mend {
    /// As it was when it was looked at: one that changed meanwhile is left alone.
    pub sent: Sent,
    pub want: Want,
    pub how: Remedy,
}

#[derive(Clone, Debug)]
pub enum Remedy {
    /// It is not there.
    Create {
        /// Goes into the keys of its creates from now on.
        generation: String,
        /// Where the target can be searched: the key of the create, and the looks that found nothing already. It is
        /// looked for as often as after an unanswered create, and sent then.
        search: Option<(String, u32)>,
    },
    /// It is there with another content.
    Update,
    /// It is there under this id; `update`: it is given its content too.
    Adopt { id: Key, update: bool },
}

const COLUMNS: &str = "SELECT r.key, r.id, r.hash, r.at, CASE WHEN r.settles_at > ?4 \
     OR EXISTS (SELECT 1 FROM outbox o WHERE o.flow = r.flow AND o.key = r.key AND o.state = 'ready') \
     OR EXISTS (SELECT 1 FROM outbox o WHERE o.target = r.target AND o.feed = r.feed AND o.key = r.key AND o.state = 'sending') \
     OR EXISTS (SELECT 1 FROM waits w WHERE w.flow = r.flow AND w.key = r.key) THEN 1 \
     WHEN EXISTS (SELECT 1 FROM outbox o WHERE o.flow = r.flow AND o.key = r.key AND o.state = 'parked' AND o.discarded = 0) \
     THEN 2 ELSE 0 END FROM refs r WHERE r.target = ?2 AND r.feed = ?3 AND r.flow = ?1 AND r.cancelled = 0";

impl Store {
    /// How many records the target should hold of the flow.
    pub async fn sent_count(&self, course: &Course<'_>) -> anyhow::Result<u64> {
        let count: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM refs WHERE target = ?2 AND feed = ?3 AND flow = ?1 AND cancelled = 0",
        )
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .fetch_one(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(u64::try_from(count)?)
    }

    /// Some of them, in the order of their keys, behind this one.
    pub async fn sent_after(&self, course: &Course<'_>, after: &Key, most: usize) -> anyhow::Result<Vec<Sent>> {
        let sql = format!("{COLUMNS} AND r.key > ?5 ORDER BY r.key LIMIT ?6");
        let most = i64::try_from(most)?;
        self.sent(course, sql, &after.0, most).await
    }

    /// Those of these keys.
    pub async fn sent_of(&self, course: &Course<'_>, keys: &[Key]) -> anyhow::Result<Vec<Sent>> {
        let keys: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let sql = format!("{COLUMNS} AND r.key IN (SELECT value FROM json_each(?5)) ORDER BY r.key LIMIT ?6");
        self.sent(course, sql, &json!(keys).to_string(), i64::MAX).await
    }

    async fn sent(&self, course: &Course<'_>, sql: String, bound: &str, most: i64) -> anyhow::Result<Vec<Sent>> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(course.flow)
            .bind(course.target)
            .bind(course.feed)
            .bind(self.now())
            .bind(bound)
            .bind(most)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        let sent = |row: sqlx::sqlite::SqliteRow| Sent {
            key: Key(row.get(0)),
            id: row.get::<Option<String>, _>(1).map(Key),
            hash: Hash(row.get(2)),
            at: row.get(3),
            stand: match row.get::<i64, _>(4) {
                0 => Stand::Rests,
                1 => Stand::Waits,
                _ => Stand::Parked,
            },
        };
        Ok(rows.into_iter().map(sent).collect())
    }

    /// Forgets what the target of a flow listed. The ids are in a file of the database's own that ends with the
    /// process, so they take no memory and leave nothing behind.
    pub async fn clear_listed(&self, flow: &str) -> anyhow::Result<()> {
        let mut connection = self.locked().await;
        let cleared = async {
            sqlx::query(
                "CREATE TEMP TABLE IF NOT EXISTS listed (flow TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (flow, id)) \
                 STRICT, WITHOUT ROWID",
            )
            .execute(&mut *connection)
            .await?;
            sqlx::query("DELETE FROM listed WHERE flow = ?")
                .bind(flow)
                .execute(&mut *connection)
                .await
        };
        cleared.await.map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    /// Answers with how many of the ids were not listed before.
    pub async fn put_listed(&self, flow: &str, ids: &[Key]) -> anyhow::Result<u64> {
        let ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        let done = sqlx::query("INSERT OR IGNORE INTO listed SELECT ?1, value FROM json_each(?2)")
            .bind(flow)
            .bind(json!(ids).to_string())
            .execute(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(done.rows_affected())
    }

    /// Those of the ids that are listed.
    pub async fn listed_of(&self, flow: &str, ids: &[&Key]) -> anyhow::Result<Vec<Key>> {
        let ids: Vec<&str> = ids.iter().map(|id| id.0.as_str()).collect();
        let ids: Vec<String> =
            sqlx::query_scalar("SELECT id FROM listed WHERE flow = ?1 AND id IN (SELECT value FROM json_each(?2))")
                .bind(flow)
                .bind(json!(ids).to_string())
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok(ids.into_iter().map(Key).collect())
    }

    /// Whether a record that was sent before then is not listed.
    pub async fn is_any_unlisted(&self, course: &Course<'_>, before: Stamp) -> anyhow::Result<bool> {
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM refs r WHERE r.target = ?2 AND r.feed = ?3 AND r.flow = ?1 AND r.cancelled = 0 \
             AND r.at < ?4 AND r.id IS NOT NULL \
             AND NOT EXISTS (SELECT 1 FROM listed l WHERE l.flow = ?1 AND l.id = r.id) LIMIT 1",
        )
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .bind(before)
        .fetch_optional(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(found.is_some())
    }

    /// Some of what is listed, in the order of the ids, behind this one.
    pub async fn listed_after(
        &self,
        course: &Course<'_>,
        after: &Key,
        most: usize,
    ) -> anyhow::Result<Vec<(Key, Whose)>> {
        let rows: Vec<(String, Option<i64>)> = sqlx::query_as(
            "SELECT l.id, (SELECT max(r.flow = ?1 AND r.feed = ?3 AND r.cancelled = 0) FROM refs r \
             WHERE r.target = ?2 AND r.id = l.id) FROM listed l WHERE l.flow = ?1 AND l.id > ?4 ORDER BY l.id LIMIT ?5",
        )
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .bind(&after.0)
        .bind(i64::try_from(most)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let whose = |of: Option<i64>| match of {
            None => Whose::Nobodys,
            Some(0) => Whose::Other,
            Some(_) => Whose::Own,
        };
        Ok(rows.into_iter().map(|(id, of)| (Key(id), whose(of))).collect())
    }

    /// Puts what is not there as it should be to be sent. Answers with how many; the others changed meanwhile.
    pub async fn mend(&self, course: &Course<'_>, mends: &[Mend]) -> anyhow::Result<u64> {
        let mut connection = self.writing().await?;
        let mended = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let mut count = 0;
            for mend in mends {
                count += u64::from(mend_one(&mut transaction, course, mend, self.now()).await?);
            }
            transaction.commit().await?;
            Ok(count)
        };
        mended.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

async fn mend_one(
    connection: &mut SqliteConnection,
    course: &Course<'_>,
    mend: &Mend,
    at: Stamp,
) -> sqlx::Result<bool> {
    const OF: &str = "target = ?1 AND feed = ?2 AND key = ?3";
    let still: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
        "SELECT 1 FROM refs WHERE {OF} AND flow = ?4 AND hash = ?5 AND at = ?6 AND cancelled = 0 AND NOT EXISTS \
         (SELECT 1 FROM outbox o WHERE o.flow = ?4 AND o.key = ?3 AND o.discarded = 0)"
    )))
    .bind(course.target)
    .bind(course.feed)
    .bind(&mend.sent.key.0)
    .bind(course.flow)
    .bind(mend.sent.hash.0)
    .bind(mend.sent.at)
    .fetch_optional(&mut *connection)
    .await?;
    if still.is_none() {
        return Ok(false);
    }
    let (change, bound) = match &mend.how {
        Remedy::Create { generation, .. } => {
            sqlx::query(
                "INSERT INTO lost VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET generation = excluded.generation",
            )
            .bind(course.target)
            .bind(course.feed)
            .bind(&mend.sent.key.0)
            .bind(generation)
            .execute(&mut *connection)
            .await?;
            ("DELETE FROM refs WHERE", "")
        }
        Remedy::Adopt { id, .. } => ("UPDATE refs SET id = ?4 WHERE", id.0.as_str()),
        Remedy::Update => ("UPDATE refs SET id = id WHERE", ""),
    };
    sqlx::query(sqlx::AssertSqlSafe(format!("{change} {OF} AND ?4 = ?4")))
        .bind(course.target)
        .bind(course.feed)
        .bind(&mend.sent.key.0)
        .bind(bound)
        .execute(&mut *connection)
        .await?;
    if matches!(mend.how, Remedy::Adopt { update: false, .. }) {
        return Ok(true);
    }
    super::keep::put_wants(&mut *connection, std::slice::from_ref(&mend.want), at).await?;
    sqlx::query("UPDATE links SET want_hash = ?3 WHERE flow = ?1 AND key = ?2")
        .bind(course.flow)
        .bind(&mend.sent.key.0)
        .bind(mend.want.hash.0)
        .execute(&mut *connection)
        .await?;
    if let Remedy::Create {
        search: Some((idempotency, looked)),
        ..
    } = &mend.how
    {
        sqlx::query(
            "UPDATE outbox SET state = 'sending', unsure = 1, call = 'create', target = ?1, feed = ?2, idem = ?5, \
             looked = ?6 WHERE flow = ?4 AND key = ?3 AND state = 'ready'",
        )
        .bind(course.target)
        .bind(course.feed)
        .bind(&mend.sent.key.0)
        .bind(course.flow)
        .bind(idempotency)
        .bind(looked)
        .execute(&mut *connection)
        .await?;
    }
    Ok(true)
}
