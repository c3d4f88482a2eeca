//! Any system with an HTTP API, described in the config: how its records are listed, created, changed, looked for
//! and cancelled. It must never ask another host than the configured one, and never repeat what may have been
//! carried out.

mod action;
mod api;
mod auth;
mod batch;
mod compare;
mod jq;
mod link;
mod list;
mod mark;
mod oauth;
mod paginate;
mod paging;
mod place;
mod pull;
mod push;
mod reading;
mod request;
mod rules;
mod seal;
mod session;
mod settings;
mod signing;
mod slot;
#[cfg(test)]
mod tests;
mod trail;
mod walk;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use contract::settings::{Rate, Reader, Settings};
use contract::{Connector, Error, Factory, Fault, Finding, Malformed, Memory, Seams, Source, Target, Use, Value};
use reqwest::header::{AUTHORIZATION, HeaderName};
use reqwest::{Method, Url};
use secrecy::{ExposeSecret, SecretString};

use crate::http::{self, PeerSettings, Probing, Tries};
use action::PushSettings;
use api::{Api, Manner};
use auth::{Auth, Login, Ticket};
use oauth::OAuth;
use pull::Feed;
use reading::PullSettings;
use request::Prepared;
use session::Session;
use settings::Peer;
use signing::AuthSettings;

pub(crate) const FACTORY: Factory = Factory {
    kind: "rest",
    read: |reader| RestSettings::read(reader).map(|settings| Box::new(settings) as Box<dyn Settings>),
};

#[derive(Debug)]
struct RestSettings {
    peer: Peer,
    pulls: BTreeMap<String, Arc<PullSettings>>,
    pushes: BTreeMap<String, Arc<PushSettings>>,
}

impl RestSettings {
    fn read(reader: &mut Reader<'_>) -> Option<RestSettings> {
        let peer = Peer::read(reader);
        let resources = reader
            .field("resources", "what is read and written there, by names of your choice")
            .required()
            .map_of(|_, reader| resource(reader));
        let (mut pulls, mut pushes) = (BTreeMap::new(), BTreeMap::new());
        for (name, (pull, push)) in resources {
            pulls.extend(pull.map(|pull| (name.clone(), Arc::new(pull))));
            pushes.extend(push.map(|push| (name.clone(), Arc::new(push))));
        }
        Some(RestSettings {
            peer: peer?,
            pulls,
            pushes,
        })
    }
}

fn resource(reader: &mut Reader<'_>) -> Option<(Option<PullSettings>, Option<PushSettings>)> {
    let pull = reader
        .field("pull", "how its records are read")
        .object(PullSettings::read);
    let push = reader
        .field("push", "how records are sent to it")
        .object(PushSettings::read);
    let named = |name: &str| reader.has(name);
    if !reader.is_describing() && !named("pull") && !named("push") {
        reader.problem("the resource does nothing: give it `pull`, `push` or both", None);
        return None;
    }
    Some((pull, push))
}

impl Settings for RestSettings {
    fn connect(&self, seams: &Seams) -> Result<Arc<dyn Connector>, Error> {
        let trusted = self.trusted()?;
        let peer = self.peer(&self.peer.base, seams, &trusted)?;
        let auth = self.auth(&peer, seams, &trusted)?;
        let api = Arc::new(Api {
            peer,
            base: self.peer.base.clone(),
            headers: self.peer.headers.clone(),
            params: self.peer.params.clone(),
            auth,
        });
        let feeds = self.pulls.iter().map(|(name, settings)| {
            let feed = Feed {
                api: api.clone(),
                name: name.clone(),
                settings: settings.clone(),
            };
            (name.clone(), Arc::new(feed))
        });
        let targets = self.pushes.iter().map(|(name, settings)| {
            let target = push::Target {
                api: api.clone(),
                name: name.clone(),
                settings: settings.clone(),
                unknown: self.peer.unknown,
                concurrency: self.peer.manners.concurrency,
            };
            (name.clone(), Arc::new(target))
        });
        Ok(Arc::new(Rest {
            feeds: feeds.collect(),
            targets: targets.collect(),
            ping: self.peer.ping.clone(),
            api,
        }))
    }

    fn sources(&self) -> Vec<String> {
        self.pulls.keys().cloned().collect()
    }

    fn targets(&self) -> Vec<String> {
        self.pushes.keys().cloned().collect()
    }

    fn takes_records(&self) -> bool {
        true
    }

    fn rate_limit(&self) -> Option<Rate> {
        Some(self.peer.manners.rate)
    }
}

impl RestSettings {
    fn trusted(&self) -> Result<Vec<u8>, Error> {
        let Some(path) = &self.peer.ca_file else {
            return Ok(Vec::new());
        };
        std::fs::read(path).map_err(|error| {
            let said = format!("{}: {error}", path.display());
            Error::new(Fault::Denied, "reading ca_file", said)
        })
    }

    /// Errors call it by its host, which a person can look up.
    fn peer(&self, url: &Url, seams: &Seams, trusted: &[u8]) -> Result<Arc<http::Peer>, Error> {
        let settings = PeerSettings {
            name: url.host_str().unwrap_or("the other side").to_owned(),
            manners: self.peer.manners,
            secrets: self.secrets(),
            probing: Probing::EachMinute,
            trusted: trusted.to_vec(),
            answer_max: self.peer.answer_max,
        };
        http::Peer::new(&settings, seams)
    }

    /// Everything that no message may repeat.
    fn secrets(&self) -> Vec<SecretString> {
        let mut secrets = self.peer.secrets.clone();
        secrets.extend(self.pulls.values().flat_map(|pull| pull.secrets.iter().cloned()));
        secrets.extend(self.pushes.values().flat_map(|push| push.secrets()));
        match &self.peer.auth {
            AuthSettings::None | AuthSettings::Absent => {}
            AuthSettings::Bearer { token, .. } => secrets.push(token.clone()),
            AuthSettings::Basic { user, password } => {
                secrets.push(password.clone());
                secrets.push(basic(user, password).into());
            }
            AuthSettings::Key { value, .. } => secrets.push(value.clone()),
            AuthSettings::OAuth(oauth) => secrets.extend(oauth.secrets()),
            AuthSettings::Session(session) => secrets.extend(session.secrets.iter().cloned()),
        }
        secrets
    }

    fn auth(&self, peer: &Arc<http::Peer>, seams: &Seams, trusted: &[u8]) -> Result<Auth, Error> {
        let fixed = |ticket: Result<Ticket, Error>| ticket.map(Auth::Fixed);
        match &self.peer.auth {
            AuthSettings::None => Ok(Auth::Fixed(Ticket::default())),
            AuthSettings::Absent => Ok(Auth::Absent),
            AuthSettings::Bearer { scheme, token } => fixed(Ticket::bearer(scheme, token)),
            AuthSettings::Basic { user, password } => {
                let value = format!("Basic {}", basic(user, password));
                fixed(Ticket::default().header(AUTHORIZATION, &value, "the user's name or password"))
            }
            AuthSettings::Key {
                name,
                in_query: true,
                value,
            } => Ok(Auth::Fixed(Ticket::default().query(name, value))),
            AuthSettings::Key { name, value, .. } => match HeaderName::from_bytes(name.as_bytes()) {
                Ok(name) => fixed(Ticket::default().header(name, value.expose_secret(), "auth.value")),
                Err(_) => Err(Error::new(
                    Fault::Denied,
                    "reading the credentials",
                    "auth.name is no name of a header",
                )),
            },
            AuthSettings::OAuth(oauth) => {
                let here = oauth.token_url.origin() == self.peer.base.origin();
                let tokens = match here {
                    true => peer.clone(),
                    false => self.peer(&oauth.token_url, &beside(seams), trusted)?,
                };
                let login = OAuth::new((**oauth).clone(), tokens, &seams.clock, &seams.memory);
                let login = Login::OAuth(login);
                Ok(Auth::fetched(
                    login,
                    oauth.print(),
                    peer.secrets(),
                    &seams.clock,
                    &seams.memory,
                ))
            }
            AuthSettings::Session(session) => {
                let login = Login::Session(Session::new((**session).clone(), peer.clone(), &seams.clock));
                Ok(Auth::fetched(
                    login,
                    session.print(),
                    peer.secrets(),
                    &seams.clock,
                    &seams.memory,
                ))
            }
        }
    }
}

fn basic(user: &SecretString, password: &SecretString) -> String {
    STANDARD.encode(format!("{}:{}", user.expose_secret(), password.expose_secret()))
}

/// Another peer of the same connector keeps its pace under names of its own.
fn beside(seams: &Seams) -> Seams {
    Seams {
        memory: Arc::new(Beside(seams.memory.clone())),
        ..seams.clone()
    }
}

#[derive(Debug)]
struct Beside(Arc<dyn Memory>);

#[async_trait]
impl Memory for Beside {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(&format!("tokens.{name}"))
    }

    async fn put(&self, name: &str, value: String) {
        self.0.put(&format!("tokens.{name}"), value).await;
    }
}

#[derive(Debug)]
struct Rest {
    api: Arc<Api>,
    feeds: BTreeMap<String, Arc<Feed>>,
    targets: BTreeMap<String, Arc<push::Target>>,
    ping: Option<place::Place>,
}

impl Rest {
    /// The credentials, where nothing is read that would show them to be good.
    async fn sign_in(&self) -> Finding {
        let result = self.api.auth.ticket().await.map(|_| "accepted".to_owned());
        Finding {
            what: "signing in".to_owned(),
            result,
            optional: false,
        }
    }

    /// Whether anything is there. Every answer but a refusal of the credentials shows that.
    async fn reach(&self) -> Finding {
        let doing = format!("asking {}", self.api.base.host_str().unwrap_or_default());
        let wrong = |Malformed(why)| Error::new(Fault::Denied, &doing, why);
        let url = match &self.ping {
            Some(place) => place.url(&self.api.base, &Value::Null, None).map_err(wrong),
            None => Ok(self.api.base.clone()),
        };
        let strict = self.ping.is_some();
        let result = match url {
            Err(error) => Err(error),
            Ok(url) => {
                let prepared = Prepared {
                    method: Method::GET,
                    url,
                    headers: Vec::new(),
                    body: None,
                };
                let manner = Manner {
                    doing: doing.clone(),
                    purpose: Use::Ring,
                    looks: Some(Tries::Few(2)),
                    judged: Vec::new(),
                };
                let judged = |answer: &http::Answer| {
                    let status = answer.status.as_u16();
                    let refused = matches!(status, 401 | 403) || strict && !answer.status.is_success();
                    match refused {
                        true => Err(
                            Error::new(Fault::Denied, &doing, format!("it answered {}", answer.tell())).status(status),
                        ),
                        false => Ok(format!("it answered {status}")),
                    }
                };
                self.api.call(prepared, &manner, judged).await
            }
        };
        Finding {
            what: "reaching it".to_owned(),
            result,
            // Of an address that nobody configured a refusal says little.
            optional: !strict,
        }
    }
}

#[async_trait]
impl Connector for Rest {
    async fn probe(&self) -> Vec<Finding> {
        self.api.auth.forgive().await;
        let mut findings = vec![self.sign_in().await];
        for (name, feed) in &self.feeds {
            findings.push(Finding {
                what: format!("reading {name}"),
                result: feed.probe().await,
                optional: false,
            });
        }
        for (name, target) in &self.targets {
            if let Some(result) = target.probe().await {
                findings.push(Finding {
                    what: format!("listing {name}"),
                    result,
                    optional: false,
                });
            }
        }
        if self.ping.is_some() || findings.len() == 1 {
            findings.push(self.reach().await);
        }
        findings
    }

    fn source(&self, resource: &str) -> Option<Arc<dyn Source>> {
        let feed = self.feeds.get(resource)?;
        Some(feed.clone())
    }

    fn target(&self, resource: &str) -> Option<Target> {
        let target = self.targets.get(resource)?;
        Some(Target::Records(target.clone()))
    }

    fn condition(&self) -> String {
        self.api.peer.condition()
    }

    fn requests(&self) -> u64 {
        self.api.peer.requests()
    }

    async fn rest(&self) {
        self.api.peer.rest().await;
    }
}
