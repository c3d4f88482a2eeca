//! Files in one local folder, with calls that block. A final name must never be replaced, never stand
//! for half a file.
//!
//! The order that makes a crash harmless: write `.NAME.part`, sync it, sync the folder (staged is
//! recorded only now, so a staged file outlives a power cut), rename, sync the folder. From then on a
//! missing temporary file means that the rename has happened.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Error, Fault, Published};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::file::{Failed, Renamed, judge, read, remove, rename, staged_name, sync, temporary, write};
use super::name::{Template, is_safe};

pub(super) const FOLDER_MODE: u32 = 0o750;

#[derive(Debug)]
pub(super) struct Disk {
    path: PathBuf,
    /// What names we write; `None` where files are only read.
    template: Option<Template>,
    /// A folder that this process has written to is not made anew: when it is gone, its volume most
    /// likely is, and files in a new folder below it would reach nobody.
    used: AtomicBool,
}

impl Disk {
    pub(super) fn new(path: PathBuf, template: Option<Template>) -> Self {
        Self {
            path,
            template,
            used: AtomicBool::new(false),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the temporary file of `name` and waits until it is on the disk.
    pub(super) fn stage(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        self.check(name)?;
        let folder = match self.open()? {
            Some(folder) => folder,
            None if self.used.load(Ordering::Relaxed) => return Err(self.vanished()),
            None => self.make()?,
        };
        let temporary = temporary(name);
        let staged = remove(&folder, &temporary)
            .and_then(|()| write(&folder, &temporary, bytes))
            .and_then(|()| sync(&folder));
        if staged.is_err() {
            // Best effort: half a file is of no use, and on a full disk its space is.
            remove(&folder, &temporary).ok();
        }
        staged.map_err(|failed| self.error(failed))?;
        self.used.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(super) fn publish(&self, name: &str) -> Result<Published, Error> {
        self.check(name)?;
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        let temporary = temporary(name);
        let renamed = rename(&folder, &temporary, name).map_err(|failed| self.error(failed))?;
        let published = match renamed {
            Renamed::Done => Published::Now,
            Renamed::TemporaryGone if self.is_removed(&folder) => return Err(self.vanished()),
            Renamed::TemporaryGone => Published::Before,
            Renamed::NameTaken => self.compare(&folder, &temporary, name)?,
        };
        sync(&folder).map_err(|failed| Error {
            fault: Fault::Transient { reached: true },
            ..self.error(failed)
        })?;
        Ok(published)
    }

    /// A file with the final name is there already. It is ours if it has the same bytes; nothing is overwritten.
    fn compare(&self, folder: &OwnedFd, temporary: &str, name: &str) -> Result<Published, Error> {
        let ours = read(folder, temporary).map_err(|failed| self.error(failed))?;
        if read(folder, name).is_ok_and(|there| there == ours) {
            remove(folder, temporary).map_err(|failed| self.error(failed))?;
            return Ok(Published::Before);
        }
        let doing = format!("folder {}: publishing {name}", self.path.display());
        let answer = "a different file with this name is there already; it is never overwritten";
        Err(Error::new(Fault::Denied, doing, answer).hint(
            "find out who wrote it (another daemon with the same folder and file name, or a restored state file?) and move it away",
        ))
    }

    /// The names that temporary files made with our template stand for.
    pub(super) fn staged(&self) -> Result<Vec<String>, Error> {
        let mut names = self.names()?;
        names.retain_mut(|name| match staged_name(name) {
            Some(staged) if self.is_ours(staged) => {
                *name = staged.to_owned();
                true
            }
            _ => false,
        });
        Ok(names)
    }

    fn is_ours(&self, name: &str) -> bool {
        let number = self.template.as_ref().and_then(|template| template.number_of(name));
        number.is_some()
    }

    /// Removes the temporary files of these names.
    pub(super) fn discard(&self, names: &[String]) -> Result<(), Error> {
        let Some(folder) = self.open()? else { return Ok(()) };
        for name in names {
            remove(&folder, &temporary(name)).map_err(|failed| self.error(failed))?;
        }
        Ok(())
    }

    /// The regular files whose names are safe to work with, sorted. Hidden and temporary ones are left out.
    pub(super) fn list(&self) -> Result<Vec<String>, Error> {
        let mut names = self.names()?;
        names.retain(|name| is_safe(name));
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        self.check(name)?;
        let folder = self.open()?.ok_or_else(|| self.vanished())?;
        read(&folder, name).map_err(|failed| self.error(failed))
    }

    /// Does all that publishing needs with a file of a name that nobody else uses, and removes it.
    pub(super) fn probe(&self) -> Result<String, Error> {
        let (folder, made) = match self.open()? {
            Some(folder) => (folder, false),
            None => (self.make()?, true),
        };
        let name = format!("selorax-sync-probe-{:016x}.tmp", fastrand::u64(..));
        let temporary = temporary(&name);
        let tried = write(&folder, &temporary, b"probe")
            .and_then(|()| rename(&folder, &temporary, &name))
            .and_then(|_| sync(&folder));
        let removed = remove(&folder, &temporary).and(remove(&folder, &name));
        if made {
            // Fails where somebody has begun to use the folder; then it is to stay.
            rustix::fs::rmdir(&self.path).ok();
        }
        tried.and(removed).map_err(|failed| self.error(failed))?;
        Ok(match made {
            true => "can be made and written to".to_owned(),
            false => "can be written to".to_owned(),
        })
    }

    /// The regular files in the folder; none where the folder is yet to be made.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        let Some(folder) = self.open()? else {
            return match self.used.load(Ordering::Relaxed) {
                true => Err(self.vanished()),
                false => Ok(Vec::new()),
            };
        };
        let failed = |errno| self.error(("listing it".to_owned(), errno));
        let mut names = Vec::new();
        for entry in Dir::read_from(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            // A name that is not UTF-8 is not one of ours.
            let Ok(name) = entry.file_name().to_str() else { continue };
            let kind = match entry.file_type() {
                // Some file systems do not say.
                FileType::Unknown => match rustix::fs::statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) {
                    Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                    Err(Errno::NOENT) => continue,
                    Err(errno) => return Err(failed(errno)),
                },
                kind => kind,
            };
            if kind == FileType::RegularFile {
                names.push(name.to_owned());
            }
        }
        Ok(names)
    }

    /// The folder, or `None` where there is nothing of its name.
    pub(super) fn open(&self) -> Result<Option<OwnedFd>, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(folder) => Ok(Some(folder)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(self.error(("opening it".to_owned(), errno))),
        }
    }

    /// Makes the folder, but none above it: a wrong path must not become a tree of folders.
    fn make(&self) -> Result<OwnedFd, Error> {
        let parent = match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        match rustix::fs::mkdir(&self.path, Mode::from_raw_mode(FOLDER_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(Errno::NOENT) => {
                let doing = format!("folder {}: making it", self.path.display());
                let answer = format!("there is no folder {}", parent.display());
                return Err(Error::new(Fault::Denied, doing, answer)
                    .hint("correct `location`, mount the volume, or make the folder"));
            }
            Err(errno) => return Err(self.error(("making it".to_owned(), errno))),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(parent, flags, Mode::empty())
            .and_then(rustix::fs::fsync)
            .map_err(|errno| self.error((format!("syncing {}", parent.display()), errno)))?;
        self.open()?.ok_or_else(|| self.vanished())
    }

    /// Whether the open folder itself was deleted meanwhile, so that nothing can be told from what it lacks.
    fn is_removed(&self, folder: &OwnedFd) -> bool {
        rustix::fs::fstat(folder).is_ok_and(|stat| stat.st_nlink == 0)
    }

    pub(super) fn check(&self, name: &str) -> Result<(), Error> {
        if is_safe(name) {
            return Ok(());
        }
        let doing = format!("folder {}: using a file", self.path.display());
        let answer = format!("{name:?} is not a name this connector works with");
        Err(Error::new(Fault::Denied, doing, answer)
            .hint("a name has 1 to 100 of A-Z a-z 0-9 . _ - and no dot in front"))
    }

    pub(super) fn vanished(&self) -> Error {
        let doing = format!("folder {}: opening it", self.path.display());
        Error::new(Fault::Transient { reached: false }, doing, "it is gone")
            .hint("mount its volume again, or put the folder back where it was")
    }

    pub(super) fn error(&self, (doing, errno): Failed) -> Error {
        let (fault, hint) = judge(errno);
        let doing = format!("folder {}: {doing}", self.path.display());
        let error = Error::new(fault, doing, std::io::Error::from(errno).to_string());
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
