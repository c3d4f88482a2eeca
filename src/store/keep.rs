//! T1: what a page or a read brought, and the cursor that may move over it, in one transaction.

use std::collections::BTreeMap;

use contract::{Cursor, Hash, Key, Stamp, Use};
use sqlx::{Connection, QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{Aim, Confirmed, Coverage, Sale, Scan, Sighting, Store, Wait};

/// How many rows a statement may carry; well below SQLite's limit of bound values. Few different sizes, so
/// that each is prepared once, and the largest is a whole page.
const CHUNKS: [usize; 5] = [250, 100, 25, 5, 1];

/// The rows in pieces of these sizes, the largest first.
fn chunks<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let size = CHUNKS.into_iter().find(|size| *size <= rows.len())?;
        let (chunk, rest) = rows.split_at(size);
        rows = rest;
        Some(chunk)
    })
}

/// One unit of facts. Everything in it is stored, or nothing is.
#[derive(Debug, Default)]
pub struct Keep {
    pub links: Vec<Link>,
    pub wants: Vec<Want>,
    pub parked: Vec<Parked>,
    /// Records that a flow could map: an earlier failure to do so is over.
    pub cleared: Vec<(String, Key)>,
    pub ring: Vec<Ring>,
    pub unread: Vec<Unread>,
    /// Inbox rows that are done with.
    pub read: Vec<Read>,
    /// What records of flows that require others wait for; such a record is here also where it waits for nothing.
    pub waits: Vec<Wait>,
    pub notes: Vec<Note>,
    /// Stock figures that the source showed, and orders that take from the stock.
    pub figures: Vec<Sighting>,
    pub sales: Vec<Sale>,
    /// By whose levels the orders of a flow are counted.
    pub counted_by: BTreeMap<String, Vec<String>>,
    /// What was sold up to then is known.
    pub scanned: Option<Scan>,
    /// Flows of figures whose changes were read to the end: what was not shown is what it was.
    pub confirmed: Vec<Confirmed>,
    /// Records that are known to be no longer there: flow and key.
    pub gone: Vec<(String, Key)>,
    /// A sweep saw these, for all flows of `Swept::flows`.
    pub swept: Option<Swept>,
    pub cursors: Vec<Settle>,
    /// Flows whose whole history was walked.
    pub walked: Vec<String>,
    /// These rows of a file are what is kept here.
    pub applied: Option<super::AppliedRows>,
}

/// What one page of a sweep saw.
#[derive(Clone, Debug)]
pub struct Swept {
    pub sweep: i64,
    pub flows: Vec<String>,
    pub keys: Vec<Key>,
}

/// What a flow now knows of a record.
#[derive(Clone, Debug)]
pub struct Link {
    pub flow: String,
    pub key: Key,
    pub stamp: Option<Stamp>,
    pub row_hash: Hash,
    pub mapping: Hash,
    /// What was last decided to be sent; `None`: nothing was ever.
    pub want_hash: Option<Hash>,
}

/// A link as it is stored.
#[derive(Clone, Debug)]
pub struct LinkRow {
    pub link: Link,
    /// It was last touched before the state was found to be behind its target.
    pub doubtful: bool,
    /// It is no longer at its source, as far as is known.
    pub gone: bool,
}

/// A version to be delivered. Takes the place of one that is still waiting.
#[derive(Clone, Debug)]
pub struct Want {
    pub flow: String,
    pub key: Key,
    pub wish: Aim,
    /// The source's time of change.
    pub stamp: Option<Stamp>,
    /// The mapped rows as a JSON list.
    pub body: String,
    /// Of the body; of a cancellation one that all have.
    pub hash: Hash,
    /// What was last decided to be sent before it.
    pub before: Option<Hash>,
    pub doubt: bool,
    /// Nothing was ever decided on this record, so that nothing of it can be waiting or parked.
    pub first: bool,
}

/// A record whose mapping failed for a flow.
#[derive(Clone, Debug)]
pub struct Parked {
    pub flow: String,
    pub key: Key,
    pub reason: String,
}

/// A wish to read a record by its key.
#[derive(Clone, Debug)]
pub struct Ring {
    pub feed: String,
    pub key: Key,
    pub row_hash: Hash,
    pub stamp: Option<Stamp>,
    /// The flow whose history a person asked for.
    pub asked_by: Option<String>,
    pub urgency: Use,
    pub due_at: Stamp,
}

/// How the state writes an urgency down: the smaller, the sooner.
pub(super) fn urgency(purpose: Use) -> i64 {
    match purpose {
        Use::Ring => 0,
        Use::Stock | Use::Feed => 1,
        Use::History => 2,
    }
}

/// A reading that was made. One that an event asked for meanwhile is made once more.
#[derive(Clone, Debug)]
pub struct Read {
    pub feed: String,
    pub key: Key,
    /// How many events had asked for it when it began; `None`: it was read from a list, and what waits is not for that.
    pub rings: Option<i64>,
}

/// A record that cannot be read, and why.
#[derive(Clone, Debug)]
pub struct Unread {
    pub feed: String,
    pub key: Key,
    pub row_hash: Hash,
    /// As in `Read`.
    pub rings: Option<i64>,
    pub reason: String,
    pub answer: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Note {
    pub flow: String,
    pub key: Option<Key>,
    pub what: &'static str,
    pub detail: String,
}

/// A cursor that may move now that the rows behind it are stored.
#[derive(Clone, Debug)]
pub struct Settle {
    pub flow: String,
    pub run: String,
    pub position: Cursor,
    pub covered: Coverage,
    pub done: bool,
}

impl Keep {
    /// The records that were read by their key, or could not be.
    fn looked_at(&self) -> Vec<(&str, &Key)> {
        let read = self.read.iter().map(|read| (read.feed.as_str(), &read.key));
        let unread = self.unread.iter().map(|unread| (unread.feed.as_str(), &unread.key));
        read.chain(unread).collect()
    }
}

impl Store {
    pub async fn keep(&self, keep: &Keep) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let stored = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let at = self.now();
            clear(&mut transaction, &keep.cleared).await?;
            put_wants(&mut transaction, &keep.wants, at).await?;
            put_parked(&mut transaction, &keep.parked, at).await?;
            put_links(&mut transaction, &keep.links, self.epoch()).await?;
            put_rings(&mut transaction, &keep.ring, at).await?;
            put_unread(&mut transaction, &keep.unread, at).await?;
            put_read(&mut transaction, &keep.read).await?;
            super::waits::put_waits(&mut transaction, &keep.waits, &keep.looked_at(), at).await?;
            super::sweeps::put_gone(&mut transaction, &keep.gone, at).await?;
            super::sold::put_sold(&mut transaction, keep, at).await?;
            if let Some(swept) = &keep.swept {
                super::sweeps::put_swept(&mut transaction, swept).await?;
            }
            super::report::put_notes(&mut transaction, &keep.notes, at).await?;
            if let Some(applied) = &keep.applied {
                super::dropped::put_applied(&mut transaction, applied).await?;
            }
            for settle in &keep.cursors {
                super::cursors::settle(&mut transaction, settle, at).await?;
            }
            for flow in &keep.walked {
                super::cursors::end_walks(&mut transaction, flow).await?;
            }
            transaction.commit().await
        };
        stored.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// The links of a flow for some keys.
    pub async fn links(&self, flow: &str, keys: &[&Key]) -> anyhow::Result<Vec<LinkRow>> {
        let keys: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let keys = serde_json::to_string(&keys)?;
        let query = sqlx::query(
            "SELECT key, stamp, row_hash, mapping, want_hash, epoch, gone_at IS NOT NULL FROM links \
             WHERE flow = ?1 AND key IN (SELECT value FROM json_each(?2))",
        );
        let rows = query.bind(flow).bind(keys).fetch_all(&mut *self.locked().await).await;
        Ok(self.link_rows(flow, rows.map_err(|error| self.explain(error.into()))?))
    }

    /// The links of a flow for all parts of a record, those that are gone included.
    pub async fn links_of_parts(&self, flow: &str, whole: &Key) -> anyhow::Result<Vec<LinkRow>> {
        let query = sqlx::query(
            "SELECT key, stamp, row_hash, mapping, want_hash, epoch, gone_at IS NOT NULL FROM links \
             WHERE flow = ?1 AND key > ?2 || ':' AND key < ?2 || ';'",
        );
        let rows = query
            .bind(flow)
            .bind(&whole.0)
            .fetch_all(&mut *self.locked().await)
            .await;
        Ok(self.link_rows(flow, rows.map_err(|error| self.explain(error.into()))?))
    }

    fn link_rows(&self, flow: &str, rows: Vec<sqlx::sqlite::SqliteRow>) -> Vec<LinkRow> {
        let link = |row: sqlx::sqlite::SqliteRow| LinkRow {
            link: Link {
                flow: flow.to_owned(),
                key: Key(row.get(0)),
                stamp: row.get(1),
                row_hash: Hash(row.get(2)),
                mapping: Hash(row.get(3)),
                want_hash: row.get::<Option<i64>, _>(4).map(Hash),
            },
            doubtful: row.get::<i64, _>(5) < self.epoch(),
            gone: row.get(6),
        };
        rows.into_iter().map(link).collect()
    }
}

async fn put_links(connection: &mut SqliteConnection, links: &[Link], epoch: i64) -> sqlx::Result<()> {
    for chunk in chunks(links) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO links (flow, key, stamp, row_hash, mapping, want_hash, epoch) ");
        query.push_values(chunk, |mut row, link| {
            row.push_bind(&link.flow)
                .push_bind(&link.key.0)
                .push_bind(link.stamp)
                .push_bind(link.row_hash.0)
                .push_bind(link.mapping.0)
                .push_bind(link.want_hash.map(|hash| hash.0))
                .push_bind(epoch);
        });
        query.push(
            " ON CONFLICT (flow, key) DO UPDATE SET stamp = excluded.stamp, row_hash = excluded.row_hash, \
             mapping = excluded.mapping, want_hash = excluded.want_hash, epoch = excluded.epoch, gone_at = NULL",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

async fn clear(connection: &mut SqliteConnection, cleared: &[(String, Key)]) -> sqlx::Result<()> {
    let mut by_flow: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (flow, key) in cleared {
        by_flow.entry(flow).or_default().push(&key.0);
    }
    for (flow, keys) in by_flow {
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        sqlx::query(
            "DELETE FROM outbox WHERE flow = ?1 AND state = 'parked' AND body = '' \
             AND key IN (SELECT value FROM json_each(?2))",
        )
        .bind(flow)
        .bind(keys)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A waiting version gives way to the newer one; one that is being sent is left alone. Where the record
/// is back at what was sent last, nothing needs to be sent. A parked version is overtaken.
pub(super) async fn put_wants(connection: &mut SqliteConnection, wants: &[Want], at: Stamp) -> sqlx::Result<()> {
    for chunk in chunks(wants) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO outbox (flow, key, body, hash, before, doubt, state, act, stamp, at) ");
        query.push_values(chunk, |mut row, want| {
            row.push_bind(&want.flow)
                .push_bind(&want.key.0)
                .push_bind(&want.body)
                .push_bind(want.hash.0)
                .push_bind(want.before.map(|hash| hash.0))
                .push_bind(want.doubt)
                .push_bind("ready")
                .push_bind(want.wish.word())
                .push_bind(want.stamp)
                .push_bind(at);
        });
        query.push(
            " ON CONFLICT (flow, key) WHERE state = 'ready' DO UPDATE SET body = excluded.body, hash = excluded.hash, \
             doubt = outbox.doubt OR excluded.doubt, attempts = 0, at = excluded.at, act = excluded.act, \
             stamp = excluded.stamp, due_at = 0, \
             before = iif(excluded.before IS NULL, NULL, outbox.before)",
        );
        query.build().execute(&mut *connection).await?;
    }
    let mut by_flow: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for want in wants.iter().filter(|want| !want.first) {
        by_flow.entry(&want.flow).or_default().push(&want.key.0);
    }
    for (flow, keys) in by_flow {
        let keys = serde_json::to_string(&keys).unwrap_or_default();
        // What was parked was not carried out: the new version follows what went before that.
        sqlx::query(
            "UPDATE outbox SET before = parked.before FROM outbox parked WHERE outbox.flow = ?1 \
             AND outbox.key IN (SELECT value FROM json_each(?2)) AND outbox.state = 'ready' AND outbox.before IS NOT NULL \
             AND parked.flow = ?1 AND parked.key = outbox.key AND parked.state = 'parked' AND parked.body <> '' \
             AND parked.unsure = 0",
        )
        .bind(flow)
        .bind(&keys)
        .execute(&mut *connection)
        .await?;
        // One statement a state, because each has an index of its own. What may have been carried out all the
        // same waits for a person, and the new version behind it.
        for what in ["state = 'ready' AND hash = before", "state = 'parked' AND unsure = 0"] {
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "DELETE FROM outbox WHERE flow = ?1 AND key IN (SELECT value FROM json_each(?2)) AND {what}"
            )))
            .bind(flow)
            .bind(&keys)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}

/// What stands between the reasons of a version that may have been carried out and of the newer one behind it.
const BESIDES: &str = "; and what the record is by now cannot be sent: ";

/// One that may have been carried out stays what it is: a person has to look after that first.
pub(super) async fn put_parked(connection: &mut SqliteConnection, parked: &[Parked], at: Stamp) -> sqlx::Result<()> {
    for parked in parked {
        sqlx::query(
            "INSERT INTO outbox (flow, key, body, hash, state, attempts, reason, at) VALUES (?1, ?2, '', 0, 'parked', 1, ?3, ?4) \
             ON CONFLICT (flow, key) WHERE state = 'parked' DO UPDATE SET \
             body = iif(outbox.unsure, outbox.body, ''), hash = iif(outbox.unsure, outbox.hash, 0), \
             answer = iif(outbox.unsure, outbox.answer, NULL), attempts = outbox.attempts + 1, discarded = 0, at = ?4, \
             reason = iif(outbox.unsure, iif(instr(outbox.reason, ?5), substr(outbox.reason, 1, instr(outbox.reason, ?5) - 1), \
             outbox.reason) || ?5 || ?3, ?3)",
        )
        .bind(&parked.flow)
        .bind(&parked.key.0)
        .bind(&parked.reason)
        .bind(at)
        .bind(BESIDES)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}

/// A ring for a row that is parked in the same form changes nothing: only news brings it back. One for a row
/// that waits in the same form changes only who asked.
async fn put_rings(connection: &mut SqliteConnection, rings: &[Ring], at: Stamp) -> sqlx::Result<()> {
    for chunk in chunks(rings) {
        let mut query: QueryBuilder<Sqlite> =
            QueryBuilder::new("INSERT INTO inbox (feed, key, row_hash, stamp, asked_by, urgency, due_at, since, at) ");
        query.push_values(chunk, |mut row, ring| {
            row.push_bind(&ring.feed)
                .push_bind(&ring.key.0)
                .push_bind(ring.row_hash.0)
                .push_bind(ring.stamp)
                .push_bind(&ring.asked_by)
                .push_bind(urgency(ring.urgency))
                .push_bind(ring.due_at)
                .push_bind(at)
                .push_bind(at);
        });
        query.push(
            " ON CONFLICT (feed, key) DO UPDATE SET \
             due_at = iif(inbox.row_hash = excluded.row_hash, inbox.due_at, excluded.due_at), \
             attempts = iif(inbox.row_hash = excluded.row_hash, inbox.attempts, 0), \
             missing = iif(inbox.row_hash = excluded.row_hash, inbox.missing, 0), \
             row_hash = excluded.row_hash, stamp = excluded.stamp, parked = NULL, answer = NULL, discarded = 0, \
             at = excluded.at, asked_by = coalesce(excluded.asked_by, inbox.asked_by), \
             urgency = iif(inbox.parked IS NULL, min(inbox.urgency, excluded.urgency), excluded.urgency) \
             WHERE inbox.row_hash <> excluded.row_hash OR (inbox.parked IS NULL \
             AND (excluded.asked_by IS NOT NULL OR excluded.urgency < inbox.urgency))",
        );
        query.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// What was read from a list settles only what is parked: an event that waits is newer than the list.
async fn put_read(connection: &mut SqliteConnection, read: &[Read]) -> sqlx::Result<()> {
    for read in read {
        let done = sqlx::query(
            "DELETE FROM inbox WHERE feed = ?1 AND key = ?2 AND (rings = ?3 OR ?3 IS NULL AND parked IS NOT NULL)",
        )
        .bind(&read.feed)
        .bind(&read.key.0)
        .bind(read.rings)
        .execute(&mut *connection)
        .await?;
        if done.rows_affected() == 0 && read.rings.is_some() {
            // What else it waited for was seen to.
            sqlx::query(
                "UPDATE inbox SET row_hash = 0, due_at = ring_due, attempts = 0, missing = 0, asked_by = NULL, again = '', \
                 answer = NULL WHERE feed = ?1 AND key = ?2",
            )
            .bind(&read.feed)
            .bind(&read.key.0)
            .execute(&mut *connection)
            .await?;
        }
    }
    Ok(())
}

async fn put_unread(connection: &mut SqliteConnection, unread: &[Unread], at: Stamp) -> sqlx::Result<()> {
    for row in unread {
        sqlx::query(
            "INSERT INTO inbox (feed, key, row_hash, due_at, attempts, parked, answer, since, at) \
             VALUES (?1, ?2, ?3, ?6, 1, ?4, ?5, ?6, ?6) \
             ON CONFLICT (feed, key) DO UPDATE SET attempts = inbox.attempts + 1, \
             discarded = inbox.discarded AND inbox.row_hash = ?3, row_hash = ?3, parked = ?4, answer = ?5, at = ?6, \
             rung_at = NULL, ring_due = NULL WHERE (inbox.parked IS NOT ?4 OR inbox.row_hash <> ?3) \
             AND iif(?7 IS NULL, inbox.parked IS NOT NULL OR inbox.ring_due IS NULL, inbox.rings = ?7)",
        )
        .bind(&row.feed)
        .bind(&row.key.0)
        .bind(row.row_hash.0)
        .bind(&row.reason)
        .bind(&row.answer)
        .bind(at)
        .bind(row.rings)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
