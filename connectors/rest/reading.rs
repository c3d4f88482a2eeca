//! `pull:` of the config: the listing of one resource, what a record of it is, and how only what changed is asked for.

use std::fmt;

use contract::settings::{Kind, Reader};
use contract::{Malformed, Value};
use jiff::tz::TimeZone;
use reqwest::Method;
use serde_json::json;

use super::jq::{Jq, Template, literals, text_of};
use super::mark::{Format, Marks};
use super::paginate::Paginator;
use super::place::Place;
use super::request::{Encoding, place};
use super::rules::Rules;
use super::slot::Slot;

/// `pull` of one resource.
pub(super) struct PullSettings {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) params: Vec<(String, String)>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Value>,
    pub(super) encoding: Encoding,
    pub(super) data: Jq,
    pub(super) key: Jq,
    pub(super) cursor: Option<CursorSettings>,
    pub(super) pages: Paginator,
    pub(super) read: Option<ReadSettings>,
    pub(super) rules: Rules,
    pub(super) secrets: Vec<secrecy::SecretString>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for PullSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PullSettings")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(super) struct CursorSettings {
    /// The first of these that is there counts.
    paths: Vec<Jq>,
    param: Slot,
    /// jq over the mark: what the parameter is to hold.
    value: Option<Jq>,
    start: Option<String>,
    pub(super) marks: Marks,
}

/// How one record is read by its key.
pub(super) struct ReadSettings {
    pub(super) place: Place,
    pub(super) params: Vec<(String, String)>,
    pub(super) data: Option<Jq>,
}

/// What may hold a secret is not shown.
impl fmt::Debug for ReadSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadSettings")
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

impl PullSettings {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<PullSettings> {
        let mut secrets = Vec::new();
        let method = reader
            .field("method", "the HTTP method")
            .default("GET")
            .choice(&["GET", "POST"]);
        let path = place(reader);
        let params = pairs(reader, "params", "query parameters, as they are sent", &mut secrets);
        let headers = pairs(
            reader,
            "headers",
            "headers of this request, as they are sent",
            &mut secrets,
        );
        let body = reader
            .field("body", "with POST: the body, as it is sent")
            .raw(json!({}));
        let body = body.map(|node| literals(node, &mut secrets));
        let encoding = reader
            .field("encoding", "how the body is written")
            .default("json")
            .choice(&["json", "form"]);
        let data = Jq::required(
            reader,
            "data_selector",
            "jq over the answer: the list of records, such as .items",
        );
        let key = Jq::required(reader, "primary_key", "jq over a record: what tells it from all others");
        let cursor = cursor(reader);
        let pages = Paginator::read(reader);
        let read = reader
            .field("read", "how one record is read by its key")
            .object(|reader| {
                let place = place(reader);
                let params = pairs(reader, "params", "query parameters, as they are sent", &mut secrets);
                let data = Jq::read(
                    reader,
                    "data_selector",
                    "jq over the answer: the record; default the answer itself",
                );
                Some(ReadSettings {
                    place: place?,
                    params: params?,
                    data,
                })
            });
        let rules = Rules::read(reader);
        let (place, method) = (path?, method?);
        if let Some(field) = place.fields().next() {
            let hint = Some("what differs from record to record belongs under `read`".to_owned());
            reader.problem_at(
                "path",
                format!("a listing has no record to fill {{{field}}} from"),
                hint,
            );
            return None;
        }
        if body.is_some() && method == "GET" {
            reader.problem_at("body", "a GET has no body", Some("method: POST".to_owned()));
            return None;
        }
        Some(PullSettings {
            method: if method == "GET" { Method::GET } else { Method::POST },
            place,
            params: params?,
            headers: headers?,
            body,
            encoding: if encoding? == "form" {
                Encoding::Form
            } else {
                Encoding::Json
            },
            data: data?,
            key: key?,
            cursor: cursor?,
            pages: pages?,
            read,
            rules: rules?,
            secrets,
        })
    }
}

/// Names and literal texts; a list gives its name several times, an object is sent as JSON.
pub(super) fn pairs(
    reader: &mut Reader<'_>,
    name: &'static str,
    doc: &'static str,
    secrets: &mut Vec<secrecy::SecretString>,
) -> Option<Vec<(String, String)>> {
    let node = reader
        .field(name, doc)
        .raw(json!({"type": "object", "additionalProperties": {}}));
    let Some(node) = node else { return Some(Vec::new()) };
    let Kind::Map(fields) = &node.kind else {
        if !node.is_unresolved() {
            reader.problem_at(name, format!("expected a map of names, found {}", node.shown()), None);
        }
        return None;
    };
    let mut pairs = Vec::new();
    for (key, node) in fields {
        match literals(node, secrets) {
            Value::Null => {}
            Value::List(items) => pairs.extend(items.into_iter().map(|item| (key.text.clone(), text_of(item)))),
            value => pairs.push((key.text.clone(), text_of(value))),
        }
    }
    Some(pairs)
}

/// `Some(None)`: there is none, so every pass reads all there is.
fn cursor(reader: &mut Reader<'_>) -> Option<Option<CursorSettings>> {
    let given = reader.has("cursor");
    let about = "how only what changed is asked for; without it each pass reads the whole listing";
    let read = reader.field("cursor", about).object(read_cursor);
    if given { read.map(Some) } else { Some(None) }
}

fn read_cursor(reader: &mut Reader<'_>) -> Option<CursorSettings> {
    let about = "jq over a record: its time of change, or a list of filters of which the first with a value counts";
    let schema = json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]});
    let node = reader.field("path", about).required().raw(schema);
    let paths = match node.map(|node| &node.kind) {
        Some(Kind::List(_)) => Template::list_of_filters(reader, node, "path"),
        _ => node.and_then(|node| Jq::at(reader, node, "path")).map(|jq| vec![jq]),
    };
    let param = reader
        .field("param", "what takes it: a query parameter, or .a.path in the body")
        .required()
        .parsed(json!({"type": "string"}), Slot::parse);
    let value = Jq::read(
        reader,
        "value",
        "jq over the mark: what the parameter holds; default the mark itself",
    );
    let start = reader
        .field(
            "start",
            "the mark to begin with; default: the parameter is left out at first",
        )
        .text();
    let format = reader
        .field(
            "format",
            "how it is written: time, unix, unix_ms, date, number, text, or a strftime pattern",
        )
        .default("time")
        .parsed(json!({"type": "string"}), Format::parse);
    let timezone = reader
        .field("timezone", "of times that name none")
        .default("UTC")
        .parsed(json!({"type": "string"}), |name| {
            TimeZone::get(name).map_err(|error| error.to_string())
        });
    let inclusive = reader
        .field(
            "inclusive",
            "whether asking from a value on brings the records that have it",
        )
        .default("true")
        .boolean();
    let lag = reader
        .field(
            "lag",
            "how far each pass reaches back behind its mark, for what comes to light late",
        )
        .default("10m")
        .duration();
    Some(CursorSettings {
        paths: paths?,
        param: param?,
        value,
        start,
        marks: Marks {
            format: format?,
            timezone: timezone?,
            lag: lag?,
            inclusive: inclusive?,
        },
    })
}

impl CursorSettings {
    pub(super) fn ask(
        &self,
        since: &str,
        params: &mut Vec<(String, String)>,
        body: &mut Option<Value>,
    ) -> Result<(), Malformed> {
        let from = match (since, &self.start) {
            ("", None) => return Ok(()),
            ("", Some(start)) => Value::text(start),
            (since, _) => self.marks.ask_from(since),
        };
        let value = match &self.value {
            Some(value) => value.value(&from, &Value::Null)?,
            None => from,
        };
        self.param.put(value, params, body);
        Ok(())
    }

    /// The first of its paths that has a value: a new record may have no time of change yet.
    pub(super) fn mark(&self, record: &Value) -> Option<String> {
        self.paths.iter().find_map(|path| {
            let value = path.value(record, &Value::Null).ok()?;
            self.marks.of(value)
        })
    }
}
