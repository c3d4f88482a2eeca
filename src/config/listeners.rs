//! `webhooks:` and `admin:`, the two addresses of the daemon. Nothing here listens.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use contract::settings::{Reader, https_or_loopback};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use super::text_schema;

/// The shortest webhook secret or admin token that is taken for one.
const SECRET_BYTES_MIN: usize = 16;
const BODY_BYTES_MAX: u64 = 64 << 20;

#[derive(Clone, Debug)]
pub struct Webhooks {
    pub listen: SocketAddr,
    pub path: String,
    /// Any of them may have signed; never empty.
    pub secrets: Vec<SecretString>,
    pub tolerance: Duration,
    /// Events of one record within this time lead to one reading.
    pub coalesce: Duration,
    /// The address that the store calls, where it is told.
    pub public_url: Option<Url>,
    /// How often the daemon looks whether the subscriptions are there and active. Zero: never.
    pub check_every: Duration,
    pub max_body: u64,
    /// Whose `X-Forwarded-For` is believed, and who may open as many connections as there may be.
    pub trusted_proxies: Vec<Network>,
    /// Certificate and key, where the daemon is to speak TLS itself.
    pub tls: Option<(PathBuf, PathBuf)>,
}

/// An address, or all that begin with the same bits: `10.0.0.0/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let shift = 32 - u32::from(self.bits);
                u64::from(own.to_bits()) >> shift == u64::from(other.to_bits()) >> shift
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let shift = 128 - u32::from(self.bits);
                own.to_bits().checked_shr(shift) == other.to_bits().checked_shr(shift)
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        let wrong = || "expected an address or a network, such as 127.0.0.1 or 10.0.0.0/8".to_owned();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        match bits <= most {
            true => Ok(Network { address, bits }),
            false => Err(wrong()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Admin {
    pub listen: SocketAddr,
    /// Always there unless the address is loopback.
    pub token: Option<SecretString>,
    /// The names besides addresses and `localhost` that it is called by, as behind a proxy.
    pub hosts: Vec<String>,
}

pub(super) fn webhooks(file: &mut Reader<'_>) -> Option<Webhooks> {
    file.field(
        "webhooks",
        "where the store's webhooks arrive; public, behind a TLS proxy or with `tls`",
    )
    .object(|section| {
        let listen = listen(section, "127.0.0.1:8377");
        let path = section
            .field("path", "the path that webhooks are sent to")
            .default("/webhooks/selorax")
            .parsed(json!({"type": "string", "pattern": "^/"}), |text| {
                let fits = text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || "?#".contains(c));
                match fits {
                    true => Ok(text.to_owned()),
                    false => Err("expected a path that begins with `/`, without `?` and `#`".to_owned()),
                }
            });
        let secrets = section
            .field(
                "secrets",
                "the signing secrets: one for each subscription, or two during a rotation",
            )
            .required()
            .list_of_secrets(long_enough);
        let tolerance = section
            .field("tolerance", "how old a signature may be")
            .default("5m")
            .duration();
        let coalesce = section
            .field("coalesce", "events of one record within this time lead to one reading")
            .default("2s")
            .duration();
        let trusted_proxies = section
            .field(
                "trusted_proxies",
                "addresses or networks whose X-Forwarded-For is believed",
            )
            .list_of_parsed(text_schema(), Network::from_str);
        let (public_url, check_every) = care(section);
        let max_body = section
            .field("max_body", "the largest body that is taken")
            .default("1MiB")
            .size();
        let tls = section.field("tls", "to speak TLS without a proxy").object(|tls| {
            let cert = tls.field("cert", "the certificate chain, a PEM file").required().text();
            let key = tls.field("key", "its private key, a PEM file").required().text();
            Some((tls.resolve(&cert?), tls.resolve(&key?)))
        });
        if secrets.as_ref().is_some_and(Vec::is_empty) && listed_none(section) {
            section.problem_at("secrets", "expected at least one secret", None);
        }
        if max_body.is_some_and(|bytes| bytes == 0 || bytes > BODY_BYTES_MAX) {
            section.problem_at("max_body", "expected a size from 1 to 64MiB", None);
        }
        Some(Webhooks {
            listen: listen?,
            path: path?,
            secrets: secrets?,
            tolerance: tolerance?,
            coalesce: coalesce?,
            public_url,
            check_every: check_every?,
            max_body: max_body?,
            trusted_proxies: trusted_proxies.unwrap_or_default(),
            tls,
        })
    })
}

/// What the daemon needs to look after its subscriptions.
fn care(section: &mut Reader<'_>) -> (Option<Url>, Option<Duration>) {
    let public_url = section
        .field(
            "public_url",
            "the address that the store calls, as it is seen from outside; https, or http on a loopback address",
        )
        .parsed(json!({"type": "string", "format": "uri"}), callable);
    let check_every = section
        .field(
            "check_every",
            "so often the daemon looks whether its subscriptions are there and active; 0s: never",
        )
        .default("10m")
        .duration();
    (public_url, check_every)
}

pub(super) fn admin(file: &mut Reader<'_>) -> Option<Admin> {
    file.field("admin", "where the admin page, the API and the metrics are; private")
        .object(|section| {
            let listen = listen(section, "127.0.0.1:8378");
            let given = section.node().and_then(|node| node.get("token"));
            let given = given.is_some_and(|node| !node.is_null());
            let token = section
                .field("token", "the bearer token; required unless the address is loopback")
                .secret_with(|text| long_enough(text).map(|()| SecretString::from(text.to_owned())));
            if listen.is_some_and(|listen| !listen.ip().is_loopback()) && !given {
                let hint = Some("token: ${ADMIN_TOKEN}".to_owned());
                section.problem_at("token", "an address that is not loopback needs a token", hint);
            }
            let hosts = section
                .field(
                    "hosts",
                    "names that it is called by, besides addresses and localhost; other names are refused",
                )
                .list_of_parsed(text_schema(), host_name);
            Some(Admin {
                listen: listen?,
                token,
                hosts: hosts.unwrap_or_default(),
            })
        })
}

/// An address that a store may be asked to call.
pub fn callable(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err("expected a URL without a login and without `#`".to_owned());
    }
    let host = url.host_str().ok_or("expected a URL with a host")?;
    https_or_loopback(url.scheme(), host)?;
    Ok(url)
}

/// Whether the list is there and empty, rather than full of secrets that were refused.
fn listed_none(section: &Reader<'_>) -> bool {
    use contract::settings::Kind;
    let node = section.node().and_then(|node| node.get("secrets"));
    node.is_some_and(|node| matches!(&node.kind, Kind::List(items) if items.is_empty()))
}

fn host_name(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    match !text.is_empty() && text.chars().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("expected a host's name without a port, such as sync.example.com".to_owned()),
    }
}

fn listen(section: &mut Reader<'_>, default: &'static str) -> Option<SocketAddr> {
    section
        .field("listen", "the address and port to listen on")
        .default(default)
        .parsed(text_schema(), |text| {
            let local = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
            local
                .as_deref()
                .unwrap_or(text)
                .parse()
                .map_err(|_| "expected an address and a port, such as 127.0.0.1:8377 or [::1]:8377".to_owned())
        })
}

fn long_enough(secret: &str) -> Result<(), String> {
    match secret.len() >= SECRET_BYTES_MIN {
        true => Ok(()),
        false => Err(format!(
            "a secret has at least {SECRET_BYTES_MIN} bytes; this one is shorter"
        )),
    }
}
