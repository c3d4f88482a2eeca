//! One POST to an address that belongs to no connector, as alerts are sent. The address is a secret: it never
//! stands in an error.

use std::time::Duration;

use reqwest::Url;

use super::{EXCERPT_CHARS, causes};

const TIMEOUT: Duration = Duration::from_secs(30);

/// Posts JSON once; what the other side answered, if that is a refusal, and no more of it than fits a line.
pub(crate) async fn post_json(url: &Url, body: String) -> Result<(), String> {
    let client = reqwest::Client::builder()
        .user_agent(concat!("selorax-sync/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .timeout(TIMEOUT)
        .tls_version_min(reqwest::tls::Version::TLS_1_2)
        .build()
        .map_err(|error| format!("setting up HTTPS: {}", causes(&error)))?;
    let sending = client
        .post(url.clone())
        .header("content-type", "application/json")
        .body(body)
        .send();
    let mut answer = match sending.await {
        Ok(answer) => answer,
        Err(error) => return Err(format!("it cannot be reached: {}", causes(&error.without_url()))),
    };
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let part = answer.chunk().await.ok().flatten().unwrap_or_default();
    let text: String = String::from_utf8_lossy(&part)
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(EXCERPT_CHARS)
        .collect();
    Err(format!("it answered {}: {}", status.as_u16(), text.trim()))
}
