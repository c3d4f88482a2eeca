//! What can go wrong at a border, told by what to do about it. Every call site picks one fault;
//! nothing turns a foreign error into one by itself.

use std::fmt;
use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Time-out, reset, 5xx, an answer cut short: try again later. `reached`: it may have been carried out.
    Transient { reached: bool },
    /// 429: the peer wants a pause; nobody sends until it is over.
    Throttled { retry_after: Option<Duration> },
    /// The other side says it has this record already, or has it in another state than was expected.
    Conflict,
    /// This one record is refused; the others go on.
    Rejected,
    /// 401, 403, a wrong address or certificate, a retired version: a person must act.
    Denied,
}

/// A failed call: what was being done, what the other side said, and what to do now. Never a secret.
#[derive(Clone, Debug)]
pub struct Error {
    pub fault: Fault,
    pub doing: String,
    pub answer: String,
    /// The HTTP status, where one was answered.
    pub status: Option<u16>,
    pub hint: Option<String>,
    /// The call itself, for whoever looks into a record that was refused.
    pub exchange: Option<Box<Exchange>>,
}

/// A request and its answer as they went over the wire, every secret masked, long bodies cut.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// Method, address, headers and body.
    pub request: String,
    /// Status, headers that matter and body; empty where none came.
    pub answer: String,
}

impl Error {
    pub fn new(fault: Fault, doing: impl Into<String>, answer: impl Into<String>) -> Self {
        Self {
            fault,
            doing: doing.into(),
            answer: answer.into(),
            status: None,
            hint: None,
            exchange: None,
        }
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With the call as it went; the caller has masked every secret.
    pub fn exchange(mut self, request: impl Into<String>, answer: impl Into<String>) -> Self {
        self.exchange = Some(Box::new(Exchange {
            request: request.into(),
            answer: answer.into(),
        }));
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.doing, self.answer)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// One record that cannot be understood or written down as asked. It is parked; nobody waits for it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl From<crate::ParseError> for Malformed {
    fn from(error: crate::ParseError) -> Self {
        Malformed(error.0)
    }
}
