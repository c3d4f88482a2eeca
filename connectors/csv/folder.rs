//! A local folder as a [`Place`]. It must never block the runtime: everything that touches the disk
//! is [`Disk`]'s and runs on a thread of its own.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use contract::{Error, Fault, Place, Published};

use super::disk::Disk;
use super::name::Template;

#[derive(Debug)]
pub(super) struct Folder(Arc<Disk>);

impl Folder {
    /// `template`: the names whose leftovers are ours to remove.
    pub(super) fn new(path: PathBuf, template: Template) -> Self {
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

    fn describe(&self) -> String {
        format!("folder {}", self.0.path().display())
    }

    async fn probe(&self) -> Result<String, Error> {
        self.run(Disk::probe).await
    }
}
