//! Care of the state file as a file: one owner, a seal that tells damage, room for hard times.
//! Never deletes or replaces the state itself.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use sha2::{Digest, Sha256};
use sqlx::SqliteConnection;

/// Freed when the disk is full, so that the write-ahead log can be put away.
const BALLAST_BYTES: u64 = 1 << 20;
const ONE_PAGE: u64 = 4096;

/// Held while this process owns the state.
#[derive(Debug)]
pub(super) struct Care {
    /// Its lock goes when it is closed. The lock is on the file's inode, so other paths to it meet it too.
    file: File,
}

impl Care {
    pub(super) fn take(path: &Path) -> anyhow::Result<Care> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).with_context(|| format!("making the folder {}", folder.display()))?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .with_context(|| super::cannot_use(path))?;
        let mut waited = 0;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                // An owner that is just ending gets a moment.
                Err(std::fs::TryLockError::WouldBlock) if waited < 10 => {
                    waited += 1;
                    std::thread::sleep(std::time::Duration::from_millis(100));
                }
                Err(std::fs::TryLockError::WouldBlock) => {
                    let told = format!(
                        "the state file {} is in use by another selorax-sync; let it finish, or stop it, and run this again",
                        path.display()
                    );
                    return Err(super::StateError::new(told, true).into());
                }
                Err(std::fs::TryLockError::Error(error)) => {
                    return Err(anyhow::Error::from(error).context(format!("locking {}", path.display())));
                }
            }
        }
        let care = Care { file };
        care.check_header(path)?;
        Ok(care)
    }

    /// Refuses another program's database before anything about it is changed. The id stands at byte 68 of
    /// the header (SQLite file format, 1.3). A file of one page may be one of ours whose first start was cut off.
    fn check_header(&self, path: &Path) -> anyhow::Result<()> {
        let mut header = [0; 72];
        let length = self.file.metadata().context("looking at the state file")?.len();
        if length <= ONE_PAGE || self.file.read_exact_at(&mut header, 0).is_err() {
            return Ok(());
        }
        let id: i64 = header[68..].iter().fold(0, |id, byte| id << 8 | i64::from(*byte));
        let is_sqlite = header.starts_with(b"SQLite format 3\0");
        anyhow::ensure!(id == super::APPLICATION_ID || !is_sqlite, "{}", super::foreign(path));
        Ok(())
    }

    /// Compares the file with the seal of its last orderly end, and breaks the seal: from now on it changes.
    pub(super) fn verify(&self, path: &Path, generation: Option<String>) -> anyhow::Result<()> {
        let seal_path = beside(path, "seal");
        let Ok(seal) = std::fs::read_to_string(&seal_path) else {
            return Ok(());
        };
        let mut words = seal.split_whitespace();
        let (sealed_generation, sum) = (words.next(), words.next());
        let logged = beside(path, "wal").metadata().is_ok_and(|wal| wal.len() > 0);
        // Another generation is another copy of the file, put there by a person: its seal is not this one.
        if !logged && generation.as_deref() == sealed_generation {
            let found = self.sum()?;
            anyhow::ensure!(Some(found.as_str()) == sum, super::damaged(path));
        }
        std::fs::remove_file(&seal_path).with_context(|| format!("removing {}", seal_path.display()))
    }

    pub(super) fn seal(self, path: &Path, generation: &str) -> anyhow::Result<()> {
        let (seal, draft) = (beside(path, "seal"), beside(path, "seal.part"));
        let sum = self.sum()?;
        write_private(&draft, format!("{generation} {sum}\n").as_bytes())
            .and_then(|()| std::fs::rename(&draft, &seal))
            .with_context(|| format!("writing {}", seal.display()))
    }

    /// Reads through the handle that is open anyway: closing another one on the same file would drop the
    /// locks that SQLite holds in this process.
    fn sum(&self) -> anyhow::Result<String> {
        let mut hasher = Sha256::new();
        let mut buffer = vec![0; 1 << 16];
        let mut at = 0;
        loop {
            match self.file.read_at(&mut buffer, at).context("reading the state file")? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    at += n as u64;
                }
            }
        }
        Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn still_there(&self, path: &Path) -> anyhow::Result<()> {
        let ours = self.file.metadata().context("looking at the state file")?;
        let there = std::fs::metadata(path);
        if there.is_ok_and(|there| there.ino() == ours.ino() && there.dev() == ours.dev()) {
            return Ok(());
        }
        let told = format!(
            "the state file {} was moved, replaced or deleted while it was in use; nothing more is sent: put it back \
             and run this again",
            path.display()
        );
        Err(super::StateError::new(told, false).into())
    }

    /// Lets go of the ballast, so that there is room to put the log away.
    pub(super) fn give_way(&self, path: &Path) {
        if std::fs::remove_file(beside(path, "ballast")).is_ok() {
            tracing::warn!("freed 1 MiB that was kept for a full disk");
        }
    }

    pub(super) fn keep_ballast(&self, path: &Path) {
        let ballast = beside(path, "ballast");
        if ballast.metadata().is_ok_and(|file| file.len() == BALLAST_BYTES) {
            return;
        }
        // Written in full: a sparse file would free nothing. Without room for it, do without.
        let bytes = vec![0xb5; usize::try_from(BALLAST_BYTES).unwrap_or(0)];
        if write_private(&ballast, &bytes).is_err() {
            std::fs::remove_file(&ballast).unwrap_or_default();
        }
    }
}

/// Checks an existing file before anything is written, and tells which generation it is. What it fails
/// with is damage, most often.
pub(super) async fn inspect(connection: &mut SqliteConnection) -> anyhow::Result<Option<String>> {
    let verdict: Vec<String> = sqlx::query_scalar("PRAGMA integrity_check(3)")
        .fetch_all(&mut *connection)
        .await?;
    anyhow::ensure!(
        verdict.iter().all(|line| line == "ok"),
        "SQLite says: {}",
        verdict.join("; ")
    );
    let has_memory: i64 = sqlx::query_scalar("SELECT count(*) FROM sqlite_schema WHERE name = 'memory'")
        .fetch_one(&mut *connection)
        .await?;
    if has_memory == 0 {
        Ok(None)
    } else {
        super::memory_of(connection, "", "generation").await
    }
}

/// Writes a file that only its owner may read.
fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn beside(path: &Path, what: &str) -> PathBuf {
    let joint = if what == "wal" { "-" } else { "." };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!("{joint}{what}"));
    path.with_file_name(name)
}
