//! A writing request as the config has it, and as it is made for a record. What is made depends on the settings and
//! the record alone; it must never leave the API's base, nor show a credential.

use std::sync::Arc;

use contract::settings::Reader;
use contract::{Fields, Malformed, Name, Value};
use filter::{Env, Filter};
use reqwest::Method;
use serde_json::json;

/// What a request is where the config does not say it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Usual {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) body: &'static str,
    /// What the path may have in braces.
    pub(super) names: &'static [&'static str],
}

#[derive(Clone, Debug)]
pub(super) struct Form {
    method: Method,
    path: String,
    body: Arc<Filter>,
}

/// A request that is ready but for its credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    pub(super) method: Method,
    /// Below the API's base, without a slash in front.
    pub(super) path: String,
    pub(super) body: String,
}

impl Form {
    pub(super) fn read(reader: &mut Reader<'_>, usual: Usual) -> Option<Form> {
        let method = reader
            .field("method", "HTTP method")
            .default(usual.method)
            .choice(&["PUT", "POST", "PATCH"]);
        let path = reader
            .field("path", "below the API's base; ids stand in braces")
            .default(usual.path)
            .parsed(json!({"type": "string", "pattern": "^/"}), |text| {
                check_path(text, usual.names)
            });
        let body = reader
            .field("body", "jq over the mapped record")
            .default(usual.body)
            .parsed(json!({"type": "string", "description": "a jq filter"}), compiled);
        Some(Form {
            method: Method::from_bytes(method?.as_bytes()).unwrap_or(Method::PUT),
            path: path?,
            body: body?,
        })
    }

    /// The request for a record, with these ids in its path.
    pub(super) fn ready(&self, record: &Value, ids: &[(&str, &str)]) -> Result<Ready, Malformed> {
        let body = self
            .body
            .one(record, record)
            .map_err(|error| Malformed(format!("the body ({}) cannot be made: {error}", self.body.source())))?;
        if !matches!(body, Value::Map(_)) {
            let found = body.kind();
            return Err(Malformed(format!(
                "the body ({}) gives {found} instead of an object",
                self.body.source()
            )));
        }
        let mut path = self.path.clone();
        for (name, id) in ids {
            path = path.replace(&format!("{{{name}}}"), id);
        }
        Ok(Ready {
            method: self.method.clone(),
            path: path.trim_start_matches('/').to_owned(),
            body: body.to_json(),
        })
    }
}

fn compiled(text: &str) -> Result<Arc<Filter>, String> {
    let filter = Filter::compile(text, &Env::default());
    filter.map(Arc::new).map_err(|error| match error.hint {
        Some(hint) => format!("{} ({hint})", error.message),
        None => error.message,
    })
}

fn check_path(text: &str, names: &[&str]) -> Result<String, String> {
    let known = || {
        names
            .iter()
            .map(|name| format!("{{{name}}}"))
            .collect::<Vec<_>>()
            .join(" and ")
    };
    if !text.starts_with('/') {
        return Err("expected a path that begins with / and counts from the API's base".to_owned());
    }
    let mut plain = text.to_owned();
    for name in names {
        plain = plain.replace(&format!("{{{name}}}"), "0");
    }
    if plain.contains(['{', '}']) {
        return Err(format!("expected no other braces than {}", known()));
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    if !plain.chars().all(good) || plain.split('/').any(|part| part == "." || part == "..") {
        return Err("expected a plain path, without `..`, `?`, `#` and blanks".to_owned());
    }
    Ok(text.to_owned())
}

/// The record with these fields in it, in place of any of the same name.
pub(super) fn with(record: &Value, fields: &[(&'static str, Value)]) -> Value {
    let mut all = Fields::with_capacity(fields.len() + 4);
    if let Value::Map(own) = record {
        for (name, value) in own.iter() {
            if fields.iter().all(|(other, _)| *other != name) {
                all.push(Name::new(name), value.clone());
            }
        }
    }
    for (name, value) in fields {
        all.push(*name, value.clone());
    }
    Value::Map(all)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_below_the_base() {
        let names = ["product_id", "sku_id"];
        for good in [
            "/inventory/{product_id}",
            "/products/{product_id}/variants/{sku_id}",
            "/x",
        ] {
            assert!(check_path(good, &names).is_ok(), "{good}");
        }
        for bad in [
            "inventory",
            "/a/../b",
            "/a?b",
            "/a#b",
            "/a b",
            "/{id}",
            "/a/{",
            "/%2e%2e/x",
        ] {
            assert!(check_path(bad, &names).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_request_is_made_of_the_record() {
        let form = Form {
            method: Method::PUT,
            path: "/inventory/{product_id}".to_owned(),
            body: compiled("{sku_id, quantity}").unwrap(),
        };
        let record = Value::parse(r#"{"sku":"007","quantity":"5.7"}"#).unwrap();
        let id = Value::Number(contract::Number::from(9));
        let record = with(&record, &[("sku_id", id), ("quantity", Value::Number(5.into()))]);
        let ready = form.ready(&record, &[("product_id", "150")]).unwrap();
        assert_eq!(
            (ready.path.as_str(), ready.body.as_str()),
            ("inventory/150", r#"{"sku_id":9,"quantity":5}"#)
        );
        let wrong = Form {
            body: compiled(".quantity").unwrap(),
            ..form
        };
        assert!(
            wrong
                .ready(&record, &[])
                .unwrap_err()
                .0
                .contains("instead of an object")
        );
        assert!(compiled("{sku_id").is_err());
    }
}
