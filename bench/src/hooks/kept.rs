//! The table of events. Whatever waits at the same time is on the disk with one commit, and with as few statements as
//! there can be.

use std::path::Path;

use serde::Serialize;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::sync::{mpsc, oneshot};

/// Events in one transaction, as in the daemon.
const GROUP_MAX: usize = 256;

/// An event's id, its topic and the order it is about.
#[derive(Serialize)]
pub(crate) struct Event(pub(crate) String, pub(crate) String, pub(crate) i64);

/// Told when the event is on the disk.
pub(crate) type Waiting = (Event, oneshot::Sender<()>);

pub(crate) struct Kept(SqliteConnection);

impl Kept {
    pub(crate) async fn open(path: &Path) -> sqlx::Result<Kept> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
            .connect()
            .await?;
        connection
            .execute(
                "CREATE TABLE events (id TEXT NOT NULL, topic TEXT NOT NULL, record INTEGER NOT NULL, \
                 PRIMARY KEY (id, topic)) STRICT, WITHOUT ROWID",
            )
            .await?;
        Ok(Kept(connection))
    }

    /// Keeps what comes until nobody can send any more. After an error nobody is told anything.
    pub(crate) async fn keep(mut self, mut waiting: mpsc::Receiver<Waiting>) -> anyhow::Result<()> {
        let mut group = Vec::new();
        while waiting.recv_many(&mut group, GROUP_MAX).await > 0 {
            let (events, answers): (Vec<Event>, Vec<_>) = group.drain(..).unzip();
            self.put(&events).await?;
            for answer in answers {
                // Who has gone meanwhile sends it again.
                answer.send(()).unwrap_or_default();
            }
        }
        Ok(())
    }

    async fn put(&mut self, events: &[Event]) -> anyhow::Result<()> {
        let rows = serde_json::to_string(events)?;
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(
            "INSERT INTO events (id, topic, record) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) \
             WHERE true ON CONFLICT DO NOTHING",
        )
        .bind(rows)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}
