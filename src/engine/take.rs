//! From rows to facts: which of them are news, what each flow makes of them, and what is to be kept.

use std::collections::HashMap;

use contract::{Key, Record, Row, Value};

use super::{Engine, Flow};
use crate::decide::{self, Known, Look};
use crate::store::{Keep, LinkRow, Note, Ring, Unread, now};

/// In what light rows are seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Light {
    /// What changed since the watermark.
    Changes,
    /// Everything there is.
    History,
    /// There before the flow began: remembered, not sent.
    Absorb,
}

type Links = HashMap<Key, LinkRow>;

impl Engine {
    /// What is to be kept of a page of rows.
    pub(super) async fn take(
        &mut self,
        feed: &str,
        flows: &[Flow],
        rows: Vec<Row>,
        light: Light,
    ) -> anyhow::Result<Keep> {
        let mut keep = Keep::default();
        let rows = newest_of_each(rows);
        if rows.is_empty() || flows.is_empty() {
            return Ok(keep);
        }
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let mut links: Vec<Links> = Vec::with_capacity(flows.len());
        for flow in flows {
            links.push(self.links(flow, &keys).await?);
        }
        let parked = self.store.parked_rows(feed, &keys).await?;
        for row in rows {
            if parked.get(&row.key) == Some(&row.hash) {
                continue;
            }
            let looks: Vec<Look> = flows
                .iter()
                .zip(&links)
                .map(|(flow, links)| {
                    decide::look(&row, links.get(&row.key), flow.mapping.print(), light == Light::History)
                })
                .collect();
            if looks.contains(&Look::Reread) {
                keep.ring.push(ring(feed, &row));
            } else if light == Light::Absorb {
                absorb(flows, &links, &row, &mut keep);
            } else if looks.contains(&Look::Evaluate) {
                let evaluate: Vec<usize> = (0..flows.len()).filter(|n| looks[*n] == Look::Evaluate).collect();
                let was_parked = parked.contains_key(&row.key);
                self.take_row(feed, flows, &links, &evaluate, row, was_parked, &mut keep);
            }
        }
        Ok(keep)
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where a row meets its flows")]
    fn take_row(
        &mut self,
        feed: &str,
        flows: &[Flow],
        links: &[Links],
        evaluate: &[usize],
        row: Row,
        was_parked: bool,
        keep: &mut Keep,
    ) {
        let Some(first) = flows.first() else { return };
        let Row {
            key, stamp, hash, body, ..
        } = row;
        match first.source.decode(body, false) {
            Ok(Record::Partial) => {
                keep.ring.push(Ring {
                    feed: feed.to_owned(),
                    key,
                    row_hash: hash,
                    due_at: now(),
                });
            }
            Ok(Record::Whole { value, flags }) => {
                if was_parked {
                    keep.read.push((feed.to_owned(), key.clone()));
                }
                for n in evaluate {
                    let known = Known {
                        key: &key,
                        stamp,
                        row_hash: hash,
                        link: links[*n].get(&key),
                        target_ahead: self.ahead(&flows[*n]),
                    };
                    self.take_record(&flows[*n], &known, &value, &flags, keep);
                }
            }
            Err(error) => {
                keep.unread.push(Unread {
                    feed: feed.to_owned(),
                    key,
                    row_hash: hash,
                    reason: error.0,
                    answer: None,
                });
            }
        }
    }

    /// What is to be kept of one whole record for one flow.
    pub(super) fn take_record(
        &mut self,
        flow: &Flow,
        known: &Known<'_>,
        value: &Value,
        flags: &[String],
        keep: &mut Keep,
    ) {
        let decision = decide::decide(&flow.name, &flow.mapping, known, value);
        if decision.parked.is_none() {
            keep.cleared.push((flow.name.clone(), known.key.clone()));
        }
        keep.links.extend(decision.link);
        keep.parked.extend(decision.parked);
        if let Some(want) = decision.want {
            keep.wants.push(want);
            for flag in flags {
                self.ledger(&flow.name).flagged += 1;
                keep.notes.push(Note {
                    flow: flow.name.clone(),
                    key: Some(known.key.clone()),
                    what: "flagged",
                    detail: flag.clone(),
                });
            }
        }
    }

    pub(super) async fn links(&self, flow: &Flow, keys: &[&Key]) -> anyhow::Result<Links> {
        let rows = self.store.links(&flow.name, keys).await?;
        Ok(rows.into_iter().map(|row| (row.link.key.clone(), row)).collect())
    }
}

fn ring(feed: &str, row: &Row) -> Ring {
    Ring {
        feed: feed.to_owned(),
        key: row.key.clone(),
        row_hash: row.hash,
        due_at: now(),
    }
}

fn absorb(flows: &[Flow], links: &[Links], row: &Row, keep: &mut Keep) {
    for (flow, links) in flows.iter().zip(links) {
        if !links.contains_key(&row.key) {
            keep.links.push(crate::store::Link {
                flow: flow.name.clone(),
                key: row.key.clone(),
                stamp: row.stamp,
                row_hash: row.hash,
                mapping: decide::ABSORBED,
                want_hash: None,
            });
        }
    }
}

/// A page may show a record twice while rows move; the newer one counts.
fn newest_of_each(rows: Vec<Row>) -> Vec<Row> {
    let mut at: HashMap<Key, usize> = HashMap::with_capacity(rows.len());
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    for row in rows {
        match at.get(&row.key) {
            Some(n) if kept[*n].stamp >= row.stamp => {}
            Some(n) => kept[*n] = row,
            None => {
                at.insert(row.key.clone(), kept.len());
                kept.push(row);
            }
        }
    }
    kept
}
