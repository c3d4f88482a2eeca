//! `flows:`, which feed goes where, when and as what. Ties names to what the connectors offer; what a
//! filter says inside is checked where filters are compiled.

use std::sync::Arc;

use contract::settings::{Reader, Settings, nearest};
use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use filter::Env;
use jiff::tz::TimeZone;
use serde_json::json;

use super::guard;
use super::requires::{self, Provider};
use super::sections::{Connectors, well_named};
use super::{Mode, STORE, text_schema};
use crate::mapping::Mapping;

/// One resource of one connector: `store.orders`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Feed {
    pub connector: String,
    pub resource: String,
}

impl std::fmt::Display for Feed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.connector, self.resource)
    }
}

/// What a flow's first pass takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Initial {
    All,
    New,
}

/// When a flow runs by itself: a cron expression, meant in the config's time zone.
#[derive(Clone, Debug)]
pub struct Schedule {
    pub text: String,
    pub cron: Cron,
}

#[derive(Clone, Debug)]
pub struct Flow {
    pub name: String,
    pub from: Feed,
    pub to: Feed,
    pub schedule: Option<Schedule>,
    /// The webhook topics that start it at once; all of its resource where the file names none and the flow has
    /// a schedule.
    pub triggers: Vec<String>,
    pub initial: Initial,
    /// Whether a stock file that looks wrong as a whole is held for a person.
    pub guards: bool,
    pub mapping: Arc<Mapping>,
    /// Who delivers what its records refer to; in the order of the mapping's `requires`.
    pub requires: Vec<Provider>,
    /// The feeds whose records wait for those of this flow.
    pub required_by: Vec<Feed>,
    /// How many flows come before it. One has more than each of those that it requires.
    pub depth: usize,
    /// A flow that runs by itself requires it.
    pub serves: bool,
    /// Of stock into the store: what the file says of sales, and whose orders are taken off.
    pub sold: guard::Wish,
    pub guard: Option<guard::Guard>,
    /// Of orders: the flows from whose levels they are taken off.
    pub counted_by: Vec<(String, Feed)>,
}

impl Flow {
    /// Whether it runs without being asked to by a person.
    pub fn runs_by_itself(&self) -> bool {
        self.schedule.is_some() || !self.triggers.is_empty() || self.serves
    }
}

/// The topics that the store sends, by the resource they are about.
const TOPICS: [(&str, &[&str]); 5] = [
    (
        "orders",
        &[
            "order.created",
            "order.updated",
            "order.status_changed",
            "order.cancelled",
            "order.deleted",
        ],
    ),
    ("products", &["product.created", "product.updated", "product.deleted"]),
    ("customers", &["customer.created", "customer.updated"]),
    ("inventory", &["inventory.updated"]),
    // Nothing is sent about the profile, so nothing else may start a flow of it.
    ("store", &[]),
];

/// Of these, the ones that only a part of the platform's papers lists.
const UNSURE: [&str; 2] = ["order.cancelled", "order.deleted"];

/// Whether every store can be asked to tell of this topic. Nothing is lost without the others: a cancelled order has
/// changed its status, and deletions are found by sweeps.
pub fn is_sure(topic: &str) -> bool {
    !UNSURE.contains(&topic)
}

/// The topics that flows can listen to.
pub fn topics() -> impl Iterator<Item = &'static str> {
    TOPICS.iter().flat_map(|(_, topics)| topics.iter().copied())
}

pub(super) fn read(
    file: &mut Reader<'_>,
    mode: Mode,
    connectors: &Connectors,
    env: &Env,
    timezone: &TimeZone,
) -> Vec<Flow> {
    let mut given = 0;
    let read = file
        .field("flows", "what goes where, by a name of your choice")
        .map_of(|name, reader| {
            given += 1;
            well_named(reader, &name.text, name.span);
            flow(&name.text, reader, mode, connectors, env, timezone)
        });
    if given == 0 {
        file.warning_at("flows", "there are no flows, so nothing will be carried", None);
    }
    let mut flows: Vec<Flow> = read.into_iter().map(|(_, flow)| flow).collect();
    // Where a flow could not be read nothing is said about who might have required it.
    if flows.len() == given {
        requires::tie(file, &mut flows, mode, connectors);
        guard::tie(file, &mut flows, mode, connectors);
    }
    flows
}

fn flow(
    name: &str,
    reader: &mut Reader<'_>,
    mode: Mode,
    connectors: &Connectors,
    env: &Env,
    timezone: &TimeZone,
) -> Option<Flow> {
    let from = feed(reader, "from", "the feed it reads, as connector.resource");
    let to = feed(reader, "to", "the feed it writes, as connector.resource");
    let schedule = reader
        .field(
            "schedule",
            "cron: minute hour day month weekday, in the store's time zone; @hourly and the like; manual: only when asked",
        )
        .default("*/10 * * * *")
        .parsed(text_schema(), |text| match text {
            "manual" => Ok(None),
            cron => self::cron(cron, timezone).map(Some),
        })
        .flatten();
    let triggers = triggers(reader, from.as_ref(), schedule.is_some());
    let initial = reader
        .field(
            "initial",
            "what the first pass takes: all history, or only what is new from then on",
        )
        .default("all")
        .choice(&["all", "new"]);
    let guards = reader
        .field(
            "guards",
            "whether a stock file that looks wrong as a whole is held for a person",
        )
        .default("on")
        .choice(&["on", "off"]);
    let sold = guard::read(reader);
    let mapping = Mapping::read(reader, env);
    if let Some(from) = &from {
        offered(reader, "from", from, mode, connectors);
    }
    if let Some(to) = &to {
        offered(reader, "to", to, mode, connectors);
    }
    if mode == Mode::Full
        && let (Some(to), Some(mapping)) = (&to, &mapping)
        && mapping.makes_rows()
        && let Some(target) = connectors.ready.get(&to.connector)
        && target.takes_records()
    {
        reader.problem_at(
            "each",
            format!("it makes several rows of a record, and `{to}` takes one record at a time"),
            Some("remove `each`; a list can stand inside `map`".to_owned()),
        );
    }
    if let (Some(from), Some(to)) = (&from, &to)
        && from == to
    {
        reader.problem_at("to", format!("`{to}` is where the flow reads from"), None);
    }
    Some(Flow {
        name: name.to_owned(),
        from: from?,
        to: to?,
        schedule,
        triggers,
        initial: match initial? {
            "new" => Initial::New,
            _ => Initial::All,
        },
        guards: guards? == "on",
        mapping: Arc::new(mapping?),
        requires: Vec::new(),
        required_by: Vec::new(),
        depth: 0,
        serves: false,
        sold: sold?,
        guard: None,
        counted_by: Vec::new(),
    })
}

fn feed(reader: &mut Reader<'_>, key: &'static str, doc: &'static str) -> Option<Feed> {
    let schema = json!({"type": "string", "pattern": "^[^.]+\\.[^.]+$"});
    reader.field(key, doc).required().parsed(schema, |text| {
        let parts = text
            .split_once('.')
            .filter(|(connector, resource)| !connector.is_empty() && !resource.is_empty() && !resource.contains('.'));
        let (connector, resource) = parts.ok_or("expected connector.resource, such as store.orders")?;
        Ok(Feed {
            connector: connector.to_owned(),
            resource: resource.to_owned(),
        })
    })
}

/// Checks that the connector is there and does this.
fn offered(reader: &mut Reader<'_>, key: &str, feed: &Feed, mode: Mode, connectors: &Connectors) {
    let Some(settings) = connectors.ready.get(&feed.connector) else {
        // One that is there but could not be read has a problem of its own, or lacks its secrets.
        if !connectors.named.contains(&feed.connector) {
            let names = connectors.named.iter().map(String::as_str);
            let all: Vec<&str> = names.clone().collect();
            let hint = match nearest(&feed.connector, names) {
                Some(near) => format!("did you mean `{near}.{}`?", feed.resource),
                None => format!("the connectors are {}", all.join(", ")),
            };
            let message = format!("there is no connector `{}`", feed.connector);
            reader.problem_at(key, message, Some(hint));
        }
        return;
    };
    if mode == Mode::Full {
        direction(reader, key, feed, settings.as_ref());
    }
}

fn direction(reader: &mut Reader<'_>, key: &str, feed: &Feed, settings: &dyn Settings) {
    let (sources, targets) = (settings.sources(), settings.targets());
    let (here, there, verb, other) = match key {
        "from" => (sources, targets, "read from", "written to"),
        _ => (targets, sources, "written to", "read from"),
    };
    if here.contains(&feed.resource) {
        return;
    }
    let message = match there.contains(&feed.resource) {
        true => format!("`{feed}` can only be {other} in this version, not {verb}"),
        false => format!(
            "`{}` has no resource `{}` that can be {verb}",
            feed.connector, feed.resource
        ),
    };
    let hint = match nearest(&feed.resource, here.iter().map(String::as_str)) {
        Some(near) => format!("did you mean `{}.{near}`?", feed.connector),
        None if here.is_empty() => format!("nothing of `{}` can be {verb} in this version", feed.connector),
        None => format!("of `{}`, these can be {verb}: {}", feed.connector, here.join(", ")),
    };
    reader.problem_at(key, message, Some(hint));
}

fn cron(text: &str, timezone: &TimeZone) -> Result<Schedule, String> {
    if !text.starts_with('@') && text.split_whitespace().count() != 5 {
        return Err("expected five fields (minute hour day month weekday) such as `*/10 * * * *`".to_owned());
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let parsed = parser.parse(text).map_err(|error| {
        let why = error.to_string();
        format!(
            "expected a cron expression such as `*/10 * * * *` ({})",
            why.trim_end_matches('.')
        )
    })?;
    // Asked from a fixed day, so that the same file is always as good: the 31st of February never comes.
    let start = jiff::Timestamp::UNIX_EPOCH.to_zoned(timezone.clone());
    match parsed.find_next_occurrence(&start, false) {
        Ok(_) => Ok(Schedule {
            text: text.to_owned(),
            cron: parsed,
        }),
        Err(_) => Err("expected a time that comes".to_owned()),
    }
}

fn triggers(reader: &mut Reader<'_>, from: Option<&Feed>, has_schedule: bool) -> Vec<String> {
    let resource = from.map(|from| from.resource.as_str()).unwrap_or_default();
    let of_resource = TOPICS
        .iter()
        .find(|(name, _)| *name == resource)
        .map(|(_, topics)| *topics);
    let all: Vec<&str> = topics().collect();
    let is_silent = of_resource.is_some_and(<[&str]>::is_empty);
    let known = of_resource.filter(|_| !is_silent).unwrap_or(&all);
    let given = reader
        .field(
            "triggers",
            "webhook topics that start it at once; default: all of its resource, or none with `schedule: manual`",
        )
        .list_of_choices(known);
    let from_store = from.is_some_and(|from| from.connector == STORE);
    match given {
        Some(topics) => {
            if from_store && is_silent && !topics.is_empty() {
                let hint = Some("remove `triggers`; `schedule` starts this flow".to_owned());
                reader.problem_at("triggers", "the store sends no webhook about this", hint);
            } else if !from_store && from.is_some() && !topics.is_empty() {
                let hint = Some("remove `triggers`; `schedule` starts this flow".to_owned());
                reader.problem_at("triggers", "only the store sends webhooks", hint);
            }
            topics.into_iter().map(str::to_owned).collect()
        }
        // What runs only when it is asked to is asked by a person, unless it says otherwise.
        None if from_store && !is_silent && has_schedule => known.iter().map(|topic| (*topic).to_owned()).collect(),
        None => Vec::new(),
    }
}
