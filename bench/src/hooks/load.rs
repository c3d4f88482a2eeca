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
const ACCEPTED: &str = r#"{"status":"accepted"}"#;
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
        let at = |percent| percentile(&waits, percent);
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
            let request = request(self.address, &self.path, &secret, &seconds, &event(load, n));
            shares[n % self.connections].push(request);
        }
        Ok(shares)
    }
}

/// Of so many hundredths of them, the slowest; in microseconds.
pub(crate) fn percentile(sorted: &[Duration], percent: usize) -> u128 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).map_or(0, Duration::as_micros)
}

/// An event's id, and its body with the fields that the platform documents.
pub(crate) fn event(load: u32, n: usize) -> (String, String) {
    let id = format!("{load:08x}-0000-4000-a000-{n:012x}");
    let order = FIRST_ORDER + n % ORDERS;
    let body = format!(
        r#"{{"event_id":"{id}","event_topic":"order.status_changed","store_id":22,"timestamp":"2026-03-01T10:30:00.000Z","data":{{"order_id":{order},"order_number":"ORD-{order}","customer_name":"Rahim Uddin","customer_phone":"+8801712345678","total":1500.0,"tracking_id":"TRACK{order}","store_name":"Phuler Dokan","status":"confirmed","previous_status":"pending"}}}}"#
    );
    (id, body)
}

/// A call as the platform makes it.
pub(crate) fn request(
    address: SocketAddr,
    path: &str,
    secret: &Secret,
    seconds: &str,
    (id, body): &(String, String),
) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/json\r\nuser-agent: SeloraX-Webhook/1.0\r\n\
         x-selorax-signature: {}\r\nx-selorax-timestamp: {seconds}\r\n\
         x-selorax-webhook-event: order.status_changed\r\nx-selorax-webhook-event-id: {id}\r\n\
         x-selorax-idempotency-key: {id}\r\nx-selorax-delivery-id: {id}\r\ncontent-length: {}\r\n\r\n{body}",
        secret.sign(seconds, body),
        body.len(),
    )
    .into_bytes()
}

/// One connection that is kept open.
pub(crate) struct Line {
    stream: TcpStream,
    read: Vec<u8>,
}

impl Line {
    pub(crate) fn new(stream: TcpStream) -> Line {
        Line {
            stream,
            read: Vec::with_capacity(1024),
        }
    }

    async fn send(mut self, requests: Vec<Vec<u8>>) -> anyhow::Result<Vec<Duration>> {
        let mut waits = Vec::with_capacity(requests.len());
        for request in requests {
            let began = Instant::now();
            self.call(&request).await?;
            waits.push(began.elapsed());
        }
        Ok(waits)
    }

    /// Sends one event. Any answer but that a new event was taken is an error.
    pub(crate) async fn call(&mut self, request: &[u8]) -> anyhow::Result<()> {
        let answer = self.answered(request).await?;
        anyhow::ensure!(
            answer.starts_with("HTTP/1.1 2") && answer.ends_with(ACCEPTED),
            "a call was answered: {answer}"
        );
        Ok(())
    }

    /// Sends one call, and reads its answer to the end.
    pub(crate) async fn answered(&mut self, request: &[u8]) -> anyhow::Result<&str> {
        self.stream.write_all(request).await?;
        self.read.clear();
        loop {
            anyhow::ensure!(self.read.len() < ANSWER_BYTES_MAX, "an answer without an end");
            let count = self.stream.read_buf(&mut self.read).await?;
            anyhow::ensure!(count > 0, "the receiver closed a connection");
            if let Some(bytes) = whole(&self.read)? {
                anyhow::ensure!(bytes == self.read.len(), "more than one answer to a call");
                return std::str::from_utf8(&self.read).context("an odd answer");
            }
        }
    }
}

/// The length of the answer, once all of it is there.
fn whole(read: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&read[..end]).context("an odd answer")?;
    let length = head.split("\r\n").find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim())
    });
    let length: usize = length.context("an answer without a length")?.parse()?;
    let bytes = end + 4 + length;
    Ok((read.len() >= bytes).then_some(bytes))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_with_its_body() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 21\r\n\r\n{\"status\":\"accepted\"}";
        assert_eq!(whole(good).unwrap(), Some(good.len()));
        assert_eq!(whole(&good[..good.len() - 1]).unwrap(), None);
        assert_eq!(whole(&good[..20]).unwrap(), None);
        assert!(whole(b"HTTP/1.1 200 OK\r\n\r\n").is_err());
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
