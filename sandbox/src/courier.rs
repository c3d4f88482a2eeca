//! Sends the webhooks that are due: hand-written HTTP/1.1 to loopback addresses only, as tasks that end with the sandbox.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::hooks::Attempt;
use crate::world::{Inner, World};

/// Attempts under way at once.
const FLIGHTS_MAX: usize = 16;
/// An answer's head that is longer than this is no answer.
const HEAD_BYTES_MAX: usize = 16 << 10;
/// How often the world's clock is looked at where nothing announces its next step.
const LOOK_AGAIN: Duration = Duration::from_secs(3_600);

/// Runs until it is dropped, and with it every attempt under way.
pub(crate) async fn run(world: Arc<World>) {
    let mut flights = JoinSet::new();
    loop {
        let (due, wait) = {
            let mut inner = world.lock();
            let now_ms = inner.time.now_ms();
            let factor = inner.time.factor();
            let free = FLIGHTS_MAX.saturating_sub(flights.len());
            let due = inner.hooks.take_due(now_ms, free);
            let full = free == due.len();
            // Whoever is due but has no place waits for a flight to end.
            let wait = if full {
                None
            } else {
                inner.hooks.next_due(now_ms, factor)
            };
            (due, wait.unwrap_or(LOOK_AGAIN))
        };
        for attempt in due {
            flights.spawn(deliver(Arc::clone(&world), attempt));
        }
        tokio::select! {
            () = world.changed() => {}
            Some(_) = flights.join_next() => {}
            () = sleep(wait) => {}
        }
    }
}

async fn deliver(world: Arc<World>, attempt: Attempt) {
    let status = match Inner::place(&attempt) {
        Some((addr, path)) => match timeout(attempt.timeout, post(addr, &path, &attempt)).await {
            Ok(Ok(status)) => Some(status),
            Ok(Err(error)) => {
                tracing::debug!(%error, %addr, "a webhook was not delivered");
                None
            }
            Err(_) => None,
        },
        None => None,
    };
    let mut inner = world.lock();
    let now_ms = inner.time.now_ms();
    inner.hooks.settle(attempt, status, now_ms);
}

/// Sends one request and gives the status of its answer.
async fn post(addr: SocketAddr, path: &str, attempt: &Attempt) -> io::Result<u16> {
    let mut stream = TcpStream::connect(addr).await?;
    let body = attempt.body();
    let mut request = format!("POST {path} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: SeloraX-Webhook/1.0\r\n");
    request.push_str("Content-Type: application/json\r\n");
    for (name, value) in &attempt.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!(
        "Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    ));
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX || stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}
