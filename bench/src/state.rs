//! One row that says how far the reading came. Every move of it is on the disk before the next page.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};

pub(crate) struct State(SqliteConnection);

impl State {
    pub(crate) async fn open(path: &Path) -> sqlx::Result<State> {
        let mut connection = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .disable_statement_logging()
            .connect()
            .await?;
        connection
            .execute("CREATE TABLE cursor (id INTEGER PRIMARY KEY, page INTEGER NOT NULL, seen INTEGER NOT NULL)")
            .await?;
        connection.execute("INSERT INTO cursor VALUES (1, 0, 0)").await?;
        Ok(State(connection))
    }

    pub(crate) async fn moved(&mut self, page: usize, seen: usize) -> sqlx::Result<()> {
        let mut transaction = self.0.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query("UPDATE cursor SET page = ?, seen = ? WHERE id = 1")
            .bind(i64::try_from(page).unwrap_or(i64::MAX))
            .bind(i64::try_from(seen).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }
}
