//! How long the disk takes to promise that something is on it, where the measured programs write.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

const WRITES: usize = 200;
const BYTES: usize = 4 << 10;

/// Appends to a file of its own; each time is that of the sync alone, `fdatasync`.
pub(super) fn syncs(folder: &Path) -> std::io::Result<Vec<Duration>> {
    let path = folder.join("disk");
    let mut file = File::create(&path)?;
    let mut syncs = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        file.write_all(&[7; BYTES])?;
        let began = Instant::now();
        file.sync_data()?;
        syncs.push(began.elapsed());
    }
    std::fs::remove_file(&path)?;
    Ok(syncs)
}
