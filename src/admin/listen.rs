//! The socket of the private side. Few people use it, so connections are few, short and bounded.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::routes::{Office, router};
use super::{Desk, Hands};

/// How long to leave the socket alone after it could not accept, as when files have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(250);
const CONNECTIONS_MAX: usize = 64;
const HEAD_WITHIN: Duration = Duration::from_secs(10);
const HEAD_BYTES_MAX: usize = 32 << 10;
/// Whoever keeps a connection longer opens a new one.
const CONNECTION_FOR: Duration = Duration::from_secs(300);

/// Who called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peer(pub(super) IpAddr);

/// Serves from the daemon's start to its end. What it shows changes with every generation; while there is none, it
/// says so.
pub struct Admin {
    office: Arc<Office>,
    desk: watch::Sender<Option<Arc<Desk>>>,
    socket: Mutex<Option<(SocketAddr, CancellationToken)>>,
}

impl Admin {
    pub fn start(hands: Arc<dyn Hands>) -> Admin {
        let (desk, current) = watch::channel(None);
        Admin {
            office: Arc::new(Office::new(current, hands)),
            desk,
            socket: Mutex::default(),
        }
    }

    /// Opens for a generation, at the address of its config; `None`: its config has no `admin`.
    pub async fn open(&self, desk: Option<Desk>) -> anyhow::Result<()> {
        let Some(desk) = desk else {
            self.shut();
            return Ok(());
        };
        let listen = desk.settings.listen;
        let is_open = self.locked().as_ref().is_some_and(|(known, _)| *known == listen);
        let listener = match is_open {
            true => None,
            false => Some(TcpListener::bind(listen).await.with_context(|| {
                format!("opening the admin address {listen}; set admin.listen to a free address of this machine")
            })?),
        };
        self.desk.send_replace(Some(Arc::new(desk)));
        if let Some(listener) = listener {
            self.shut();
            let stop = CancellationToken::new();
            tokio::spawn(accept(listener, router(self.office.clone()), stop.clone()));
            tracing::info!("the admin page is on http://{listen}/");
            *self.locked() = Some((listen, stop));
        }
        Ok(())
    }

    /// Between two generations.
    pub fn pause(&self) {
        self.desk.send_replace(None);
    }

    pub fn close(&self) {
        self.shut();
    }

    fn shut(&self) {
        if let Some((_, stop)) = self.locked().take() {
            stop.cancel();
        }
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<(SocketAddr, CancellationToken)>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn accept(listener: TcpListener, router: Router, stop: CancellationToken) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!("the admin page has to wait: {error}");
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            }
        };
        // Too many: the connection is closed again.
        if let Ok(place) = room.clone().try_acquire_owned() {
            let router = router.clone().layer(Extension(Peer(peer.ip().to_canonical())));
            tokio::spawn(connection(stream, router, place, stop.clone()));
        }
    }
}

async fn connection(stream: TcpStream, router: Router, place: OwnedSemaphorePermit, stop: CancellationToken) {
    stream.set_nodelay(true).unwrap_or_default();
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        served = serving => if let Err(error) = served {
            tracing::trace!("a connection to the admin address ended: {error}");
        },
        () = tokio::time::sleep(CONNECTION_FOR) => {}
        () = stop.cancelled() => {}
    }
    drop(place);
}
