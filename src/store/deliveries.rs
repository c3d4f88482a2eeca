//! What was delivered lately, for people: files that were published and calls that were done, in the order in which
//! they were.

use contract::{Key, Stamp};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::Store;

/// As much is told at once of either kind.
const AT_ONCE: i64 = 500;

/// One file, or one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub at: Stamp,
    pub flow: String,
    /// The file's name; or what was done there, and under which id the target has it.
    pub what: String,
    /// The records in it, in the order of its rows; none of a file from before keys were kept.
    pub keys: Vec<Key>,
}

/// How far deliveries have come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    files: i64,
    calls: i64,
}

impl Store {
    pub async fn delivery_mark(&self) -> anyhow::Result<Mark> {
        let row = sqlx::query(
            "SELECT (SELECT coalesce(max(published), 0) FROM batches), (SELECT coalesce(max(n), 0) FROM deliveries)",
        )
        .fetch_one(&mut *self.locked().await)
        .await
        .map_err(|error| self.explain(error.into()))?;
        Ok(Mark {
            files: row.get(0),
            calls: row.get(1),
        })
    }

    /// What came after the mark, oldest first, and the mark behind it.
    pub async fn delivered_after(&self, flow: Option<&str>, mark: Mark) -> anyhow::Result<(Vec<Delivered>, Mark)> {
        let after = async {
            let mut connection = self.locked().await;
            let files = sqlx::query(
                "SELECT published, at, flow, name, keys FROM batches WHERE published > ?2 AND flow = coalesce(?1, flow) \
                 ORDER BY published LIMIT ?3",
            );
            let calls = sqlx::query(
                "SELECT n, at, flow, key, call, id FROM deliveries WHERE n > ?2 AND flow = coalesce(?1, flow) ORDER BY n LIMIT ?3",
            );
            let files = files.bind(flow).bind(mark.files).bind(AT_ONCE);
            let files = files.fetch_all(&mut *connection).await?;
            let calls = calls.bind(flow).bind(mark.calls).bind(AT_ONCE);
            let calls = calls.fetch_all(&mut *connection).await?;
            Ok((files, calls))
        };
        let (files, calls) = after.await.map_err(|error: sqlx::Error| self.explain(error.into()))?;
        let behind = |rows: &[SqliteRow], before: i64| rows.last().map_or(before, |row| row.get(0));
        let mark = Mark {
            files: behind(&files, mark.files),
            calls: behind(&calls, mark.calls),
        };
        Ok((in_order(&files, &calls), mark))
    }

    /// The latest up to the mark, oldest first, at most so many.
    pub async fn delivered_lately(&self, flow: Option<&str>, upto: Mark, most: u32) -> anyhow::Result<Vec<Delivered>> {
        let lately = async {
            let mut connection = self.locked().await;
            latest(&mut connection, flow, upto, most).await
        };
        lately.await.map_err(|error: sqlx::Error| self.explain(error.into()))
    }
}

async fn latest(
    connection: &mut SqliteConnection,
    flow: Option<&str>,
    upto: Mark,
    most: u32,
) -> sqlx::Result<Vec<Delivered>> {
    let files = sqlx::query(
        "SELECT published, at, flow, name, keys FROM batches WHERE published <= ?2 AND flow = coalesce(?1, flow) \
         ORDER BY published DESC LIMIT ?3",
    );
    let files = files.bind(flow).bind(upto.files).bind(most);
    let mut files = files.fetch_all(&mut *connection).await?;
    let calls = sqlx::query(
        "SELECT n, at, flow, key, call, id FROM deliveries WHERE n <= ?2 AND flow = coalesce(?1, flow) ORDER BY n DESC LIMIT ?3",
    );
    let calls = calls.bind(flow).bind(upto.calls).bind(most);
    let mut calls = calls.fetch_all(&mut *connection).await?;
    files.reverse();
    calls.reverse();
    let mut all = in_order(&files, &calls);
    let over = all.len().saturating_sub(most as usize);
    all.drain(..over);
    Ok(all)
}

/// Both kinds together, by time; each is in its own order already.
fn in_order(files: &[SqliteRow], calls: &[SqliteRow]) -> Vec<Delivered> {
    let mut all: Vec<Delivered> = files.iter().map(file).chain(calls.iter().map(call)).collect();
    all.sort_by_key(|delivered| delivered.at);
    all
}

fn file(row: &SqliteRow) -> Delivered {
    let keys: Option<String> = row.get(4);
    let keys: Vec<String> = keys
        .and_then(|keys| serde_json::from_str(&keys).ok())
        .unwrap_or_default();
    Delivered {
        at: row.get(1),
        flow: row.get(2),
        what: row.get(3),
        keys: keys.into_iter().map(Key).collect(),
    }
}

fn call(row: &SqliteRow) -> Delivered {
    let word = match row.get::<&str, _>(4) {
        "create" => "created",
        "update" => "updated",
        _ => "cancelled",
    };
    let id: Option<String> = row.get(5);
    Delivered {
        at: row.get(1),
        flow: row.get(2),
        what: id.map_or_else(|| word.to_owned(), |id| format!("{word} {id}")),
        keys: vec![Key(row.get(3))],
    }
}
