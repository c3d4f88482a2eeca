//! Files in which the other side says what became of records that were written for it. A word that is not understood
//! must never count as a confirmation.

use std::time::Duration;

use contract::{Acks, Broken, FileRow, Value};

use super::Engine;
use super::stage::{Outcome, refused, rejected_for};
use crate::engine::files::FileFlow;
use crate::store::{Ack, Dropped};

/// More is no answer to files of ours.
const ROWS_MAX: usize = 200_000;
const TOLD_MAX: usize = 1_000;

/// What stands for a feed where such files are meant.
fn feed_of(target: &str) -> String {
    format!("{target}{SUFFIX}")
}

pub(super) const SUFFIX: &str = " acks";

impl Engine {
    /// Looks whether there is such a file. A run that a person waits for waits until one that lies there is complete.
    pub(in crate::engine) async fn look_for_acks(&mut self, flow: &FileFlow) -> anyhow::Result<()> {
        let Some(acks) = flow.files.acks().filter(|_| !self.dry) else {
            return Ok(());
        };
        let now = self.clock.monotonic();
        let terms = acks.files.terms();
        let looked = self.ledger(&flow.name).acks_at.filter(|_| self.patience.leaves_walks);
        if looked.is_some_and(|at| now < at + terms.poll) {
            return Ok(());
        }
        self.ledger(&flow.name).acks_at = Some(now);
        let (feed, most, mut waited) = (feed_of(&flow.target), terms.settle + self.patience.wait, Duration::ZERO);
        loop {
            self.enter(&feed).await?;
            let looked = self.look(&feed, &acks.files, Some(acks)).await;
            self.leave();
            let next = match looked {
                Ok(next) => next.filter(|next| !self.patience.leaves_walks && waited + *next <= most),
                Err(error) => return self.stop_target(flow, error).await,
            };
            let Some(next) = next else { return Ok(()) };
            let next = next.max(Duration::from_millis(20));
            self.pause(next).await?;
            waited += next;
        }
    }

    pub(super) async fn acknowledge(&mut self, acks: &Acks, file: &Dropped, target: &str) -> anyhow::Result<Outcome> {
        let (place, name) = (acks.files.place(), &file.entry.name);
        let (mut reader, mut rows) = (acks.files.rows(&[]), Vec::new());
        let mut reading = place.open(name).await?;
        let mut broken = None;
        while let (None, Some(part)) = (&broken, reading.next().await?) {
            broken = reader.take(&part, &mut rows).err();
            if rows.len() > ROWS_MAX {
                return Ok(rejected_for(name, format!("it has more than {ROWS_MAX} rows"), &[]));
            }
        }
        let broken = broken.or_else(|| reader.end(&mut rows).err());
        if place.entry(name).await?.as_ref() != Some(&file.entry) {
            return Ok(Outcome::Changed);
        }
        match broken {
            Some(Broken::Incomplete(why)) => return Ok(Outcome::Incomplete(why)),
            Some(Broken::Refused { line, why }) => return Ok(refused(name, line, why)),
            None => {}
        }
        let (mut said, mut wrong) = (Vec::new(), Vec::new());
        for row in rows {
            match word_of(acks, name, &row) {
                Ok(ack) => said.push(ack),
                Err(why) => wrong.push((row.line, why)),
            }
        }
        if let Some((line, why)) = wrong.first() {
            let told = format!("{} rows cannot be read; the first: line {line}: {why}", wrong.len());
            wrong.truncate(TOLD_MAX);
            return Ok(rejected_for(name, told, &wrong));
        }
        let acked = self.store.put_acks(target, file.id, &said).await?;
        Ok(Outcome::Acknowledged(format!(
            "{} confirmed, {} refused, {} unknown",
            acked.confirmed, acked.refused, acked.unknown
        )))
    }
}

fn word_of(acks: &Acks, name: &str, row: &FileRow) -> Result<Ack, String> {
    let record = row.record.as_ref().map_err(|malformed| malformed.0.clone())?;
    let text = |column: &str| record.get(column).and_then(Value::as_text).unwrap_or_default();
    let (id, status) = (text(&acks.id), text(&acks.status));
    if id.is_empty() || status.is_empty() {
        return Err(format!("`{}` or `{}` is empty", acks.id, acks.status));
    }
    let is_taken = acks.ok.iter().any(|ok| ok == status);
    let message = acks.message.as_deref().map(text).filter(|message| !message.is_empty());
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    Ok(Ack {
        key: id.to_owned(),
        refused: (!is_taken).then(|| format!("the other side refused it in {name}: {status}{message}")),
    })
}
