//! What the file is made of, and what the config's reader says of it. Secrets stay in here: the text that
//! is judged holds names in their place.

use anyhow::Context;
use clap::ValueEnum;
use secrecy::{ExposeSecret, SecretString};

use super::flows::Resource;
use super::render::{self, Shown};
use crate::config::{self, Mode};

pub(super) const CLIENT_ID: &str = "SELORAX_CLIENT_ID";
pub(super) const CLIENT_SECRET: &str = "SELORAX_CLIENT_SECRET";
pub(super) const TOKEN: &str = "SELORAX_ACCESS_TOKEN";

/// Where secrets are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Keeping {
    /// Files of their own, which only their owner can read
    File,
    /// The environment
    Env,
    /// The config file itself, which then only its owner can read
    Inline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    Client,
    Token,
}

/// One part of the credentials.
#[derive(Clone, Debug)]
pub(super) enum Kept {
    /// The name of a variable of the environment.
    Named(String),
    /// Its value, and the name it has where it is kept.
    Value { value: SecretString, name: &'static str },
}

impl Kept {
    /// `env:NAME`, or the secret itself. The reason why not never repeats it.
    pub(super) fn read(given: &SecretString, name: &'static str) -> Result<Kept, String> {
        let text = given.expose_secret().trim();
        if let Some(name) = text.strip_prefix("env:") {
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
                return Err("expected the name of an environment variable behind `env:`".to_owned());
            }
            return Ok(Kept::Named(name.to_owned()));
        }
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        if !text.chars().all(|c| c.is_ascii_graphic()) {
            return Err("it has a blank or another character that no credential has".to_owned());
        }
        let value = SecretString::from(text.to_owned());
        Ok(Kept::Value { value, name })
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Kept::Named(name) => name,
            Kept::Value { name, .. } => name,
        }
    }

    pub(super) fn value(&self) -> Option<&SecretString> {
        match self {
            Kept::Named(_) => None,
            Kept::Value { value, .. } => Some(value),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) enum Credentials {
    Client { id: Option<Kept>, secret: Option<Kept> },
    Token(Option<Kept>),
}

impl Credentials {
    pub(super) fn empty(sign_in: SignIn) -> Credentials {
        match sign_in {
            SignIn::Client => Credentials::Client { id: None, secret: None },
            SignIn::Token => Credentials::Token(None),
        }
    }

    /// The keys of the config with what is known of them.
    pub(super) fn parts(&self) -> Vec<(&'static str, Option<&Kept>)> {
        match self {
            Credentials::Client { id, secret } => {
                vec![("client_id", id.as_ref()), ("client_secret", secret.as_ref())]
            }
            Credentials::Token(token) => vec![("access_token", token.as_ref())],
        }
    }

    /// How a person is asked for each, its usual name, and its place.
    pub(super) fn parts_mut(&mut self) -> Vec<(&'static str, &'static str, &mut Option<Kept>)> {
        match self {
            Credentials::Client { id, secret } => vec![
                ("The client id", CLIENT_ID, id),
                ("The client secret", CLIENT_SECRET, secret),
            ],
            Credentials::Token(token) => vec![("The access token", TOKEN, token)],
        }
    }

    /// Names in place of what is not known yet, for a text to be judged.
    pub(super) fn assume(&mut self) {
        for (_, usual, kept) in self.parts_mut() {
            kept.get_or_insert_with(|| Kept::Named(usual.to_owned()));
        }
    }

    pub(super) fn missing(&self) -> Vec<&'static str> {
        match self {
            Credentials::Client { id: None, secret: None } => {
                vec!["--client-id and --client-secret, or --access-token"]
            }
            Credentials::Client { id: None, .. } => vec!["--client-id"],
            Credentials::Client { secret: None, .. } => vec!["--client-secret"],
            Credentials::Token(None) => vec!["--access-token"],
            _ => Vec::new(),
        }
    }

    pub(super) fn has_values(&self) -> bool {
        self.parts()
            .iter()
            .any(|(_, kept)| kept.is_some_and(|kept| kept.value().is_some()))
    }

    /// What was given for the variable of this name.
    pub(super) fn value_of(&self, name: &str) -> Option<String> {
        let mut parts = self.parts().into_iter().filter_map(|(_, kept)| kept);
        let value = parts.find(|kept| kept.name() == name)?.value()?;
        Some(value.expose_secret().to_owned())
    }
}

#[derive(Clone, Debug)]
pub(super) struct Answers {
    pub(super) url: String,
    pub(super) store_id: String,
    pub(super) credentials: Credentials,
    pub(super) keeping: Keeping,
    pub(super) location: String,
    pub(super) resources: Vec<Resource>,
    pub(super) schedule: String,
    pub(super) initial: String,
}

/// What a terminal offers.
impl Default for Answers {
    fn default() -> Answers {
        Answers {
            url: "https://api.selorax.io".to_owned(),
            store_id: String::new(),
            credentials: Credentials::empty(SignIn::Client),
            keeping: Keeping::File,
            location: "./out".to_owned(),
            resources: vec![Resource::Orders],
            schedule: "*/10 * * * *".to_owned(),
            initial: "all".to_owned(),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    Url,
    StoreId,
    Location,
    Resources,
    Schedule,
    Initial,
}

/// In the order they are asked; the credentials come before the folder.
pub(super) const QUESTIONS: [Question; 6] = [
    Question::Url,
    Question::StoreId,
    Question::Location,
    Question::Resources,
    Question::Schedule,
    Question::Initial,
];

impl Question {
    pub(super) fn flag(self) -> &'static str {
        match self {
            Question::Url => "--url",
            Question::StoreId => "--store-id",
            Question::Location => "--location",
            Question::Resources => "--resources",
            Question::Schedule => "--schedule",
            Question::Initial => "--initial",
        }
    }

    /// Which answer a place in the config comes from.
    fn of(path: &str) -> Option<Question> {
        let last = path.rsplit('.').next().unwrap_or_default();
        Some(match path {
            "store.url" => Question::Url,
            "store.store_id" => Question::StoreId,
            "connectors.files.location" => Question::Location,
            _ if path.starts_with("flows.") => match last {
                "from" => Question::Resources,
                "schedule" => Question::Schedule,
                "initial" => Question::Initial,
                _ => return None,
            },
            _ => return None,
        })
    }
}

impl Answers {
    /// What the config's reader has against these answers.
    pub(super) fn problems(&self) -> anyhow::Result<Vec<(Question, String)>> {
        let typed = [
            (Question::Url, &self.url),
            (Question::StoreId, &self.store_id),
            (Question::Location, &self.location),
            (Question::Schedule, &self.schedule),
            (Question::Initial, &self.initial),
        ];
        // A reader of addresses passes over line ends in silence.
        if let Some((question, _)) = typed.iter().find(|(_, text)| text.contains(char::is_control)) {
            return Ok(vec![(*question, "it has a control character".to_owned())]);
        }
        let folder = tempfile::tempdir().context("making a temporary folder")?;
        let path = folder.path().join("sync.yaml");
        std::fs::write(&path, render::yaml(self, Shown::Names)).context("writing a temporary file")?;
        let Err(broken) = config::load(&path, Mode::Full, &|_| Some("present".to_owned())) else {
            return Ok(Vec::new());
        };
        let mut found: Vec<(Question, String)> = Vec::new();
        for problem in broken.0.problems() {
            let Some(question) = Question::of(&problem.path) else {
                anyhow::bail!("the file would not be a good one: {broken}");
            };
            let hint = problem.hint.as_ref().map(|hint| format!("\nhint: {hint}"));
            let told = format!("{}{}", problem.message, hint.unwrap_or_default());
            if !found.contains(&(question, told.clone())) {
                found.push((question, told));
            }
        }
        Ok(found)
    }

    /// The variables that must be set for the file to work.
    pub(super) fn variables(&self) -> Vec<String> {
        let parts = self.credentials.parts().into_iter().filter_map(|(_, kept)| kept);
        let named = parts.filter(|kept| self.keeping == Keeping::Env || kept.value().is_none());
        named.map(|kept| kept.name().to_owned()).collect()
    }
}
