//! A copy of the state while it is in use, checked before it counts. Never replaces a file that is there.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sqlx::Connection;

use super::{Store, care, connect, put_memory};

/// Copies the state at `from`, as of one moment, to the new file `to`, and answers with its size.
pub async fn back_up(from: &Path, to: &Path) -> anyhow::Result<u64> {
    anyhow::ensure!(
        !to.exists(),
        "{} is there already; give a backup a name of its own, or move that one away",
        to.display()
    );
    let Some(store) = Store::look(from).await? else {
        anyhow::bail!("there is no state at {} yet", from.display());
    };
    let draft = draft_of(to);
    // Made first, so that nobody else may read it for any moment; SQLite takes an empty file.
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
    made.with_context(|| {
        format!(
            "making {}; if one was left over by a backup that was cut off, remove it",
            draft.display()
        )
    })?;
    let copied = copy(&store, &draft).await;
    let renamed = copied.and_then(|()| {
        // Fails where somebody made `to` meanwhile.
        std::fs::hard_link(&draft, to).with_context(|| format!("writing {}", to.display()))
    });
    for name in [draft.clone(), with(&draft, "-wal"), with(&draft, "-shm")] {
        // Those that SQLite did not leave behind are not there.
        std::fs::remove_file(name).unwrap_or_default();
    }
    renamed?;
    let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))
        .and_then(|folder| folder.sync_all())
        .with_context(|| format!("keeping {}", to.display()))?;
    Ok(std::fs::metadata(to)?.len())
}

async fn copy(store: &Store, draft: &Path) -> anyhow::Result<()> {
    let told = || format!("copying the state to {}", draft.display());
    sqlx::query("VACUUM INTO ?")
        .bind(draft.to_string_lossy().as_ref())
        .execute(&mut *store.locked().await)
        .await
        .with_context(told)?;
    let mut connection = connect(draft, false).await.with_context(told)?;
    // Another copy of the state, so the seal of the one it was taken from says nothing of it.
    let generation = format!("{:016x}", fastrand::u64(..));
    put_memory(&mut connection, "", "generation", &generation)
        .await
        .with_context(told)?;
    sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)")
        .execute(&mut connection)
        .await
        .with_context(told)?;
    care::inspect(&mut connection).await.context("the copy is not sound")?;
    connection.close().await.with_context(told)?;
    File::open(draft).and_then(|file| file.sync_all()).with_context(told)
}

fn draft_of(path: &Path) -> PathBuf {
    with(path, ".part")
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(end);
    path.with_file_name(name)
}
