//! Reads HTTP/1.1 requests off a connection and sends answers back; by hand, because the ordered faults need the socket itself.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::Answer;
use crate::plan::Wire;
use crate::wire;

const HEAD_BYTES_MAX: usize = 64 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;

/// One request as it came.
#[derive(Debug, Default)]
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pairs: Vec<(String, String)>,
}

impl Incoming {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|header| header.0 == name)
            .map(|header| header.1.as_str())
    }

    /// The decoded query parameters.
    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    pub(crate) fn query_value(&self, name: &str) -> Option<&str> {
        self.pairs
            .iter()
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1.as_str())
    }
}

/// Who answers the requests of a port.
pub(crate) trait Site: Send + Sync + 'static {
    /// The answer, and how it is to travel. It never waits.
    fn respond(&self, incoming: &Incoming) -> (Answer, Wire);

    /// Somebody has connected.
    fn connected(&self) {}
}

/// What reading a request came to.
enum Read {
    Request(Box<Incoming>),
    /// The client has gone.
    End,
    /// Not something this server takes; the connection closes after the answer.
    Refused(u16, &'static str),
}

/// Serves one connection until it ends. Errors of the connection end it and concern nobody else.
pub(crate) async fn serve<S: Site>(mut stream: TcpStream, site: Arc<S>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let incoming = match read(&mut stream, &mut buffer).await? {
            Read::Request(incoming) => incoming,
            Read::End => return Ok(()),
            Read::Refused(code, message) => {
                let answer = Answer::error(code, "bad_request", message);
                wire::send(&mut stream, &answer, Wire::SOUND, true).await?;
                return Ok(());
            }
        };
        let (answer, way) = site.respond(&incoming);
        let close = incoming
            .header("connection")
            .is_some_and(|value| value.eq_ignore_ascii_case("close"));
        let open = wire::send(&mut stream, &answer, way, close).await?;
        if close || !open {
            return Ok(());
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Read> {
    let head_end = loop {
        if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > HEAD_BYTES_MAX {
            return Ok(Read::Refused(431, "Request head too large"));
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::End);
        }
    };
    let head = String::from_utf8_lossy(buffer.get(..head_end).unwrap_or(&[])).into_owned();
    let Some(mut incoming) = parse(&head) else {
        return Ok(Read::Refused(400, "Malformed request"));
    };
    if incoming.header("transfer-encoding").is_some() {
        return Ok(Read::Refused(411, "Content-Length required"));
    }
    let length = match incoming.header("content-length").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(length)) if length <= BODY_BYTES_MAX => length,
        Some(Ok(_)) => return Ok(Read::Refused(413, "Body too large")),
        Some(Err(_)) => return Ok(Read::Refused(400, "Malformed Content-Length")),
    };
    if length > 0 && incoming.header("expect").is_some() {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body_start = head_end + 4;
    while buffer.len() < body_start + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(Read::End);
        }
    }
    incoming.body = buffer.get(body_start..body_start + length).unwrap_or(&[]).to_vec();
    buffer.drain(..body_start + length);
    Ok(Read::Request(Box::new(incoming)))
}

fn parse(head: &str) -> Option<Incoming> {
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.split(' ');
    let (method, target, version) = (first.next()?, first.next()?, first.next()?);
    if first.next().is_some() || !version.starts_with("HTTP/1.") || !target.starts_with('/') {
        return None;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let headers = lines
        .map(|line| {
            line.split_once(':')
                .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        })
        .collect::<Option<Vec<_>>>()?;
    Some(Incoming {
        method: method.to_owned(),
        path: decode(path),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
        pairs: form(query),
    })
}

/// The decoded pairs of a query, or of a body in its form.
pub(crate) fn form(text: &str) -> Vec<(String, String)> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs.map(decode_pair).collect()
}

fn decode_pair(pair: &str) -> (String, String) {
    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
    (decode(&name.replace('+', " ")), decode(&value.replace('+', " ")))
}

/// Percent-decoding; what is no escape stays as it is.
fn decode(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        let escaped = match tail {
            [high, low, ..] if byte == b'%' => hex(*high).zip(hex(*low)).map(|(high, low)| high * 16 + low),
            _ => None,
        };
        out.push(escaped.unwrap_or(byte));
        rest = if escaped.is_some() {
            tail.get(2..).unwrap_or(&[])
        } else {
            tail
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
