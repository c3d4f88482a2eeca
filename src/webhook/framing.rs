//! One message framing. The library behind this takes line ends, repeated lengths and two framings at once that
//! proxies in front may read otherwise (request smuggling, RFC 9112 section 11.2), and it has no time limit of its
//! own for a head that comes slowly. So each head is held back until it is whole and beyond doubt; what is not is
//! answered here, and the connection ends.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use super::doors::Door;

/// A request line with all headers. The platform's have about 500 bytes.
pub(super) const HEAD_BYTES_MAX: usize = 16 << 10;
/// How long a peer may take to say something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    /// Until the first byte of the first request, and of any further one.
    first_byte: Duration,
    next_byte: Duration,
    /// From its first byte to the end of a head.
    head: Duration,
    /// For taking some of what we answer.
    answer: Duration,
}

pub(super) const TIMES: Times = Times {
    first_byte: Duration::from_secs(10),
    next_byte: Duration::from_secs(75),
    head: Duration::from_secs(10),
    answer: Duration::from_secs(10),
};
/// After a refusal the rest of what comes is read and dropped, so that the peer gets to read the answer.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: usize = 1 << 20;
const READ_BYTES: usize = 8 << 10;

/// Why a head is not handed on, as the status that says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spoiled {
    Malformed,
    TooSlow,
    UriTooLong,
    HeadTooLarge,
}

impl Spoiled {
    fn answer(self) -> &'static [u8] {
        match self {
            Spoiled::Malformed => b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Spoiled::TooSlow => b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Spoiled::UriTooLong => b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
            Spoiled::HeadTooLarge => {
                b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            }
        }
    }
}

/// How the bytes behind a head are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length(u64),
    Chunked,
}

enum State {
    /// Nothing of the next request was read.
    Idle,
    Head,
    /// So many bytes of a body are still to come.
    Body(u64),
    /// A chunked body: the connection ends behind it, so nothing that follows is taken for a request.
    Last,
    Refusing {
        why: Spoiled,
        written: usize,
    },
    Lingering {
        dropped: usize,
    },
    Over,
}

pub(super) struct Framed<S> {
    inner: S,
    state: State,
    /// What was read. The first `checked` bytes may be handed on, from `handed` on.
    held: Vec<u8>,
    checked: usize,
    handed: usize,
    /// Where the search for the end of the head goes on.
    scanned: usize,
    deadline: Option<Pin<Box<Sleep>>>,
    /// Run while the peer takes nothing of what is written, and of what is flushed.
    writing: Option<Pin<Box<Sleep>>>,
    flushing: Option<Pin<Box<Sleep>>>,
    requests: u64,
    door: Arc<Door>,
    times: Times,
}

impl<S> Framed<S> {
    pub(super) fn new(inner: S, door: Arc<Door>, times: Times) -> Framed<S> {
        Framed {
            inner,
            state: State::Idle,
            held: Vec::new(),
            checked: 0,
            handed: 0,
            scanned: 0,
            deadline: None,
            writing: None,
            flushing: None,
            requests: 0,
            door,
            times,
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.deadline = None;
    }

    /// Looks at what was read and is not checked yet.
    fn look(&mut self) {
        loop {
            let unseen = self.held.len() - self.checked;
            match self.state {
                State::Idle if unseen > 0 => self.turn(State::Head),
                State::Head => match self.head() {
                    Ok(Some(framing)) => {
                        self.requests += 1;
                        self.door.busy();
                        self.turn(match framing {
                            Framing::Length(0) => State::Idle,
                            Framing::Length(bytes) => State::Body(bytes),
                            Framing::Chunked => State::Last,
                        });
                    }
                    Ok(None) => return,
                    Err(why) => {
                        self.held.truncate(self.checked);
                        return self.turn(State::Refusing { why, written: 0 });
                    }
                },
                State::Body(left) => {
                    let now = left.min(unseen as u64);
                    self.checked += usize::try_from(now).unwrap_or(unseen);
                    if now < left {
                        self.state = State::Body(left - now);
                        return;
                    }
                    self.scanned = self.checked;
                    self.door.busy();
                    self.turn(State::Idle);
                }
                State::Last => {
                    self.checked = self.held.len();
                    return;
                }
                State::Idle | State::Refusing { .. } | State::Lingering { .. } | State::Over => return,
            }
        }
    }

    /// Checks the head that begins at `checked`, if it is whole.
    fn head(&mut self) -> Result<Option<Framing>, Spoiled> {
        let head = &self.held[self.checked..];
        let from = (self.scanned - self.checked).saturating_sub(3);
        let end = head[from..].windows(4).position(|four| four == b"\r\n\r\n");
        let Some(end) = end.map(|at| from + at + 4) else {
            self.scanned = self.held.len();
            if head.len() > HEAD_BYTES_MAX {
                let has_line = head.contains(&b'\n');
                return Err(if has_line {
                    Spoiled::HeadTooLarge
                } else {
                    Spoiled::UriTooLong
                });
            }
            // A line end that is none will not become one.
            return if strict_lines(head) {
                Ok(None)
            } else {
                Err(Spoiled::Malformed)
            };
        };
        let framing = framing(&head[..end])?;
        self.checked += end;
        self.scanned = self.checked;
        Ok(Some(framing))
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let ready = &self.held[self.handed..self.checked];
        if ready.is_empty() {
            return false;
        }
        let count = ready.len().min(buf.remaining());
        buf.put_slice(&ready[..count]);
        self.handed += count;
        if self.handed == self.checked {
            self.held.drain(..self.handed);
            self.scanned = self.scanned.saturating_sub(self.handed);
            (self.handed, self.checked) = (0, 0);
        }
        true
    }

    /// The time that the peer has for what is awaited now; a body's time is the reader's business.
    fn patience(&self) -> Option<Duration> {
        match self.state {
            State::Idle if self.requests == 0 => Some(self.times.first_byte),
            State::Idle => Some(self.times.next_byte),
            State::Head => Some(self.times.head),
            State::Refusing { .. } | State::Lingering { .. } => Some(LINGER),
            State::Body(_) | State::Last | State::Over => None,
        }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(patience) = self.patience() else { return false };
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        deadline.as_mut().poll(cx).is_ready()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Framed<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.hand_on(buf) {
                return Poll::Ready(Ok(()));
            }
            match this.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Refusing { why, written } => {
                    let answer = &why.answer()[written..];
                    match Pin::new(&mut this.inner).poll_write(cx, answer) {
                        Poll::Ready(Ok(count)) if count < answer.len() && count > 0 => {
                            this.state = State::Refusing {
                                why,
                                written: written + count,
                            };
                        }
                        Poll::Ready(Ok(_)) => this.turn(State::Lingering { dropped: 0 }),
                        Poll::Ready(Err(_)) => this.turn(State::Over),
                        Poll::Pending if this.is_late(cx) => this.turn(State::Over),
                        Poll::Pending => return Poll::Pending,
                    }
                    continue;
                }
                _ => {}
            }
            let mut bytes = [0; READ_BYTES];
            let mut read = ReadBuf::new(&mut bytes);
            match Pin::new(&mut this.inner).poll_read(cx, &mut read) {
                Poll::Ready(done) => {
                    done?;
                    let read = read.filled();
                    match this.state {
                        _ if read.is_empty() => {
                            this.turn(State::Over);
                        }
                        State::Lingering { dropped } if dropped + read.len() < LINGER_BYTES_MAX => {
                            this.state = State::Lingering {
                                dropped: dropped + read.len(),
                            };
                        }
                        State::Lingering { .. } => this.turn(State::Over),
                        _ => {
                            this.held.extend_from_slice(read);
                            this.look();
                        }
                    }
                }
                Poll::Pending => {
                    // Whoever owes us the rest of what they began is as silent as one who says nothing.
                    this.door.idle();
                    if !this.is_late(cx) {
                        return Poll::Pending;
                    }
                    let is_head = matches!(this.state, State::Head);
                    if is_head {
                        this.held.truncate(this.checked);
                        let why = Spoiled::TooSlow;
                        this.turn(State::Refusing { why, written: 0 });
                    } else {
                        this.turn(State::Over);
                    }
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.inner).poll_write(cx, buf);
        in_time(&mut this.writing, this.times.answer, cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.inner).poll_flush(cx);
        in_time(&mut this.flushing, this.times.answer, cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        in_time(&mut this.writing, this.times.answer, cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

/// A peer that takes nothing for so long is given up: while an answer waits to be taken nothing else would end the
/// connection, since nothing more is read from it.
fn in_time<T>(
    stalled: &mut Option<Pin<Box<Sleep>>>,
    patience: Duration,
    cx: &mut Context<'_>,
    polled: Poll<io::Result<T>>,
) -> Poll<io::Result<T>> {
    if polled.is_ready() {
        *stalled = None;
        return polled;
    }
    let deadline = stalled.get_or_insert_with(|| Box::pin(sleep(patience)));
    ready!(deadline.as_mut().poll(cx));
    Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
}

/// Whether every line end is CR LF, no CR stands elsewhere, and no line goes on in the next one. A CR at the very end
/// may still become a line end.
fn strict_lines(head: &[u8]) -> bool {
    if head.starts_with(b"\r") || head.starts_with(b"\n") {
        return false;
    }
    let mut before = 0;
    for (at, byte) in head.iter().enumerate() {
        let fits = match byte {
            b'\n' => before == b'\r',
            b' ' | b'\t' if before == b'\n' => false,
            _ => before != b'\r' || at == 0,
        };
        if !fits {
            return false;
        }
        before = *byte;
    }
    true
}

/// How the body behind this head is framed; there must be exactly one way to read it.
fn framing(head: &[u8]) -> Result<Framing, Spoiled> {
    if !strict_lines(head) {
        return Err(Spoiled::Malformed);
    }
    let mut lines = head.split(|byte| *byte == b'\n');
    let request = lines.next().unwrap_or_default();
    let mut framing = None;
    for line in lines {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else {
            continue;
        };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        let found = if name.eq_ignore_ascii_case(b"content-length") {
            let digits = !value.is_empty() && value.len() <= 18 && value.iter().all(u8::is_ascii_digit);
            let length = std::str::from_utf8(value).ok().filter(|_| digits);
            Framing::Length(length.and_then(|text| text.parse().ok()).ok_or(Spoiled::Malformed)?)
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_1_1 = request.trim_ascii_end().ends_with(b"HTTP/1.1");
            if !is_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Spoiled::Malformed);
            }
            Framing::Chunked
        } else {
            continue;
        };
        if framing.replace(found).is_some() {
            return Err(Spoiled::Malformed);
        }
    }
    Ok(framing.unwrap_or(Framing::Length(0)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    const SHORT: Times = Times {
        first_byte: Duration::from_millis(200),
        next_byte: Duration::from_millis(200),
        head: Duration::from_millis(200),
        answer: Duration::from_millis(200),
    };

    fn of(head: &str) -> Result<Framing, Spoiled> {
        framing(head.as_bytes())
    }

    #[test]
    fn wh_24_only_one_way_to_read_a_message_is_taken() {
        let good = [
            ("POST / HTTP/1.1\r\nContent-Length: 12\r\n\r\n", Framing::Length(12)),
            (
                "POST / HTTP/1.1\r\ncontent-length:12\r\nA: b\r\n\r\n",
                Framing::Length(12),
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n",
                Framing::Chunked,
            ),
            ("GET / HTTP/1.1\r\nA: b\r\n\r\n", Framing::Length(0)),
        ];
        for (head, framing) in good {
            assert_eq!(of(head), Ok(framing), "{head:?}");
        }
        for head in [
            "POST / HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 2\r\ncontent-length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 2, 2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: +2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: -2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 0x2\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nTransfer-Encoding: identity\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nA: b\r\n c\r\n\r\n",
            "POST / HTTP/1.1\r\nA: b\r\n\tc\r\n\r\n",
            "POST / HTTP/1.1\nA: b\r\n\r\n",
            "POST / HTTP/1.1\r\nA: b\n\r\n\r\n",
            "POST / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "\r\nPOST / HTTP/1.1\r\n\r\n",
        ] {
            assert_eq!(of(head), Err(Spoiled::Malformed), "{head:?}");
        }
    }

    /// What comes out of the guard, and what it answers, when these pieces arrive.
    async fn through(pieces: &[&[u8]]) -> (Vec<u8>, Vec<u8>) {
        let (near, far) = duplex(1 << 20);
        let mut framed = Framed::new(near, Arc::default(), SHORT);
        let (mut answers, mut sends) = tokio::io::split(far);
        let read = async {
            let mut out = Vec::new();
            framed.read_to_end(&mut out).await.unwrap();
            drop(framed);
            out
        };
        let write = async {
            for piece in pieces {
                sends.write_all(piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            sends.shutdown().await.unwrap();
            let mut answer = Vec::new();
            answers.read_to_end(&mut answer).await.unwrap();
            answer
        };
        tokio::join!(read, write)
    }

    #[tokio::test]
    async fn what_is_beyond_doubt_passes_byte_for_byte_however_it_is_cut() {
        let one = b"POST /a HTTP/1.1\r\nContent-Length: 7\r\n\r\nab\r\n\r\nc".as_slice();
        let two = b"GET /b HTTP/1.1\r\nHost: x\r\n\r\n".as_slice();
        let three = b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".as_slice();
        let all = [one, two, three].concat();
        for cut in 1..all.len() {
            let (first, rest) = all.split_at(cut);
            let (out, answer) = through(&[first, rest]).await;
            assert_eq!((out, answer.len()), (all.clone(), 0), "cut at {cut}");
        }
        let bytes: Vec<&[u8]> = all.chunks(1).collect();
        assert_eq!(through(&bytes).await.0, all);
    }

    #[tokio::test]
    async fn wh_24_behind_a_good_request_a_doubtful_one_is_not_handed_on() {
        let good = b"POST /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nok".as_slice();
        let bad = b"POST /b HTTP/1.1\nContent-Length: 2\r\n\r\nno".as_slice();
        for pieces in [vec![[good, bad].concat()], vec![good.to_vec(), bad.to_vec()]] {
            let pieces: Vec<&[u8]> = pieces.iter().map(Vec::as_slice).collect();
            let (out, answer) = through(&pieces).await;
            assert_eq!(out, good);
            assert!(
                answer.starts_with(b"HTTP/1.1 400 "),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    }

    #[tokio::test]
    async fn wh_27_a_head_that_is_too_long_is_answered_and_not_kept() {
        let uri = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(64 << 10));
        assert!(through(&[uri.as_bytes()]).await.1.starts_with(b"HTTP/1.1 414 "));
        let headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(4 << 10));
        assert!(through(&[headers.as_bytes()]).await.1.starts_with(b"HTTP/1.1 431 "));
    }

    #[tokio::test]
    async fn wh_11_a_head_that_comes_slowly_is_cut_off_though_it_comes() {
        let (near, mut far) = duplex(1 << 10);
        let mut framed = Framed::new(near, Arc::default(), SHORT);
        let drip = async {
            let mut answer = Vec::new();
            let mut sent = 0;
            for byte in b"POST / HTTP/1.1\r\nContent-Length: 1\r\n".iter().chain(&[b'a'; 400]) {
                if far.write_all(&[*byte]).await.is_err() {
                    break;
                }
                sent += 1;
                sleep(SHORT.head / 20).await;
            }
            far.read_to_end(&mut answer).await.unwrap();
            (answer, sent)
        };
        let read = async {
            let mut out = Vec::new();
            framed.read_to_end(&mut out).await.unwrap();
            drop(framed);
            out
        };
        let ((answer, sent), out) = tokio::join!(drip, read);
        assert!(answer.starts_with(b"HTTP/1.1 408 ") && out.is_empty());
        assert!(sent < 400, "it was cut off while it was still sending");
    }

    #[tokio::test]
    async fn wh_17_a_peer_that_takes_no_answer_is_given_up_and_one_that_takes_it_slowly_is_not() {
        let (near, mut far) = duplex(16);
        let mut framed = Framed::new(near, Arc::default(), SHORT);
        let slow = async {
            let mut taken = [0; 16];
            for _ in 0..8 {
                sleep(SHORT.answer / 2).await;
                far.read_exact(&mut taken).await.unwrap();
            }
            far
        };
        let all = [b'x'; 16 * 9];
        let (written, far) = tokio::join!(framed.write_all(&all), slow);
        written.unwrap();
        let stuck = framed.write_all(&[b'y'; 16]).await.unwrap_err();
        assert_eq!(stuck.kind(), io::ErrorKind::TimedOut);
        drop(far);
    }

    #[tokio::test]
    async fn wh_17_a_connection_that_says_nothing_is_let_go() {
        let (near, _far) = duplex(1 << 10);
        let mut framed = Framed::new(near, Arc::default(), SHORT);
        assert_eq!(framed.read(&mut [0; 8]).await.unwrap(), 0);
        assert!(matches!(framed.state, State::Over));
    }
}
