//! A client that shows exactly what came over the wire, broken or not.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use sandbox::{Options, Sandbox};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What came back, as far as it came.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How the answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum End {
    /// All bytes `Content-Length` promised.
    #[default]
    Complete,
    /// The connection closed, before the promised end or because none was promised.
    Closed,
    Reset,
    /// Nothing more came for as long as the client was ready to wait.
    Silent,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).first().copied()
    }

    pub(crate) fn headers(&self, name: &str) -> Vec<&str> {
        let wanted = format!("{}:", name.to_lowercase());
        let lines = self
            .head
            .lines()
            .filter(|line| line.to_lowercase().starts_with(&wanted));
        lines.map(|line| line[wanted.len()..].trim()).collect()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn ids(&self) -> Vec<i64> {
        self.ids_under("order_id")
    }

    pub(crate) fn ids_under(&self, name: &str) -> Vec<i64> {
        let json = self.json();
        let rows = json["data"].as_array().unwrap();
        rows.iter().map(|row| row[name].as_i64().unwrap()).collect()
    }
}

/// A shop that holds orders and nothing else.
pub(crate) async fn shop(orders: usize) -> Sandbox {
    Sandbox::start(only(orders)).await.unwrap()
}

pub(crate) fn only(orders: usize) -> Options {
    Options {
        orders,
        customers: 0,
        products: 0,
        categories: 0,
        discounts: 0,
        ..Options::default()
    }
}

pub(crate) async fn started(options: Options) -> Sandbox {
    Sandbox::start(options).await.unwrap()
}

/// A request below `/api/apps/v1` with the right client credentials.
pub(crate) async fn get(sandbox: &Sandbox, path: &str) -> Reply {
    ask(sandbox, "GET", path, "").await
}

pub(crate) async fn ask(sandbox: &Sandbox, method: &str, path: &str, body: &str) -> Reply {
    let access = sandbox.world().access();
    let store = access.store_id.to_string();
    let headers = [
        ("X-Client-Id", &*access.client_id),
        ("X-Client-Secret", &access.client_secret),
        ("X-Store-Id", &store),
    ];
    send(sandbox.addr(), method, &format!("/api/apps/v1{path}"), &headers, body).await
}

pub(crate) async fn send(addr: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Reply {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    exchange(&mut stream, method, target, headers, body).await
}

/// One request and its answer on an open connection.
pub(crate) async fn exchange(
    stream: &mut TcpStream,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Reply {
    let mut request = format!("{method} {target} HTTP/1.1\r\nHost: sandbox\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    stream.write_all(request.as_bytes()).await.unwrap();
    receive(stream, Duration::from_secs(10)).await
}

/// As `get`, for an answer that is expected never to end: gives up after 200 ms without a byte.
pub(crate) async fn get_impatiently(sandbox: &Sandbox, path: &str) -> Reply {
    let token = sandbox.world().access().access_token;
    let mut stream = TcpStream::connect(sandbox.addr()).await.unwrap();
    let head = format!("GET /api/apps/v1{path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    receive(&mut stream, Duration::from_millis(200)).await
}

async fn receive(stream: &mut TcpStream, patience: Duration) -> Reply {
    let mut all = Vec::new();
    let mut reply = Reply::default();
    let mut wanted = None;
    loop {
        if wanted.is_none()
            && let Some(end) = all.windows(4).position(|four| four == b"\r\n\r\n")
        {
            reply.head = String::from_utf8(all[..end].to_vec()).unwrap();
            reply.status = reply.head.split(' ').nth(1).unwrap().parse().unwrap();
            let length = reply
                .header("content-length")
                .map(|length| length.parse::<usize>().unwrap());
            wanted = Some((end + 4, length));
        }
        if let Some((start, Some(length))) = wanted
            && all.len() >= start + length
        {
            break;
        }
        let end = match timeout(patience, stream.read_buf(&mut all)).await {
            Ok(Ok(0)) => End::Closed,
            Ok(Ok(_)) => continue,
            Ok(Err(_)) => End::Reset,
            Err(_) => End::Silent,
        };
        reply.end = end;
        break;
    }
    reply.body = wanted.map(|(start, _)| all[start..].to_vec()).unwrap_or_default();
    reply
}

/// Reads every page of a query (which ends in `?…`); the pages' ids one after the other.
pub(crate) async fn walk(sandbox: &Sandbox, query: &str) -> Vec<i64> {
    walk_of(sandbox, "/orders", query, "order_id").await
}

pub(crate) async fn walk_of(sandbox: &Sandbox, path: &str, query: &str, name: &str) -> Vec<i64> {
    let mut ids = Vec::new();
    for page in 1..1_000 {
        let reply = get(sandbox, &format!("{path}{query}&page={page}")).await;
        assert_eq!(reply.status, 200);
        let page_ids = reply.ids_under(name);
        if page_ids.is_empty() {
            break;
        }
        ids.extend(page_ids);
    }
    ids
}

pub(crate) fn set(ids: &[i64]) -> BTreeSet<i64> {
    ids.iter().copied().collect()
}
