//! The settings of a `rest` connector but for its resources' own: where it is, how to sign in, and its manners.

use std::fmt;
use std::path::PathBuf;

use contract::Unknown;
use contract::settings::{Reader, https_or_loopback};
use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use secrecy::SecretString;
use serde_json::json;

use super::place::Place;
use super::reading::pairs;
use super::signing::{AuthSettings, auth};
use crate::http::Manners;

pub(super) struct Peer {
    pub(super) base: Url,
    pub(super) auth: AuthSettings,
    pub(super) manners: Manners,
    pub(super) answer_max: usize,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) params: Vec<(String, String)>,
    pub(super) unknown: Unknown,
    pub(super) ping: Option<Place>,
    /// What came from outside the file, wherever it stands.
    pub(super) secrets: Vec<SecretString>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Peer {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Peer> {
        let mut secrets = Vec::new();
        let base = reader
            .field(
                "base_url",
                "what all paths count from; https, or http on a loopback address",
            )
            .required()
            .parsed(json!({"type": "string", "format": "uri"}), parse_base);
        let auth = auth(reader, base.as_ref());
        let manners = Manners::read(reader, "10/s", "4");
        let answer_max = reader
            .field("answer_max", "an answer larger than this is not taken")
            .default("32MiB")
            .size();
        let ca_file = reader
            .field(
                "ca_file",
                "certificates (PEM) that are trusted beside those of this machine",
            )
            .text();
        let ca_file = ca_file.map(|path| reader.resolve(&path));
        let headers = pairs(reader, "headers", "headers of every request", &mut secrets);
        let headers = headers.and_then(|headers| sound(reader, headers));
        let params = pairs(reader, "params", "query parameters of every request", &mut secrets);
        let unknown = unknown(reader);
        let ping = reader
            .field(
                "ping",
                "a path to read for `check --connect`, where no resource is read",
            )
            .parsed(json!({"type": "string", "pattern": "^/"}), Place::parse);
        Some(Peer {
            base: base?,
            auth: auth?,
            manners: manners?,
            answer_max: usize::try_from(answer_max?).ok()?.clamp(1 << 10, 256 << 20),
            ca_file,
            headers: headers?,
            params: params?,
            unknown: unknown?,
            ping,
            secrets,
        })
    }
}

pub(super) fn sound(reader: &mut Reader<'_>, headers: Vec<(String, String)>) -> Option<Vec<(String, String)>> {
    let own = ["host", "content-length", "transfer-encoding", "connection"];
    let bad = headers.iter().find(|(name, value)| {
        let sound = HeaderName::from_bytes(name.as_bytes()).is_ok() && HeaderValue::from_str(value).is_ok();
        !sound || own.contains(&name.to_ascii_lowercase().as_str())
    });
    match bad {
        Some((name, _)) => {
            reader.problem_at("headers", format!("`{name}` cannot be sent as a header"), None);
            None
        }
        None => Some(headers),
    }
}

fn unknown(reader: &mut Reader<'_>) -> Option<Unknown> {
    let about = "after an answer that never came: how long to wait, and how long between two looks";
    reader.field("unknown", about).section(|reader| {
        let wait = reader
            .field(
                "wait",
                "before the first look; longer than the other side works on a request",
            )
            .default("120s")
            .duration();
        let recheck = reader
            .field("recheck", "between a look that found nothing and the second")
            .default("30s")
            .duration();
        Some(Unknown {
            wait: wait?,
            recheck: recheck?,
        })
    })
}

/// The address that all paths count from.
fn parse_base(text: &str) -> Result<Url, String> {
    let mut url = parse_https(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a base URL without `?` and `#`".to_owned());
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

pub(super) fn parse_https(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("expected a URL without a login in it: use `auth`".to_owned());
    }
    let host = url.host_str().ok_or("expected a URL with a host")?;
    https_or_loopback(url.scheme(), host)?;
    Ok(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_base_is_https_or_here() {
        for (text, base) in [
            ("https://erp.example.com/api/", "https://erp.example.com/api"),
            ("https://erp.example.com", "https://erp.example.com/"),
            ("http://127.0.0.1:8069", "http://127.0.0.1:8069/"),
            ("http://localhost:1/x", "http://localhost:1/x"),
        ] {
            assert_eq!(parse_base(text).unwrap().as_str(), base);
        }
        for bad in [
            "http://erp.example.com",
            "ftp://x",
            "erp",
            "https://u:p@x.test",
            "https://x.test/?a",
            "https://x.test/#a",
        ] {
            assert!(parse_base(bad).is_err(), "{bad}");
        }
    }
}
