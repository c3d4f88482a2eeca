//! Tells a mailbox, by SMTP. Without TLS it speaks to this machine only.

use std::time::Duration;

use contract::settings::{Reader, https_or_loopback};
use lettre::message::{Mailbox as Address, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use super::{Notice, missing};

const TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Clone, Debug)]
pub(super) struct Mailbox {
    server: String,
    port: Option<u16>,
    security: &'static str,
    login: Option<(String, SecretString)>,
    from: Address,
    to: Vec<Address>,
}

pub(super) fn read(reader: &mut Reader<'_>, is_needed: bool) -> Option<Mailbox> {
    let address = |text: &str| {
        let parsed = text.parse::<Address>();
        parsed.map_err(|error| format!("expected a mail address, such as `Sync <sync@example.com>` ({error})"))
    };
    let server = reader.field("server", "of e-mail: the SMTP server's name").text();
    let port = reader
        .field(
            "port",
            "of e-mail: another port than 587 (starttls), 465 (tls) or 25 (none)",
        )
        .integer(1, 65_535);
    let security = reader
        .field(
            "security",
            "of e-mail: how the connection is secured; none: on a loopback address only",
        )
        .default("starttls")
        .choice(&["starttls", "tls", "none"]);
    let user = reader
        .field("user", "of e-mail: the login, where the server wants one")
        .text();
    let password = reader.field("password", "of e-mail: the login's password").secret();
    let from = reader
        .field("from", "of e-mail: who it comes from")
        .parsed(json!({"type": "string"}), address);
    let to = reader
        .field("to", "of e-mail: who it goes to, a list")
        .list_of_parsed(json!({"type": "string"}), address);
    for name in ["server", "from", "to"] {
        missing(reader, name, is_needed);
    }
    if to.as_ref().is_some_and(Vec::is_empty) {
        reader.problem_at("to", "expected at least one address", None);
    }
    if let (Some(server), Some("none")) = (&server, security)
        && https_or_loopback("http", server).is_err()
    {
        reader.problem_at(
            "security",
            "without TLS only a server on this machine is spoken to",
            None,
        );
    }
    Some(Mailbox {
        server: server?,
        port: port.and_then(|port| u16::try_from(port).ok()),
        security: security?,
        login: user.zip(password),
        from: from?,
        to: to?,
    })
}

impl Mailbox {
    pub(super) async fn send(&self, notice: &Notice) -> Result<(), String> {
        let mut message = Message::builder().from(self.from.clone()).subject(&notice.subject);
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message
            .body(notice.text.clone())
            .map_err(|error| format!("writing the mail: {error}"))?;
        let sent = self.transport()?.send(message).await;
        sent.map(|_| ()).map_err(|error| {
            let mut told = error.to_string();
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                told = format!("{told}: {error}");
                cause = error.source();
            }
            match &self.login {
                Some((_, password)) => told.replace(password.expose_secret(), "***"),
                None => told,
            }
        })
    }

    fn transport(&self) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
        let builder = match self.security {
            "tls" => AsyncSmtpTransport::<Tokio1Executor>::relay(&self.server),
            "none" => Ok(AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&self.server)),
            _ => AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(&self.server),
        };
        let mut builder = builder
            .map_err(|error| format!("setting up TLS: {error}"))?
            .timeout(Some(TIMEOUT));
        if let Some(port) = self.port {
            builder = builder.port(port);
        }
        if let Some((user, password)) = &self.login {
            builder = builder.credentials(Credentials::new(user.clone(), password.expose_secret().to_owned()));
        }
        Ok(builder.build())
    }
}
