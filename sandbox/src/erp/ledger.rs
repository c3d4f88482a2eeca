//! The ERP's log of the truth: every change it committed, in the order it did, for tests to read without asking anybody.

use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use crate::jsontext::Members;

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Created,
    Updated,
    Cancelled,
    Deleted,
    /// A restore took it away.
    Lost,
}

impl Deed {
    pub fn name(self) -> &'static str {
        match self {
            Deed::Created => "created",
            Deed::Updated => "updated",
            Deed::Cancelled => "cancelled",
            Deed::Deleted => "deleted",
            Deed::Lost => "lost",
        }
    }
}

/// One committed change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// From 1, without gaps.
    pub seq: u64,
    /// ERP time, ms since 1970.
    pub at_ms: i64,
    pub deed: Deed,
    pub resource: String,
    pub id: String,
    /// The record's `reference`, as stored.
    pub reference: Option<String>,
    /// The idempotency key it came with.
    pub key: Option<String>,
    /// Done by a person or the test, not by a client.
    pub by_hand: bool,
    /// As it came; empty where there was none.
    pub body: String,
    /// The record after it (before it, where it was taken away).
    pub record: String,
}

impl Commit {
    pub fn json(&self) -> String {
        let mut out = String::with_capacity(512);
        let mut members = Members::open(&mut out);
        members.raw("seq", &self.seq.to_string());
        members.stamp("at", self.at_ms);
        members.text("deed", self.deed.name());
        members.text("resource", &self.resource);
        members.text("id", &self.id);
        members.text_or_null("reference", self.reference.as_deref());
        members.text_or_null("key", self.key.as_deref());
        members.raw("by_hand", if self.by_hand { "true" } else { "false" });
        members.text("body", &self.body);
        members.raw("record", &self.record);
        members.close();
        out
    }
}

pub(crate) struct Ledger {
    commits: Vec<Commit>,
    file: Option<BufWriter<File>>,
}

impl Ledger {
    pub(crate) fn new(file: Option<&Path>) -> io::Result<Ledger> {
        let open = |path: &Path| io::Result::Ok(BufWriter::new(File::options().create(true).append(true).open(path)?));
        Ok(Ledger {
            commits: Vec::new(),
            file: file.map(open).transpose()?,
        })
    }

    /// Gives the commit its number.
    pub(crate) fn note(&mut self, mut commit: Commit) {
        commit.seq = u64::try_from(self.commits.len()).unwrap_or(u64::MAX).saturating_add(1);
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{}", commit.json()).and_then(|()| file.flush())
        {
            tracing::warn!(%error, "cannot write the ERP's truth log; the file ends here");
            self.file = None;
        }
        self.commits.push(commit);
    }

    pub(crate) fn all(&self) -> &[Commit] {
        &self.commits
    }
}
