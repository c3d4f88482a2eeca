//! Single files, by name and through an open handle of their folder. No link is ever followed
//! (`O_NOFOLLOW`) and no file ever replaced.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;

use contract::Fault;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

const FILE_MODE: u32 = 0o640;
const READ_BYTES_MAX: u64 = 1 << 30;

/// What a rename without replacing came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Renamed {
    Done,
    TemporaryGone,
    NameTaken,
}

/// A system call that failed, and what it was to do.
pub(super) type Failed = (String, Errno);

/// What to do about a failed call. What a person must set right is `Denied`; the rest may pass by itself.
pub(super) fn judge(errno: Errno) -> (Fault, Option<&'static str>) {
    let later = Fault::Transient { reached: false };
    match errno {
        Errno::NOSPC => (later, Some("the disk is full: free space, it goes on by itself")),
        Errno::DQUOT => (
            later,
            Some("the disk quota is used up: free space or raise it, it goes on by itself"),
        ),
        Errno::ACCESS | Errno::PERM => (
            Fault::Denied,
            Some("let the daemon's user read and write there (chown or chmod), or choose another `location`"),
        ),
        Errno::ROFS => (
            Fault::Denied,
            Some("the file system is read-only: mount it writable, or choose another `location`"),
        ),
        Errno::NOTDIR => (
            Fault::Denied,
            Some("a part of `location` is a file; it must be a folder"),
        ),
        Errno::ISDIR => (
            Fault::Denied,
            Some("something else stands where a file is to be: move it away"),
        ),
        Errno::LOOP => (
            Fault::Denied,
            Some("a link stands where a file is to be; links are not followed: remove it"),
        ),
        Errno::NAMETOOLONG => (Fault::Denied, Some("shorten `location` or the file name")),
        Errno::NOTSUP => (
            Fault::Denied,
            Some("this file system can neither rename without replacing nor link: choose another `location`"),
        ),
        _ => (later, None),
    }
}

/// The name of a file that is not complete: hidden, and no importer's pattern ends in `.part`.
pub(super) fn temporary(name: &str) -> String {
    format!(".{name}.part")
}

pub(super) fn staged_name(temporary: &str) -> Option<&str> {
    temporary.strip_prefix('.')?.strip_suffix(".part")
}

pub(super) fn write(folder: &OwnedFd, name: &str, bytes: &[u8]) -> Result<(), Failed> {
    let failed = |errno| (format!("writing {name}"), errno);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(folder, name, flags, Mode::from_raw_mode(FILE_MODE)).map_err(failed)?;
    let mut file = File::from(file);
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let size = written
        .and_then(|()| file.metadata())
        .map_err(|error| failed(errno_of(&error)))?;
    match size.len() == bytes.len() as u64 {
        true => Ok(()),
        false => Err((
            format!("writing {name}: it has {} bytes, not {}", size.len(), bytes.len()),
            Errno::IO,
        )),
    }
}

/// Opens a regular file.
pub(super) fn open(folder: &OwnedFd, name: &str) -> Result<File, Failed> {
    let failed = |errno| (format!("reading {name}"), errno);
    // Without NONBLOCK a pipe that somebody put there would hold the thread for ever.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(failed)?);
    match file.metadata().map_err(|error| failed(errno_of(&error)))?.is_file() {
        true => Ok(file),
        false => Err((format!("reading {name}, which is not a regular file"), Errno::ISDIR)),
    }
}

pub(super) fn read(folder: &OwnedFd, name: &str) -> Result<Vec<u8>, Failed> {
    let io_failed = |error: std::io::Error| (format!("reading {name}"), errno_of(&error));
    let file = open(folder, name)?;
    let mut bytes = Vec::new();
    file.take(READ_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(io_failed)?;
    match bytes.len() as u64 <= READ_BYTES_MAX {
        true => Ok(bytes),
        false => Err((format!("reading {name}: more than {READ_BYTES_MAX} bytes"), Errno::FBIG)),
    }
}

/// Removes a file or a link; one that is not there is fine.
pub(super) fn remove(folder: &OwnedFd, name: &str) -> Result<(), Failed> {
    match rustix::fs::unlinkat(folder, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(errno) => Err((format!("removing {name}"), errno)),
    }
}

pub(super) fn sync(folder: &OwnedFd) -> Result<(), Failed> {
    rustix::fs::fsync(folder).map_err(|errno| ("syncing it".to_owned(), errno))
}

pub(super) fn rename(folder: &OwnedFd, from: &str, to: &str) -> Result<Renamed, Failed> {
    move_into(folder, from, folder, to)
}

/// Renames from one folder into another.
pub(super) fn move_into(folder: &OwnedFd, from: &str, other: &OwnedFd, to: &str) -> Result<Renamed, Failed> {
    match rustix::fs::renameat_with(folder, from, other, to, RenameFlags::NOREPLACE) {
        // File systems that do not know the flag, such as NFS.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rename_by_link(folder, from, other, to),
        result => renamed(result, to),
    }
}

/// A link never replaces either. A crash in between leaves both names on the same bytes, which the
/// next try finds out by comparing.
fn rename_by_link(folder: &OwnedFd, from: &str, other: &OwnedFd, to: &str) -> Result<Renamed, Failed> {
    let linked = match rustix::fs::linkat(folder, from, other, to, AtFlags::empty()) {
        // What file systems without links answer.
        Err(Errno::PERM | Errno::NOSYS | Errno::MLINK) => Err(Errno::NOTSUP),
        result => result,
    };
    let renamed = renamed(linked, to)?;
    if let Renamed::Done = renamed {
        remove(folder, from)?;
    }
    Ok(renamed)
}

fn renamed(result: Result<(), Errno>, to: &str) -> Result<Renamed, Failed> {
    match result {
        Ok(()) => Ok(Renamed::Done),
        Err(Errno::NOENT) => Ok(Renamed::TemporaryGone),
        Err(Errno::EXIST) => Ok(Renamed::NameTaken),
        Err(errno) => Err((format!("renaming to {to}"), errno)),
    }
}

pub(super) fn errno_of(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn sf_02_without_the_flag_a_link_renames_and_never_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let folder = OwnedFd::from(File::open(dir.path()).unwrap());
        let there = |name: &str| fs::read_to_string(dir.path().join(name)).ok();
        assert_eq!(
            rename_by_link(&folder, "a", &folder, "b").unwrap(),
            Renamed::TemporaryGone
        );
        fs::write(dir.path().join("a"), "one").unwrap();
        assert_eq!(rename_by_link(&folder, "a", &folder, "b").unwrap(), Renamed::Done);
        assert_eq!((there("a"), there("b")), (None, Some("one".to_owned())));
        fs::write(dir.path().join("a"), "two").unwrap();
        assert_eq!(rename_by_link(&folder, "a", &folder, "b").unwrap(), Renamed::NameTaken);
        assert_eq!(
            (there("a"), there("b")),
            (Some("two".to_owned()), Some("one".to_owned()))
        );
    }

    #[test]
    fn a_full_disk_passes_and_a_missing_right_needs_a_person() {
        for (errno, fault, part) in [
            (Errno::NOSPC, Fault::Transient { reached: false }, "free space"),
            (Errno::DQUOT, Fault::Transient { reached: false }, "quota"),
            (Errno::IO, Fault::Transient { reached: false }, ""),
            (Errno::ACCESS, Fault::Denied, "chown"),
            (Errno::ROFS, Fault::Denied, "read-only"),
            (Errno::NOTDIR, Fault::Denied, "must be a folder"),
        ] {
            let (judged, hint) = judge(errno);
            assert_eq!(judged, fault, "{errno:?}");
            assert!(hint.unwrap_or_default().contains(part), "{errno:?}");
        }
    }
}
