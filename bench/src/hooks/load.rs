//! The caller: so many connections, each of which sends its next event when the last one is answered. All events are
//! signed before the first is sent, and none comes twice.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::signed::Secret;

/// As many orders as the events are about, and the first of their ids. It does not matter much whether the store has
/// them: the daemon reads one a second.
const ORDERS: usize = 500;
const FIRST_ORDER: usize = 1_041;
const ACCEPTED: &[u8] = br#"{"status":"accepted"}"#;
const ANSWER_BYTES_MAX: usize = 16 << 10;

pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    pub(crate) path: String,
    pub(crate) secret: String,
    pub(crate) connections: usize,
    pub(crate) events: usize,
}

impl Load {
    pub(crate) async fn run(&self) -> anyhow::Result<String> {
        let mut lines = Vec::new();
        for share in self.requests()? {
            let stream = TcpStream::connect(self.address).await.context("connecting")?;
            stream.set_nodelay(true)?;
            lines.push((Line::new(stream), share));
        }
        let began = Instant::now();
        let sent = futures::future::try_join_all(lines.into_iter().map(|(line, share)| line.send(share))).await?;
        let wall = began.elapsed();
        let mut waits: Vec<Duration> = sent.into_iter().flatten().collect();
        waits.sort_unstable();
        let at = |percent: usize| {
            let place = (waits.len() * percent).div_ceil(100).saturating_sub(1);
            waits.get(place).map_or(0, Duration::as_micros)
        };
        let rate = waits.len() as u128 * 1_000_000 / wall.as_micros().max(1);
        Ok(format!("{rate} {} {} {}", at(50), at(99), at(100)))
    }

    /// The requests of each connection, as the platform would send them.
    fn requests(&self) -> anyhow::Result<Vec<Vec<Vec<u8>>>> {
        anyhow::ensure!(
            self.connections > 0 && self.events >= self.connections,
            "fewer events than connections"
        );
        let secret = Secret::new(&self.secret)?;
        let seconds = UNIX_EPOCH.elapsed()?.as_secs().to_string();
        // Tells the events of one load from those of another.
        let load = fastrand::u32(..);
        let mut shares = vec![Vec::new(); self.connections];
        for n in 0..self.events {
            let id = format!("{load:08x}-0000-4000-a000-{n:012x}");
            let body = body(&id, FIRST_ORDER + n % ORDERS);
            let request = format!(
                "POST {} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nuser-agent: SeloraX-Webhook/1.0\r\n\
                 x-selorax-signature: {}\r\nx-selorax-timestamp: {seconds}\r\n\
                 x-selorax-webhook-event: order.status_changed\r\nx-selorax-webhook-event-id: {id}\r\n\
                 x-selorax-idempotency-key: {id}\r\nx-selorax-delivery-id: {id}\r\ncontent-length: {}\r\n\r\n{body}",
                self.path,
                self.address,
                secret.sign(&seconds, &body),
                body.len(),
            );
            shares[n % self.connections].push(request.into_bytes());
        }
        Ok(shares)
    }
}

/// With the fields that the platform documents.
fn body(id: &str, order: usize) -> String {
    format!(
        r#"{{"event_id":"{id}","event_topic":"order.status_changed","store_id":22,"timestamp":"2026-03-01T10:30:00.000Z","data":{{"order_id":{order},"order_number":"ORD-{order}","customer_name":"Rahim Uddin","customer_phone":"+8801712345678","total":1500.0,"tracking_id":"TRACK{order}","store_name":"Phuler Dokan","status":"confirmed","previous_status":"pending"}}}}"#
    )
}

/// One connection that is kept open.
struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Line {
    fn new(stream: TcpStream) -> Line {
        Line {
            stream,
            read: Vec::with_capacity(1024),
        }
    }

    async fn send(mut self, requests: Vec<Vec<u8>>) -> anyhow::Result<Vec<Duration>> {
        let mut waits = Vec::with_capacity(requests.len());
        for request in requests {
            let began = Instant::now();
            self.stream.write_all(&request).await?;
            self.answer().await?;
            waits.push(began.elapsed());
        }
        Ok(waits)
    }

    /// Reads one answer to its end.
    async fn answer(&mut self) -> anyhow::Result<()> {
        self.read.clear();
        loop {
            anyhow::ensure!(self.read.len() < ANSWER_BYTES_MAX, "an answer without an end");
            let count = self.stream.read_buf(&mut self.read).await?;
            anyhow::ensure!(count > 0, "the receiver closed a connection");
            if let Some(bytes) = whole(&self.read)? {
                anyhow::ensure!(bytes == self.read.len(), "more than one answer to a call");
                return Ok(());
            }
        }
    }
}

/// The length of the answer, once all of it is there. Any but that a new event was taken is an error.
fn whole(read: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&read[..end]).context("an odd answer")?;
    anyhow::ensure!(head.starts_with("HTTP/1.1 2"), "a call was answered: {head}");
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length: usize = length.context("an answer without a length")?.parse()?;
    let bytes = end + 4 + length;
    let Some(body) = read.get(end + 4..bytes) else {
        return Ok(None);
    };
    anyhow::ensure!(
        body == ACCEPTED,
        "a call was answered: {}",
        String::from_utf8_lossy(body)
    );
    Ok(Some(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body_and_must_be_good() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}";
        assert_eq!(whole(good).unwrap(), Some(good.len()));
        assert_eq!(whole(&good[..good.len() - 1]).unwrap(), None);
        assert_eq!(whole(&good[..20]).unwrap(), None);
        assert!(whole(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
        assert!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").is_err());
    }

    #[test]
    fn every_event_is_another_one_and_all_orders_are_named() {
        let load = Load {
            address: ([127, 0, 0, 1], 1).into(),
            path: "/".to_owned(),
            secret: "whsec_0123456789".to_owned(),
            connections: 3,
            events: 1_000,
        };
        let requests: Vec<Vec<u8>> = load.requests().unwrap().into_iter().flatten().collect();
        let bodies = requests.iter().map(|request| {
            let at = request.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
            serde_json::from_slice::<serde_json::Value>(&request[at + 4..]).unwrap()
        });
        let (ids, orders): (Vec<_>, Vec<_>) = bodies
            .map(|body| (body["event_id"].to_string(), body["data"]["order_id"].to_string()))
            .unzip();
        let ids: std::collections::BTreeSet<_> = ids.into_iter().collect();
        let orders: std::collections::BTreeSet<_> = orders.into_iter().collect();
        assert_eq!((ids.len(), orders.len()), (1_000, ORDERS));
    }
}
