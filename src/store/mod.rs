//! The state file. The only place with SQL; each public method is one whole transaction and returns
//! plain values, so none can span a network call.

mod alerts;
mod backup;
mod batches;
mod care;
mod cursors;
mod events;
mod failures;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod hands;
mod inbox;
mod keep;
mod outbox;
mod privacy;
mod reconcile;
mod records;
mod report;
mod story;
mod sweeps;
mod told;
mod trouble;
mod waits;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::Context;
use contract::{Clock, RealClock, Stamp};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row};
use tokio::sync::{Mutex, MutexGuard};

pub use alerts::Alert;
pub use backup::back_up;
pub use batches::{Batch, BatchState, Delivered, Frozen, NewBatch};
pub use cursors::{Backfill, Coverage};
pub use events::{Arrival, EventReport, Took, Wish};
pub use failures::{Failure, Place};
pub use inbox::{Due, Waiting};
pub use keep::{Keep, Link, LinkRow, Note, Parked, Read, Ring, Settle, Swept, Unread, Want};
pub use outbox::Ready;
pub use privacy::{Holding, Places, Request, Round};
pub use reconcile::{Mend, Remedy, Sent, Stand, Whose};
pub use records::{
    Aim, Call, Claim, Claimed, Course, Doubt, End, Ended, Held, Plan, Recovery, Said, Version, only_row, unanswered,
};
pub use report::{FlowReport, HISTORY_ERROR, Queue};
pub use story::Fact;
pub use sweeps::Sweep;
pub use told::{Standing, Turn, Untold};
pub use trouble::StateError;
use trouble::explain;
pub use waits::{Need, Wait};

/// The first SQLite without the race that can corrupt a WAL file with two writing connections.
const SQLITE_LEAST: (u32, u32, u32) = (3, 51, 3);
/// How long to wait for another program's lock.
const BUSY_MS: u32 = 5_000;
/// Marks the file as ours: "SLXS".
const APPLICATION_ID: i64 = 0x534c_5853;

static MIGRATIONS: sqlx::migrate::Migrator = sqlx::migrate!("./migrations");

#[derive(Debug)]
pub struct Store {
    connection: Mutex<SqliteConnection>,
    care: Option<care::Care>,
    /// Of a dry run: the folder with its copy, gone with it.
    scratch: Option<tempfile::TempDir>,
    path: PathBuf,
    /// Counts how often this state met a target that was ahead of it.
    epoch: AtomicI64,
    clock: Arc<dyn Clock>,
}

impl Store {
    /// Opens the state for writing, making it where there is none. One process at a time holds it.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
        let care = care::Care::take(path)?;
        let existed = path.metadata().is_ok_and(|file| file.len() > 0);
        let (connection, epoch) = Store::ready_connection(path, &care, existed).await?;
        if !existed {
            tracing::info!(path = %path.display(), "made a new state file");
        }
        Ok(Store {
            connection: Mutex::new(connection),
            care: Some(care),
            scratch: None,
            path: path.to_owned(),
            epoch: AtomicI64::new(epoch),
            clock,
        })
    }

    async fn ready_connection(
        path: &Path,
        care: &care::Care,
        existed: bool,
    ) -> anyhow::Result<(SqliteConnection, i64)> {
        let told = |error: anyhow::Error, doing: &str| explain(path, Some(care), error, doing);
        let opened = connect(path, false).await;
        let mut connection = opened.map_err(|error| told(error.into(), &cannot_use(path)))?;
        check_version(&mut connection).await?;
        let generation = if existed {
            let inspected = care::inspect(&mut connection).await;
            inspected.map_err(|error| told(error, &damaged(path)))?
        } else {
            None
        };
        care.verify(path, generation)?;
        check_owner(&mut connection, path).await?;
        // Before there are tables: a start that is killed half-way must know its own file again.
        let marked = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")));
        let marked = marked.execute(&mut connection).await;
        marked.map_err(|error| told(error.into(), &cannot_use(path)))?;
        care.keep_ballast(path);
        // Not `run`: with it the compiler cannot tell that the whole may move between threads.
        let migrated = MIGRATIONS.run_direct(None, &mut connection, false).await;
        migrated.map_err(|error| migration_error(path, care, error))?;
        let epoch = memory_of(&mut connection, "", "epoch");
        let epoch = epoch.await.map_err(|error| told(error, &cannot_use(path)))?;
        let epoch = epoch.and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok((connection, epoch))
    }

    /// Opens the state for looking at it, beside whoever writes it. `None` when there is none yet.
    pub async fn look(path: &Path) -> anyhow::Result<Option<Store>> {
        if !path.exists() {
            return Ok(None);
        }
        let told = |error: sqlx::Error| explain(path, None, error.into(), &cannot_use(path));
        let mut connection = connect(path, true).await.map_err(told)?;
        check_owner(&mut connection, path).await?;
        let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'journal'")
            .fetch_one(&mut connection)
            .await
            .map_err(told)?;
        if tables == 0 {
            return Ok(None);
        }
        // Whoever makes or renews the file just now is given the time for it.
        let mut looks = 0;
        while !is_current(&mut connection).await.map_err(told)? {
            looks += 1;
            anyhow::ensure!(
                looks < 20,
                "the state file {} is of an older selorax-sync; the next start of the daemon, or the next --once, \
                 brings it up to date",
                path.display()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(Some(Store {
            connection: Mutex::new(connection),
            care: None,
            scratch: None,
            path: path.to_owned(),
            epoch: AtomicI64::new(0),
            clock: Arc::new(RealClock::default()),
        }))
    }

    /// A copy that a dry run may scribble on: the state as it is, in memory.
    pub async fn scratch(path: &Path, clock: Arc<dyn Clock>) -> anyhow::Result<Store> {
        let folder = tempfile::tempdir().context("making a folder for the dry run's copy of the state")?;
        let copy = folder.path().join("scratch.db");
        if let Some(store) = Store::look(path).await? {
            sqlx::query("VACUUM INTO ?")
                .bind(copy.to_string_lossy().as_ref())
                .execute(&mut *store.locked().await)
                .await?;
        }
        let mut store = Store::open(&copy, clock).await?;
        store.scratch = Some(folder);
        Ok(store)
    }

    /// Writes everything into the one file and seals it. Without this, the next start recovers.
    pub async fn close(self) -> anyhow::Result<()> {
        let Store {
            connection,
            care,
            scratch: _scratch,
            path,
            ..
        } = self;
        let mut connection = connection.into_inner();
        let Some(care) = care else {
            return Ok(connection.close().await?);
        };
        let generation = format!("{:016x}", fastrand::u64(..));
        let closed = async {
            put_memory(&mut connection, "", "generation", &generation).await?;
            sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
                .execute(&mut connection)
                .await?;
            connection.close().await
        };
        let doing = format!("closing the state file {}", path.display());
        let closed = closed.await;
        closed.map_err(|error| explain(&path, Some(&care), error.into(), &doing))?;
        care.seal(&path, &generation)
    }

    /// Whether this is the copy of a dry run.
    pub fn is_scratch(&self) -> bool {
        self.scratch.is_some()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn now(&self) -> Stamp {
        self.clock.now()
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
        let memory = memory_of(&mut *self.locked().await, owner, name).await;
        memory.map_err(|error| self.explain(error))
    }

    pub async fn memories(&self) -> anyhow::Result<Vec<(String, String, String)>> {
        let rows = sqlx::query_as("SELECT owner, name, value FROM memory")
            .fetch_all(&mut *self.locked().await)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(rows)
    }

    pub async fn put_memory(&self, owner: &str, name: &str, value: &str) -> anyhow::Result<()> {
        let mut connection = self.writing().await?;
        put_memory(&mut connection, owner, name, value)
            .await
            .map_err(|error| self.explain(error.into()))
    }

    /// Forgets what is remembered, if it is still this.
    pub async fn forget(&self, owner: &str, name: &str, value: &str) -> anyhow::Result<()> {
        sqlx::query("DELETE FROM memory WHERE owner = ? AND name = ? AND value = ?")
            .bind(owner)
            .bind(name)
            .bind(value)
            .execute(&mut *self.writing().await?)
            .await
            .map_err(|error| self.explain(error.into()))?;
        Ok(())
    }

    fn explain(&self, error: anyhow::Error) -> anyhow::Error {
        let doing = format!("using the state file {}", self.path.display());
        explain(&self.path, self.care.as_ref(), error, &doing)
    }
}

fn foreign(path: &Path) -> String {
    format!(
        "{} is a SQLite file of some other program; set state.path to another place",
        path.display()
    )
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
        .busy_timeout(Duration::from_millis(u64::from(BUSY_MS)))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .statement_cache_capacity(64)
        .disable_statement_logging()
        .connect()
        .await
}

/// Whether the file has all that this program's migrations give it.
async fn is_current(connection: &mut SqliteConnection) -> sqlx::Result<bool> {
    let tables: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = '_sqlx_migrations'")
        .fetch_one(&mut *connection)
        .await?;
    if tables == 0 {
        return Ok(false);
    }
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations WHERE success")
        .fetch_all(connection)
        .await?;
    Ok(MIGRATIONS.iter().all(|migration| applied.contains(&migration.version)))
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
    anyhow::ensure!(tables == 0 || id == APPLICATION_ID, "{}", foreign(path));
    Ok(())
}

fn migration_error(path: &Path, care: &care::Care, error: sqlx::migrate::MigrateError) -> anyhow::Error {
    use sqlx::migrate::MigrateError::{VersionMissing, VersionTooNew};
    let shown = path.display();
    match &error {
        VersionMissing(_) | VersionTooNew(..) => anyhow::Error::from(error).context(format!(
            "the state file {shown} was written by a newer selorax-sync; use that version, nothing was changed"
        )),
        _ => explain(
            path,
            Some(care),
            error.into(),
            &format!("bringing the state file {shown} up to date"),
        ),
    }
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
