//! What an answer means. The status comes first, then what the config says of the body: an ERP may refuse inside
//! a 200, and some say 500 of what is wrong with one record. Nothing is believed to be done that is not said to be.

use contract::settings::Reader;
use contract::{Error, Fault, Malformed, Value};

use super::jq::{Jq, text_of};
use crate::http::Answer;

const WORDS_CHARS: usize = 400;

/// How the answers of one request are judged.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// Holds when it was carried out.
    success: Option<Jq>,
    /// The other side's own words, where it was not.
    error: Option<Jq>,
    /// Statuses that say so of this one record, whatever they say elsewhere.
    refused: Vec<u16>,
    /// Statuses that say that it is there already.
    pub(super) conflict: Vec<u16>,
    conflict_when: Option<Jq>,
    /// An answer without a body is a good one.
    empty: bool,
}

impl Rules {
    /// The part that every request can have.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Rules> {
        let success = Jq::read(reader, "success", "jq over the answer: holds when it was carried out");
        let error = Jq::read(
            reader,
            "error",
            "jq over the answer: the other side's words where it was not",
        );
        let conflict_when = Jq::read(
            reader,
            "conflict_when",
            "jq over the answer: holds when it is there already",
        );
        let refused = statuses(
            reader,
            "refused",
            "statuses that refuse this one record, such as a 500 that is about what was sent",
        );
        let empty = reader
            .field("empty", "whether a good answer may be without a body")
            .default("false")
            .boolean();
        Some(Rules {
            success,
            error,
            refused: refused?,
            conflict: Vec::new(),
            conflict_when,
            empty: empty?,
        })
    }

    /// Statuses that the transport must leave to these rules.
    pub(super) fn judged(&self) -> Vec<u16> {
        self.refused.iter().chain(&self.conflict).copied().collect()
    }

    /// What a good answer holds; null where it has no body.
    pub(super) fn judge(&self, answer: &Answer, doing: &str) -> Result<Value, Error> {
        let status = answer.status.as_u16();
        let fail = |fault, said: String| Err(Error::new(fault, doing, said).status(status));
        if !answer.status.is_success() || self.refused.contains(&status) || self.conflict.contains(&status) {
            return Err(self.refusal(answer, doing));
        }
        if answer.too_large {
            return fail(
                Fault::Transient { reached: true },
                "the answer is larger than `answer_max`".to_owned(),
            );
        }
        let text = match answer.text() {
            Some(text) => text.trim(),
            None => return fail(Fault::Transient { reached: true }, "the answer is not UTF-8".to_owned()),
        };
        if text.is_empty() {
            return match self.empty || status == 204 {
                true => Ok(Value::Null),
                false => fail(
                    Fault::Transient { reached: true },
                    format!("it answered {status} with an empty body"),
                ),
            };
        }
        let value = match Value::parse(text) {
            Ok(value) => value,
            // A login page, a proxy's greeting, a cut answer: nothing is known of what became of the request.
            Err(error) => {
                let said = format!("its answer cannot be read ({error}): {}", answer.tell());
                return fail(Fault::Transient { reached: true }, said);
            }
        };
        self.judge_body(answer, &value, doing)?;
        Ok(value)
    }

    fn judge_body(&self, answer: &Answer, value: &Value, doing: &str) -> Result<(), Error> {
        let status = answer.status.as_u16();
        // A rule that fails on an answer says nothing good of it, and nothing certain.
        let unknown = |Malformed(why)| Error::new(Fault::Transient { reached: true }, doing, why).status(status);
        let holds = |jq: &Jq| jq.holds(value, &Value::Null).map_err(unknown);
        if let Some(conflict) = &self.conflict_when
            && holds(conflict)?
        {
            let said = self.words(value).unwrap_or_else(|| "it is there already".to_owned());
            return Err(Error::new(Fault::Conflict, doing, answer.mask(&said)).status(status));
        }
        let good = match &self.success {
            Some(success) => holds(success)?,
            None => true,
        };
        match self.words(value) {
            Some(words) => Err(refused(doing, status, &answer.mask(&words))),
            None if !good => Err(refused(doing, status, &answer.mask(&clip(&value.to_json())))),
            None => Ok(()),
        }
    }

    /// The other side's words about an error, where there are any.
    fn words(&self, value: &Value) -> Option<String> {
        let told = self.error.as_ref()?.value(value, &Value::Null).ok()?;
        match told {
            Value::Null | Value::Bool(false) => None,
            Value::Bool(true) => Some(clip(&value.to_json())),
            told => Some(clip(&text_of(told))).filter(|words| !words.is_empty()),
        }
    }

    fn refusal(&self, answer: &Answer, doing: &str) -> Error {
        let status = answer.status.as_u16();
        let value = answer.text().and_then(|text| Value::parse(text).ok());
        let words = value.and_then(|value| self.words(&value));
        let said = match words {
            Some(words) => format!("it answered {status}: {}", answer.mask(&words)),
            None => format!("it answered {}", answer.tell()),
        };
        let error = |fault| Error::new(fault, doing, said.clone()).status(status);
        if self.conflict.contains(&status) {
            return error(Fault::Conflict);
        }
        if self.refused.contains(&status) {
            return error(Fault::Rejected);
        }
        match status {
            300..=399 => error(Fault::Denied).hint(
                "redirects are never followed, because credentials would go along; put the final address into base_url",
            ),
            401 => error(Fault::Denied).hint("the credentials are not accepted: correct what stands under auth"),
            403 => error(Fault::Denied).hint(
                "allow the user or the app of these credentials to do this; where 403 is about single records, write \
                 refused: [403]",
            ),
            405 | 406 | 415 | 501 => {
                error(Fault::Denied).hint("check `method`, `path`, `encoding` and `headers` of this request")
            }
            404 => error(Fault::Rejected)
                .hint("if all records are refused so, nothing is at this address: check `path` and base_url"),
            408 | 425 => error(Fault::Transient { reached: false }),
            500..=599 => error(Fault::Transient { reached: true }),
            _ => error(Fault::Rejected),
        }
    }
}

fn refused(doing: &str, status: u16, words: &str) -> Error {
    Error::new(
        Fault::Rejected,
        doing,
        format!("it answered {status}, and in it: {words}"),
    )
    .status(status)
}

fn clip(text: &str) -> String {
    let plain = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let clipped: String = plain.take(WORDS_CHARS).collect();
    clipped.trim().to_owned()
}

/// A list of HTTP statuses; empty where it is not given.
pub(super) fn statuses(reader: &mut Reader<'_>, name: &'static str, doc: &'static str) -> Option<Vec<u16>> {
    let given = reader.has(name);
    let items = serde_json::json!({"type": "integer", "minimum": 300, "maximum": 599});
    let read = reader
        .field(name, doc)
        .list_of_parsed(items, |text| match text.parse::<u16>() {
            Ok(status) if (300..=599).contains(&status) && status != 401 && status != 429 => Ok(status),
            _ => Err("expected an HTTP status from 300 to 599 other than 401 and 429".to_owned()),
        });
    if given { read } else { Some(Vec::new()) }
}
