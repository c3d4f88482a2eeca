//! Starts and stops the pretend ERP: the accept loop and the connections are its own task and end with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::erp::books::Books;
use crate::erp::options::ErpOptions;
use crate::server::{accept, bind, ended};

/// A running pretend ERP; dropping it stops it and closes its connections.
pub struct Erp {
    addr: SocketAddr,
    books: Arc<Books>,
    task: JoinHandle<()>,
}

impl Erp {
    /// Listens. An address that is not loopback is refused, and so is an unusable truth file.
    pub async fn start(options: ErpOptions) -> io::Result<Erp> {
        let listener = bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let books = Arc::new(Books::new(options, format!("http://{addr}"))?);
        let task = tokio::spawn(accept(listener, Arc::clone(&books)));
        Ok(Erp { addr, books, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT/api`: what `base_url` in a configuration would be.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.addr)
    }

    pub fn books(&self) -> &Arc<Books> {
        &self.books
    }

    /// Stops and waits until the port is free. What it holds stays readable by those who kept its books.
    pub async fn stop(mut self) {
        self.task.abort();
        ended("accept loop", &mut self.task).await;
    }
}

impl Drop for Erp {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a pretend ERP until the future is dropped. `announce` gets lines for the user: the address and what goes into
/// the configuration.
pub async fn serve(options: ErpOptions, announce: impl Fn(&str)) -> io::Result<()> {
    let mut erp = Erp::start(options).await?;
    let credentials = erp.books.credentials();
    announce(&format!(
        "A pretend ERP with {} rows of stock listens on {}",
        erp.books.count("stock"),
        erp.url()
    ));
    announce(&format!("Controls: curl http://{}/_sandbox", erp.addr));
    announce("In sync.yaml:");
    announce("connectors:");
    announce("  erp:");
    announce("    type: rest");
    announce(&format!("    base_url: {}", erp.url()));
    announce(&format!("    auth: {{type: bearer, token: {}}}", credentials.token));
    announce(&format!(
        "    # or {{type: basic, username: {}, password: {}}}",
        credentials.user, credentials.password
    ));
    announce(&format!("    # or the header X-Api-Key: {}", credentials.api_key));
    announce(&format!(
        "    # or OAuth 2.0 at {}/token: client_id {}, client_secret {}, refresh_token {}",
        erp.url(),
        credentials.client_id,
        credentials.client_secret,
        credentials.refresh_token
    ));
    announce(&format!(
        "    # or POST {}/login with username and password: the cookie session, or the answer's token",
        erp.url()
    ));
    (&mut erp.task).await.map_err(io::Error::other)
}
