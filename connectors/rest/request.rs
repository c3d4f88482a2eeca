//! One request as the config describes it, and as it is made for a record. What is made depends on the config and
//! the record alone, so that the same record gives the same bytes.

use contract::settings::Reader;
use contract::{Malformed, Value};
use reqwest::{Method, Url};
use secrecy::SecretString;
use serde_json::json;

use super::jq::{Around, Named, Template, text_of};
use super::place::Place;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
/// As much of a body as is kept for a person.
const SHOWN_CHARS: usize = 16 * 1024;

/// A request of the config.
#[derive(Debug)]
pub(super) struct Shape {
    pub(super) method: Method,
    pub(super) place: Place,
    pub(super) params: Named,
    pub(super) headers: Named,
    pub(super) body: Body,
    pub(super) encoding: Encoding,
}

#[derive(Debug)]
pub(super) enum Body {
    None,
    /// The record as it is.
    Record,
    Template(Template),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Json,
    Form,
}

/// What a request does where the config does not say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) method: &'static str,
    /// Whether the record is its body.
    pub(super) sends: bool,
}

/// A request that is ready but for its credentials.
#[derive(Clone, Debug)]
pub(super) struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Option<Sent>,
}

/// A body as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) kind: &'static str,
    pub(super) text: String,
}

impl Sent {
    pub(super) fn of(content: Value, encoding: Encoding) -> Result<Sent, Malformed> {
        let kind = if encoding == Encoding::Form { FORM } else { JSON };
        let text = written(content, encoding)?;
        Ok(Sent { kind, text })
    }
}

impl Shape {
    pub(super) fn read(reader: &mut Reader<'_>, usual: Usual) -> Option<Shape> {
        let method = reader
            .field("method", "the HTTP method")
            .default(usual.method)
            .choice(&["GET", "POST", "PUT", "PATCH", "DELETE"]);
        let place = place(reader);
        let params = Named::read(reader, "params", "query parameters: a jq filter each");
        let headers = Named::read(reader, "headers", "headers of this request: a jq filter each");
        let headers = headers.and_then(|headers| sound(reader, headers));
        let body = read_body(reader, usual);
        let encoding = reader
            .field(
                "encoding",
                "how the body is written: json, or form as a browser sends it",
            )
            .default("json")
            .choice(&["json", "form"]);
        Some(Shape {
            method: method_of(method?),
            place: place?,
            params: params?,
            headers: headers?,
            body: body?,
            encoding: if encoding? == "form" {
                Encoding::Form
            } else {
                Encoding::Json
            },
        })
    }

    pub(super) fn prepare(
        &self,
        base: &Url,
        record: &Value,
        id: Option<&str>,
        around: &Around,
    ) -> Result<Prepared, Malformed> {
        let content = match &self.body {
            Body::None => None,
            Body::Record => Some(record.clone()),
            Body::Template(template) => Some(template.fill(record, around)?),
        };
        let url = self.place.url(base, record, id)?;
        self.ready(url, record, around, content)
    }

    /// The same with another body, and at another place where one is given.
    pub(super) fn prepare_with(
        &self,
        base: &Url,
        place: Option<&Place>,
        records: &Value,
        around: &Around,
        content: Value,
    ) -> Result<Prepared, Malformed> {
        let url = place.unwrap_or(&self.place).url(base, records, None)?;
        self.ready(url, records, around, Some(content))
    }

    /// What came into it from outside the file.
    pub(super) fn secrets(&self, found: &mut Vec<SecretString>) {
        for (_, template) in self.params.iter().chain(self.headers.iter()) {
            template.secrets(found);
        }
        if let Body::Template(template) = &self.body {
            template.secrets(found);
        }
    }

    /// Whether a filter of it has this in its text.
    pub(super) fn mentions(&self, text: &str) -> bool {
        let named = |named: &Named| named.iter().any(|(_, template)| template.mentions(text));
        let body = matches!(&self.body, Body::Template(template) if template.mentions(text));
        body || named(&self.params) || named(&self.headers)
    }

    fn ready(
        &self,
        mut url: Url,
        record: &Value,
        around: &Around,
        content: Option<Value>,
    ) -> Result<Prepared, Malformed> {
        add_params(&mut url, &self.params.texts(record, around)?);
        let headers = self.headers.texts(record, around)?;
        let body = content.map(|content| Sent::of(content, self.encoding)).transpose()?;
        Ok(Prepared {
            method: self.method.clone(),
            url,
            headers,
            body,
        })
    }
}

fn method_of(name: &str) -> Method {
    Method::from_bytes(name.as_bytes()).unwrap_or(Method::POST)
}

pub(super) fn place(reader: &mut Reader<'_>) -> Option<Place> {
    let about = "the path below base_url; {name} is filled from the record, {id} with the target's own id";
    reader
        .field("path", about)
        .required()
        .parsed(json!({"type": "string", "pattern": "^/"}), Place::parse)
}

/// Names of headers that can be sent, and that nobody else sets.
pub(super) fn sound(reader: &mut Reader<'_>, headers: Named) -> Option<Named> {
    let own = ["host", "content-length", "transfer-encoding", "connection", "cookie"];
    let odd = headers.names().find_map(|name| {
        let lower = name.to_ascii_lowercase();
        match reqwest::header::HeaderName::from_bytes(name.as_bytes()) {
            Err(_) => Some(format!("`{name}` is no name of a header")),
            Ok(_) if own.contains(&lower.as_str()) => Some(format!("the header `{name}` is not yours to set")),
            Ok(_) => None,
        }
    });
    match odd {
        Some(message) => {
            reader.problem_at("headers", message, None);
            None
        }
        None => Some(headers),
    }
}

fn read_body(reader: &mut Reader<'_>, usual: Usual) -> Option<Body> {
    let given = reader.has("body");
    let about = "the body: a jq filter, or a structure of them; by default the mapped record where there is a body";
    let template = Template::read(reader, "body", about);
    match (given, template) {
        (true, template) => template.map(Body::Template),
        (false, _) if usual.sends => Some(Body::Record),
        (false, _) => Some(Body::None),
    }
}

/// Null leaves the body empty in a form; an object's fields are the form's.
fn written(content: Value, encoding: Encoding) -> Result<String, Malformed> {
    match (encoding, content) {
        (Encoding::Json, content) => Ok(content.to_json()),
        (Encoding::Form, Value::Map(fields)) => {
            let mut pairs = Vec::with_capacity(fields.len());
            for (name, value) in fields.iter() {
                match value {
                    Value::Null => {}
                    Value::List(items) => {
                        pairs.extend(items.iter().map(|item| (name.to_owned(), text_of(item.clone()))));
                    }
                    value => pairs.push((name.to_owned(), text_of(value.clone()))),
                }
            }
            Ok(form(&pairs))
        }
        (Encoding::Form, content) => Err(Malformed(format!(
            "a form is made of an object's fields, and the body is {}",
            content.kind()
        ))),
    }
}

pub(super) fn form(pairs: &[(String, String)]) -> String {
    // The URL's own writer is the one of forms.
    match Url::parse("http://form.invalid/") {
        Ok(mut url) => {
            url.query_pairs_mut().extend_pairs(pairs);
            url.query().unwrap_or_default().to_owned()
        }
        Err(_) => String::new(),
    }
}

pub(super) fn add_params(url: &mut Url, params: &[(String, String)]) {
    if !params.is_empty() {
        url.query_pairs_mut().extend_pairs(params);
    }
}

impl Prepared {
    /// As `curl` would be asked to send it.
    pub(super) fn curl(&self) -> String {
        let headers = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let body = self.body.as_ref().map(|body| body.text.as_str());
        crate::http::curl(&self.method, &self.url, headers, body)
    }

    /// For whoever looks into a failure.
    pub(super) fn tell(&self) -> String {
        let mut told = format!("{} {}\n", self.method, self.url);
        for (name, value) in &self.headers {
            told.push_str(&format!("{name}: {value}\n"));
        }
        if let Some(body) = &self.body {
            told.push('\n');
            told.push_str(&cut(&body.text));
        }
        told
    }
}

/// The beginning of a text, with word of the rest.
pub(super) fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}… ({} bytes in all)", &text[..at], text.len()),
        None => text.to_owned(),
    }
}
