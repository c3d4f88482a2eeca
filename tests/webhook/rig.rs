//! A daemon that receives webhooks, and someone who sends them: byte by byte, signed with the platform's rule.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::{CANARY, Desk, Running, Setup, Shop};

/// So rarely that in a test a flow runs only at its start.
pub(super) const HARDLY_EVER: &str = "    schedule: \"0 0 1 1 *\"\n";
pub(super) const PATH: &str = "/webhooks/selorax";

pub(super) fn secret() -> String {
    format!("whsec_{CANARY}{}", "9".repeat(50))
}

/// An address of this machine where nobody listens.
pub(super) fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

pub(super) struct Hooked {
    pub(super) desk: Desk,
    pub(super) address: SocketAddr,
}

impl Hooked {
    pub(super) fn new(shop: &Shop) -> Hooked {
        Hooked::with(shop, "", |_| {})
    }

    /// With further keys of `webhooks`, and a setup changed to the test's liking.
    pub(super) fn with(shop: &Shop, keys: &str, change: impl FnOnce(&mut Setup)) -> Hooked {
        let address = free_address();
        let mut setup = Setup {
            flow: HARDLY_EVER.to_owned(),
            max_wait: "1s".to_owned(),
            webhooks: format!("webhooks:\n  listen: {address}\n  secrets: [\"${{file:./hook-secret}}\"]\n{keys}"),
            ..Setup::default()
        };
        change(&mut setup);
        let desk = Desk::with(shop, setup);
        desk.write("hook-secret", &secret());
        Hooked { desk, address }
    }

    /// The daemon, once it has brought the history over and receives.
    pub(super) fn daemon(&self) -> Running {
        let mut daemon = self.desk.daemon();
        self.await_receiver(&mut daemon);
        self.desk.settle_beside();
        daemon
    }

    pub(super) fn await_receiver(&self, daemon: &mut Running) {
        daemon.until("the receiver", || TcpStream::connect(self.address).is_ok());
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// The receiver as its callers know it, for threads of a test.
    pub(super) fn door(&self) -> Door {
        Door(self.address)
    }

    pub(super) fn connect(&self) -> Line {
        self.door().connect()
    }

    pub(super) fn send(&self, event: &Event) -> Answer {
        self.door().send(event)
    }

    /// Waits until the files hold what the shop's truth says.
    pub(super) fn wait_until(&self, daemon: &mut Running, shop: &Shop) {
        let most = self.desk.setup.max_records;
        daemon.until("all changes in files", || {
            crate::support::complaints(&self.desk.out(), shop.world(), most).is_empty()
        });
    }
}

#[derive(Clone, Copy)]
pub(super) struct Door(SocketAddr);

impl Door {
    pub(super) fn connect(self) -> Line {
        Line::to(self.0)
    }

    /// One event on a connection of its own.
    pub(super) fn send(self, event: &Event) -> Answer {
        self.connect().send(&event.request())
    }

    /// The same while the daemon may be gone.
    pub(super) fn try_send(self, event: &Event) -> Option<Answer> {
        let stream = TcpStream::connect(self.0).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).ok()?;
        Line(stream).try_send(&event.request()).ok()
    }
}

/// An event on its way.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) body: String,
    pub(super) timestamp: String,
    pub(super) secret: String,
    /// Replaces or adds to the usual headers.
    pub(super) headers: Vec<(String, String)>,
}

/// The body of an event of store 22.
pub(super) fn body(id: &str, topic: &str, data: &str) -> String {
    format!(
        r#"{{"event_id":"{id}","event_topic":"{topic}","store_id":22,"timestamp":"2026-03-01T10:30:00.000Z","data":{data}}}"#
    )
}

impl Event {
    /// Signed now, by the store's clock.
    pub(super) fn of_body(shop: &Shop, body: &str) -> Event {
        Event {
            body: body.to_owned(),
            timestamp: shop.world().now_ms().div_euclid(1000).to_string(),
            secret: secret(),
            headers: Vec::new(),
        }
    }

    pub(super) fn order(shop: &Shop, id: &str, topic: &str, order: i64) -> Event {
        Event::of_body(shop, &body(id, topic, &format!(r#"{{"order_id":{order}}}"#)))
    }

    /// Signed so many seconds later than now.
    pub(super) fn signed_at(mut self, shop: &Shop, seconds: i64) -> Event {
        self.timestamp = (shop.world().now_ms().div_euclid(1000) + seconds).to_string();
        self
    }

    pub(super) fn header(mut self, name: &str, value: &str) -> Event {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn signature(&self) -> String {
        sandbox::sign(&self.secret, &self.timestamp, self.body.as_bytes())
    }

    pub(super) fn request(&self) -> Vec<u8> {
        let mut headers = vec![
            ("Host".to_owned(), "hooks.example".to_owned()),
            ("Content-Type".to_owned(), "application/json".to_owned()),
            ("X-SeloraX-Signature".to_owned(), self.signature()),
            ("X-SeloraX-Timestamp".to_owned(), self.timestamp.clone()),
            ("Content-Length".to_owned(), self.body.len().to_string()),
        ];
        for (name, value) in &self.headers {
            headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            headers.push((name.clone(), value.clone()));
        }
        let headers = headers.iter().filter(|(_, value)| !value.is_empty());
        let headers: String = headers.map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        format!("POST {PATH} HTTP/1.1\r\n{headers}\r\n{}", self.body).into_bytes()
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn word(&self) -> &str {
        let word = self
            .body
            .strip_prefix("{\"status\":\"")
            .and_then(|rest| rest.strip_suffix("\"}"));
        word.unwrap_or("no status")
    }

    #[track_caller]
    pub(super) fn is(&self, status: u16, word: &str) {
        assert_eq!((self.status, self.word()), (status, word), "{self:?}");
    }

    #[track_caller]
    pub(super) fn is_refused(&self, status: u16) {
        assert_eq!(self.status, status, "{self:?}");
        let told = self.body.to_ascii_lowercase();
        assert!(!self.head.to_ascii_lowercase().contains("server:"), "{self:?}");
        assert!(
            !told.contains("selorax-sync/") && !told.contains(env!("CARGO_PKG_VERSION")),
            "{self:?}"
        );
    }
}

/// One connection to the receiver.
pub(super) struct Line(TcpStream);

impl Line {
    pub(super) fn to(address: SocketAddr) -> Line {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.set_nodelay(true).unwrap();
        Line(stream)
    }

    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_all(bytes)
    }

    pub(super) fn send(&mut self, request: &[u8]) -> Answer {
        self.try_send(request).unwrap()
    }

    pub(super) fn try_send(&mut self, request: &[u8]) -> std::io::Result<Answer> {
        // What refuses a request early may close before all of it is sent.
        self.0.write_all(request).ok();
        self.read()
    }

    pub(super) fn read(&mut self) -> std::io::Result<Answer> {
        let mut read = Vec::new();
        let end = loop {
            if let Some(at) = read.windows(4).position(|four| four == b"\r\n\r\n") {
                break at + 4;
            }
            self.more(&mut read)?;
        };
        let head = String::from_utf8_lossy(&read[..end]).into_owned();
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
        while read.len() < end + length {
            self.more(&mut read)?;
        }
        let status = head.split(' ').nth(1).unwrap_or_default();
        Ok(Answer {
            status: status.parse().unwrap_or(0),
            body: String::from_utf8_lossy(&read[end..end + length]).into_owned(),
            head,
        })
    }

    fn more(&mut self, read: &mut Vec<u8>) -> std::io::Result<()> {
        let mut bytes = [0; 4096];
        match self.0.read(&mut bytes)? {
            0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => {
                read.extend_from_slice(&bytes[..count]);
                Ok(())
            }
        }
    }

    /// Whether the other side has closed it.
    pub(super) fn is_closed(&mut self) -> bool {
        matches!(self.0.read(&mut [0; 16]), Ok(0) | Err(_))
    }
}
