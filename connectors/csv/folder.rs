//! A local folder as a [`Place`]. It must never block the runtime: everything that touches the disk
//! is [`Disk`]'s and runs on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use contract::{Away, Entry, Error, Fault, Place, Published, Reading};

use super::disk::Disk;
use super::incoming::Open;
use super::name::Template;

#[derive(Debug)]
pub(super) struct Folder(Arc<Disk>);

impl Folder {
    /// `template`: the names whose leftovers are ours to remove; none where files are only read.
    pub(super) fn new(path: PathBuf, template: Option<Template>) -> Self {
        Self(Arc::new(Disk::new(path, template)))
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Disk) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let disk = self.0.clone();
        match tokio::task::spawn_blocking(move || work(&disk)).await {
            Ok(result) => result,
            // A panic, or the runtime is going down; either way nobody knows how far it got.
            Err(error) => {
                let doing = format!("folder {}: working in it", self.0.path().display());
                Err(Error::new(Fault::Transient { reached: true }, doing, error.to_string()))
            }
        }
    }
}

#[async_trait]
impl Place for Folder {
    async fn stage(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (name, bytes) = (name.to_owned(), bytes.to_vec());
        self.run(move |disk| disk.stage(&name, &bytes)).await
    }

    async fn publish(&self, name: &str) -> Result<Published, Error> {
        let name = name.to_owned();
        self.run(move |disk| disk.publish(&name)).await
    }

    async fn staged(&self) -> Result<Vec<String>, Error> {
        self.run(Disk::staged).await
    }

    async fn discard(&self, names: &[String]) -> Result<(), Error> {
        let names = names.to_vec();
        self.run(move |disk| disk.discard(&names)).await
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        self.run(Disk::list).await
    }

    async fn read(&self, name: &str) -> Result<Vec<u8>, Error> {
        let name = name.to_owned();
        self.run(move |disk| disk.read(&name)).await
    }

    async fn entries(&self) -> Result<Vec<Entry>, Error> {
        self.run(Disk::entries).await
    }

    async fn entry(&self, name: &str) -> Result<Option<Entry>, Error> {
        let name = name.to_owned();
        self.run(move |disk| disk.entry(&name)).await
    }

    async fn open(&self, name: &str) -> Result<Box<dyn Reading>, Error> {
        let name = name.to_owned();
        let open = self.run(move |disk| disk.open_file(&name)).await?;
        Ok(Box::new(Parts {
            folder: Folder(self.0.clone()),
            open: Some(open),
        }))
    }

    async fn put_away(&self, entry: &Entry, folder: &str, as_name: &str) -> Result<Away, Error> {
        let (entry, folder, as_name) = (entry.clone(), folder.to_owned(), as_name.to_owned());
        self.run(move |disk| disk.put_away(&entry, &folder, &as_name)).await
    }

    async fn remove(&self, entry: &Entry) -> Result<Away, Error> {
        let entry = entry.clone();
        self.run(move |disk| disk.take_away(&entry)).await
    }

    async fn note(&self, folder: &str, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let (folder, name, bytes) = (folder.to_owned(), name.to_owned(), bytes.to_vec());
        self.run(move |disk| disk.note(&folder, &name, &bytes)).await
    }

    fn describe(&self) -> String {
        format!("folder {}", self.0.path().display())
    }

    async fn probe(&self) -> Result<String, Error> {
        self.run(Disk::probe).await
    }
}

/// An open file of the folder.
struct Parts {
    folder: Folder,
    /// `None` behind the end, or behind a failure.
    open: Option<Open>,
}

#[async_trait]
impl Reading for Parts {
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let Some(open) = self.open.take() else { return Ok(None) };
        let part = self.folder.run(move |disk| disk.part(open)).await?;
        Ok(part.map(|(open, bytes)| {
            self.open = Some(open);
            bytes
        }))
    }
}
