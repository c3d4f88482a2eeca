//! The state file. The only place with SQL; each public method is one whole transaction and returns
//! plain values, so none can span a network call.

mod batches;
mod care;
mod cursors;
mod failures;
mod inbox;
mod keep;
mod outbox;
mod report;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use contract::Stamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::{Mutex, MutexGuard};

pub use batches::{Batch, BatchState, NewBatch};
pub use cursors::{Backfill, Coverage};
pub use failures::{Failure, Place};
pub use inbox::Waiting;
pub use keep::{Keep, Link, LinkRow, Note, Parked, Ring, Settle, Unread, Want};
pub use outbox::Ready;
pub use report::{FlowReport, Queue};

/// The first SQLite without the race that can corrupt a WAL file with two writing connections.
const SQLITE_LEAST: (u32, u32, u32) = (3, 51, 3);
/// Marks the file as ours: "SLXS".
const APPLICATION_ID: i64 = 0x534c_5853;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[derive(Debug)]
pub struct Store {
    connection: Mutex<SqliteConnection>,
    care: Option<care::Care>,
    path: PathBuf,
    /// Counts how often this state met a target that was ahead of it.
    epoch: AtomicI64,
}

impl Store {
    /// Opens the state for writing, making it where there is none. One process at a time holds it.
    pub async fn open(path: &Path) -> anyhow::Result<Store> {
        let care = care::Care::take(path)?;
        let existed = path.metadata().is_ok_and(|file| file.len() > 0);
        let mut connection = connect(path, false).await.with_context(|| cannot_use(path))?;
        check_version(&mut connection).await?;
        let generation = if existed {
            care::inspect(&mut connection, path).await?
        } else {
            None
        };
        care.verify(path, generation)?;
        check_owner(&mut connection, path).await?;
        MIGRATIONS
            .run(&mut connection)
            .await
            .map_err(|error| migration_error(path, error))?;
        sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")))
            .execute(&mut connection)
            .await?;
        let epoch = memory_of(&mut connection, "", "epoch")
            .await?
            .and_then(|text| text.parse().ok())
            .unwrap_or(0);
        if !existed {
            tracing::info!(path = %path.display(), "made a new state file");
        }
        Ok(Store {
            connection: Mutex::new(connection),
            care: Some(care),
            path: path.to_owned(),
            epoch: AtomicI64::new(epoch),
        })
    }

    /// Opens the state for looking at it, beside whoever writes it. `None` when there is none yet.
    pub async fn look(path: &Path) -> anyhow::Result<Option<Store>> {
        if !path.exists() {
            return Ok(None);
        }
        let mut connection = connect(path, true).await.with_context(|| cannot_use(path))?;
        check_owner(&mut connection, path).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'journal'")
            .fetch_one(&mut connection)
            .await
            .with_context(|| cannot_use(path))?;
        if tables == 0 {
            return Ok(None);
        }
        Ok(Some(Store {
            connection: Mutex::new(connection),
            care: None,
            path: path.to_owned(),
            epoch: AtomicI64::new(0),
        }))
    }

    /// A copy that a dry run may scribble on: the state as it is, in memory.
    pub async fn scratch(path: &Path) -> anyhow::Result<Store> {
        let folder = tempfile::tempdir().context("making a folder for the dry run's copy of the state")?;
        let copy = folder.keep().join("scratch.db");
        if let Some(store) = Store::look(path).await? {
            sqlx::query("VACUUM INTO ?")
                .bind(copy.to_string_lossy().as_ref())
                .execute(&mut *store.locked().await)
                .await?;
        }
        Store::open(&copy).await
    }

    /// Writes everything into the one file and seals it. Without this, the next start recovers.
    pub async fn close(self) -> anyhow::Result<()> {
        let Store {
            connection, care, path, ..
        } = self;
        let mut connection = connection.into_inner();
        let Some(care) = care else {
            return Ok(connection.close().await?);
        };
        let generation = format!("{:016x}", fastrand::u64(..));
        put_memory(&mut connection, "", "generation", &generation).await?;
        sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
            .execute(&mut connection)
            .await?;
        connection.close().await?;
        care.seal(&path, &generation)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn epoch(&self) -> i64 {
        self.epoch.load(Ordering::Relaxed)
    }

    async fn locked(&self) -> MutexGuard<'_, SqliteConnection> {
        self.connection.lock().await
    }

    /// Before a transaction: the file must still be the one that was opened.
    async fn writing(&self) -> anyhow::Result<MutexGuard<'_, SqliteConnection>> {
        if let Some(care) = &self.care {
            care.still_there(&self.path)?;
        }
        Ok(self.locked().await)
    }

    pub async fn memory(&self, owner: &str, name: &str) -> anyhow::Result<Option<String>> {
        memory_of(&mut *self.locked().await, owner, name).await
    }

    pub async fn memories(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let rows = sqlx::query_as("SELECT owner, name, value FROM memory")
            .fetch_all(&mut *self.locked().await)
            .await?;
        Ok(rows)
    }

    pub async fn put_memory(&self, owner: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        put_memory(&mut connection, owner, name, value)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// Tells what a person can do about an error of the state file.
    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let text = format!("{error:#}");
        let path = self.path.display();
        if text.contains("database or disk is full") || text.contains("code: 13") {
            if let Some(care) = &self.care {
                care.give_way(&self.path);
            }
            return error.context(format!(
                "the disk with the state file {path} is full; nothing that was recorded is lost: free some space and run it again"
            ));
        }
        if text.contains("readonly") {
            return error.context(format!(
                "the state file {path} cannot be written; check its owner and mode"
            ));
        }
        if text.contains("malformed") || text.contains("not a database") {
            return error.context(damaged(&self.path));
        }
        error.context(format!("using the state file {path}"))
    }
}

fn cannot_use(path: &Path) -> String {
    format!("opening the state file {}", path.display())
}

fn damaged(path: &Path) -> String {
    format!(
        "the state file {0} is damaged, and nothing is written to it; move it away (and {0}-wal with it) or put a backup \
         in its place: files that are already in the target's folder are recognised and not sent again",
        path.display()
    )
}

async fn connect(path: &Path, read_only: bool) -> sqlx::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new().filename(path);
    let options = if read_only {
        options.read_only(true)
    } else {
        options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged record must survive a power cut, not only a crash.
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", "67108864")
            .pragma("secure_delete", "ON")
    };
    options
        .busy_timeout(Duration::from_secs(5))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .statement_cache_capacity(64)
        .disable_statement_logging()
        .connect()
        .await
}

async fn check_version(connection: &mut SqliteConnection) -> anyhow::Result<()> {
    let version: String = sqlx::query_scalar("SELECT sqlite_version()")
        .fetch_one(connection)
        .await?;
    let mut parts = version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    let found = (next(), next(), next());
    anyhow::ensure!(
        found >= SQLITE_LEAST,
        "this program was built with SQLite {version}, which can damage its file; 3.51.3 is the least"
    );
    Ok(())
}

async fn check_owner(connection: &mut SqliteConnection, path: &Path) -> anyhow::Result<()> {
    let row =
        sqlx::query("SELECT (SELECT count(*) FROM sqlite_schema), (SELECT application_id FROM pragma_application_id)")
            .fetch_one(connection)
            .await
            .map_err(|error| anyhow::Error::from(error).context(damaged(path)))?;
    let (tables, id): (i64, i64) = (row.get(0), row.get(1));
    anyhow::ensure!(
        tables == 0 || id == APPLICATION_ID,
        "{} is a SQLite file of some other program; set state.path to another place",
        path.display()
    );
    Ok(())
}

fn migration_error(path: &Path, error: sqlx::migrate::MigrateError) -> anyhow::Error {
    let message = match &error {
        sqlx::migrate::MigrateError::VersionMissing(_) | sqlx::migrate::MigrateError::VersionTooNew(..) => format!(
            "the state file {} was written by a newer selorax-sync; use that version, nothing was changed",
            path.display()
        ),
        _ => format!("bringing the state file {} up to date", path.display()),
    };
    anyhow::Error::from(error).context(message)
}

async fn memory_of(connection: &mut SqliteConnection, owner: &str, name: &str) -> anyhow::Result<Option<String>> {
    let value = sqlx::query_scalar("SELECT value FROM memory WHERE owner = ? AND name = ?")
        .bind(owner)
        .bind(name);
    Ok(value.fetch_optional(connection).await?)
}

async fn put_memory(connection: &mut SqliteConnection, owner: &str, name: &str, value: &str) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO memory VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3 WHERE value <> ?3")
        .bind(owner)
        .bind(name)
        .bind(value)
        .execute(connection)
        .await?;
    Ok(())
}

pub(crate) fn now() -> Stamp {
    jiff::Timestamp::now().as_millisecond()
}
