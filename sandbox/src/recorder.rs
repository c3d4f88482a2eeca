//! A listener that takes connections, answers nothing and counts what it is sent: proof that a redirect was not followed.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

/// Listens on a free loopback port until it is dropped.
pub struct Recorder {
    addr: SocketAddr,
    counts: Arc<Counts>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    bytes: AtomicUsize,
}

impl Recorder {
    pub async fn start() -> io::Result<Recorder> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let counts = Arc::new(Counts::default());
        let task = tokio::spawn(record(listener, Arc::clone(&counts)));
        Ok(Recorder { addr, counts, task })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::Relaxed)
    }

    /// Bytes received over all connections.
    pub fn bytes(&self) -> usize {
        self.counts.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn record(listener: TcpListener, counts: Arc<Counts>) {
    let mut readers = JoinSet::new();
    while let Ok((mut stream, _)) = listener.accept().await {
        counts.connections.fetch_add(1, Ordering::Relaxed);
        let counts = Arc::clone(&counts);
        readers.spawn(async move {
            let mut part = [0; 4096];
            while let Ok(bytes) = stream.read(&mut part).await {
                if bytes == 0 {
                    break;
                }
                counts.bytes.fetch_add(bytes, Ordering::Relaxed);
            }
        });
    }
}
