//! What the store's resources have in common, told by where they differ. Holds nothing of a walk, and
//! asks for nothing by itself.

use std::fmt;

use async_trait::async_trait;
use contract::{Error, Key, Malformed, Raw, Record, Row, Stamp, Use, Value};

use super::api::Api;
use super::read;

/// How the platform names and sorts one resource.
#[derive(Debug)]
pub(super) struct Shape {
    /// Below the API's base; the resource's name in the config too.
    pub(super) path: &'static str,
    /// What the app must be allowed to do.
    pub(super) scope: &'static str,
    /// In messages: one of them, all of them, and whose history it is.
    pub(super) one: &'static str,
    pub(super) all: &'static str,
    pub(super) whose: &'static str,
    /// The names that its id goes by; the platform's own name first.
    pub(super) ids: &'static [&'static str],
    /// Some answers wrap the record: `{"order": {…}}`.
    pub(super) wrapper: &'static str,
    /// What coverage reports add up; none where nothing can be.
    pub(super) control: &'static [&'static str],
    /// Sent with every list.
    pub(super) params: &'static [(&'static str, &'static str)],
    pub(super) since: Since,
}

/// What a list's `since` is about. It differs from resource to resource, and it is always inclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// Creation, and there is `until` for the other end.
    CreatedUntil,
    Created,
    Changed,
    /// There is no such filter.
    Nothing,
}

impl Shape {
    pub(super) fn inner<'v>(&self, value: &'v Value) -> &'v Value {
        read::inner(value, self.wrapper)
    }

    /// When the record came to be.
    pub(super) fn created(&self, row: &Row) -> Option<Stamp> {
        let Raw::Value(value) = &row.body else { return None };
        read::first(self.inner(value), &["created_at"]).and_then(read::stamp)
    }

    /// What a walk over its history is called in errors.
    pub(super) fn walking(&self) -> String {
        format!("walking the {} history", self.whose)
    }
}

/// One of the store's resources.
#[async_trait]
pub(super) trait Resource: fmt::Debug + Send + Sync {
    fn shape(&self) -> &'static Shape;

    /// Learns what must be known before anything is read.
    async fn prepare(&self, _api: &Api) -> Result<(), Error> {
        Ok(())
    }

    /// Looks at rows of a list before they are handed on.
    async fn study(&self, _api: &Api, _rows: &[Row]) -> Result<(), Error> {
        Ok(())
    }

    async fn read(&self, api: &Api, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        let shape = self.shape();
        let doing = format!("reading {} {}", shape.one, key.0);
        api.one(shape, key, &doing, purpose).await
    }

    fn decode(&self, value: Value, single: bool) -> Result<Record, Malformed>;

    fn asked_for(&self, _mentions: &dyn Fn(&str) -> bool) {}
}
