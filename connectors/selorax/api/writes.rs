//! One call that changes something at the store. It is made once: a call that may have been carried out is never
//! sent again from here, whoever asked reads what became of it first.

use contract::{Error, Fault, Use, Value};
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderValue};

use super::{Api, PUT_OFF_MAX, judge};
use crate::http::Request;

/// A request that changes something, ready but for its credentials.
#[derive(Clone, Debug)]
pub(in crate::selorax) struct Write {
    pub(in crate::selorax) method: Method,
    /// Below the API's base, without a slash in front.
    pub(in crate::selorax) path: String,
    pub(in crate::selorax) body: Value,
}

impl Api {
    /// `Ok`: the store answered that it did it. Whether it did must be read.
    pub(in crate::selorax) async fn change(&self, write: &Write, doing: &str, purpose: Use) -> Result<(), Error> {
        let request = self.changing(write, doing, purpose);
        let shown = format!("{} {}\n\n{}", request.method, request.url, write.body.to_json());
        let judged = |answer: crate::http::Answer| {
            let told = answer.tell();
            // Part of a record may stand in the answer; `tell` leaves it out.
            judge(answer, doing)
                .map(|_| ())
                .map_err(|error| error.exchange(shown.clone(), told))
        };
        let mut put_off = 0;
        loop {
            match self.peer.once(&request, judged).await {
                // It was not carried out, and the gate waits out what the store asked for.
                Err(error) if matches!(error.fault, Fault::Throttled { .. }) && put_off < PUT_OFF_MAX => put_off += 1,
                other => return other,
            }
        }
    }

    /// The request as `curl` would be asked to send it, without anything secret.
    pub(in crate::selorax) fn curl(&self, write: &Write) -> String {
        let request = self.changing(write, "", Use::Feed);
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let mut line = format!("curl -X {} {}", request.method, quoted(request.url.as_str()));
        for (name, value) in &request.headers {
            let value = match value.is_sensitive() {
                true => "***",
                false => value.to_str().unwrap_or("***"),
            };
            line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
        }
        line.push_str(&format!(" --data-binary {}", quoted(&write.body.to_json())));
        line
    }

    fn changing(&self, write: &Write, doing: &str, purpose: Use) -> Request {
        let mut request = self.get(&write.path, &[], doing, purpose);
        request.method = write.method.clone();
        request
            .headers
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.body = Some(write.body.to_json().into_bytes());
        request
    }
}
