//! From rows to facts: which of them are news, what each flow makes of them, and what is to be kept.

use std::collections::HashMap;

use contract::{Hash, Key, Record, Row, Stamp, Target, Use, Value};

use super::refs::references;
use super::{Engine, Flow};
use crate::decide::{self, Known, Light, Look};
use crate::store::{Keep, LinkRow, Need, Note, Read, Ring, Unread, Wait};

/// Why rows are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// To find what is new, or because a flow begins with its history.
    News,
    /// A person asked for history: flows that start with what comes take it all the same.
    Asked,
    /// These flows begin now, and all of this was there before them.
    Absorb,
    /// Like `News`, of what can wait: deep passes, sweeps, and the history that a flow begins with.
    Late,
}

impl View {
    pub(super) fn purpose(self) -> Use {
        match self {
            View::News | View::Absorb => Use::Feed,
            View::Asked | View::Late => Use::History,
        }
    }
}

pub(super) type Links = HashMap<Key, LinkRow>;

impl Engine {
    /// What is to be kept of a page of rows.
    pub(super) async fn take(
        &mut self,
        feed: &str,
        flows: &[Flow],
        rows: Vec<Row>,
        view: View,
    ) -> anyhow::Result<Keep> {
        let mut keep = Keep::default();
        let rows = newest_of_each(rows);
        if rows.is_empty() || flows.is_empty() {
            return Ok(keep);
        }
        let keys: Vec<&Key> = rows.iter().map(|row| &row.key).collect();
        let mut known: Vec<(Light, Links)> = Vec::with_capacity(flows.len());
        for flow in flows {
            let light = Light {
                mapping: flow.mapping.print(),
                start: if view == View::Asked { None } else { self.start_of(flow) },
                absorb: view == View::Absorb,
                again: view == View::Asked,
            };
            known.push((light, self.links(flow, &keys).await?));
        }
        let parked = self.store.parked_rows(feed, &keys).await?;
        let asked_by = flows
            .first()
            .filter(|_| view == View::Asked)
            .map(|flow| flow.name.as_str());
        for row in rows {
            if parked.get(&row.key) == Some(&row.hash) {
                continue;
            }
            let look = |(light, links): &(Light, Links)| decide::look(&row, links.get(&row.key), light);
            let looks: Vec<Look> = known.iter().map(look).collect();
            let of = |what: Look| (0..flows.len()).filter(|n| looks[*n] == what).collect::<Vec<usize>>();
            for n in of(Look::Absorb) {
                keep.links
                    .push(decide::absorbed(&flows[n].name, &row.key, row.stamp, row.hash));
            }
            for n in of(Look::Skip) {
                self.take_figure(&flows[n], &row.key, row.stamp, None, &mut keep);
            }
            let evaluate = of(Look::Evaluate);
            if looks.contains(&Look::Reread) {
                keep.ring
                    .push(self.ring(feed, &row.key, (row.hash, row.stamp), view, asked_by));
            } else if !evaluate.is_empty() {
                let was_parked = parked.contains_key(&row.key);
                let partial = self
                    .take_row(feed, flows, &known, &evaluate, row, was_parked, &mut keep)
                    .await?;
                if let Some((key, seen)) = partial {
                    keep.ring.push(self.ring(feed, &key, seen, view, asked_by));
                }
            }
        }
        Ok(keep)
    }

    /// What must be read by its key is handed back.
    #[expect(clippy::too_many_arguments, reason = "the one place where a row meets its flows")]
    async fn take_row(
        &mut self,
        feed: &str,
        flows: &[Flow],
        known: &[(Light, Links)],
        evaluate: &[usize],
        row: Row,
        was_parked: bool,
        keep: &mut Keep,
    ) -> anyhow::Result<Option<(Key, (Hash, Option<Stamp>))>> {
        let Some(first) = flows.first() else { return Ok(None) };
        let Row {
            key, stamp, hash, body, ..
        } = row;
        match first.source.decode(body, false) {
            Ok(Record::Partial | Record::Parts(_)) => return Ok(Some((key, (hash, stamp)))),
            Ok(Record::Whole { value, flags }) => {
                if was_parked {
                    keep.read.push(Read {
                        feed: feed.to_owned(),
                        key: key.clone(),
                        rings: None,
                    });
                }
                for n in evaluate {
                    let known = Known {
                        key: &key,
                        stamp,
                        row_hash: hash,
                        link: known[*n].1.get(&key),
                        target_ahead: self.ahead(&flows[*n]),
                        again: false,
                    };
                    self.take_record(&flows[*n], &known, &value, &flags, keep).await?;
                }
            }
            Err(error) => {
                keep.unread.push(Unread {
                    feed: feed.to_owned(),
                    key,
                    row_hash: hash,
                    rings: None,
                    reason: error.0,
                    answer: None,
                });
            }
        }
        Ok(None)
    }

    /// What is to be kept of one whole record for one flow.
    pub(super) async fn take_record(
        &mut self,
        flow: &Flow,
        known: &Known<'_>,
        value: &Value,
        flags: &[String],
        keep: &mut Keep,
    ) -> anyhow::Result<()> {
        let cancels = match &flow.to {
            Target::Records(records) if records.abilities().cancel => Some(records.cancels(value)),
            Target::Records(_) | Target::Files(_) => None,
        };
        let references = references(Some(&self.store), flow, value).await?;
        let decision = decide::decide(&flow.name, &flow.mapping, known, value, cancels, references);
        self.take_sale(flow, known, value, keep);
        if decision.parked.is_none() {
            let body = decision.want.as_ref().map(|want| want.body.as_str());
            self.take_figure(flow, known.key, known.stamp, body, keep);
        }
        if !flow.requires.is_empty() {
            self.take_waits(flow, known, decision.waits, keep);
        }
        // Of a record that was never decided on nothing can be parked.
        if decision.parked.is_none() && known.link.is_some() {
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
        Ok(())
    }

    /// What a record waits for is kept, or that it waits for nothing any more. A dry run sends nothing that could
    /// be waited for, so it tells.
    fn take_waits(&self, flow: &Flow, known: &Known<'_>, needs: Vec<Need>, keep: &mut Keep) {
        if self.dry && !needs.is_empty() {
            let told: Vec<String> = needs.iter().map(Need::to_string).collect();
            let line = format!("# {} waits for {}", known.key.0, told.join(", "));
            self.voice.would_send(&flow.name, &flow.target, &line);
            return;
        }
        keep.waits.push(Wait {
            flow: flow.name.clone(),
            feed: flow.feed.clone(),
            key: known.key.clone(),
            again: known.again,
            needs,
        });
    }

    pub(super) fn ring(
        &self,
        feed: &str,
        key: &Key,
        (row_hash, stamp): (Hash, Option<Stamp>),
        view: View,
        asked_by: Option<&str>,
    ) -> Ring {
        Ring {
            feed: feed.to_owned(),
            key: key.clone(),
            row_hash,
            stamp,
            asked_by: asked_by.map(str::to_owned),
            urgency: view.purpose(),
            due_at: self.clock.now(),
        }
    }

    pub(super) async fn links(&self, flow: &Flow, keys: &[&Key]) -> anyhow::Result<Links> {
        let rows = self.store.links(&flow.name, keys).await?;
        Ok(rows.into_iter().map(|row| (row.link.key.clone(), row)).collect())
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
