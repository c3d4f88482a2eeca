//! An answer before it is put on the wire.

use std::time::{Duration, SystemTime};

use crate::fault::Canned;

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(code: u16, body: String) -> Answer {
        Answer::typed(code, "application/json; charset=utf-8", body)
    }

    pub(crate) fn typed(code: u16, content_type: &str, body: String) -> Answer {
        let headers = vec![("Content-Type".to_owned(), content_type.to_owned())];
        Answer {
            code,
            headers,
            body: body.into_bytes(),
        }
    }

    pub(crate) fn canned(canned: Canned) -> Answer {
        let mut answer = Answer::typed(canned.code, &canned.content_type, canned.body);
        answer.headers.extend(canned.headers);
        answer
    }

    pub(crate) fn error(code: u16, name: &str, message: &str) -> Answer {
        Answer::canned(Canned::error(code, name, message))
    }

    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

/// World time as an HTTP date.
pub(crate) fn http_date(ms: i64) -> String {
    let since = Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + since)
}

pub(crate) fn reason(code: u16) -> &'static str {
    match code {
        200 => "OK",
        201 => "Created",
        301 => "Moved Permanently",
        302 => "Found",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        413 => "Payload Too Large",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
