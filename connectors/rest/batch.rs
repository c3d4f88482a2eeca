//! Several records in one request, each with an answer of its own. Answers are told apart by what is in them, never
//! by hope: one that is missing says nothing of its record.

use std::collections::HashMap;

use contract::settings::Reader;
use contract::{Error, Fault, Fields, Hash, Key, Malformed, Push, Receipt, Value};
use secrecy::SecretString;
use serde_json::json;

use super::action::Action;
use super::api::Api;
use super::jq::{Jq, Template, text_of};
use super::push::Target;
use super::request::Prepared;
use super::rules::Rules;
use crate::http::Answer;

#[derive(Debug)]
pub(super) struct Batch {
    pub(super) size: usize,
    body: Template,
    /// jq over the answer: the list of results.
    results: Jq,
    id: Option<Jq>,
    error: Option<Jq>,
    conflict_when: Option<Jq>,
    /// jq over a result, and over a mapped record: what both have.
    key: Option<(Jq, Jq)>,
    path: Option<super::place::Place>,
}

impl Batch {
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Batch> {
        let size = reader
            .field("size", "how many records one request creates at the most")
            .required()
            .integer(1, 10_000);
        let path = reader
            .field("path", "where batches go; default the path of `create`")
            .parsed(json!({"type": "string", "pattern": "^/"}), super::place::Place::parse);
        let body = Template::read(
            reader,
            "body",
            "jq over the list of mapped records; default the list itself",
        );
        let given = reader.has("body");
        let results = Jq::required(reader, "results", "jq over the answer: the list of results");
        let id = Jq::read(reader, "id", "jq over a result: the other side's own id");
        let error = Jq::read(
            reader,
            "error",
            "jq over a result: the other side's words where it refused",
        );
        let conflict_when = Jq::read(
            reader,
            "conflict_when",
            "jq over a result: holds when it is there already",
        );
        let key = Jq::read(reader, "key", "jq over a result: what tells which record it is about");
        let record_key = Jq::read(
            reader,
            "record_key",
            "jq over a mapped record: the same; default as `key`",
        );
        let again = match (&key, &record_key) {
            // A filter is compiled once for each side.
            (Some(_), None) => reader.node().and_then(|node| node.get("key")),
            (None, Some(_)) => {
                reader.problem_at("record_key", "without `key` there is nothing to compare it with", None);
                None
            }
            _ => None,
        };
        if key.is_none() && reader.has("results") {
            let hint = Some("key: .reference, if each result tells the record's reference".to_owned());
            let why = "results are told apart by their place alone, so an answer in another order would mix records up";
            reader.warning_at("results", why, hint);
        }
        let same = again.and_then(|node| Jq::at(reader, node, "key"));
        if let Some(field) = path.as_ref().and_then(|path| path.fields().next()) {
            reader.problem_at(
                "path",
                format!("a batch has no one record to fill {{{field}}} from"),
                None,
            );
            return None;
        }
        let body = match (given, body) {
            (true, body) => body?,
            (false, _) => Template::identity()?,
        };
        Some(Batch {
            size: usize::try_from(size?).ok()?,
            body,
            results: results?,
            id,
            error,
            conflict_when,
            key: key.zip(record_key.or(same)),
            path,
        })
    }

    pub(super) fn secrets(&self, found: &mut Vec<SecretString>) {
        self.body.secrets(found);
    }

    pub(super) fn tells_ids(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn prepare(&self, api: &Api, create: &Action, pushes: &[Push]) -> Result<Prepared, Malformed> {
        let records = Value::List(pushes.iter().map(|push| push.record.clone()).collect());
        let mut around = Fields::with_capacity(1);
        let keys = pushes.iter().map(|push| Value::text(&push.idempotency));
        around.push("keys", Value::List(keys.collect()));
        let around = Value::Map(around);
        let shape = &create.shape;
        let content = self.body.fill(&records, &around)?;
        let mut prepared = shape.prepare_with(&api.base, self.path.as_ref(), &records, &around, content)?;
        create.keyed(&mut prepared, &key_of(pushes));
        Ok(prepared)
    }

    pub(super) async fn create(&self, target: &Target, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let create = &target.settings.create;
        let doing = match pushes {
            [one] => format!("creating {} in {}", super::pull::plain(&one.key.0), target.name),
            _ => format!("creating {} records in {}", pushes.len(), target.name),
        };
        let all = |error: Error| vec![Err(error); pushes.len()];
        let prepared = match self.prepare(&target.api, create, pushes) {
            Ok(prepared) => prepared,
            Err(Malformed(why)) => return all(Error::new(Fault::Rejected, &doing, why)),
        };
        let told = target.api.curl(prepared.clone());
        let manner = target.writes(&doing, &create.rules);
        let answer = target
            .api
            .call(prepared, &manner, |answer| self.results(answer, &create.rules, &doing))
            .await;
        match answer {
            Ok(results) => self.matched(pushes, &results, &doing, &told),
            Err(error) => all(error),
        }
    }

    fn results(&self, answer: &Answer, rules: &Rules, doing: &str) -> Result<Vec<(Value, String)>, Error> {
        let value = rules.judge(answer, doing)?;
        let unclear = |why: String| Error::new(Fault::Transient { reached: true }, doing, why);
        let results = self
            .results
            .value(&value, &Value::Null)
            .map_err(|Malformed(why)| unclear(why))?;
        match results {
            Value::List(results) => Ok(results
                .into_iter()
                .map(|result| {
                    let told = answer.mask(&result.to_json());
                    (result, told)
                })
                .collect()),
            other => Err(unclear(format!(
                "the answer has {} where `results` looks for a list",
                other.kind()
            ))),
        }
    }

    /// One answer for each record. A result that fits none of them, or two that fit one, say nothing of it.
    fn matched(
        &self,
        pushes: &[Push],
        results: &[(Value, String)],
        doing: &str,
        request: &str,
    ) -> Vec<Result<Receipt, Error>> {
        let Some((theirs, ours)) = &self.key else {
            // By their place, which only holds if there is one for each.
            return match results.len() == pushes.len() {
                true => results
                    .iter()
                    .map(|result| self.judge(result, doing, request))
                    .collect(),
                false => {
                    let said = format!(
                        "{} results for {} records, and no `key` to tell which is whose",
                        results.len(),
                        pushes.len()
                    );
                    vec![Err(Error::new(Fault::Transient { reached: true }, doing, said)); pushes.len()]
                }
            };
        };
        let mut by_key: HashMap<String, Vec<&(Value, String)>> = HashMap::new();
        for result in results {
            if let Ok(Some(key)) = theirs.text(&result.0, &Value::Null) {
                by_key.entry(key).or_default().push(result);
            }
        }
        let of = |push: &Push| {
            let key = ours.text(&push.record, &Value::Null).ok().flatten();
            let found = key.as_ref().and_then(|key| by_key.get(key));
            match found.map(Vec::as_slice) {
                Some([result]) => self.judge(result, doing, request),
                Some(several) => Err(unclear(
                    doing,
                    format!("{} results are about this record", several.len()),
                )),
                None => Err(unclear(doing, "the answer says nothing of this record".to_owned())),
            }
        };
        pushes.iter().map(of).collect()
    }

    fn judge(&self, (result, told): &(Value, String), doing: &str, request: &str) -> Result<Receipt, Error> {
        let failed = |fault, said: String| {
            let said = said.chars().take(400).collect::<String>();
            Err(Error::new(fault, doing, said).exchange(request, told.as_str()))
        };
        let holds = |jq: &Option<Jq>| jq.as_ref().map_or(Ok(false), |jq| jq.holds(result, &Value::Null));
        let words = |jq: &Option<Jq>| match jq {
            Some(jq) => jq.value(result, &Value::Null).map(|words| match words {
                Value::Null | Value::Bool(false) => None,
                Value::Bool(true) => Some(told.clone()),
                words => Some(text_of(words)).filter(|words| !words.is_empty()),
            }),
            None => Ok(None),
        };
        match (holds(&self.conflict_when), words(&self.error)) {
            (Ok(true), _) => failed(Fault::Conflict, told.clone()),
            (Ok(false), Ok(Some(words))) => failed(Fault::Rejected, format!("it refused this record: {words}")),
            (Ok(false), Ok(None)) => match self.id.as_ref().map(|id| id.text(result, &Value::Null)) {
                Some(Ok(Some(id))) if !id.is_empty() => Ok(Receipt { id: Some(Key(id)) }),
                // It was to tell an id and does not: neither done nor refused can be read from it.
                Some(Ok(_)) => failed(
                    Fault::Transient { reached: true },
                    format!("neither an id nor an error: {told}"),
                ),
                Some(Err(Malformed(why))) => failed(Fault::Transient { reached: true }, why),
                None => Ok(Receipt::default()),
            },
            (Err(Malformed(why)), _) | (_, Err(Malformed(why))) => failed(Fault::Transient { reached: true }, why),
        }
    }
}

fn unclear(doing: &str, why: String) -> Error {
    Error::new(Fault::Transient { reached: true }, doing, why)
}

/// The same records have the same key together, whenever they are sent.
fn key_of(pushes: &[Push]) -> String {
    match pushes {
        [one] => one.idempotency.clone(),
        several => {
            let keys: Vec<&str> = several.iter().map(|push| push.idempotency.as_str()).collect();
            format!("selorax-batch:{}", Hash::of(keys.join("\n").as_bytes()).hex())
        }
    }
}
