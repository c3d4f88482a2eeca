//! The socket: connections are let in, timed, bounded and handed to the library that speaks HTTP/1.1.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex as Plain, PoisonError};
use std::time::Duration;

use anyhow::Context;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_util::sync::CancellationToken;

use super::Desk;
use super::answer::{self, Office};
use super::doors::{Door, Doors, Inside};
use super::framing::{Framed, TIMES};
use super::intake::{self, Intake};
use super::refusals::Refusals;
use super::tally::Tally;
use super::watch::Watch;
use crate::config;

/// How long to leave the socket alone after it could not accept, as when files have run out.
const ACCEPT_AGAIN: Duration = Duration::from_millis(250);
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// At the end: for answers that are being written.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// Receives webhooks from the daemon's start to its end. What is at the desk changes with every generation; while
/// nobody is there, whoever calls is asked to come again.
pub struct Receiver {
    desk: watch::Sender<Option<Arc<Desk>>>,
    office: Arc<Office>,
    doors: Arc<Doors>,
    /// Held while events are being kept.
    at_work: Arc<Mutex<()>>,
    keeper: JoinHandle<()>,
    socket: Plain<Option<Socket>>,
}

struct Socket {
    address: SocketAddr,
    tls: Arc<Plain<Option<TlsAcceptor>>>,
    stop: CancellationToken,
}

impl Receiver {
    pub fn start() -> Receiver {
        let (desk, current) = watch::channel(None);
        let (intake, waiting) = Intake::new();
        let at_work = Arc::new(Mutex::new(()));
        let keeper = tokio::spawn(intake::keep(waiting, current.clone(), at_work.clone()));
        let office = Office {
            current,
            intake,
            tally: Tally::default(),
            refusals: Refusals::default(),
            watch: Watch::default(),
            large: answer::room_for_large(),
        };
        Receiver {
            desk,
            office: Arc::new(office),
            doors: Doors::new(),
            at_work,
            keeper,
            socket: Plain::default(),
        }
    }

    /// Opens for a generation: at the address of its config, which is left where it is if it is the same. Where that
    /// fails, calls are taken at the door that was open before, if there was one.
    pub async fn open(&self, desk: Option<Desk>) -> anyhow::Result<()> {
        let Some(desk) = desk else {
            self.shut();
            return Ok(());
        };
        let settings = desk.settings.clone();
        let opened = self.prepare(&settings).await;
        if opened.is_ok() || self.locked().is_some() {
            self.desk.send_replace(Some(Arc::new(desk)));
        }
        let (tls, listener) = opened?;
        let Some(listener) = listener else {
            if let Some(socket) = self.locked().as_ref() {
                *socket.tls.lock().unwrap_or_else(PoisonError::into_inner) = tls;
            }
            return Ok(());
        };
        self.shut();
        let tls = Arc::new(Plain::new(tls));
        let stop = CancellationToken::new();
        let (office, doors) = (self.office.clone(), self.doors.clone());
        tokio::spawn(accept(listener, tls.clone(), office, doors, stop.clone()));
        tracing::info!("webhooks are received on {}{}", settings.listen, settings.path);
        *self.locked() = Some(Socket {
            address: settings.listen,
            tls,
            stop,
        });
        Ok(())
    }

    /// What the settings ask for: a certificate, and a listener where none is at that address.
    async fn prepare(&self, settings: &config::Webhooks) -> anyhow::Result<(Option<TlsAcceptor>, Option<TcpListener>)> {
        let tls = settings
            .tls
            .as_ref()
            .map(|(cert, key)| acceptor(cert, key))
            .transpose()?;
        let known = self.locked().as_ref().map(|socket| socket.address);
        if known == Some(settings.listen) {
            return Ok((tls, None));
        }
        let listener = TcpListener::bind(settings.listen).await.with_context(|| {
            let listen = settings.listen;
            match known.filter(|known| known.port() == listen.port()) {
                None => format!("listening for webhooks on {listen}; set webhooks.listen to a free address of this machine"),
                Some(known) => format!(
                    "listening for webhooks on {listen}: this daemon holds that port on {known} itself; restart it to change \
                     the address and keep the port"
                ),
            }
        })?;
        Ok((tls, Some(listener)))
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Option<Socket>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shut(&self) {
        if let Some(socket) = self.locked().take() {
            socket.stop.cancel();
        }
    }

    /// Nobody is at the desk any more when this returns, and nothing is being kept, unless that takes longer than this:
    /// whoever called is then told to come again, and what was kept all the same is known when it does.
    pub async fn pause(&self, within: Duration) {
        self.desk.send_replace(None);
        if tokio::time::timeout(within, self.at_work.lock()).await.is_err() {
            tracing::warn!("webhook events are still being kept; the state file is slow");
        }
    }

    /// What became of calls since the start, by kind.
    pub fn calls(&self) -> Vec<(&'static str, u64)> {
        self.office.tally.counts()
    }

    pub async fn close(&self) {
        self.shut();
        if let Some(told) = self.office.tally.told() {
            tracing::info!("webhook calls since the start: {told}");
        }
        self.doors.clear_silent();
        self.doors.empty(LAST_WORDS).await;
        self.keeper.abort();
    }
}

/// Certificate and key as they are on the disk now.
fn acceptor(cert: &Path, key: &Path) -> anyhow::Result<TlsAcceptor> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("reading webhooks.tls.cert, {}", cert.display()))?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| anyhow::anyhow!("{error}"))
        .with_context(|| format!("reading webhooks.tls.key, {}", key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map(|builder| builder.with_no_client_auth())
        .and_then(|builder| builder.with_single_cert(chain, secret))
        .context("webhooks.tls: the key does not fit the certificate")?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// A connection to the daemon's own receiver, whose certificate is the one that it was given.
pub async fn connect_tls(
    stream: TcpStream,
    host: &str,
    cert: &Path,
) -> anyhow::Result<tokio_rustls::client::TlsStream<TcpStream>> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(cert).map_err(|error| anyhow::anyhow!("{error}"))? {
        roots.add(certificate.map_err(|error| anyhow::anyhow!("{error}"))?)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())?;
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    Ok(connector.connect(name, stream).await?)
}

async fn accept(
    listener: TcpListener,
    tls: Arc<Plain<Option<TlsAcceptor>>>,
    office: Arc<Office>,
    doors: Arc<Doors>,
    stop: CancellationToken,
) {
    let mut told = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        match accepted {
            Ok((stream, peer)) => {
                told = false;
                let address = peer.ip().to_canonical();
                let proxies = office
                    .current
                    .borrow()
                    .as_ref()
                    .map(|desk| desk.settings.trusted_proxies.clone());
                let is_proxy = proxies.is_some_and(|proxies| proxies.iter().any(|network| network.contains(address)));
                // Too many, and all at work: the connection is closed again.
                if let Some(inside) = doors.enter(address, is_proxy) {
                    let tls = tls.lock().unwrap_or_else(PoisonError::into_inner).clone();
                    tokio::spawn(connection(stream, address, tls, office.clone(), inside));
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!("webhooks have to wait: {error}");
                }
                doors.clear_silent();
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, peer: IpAddr, tls: Option<TlsAcceptor>, office: Arc<Office>, inside: Inside) {
    // An answer is one small packet.
    stream.set_nodelay(true).unwrap_or_default();
    let door = inside.door.clone();
    let served = async {
        match tls {
            None => serve(stream, peer, &office, &door).await,
            Some(tls) => {
                if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, tls.accept(stream)).await {
                    serve(stream, peer, &office, &door).await;
                }
            }
        }
    };
    tokio::select! {
        () = served => {}
        () = door.leave.cancelled() => {}
    }
    drop(inside);
}

async fn serve<S>(stream: S, peer: IpAddr, office: &Arc<Office>, door: &Arc<Door>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = service_fn(|request| {
        let office = office.clone();
        async move { Ok::<_, std::convert::Infallible>(office.answer(request, peer).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        // Heads are timed, and bounded, before they get there.
        .header_read_timeout(None)
        // Whoever has said all it has to say still gets its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(Framed::new(stream, door.clone(), TIMES)), service)
        .await;
    if let Err(error) = served {
        tracing::trace!("a connection to the webhook address ended: {error}");
    }
}
