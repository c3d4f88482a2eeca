//! Looking at some records: what the source shows of them now, what the flow makes of that, and whether the target
//! holds it. Writes nothing anywhere.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use contract::{Difference, Error, Fault, Key, Malformed, Record, RecordTarget, Row, Stamp, Use, Value};
use futures::StreamExt;

use super::super::calls::millis;
use super::super::records::RecordFlow;
use super::super::take::Links;
use super::super::{Engine, references};
use super::account::{Skip, Verdict};
use crate::decide::{self, Known};
use crate::store::{Aim, LinkRow, Sent, Stand, Want};

/// Readings under way at once; the connector's own limit is below this.
const AT_ONCE: usize = 8;

/// What the listing says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Listing {
    /// There is none, or it is too old to be asked.
    Without,
    /// It began at this time.
    From(Stamp),
}

/// What a look at a record came to, and what the flow would send of it now.
pub(super) struct Looked {
    pub(super) sent: Sent,
    pub(super) verdict: Verdict,
    /// Only of those that were read.
    pub(super) want: Option<Want>,
}

/// What the flow makes of a record as it is now.
enum Now {
    /// It needed no reading.
    Unread,
    /// What it would send, as one row. `skip`: it is not what was sent.
    Mapped {
        want: Want,
        record: Value,
        skip: Option<Skip>,
    },
    Not(Skip, String),
}

type Answers = BTreeMap<Key, Result<Option<Row>, Error>>;

impl Engine {
    /// Looks at these records. An error is one of the source or the target as a whole, or of the state.
    pub(super) async fn look_at(
        &mut self,
        flow: &RecordFlow,
        batch: Vec<Sent>,
        listing: Listing,
    ) -> anyhow::Result<Vec<Looked>> {
        let can = flow.to.abilities();
        let ids: Vec<&Key> = batch.iter().filter_map(|sent| sent.id.as_ref()).collect();
        let listed: HashSet<Key> = match listing {
            Listing::Without => HashSet::new(),
            Listing::From(_) => self.store.listed_of(&flow.name, &ids).await?.into_iter().collect(),
        };
        let is_listed = |sent: &Sent| match (listing, &sent.id) {
            (Listing::From(began), Some(id)) => {
                // It may have come after its page was shown.
                let listed = listed.contains(id);
                (listed || sent.at < began).then_some(listed)
            }
            _ => None,
        };
        let is_read = |sent: &&Sent| sent.stand == Stand::Rests && (can.compare || is_listed(sent) != Some(true));
        let wholes: BTreeSet<Key> = batch.iter().filter(is_read).map(|sent| sent.key.whole()).collect();
        let keys: Vec<Key> = batch.iter().filter(is_read).map(|sent| sent.key.clone()).collect();
        let settled = self.clock.now().saturating_sub(millis(flow.to.unknown().wait));
        let answers = self.read_now(flow, wholes).await?;
        let links = self.links(flow, &keys.iter().collect::<Vec<_>>()).await?;
        let mut looks = Vec::with_capacity(batch.len());
        for sent in batch {
            let listed = is_listed(&sent);
            let now = match is_read(&&sent) {
                true => self.now_of(flow, &sent, &answers, &links).await?,
                false => Now::Unread,
            };
            looks.push(look(flow.to.clone(), sent, listed, now, settled));
        }
        let looked: Vec<anyhow::Result<Looked>> = futures::stream::iter(looks)
            .buffered(flow.to.concurrency().max(1))
            .collect()
            .await;
        looked.into_iter().collect()
    }

    /// Reads the records as they are at the source.
    async fn read_now(&mut self, flow: &RecordFlow, keys: BTreeSet<Key>) -> anyhow::Result<Answers> {
        if keys.is_empty() {
            return Ok(Answers::new());
        }
        self.give_way(&flow.feed).await?;
        let source = flow.source.clone();
        let readings = keys.into_iter().map(|key| {
            let source = source.clone();
            async move {
                let answer = source.read(&key, Use::History).await;
                (key, answer)
            }
        });
        let readings: Vec<_> = readings.collect();
        let answers: Vec<_> = futures::stream::iter(readings)
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        self.leave();
        let mut kept = Answers::new();
        for (key, answer) in answers {
            match answer {
                Err(error) if is_trouble(&error) => return Err(error.into()),
                answer => {
                    kept.insert(key, answer);
                }
            }
        }
        Ok(kept)
    }

    /// What the flow would send of a record by what was read.
    async fn now_of(&self, flow: &RecordFlow, sent: &Sent, answers: &Answers, links: &Links) -> anyhow::Result<Now> {
        let row = match answers.get(&sent.key.whole()) {
            Some(Ok(Some(row))) => row,
            Some(Ok(None)) | None => return Ok(Now::Not(Skip::Gone, String::new())),
            Some(Err(error)) => return Ok(Now::Not(Skip::Unclear, error.to_string())),
        };
        let value = match flow.source.decode(row.body.clone(), true) {
            Ok(Record::Whole { value, .. }) => value,
            Ok(Record::Parts(parts)) => {
                let whole = sent.key.whole();
                match parts.into_iter().find(|part| whole.part(&part.id) == sent.key) {
                    Some(part) => part.value,
                    None => return Ok(Now::Not(Skip::Gone, String::new())),
                }
            }
            Ok(Record::Partial) => {
                return Ok(Now::Not(Skip::Unclear, "the source shows only part of it".to_owned()));
            }
            Err(Malformed(why)) => return Ok(Now::Not(Skip::Unclear, why)),
        };
        let cancels = flow.to.abilities().cancel.then(|| flow.to.cancels(&value));
        let link = links.get(&sent.key);
        let known = Known {
            key: &sent.key,
            stamp: row.stamp,
            row_hash: link.map_or(row.hash, |row| row.link.row_hash),
            link,
            target_ahead: false,
            again: true,
        };
        let references = references(Some(&self.store), flow, &value).await?;
        let decision = decide::decide(&flow.name, &flow.mapping, &known, &value, cancels, references);
        if let Some(parked) = decision.parked {
            return Ok(Now::Not(Skip::Unclear, parked.reason));
        }
        if !decision.waits.is_empty() {
            let needs: Vec<String> = decision.waits.iter().map(ToString::to_string).collect();
            return Ok(Now::Not(Skip::Waiting, format!("it waits for {}", needs.join(", "))));
        }
        let Some(want) = decision.want.filter(|want| want.wish == Aim::Put) else {
            let why = "the flow would not send it as it is now".to_owned();
            return Ok(Now::Not(Skip::Changed, why));
        };
        let Some(record) = crate::store::only_row(&want.body) else {
            return Ok(Now::Not(Skip::Unclear, "its mapping makes no single record".to_owned()));
        };
        let skip = (want.hash != sent.hash).then(|| why_other(flow, row.stamp, &want, link));
        Ok(Now::Mapped { want, record, skip })
    }
}

/// Why what the flow would send now is not what it sent last.
fn why_other(flow: &RecordFlow, stamp: Option<Stamp>, want: &Want, link: Option<&LinkRow>) -> Skip {
    match link.map(|row| &row.link) {
        Some(link) if link.mapping != flow.mapping.print() => Skip::Remapped,
        // It was decided on, and nothing waits to be sent.
        Some(link) if link.want_hash == Some(want.hash) => Skip::Untold,
        Some(link) if !flow.requires.is_empty() && stamp.is_some() && stamp == link.stamp => Skip::Moved,
        Some(_) | None => Skip::Changed,
    }
}

/// What was sent after `settled` may not be shown yet, so it is not missing.
async fn look(
    to: Arc<dyn RecordTarget>,
    sent: Sent,
    listed: Option<bool>,
    now: Now,
    settled: Stamp,
) -> anyhow::Result<Looked> {
    let mut verdict = match (sent.stand, &now) {
        (Stand::Waits, _) => Verdict::Skipped(Skip::Waiting, String::new()),
        (Stand::Parked, _) => Verdict::Skipped(Skip::Parked, String::new()),
        (Stand::Rests, Now::Unread) => Verdict::Equal,
        (Stand::Rests, Now::Not(skip, why)) => match listed {
            Some(false) if !to.abilities().compare && !to.abilities().find => Verdict::Missing,
            _ => Verdict::Skipped(*skip, why.clone()),
        },
        (Stand::Rests, Now::Mapped { record, skip, .. }) => {
            match judge(to.as_ref(), &sent, listed, record, *skip).await {
                Ok(verdict) => verdict,
                Err(error) if is_trouble(&error) => return Err(error.into()),
                Err(error) => Verdict::Skipped(Skip::Unclear, error.to_string()),
            }
        }
    };
    if matches!(verdict, Verdict::Missing) && sent.at > settled {
        verdict = Verdict::Skipped(
            Skip::Waiting,
            "it was sent just now, and is not shown there yet".to_owned(),
        );
    }
    let want = match now {
        Now::Mapped { want, .. } => Some(want),
        Now::Unread | Now::Not(..) => None,
    };
    Ok(Looked { sent, verdict, want })
}

/// What the target says of a record. The nearest look decides: reading it by its id, then looking for it by what is
/// in it, then the listing.
async fn judge(
    to: &dyn RecordTarget,
    sent: &Sent,
    listed: Option<bool>,
    record: &Value,
    skip: Option<Skip>,
) -> Result<Verdict, Error> {
    let can = to.abilities();
    let there = |fields: Vec<Difference>, found: Option<Key>| match skip {
        Some(skip) => Verdict::Skipped(skip, String::new()),
        None if fields.is_empty() && found.is_none() && listed == Some(false) => Verdict::Unlisted,
        None if fields.is_empty() && found.is_none() => Verdict::Equal,
        None => Verdict::Different { fields, found },
    };
    if can.compare
        && let Some(id) = &sent.id
        && let Some(fields) = to.compare(id, record).await?
    {
        return Ok(there(fields, None));
    }
    if can.find {
        let Some(found) = to.find(record).await? else {
            return Ok(Verdict::Missing);
        };
        // Where its id was never told, that it is there is all there is to say.
        let other = found.id.filter(|found| sent.id.as_ref() != Some(found));
        let fields = match &other {
            Some(id) if can.compare => to.compare(id, record).await?.unwrap_or_default(),
            _ => Vec::new(),
        };
        let other = other.filter(|_| sent.id.is_some());
        return Ok(there(fields, other));
    }
    if can.compare && sent.id.is_some() {
        return Ok(Verdict::Missing);
    }
    Ok(match listed {
        Some(true) => there(Vec::new(), None),
        Some(false) => Verdict::Missing,
        None => Verdict::Skipped(Skip::Unclear, "its id at the target is not known".to_owned()),
    })
}

/// It is not the record's fault.
fn is_trouble(error: &Error) -> bool {
    match error.fault {
        Fault::Transient { .. } | Fault::Throttled { .. } | Fault::Denied => true,
        Fault::Rejected | Fault::Conflict => false,
    }
}
