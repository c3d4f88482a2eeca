//! Who is told of alerts: a webhook, a mailbox, a command. Sends one text once; it keeps nothing, and it never
//! puts an address or a password into an error.

mod command;
mod email;

use contract::settings::{Reader, https_or_loopback};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;

use crate::http::post_json;
use email::Mailbox;

/// What is told: a line, and more of it.
#[derive(Clone, Debug)]
pub struct Notice {
    pub subject: String,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Channel(Kind);

#[derive(Clone, Debug)]
enum Kind {
    Webhook(SecretString),
    Email(Box<Mailbox>),
    Command(Vec<String>),
}

impl Channel {
    pub fn read(reader: &mut Reader<'_>) -> Option<Channel> {
        let kind = reader
            .field("type", "how this one is told")
            .required()
            .choice(&["webhook", "email", "command"]);
        // The schema shows the keys of all three.
        let wants = |reader: &Reader<'_>, name: &str| reader.is_describing() || kind == Some(name);
        let mut read = None;
        if wants(reader, "webhook") {
            let url = reader
                .field(
                    "url",
                    "of a webhook: where {\"text\": …} is posted, as Slack and others take it",
                )
                .secret_with(|text| postable(text).map(|()| SecretString::from(text.to_owned())));
            missing(reader, "url", kind == Some("webhook"));
            read = url.map(Kind::Webhook);
        }
        if wants(reader, "email") {
            let mailbox = email::read(reader, kind == Some("email"));
            read = read.or(mailbox.map(|mailbox| Kind::Email(Box::new(mailbox))));
        }
        if wants(reader, "command") {
            let run = reader
                .field(
                    "run",
                    "of a command: the program and its arguments; the text comes on stdin, no shell is in between",
                )
                .list_of_parsed(json!({"type": "string"}), |text| Ok(text.to_owned()));
            missing(reader, "run", kind == Some("command"));
            if run.as_ref().is_some_and(Vec::is_empty) {
                reader.problem_at("run", "expected a program", None);
            }
            read = read.or(run.map(Kind::Command));
        }
        if kind.is_none() {
            reader.accept_all();
        }
        read.map(Channel)
    }

    /// Tells it once. An error says what came of it, for the person who set it up.
    pub async fn send(&self, notice: &Notice) -> Result<(), String> {
        match &self.0 {
            Kind::Webhook(url) => {
                let url = Url::parse(url.expose_secret()).map_err(|error| error.to_string())?;
                let text = format!("{}\n{}", notice.subject, notice.text);
                post_json(&url, json!({"text": text.trim_end()}).to_string()).await
            }
            Kind::Email(mailbox) => mailbox.send(notice).await,
            Kind::Command(run) => command::run(run.clone(), format!("{}\n{}", notice.subject, notice.text)).await,
        }
    }
}

/// What this kind cannot do without.
fn missing(reader: &mut Reader<'_>, name: &'static str, is_needed: bool) {
    if is_needed && !reader.is_describing() && !reader.has(name) {
        reader.problem_at(name, "required for this type", None);
    }
}

fn postable(text: &str) -> Result<(), String> {
    let url = Url::parse(text).map_err(|error| format!("expected a URL ({error})"))?;
    let host = url.host_str().ok_or("expected a URL with a host")?;
    https_or_loopback(url.scheme(), host)
}
