//! Small disks and second paths. Mounting needs root, and a test that cannot mount fails.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

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
