//! `webhooks send`: what a call of the store would be, signed with the first secret, over a real connection.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use contract::{Composed, Key};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::{DONE, FAILED, Usage};
use crate::config::{self, Mode, STORE};
use crate::webhook;
use crate::work::{line, load, visit};

/// The daemon answers an event within this, or with 503.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
const ANSWER_BYTES_MAX: u64 = 64 << 10;

pub(super) async fn send(path: &Path, topic: &str, id: &str) -> anyhow::Result<u8> {
    let config = load(path, Mode::Full)?;
    let Some(settings) = &config.webhooks else {
        let told = "the config has no section `webhooks`, so nobody receives them\nhint: see docs/webhooks.md";
        return Err(Usage(told.to_owned()).into());
    };
    let store = visit(&config, STORE).await?;
    let hook = store
        .webhook(&settings.secrets)
        .context("the store sends no webhooks")?;
    let call = hook.compose(topic, &Key(id.to_owned()), hook.now().await);
    let call = call.ok_or_else(|| {
        let known: Vec<String> = config::topics().map(str::to_owned).collect();
        Usage(format!(
            "no record is read for the topic `{topic}`\nhint: the topics about records are {}",
            known.join(", ")
        ))
    })?;
    let (status, body) = deliver(settings, &call).await?;
    let shown = line(&body, 300);
    outln!("{topic} {id}: {status} {shown}");
    Ok(if (200..300).contains(&status) { DONE } else { FAILED })
}

async fn deliver(settings: &config::Webhooks, call: &Composed) -> anyhow::Result<(u16, String)> {
    // Where it listens on all addresses, this machine is one of them.
    let mut address = settings.listen;
    if address.ip().is_unspecified() {
        let here: std::net::IpAddr = match address.is_ipv4() {
            true => std::net::Ipv4Addr::LOCALHOST.into(),
            false => std::net::Ipv6Addr::LOCALHOST.into(),
        };
        address = SocketAddr::new(here, address.port());
    }
    let doing = || format!("sending a test event to {address}; does the daemon run with this config?");
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        match &settings.tls {
            None => exchange(stream, settings, call).await,
            Some((cert, _)) => {
                let host = settings.public_url.as_ref().and_then(|url| url.host_str());
                let host = host.context("with `tls` the certificate's name is needed: set webhooks.public_url")?;
                let stream = webhook::connect_tls(stream, host, cert).await?;
                exchange(stream, settings, call).await
            }
        }
    };
    tokio::time::timeout(ANSWER_WITHIN, exchange)
        .await
        .context("no answer in time")
        .and_then(|done| done)
        .with_context(doing)
}

async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    settings: &config::Webhooks,
    call: &Composed,
) -> anyhow::Result<(u16, String)> {
    let mut request = format!(
        "POST {} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n",
        settings.path, settings.listen
    );
    for (name, value) in &call.headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("content-length: {}\r\n\r\n", call.body.len()));
    stream.write_all(request.as_bytes()).await?;
    stream.write_all(&call.body).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    Ok((status.context("what answered does not speak HTTP")?, body.to_owned()))
}
