//! Starts and stops the sandbox: the accept loop and the connections are its own tasks and end with it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use crate::answer::Answer;
use crate::control;
use crate::courier;
use crate::http::{self, Incoming, Site};
use crate::options::Options;
use crate::plan::Wire;
use crate::platform;
use crate::webhook::{Subscription, target};
use crate::world::World;

/// A running sandbox; dropping it stops it and closes its connections.
pub struct Sandbox {
    addr: SocketAddr,
    world: Arc<World>,
    task: JoinHandle<()>,
    /// Sends the webhooks.
    courier: JoinHandle<()>,
}

impl Sandbox {
    /// Fills the shop and listens. An address that is not loopback is refused, and so is an unusable truth file.
    pub async fn start(options: Options) -> io::Result<Sandbox> {
        let listener = bind(options.listen).await?;
        let addr = listener.local_addr()?;
        let world = Arc::new(World::new(&options)?);
        if let Some(url) = &options.webhook_url {
            let subscribed = world.subscribe_all(url);
            let subscribed = subscribed.map_err(|complaint| io::Error::new(io::ErrorKind::InvalidInput, complaint))?;
            if let Some(secret) = &options.webhook_secret {
                for one in subscribed {
                    world.update_subscription(one.id, |one| one.secret.clone_from(secret));
                }
            }
        }
        let task = tokio::spawn(accept(listener, Arc::clone(&world)));
        let courier = tokio::spawn(courier::run(Arc::clone(&world)));
        Ok(Sandbox {
            addr,
            world,
            task,
            courier,
        })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:PORT`: what `store.url` in a configuration would be.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn world(&self) -> &Arc<World> {
        &self.world
    }

    /// Stops and waits until the port is free.
    pub async fn stop(mut self) {
        self.task.abort();
        self.courier.abort();
        ended("accept loop", &mut self.task).await;
        ended("courier", &mut self.courier).await;
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.task.abort();
        self.courier.abort();
    }
}

impl Site for World {
    fn respond(&self, incoming: &Incoming) -> (Answer, Wire) {
        match incoming.path.strip_prefix(control::BASE) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                (control::answer(self, incoming, rest), Wire::SOUND)
            }
            _ => platform::answer(self, incoming),
        }
    }

    fn connected(&self) {
        self.count_connection();
    }
}

/// Listens; an address that other machines could reach is refused.
pub(crate) async fn bind(listen: SocketAddr) -> io::Result<TcpListener> {
    if !listen.ip().is_loopback() {
        let message = format!("the sandbox listens on loopback addresses only, not on {}", listen.ip());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    TcpListener::bind(listen).await
}

/// Waits for the end of a task that was just aborted, which is why an error is the expected end.
pub(crate) async fn ended(name: &str, task: &mut JoinHandle<()>) {
    if let Err(error) = task.await
        && error.is_panic()
    {
        tracing::error!("the sandbox's {name} had panicked");
    }
}

/// Takes connections until it is dropped, which ends them all.
pub(crate) async fn accept<S: Site>(listener: TcpListener, site: Arc<S>) {
    let mut connections = JoinSet::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the sandbox could not accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        while connections.try_join_next().is_some() {}
        site.connected();
        let site = Arc::clone(&site);
        connections.spawn(async move {
            if let Err(error) = http::serve(stream, site).await {
                tracing::debug!(%error, "a connection to the sandbox broke");
            }
        });
    }
}

/// Runs a sandbox until the future is dropped. `announce` gets lines for the user: the address and what goes into the
/// configuration. For a shop that lives in the present, set `clock` to `Clock::Real`.
pub async fn serve(options: Options, announce: impl Fn(&str)) -> io::Result<()> {
    let mut sandbox = Sandbox::start(options).await?;
    let access = sandbox.world.access();
    announce(&format!(
        "A pretend store with {} orders, {} customers and {} products listens on {}",
        sandbox.world.order_count(),
        sandbox.world.customer_count(),
        sandbox.world.product_count(),
        sandbox.url()
    ));
    announce(&format!("Controls: curl {}/_sandbox", sandbox.url()));
    announce("In sync.yaml:");
    announce("store:");
    announce(&format!("  url: {}", sandbox.url()));
    announce(&format!("  store_id: {}", access.store_id));
    announce(&format!("  client_id: {}", access.client_id));
    announce(&format!("  client_secret: {}", access.client_secret));
    announce(&format!(
        "  # or, instead of client_id and client_secret: access_token: {}",
        access.access_token
    ));
    if let Some(subscription) = sandbox.world.subscriptions().first() {
        announce_webhooks(subscription, &announce);
    }
    (&mut sandbox.task).await.map_err(io::Error::other)
}

/// What the receiving side must know to take and to check what it is sent.
fn announce_webhooks(subscription: &Subscription, announce: &impl Fn(&str)) {
    announce("webhooks:");
    if let Some((addr, path)) = target(&subscription.url) {
        announce(&format!("  listen: {addr}"));
        announce(&format!("  path: {}", path.split('?').next().unwrap_or(&path)));
    }
    announce(&format!("  secrets: [\"{}\"]", subscription.secret));
}
