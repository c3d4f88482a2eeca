//! Puts an answer on the socket, whole or in the broken way that was ordered.

use std::io::{self, Write as _};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::answer::{Answer, reason};
use crate::fault::Length;
use crate::plan::{Way, Wire};

/// Sends the answer; returns whether the connection can take another request.
pub(crate) async fn send(stream: &mut TcpStream, answer: &Answer, wire: Wire, close: bool) -> io::Result<bool> {
    if let Some(delay) = wire.delay {
        sleep(delay).await;
    }
    let length = answer.body.len();
    match wire.way {
        Way::Whole => {
            let mut all = head(answer, Some(length), close);
            all.extend_from_slice(&answer.body);
            stream.write_all(&all).await?;
            Ok(!close)
        }
        Way::ResetBefore => reset(stream),
        Way::ResetAfter(bytes) => {
            stream.write_all(&head(answer, Some(length), close)).await?;
            stream.write_all(start(answer, bytes)).await?;
            stream.flush().await?;
            // A reset throws away what the other side has not read yet, so it gets a moment to read.
            sleep(Duration::from_millis(20)).await;
            reset(stream)
        }
        Way::Truncate(bytes, length) => truncate(stream, answer, bytes, length, close).await,
        Way::LongLength(extra) => {
            stream.write_all(&head(answer, Some(length + extra), close)).await?;
            stream.write_all(&answer.body).await?;
            until_gone(stream).await
        }
        Way::Hang => until_gone(stream).await,
        Way::Drip(rate) => {
            stream.write_all(&head(answer, Some(length), close)).await?;
            drip(stream, &answer.body, rate).await?;
            Ok(!close)
        }
        Way::GzipBomb(bytes) => bomb(stream, answer, bytes).await,
    }
}

/// `length` is what `Content-Length` says; without it the connection's end is the body's.
fn head(answer: &Answer, length: Option<usize>, close: bool) -> Vec<u8> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.code, reason(answer.code));
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(length) = length {
        head.push_str(&format!("Content-Length: {length}\r\n"));
    }
    let connection = if close || length.is_none() {
        "close"
    } else {
        "keep-alive"
    };
    head.push_str(&format!("Connection: {connection}\r\n\r\n"));
    head.into_bytes()
}

fn start(answer: &Answer, bytes: usize) -> &[u8] {
    answer.body.get(..bytes).unwrap_or(&answer.body)
}

/// The connection ends with RST instead of FIN as soon as the stream is dropped.
fn reset(stream: &TcpStream) -> io::Result<bool> {
    stream.set_zero_linger()?;
    Ok(false)
}

async fn truncate(
    stream: &mut TcpStream,
    answer: &Answer,
    bytes: usize,
    length: Length,
    close: bool,
) -> io::Result<bool> {
    let part = start(answer, bytes);
    let said = match length {
        Length::Whole => Some(answer.body.len()),
        Length::Cut => Some(part.len()),
        Length::Absent => None,
    };
    let mut all = head(answer, said, close);
    all.extend_from_slice(part);
    stream.write_all(&all).await?;
    if length == Length::Cut {
        return Ok(!close);
    }
    stream.shutdown().await?;
    Ok(false)
}

/// Says nothing more and waits until the client gives up.
async fn until_gone(stream: &mut TcpStream) -> io::Result<bool> {
    stream.flush().await?;
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(false)
}

/// A tenth of the rate ten times a second, or single bytes further apart.
async fn drip(stream: &mut TcpStream, body: &[u8], rate: usize) -> io::Result<()> {
    let rate = u64::try_from(rate).unwrap_or(u64::MAX).max(1);
    let part = (rate / 10).max(1);
    let pause = Duration::from_millis(1_000_u64.saturating_mul(part) / rate);
    for bytes in body.chunks(usize::try_from(part).unwrap_or(usize::MAX)) {
        stream.write_all(bytes).await?;
        stream.flush().await?;
        sleep(pause).await;
    }
    Ok(())
}

/// The answer's JSON with `bytes` spaces after its first brace, compressed while it is sent: none of it is kept.
async fn bomb(stream: &mut TcpStream, answer: &Answer, bytes: u64) -> io::Result<bool> {
    static PART: [u8; 1 << 16] = [b' '; 1 << 16];
    let mut top = head(answer, None, true);
    // The head ends with an empty line; the further header goes before it.
    top.truncate(top.len() - 2);
    top.extend_from_slice(b"Content-Encoding: gzip\r\n\r\n");
    stream.write_all(&top).await?;
    let (first, rest) = answer.body.split_at(usize::from(!answer.body.is_empty()));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(first)?;
    let mut left = bytes;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(PART.len()).min(PART.len());
        packed.write_all(PART.get(..part).unwrap_or(&PART))?;
        left = left.saturating_sub(u64::try_from(part).unwrap_or(left));
        let ready = std::mem::take(packed.get_mut());
        stream.write_all(&ready).await?;
        tokio::task::yield_now().await;
    }
    packed.write_all(rest)?;
    stream.write_all(&packed.finish()?).await?;
    stream.shutdown().await?;
    Ok(false)
}
