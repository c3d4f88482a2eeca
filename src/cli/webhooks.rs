//! `webhooks`: the store's list of who is called about what: looked at, completed, judged; and a call as the store would
//! send it, to try the receiver.

mod send;

use std::path::Path;

use anyhow::Context;
use clap::Subcommand;
use contract::{Error, Fault, Stamp, Subscribed, Subscription, Subscriptions};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value as Json, json};
use url::Url;

use super::output::print_json;
use super::{DONE, FAILED, UNFINISHED, Usage};
use crate::config::{self, Config, Mode, STORE, is_sure};
use crate::work::subscriptions::{Finding, Ours, judge, needs};
use crate::work::{line, load, local, utc, visit};

#[derive(Debug, Subcommand)]
pub(super) enum Webhooks {
    /// All that the store has, a line each
    List {
        #[arg(long)]
        json: bool,
    },
    /// Subscribe to what flows listen to and is not there yet; shows each new secret once
    Create {
        /// The address that the store is to call [default: `webhooks.public_url`]
        #[arg(long)]
        url: Option<String>,
        /// This topic, instead of all that flows listen to; may be given several times
        #[arg(long = "topic", value_name = "TOPIC")]
        topics: Vec<String>,
        #[arg(long)]
        json: bool,
    },
    /// Send a signed test event to the daemon that runs with this config; it reads the record again
    Send {
        /// Such as order.updated
        topic: String,
        /// The record's id at the store
        #[arg(long)]
        id: String,
    },
    /// Whether what flows listen to is there, active, and there once; exits with 3 if not
    Check {
        #[arg(long)]
        json: bool,
    },
}

impl Webhooks {
    pub(super) async fn run(self, path: &Path) -> anyhow::Result<u8> {
        if let Webhooks::Send { topic, id } = &self {
            return send::send(path, topic, id).await;
        }
        // Before there are subscriptions there are no secrets of theirs, and the config names them all the same.
        let config = load(path, Mode::Offline)?;
        match self {
            Webhooks::List { json } => list(&config, json).await,
            Webhooks::Create { url, topics, json } => create(&config, url.as_deref(), &topics, json).await,
            Webhooks::Check { json } => check(&config, json).await,
            Webhooks::Send { .. } => Ok(DONE),
        }
    }
}

async fn subscriptions(config: &Config) -> anyhow::Result<std::sync::Arc<dyn Subscriptions>> {
    let store = visit(config, STORE).await?;
    store.subscriptions().context("the store has no list of subscriptions")
}

fn ours(config: &Config) -> Option<Ours> {
    config.webhooks.as_ref().map(Ours::of)
}

async fn list(config: &Config, as_json: bool) -> anyhow::Result<u8> {
    let listed = subscriptions(config).await?.list().await?;
    let ours = ours(config);
    if as_json {
        let rows = listed.iter().map(|one| row_json(one, ours.as_ref())).collect();
        return print_json(&Json::Array(rows));
    }
    if listed.is_empty() {
        outln!("the store has no subscriptions; `webhooks create` makes them");
    }
    for one in &listed {
        let other = ours.as_ref().is_some_and(|ours| !ours.has(one));
        let note = if other { "  (not this daemon's)" } else { "" };
        outln!("{}{note}", row(config, one));
    }
    Ok(DONE)
}

/// The store's words are shown on one line, whatever is in them.
fn row(config: &Config, one: &Subscription) -> String {
    let state = if one.is_active { "active" } else { "OFF" };
    let (id, topic, url) = (line(&one.id, 40), line(&one.topic, 60), line(&one.url, 200));
    format!("{id:<6} {topic:<22} {state:<6} {url}{}", calls(config, one))
}

fn calls(config: &Config, one: &Subscription) -> String {
    let at = |what: &str, stamp: Option<Stamp>| {
        stamp.map(|stamp| format!("  last {what} {}", local(stamp, &config.timezone)))
    };
    let failures = one.failures.filter(|count| *count > 0);
    let told = [
        failures.map(|count| format!("  {count} failures in a row")),
        at("success", one.last_success_at),
        at("failure", one.last_failure_at),
    ];
    told.into_iter().flatten().collect()
}

fn row_json(one: &Subscription, ours: Option<&Ours>) -> Json {
    json!({
        "id": one.id,
        "topic": one.topic,
        "url": one.url,
        "is_active": one.is_active,
        "failures": one.failures,
        "last_success_at": one.last_success_at.map(utc),
        "last_failure_at": one.last_failure_at.map(utc),
        "ours": ours.map(|ours| ours.has(one)),
    })
}

async fn check(config: &Config, as_json: bool) -> anyhow::Result<u8> {
    let Some(ours) = ours(config) else {
        let told = "the config has no section `webhooks`, so no subscription can be this daemon's\nhint: add it with \
                    `listen` and `secrets`; see docs/config.md";
        return Err(Usage(told.to_owned()).into());
    };
    let listed = subscriptions(config).await?.list().await?;
    let judgement = judge(&needs(config), &ours, &listed);
    if as_json {
        let topics: Vec<Json> = judgement.findings.iter().map(finding_json).collect();
        let elsewhere: Vec<Json> = judgement
            .elsewhere
            .iter()
            .map(|one| row_json(one, Some(&ours)))
            .collect();
        print_json(&json!({"topics": topics, "elsewhere": elsewhere}))?;
    } else {
        for finding in &judgement.findings {
            show(config, finding);
        }
        for one in &judgement.elsewhere {
            outln!("not this daemon's: {}", row(config, one));
        }
        for todo in judgement.todos() {
            outln!("to do: {}", line(todo, 800));
        }
    }
    Ok(if judgement.todos().is_empty() { DONE } else { UNFINISHED })
}

fn show(config: &Config, finding: &Finding) {
    let (topic, verdict) = (&finding.need.topic, finding.verdict);
    let word = match (&finding.todo, finding.copies.is_empty()) {
        (Some(_), _) => verdict.word().to_uppercase(),
        (None, true) => "not there, and not needed".to_owned(),
        (None, false) => verdict.word().to_owned(),
    };
    let flows = finding.need.flows.join(", ");
    outln!("{topic:<22} {word}  for {flows}");
    for one in &finding.copies {
        outln!("  {}", row(config, one));
    }
}

fn finding_json(finding: &Finding) -> Json {
    let copies = &finding.copies;
    json!({
        "topic": finding.need.topic,
        "flows": finding.need.flows,
        "optional": finding.need.is_optional,
        "verdict": finding.verdict.word(),
        "copies": copies.len(),
        "active": copies.iter().filter(|one| one.is_active).count(),
        "ids": copies.iter().map(|one| &one.id).collect::<Vec<_>>(),
        "last_success_at": copies.iter().filter_map(|one| one.last_success_at).max().map(utc),
        "last_failure_at": copies.iter().filter_map(|one| one.last_failure_at).max().map(utc),
        "to_do": finding.todo,
    })
}

/// What became of one topic.
enum Outcome {
    Made(Subscribed),
    /// It was there, and is active.
    There(Subscription),
    /// It was there, and is switched off.
    Off(Subscription),
    /// It was made, and the answer with its secret never came.
    Unheard(Subscription),
    /// The store does not know a topic that it need not know.
    NotOffered(Error),
    Failed(Error),
}

async fn create(config: &Config, url: Option<&str>, topics: &[String], as_json: bool) -> anyhow::Result<u8> {
    let url = address(config, url)?;
    let topics = wanted(config, topics)?;
    let subscriptions = subscriptions(config).await?;
    // Always before anything is made: what is there is never made again.
    let listed = subscriptions.list().await?;
    let mut outcomes = Vec::new();
    for topic in topics {
        let outcome = see_to(subscriptions.as_ref(), &topic, &url, &listed).await?;
        if !as_json {
            tell(&topic, &outcome);
        }
        let denied = matches!(&outcome, Outcome::Failed(error) if error.fault == Fault::Denied);
        outcomes.push((topic, outcome));
        // The others would be refused as well.
        if denied {
            break;
        }
    }
    if as_json {
        let rows = outcomes
            .iter()
            .map(|(topic, outcome)| outcome_json(topic, outcome))
            .collect();
        print_json(&Json::Array(rows))?;
    } else {
        tell_next(config, &url, &outcomes);
    }
    let has = |what: fn(&Outcome) -> bool| outcomes.iter().any(|(_, outcome)| what(outcome));
    Ok(if has(|outcome| matches!(outcome, Outcome::Failed(_))) {
        FAILED
    } else if has(|outcome| matches!(outcome, Outcome::Off(_) | Outcome::Unheard(_))) {
        UNFINISHED
    } else {
        DONE
    })
}

fn address(config: &Config, url: Option<&str>) -> anyhow::Result<Url> {
    let configured = || config.webhooks.as_ref()?.public_url.clone();
    match url {
        Some(text) => config::callable(text).map_err(|why| Usage(format!("--url {text}: {why}")).into()),
        None => configured().ok_or_else(|| {
            let told = "where is the store to call?\nhint: give --url https://…, or webhooks.public_url in the config";
            Usage(told.to_owned()).into()
        }),
    }
}

fn wanted(config: &Config, topics: &[String]) -> anyhow::Result<Vec<String>> {
    let mut wanted: Vec<String> = topics.iter().map(|topic| topic.trim().to_owned()).collect();
    if wanted.is_empty() {
        wanted = needs(config).into_iter().map(|need| need.topic).collect();
    }
    let mut known = std::collections::BTreeSet::new();
    wanted.retain(|topic| !topic.is_empty() && known.insert(topic.clone()));
    if wanted.is_empty() {
        let told = "no flow listens to anything of the store\nhint: name what to subscribe to with --topic";
        return Err(Usage(told.to_owned()).into());
    }
    Ok(wanted)
}

async fn see_to(
    subscriptions: &dyn Subscriptions,
    topic: &str,
    url: &Url,
    listed: &[Subscription],
) -> anyhow::Result<Outcome> {
    let address = Ours::Address(url.clone());
    let is_it = |one: &&Subscription| one.topic == topic && address.has(one);
    let there: Vec<&Subscription> = listed.iter().filter(is_it).collect();
    if let Some(one) = there.iter().find(|one| one.is_active) {
        return Ok(Outcome::There((*one).clone()));
    }
    if let Some(one) = there.first() {
        return Ok(Outcome::Off((*one).clone()));
    }
    let error = match subscriptions.create(topic, url.as_str()).await {
        Ok(made) => return Ok(Outcome::Made(made)),
        Err(error) => error,
    };
    match error.fault {
        // It may be there all the same, and a second one would be a copy.
        Fault::Transient { reached: true } => {
            let now = subscriptions.list().await?;
            let found = now.iter().find(is_it).cloned();
            Ok(found.map_or(Outcome::Failed(error), Outcome::Unheard))
        }
        Fault::Rejected if !is_sure(topic) => Ok(Outcome::NotOffered(error)),
        _ => Ok(Outcome::Failed(error)),
    }
}

const SWITCH_ON: &str = "switch it on in Settings > Apps > Webhooks";
const LOST_SECRET: &str = "it was made, but the answer with its secret never came: delete it in Settings > Apps > Webhooks \
                           and run this again";

impl Outcome {
    fn word(&self) -> &'static str {
        match self {
            Outcome::Made(_) => "made",
            Outcome::There(_) => "there",
            Outcome::Off(_) => "off",
            Outcome::Unheard(_) => "unheard",
            Outcome::NotOffered(_) => "not offered",
            Outcome::Failed(_) => "failed",
        }
    }

    fn subscription(&self) -> Option<&Subscription> {
        match self {
            Outcome::Made(made) => Some(&made.subscription),
            Outcome::There(one) | Outcome::Off(one) | Outcome::Unheard(one) => Some(one),
            Outcome::NotOffered(_) | Outcome::Failed(_) => None,
        }
    }

    fn secret(&self) -> Option<&SecretString> {
        match self {
            Outcome::Made(made) => made.secret.as_ref(),
            _ => None,
        }
    }

    fn note(&self) -> Option<String> {
        match self {
            Outcome::Made(made) if made.secret.is_none() => {
                Some("the answer held no secret: look for it in Settings > Apps > Webhooks".to_owned())
            }
            Outcome::Made(_) | Outcome::There(_) => None,
            Outcome::Off(_) => Some(format!("it is there and switched off: {SWITCH_ON}")),
            Outcome::Unheard(_) => Some(LOST_SECRET.to_owned()),
            Outcome::NotOffered(error) => Some(format!("nothing is lost without it; {error}")),
            Outcome::Failed(error) => match error.fault {
                Fault::Transient { reached: true } => Some(format!(
                    "{error}; the list does not show it, so it was not made: run this again"
                )),
                _ => Some(error.to_string()),
            },
        }
    }
}

fn tell(topic: &str, outcome: &Outcome) {
    let id = outcome
        .subscription()
        .map(|one| one.id.as_str())
        .filter(|id| !id.is_empty());
    let id = id.map_or(String::new(), |id| format!("  subscription {}", line(id, 40)));
    let secret = outcome
        .secret()
        .map(|secret| format!("  secret {}", line(secret.expose_secret(), 200)));
    let note = outcome.note().map(|note| format!("  {}", line(&note, 600)));
    let (secret, note) = (secret.unwrap_or_default(), note.unwrap_or_default());
    outln!("{:<11} {topic}{id}{secret}{note}", outcome.word());
}

fn outcome_json(topic: &str, outcome: &Outcome) -> Json {
    json!({
        "topic": topic,
        "outcome": outcome.word(),
        "id": outcome.subscription().map(|one| &one.id),
        "secret": outcome.secret().map(ExposeSecret::expose_secret),
        "note": outcome.note(),
    })
}

fn tell_next(config: &Config, url: &Url, outcomes: &[(String, Outcome)]) {
    if outcomes.iter().any(|(_, outcome)| outcome.secret().is_some()) {
        outln!(
            "Each secret is shown this once. Put them into `webhooks.secrets` of {}, best as ${{file:PATH}}, and have the \
             daemon take that over (SIGHUP).",
            config.path.display()
        );
    }
    match ours(config) {
        Some(Ours::Address(own)) if own != *url => outln!(
            "Note: by webhooks.public_url this daemon is called at {own}, and not at {url}: correct one of them."
        ),
        Some(Ours::Path(path)) if url.path() != path => outln!(
            "Note: the daemon listens at {path}. If a proxy turns {url} into that, set webhooks.public_url to {url}."
        ),
        _ => {}
    }
}
