//! Reading records by their key: those whose list row says too little, and those that contradict what
//! is known. A record that cannot be read is put off, then parked; the others do not wait for it.

use contract::{Error, Fault, Malformed, Record, Row};
use futures::StreamExt;

use super::{Engine, Flow};
use crate::decide::Known;
use crate::store::{Keep, Note, Unread, Waiting, now};

/// Readings under way at once; the connector's own limit is below this.
const AT_ONCE: usize = 8;
/// Rows taken from the inbox, and kept in one transaction, at a time.
const GROUP: usize = 64;
const ATTEMPTS_MAX: u32 = 5;
/// So many times in a row the source must say that a listed record does not exist.
const MISSING_MAX: u32 = 3;

type Answer = (Waiting, Result<Option<Row>, Error>);

impl Engine {
    /// Reads what is due until nothing is. An error is one of the source as a whole.
    pub(super) async fn read_due(&mut self, feed: &str) -> anyhow::Result<()> {
        let neighbours = self.neighbours.iter().filter(|flow| flow.feed == feed).cloned();
        let flows: Vec<Flow> = self.of_feed(feed).into_iter().chain(neighbours).collect();
        let Some(source) = flows.first().map(|flow| flow.source.clone()) else {
            return Ok(());
        };
        loop {
            let due = self.store.due(feed, GROUP).await?;
            if due.is_empty() {
                return Ok(());
            }
            let readings = due.into_iter().map(|waiting| {
                let source = source.clone();
                async move {
                    let answer = source.read(&waiting.key).await;
                    (waiting, answer)
                }
            });
            let mut answers = futures::stream::iter(readings)
                .buffer_unordered(AT_ONCE)
                .ready_chunks(GROUP);
            while let Some(group) = answers.next().await {
                self.keep_answers(feed, &flows, group).await?;
            }
        }
    }

    async fn keep_answers(&mut self, feed: &str, flows: &[Flow], answers: Vec<Answer>) -> anyhow::Result<()> {
        let mut keep = Keep::default();
        let mut stopped = None;
        for (waiting, answer) in answers {
            match answer {
                Ok(Some(row)) => self.take_answer(feed, flows, &waiting, row, &mut keep).await?,
                Ok(None) => self.take_missing(flows, &waiting, &mut keep).await?,
                Err(error) => stopped = self.take_error(flows, &waiting, error, &mut keep).await?.or(stopped),
            }
        }
        self.store.keep(&keep).await?;
        stopped.map_or(Ok(()), |error| Err(error.into()))
    }

    async fn take_answer(
        &mut self,
        feed: &str,
        flows: &[Flow],
        waiting: &Waiting,
        row: Row,
        keep: &mut Keep,
    ) -> anyhow::Result<()> {
        let Some(first) = flows.first() else { return Ok(()) };
        let (value, flags) = match first.source.decode(row.body, true) {
            Ok(Record::Whole { value, flags }) => (value, flags),
            Ok(Record::Partial) => return self.park(waiting, "the source shows only part of this record", None, keep),
            Err(Malformed(reason)) => return self.park(waiting, &reason, None, keep),
        };
        let mut decided = Vec::with_capacity(flows.len());
        for flow in flows {
            let link = self.links(flow, &[&waiting.key]).await?.remove(&waiting.key);
            let older = link
                .as_ref()
                .is_some_and(|link| row.stamp.is_some() && row.stamp < link.link.stamp);
            // A copy of the source that lags behind would turn the record back. Ask again before believing it.
            if older && waiting.attempts < 2 {
                let due_at = now() + 2_000 * i64::from(waiting.attempts + 1);
                return self
                    .store
                    .put_off(waiting, due_at, false, "older than what is known")
                    .await;
            }
            decided.push((flow, link, older));
        }
        for (flow, link, older) in decided {
            let mut flags = flags.clone();
            if older {
                flags.push("its time of change went back".to_owned());
            }
            let known = Known {
                key: &waiting.key,
                stamp: row.stamp,
                row_hash: waiting.row_hash,
                link: link.as_ref(),
                target_ahead: self.ahead(flow),
            };
            self.take_record(flow, &known, &value, &flags, keep);
        }
        keep.read.push((feed.to_owned(), waiting.key.clone()));
        Ok(())
    }

    /// Listed, and not there: deleted in between, most often. Believed after a few answers, and told.
    async fn take_missing(&mut self, flows: &[Flow], waiting: &Waiting, keep: &mut Keep) -> anyhow::Result<()> {
        if waiting.missing + 1 < MISSING_MAX {
            let due_at = now() + 1_000 * i64::from(waiting.missing + 1);
            return self.store.put_off(waiting, due_at, true, "404").await;
        }
        for flow in flows {
            self.ledger(&flow.name).gone += 1;
            keep.notes.push(Note {
                flow: flow.name.clone(),
                key: Some(waiting.key.clone()),
                what: "gone",
                detail: "the source lists it and then says three times that it does not exist".to_owned(),
            });
        }
        keep.read.push((waiting.feed.clone(), waiting.key.clone()));
        Ok(())
    }

    /// `Some`: the source as a whole is in trouble, so nothing is held against the record.
    async fn take_error(
        &mut self,
        flows: &[Flow],
        waiting: &Waiting,
        error: Error,
        keep: &mut Keep,
    ) -> anyhow::Result<Option<Error>> {
        match error.fault {
            Fault::Denied | Fault::Throttled { .. } => Ok(Some(error)),
            Fault::Rejected => {
                self.park(
                    waiting,
                    "the source refuses to show this record",
                    Some(error.to_string()),
                    keep,
                )?;
                Ok(None)
            }
            Fault::Transient { .. } if waiting.attempts + 1 < ATTEMPTS_MAX => {
                let due_at = now() + (500 << waiting.attempts);
                self.store.put_off(waiting, due_at, false, &error.to_string()).await?;
                Ok(None)
            }
            Fault::Transient { .. } => {
                let Some(first) = flows.first() else { return Ok(None) };
                if let Err(down) = first.source.ping().await {
                    return Ok(Some(down));
                }
                let reason = format!("reading it failed {ATTEMPTS_MAX} times although the source answers otherwise");
                self.park(waiting, &reason, Some(error.to_string()), keep)?;
                Ok(None)
            }
        }
    }

    fn park(&self, waiting: &Waiting, reason: &str, answer: Option<String>, keep: &mut Keep) -> anyhow::Result<()> {
        tracing::warn!(record = waiting.key.0, "{reason}");
        keep.unread.push(Unread {
            feed: waiting.feed.clone(),
            key: waiting.key.clone(),
            row_hash: waiting.row_hash,
            reason: reason.to_owned(),
            answer,
        });
        Ok(())
    }
}
