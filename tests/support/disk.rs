//! Small disks and second paths. Mounting needs root, and a test that cannot mount fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use sqlx::{ConnectOptions, Connection};

use super::Desk;

/// Unmounted when it is dropped, also while a test fails.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn tmpfs(at: &Path, kib: usize) -> Mount {
        let size = format!("size={kib}k");
        Mount::make(&["-t", "tmpfs", "-o", &size, "tmpfs"], at)
    }

    pub(crate) fn bind(from: &Path, at: &Path) -> Mount {
        Mount::make(&["--bind", &from.to_string_lossy()], at)
    }

    fn make(args: &[&str], at: &Path) -> Mount {
        std::fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(args).arg(at).status().unwrap();
        assert!(mounted.success(), "cannot mount {args:?}: these tests need root");
        Mount(at.to_owned())
    }

    /// Fills the disk but for so many bytes.
    pub(crate) fn fill(&self, leave: usize) {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        let mut filled = 0;
        while let Ok(written) = file.write(&[0xaa; 4096]) {
            filled += written;
        }
        file.set_len(u64::try_from(filled.saturating_sub(leave)).unwrap())
            .unwrap();
    }

    pub(crate) fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("cannot unmount {}", self.0.display());
        }
    }
}

impl Desk {
    /// Holds the write lock of the state file from this process, which is not the daemon's.
    pub(crate) fn while_locked<T>(&self, doing: impl FnOnce() -> T) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let options = sqlx::sqlite::SqliteConnectOptions::new()
            .filename(self.state())
            .busy_timeout(Duration::from_secs(20));
        let mut other = runtime.block_on(options.connect()).unwrap();
        runtime
            .block_on(sqlx::query("BEGIN EXCLUSIVE").execute(&mut other))
            .unwrap();
        let done = doing();
        runtime.block_on(sqlx::query("ROLLBACK").execute(&mut other)).unwrap();
        runtime.block_on(other.close()).unwrap();
        done
    }
}
