//! The log of what clients asked of the platform side, for tests of rates, pauses and credentials.

use std::time::{Duration, Instant};

use crate::fault::Kind;
use crate::resource::Resource;

/// Which credentials a request carried, right or wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    #[default]
    None,
    Bearer,
    Client,
    /// Both at once, which the platform leaves undefined; the token was looked at.
    Both,
}

/// One request to `/api/apps/v1`. Header values are not kept.
#[derive(Clone, Debug)]
pub struct Request {
    /// When it was read, on the machine's monotonic clock.
    pub at: Instant,
    /// The same in world time, ms since 1970.
    pub at_ms: i64,
    pub method: String,
    pub path: String,
    /// Undecoded, without the question mark.
    pub query: String,
    pub resource: Option<Resource>,
    pub kind: Kind,
    /// The id in the path.
    pub record: Option<i64>,
    /// The same, if it is an order's.
    pub order: Option<i64>,
    /// Of a list request, as asked.
    pub page: Option<usize>,
    /// As it came; unreadable bytes replaced.
    pub body: String,
    /// Lower case.
    pub header_names: Vec<String>,
    pub auth: Auth,
    /// `X-Store-Id` beside a token, which no client should send.
    pub store_id_with_bearer: bool,
    /// What was answered (of a reset or a hang: would have been).
    pub status: Option<u16>,
    /// The names of the faults that struck, joined by `+`.
    pub fault: Option<String>,
}

#[derive(Default)]
pub(crate) struct Log {
    requests: Vec<Request>,
    /// Requests cleared away so far.
    cleared: usize,
}

impl Log {
    /// Returns the ticket to complete the entry with.
    pub(crate) fn push(&mut self, request: Request) -> usize {
        self.requests.push(request);
        self.cleared + self.requests.len() - 1
    }

    pub(crate) fn complete(&mut self, ticket: usize, status: u16, fault: Option<String>) {
        let entry = ticket
            .checked_sub(self.cleared)
            .and_then(|at| self.requests.get_mut(at));
        if let Some(entry) = entry {
            entry.status = Some(status);
            entry.fault = fault;
        }
    }

    pub(crate) fn all(&self) -> &[Request] {
        &self.requests
    }

    pub(crate) fn clear(&mut self) {
        self.cleared += self.requests.len();
        self.requests.clear();
    }
}

/// The most requests in any window of this length; `requests` as the log gives them, oldest first.
pub fn busiest(requests: &[Request], window: Duration) -> usize {
    let mut most = 0;
    let mut first = 0;
    for (last, request) in requests.iter().enumerate() {
        let is_out = |from: &Request| request.at.duration_since(from.at) >= window;
        while first < last && requests.get(first).is_some_and(is_out) {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most
}
