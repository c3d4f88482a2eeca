//! Reading records by their key: those whose list row says too little, and those that contradict what
//! is known. A record that cannot be read is put off, then parked; the others do not wait for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Error, Fault, Hash, Key, Malformed, Part, Record, Row, Source, Stamp, Value};
use futures::StreamExt;

use super::{Engine, Flow};
use crate::decide::{self, Known};
use crate::store::{Due, Keep, Link, LinkRow, Note, Read, Unread, Waiting};

/// Readings under way at once; the connector's own limit is below this.
const AT_ONCE: usize = 8;
/// Rows taken from the inbox, and kept in one transaction, at a time.
const GROUP: usize = 16;
const ATTEMPTS_MAX: u32 = 5;
/// So many times in a row the source must say that a listed record does not exist.
const MISSING_MAX: u32 = 3;
/// How long to wait before a doubtful answer is asked for again, the first time and then; a copy of the
/// store that lags behind should have caught up by then.
const LATER_MS: [i64; 2] = [3_000, 20_000];
/// So often a record that an event announced may be unknown to the source before a person is told. It is asked for
/// again after 2 seconds, then after twice as long each time, up to a minute: for ten minutes in all, which begin
/// with the first answer, however long that took.
const ANNOUNCED_MAX: u32 = 15;
const ANNOUNCED_LATER_MS: (i64, i64) = (2_000, 60_000);
/// A row hash that no row has.
const NO_ROW: Hash = Hash(0);

type Answer = (Waiting, Result<Option<Row>, Error>);

impl Engine {
    /// Reads what is due until nothing is. An error is one of the source as a whole.
    pub(super) async fn read_due(&mut self, feed: &str) -> anyhow::Result<()> {
        while self.read_some(feed, Due::Any).await? {}
        Ok(())
    }

    /// Reads some of what is due. `false`: nothing was.
    pub async fn read_some(&mut self, feed: &str, which: Due) -> anyhow::Result<bool> {
        self.give_way(feed).await?;
        let neighbours = self.neighbours.iter().filter(|flow| flow.feed == feed).cloned();
        let flows: Vec<Flow> = self.of_feed(feed).into_iter().chain(neighbours).collect();
        let Some(source) = flows.first().map(|flow| flow.source.clone()) else {
            return Ok(false);
        };
        let due = self.store.due(feed, which, GROUP).await?;
        if due.is_empty() {
            return Ok(false);
        }
        if source.files().is_some() {
            // What is wished for is a file.
            self.look_at_files(feed).await?;
            return Ok(false);
        }
        let asked_at = self.clock.now();
        let refused = Arc::new(AtomicBool::new(false));
        let mut readings = Vec::with_capacity(due.len());
        for waiting in due {
            readings.push(read_one(source.clone(), waiting, refused.clone()));
        }
        // All of the group before any is kept: a reading that stands still in the middle may hold a turn at
        // the source or at the state file, which keeping an answer needs too.
        let answers: Vec<Option<Answer>> = futures::stream::iter(readings)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        let answers = answers.into_iter().flatten().collect();
        self.asked_at = asked_at;
        self.keep_answers(feed, &flows, answers).await?;
        Ok(true)
    }

    async fn keep_answers(&mut self, feed: &str, flows: &[Flow], answers: Vec<Answer>) -> anyhow::Result<()> {
        let mut keep = Keep {
            counted_by: self.counted_by(),
            ..Keep::default()
        };
        let mut stopped = None;
        let mut health = None;
        for (waiting, answer) in answers {
            match answer {
                Ok(Some(row)) => self.take_answer(feed, flows, &waiting, row, &mut keep).await?,
                Ok(None) => self.take_missing(flows, &waiting, &mut keep).await?,
                Err(error) => {
                    stopped = self
                        .take_error(flows, &waiting, error, &mut health, &mut keep)
                        .await?
                        .or(stopped)
                }
            }
        }
        self.keep(&keep).await?;
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
        let (mut records, in_parts) = match first.source.decode(row.body, true) {
            Ok(Record::Whole { value, flags }) => (vec![(waiting.key.clone(), value, flags)], false),
            Ok(Record::Parts(parts)) => {
                let of = |part: Part| (waiting.key.part(&part.id), part.value, part.flags);
                (parts.into_iter().map(of).collect(), true)
            }
            Ok(Record::Partial) => return self.park(waiting, "the source shows only part of this record", None, keep),
            Err(Malformed(reason)) => return self.park(waiting, &reason, None, keep),
        };
        let mut links = Vec::with_capacity(flows.len());
        let mut newest = waiting.stamp;
        for flow in flows {
            let link = self.links(flow, &[&waiting.key]).await?.remove(&waiting.key);
            newest = newest.max(link.as_ref().and_then(|link| link.link.stamp));
            links.push(link);
        }
        let older = row.stamp.is_some() && row.stamp < newest;
        // A copy of the source that lags behind would turn the record back. Ask again before believing it.
        if older && waiting.attempts < 2 {
            let due_at = self.clock.now() + LATER_MS[usize::from(waiting.attempts > 0)];
            let said = "older than what is known";
            return self.store.put_off(waiting, due_at, false, said).await;
        }
        if older {
            for (_, _, flags) in &mut records {
                flags.push("its time of change went back".to_owned());
            }
        }
        // Of an old answer the list row is not understood yet: the next listing asks again.
        let row_hash = if older { NO_ROW } else { waiting.row_hash };
        for (flow, link) in flows.iter().zip(&links) {
            if self.is_before(flow, waiting, row.stamp.or(waiting.stamp), link.as_ref()) {
                // What an event rang for in vain stays as it is known.
                if link.is_none() || waiting.row_hash != NO_ROW {
                    keep.links
                        .push(decide::absorbed(&flow.name, &waiting.key, row.stamp, waiting.row_hash));
                }
                continue;
            }
            let row_hash = understood(row_hash, row.stamp, link.as_ref());
            let mut parts = HashMap::new();
            if in_parts {
                parts = self
                    .take_whole(flow, waiting, row.stamp, row_hash, &records, keep)
                    .await?;
            }
            for (key, value, flags) in &records {
                let known = Known {
                    key,
                    stamp: row.stamp,
                    row_hash,
                    link: if in_parts { parts.get(key) } else { link.as_ref() },
                    target_ahead: self.ahead(flow),
                    again: waiting.is_again_for(&flow.name),
                };
                self.take_record(flow, &known, value, flags, keep).await?;
            }
        }
        keep.read.push(Read {
            feed: feed.to_owned(),
            key: waiting.key.clone(),
            rings: Some(waiting.rings),
        });
        Ok(())
    }

    /// Of a record that is shown in parts: remembers that it was read, and tells which of its parts are gone.
    /// Answers with the links of those that were known.
    async fn take_whole(
        &mut self,
        flow: &Flow,
        waiting: &Waiting,
        stamp: Option<Stamp>,
        row_hash: Hash,
        parts: &[(Key, Value, Vec<String>)],
        keep: &mut Keep,
    ) -> anyhow::Result<HashMap<Key, LinkRow>> {
        keep.links.push(Link {
            flow: flow.name.clone(),
            key: waiting.key.clone(),
            stamp,
            row_hash,
            mapping: flow.mapping.print(),
            want_hash: None,
        });
        let known = self.store.links_of_parts(&flow.name, &waiting.key).await?;
        let known: HashMap<Key, LinkRow> = known.into_iter().map(|row| (row.link.key.clone(), row)).collect();
        let is_news = |row: &LinkRow| !row.gone && parts.iter().all(|(part, ..)| *part != row.link.key);
        for key in known.iter().filter(|(_, row)| is_news(row)).map(|(key, _)| key) {
            self.ledger(&flow.name).gone += 1;
            keep.gone.push((flow.name.clone(), key.clone()));
            keep.notes.push(Note {
                flow: flow.name.clone(),
                key: Some(key.clone()),
                what: "deleted",
                detail: "it is no longer at the source; nothing was done at the target".to_owned(),
            });
        }
        Ok(known)
    }

    /// Whether a flow that starts with what comes leaves this record alone.
    fn is_before(&self, flow: &Flow, waiting: &Waiting, stamp: Option<Stamp>, link: Option<&LinkRow>) -> bool {
        let start = self
            .start_of(flow)
            .filter(|_| waiting.asked_by.as_ref() != Some(&flow.name) && !waiting.is_again_for(&flow.name));
        match link {
            None => decide::is_before(stamp, start),
            Some(LinkRow { link, .. }) => {
                // Without a row that led here, its time of change tells whether it is still what it was.
                let is_same = match waiting.row_hash {
                    NO_ROW => stamp.is_some() && stamp <= link.stamp,
                    row_hash => link.row_hash == row_hash,
                };
                start.is_some() && link.mapping == decide::ABSORBED && is_same
            }
        }
    }

    /// Listed or announced, and not there: deleted in between, most often. Believed after a few answers, and told.
    async fn take_missing(&mut self, flows: &[Flow], waiting: &Waiting, keep: &mut Keep) -> anyhow::Result<()> {
        let now = self.clock.now();
        let announced = waiting.rung_at.filter(|_| !waiting.said_gone);
        if announced.is_some() && waiting.missing + 1 < ANNOUNCED_MAX {
            let (first, most) = ANNOUNCED_LATER_MS;
            let due_at = now + (first << waiting.missing.min(10)).min(most);
            return self.store.put_off(waiting, due_at, true, "404").await;
        }
        if waiting.missing + 1 < MISSING_MAX {
            let due_at = now + LATER_MS[usize::from(waiting.missing > 0)];
            return self.store.put_off(waiting, due_at, true, "404").await;
        }
        let mut is_known = false;
        for flow in flows {
            let links = self.links(flow, &[&waiting.key]).await?;
            is_known |= !links.is_empty();
            self.ledger(&flow.name).gone += 1;
            let (what, detail) = match waiting.rung_at {
                None => (
                    "gone",
                    "the source lists it and then says three times that it does not exist",
                ),
                Some(_) => (
                    "deleted",
                    "it is no longer at the source; nothing was done at the target",
                ),
            };
            if waiting.rung_at.is_none() || links.values().any(|row| !row.gone) {
                keep.notes.push(Note {
                    flow: flow.name.clone(),
                    key: Some(waiting.key.clone()),
                    what,
                    detail: detail.to_owned(),
                });
            }
            if waiting.rung_at.is_some() {
                let parts = self.store.links_of_parts(&flow.name, &waiting.key).await?;
                let keys = parts.into_iter().map(|row| row.link.key).chain(links.into_keys());
                keep.gone.extend(keys.map(|key| (flow.name.clone(), key)));
            }
        }
        if announced.is_some() && !is_known {
            let reason = "the source announced this record and has not shown it for ten minutes; it is read when it is \
                          announced or listed again";
            return self.park(waiting, reason, Some("404".to_owned()), keep);
        }
        self.store.gone(waiting).await
    }

    /// `Some`: the source as a whole is in trouble, so nothing is held against the record.
    async fn take_error(
        &mut self,
        flows: &[Flow],
        waiting: &Waiting,
        error: Error,
        health: &mut Option<Result<(), Error>>,
        keep: &mut Keep,
    ) -> anyhow::Result<Option<Error>> {
        match error.fault {
            // It was not even reached: that says nothing of the record.
            Fault::Throttled { .. } | Fault::Transient { reached: false } => Ok(Some(error)),
            // Refused as a whole, or only this one?
            Fault::Denied if ask_once(flows, health).await.is_err() => Ok(Some(error)),
            Fault::Denied | Fault::Rejected | Fault::Conflict => {
                let answer = Some(error.to_string());
                self.park(waiting, "the source refuses to show this record", answer, keep)?;
                Ok(None)
            }
            Fault::Transient { .. } if waiting.attempts + 1 < ATTEMPTS_MAX => {
                let due_at = self.clock.now() + (500 << waiting.attempts);
                self.store.put_off(waiting, due_at, false, &error.to_string()).await?;
                Ok(None)
            }
            Fault::Transient { .. } => {
                if let Err(down) = ask_once(flows, health).await {
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
            rings: Some(waiting.rings),
            reason: reason.to_owned(),
            answer,
        });
        Ok(())
    }
}

/// The list row that is understood with this answer. An event names none: what was known is still it where the
/// record did not change since, and otherwise the next listing asks again.
fn understood(row_hash: Hash, stamp: Option<Stamp>, link: Option<&LinkRow>) -> Hash {
    match link {
        Some(LinkRow { link, .. }) if row_hash == NO_ROW && stamp.is_some() && stamp == link.stamp => link.row_hash,
        _ => row_hash,
    }
}

async fn read_one(source: Arc<dyn Source>, waiting: Waiting, refused: Arc<AtomicBool>) -> Option<Answer> {
    // Whoever was refused speaks for those that have not asked yet; they are still due.
    if refused.load(Ordering::Relaxed) {
        return None;
    }
    let answer = source.read(&waiting.key, waiting.urgency).await;
    if matches!(&answer, Err(error) if error.fault == Fault::Denied) {
        refused.store(true, Ordering::Relaxed);
    }
    Some((waiting, answer))
}

/// Asks the source how it is, once for a group of answers.
async fn ask_once(flows: &[Flow], health: &mut Option<Result<(), Error>>) -> Result<(), Error> {
    if health.is_none()
        && let Some(flow) = flows.first()
    {
        *health = Some(flow.source.ping().await);
    }
    health.clone().unwrap_or(Ok(()))
}
