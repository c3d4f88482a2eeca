//! Calls on their way to targets that take records one by one. What may be on the wire is on disk before it
//! is; what came of it, and what the target now holds, are one transaction.

use contract::{Hash, Key, Stamp, Value};
use serde_json::json;
use sqlx::{Connection, Row, SqliteConnection};

use super::sold::UNKNOWN_SALES;
use super::{Guard, Store, Unbooked};

/// The latest deliveries that `tail` can show.
const DELIVERIES_MAX: i64 = 10_000;
/// So many waiting versions are looked over for those that create nothing.
const LOOKED_OVER: usize = 1_000;

/// Where the versions of a flow go.
#[derive(Clone, Copy, Debug)]
pub struct Course<'a> {
    pub flow: &'a str,
    pub feed: &'a str,
    pub target: &'a str,
    /// Of stock: whose orders are taken off it.
    pub guard: Option<&'a Guard>,
}

/// What is asked of a target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Aim {
    /// To hold the body.
    #[default]
    Put,
    Cancel,
}

impl Aim {
    pub(super) fn word(self) -> &'static str {
        match self {
            Aim::Put => "put",
            Aim::Cancel => "cancel",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    Create,
    Update,
    Cancel,
}

impl Call {
    pub fn word(self) -> &'static str {
        match self {
            Call::Create => "create",
            Call::Update => "update",
            Call::Cancel => "cancel",
        }
    }

    fn of(word: &str) -> Call {
        match word {
            "update" => Call::Update,
            "cancel" => Call::Cancel,
            _ => Call::Create,
        }
    }
}

/// What a target is known to hold of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    pub id: Option<Key>,
    pub hash: Hash,
    pub stamp: Option<Stamp>,
    pub flow: String,
    pub cancelled: bool,
}

/// A version that waits for a target, as it stands.
#[derive(Clone, Debug)]
pub struct Version {
    pub id: i64,
    pub key: Key,
    /// The mapped record.
    pub record: Value,
    pub hash: Hash,
    pub wish: Aim,
    pub stamp: Option<Stamp>,
    /// It was decided although nothing of it changed.
    pub again: bool,
    /// Tries that count against it.
    pub attempts: u32,
    /// The call that went unanswered.
    pub doubt: Option<Doubt>,
    /// What the last call said.
    pub said: Said,
    pub held: Option<Held>,
    /// The target lost it before: what tells the key of its next create from that of the one that is gone.
    pub generation: Option<String>,
    /// Of a stock level: pieces that were sold and that it does not contain, and by which orders.
    pub sold: u64,
    pub sold_in: Vec<Unbooked>,
}

impl Version {
    /// Whether a record may come into being at the target by it.
    pub fn creates(&self) -> bool {
        match &self.doubt {
            Some(doubt) => doubt.call == Call::Create,
            None => self.held.is_none() && self.wish == Aim::Put,
        }
    }
}

/// An unanswered call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub call: Call,
    pub idempotency: String,
    /// Looks since then that found nothing.
    pub looked: u32,
}

/// What is to be done about a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    Send {
        call: Call,
        idempotency: String,
    },
    /// An unanswered create: ask the target whether it has it. Writes nothing.
    Look,
    /// The target can't be told.
    Unsent,
    /// There is nothing to be done.
    Drop,
}

/// A version with what was decided about it. Where it is to be sent, that is on disk.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub version: Version,
    pub plan: Plan,
}

/// What the last call said, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub reason: String,
    pub request: Option<String>,
    pub answer: Option<String>,
}

/// What became of a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The target has it. `settles_at`: until when an unanswered call before this one may still be carried out.
    Done { id: Option<Key>, settles_at: Stamp },
    /// It was not carried out, and is tried again. `counts`: the record may be to blame.
    Back { due_at: Stamp, counts: bool, said: Said },
    /// Nobody knows whether it was carried out.
    Unsure {
        due_at: Stamp,
        looked: u32,
        counts: bool,
        said: Said,
    },
    /// A person has to look. `unsure`: it may have been carried out, so that newer versions wait for the person.
    Parked { unsure: bool, said: Said },
    /// Nothing is to be done about it any more, nor was anything done.
    Dropped,
}

#[derive(Clone, Debug)]
pub struct Ended {
    pub id: i64,
    pub key: Key,
    pub hash: Hash,
    pub stamp: Option<Stamp>,
    pub call: Call,
    pub end: End,
}

/// How the calls are to be taken that an earlier run left on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// When an unanswered create is looked for or sent again; `None`: a person has to look.
    pub create_due: Option<Stamp>,
    /// No deadline that was stored may lie after this: the clock may have been set back meanwhile.
    pub latest: Stamp,
}

/// How many are claimed at most, and which.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    pub most: usize,
    /// How many of them may create a record, or look for one that may have been created.
    pub creates: usize,
    /// Rows that are being worked on.
    pub busy: &'a [i64],
    /// Only what is not in doubt, as in a dry run.
    pub only_sure: bool,
}

/// Held back by an unanswered call of the same record, or by one that waits for a person.
const BLOCKED: &str = "EXISTS (SELECT 1 FROM outbox b WHERE b.target = ?2 AND b.feed = ?3 AND b.key = o.key AND b.id <> o.id \
     AND (b.state = 'sending' OR (b.unsure = 1 AND b.discarded = 0))) \
     OR EXISTS (SELECT 1 FROM refs s WHERE s.target = ?2 AND s.feed = ?3 AND s.key = o.key AND s.settles_at > ?4)";

impl Store {
    /// Calls that an earlier run left on the wire are in doubt. Only for one who has the target's turn.
    pub async fn recover(&self, target: &str, recovery: &Recovery) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let recovered = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            let now = self.now();
            sqlx::query(
                "UPDATE outbox SET wire = 0, unsure = 1, looked = 0, due_at = iif(call = 'create', ?2, ?3) \
                 WHERE target = ?1 AND state = 'sending' AND wire = 1 AND (call <> 'create' OR ?2 IS NOT NULL)",
            )
            .bind(target)
            .bind(recovery.create_due)
            .bind(now)
            .execute(&mut *transaction)
            .await?;
            let left: Vec<(i64, String, String)> =
                sqlx::query_as("SELECT id, feed, key FROM outbox WHERE target = ?1 AND state = 'sending' AND wire = 1")
                    .bind(target)
                    .fetch_all(&mut *transaction)
                    .await?;
            for (id, feed, key) in left {
                let said = Said {
                    reason: unanswered("this program ended before an answer came"),
                    ..Said::default()
                };
                park(&mut transaction, id, true, &said, now).await?;
                super::waits::settled(&mut transaction, &feed, std::iter::once(&Key(key)), now).await?;
            }
            sqlx::query("UPDATE outbox SET due_at = ?2 WHERE target = ?1 AND due_at > ?2")
                .bind(target)
                .bind(recovery.latest)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("UPDATE refs SET settles_at = ?2 WHERE target = ?1 AND settles_at > ?2")
                .bind(target)
                .bind(recovery.latest)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await
        };
        recovered.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// T4 and T3 in one: records what became of these, and claims what is due. What is to be sent is on disk
    /// when this returns. `plan` is pure.
    pub async fn turn_over(
        &self,
        course: &Course<'_>,
        ended: &[Ended],
        claim: &Claim<'_>,
        plan: &(dyn Fn(&Version) -> Plan + Sync),
    ) -> anyhow::Result<Vec<Claimed>> {
        if ended.is_empty() && claim.most == 0 {
            return Ok(Vec::new());
        }
        let mut connection = self.writing().await?;
        let turned = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            settle(&mut transaction, course, ended, self.now()).await?;
            super::sold::booked(&mut transaction, course.flow, super::sold::done(ended), self.now()).await?;
            // What a dry run shows is not there, so nothing is said to those who wait for it.
            if !self.is_scratch() {
                let keys = ended.iter().map(|row| &row.key);
                super::waits::settled(&mut transaction, course.feed, keys, self.now()).await?;
            }
            if course.guard.is_some() && claim.most > 0 {
                super::sold::newest_counts(&mut transaction, course.flow, claim.busy).await?;
            }
            let mut due = match claim.most {
                0 => Vec::new(),
                _ => due(&mut transaction, course, claim, self.now()).await?,
            };
            if let Some(guard) = course.guard {
                super::sold::take_off(&mut transaction, guard, &mut due).await?;
            }
            let claimed = self.planned(&mut transaction, course, due, plan).await?;
            transaction.commit().await?;
            anyhow::Ok(claimed)
        };
        turned.await.map_err(|error| self.explain(error))
    }

    async fn planned(
        &self,
        connection: &mut SqliteConnection,
        course: &Course<'_>,
        due: Vec<(Version, bool)>,
        plan: &(dyn Fn(&Version) -> Plan + Sync),
    ) -> anyhow::Result<Vec<Claimed>> {
        let (mut sent, mut dropped, mut unsent) = (Vec::new(), Vec::new(), Vec::new());
        let (mut over, mut gone) = (Vec::new(), Vec::new());
        let mut claimed = Vec::with_capacity(due.len());
        for (version, whole) in due {
            anyhow::ensure!(whole, "{} (record {})", super::damaged(&self.path), version.key.0);
            let plan = plan(&version);
            if matches!(plan, Plan::Drop | Plan::Unsent) {
                over.push(version.key.clone());
            }
            match &plan {
                Plan::Send { call, idempotency } => sent.push(json!([version.id, call.word(), idempotency])),
                Plan::Look => {}
                Plan::Drop => {
                    gone.push((version.id, version.key.clone()));
                    let same = version.held.as_ref().is_some_and(|held| held.hash == version.hash);
                    dropped.push(json!([version.id, version.key.0, same]));
                }
                Plan::Unsent => unsent.push(json!([version.id, version.key.0])),
            }
            claimed.push(Claimed { version, plan });
        }
        // What the target holds already it has booked.
        let dropped_orders = gone.iter().map(|(id, key)| (*id, key));
        super::sold::booked(connection, course.flow, dropped_orders, self.now()).await?;
        if !sent.is_empty() {
            sqlx::query(
                "UPDATE outbox SET state = 'sending', wire = 1, target = ?2, feed = ?3, call = w.value ->> 1, \
                 idem = w.value ->> 2 FROM json_each(?1) w WHERE outbox.id = w.value ->> 0",
            )
            .bind(json!(sent).to_string())
            .bind(course.target)
            .bind(course.feed)
            .execute(&mut *connection)
            .await?;
        }
        for (rows, change) in [
            (&dropped, "unsent = iif(w.value ->> 2, 0, unsent)"),
            (&unsent, "unsent = unsent + 1"),
        ] {
            if rows.is_empty() {
                continue;
            }
            let rows = json!(rows).to_string();
            sqlx::query(sqlx::AssertSqlSafe(format!(
                "UPDATE refs SET {change} FROM json_each(?1) w \
                 WHERE refs.target = ?2 AND refs.feed = ?3 AND refs.key = w.value ->> 1"
            )))
            .bind(&rows)
            .bind(course.target)
            .bind(course.feed)
            .execute(&mut *connection)
            .await?;
            sqlx::query("DELETE FROM outbox WHERE id IN (SELECT value ->> 0 FROM json_each(?))")
                .bind(&rows)
                .execute(&mut *connection)
                .await?;
        }
        super::waits::settled(connection, course.feed, over.iter(), self.now()).await?;
        Ok(claimed)
    }

    /// When the next version of the flow is due for its target; `None`: none waits for its time.
    pub async fn next_call(&self, course: &Course<'_>) -> anyhow::Result<Option<Stamp>> {
        let now = self.now();
        let mut connection = self.locked().await;
        let due: Option<i64> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "SELECT 1 FROM outbox o WHERE o.flow = ?1 AND o.due_at <= ?4 AND ?5 IS ?6 AND (o.state = 'ready' AND NOT ({BLOCKED}) \
             AND NOT ({UNKNOWN_SALES}) OR o.state = 'sending' AND o.wire = 0 AND o.unsure = 1) LIMIT 1"
        )))
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .bind(now)
        .bind(None::<i64>)
        .bind(None::<i64>)
        .bind(sales_feeds(course))
        .fetch_optional(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))?;
        if due.is_some() {
            return Ok(Some(now));
        }
        sqlx::query_scalar(
            "SELECT min(at) FROM (SELECT min(due_at) AS at FROM outbox WHERE flow = ?1 AND due_at > ?4 AND state <> 'parked' \
             UNION ALL SELECT min(s.settles_at) FROM outbox o JOIN refs s ON s.target = ?2 AND s.feed = ?3 \
             AND s.key = o.key WHERE o.flow = ?1 AND o.state = 'ready' AND s.settles_at > ?4)",
        )
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .bind(now)
        .fetch_one(&mut *connection)
        .await
        .map_err(|error| self.explain(error.into()))
    }

    /// What the target is known to hold of these records.
    pub async fn held(&self, target: &str, feed: &str, keys: &[&Key]) -> anyhow::Result<Vec<(Key, Held)>> {
        let keys: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows = sqlx::query(
            "SELECT key, id, hash, stamp, flow, cancelled FROM refs WHERE target = ?1 AND feed = ?2 \
             AND key IN (SELECT value FROM json_each(?3))",
        )
        .bind(target)
        .bind(feed)
        .bind(json!(keys).to_string())
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        let held = |row: &sqlx::sqlite::SqliteRow| {
            let held = Held {
                id: row.get::<Option<String>, _>(1).map(Key),
                hash: Hash(row.get(2)),
                stamp: row.get(3),
                flow: row.get(4),
                cancelled: row.get(5),
            };
            (Key(row.get(0)), held)
        };
        Ok(rows.iter().map(held).collect())
    }
}

/// The reason of a record that a person has to look after because nobody knows whether it arrived.
pub fn unanswered(what: &str) -> String {
    format!(
        "it may be at the target or not: {what}, and the target can neither be asked (`find`) nor trusted with a key \
         (`idempotency: trusted`). Look there: if it is missing, `failures retry` sends it again; if it is there, \
         `failures discard`"
    )
}

/// The feeds of the orders that a level has to know.
fn sales_feeds(course: &Course<'_>) -> String {
    let feeds = course.guard.map_or(&[][..], |guard| &guard.feeds);
    json!(feeds).to_string()
}

/// Rows in doubt come first: what they wait for holds back newer versions, and a look does no harm to a target
/// that is in trouble.
async fn due(
    connection: &mut SqliteConnection,
    course: &Course<'_>,
    claim: &Claim<'_>,
    now: Stamp,
) -> sqlx::Result<Vec<(Version, bool)>> {
    const COLUMNS: &str = "o.id, o.key, o.body, o.hash, o.act, o.stamp, o.before IS NULL, o.attempts, o.unsure, o.call, o.idem, \
         o.looked, r.id, r.hash, r.stamp, r.flow, r.cancelled, r.key IS NOT NULL, o.reason, o.request, o.answer, \
         lost.generation FROM outbox o \
         LEFT JOIN refs r ON r.target = ?2 AND r.feed = ?3 AND r.key = o.key \
         LEFT JOIN lost ON lost.target = ?2 AND lost.feed = ?3 AND lost.key = o.key";
    let doubtful = format!(
        "SELECT {COLUMNS} WHERE o.flow = ?1 AND o.state = 'sending' AND o.wire = 0 AND o.unsure = 1 AND o.due_at <= ?4 \
         AND ?7 = ?7 AND o.id NOT IN (SELECT value FROM json_each(?6))"
    );
    let ready = format!(
        "SELECT {COLUMNS} WHERE o.flow = ?1 AND o.state = 'ready' AND o.due_at <= ?4 AND ?6 = ?6 AND NOT ({BLOCKED}) \
         AND NOT ({UNKNOWN_SALES})"
    );
    let doubtful = (doubtful, "o.call = 'create'", "o.due_at, o.id");
    let ready = (ready, "r.key IS NULL AND o.act = 'put'", "o.id");
    let mut versions = Vec::new();
    let mut creates = claim.creates;
    for (which, creating, order) in [doubtful, ready].into_iter().skip(usize::from(claim.only_sure)) {
        let left = claim.most - versions.len();
        // Where creates are held back, those that have to wait hide a change behind them only if they are very many.
        let parts = match creates >= left {
            true => vec![(String::new(), left)],
            false => vec![
                (format!("AND {creating}"), creates),
                (
                    format!(
                        "AND NOT ({creating}) AND o.id IN (SELECT id FROM outbox WHERE flow = ?1 AND state IN \
                         ('ready', 'sending') ORDER BY id LIMIT {LOOKED_OVER})"
                    ),
                    left,
                ),
            ],
        };
        for (part, most) in parts {
            let most = most.min(claim.most - versions.len());
            if most > 0 {
                let sql = format!("{which} {part} ORDER BY {order} LIMIT ?5");
                let rows = rows(connection, sql, course, claim, now, most).await?;
                creates -= rows
                    .iter()
                    .filter(|(version, _)| version.creates())
                    .count()
                    .min(creates);
                versions.extend(rows);
            }
        }
    }
    Ok(versions)
}

async fn rows(
    connection: &mut SqliteConnection,
    sql: String,
    course: &Course<'_>,
    claim: &Claim<'_>,
    now: Stamp,
    most: usize,
) -> sqlx::Result<Vec<(Version, bool)>> {
    let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(course.flow)
        .bind(course.target)
        .bind(course.feed)
        .bind(now)
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .bind(json!(claim.busy).to_string())
        // A dry run shows what is known.
        .bind(if claim.only_sure {
            "[]".to_owned()
        } else {
            sales_feeds(course)
        })
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(version).collect())
}

/// The mapped record in a body that holds one.
pub fn only_row(body: &str) -> Option<Value> {
    match Value::parse_own(body) {
        Ok(Value::List(mut rows)) if rows.len() == 1 => rows.pop(),
        _ => None,
    }
}

/// A version, and whether its body is the one that was stored. One that is to be cancelled is known by the wish.
fn version(row: &sqlx::sqlite::SqliteRow) -> (Version, bool) {
    let body: &str = row.get(2);
    let hash = Hash(row.get(3));
    let wish = match row.get::<&str, _>(4) {
        "cancel" => Aim::Cancel,
        _ => Aim::Put,
    };
    let parsed = only_row(body);
    let whole = parsed.is_some() && (wish == Aim::Cancel || Hash::of(body.as_bytes()) == hash);
    let doubt = row.get::<bool, _>(8).then(|| Doubt {
        call: Call::of(row.get::<Option<&str>, _>(9).unwrap_or_default()),
        idempotency: row.get::<Option<String>, _>(10).unwrap_or_default(),
        looked: row.get(11),
    });
    let held = row.get::<bool, _>(17).then(|| Held {
        id: row.get::<Option<String>, _>(12).map(Key),
        hash: Hash(row.get(13)),
        stamp: row.get(14),
        flow: row.get(15),
        cancelled: row.get(16),
    });
    let version = Version {
        id: row.get(0),
        key: Key(row.get(1)),
        record: parsed.unwrap_or_default(),
        hash,
        wish,
        stamp: row.get(5),
        again: row.get(6),
        attempts: row.get(7),
        doubt,
        said: Said {
            reason: row.get::<Option<String>, _>(18).unwrap_or_default(),
            request: row.get(19),
            answer: row.get(20),
        },
        held,
        generation: row.get(21),
        sold: 0,
        sold_in: Vec::new(),
    };
    (version, whole)
}

async fn settle(
    connection: &mut SqliteConnection,
    course: &Course<'_>,
    ended: &[Ended],
    at: Stamp,
) -> sqlx::Result<()> {
    let mut done = Vec::new();
    for row in ended {
        match &row.end {
            End::Done { id, settles_at } => done.push(json!([
                row.id,
                row.key.0,
                id.as_ref().map(|id| &id.0),
                row.hash.0,
                row.stamp,
                row.call.word(),
                settles_at
            ])),
            End::Back { due_at, counts, said } => back(connection, row.id, *due_at, *counts, said).await?,
            End::Unsure {
                due_at,
                looked,
                counts,
                said,
            } => {
                sqlx::query(
                    "UPDATE outbox SET wire = 0, unsure = 1, due_at = ?2, looked = ?3, attempts = attempts + ?4, \
                     reason = coalesce(nullif(?5, ''), reason), request = coalesce(?6, request), \
                     answer = coalesce(?7, answer) WHERE id = ?1",
                )
                .bind(row.id)
                .bind(due_at)
                .bind(looked)
                .bind(counts)
                .bind(&said.reason)
                .bind(&said.request)
                .bind(&said.answer)
                .execute(&mut *connection)
                .await?;
            }
            End::Parked { unsure, said } => park(connection, row.id, *unsure, said, at).await?,
            End::Dropped => {
                sqlx::query("DELETE FROM outbox WHERE id = ?")
                    .bind(row.id)
                    .execute(&mut *connection)
                    .await?;
            }
        }
    }
    if done.is_empty() {
        return Ok(());
    }
    let done = json!(done).to_string();
    sqlx::query(
        "INSERT INTO refs (target, feed, key, id, hash, flow, stamp, cancelled, settles_at, at) \
         SELECT ?2, ?3, d.value ->> 1, d.value ->> 2, d.value ->> 3, ?4, d.value ->> 4, d.value ->> 5 = 'cancel', \
         d.value ->> 6, ?5 FROM json_each(?1) d WHERE true \
         ON CONFLICT DO UPDATE SET id = coalesce(excluded.id, refs.id), hash = excluded.hash, flow = excluded.flow, \
         stamp = excluded.stamp, cancelled = excluded.cancelled, unsent = 0, settles_at = excluded.settles_at, \
         at = excluded.at",
    )
    .bind(&done)
    .bind(course.target)
    .bind(course.feed)
    .bind(course.flow)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "INSERT INTO deliveries (at, flow, key, call, id) \
         SELECT ?2, ?3, d.value ->> 1, d.value ->> 5, d.value ->> 2 FROM json_each(?1) d",
    )
    .bind(&done)
    .bind(at)
    .bind(course.flow)
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM outbox WHERE id IN (SELECT value ->> 0 FROM json_each(?))")
        .bind(&done)
        .execute(&mut *connection)
        .await?;
    sqlx::query("DELETE FROM deliveries WHERE n <= (SELECT max(n) FROM deliveries) - ?")
        .bind(DELIVERIES_MAX)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// It waits again, unless a newer version does already: that one then follows what went before this one. Where
/// the record is back at what went before, nothing is left to be sent.
async fn back(
    connection: &mut SqliteConnection,
    id: i64,
    due_at: Stamp,
    counts: bool,
    said: &Said,
) -> sqlx::Result<()> {
    let newer: Option<i64> = sqlx::query_scalar(
        "UPDATE outbox SET before = iif(before IS NULL, NULL, (SELECT old.before FROM outbox old WHERE old.id = ?1)) \
         WHERE state = 'ready' AND (flow, key) = (SELECT flow, key FROM outbox WHERE id = ?1) RETURNING id",
    )
    .bind(id)
    .fetch_optional(&mut *connection)
    .await?;
    let Some(newer) = newer else {
        sqlx::query(
            "UPDATE outbox SET state = 'ready', wire = 0, unsure = 0, looked = 0, due_at = ?2, attempts = attempts + ?3, \
             reason = coalesce(nullif(?4, ''), reason), request = coalesce(?5, request), answer = coalesce(?6, answer) \
             WHERE id = ?1",
        )
        .bind(id)
        .bind(due_at)
        .bind(counts)
        .bind(&said.reason)
        .bind(&said.request)
        .bind(&said.answer)
        .execute(&mut *connection)
        .await?;
        return Ok(());
    };
    sqlx::query("DELETE FROM outbox WHERE id = ?1 OR (id = ?2 AND hash = before)")
        .bind(id)
        .bind(newer)
        .execute(&mut *connection)
        .await?;
    Ok(())
}

/// What was parked of the same record before is overtaken. So is this one, if a newer version waits and this
/// one was not carried out.
async fn park(connection: &mut SqliteConnection, id: i64, unsure: bool, said: &Said, at: Stamp) -> sqlx::Result<()> {
    if !unsure {
        let newer: Option<i64> = sqlx::query_scalar(
            "SELECT id FROM outbox WHERE state = 'ready' AND (flow, key) = (SELECT flow, key FROM outbox WHERE id = ?1)",
        )
        .bind(id)
        .fetch_optional(&mut *connection)
        .await?;
        if newer.is_some() {
            return back(connection, id, 0, true, said).await;
        }
    }
    sqlx::query(
        "DELETE FROM outbox WHERE state = 'parked' AND id <> ?1 AND (flow, key) = (SELECT flow, key FROM outbox WHERE id = ?1)",
    )
    .bind(id)
    .execute(&mut *connection)
    .await?;
    sqlx::query(
        "UPDATE outbox SET state = 'parked', wire = 0, unsure = ?2, attempts = attempts + 1, reason = ?3, request = ?4, \
         answer = ?5, discarded = 0, at = ?6 WHERE id = ?1",
    )
    .bind(id)
    .bind(unsure)
    .bind(&said.reason)
    .bind(&said.request)
    .bind(&said.answer)
    .bind(at)
    .execute(&mut *connection)
    .await?;
    Ok(())
}
