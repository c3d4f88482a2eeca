//! A record of the ERP, its members kept in the text they came in, so that no digit of an amount is lost.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::jsontext::{Members, push_text};

/// The members of one JSON object, sorted by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document(BTreeMap<String, Box<str>>);

impl Document {
    /// `Err` says why the text is no JSON object.
    pub fn read(text: &str) -> Result<Document, String> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let members = members.into_iter().map(|(name, value)| (name, value.get().into()));
        Ok(Document(members.collect()))
    }

    /// The member's JSON text.
    pub fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Box::as_ref)
    }

    /// A member as a filter of a list compares it: a string without its quotes, anything else as it is written.
    pub fn text(&self, name: &str) -> Option<String> {
        let raw = self.raw(name)?;
        match serde_json::from_str::<String>(raw) {
            Ok(text) => Some(text),
            Err(_) => (raw != "null").then(|| raw.to_owned()),
        }
    }

    pub(crate) fn set_raw(&mut self, name: &str, json: &str) {
        self.0.insert(name.to_owned(), json.into());
    }

    pub(crate) fn set_text(&mut self, name: &str, text: &str) {
        let mut json = String::with_capacity(text.len() + 2);
        push_text(&mut json, text);
        self.set_raw(name, &json);
    }

    pub(crate) fn take(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// The other's members over its own.
    pub(crate) fn merge(&mut self, other: Document) {
        self.0.extend(other.0);
    }

    /// Every member that is a string, and every string below it, through `change`.
    pub(crate) fn change_texts(&mut self, change: impl Fn(&str) -> String) {
        for value in self.0.values_mut() {
            if let Ok(text) = serde_json::from_str::<String>(value) {
                let mut json = String::new();
                push_text(&mut json, &change(&text));
                *value = json.into();
            }
        }
    }

    pub fn json(&self) -> String {
        let mut out = String::with_capacity(256);
        let mut members = Members::open(&mut out);
        for (name, value) in &self.0 {
            members.foreign(name, value);
        }
        members.close();
        out
    }
}
