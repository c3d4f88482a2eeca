//! What should change where. Pure: no clock, no database, no network.
//!
//! A flow sends what its mapping makes of a record when that differs from what it last decided to
//! send. Nothing else is looked at: not events, not counters, so a record seen twice is one record.

use contract::{Hash, Key, Malformed, Row, Stamp, Value};

use crate::mapping::Mapping;
use crate::store::{Aim, Link, LinkRow, Need, Note, Parked, Want};

/// Stands for the mapping in a link whose record was there before its flow began, and was not sent.
pub const ABSORBED: Hash = Hash(0);

/// What a flow makes of a row before the record is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// This very row was understood before.
    Skip,
    /// It contradicts what is known by its stamp: ask for the record itself.
    Reread,
    Evaluate,
    /// It was there before its flow began: to be remembered, not sent.
    Absorb,
}

/// How a flow looks at rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Light {
    pub mapping: Hash,
    /// Of a flow that starts with what comes: records that did not change since then are not its business.
    pub start: Option<Stamp>,
    /// The first look of such a flow: all that is there was there before.
    pub absorb: bool,
    /// History was asked for: what was decided under another mapping, or was there before, is decided again.
    pub again: bool,
}

pub fn look(row: &Row, link: Option<&LinkRow>, light: &Light) -> Look {
    let Some(LinkRow { link, .. }) = link else {
        return if light.absorb || is_before(row.stamp, light.start) {
            Look::Absorb
        } else {
            Look::Evaluate
        };
    };
    if light.absorb {
        return Look::Skip;
    }
    if link.row_hash == row.hash {
        // A new mapping counts from a record's next change, or when its history is asked for again.
        let is_due = light.again && link.mapping != light.mapping;
        return if is_due { Look::Evaluate } else { Look::Skip };
    }
    match (row.stamp, link.stamp) {
        // An older copy of the store answered, or two changes fell into one second.
        (Some(new), Some(known)) if new <= known => Look::Reread,
        // It used to say when it changed.
        (None, Some(_)) => Look::Reread,
        _ => Look::Evaluate,
    }
}

/// Whether a record that a flow never saw is from before the flow's start. One whose time of change is
/// not told is: it counts from the first change that is seen.
pub fn is_before(stamp: Option<Stamp>, start: Option<Stamp>) -> bool {
    start.is_some_and(|start| stamp.is_none_or(|stamp| stamp < start))
}

/// What a flow keeps of a record that was there before it.
pub fn absorbed(flow: &str, key: &Key, stamp: Option<Stamp>, row_hash: Hash) -> Link {
    Link {
        flow: flow.to_owned(),
        key: key.clone(),
        stamp,
        row_hash,
        mapping: ABSORBED,
        want_hash: None,
    }
}

/// What a record refers to at its target.
#[derive(Clone, Debug)]
pub struct References {
    /// What `$refs` is; null stands for what is not known.
    pub refs: Value,
    /// The records whose ids are not known yet.
    pub missing: Vec<Need>,
}

impl References {
    /// Of a record that refers to nothing.
    pub fn none() -> References {
        References {
            refs: Value::Map(contract::Fields::default()),
            missing: Vec::new(),
        }
    }

    /// `customers 55, products 7`
    pub fn told(&self) -> String {
        let told: Vec<String> = self.missing.iter().map(Need::to_string).collect();
        told.join(", ")
    }
}

/// What is to be kept of a record for one flow.
#[derive(Debug, Default)]
pub struct Decision {
    pub link: Option<Link>,
    pub want: Option<Want>,
    pub parked: Option<Parked>,
    /// It cannot be mapped before these are at the target.
    pub waits: Vec<Need>,
    pub notes: Vec<Note>,
}

/// The record as it was read, and the row that led to it.
pub struct Known<'a> {
    pub key: &'a Key,
    pub stamp: Option<Stamp>,
    pub row_hash: Hash,
    pub link: Option<&'a LinkRow>,
    /// Files were found at the target that this state knows nothing of.
    pub target_ahead: bool,
    /// It is to be sent even if it is what was sent last.
    pub again: bool,
}

/// What stands for a cancelled record's content: all of them are the same.
pub fn cancelled() -> Hash {
    Hash::of(b"cancelled")
}

/// `cancels`: what the target's `cancel.when` says of the record; `None` where the target cannot cancel.
/// `references`: what it refers to there.
pub fn decide(
    flow: &str,
    mapping: &Mapping,
    known: &Known<'_>,
    record: &Value,
    cancels: Option<Result<bool, Malformed>>,
    references: Result<References, Malformed>,
) -> Decision {
    let sent = known.link.and_then(|row| row.link.want_hash);
    let mut link = Link {
        flow: flow.to_owned(),
        key: known.key.clone(),
        stamp: known.stamp,
        row_hash: known.row_hash,
        mapping: mapping.print(),
        want_hash: sent,
    };
    let fate = fate(mapping, record, sent.is_some(), cancels, references);
    let (wish, body) = match fate {
        Ok(Fate::Sent(wish, body)) => (wish, body),
        Ok(Fate::Waits(waits)) => {
            return Decision {
                link: Some(link),
                waits,
                ..Decision::default()
            };
        }
        Err(Malformed(reason)) => {
            let parked = Parked {
                flow: flow.to_owned(),
                key: known.key.clone(),
                reason,
            };
            return Decision {
                link: Some(link),
                parked: Some(parked),
                ..Decision::default()
            };
        }
    };
    let hash = match wish {
        Aim::Put => Hash::of(body.as_bytes()),
        Aim::Cancel => cancelled(),
    };
    if body == "[]" || (sent == Some(hash) && !known.again) {
        return Decision {
            link: Some(link),
            ..Decision::default()
        };
    }
    link.want_hash = Some(hash);
    let doubt = known.target_ahead && known.link.is_none_or(|row| row.doubtful);
    let want = Want {
        flow: flow.to_owned(),
        key: known.key.clone(),
        wish,
        stamp: known.stamp,
        body,
        hash,
        before: sent.filter(|_| !known.again),
        doubt: doubt && !known.again,
        first: known.link.is_none(),
    };
    Decision {
        link: Some(link),
        want: Some(want),
        ..Decision::default()
    }
}

/// What is to become of the record at the target.
enum Fate {
    /// With the rows to send as a JSON list.
    Sent(Aim, String),
    Waits(Vec<Need>),
}

/// One that was never sent is never cancelled: it is not sent at all. One that was sent and no longer belongs there
/// is cancelled where the target can, with whatever content it can still be given.
fn fate(
    mapping: &Mapping,
    record: &Value,
    sent: bool,
    cancels: Option<Result<bool, Malformed>>,
    references: Result<References, Malformed>,
) -> Result<Fate, Malformed> {
    let ends = match cancels {
        Some(cancels) => cancels? || (sent && !mapping.admits(record)?),
        None => false,
    };
    match (ends, sent) {
        (false, _) => mapped(mapping, record, sent, references),
        (true, false) => Ok(Fate::Sent(Aim::Put, "[]".to_owned())),
        // What is cancelled waits for nothing.
        (true, true) => {
            let refs = references.map_or(Value::Null, |references| references.refs);
            let body = mapping.apply_as_json(record, &refs);
            Ok(Fate::Sent(Aim::Cancel, body.unwrap_or_else(|_| "[null]".to_owned())))
        }
    }
}

/// The rows to send, once all that they refer to is at the target. `where` decides only about records that were
/// never sent: one that was is kept up to date.
fn mapped(
    mapping: &Mapping,
    record: &Value,
    sent: bool,
    references: Result<References, Malformed>,
) -> Result<Fate, Malformed> {
    if !sent && !mapping.admits(record)? {
        return Ok(Fate::Sent(Aim::Put, "[]".to_owned()));
    }
    let References { refs, missing } = references?;
    if !missing.is_empty() {
        return Ok(Fate::Waits(missing));
    }
    Ok(Fate::Sent(Aim::Put, mapping.apply_as_json(record, &refs)?))
}

#[cfg(test)]
mod tests {
    use contract::Raw;

    use super::*;

    const NOW: Light = Light {
        mapping: Hash(1),
        start: None,
        absorb: false,
        again: false,
    };

    fn row(stamp: Option<Stamp>, hash: i64) -> Row {
        Row {
            key: Key("7".to_owned()),
            stamp,
            hash: Hash(hash),
            control: None,
            body: Raw::Value(Value::Null),
        }
    }

    fn known(stamp: Option<Stamp>, hash: i64, mapping: Hash) -> LinkRow {
        let link = Link {
            mapping,
            ..absorbed("f", &Key("7".to_owned()), stamp, Hash(hash))
        };
        LinkRow {
            link,
            doubtful: false,
            gone: false,
        }
    }

    #[test]
    fn a_row_is_skipped_asked_for_again_or_evaluated_by_what_is_known_of_it() {
        let link = known(Some(100), 5, Hash(1));
        for (row, look_as) in [
            (row(Some(100), 5), Look::Skip),
            (row(Some(101), 6), Look::Evaluate),
            (row(Some(100), 6), Look::Reread),
            (row(Some(99), 6), Look::Reread),
            (row(None, 6), Look::Reread),
        ] {
            assert_eq!(look(&row, Some(&link), &NOW), look_as, "{row:?}");
        }
        assert_eq!(look(&row(Some(1), 5), None, &NOW), Look::Evaluate);
    }

    #[test]
    fn a_new_mapping_waits_for_a_change_or_for_history_to_be_asked_for() {
        let again = Light { again: true, ..NOW };
        for (mapping, asked) in [
            (Hash(1), Look::Skip),
            (Hash(2), Look::Evaluate),
            (ABSORBED, Look::Evaluate),
        ] {
            let link = known(Some(100), 5, mapping);
            assert_eq!(look(&row(Some(100), 5), Some(&link), &NOW), Look::Skip);
            assert_eq!(look(&row(Some(100), 5), Some(&link), &again), asked);
        }
    }

    #[test]
    fn what_was_there_before_a_flow_began_is_absorbed() {
        let began = Light {
            start: Some(100),
            ..NOW
        };
        for (stamp, look_as) in [
            (Some(99), Look::Absorb),
            (None, Look::Absorb),
            (Some(100), Look::Evaluate),
        ] {
            assert_eq!(look(&row(stamp, 5), None, &began), look_as, "{stamp:?}");
        }
        let first = Light { absorb: true, ..began };
        assert_eq!(look(&row(Some(200), 5), None, &first), Look::Absorb);
    }
}
