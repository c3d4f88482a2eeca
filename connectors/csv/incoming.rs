//! The files in a local folder that others write, with calls that block. A file that is not the one the caller saw
//! must never be moved or removed, and none ever replaced.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;

use contract::{Away, Entry, Error, Fault};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::disk::{Disk, FOLDER_MODE};
use super::file::{Failed, Renamed, errno_of, move_into, open, remove, sync, temporary, write};

/// How much of a file is read at once.
const PART_BYTES: usize = 256 * 1024;

/// A file that is being read.
#[derive(Debug)]
pub(super) struct Open {
    name: String,
    file: File,
}

impl Disk {
    /// The regular files whose names are safe to work with, sorted by name.
    pub(super) fn entries(&self) -> Result<Vec<Entry>, Error> {
        let names = self.list()?;
        let Some(folder) = self.open()? else {
            return Ok(Vec::new());
        };
        let mut entries = Vec::with_capacity(names.len());
        for name in names {
            // One that has gone meanwhile is not there.
            entries.extend(self.look(&folder, &name)?);
        }
        Ok(entries)
    }

    pub(super) fn entry(&self, name: &str) -> Result<Option<Entry>, Error> {
        self.check(name)?;
        match self.open()? {
            Some(folder) => self.look(&folder, name),
            None => Ok(None),
        }
    }

    fn look(&self, folder: &OwnedFd, name: &str) -> Result<Option<Entry>, Error> {
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(self.error((format!("looking at {name}"), errno))),
        };
        let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(regular.then(|| Entry {
            name: name.to_owned(),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            modified: Some(stat.st_mtime * 1000 + i64::try_from(stat.st_mtime_nsec).unwrap_or_default() / 1_000_000),
        }))
    }

    pub(super) fn open_file(&self, name: &str) -> Result<Open, Error> {
        self.check(name)?;
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        let file = open(&folder, name).map_err(|failed| self.error(failed))?;
        Ok(Open {
            name: name.to_owned(),
            file,
        })
    }

    /// The next bytes of the file; `None` at its end.
    pub(super) fn part(&self, mut open: Open) -> Result<Option<(Open, Vec<u8>)>, Error> {
        let mut bytes = Vec::with_capacity(PART_BYTES);
        let read = open.file.by_ref().take(PART_BYTES as u64).read_to_end(&mut bytes);
        read.map_err(|error| self.error((format!("reading {}", open.name), errno_of(&error))))?;
        Ok((!bytes.is_empty()).then_some((open, bytes)))
    }

    pub(super) fn put_away(&self, entry: &Entry, below: &str, as_name: &str) -> Result<Away, Error> {
        for name in [&entry.name, below, as_name] {
            self.check(name)?;
        }
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        if let Some(away) = self.differs(&folder, entry)? {
            return Ok(away);
        }
        let other = self.below(&folder, below)?;
        let moved = move_into(&folder, &entry.name, &other, as_name).map_err(|failed| self.error(failed))?;
        let away = match moved {
            Renamed::Done => Away::Done,
            Renamed::TemporaryGone => Away::Gone,
            Renamed::NameTaken => self.moved_by_half(&folder, entry, &other, (below, as_name))?,
        };
        let synced = sync(&other).and_then(|()| sync(&folder));
        synced.map_err(|failed| self.error(failed))?;
        Ok(away)
    }

    /// A name that is taken by the very same file is a move that was broken off between its two steps.
    fn moved_by_half(
        &self,
        folder: &OwnedFd,
        entry: &Entry,
        other: &OwnedFd,
        (below, as_name): (&str, &str),
    ) -> Result<Away, Error> {
        let number = |folder: &OwnedFd, name: &str| {
            let stat = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW);
            stat.map(|stat| (stat.st_dev, stat.st_ino)).ok()
        };
        let ours = number(folder, &entry.name);
        if ours.is_some() && ours == number(other, as_name) {
            remove(folder, &entry.name).map_err(|failed| self.error(failed))?;
            return Ok(Away::Done);
        }
        let doing = format!("folder {}: moving {} away", self.path().display(), entry.name);
        let answer = format!("{below}/{as_name} is there already; it is never overwritten");
        Err(Error::new(Fault::Conflict, doing, answer))
    }

    pub(super) fn take_away(&self, entry: &Entry) -> Result<Away, Error> {
        self.check(&entry.name)?;
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        if let Some(away) = self.differs(&folder, entry)? {
            return Ok(away);
        }
        let removed = remove(&folder, &entry.name).and_then(|()| sync(&folder));
        removed.map_err(|failed| self.error(failed))?;
        Ok(Away::Done)
    }

    /// Why a file is not to be touched: it is not there, or not the one that the entry shows.
    fn differs(&self, folder: &OwnedFd, entry: &Entry) -> Result<Option<Away>, Error> {
        Ok(match self.look(folder, &entry.name)? {
            None => Some(Away::Gone),
            Some(now) if now == *entry => None,
            Some(_) => Some(Away::Changed),
        })
    }

    pub(super) fn note(&self, below: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.check(name)?;
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        let other = self.below(&folder, below)?;
        let hidden = temporary(name);
        let written = remove(&other, &hidden)
            .and_then(|()| write(&other, &hidden, bytes))
            .and_then(|()| replace(&other, &hidden, name))
            .and_then(|()| sync(&other));
        if written.is_err() {
            // Best effort: half a file is of no use.
            remove(&other, &hidden).ok();
        }
        written.map_err(|failed| self.error(failed))
    }

    /// The folder of this name below ours, made where it is missing. A link in its place is not followed.
    fn below(&self, folder: &OwnedFd, name: &str) -> Result<OwnedFd, Error> {
        self.check(name)?;
        let failed = |doing: &str, errno| self.error((format!("{doing} the folder {name}"), errno));
        match rustix::fs::mkdirat(folder, name, Mode::from_raw_mode(FOLDER_MODE)) {
            Ok(()) => sync(folder).map_err(|failed| self.error(failed))?,
            Err(Errno::EXIST) => {}
            Err(errno) => return Err(failed("making", errno)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        rustix::fs::openat(folder, name, flags, Mode::empty()).map_err(|errno| failed("opening", errno))
    }
}

/// Renames within a folder, in the place of an earlier file of that name; only for what is our own alone.
fn replace(folder: &OwnedFd, from: &str, to: &str) -> Result<(), Failed> {
    rustix::fs::renameat(folder, from, folder, to).map_err(|errno| (format!("renaming to {to}"), errno))
}
