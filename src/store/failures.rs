//! What waits for a person: records that cannot be read, mapped or delivered.

use contract::{Key, Stamp};
use sqlx::{Connection, Row, SqliteConnection};

use super::Store;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It could not be read; `place` is the feed.
    Read,
    /// It could not be mapped or delivered; `place` is the flow.
    Deliver,
}

#[derive(Clone, Debug)]
pub struct Failure {
    pub id: i64,
    pub stage: Place,
    pub place: String,
    pub key: String,
    pub reason: String,
    pub answer: Option<String>,
    pub body: Option<String>,
    pub attempts: i64,
    pub since: Stamp,
    pub at: Stamp,
    /// The last call as it went, secrets masked.
    pub request: Option<String>,
}

impl Store {
    pub async fn failures(&self) -> anyhow::Result<Vec<Failure>> {
        self.failures_after(None, 0, u32::MAX).await
    }

    /// Those with a greater id, by id, at most so many. `of`: only those of a flow, with the feed that it reads.
    pub async fn failures_after(
        &self,
        of: Option<(&str, &str)>,
        after: i64,
        most: u32,
    ) -> anyhow::Result<Vec<Failure>> {
        let (flow, feed) = of.unzip();
        let rows = sqlx::query(
            "SELECT id, place, stage, key, reason, answer, body, attempts, since, at, request FROM failures \
             WHERE id > ?1 AND (?2 IS NULL OR (stage = 'deliver' AND place = ?2) OR (stage = 'read' AND place = ?3)) \
             ORDER BY id LIMIT ?4",
        )
        .bind(after)
        .bind(flow)
        .bind(feed)
        .bind(most)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(rows.iter().map(failure).collect())
    }

    pub async fn failure(&self, id: i64) -> anyhow::Result<Option<Failure>> {
        let found = self.failures_after(None, id.saturating_sub(1), 1).await?;
        Ok(found.into_iter().find(|failure| failure.id == id))
    }

    /// Brings a failure back: a reading is due again; a version with a body is ready again, one that could
    /// not be mapped is read again from `feed`.
    pub async fn retry(&self, failure: &Failure, feed: &str) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let at = self.now();
        let query = match (failure.stage, &failure.body) {
            (Place::Read, _) => sqlx::query(
                "UPDATE inbox SET parked = NULL, attempts = 0, missing = 0, urgency = 0, due_at = ?2 WHERE id = ?1",
            )
            .bind(failure.id / 2)
            .bind(at),
            // A newer version that waits already overtakes it.
            // One that may have been carried out is sent again as it was, before any newer one.
            (Place::Deliver, Some(_)) => sqlx::query(
                "UPDATE OR REPLACE outbox SET state = iif(unsure, 'sending', 'ready'), looked = iif(unsure, 2, 0), wire = 0, \
                 attempts = 0, due_at = 0 WHERE id = ?1 AND state = 'parked' AND (unsure OR NOT EXISTS \
                 (SELECT 1 FROM outbox o WHERE o.flow = outbox.flow AND o.key = outbox.key AND o.state = 'ready'))",
            )
            .bind(failure.id / 2),
            (Place::Deliver, None) => sqlx::query(
                // With the row that led to it, or the next pass would take that row for news.
                "INSERT INTO inbox (feed, key, row_hash, urgency, due_at, since, at) VALUES (?1, ?2, \
                 coalesce((SELECT row_hash FROM links WHERE flow = ?4 AND key = ?2), 0), 0, ?3, ?3, ?3) \
                 ON CONFLICT DO UPDATE SET urgency = 0, due_at = ?3, parked = NULL, attempts = 0",
            )
            .bind(feed)
            .bind(Key(failure.key.clone()).whole().0)
            .bind(at)
            .bind(&failure.place),
        };
        let retried = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            if failure.stage == Place::Deliver {
                read_anew(&mut transaction, failure, at).await?;
            }
            query.execute(&mut *transaction).await?;
            transaction.commit().await
        };
        retried.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Puts a failure out of sight until its record changes. Of one that may have been carried out the person says
    /// that it was: the target has it then, under an id that is not known.
    pub async fn discard(&self, failure: &Failure) -> anyhow::Result<()> {
        let statements: &[&str] = match failure.stage {
            Place::Read => &["UPDATE inbox SET discarded = 1 WHERE id = ?1"],
            Place::Deliver => &[
                "INSERT INTO refs (target, feed, key, hash, flow, stamp, cancelled, at) SELECT target, feed, key, hash, flow, \
                 stamp, act = 'cancel', ?2 FROM outbox WHERE id = ?1 AND unsure = 1 AND target IS NOT NULL \
                 ON CONFLICT DO UPDATE SET hash = excluded.hash, flow = excluded.flow, stamp = excluded.stamp, \
                 cancelled = excluded.cancelled, at = excluded.at",
                "DELETE FROM outbox WHERE id = ?1 AND unsure = 1",
                // It does not go on when what it waited for arrives: only a change of its own brings it back.
                "DELETE FROM waits WHERE (flow, key) = (SELECT flow, key FROM outbox WHERE id = ?1 AND body = '')",
                "UPDATE outbox SET discarded = 1 WHERE id = ?1",
            ],
        };
        let mut connection = self.writing().await?;
        let discarded = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            if failure.stage == Place::Deliver {
                read_anew(&mut transaction, failure, self.now()).await?;
            }
            for statement in statements {
                sqlx::query(*statement)
                    .bind(failure.id / 2)
                    .bind(self.now())
                    .execute(&mut *transaction)
                    .await?;
            }
            transaction.commit().await
        };
        discarded.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Mapping failures of a flow whose mapping has changed since: their keys.
    pub async fn parked_by_older_mapping(&self, flow: &str, mapping: i64) -> anyhow::Result<Vec<Failure>> {
        let keys: Vec<(i64, String)> = sqlx::query_as(
            "SELECT o.id, o.key FROM outbox o JOIN links l ON l.flow = o.flow AND l.key = o.key \
             WHERE o.flow = ?1 AND o.state = 'parked' AND o.body = '' AND o.discarded = 0 AND l.mapping <> ?2",
        )
        .bind(flow)
        .bind(mapping)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let failure = |(id, key)| Failure {
            id: id * 2 + 1,
            stage: Place::Deliver,
            place: flow.to_owned(),
            key,
            reason: String::new(),
            answer: None,
            body: None,
            attempts: 0,
            since: 0,
            at: 0,
            request: None,
        };
        Ok(keys.into_iter().map(failure).collect())
    }
}

fn failure(row: &sqlx::sqlite::SqliteRow) -> Failure {
    Failure {
        id: row.get(0),
        place: row.get(1),
        stage: match row.get::<&str, _>(2) {
            "read" => Place::Read,
            _ => Place::Deliver,
        },
        key: row.get(3),
        reason: row.get::<Option<String>, _>(4).unwrap_or_default(),
        answer: row.get(5),
        body: row.get::<Option<String>, _>(6).filter(|body| !body.is_empty()),
        attempts: row.get(7),
        since: row.get(8),
        at: row.get(9),
        request: row.get(10),
    }
}

/// Behind one that may have been carried out there may be a newer state that could not be sent: it is looked at again.
async fn read_anew(connection: &mut SqliteConnection, failure: &Failure, at: Stamp) -> sqlx::Result<()> {
    sqlx::query(
        "INSERT INTO inbox (feed, key, row_hash, urgency, due_at, since, at) SELECT o.feed, ?2, coalesce((SELECT row_hash \
         FROM links WHERE flow = o.flow AND key = ?2), 0), 0, ?3, ?3, ?3 FROM outbox o WHERE o.id = ?1 AND o.state = 'parked' \
         AND o.unsure = 1 AND o.feed IS NOT NULL ON CONFLICT DO UPDATE SET urgency = 0, due_at = ?3, parked = NULL, attempts = 0",
    )
    .bind(failure.id / 2)
    .bind(Key(failure.key.clone()).whole().0)
    .bind(at)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
