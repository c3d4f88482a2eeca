//! Files that others drop: what is known of each, and what the one that is taken will change. A file's rows take
//! effect in pieces, each in one transaction with the place from where to go on, so none is ever taken twice.

use std::collections::BTreeSet;

use contract::{Entry, Hash, Key, Stamp};
use sqlx::{Connection, Row, SqliteConnection};

use super::{Aim, Keep, Link, Parked, Store, Want};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    Seen,
    Waiting,
    Held,
    Staged,
    Closing,
    Done,
}

impl FileState {
    fn of(word: &str) -> FileState {
        match word {
            "seen" => FileState::Seen,
            "waiting" => FileState::Waiting,
            "held" => FileState::Held,
            "staged" => FileState::Staged,
            "closing" => FileState::Closing,
            _ => FileState::Done,
        }
    }
}

/// What came of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Applied,
    Same,
    Older,
    Rejected,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Applied => "applied",
            Verdict::Same => "same",
            Verdict::Older => "older",
            Verdict::Rejected => "rejected",
        }
    }

    fn of(word: Option<&str>) -> Option<Verdict> {
        Some(match word? {
            "applied" => Verdict::Applied,
            "same" => Verdict::Same,
            "older" => Verdict::Older,
            _ => Verdict::Rejected,
        })
    }
}

/// A file as it is known.
#[derive(Clone, Debug)]
pub struct Dropped {
    pub id: i64,
    pub entry: Entry,
    pub state: FileState,
    pub seen_at: Stamp,
    pub approved: bool,
    pub verdict: Option<Verdict>,
    pub told: String,
    pub report: String,
    pub away: String,
    pub rows: u64,
    pub changed: u64,
    pub placed: Option<i64>,
}

/// The newest file that took effect.
#[derive(Clone, Debug)]
pub struct LastApplied {
    pub name: String,
    pub placed: i64,
    pub hash: String,
    pub rows: u64,
}

/// What one row will change for one flow.
#[derive(Clone, Debug)]
pub struct StagedRow {
    pub line: u64,
    pub flow: String,
    pub key: Key,
    pub row_hash: Hash,
    pub mapping: Hash,
    pub effect: Effect,
}

#[derive(Clone, Debug)]
pub enum Effect {
    Wanted {
        body: String,
        hash: Hash,
        before: Option<Hash>,
        wish: Aim,
        first: bool,
        doubt: bool,
        level: Option<i64>,
    },
    /// It is what is known already; an earlier failure is over.
    Cleared,
    Failed(String),
}

/// How far a file has taken effect: rows up to this line and flow.
#[derive(Clone, Debug)]
pub struct AppliedRows {
    pub file: i64,
    pub line: u64,
    pub flow: String,
    /// Flow, key and quantity.
    pub levels: Vec<(String, Key, Option<i64>)>,
}

/// A person's word about a file: its name, and whether it is to be refused.
#[derive(Clone, Debug)]
pub struct FileWish {
    pub name: String,
    pub refused: bool,
}

const COLUMNS: &str =
    "id, name, size, modified, state, seen_at, approved, verdict, told, report, away, rows, changed, placed";

fn dropped(row: &sqlx::sqlite::SqliteRow) -> Dropped {
    Dropped {
        id: row.get(0),
        entry: Entry {
            name: row.get(1),
            size: u64::try_from(row.get::<i64, _>(2)).unwrap_or_default(),
            modified: row.get(3),
        },
        state: FileState::of(row.get(4)),
        seen_at: row.get(5),
        approved: row.get(6),
        verdict: Verdict::of(row.get(7)),
        told: row.get(8),
        report: row.get(9),
        away: row.get(10),
        rows: u64::try_from(row.get::<i64, _>(11)).unwrap_or_default(),
        changed: u64::try_from(row.get::<i64, _>(12)).unwrap_or_default(),
        placed: row.get(13),
    }
}

fn count(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

impl Store {
    /// What is known of the files with these names, the latest of each, and of all that are not done with.
    pub async fn dropped(&self, feed: &str, names: &[&str]) -> anyhow::Result<Vec<Dropped>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM dropped WHERE id IN (SELECT (SELECT max(id) FROM dropped d WHERE d.feed = ?1 \
             AND d.name = j.value) FROM json_each(?2) j) OR (feed = ?1 AND state <> 'done') ORDER BY id"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(feed)
            .bind(serde_json::to_string(names)?)
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(rows.iter().map(dropped).collect())
    }

    /// These files are there, and were not, or were otherwise, when they were looked at before.
    pub async fn see_files(&self, feed: &str, entries: &[Entry]) -> anyhow::Result<()> {
        let entries: Vec<(&str, u64, Option<Stamp>)> = entries
            .iter()
            .map(|entry| (entry.name.as_str(), entry.size, entry.modified))
            .collect();
        let json = serde_json::to_string(&entries)?;
        let mut connection = self.writing().await?;
        let at = self.now();
        let seen = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            // What was held is not there any more as it was.
            sqlx::query(
                "DELETE FROM inbox WHERE feed = ?1 AND key IN (SELECT name FROM dropped WHERE feed = ?1 AND state = 'held' \
                 AND name IN (SELECT value ->> 0 FROM json_each(?2)))",
            )
            .bind(feed)
            .bind(&json)
            .execute(&mut *transaction)
            .await?;
            sqlx::query(
                "INSERT INTO dropped (feed, name, size, modified, state, seen_at, at) \
                 SELECT ?1, value ->> 0, value ->> 1, value ->> 2, 'seen', ?3, ?3 FROM json_each(?2) WHERE true \
                 ON CONFLICT (feed, name) WHERE state <> 'done' DO UPDATE SET size = excluded.size, \
                 modified = excluded.modified, state = 'seen', seen_at = excluded.seen_at, approved = 0",
            )
            .bind(feed)
            .bind(&json)
            .bind(at)
            .execute(&mut *transaction)
            .await?;
            transaction.commit().await
        };
        seen.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }

    /// Files that nothing was done with are no longer there.
    pub async fn forget_files(&self, feed: &str, ids: &[i64]) -> anyhow::Result<()> {
        let ids = serde_json::to_string(ids)?;
        self.run(&[
            (
                "DELETE FROM inbox WHERE feed = ?1 AND key IN (SELECT name FROM dropped WHERE state = 'held' AND id IN \
              (SELECT value FROM json_each(?2)))",
                vec![Bind::Text(feed), Bind::Text(&ids)],
            ),
            (
                "DELETE FROM dropped WHERE feed = ?1 AND id IN (SELECT value FROM json_each(?2))",
                vec![Bind::Text(feed), Bind::Text(&ids)],
            ),
        ])
        .await
    }

    /// Numbers in names and times of change are not compared with one another.
    pub async fn last_applied(&self, feed: &str, by_name: bool) -> anyhow::Result<Option<LastApplied>> {
        let row: Option<(String, i64, String, i64)> = sqlx::query_as(
            "SELECT name, placed, hash, rows FROM dropped WHERE feed = ? AND verdict = 'applied' AND by_name = ? AND placed IS NOT NULL \
             AND hash IS NOT NULL ORDER BY placed DESC, id DESC LIMIT 1",
        )
        .bind(feed)
        .bind(by_name)
        .fetch_optional(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(row.map(|(name, placed, hash, rows)| LastApplied {
            name,
            placed,
            hash,
            rows: u64::try_from(rows).unwrap_or_default(),
        }))
    }

    /// The file of this content that took effect.
    pub async fn applied_content(&self, feed: &str, hash: &str) -> anyhow::Result<Option<String>> {
        sqlx::query_scalar("SELECT name FROM dropped WHERE feed = ? AND verdict = 'applied' AND hash = ? LIMIT 1")
            .bind(feed)
            .bind(hash)
            .fetch_optional(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// What persons said about files, and readings that no file can answer.
    pub async fn file_wishes(&self, feed: &str) -> anyhow::Result<Vec<FileWish>> {
        let rows: Vec<(String, i64)> =
            sqlx::query_as("SELECT key, discarded FROM inbox WHERE feed = ? AND (parked IS NULL OR discarded = 1)")
                .bind(feed)
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        let wish = |(name, discarded): (String, i64)| FileWish {
            name,
            refused: discarded != 0,
        };
        Ok(rows.into_iter().map(wish).collect())
    }

    /// A person said that a held file is right as it is.
    pub async fn approve_file(&self, feed: &str, name: &str) -> anyhow::Result<()> {
        let binds = || vec![Bind::Text(feed), Bind::Text(name)];
        self.run(&[
            ("UPDATE dropped SET state = 'seen', approved = 1, seen_at = 0 WHERE feed = ?1 AND name = ?2 AND state = 'held'", binds()),
            ("DELETE FROM inbox WHERE feed = ?1 AND key = ?2", binds()),
        ])
        .await
    }

    /// Nothing can be done about this wish but to take it back.
    pub async fn drop_wish(&self, feed: &str, name: &str) -> anyhow::Result<()> {
        let binds = vec![Bind::Text(feed), Bind::Text(name)];
        self.run(&[("DELETE FROM inbox WHERE feed = ?1 AND key = ?2", binds)])
            .await
    }

    /// A refused file waits in the list of failures, whatever a person wished: it has to be dropped anew.
    pub async fn park_file(&self, feed: &str, name: &str, told: &str) -> anyhow::Result<()> {
        let at = self.now();
        self.run(&[(
            PARK,
            vec![Bind::Text(feed), Bind::Text(name), Bind::Text(told), Bind::Int(at)],
        )])
        .await
    }

    pub async fn wait_file(&self, id: i64, told: &str) -> anyhow::Result<()> {
        let binds = vec![Bind::Int(id), Bind::Text(told)];
        self.run(&[
            (
                "UPDATE dropped SET state = 'waiting', told = ?2 WHERE id = ?1",
                binds.clone(),
            ),
            ("DELETE FROM dropped_rows WHERE file = ?1", binds),
        ])
        .await
    }

    /// A person has to look at it before it takes effect.
    pub async fn hold_file(&self, feed: &str, file: &Dropped, told: &str) -> anyhow::Result<()> {
        let at = self.now();
        let (id, name) = (Bind::Int(file.id), file.entry.name.as_str());
        self.run(&[
            (
                "UPDATE dropped SET state = 'held', told = ?2 WHERE id = ?1",
                vec![id, Bind::Text(told)],
            ),
            ("DELETE FROM dropped_rows WHERE file = ?1", vec![id]),
            (
                PARK,
                vec![Bind::Text(feed), Bind::Text(name), Bind::Text(told), Bind::Int(at)],
            ),
        ])
        .await
    }

    /// All of it was read and nothing speaks against it: from here on it takes effect.
    pub async fn stage_file(
        &self,
        id: i64,
        (placed, by_name): (i64, bool),
        hash: &str,
        rows: u64,
        changed: u64,
    ) -> anyhow::Result<()> {
        let binds = vec![
            Bind::Int(id),
            Bind::Int(placed),
            Bind::Text(hash),
            Bind::Int(count(rows)),
            Bind::Int(count(changed)),
            Bind::Int(i64::from(by_name)),
        ];
        self.run(&[(
            "UPDATE dropped SET state = 'staged', placed = ?2, hash = ?3, rows = ?4, changed = ?5, by_name = ?6 WHERE id = ?1",
            binds,
        )])
        .await
    }

    /// It is to be put away without effect. A refused one waits for a person, too.
    pub async fn close_file(
        &self,
        feed: &str,
        file: &Dropped,
        verdict: Verdict,
        told: &str,
        report: &str,
    ) -> anyhow::Result<()> {
        let (id, at, name) = (Bind::Int(file.id), self.now(), file.entry.name.as_str());
        let mut steps = vec![
            ("DELETE FROM dropped_rows WHERE file = ?1", vec![id]),
            (
                "UPDATE dropped SET state = 'closing', verdict = ?2, told = ?3, report = ?4 WHERE id = ?1",
                vec![id, Bind::Text(verdict.word()), Bind::Text(told), Bind::Text(report)],
            ),
        ];
        if verdict == Verdict::Rejected {
            steps.push((
                PARK,
                vec![Bind::Text(feed), Bind::Text(name), Bind::Text(told), Bind::Int(at)],
            ));
        }
        self.run(&steps).await
    }

    /// All of it took effect. What was refused before it needs nobody any more.
    pub async fn file_applied(&self, feed: &str, id: i64) -> anyhow::Result<()> {
        let binds = vec![Bind::Int(id), Bind::Text(feed)];
        self.run(&[
            (
                "UPDATE dropped SET state = 'closing', verdict = 'applied' WHERE id = ?1 AND feed = ?2",
                binds.clone(),
            ),
            (
                "DELETE FROM inbox WHERE feed = ?2 AND ?1 > 0 AND key IN (SELECT name FROM dropped WHERE feed = ?2 \
              AND verdict = 'rejected' AND state IN ('closing', 'done')) AND key NOT IN (SELECT name FROM dropped \
              WHERE feed = ?2 AND state = 'held')",
                binds,
            ),
        ])
        .await
    }

    pub async fn name_away(&self, id: i64, away: &str) -> anyhow::Result<()> {
        self.run(&[(
            "UPDATE dropped SET away = ?2 WHERE id = ?1",
            vec![Bind::Int(id), Bind::Text(away)],
        )])
        .await
    }

    pub async fn file_done(&self, id: i64) -> anyhow::Result<()> {
        let binds = vec![Bind::Int(id)];
        self.run(&[("UPDATE dropped SET state = 'done', report = '' WHERE id = ?1", binds)])
            .await
    }

    /// Begins to read it, from its beginning.
    pub async fn clear_rows(&self, id: i64) -> anyhow::Result<()> {
        self.run(&[("DELETE FROM dropped_rows WHERE file = ?1", vec![Bind::Int(id)])])
            .await
    }

    pub async fn put_rows(&self, id: i64, rows: &[StagedRow]) -> anyhow::Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        let json: Vec<serde_json::Value> = rows.iter().map(to_json).collect();
        let json = serde_json::to_string(&json)?;
        self.run(&[(
            "INSERT OR IGNORE INTO dropped_rows (file, line, flow, key, row_hash, mapping, body, hash, before, act, first, \
             doubt, level, failed) SELECT ?1, value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, \
             value ->> 6, value ->> 7, value ->> 8, value ->> 9, value ->> 10, value ->> 11, value ->> 12 FROM json_each(?2)",
            vec![Bind::Int(id), Bind::Text(&json)],
        )])
        .await
    }

    /// Takes back what these lines would change; tells the keys.
    pub async fn take_back_rows(&self, id: i64, lines: &[u64]) -> anyhow::Result<Vec<(u64, Key)>> {
        let taken: Vec<(i64, String)> = sqlx::query_as(
            "DELETE FROM dropped_rows WHERE file = ?1 AND line IN (SELECT value FROM json_each(?2)) RETURNING line, key",
        )
        .bind(id)
        .bind(serde_json::to_string(lines)?)
        .fetch_all(&mut *self.writing().await?)
        .await
        .map_err(|error| self.explain(error.into()))?;
        // A line is there once for each flow.
        let taken: BTreeSet<(i64, String)> = taken.into_iter().collect();
        Ok(taken
            .into_iter()
            .map(|(line, key)| (u64::try_from(line).unwrap_or_default(), Key(key)))
            .collect())
    }

    pub async fn staged_rows(&self, id: i64, limit: usize) -> anyhow::Result<Vec<StagedRow>> {
        let rows = sqlx::query(
            "SELECT line, flow, key, row_hash, mapping, body, hash, before, act, first, doubt, level, failed FROM dropped_rows \
             WHERE file = ? ORDER BY line, flow LIMIT ?",
        )
        .bind(id)
        .bind(i64::try_from(limit)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(rows.iter().map(staged).collect())
    }

    /// The quantities that were decided on last.
    pub async fn levels(&self, flow: &str, keys: &[&Key]) -> anyhow::Result<Vec<(Key, i64)>> {
        let keys: Vec<&str> = keys.iter().map(|key| key.0.as_str()).collect();
        let rows: Vec<(String, i64)> = sqlx::query_as(
            "SELECT key, level FROM links WHERE flow = ?1 AND level IS NOT NULL AND key IN (SELECT value FROM json_each(?2))",
        )
        .bind(flow)
        .bind(serde_json::to_string(&keys)?)
        .fetch_all(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(rows.into_iter().map(|(key, level)| (Key(key), level)).collect())
    }

    /// Keys behind this one of which there is something.
    pub async fn stocked(&self, flow: &str, after: &str, limit: usize) -> anyhow::Result<Vec<Key>> {
        let keys: Vec<String> =
            sqlx::query_scalar("SELECT key FROM links WHERE flow = ? AND key > ? AND level > 0 ORDER BY key LIMIT ?")
                .bind(flow)
                .bind(after)
                .bind(i64::try_from(limit)?)
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok(keys.into_iter().map(Key).collect())
    }

    /// The records of a flow that could not be read or mapped.
    pub async fn unmapped(&self, flow: &str) -> anyhow::Result<Vec<Key>> {
        let keys: Vec<String> =
            sqlx::query_scalar("SELECT key FROM outbox WHERE flow = ? AND state = 'parked' AND body = ''")
                .bind(flow)
                .fetch_all(&mut *self.locked().await)
                .await
                .map_err(|error| self.explain(error.into()))?;
        Ok(keys.into_iter().map(Key).collect())
    }

    /// A few statements as one transaction.
    async fn run(&self, steps: &[(&'static str, Vec<Bind<'_>>)]) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        let ran = async {
            let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
            for (sql, binds) in steps {
                let mut query = sqlx::query(*sql);
                for bind in binds {
                    query = match bind {
                        Bind::Int(int) => query.bind(*int),
                        Bind::Text(text) => query.bind(*text),
                    };
                }
                query.execute(&mut *transaction).await?;
            }
            transaction.commit().await
        };
        ran.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

#[derive(Clone, Copy)]
enum Bind<'a> {
    Int(i64),
    Text(&'a str),
}

/// Files wait for a person where records that cannot be read do.
const PARK: &str = "INSERT INTO inbox (feed, key, row_hash, due_at, attempts, parked, since, at) VALUES (?1, ?2, 0, ?4, 1, ?3, ?4, ?4) \
     ON CONFLICT (feed, key) DO UPDATE SET parked = excluded.parked, discarded = 0, attempts = inbox.attempts + 1, at = excluded.at";

fn to_json(row: &StagedRow) -> serde_json::Value {
    let head = (row.line, &row.flow, &row.key.0, row.row_hash.0, row.mapping.0);
    match &row.effect {
        Effect::Wanted {
            body,
            hash,
            before,
            wish,
            first,
            doubt,
            level,
        } => serde_json::json!([
            head.0,
            head.1,
            head.2,
            head.3,
            head.4,
            body,
            hash.0,
            before.map(|hash| hash.0),
            wish.word(),
            i64::from(*first),
            i64::from(*doubt),
            level,
            null
        ]),
        Effect::Cleared => serde_json::json!([
            head.0, head.1, head.2, head.3, head.4, null, null, null, "put", 0, 0, null, null
        ]),
        Effect::Failed(why) => {
            serde_json::json!([
                head.0, head.1, head.2, head.3, head.4, null, null, null, "put", 0, 0, null, why
            ])
        }
    }
}

fn staged(row: &sqlx::sqlite::SqliteRow) -> StagedRow {
    let effect = match (row.get::<Option<String>, _>(5), row.get::<Option<String>, _>(12)) {
        (_, Some(why)) => Effect::Failed(why),
        (None, None) => Effect::Cleared,
        (Some(body), None) => Effect::Wanted {
            body,
            hash: Hash(row.get::<Option<i64>, _>(6).unwrap_or_default()),
            before: row.get::<Option<i64>, _>(7).map(Hash),
            wish: match row.get::<&str, _>(8) {
                "cancel" => Aim::Cancel,
                _ => Aim::Put,
            },
            first: row.get(9),
            doubt: row.get(10),
            level: row.get(11),
        },
    };
    StagedRow {
        line: u64::try_from(row.get::<i64, _>(0)).unwrap_or_default(),
        flow: row.get(1),
        key: Key(row.get(2)),
        row_hash: Hash(row.get(3)),
        mapping: Hash(row.get(4)),
        effect,
    }
}

impl Keep {
    /// These rows of a file take effect.
    pub fn of_rows(file: i64, stamp: Option<Stamp>, rows: Vec<StagedRow>) -> Option<Keep> {
        let last = rows.last()?;
        let mut applied = AppliedRows {
            file,
            line: last.line,
            flow: last.flow.clone(),
            levels: Vec::new(),
        };
        let mut keep = Keep::default();
        for StagedRow {
            flow,
            key,
            row_hash,
            mapping,
            effect,
            ..
        } in rows
        {
            match effect {
                Effect::Failed(reason) => keep.parked.push(Parked { flow, key, reason }),
                Effect::Cleared => keep.cleared.push((flow, key)),
                Effect::Wanted {
                    body,
                    hash,
                    before,
                    wish,
                    first,
                    doubt,
                    level,
                } => {
                    keep.cleared.push((flow.clone(), key.clone()));
                    keep.links.push(Link {
                        flow: flow.clone(),
                        key: key.clone(),
                        stamp,
                        row_hash,
                        mapping,
                        want_hash: Some(hash),
                    });
                    applied.levels.push((flow.clone(), key.clone(), level));
                    keep.wants.push(Want {
                        flow,
                        key,
                        wish,
                        stamp,
                        body,
                        hash,
                        before,
                        doubt,
                        first,
                    });
                }
            }
        }
        keep.applied = Some(applied);
        Some(keep)
    }
}

pub(super) async fn put_applied(connection: &mut SqliteConnection, applied: &AppliedRows) -> sqlx::Result<()> {
    let levels: Vec<(&str, &str, Option<i64>)> = applied
        .levels
        .iter()
        .map(|(flow, key, level)| (flow.as_str(), key.0.as_str(), *level))
        .collect();
    sqlx::query(
        "UPDATE links SET level = j.value ->> 2 FROM json_each(?1) j WHERE links.flow = j.value ->> 0 AND links.key = j.value ->> 1",
    )
    .bind(serde_json::to_string(&levels).unwrap_or_default())
    .execute(&mut *connection)
    .await?;
    sqlx::query("DELETE FROM dropped_rows WHERE file = ?1 AND (line, flow) <= (?2, ?3)")
        .bind(applied.file)
        .bind(count(applied.line))
        .bind(&applied.flow)
        .execute(&mut *connection)
        .await?;
    Ok(())
}
