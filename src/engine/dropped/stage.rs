//! Reads one file whole and writes down what it will change. Nothing of that counts before the end was reached and
//! nothing spoke against it; the memory holds a few hundred rows at a time, however long the file is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use contract::{Broken, FileMode, FileRow, FileRows, FileSource, Hash, Key, Malformed, Reading, Target, Value};
use sha2::{Digest, Sha256};

use super::amounts::settled;
use super::guard::Watch;
use super::tally::{Repeated, Tally};
use super::{Engine, Flow};
use crate::decide::{self, Known};
use crate::engine::refs::references;
use crate::store::{Aim, Dropped, Effect, LastApplied, LinkRow, StagedRow};

const ROWS_AT_ONCE: usize = 500;
/// Lines that a report names.
const TOLD_MAX: usize = 1_000;
/// So many rows may fail alone; more is the file's trouble.
const FAILED_MAX: u64 = 1_000;
/// Lines behind any that a file has, for what is not in it.
const ABSENT_LINES: u64 = 1 << 40;

pub(super) enum Outcome {
    /// It was written to meanwhile.
    Changed,
    Incomplete(String),
    Held(String),
    Same(String),
    Rejected {
        told: String,
        report: String,
    },
    Staged {
        rows: u64,
        changed: u64,
    },
    /// It said what became of records, and that is kept.
    Acknowledged(String),
}

/// What is known while a file is read.
struct Progress {
    id: i64,
    /// The name and, where each row is a record of its own, what its content is known by.
    name: String,
    content: String,
    skips_rows: bool,
    mode: FileMode,
    rows: u64,
    changed: u64,
    failed: u64,
    errors: Vec<(u64, String)>,
    tally: Option<Tally>,
    watches: HashMap<String, Watch>,
    unmapped: HashMap<String, HashSet<Key>>,
}

impl Progress {
    fn fail(&mut self, line: u64, why: &str) {
        self.failed += 1;
        if self.errors.len() < TOLD_MAX {
            self.errors.push((line, why.to_owned()));
        }
    }
}

enum Read {
    Whole(String),
    Broken(Broken),
}

impl Engine {
    pub(super) async fn stage(
        &mut self,
        feed: &str,
        files: &Arc<dyn FileSource>,
        file: &Dropped,
        placed: (i64, bool),
        last: Option<LastApplied>,
    ) -> anyhow::Result<Outcome> {
        let (flows, terms, place) = (self.takers(feed), files.terms().clone(), files.place());
        let name = file.entry.name.clone();
        self.store.clear_rows(file.id).await?;
        let mut progress = Progress {
            id: file.id,
            content: String::new(),
            skips_rows: terms.skips_rows,
            mode: terms.mode,
            rows: 0,
            changed: 0,
            failed: 0,
            errors: Vec::new(),
            tally: terms.primary_key.as_ref().map(|_| Tally::new(terms.absent_zero)),
            watches: HashMap::new(),
            unmapped: HashMap::new(),
            name: name.clone(),
        };
        for flow in &flows {
            let unmapped = self.store.unmapped(&flow.name).await?;
            progress
                .unmapped
                .insert(flow.name.clone(), unmapped.into_iter().collect());
        }
        if terms.mode == FileMode::Delta {
            // Its rows are told apart by what is in the whole file, so it is read twice.
            progress.content = hash_of(place.open(&name).await?).await?;
            if let Some(before) = self.store.applied_content(feed, &progress.content).await? {
                return Ok(Outcome::Same(format!(
                    "it has the same content as {before}, which took effect before"
                )));
            }
        }
        let read = self.read_rows(&flows, files, &mut progress).await?;
        if place.entry(&name).await?.as_ref() != Some(&file.entry) {
            return Ok(Outcome::Changed);
        }
        let hash = match read {
            Read::Whole(hash) => hash,
            Read::Broken(Broken::Incomplete(why)) => return Ok(Outcome::Incomplete(why)),
            Read::Broken(Broken::Refused { line, why }) => return Ok(refused(&name, line, why)),
        };
        if terms.mode == FileMode::Snapshot
            && let Some(last) = last.as_ref().filter(|last| last.hash == hash)
        {
            return Ok(Outcome::Same(format!(
                "it has the same content as {}, the last that took effect",
                last.name
            )));
        }
        self.refuse_contradictions(&flows, &mut progress).await?;
        let is_too_much = progress.failed > FAILED_MAX;
        if progress.failed > 0 && (!progress.skips_rows || is_too_much) {
            return Ok(rejected(&progress));
        }
        if terms.absent_zero
            && let Err(Malformed(told)) = self.stage_absent(&flows, files, &mut progress).await?
        {
            return Ok(rejected_for(&name, told, &[]));
        }
        if !file.approved
            && let Some(held) = held(&flows, &progress, last.as_ref())
        {
            return Ok(Outcome::Held(held));
        }
        let (rows, changed) = (progress.rows, progress.changed);
        self.store.stage_file(file.id, placed, &hash, rows, changed).await?;
        Ok(Outcome::Staged { rows, changed })
    }

    async fn read_rows(
        &mut self,
        flows: &[Flow],
        files: &Arc<dyn FileSource>,
        progress: &mut Progress,
    ) -> anyhow::Result<Read> {
        let mut needed: Vec<String> = flows.iter().flat_map(|flow| flow.mapping.needs()).collect();
        needed.sort();
        needed.dedup();
        let mut reader: Box<dyn FileRows> = files.rows(&needed);
        let mut reading = files.place().open(&progress.name).await?;
        let (mut hasher, mut rows) = (Sha256::new(), Vec::new());
        while let Some(part) = reading.next().await? {
            self.check_stop()?;
            hasher.update(&part);
            if let Err(broken) = reader.take(&part, &mut rows) {
                return Ok(Read::Broken(broken));
            }
            while rows.len() >= ROWS_AT_ONCE {
                let rest = rows.split_off(ROWS_AT_ONCE);
                let chunk = std::mem::replace(&mut rows, rest);
                self.stage_rows(flows, files, chunk, progress).await?;
            }
        }
        if let Err(broken) = reader.end(&mut rows) {
            return Ok(Read::Broken(broken));
        }
        self.stage_rows(flows, files, rows, progress).await?;
        Ok(Read::Whole(hex(&hasher.finalize())))
    }

    async fn stage_rows(
        &mut self,
        flows: &[Flow],
        files: &Arc<dyn FileSource>,
        rows: Vec<FileRow>,
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        progress.rows += rows.len() as u64;
        let keys: Vec<Key> = rows.iter().map(|row| key_of(row, progress)).collect();
        let mut staged = Vec::new();
        // What each row says, over all flows: whether two rows of one key say the same.
        let mut said: Vec<u64> = vec![0; rows.len()];
        let mut failed: Vec<Option<String>> = vec![None; rows.len()];
        for flow in flows {
            let links = self.links(flow, &keys.iter().collect::<Vec<_>>()).await?;
            let mut levels = Vec::new();
            for (n, row) in rows.iter().enumerate() {
                let known = Known {
                    key: &keys[n],
                    stamp: None,
                    row_hash: row.hash,
                    link: links.get(&keys[n]),
                    target_ahead: self.ahead(flow),
                    again: false,
                };
                let made = match &row.record {
                    Ok(value) => self.effect(flow, files, &known, value, progress.mode).await?,
                    Err(malformed) => Err(malformed.clone()),
                };
                let effect = match made {
                    Ok((says, effect)) => {
                        said[n] = said[n].wrapping_mul(31).wrapping_add(says.0 as u64);
                        match effect {
                            Some(effect) => effect,
                            None if progress
                                .unmapped
                                .get(&flow.name)
                                .is_some_and(|keys| keys.contains(known.key)) =>
                            {
                                Effect::Cleared
                            }
                            None => continue,
                        }
                    }
                    Err(Malformed(why)) => {
                        failed[n].get_or_insert(why.clone());
                        Effect::Failed(format!("{} line {}: {why}", progress.name, row.line))
                    }
                };
                if let Effect::Wanted { level: Some(level), .. } = &effect {
                    levels.push((keys[n].clone(), *level));
                }
                staged.push(StagedRow {
                    line: row.line,
                    flow: flow.name.clone(),
                    key: keys[n].clone(),
                    row_hash: row.hash,
                    mapping: flow.mapping.print(),
                    effect,
                });
            }
            self.watch(flow, &levels, progress).await?;
        }
        for (n, row) in rows.iter().enumerate() {
            match &failed[n] {
                Some(why) => progress.fail(row.line, why),
                None => {
                    if let Some(tally) = &mut progress.tally {
                        tally.add(key_hash(&keys[n]), said[n], row.line)?;
                    }
                }
            }
        }
        progress.changed += staged
            .iter()
            .filter(|row| matches!(row.effect, Effect::Wanted { .. }))
            .count() as u64;
        // A file that is refused whole changes nothing.
        if progress.failed == 0 || progress.skips_rows {
            self.store.put_rows(progress.id, &staged).await?;
        }
        Ok(())
    }

    /// What the row says, and what is to be done about it; `None`: nothing, it is known.
    async fn effect(
        &self,
        flow: &Flow,
        files: &Arc<dyn FileSource>,
        known: &Known<'_>,
        value: &Value,
        mode: FileMode,
    ) -> anyhow::Result<Result<(Hash, Option<Effect>), Malformed>> {
        if is_stock(flow) {
            return Ok(stock_effect(flow, files, known, value, mode));
        }
        let cancels = match &flow.to {
            Target::Records(records) if records.abilities().cancel => Some(records.cancels(value)),
            Target::Records(_) | Target::Files(_) => None,
        };
        let references = references(Some(&self.store), flow, value).await?;
        let decision = decide::decide(&flow.name, &flow.mapping, known, value, cancels, references);
        if let Some(parked) = decision.parked {
            return Ok(Err(Malformed(parked.reason)));
        }
        if let Some(need) = decision.waits.first() {
            return Ok(Err(Malformed(format!(
                "it refers to {need}, which is not at the target"
            ))));
        }
        let says = decision.link.and_then(|link| link.want_hash).unwrap_or(Hash(0));
        let effect = decision.want.map(|want| Effect::Wanted {
            body: want.body,
            hash: want.hash,
            before: want.before,
            wish: want.wish,
            first: want.first,
            doubt: want.doubt,
            level: None,
        });
        Ok(Ok((says, effect)))
    }

    async fn watch(&self, flow: &Flow, levels: &[(Key, i64)], progress: &mut Progress) -> anyhow::Result<()> {
        if levels.is_empty() || !flow.guards {
            return Ok(());
        }
        let keys: Vec<&Key> = levels.iter().map(|(key, _)| key).collect();
        let before: HashMap<Key, i64> = self.store.levels(&flow.name, &keys).await?.into_iter().collect();
        let watch = progress.watches.entry(flow.name.clone()).or_default();
        for (key, level) in levels {
            watch.see(&key.0, before.get(key).copied(), Some(*level));
        }
        Ok(())
    }

    /// A key that is there twice: once is enough where both say the same, and else neither counts.
    async fn refuse_contradictions(&mut self, flows: &[Flow], progress: &mut Progress) -> anyhow::Result<()> {
        let Some(tally) = &mut progress.tally else {
            return Ok(());
        };
        let repeated = tally.repeated()?;
        tally.sort_keys();
        for Repeated { lines, is_same } in repeated {
            let (Some(first), others) = (lines.first().copied(), lines.get(1..).unwrap_or_default()) else {
                continue;
            };
            let back = if is_same { others } else { &lines };
            let taken = self.store.take_back_rows(progress.id, back).await?;
            progress.changed = progress.changed.saturating_sub(taken.len() as u64);
            let Some((_, key)) = taken.into_iter().next().filter(|_| !is_same) else {
                continue;
            };
            let shown: Vec<String> = lines.iter().take(10).map(u64::to_string).collect();
            let why = format!(
                "it is there more than once with different values: lines {}",
                shown.join(", ")
            );
            let failed = |flow: &Flow| StagedRow {
                line: first,
                flow: flow.name.clone(),
                key: key.clone(),
                row_hash: Hash(0),
                mapping: flow.mapping.print(),
                effect: Effect::Failed(format!("{}: {why}", progress.name)),
            };
            let failed: Vec<StagedRow> = flows.iter().map(failed).collect();
            self.store.put_rows(progress.id, &failed).await?;
        }
        Ok(())
    }

    /// What is not in the file has nothing left.
    async fn stage_absent(
        &mut self,
        flows: &[Flow],
        files: &Arc<dyn FileSource>,
        progress: &mut Progress,
    ) -> anyhow::Result<Result<(), Malformed>> {
        let mut line = ABSENT_LINES;
        for flow in flows {
            let mut after = String::new();
            loop {
                let keys = self.store.stocked(&flow.name, &after, ROWS_AT_ONCE).await?;
                let Some(last) = keys.last() else { break };
                after.clone_from(&last.0);
                let is_there = |key: &Key| progress.tally.as_ref().is_some_and(|tally| tally.has(key_hash(key)));
                let absent: Vec<&Key> = keys.iter().filter(|key| !is_there(key)).collect();
                let links = self.links(flow, &absent).await?;
                let mut staged = Vec::new();
                for key in absent {
                    let known = Known {
                        key,
                        stamp: None,
                        row_hash: Hash(0),
                        link: links.get(key),
                        target_ahead: false,
                        again: false,
                    };
                    let effect = match stock_effect(flow, files, &known, &files.absent(&key.0), progress.mode) {
                        Ok((_, Some(effect @ Effect::Wanted { level: Some(0), .. }))) => effect,
                        Ok((_, None)) => continue,
                        Ok(_) => {
                            let told =
                                format!("{key:?} is not in it, and `map` does not make quantity 0 of a row of zeros");
                            return Ok(Err(Malformed(told)));
                        }
                        Err(Malformed(why)) => {
                            return Ok(Err(Malformed(format!(
                                "{} is not in it, and cannot be made 0: {why}",
                                key.0
                            ))));
                        }
                    };
                    line += 1;
                    staged.push(StagedRow {
                        line,
                        flow: flow.name.clone(),
                        key: key.clone(),
                        row_hash: Hash(0),
                        mapping: flow.mapping.print(),
                        effect,
                    });
                }
                progress.changed += staged.len() as u64;
                progress.watches.entry(flow.name.clone()).or_default().absent += staged.len() as u64;
                self.store.put_rows(progress.id, &staged).await?;
            }
        }
        Ok(Ok(()))
    }
}

/// Whether quantities are checked as such.
fn is_stock(flow: &Flow) -> bool {
    [&flow.feed, &flow.target].iter().any(|end| end.ends_with(".inventory"))
}

/// As `decide`, with quantities that are numbers.
fn stock_effect(
    flow: &Flow,
    files: &Arc<dyn FileSource>,
    known: &Known<'_>,
    value: &Value,
    mode: FileMode,
) -> Result<(Hash, Option<Effect>), Malformed> {
    let sent = known.link.and_then(|row: &LinkRow| row.link.want_hash);
    if sent.is_none() && !flow.mapping.admits(value)? {
        return Ok((Hash(0), None));
    }
    let rows = flow.mapping.apply(value, &Value::Null)?;
    let (rows, level) = settled(rows, mode, |text| files.number(text))?;
    if rows.is_empty() {
        return Ok((Hash(0), None));
    }
    let body = Value::List(rows).to_json();
    let hash = Hash::of(body.as_bytes());
    if sent == Some(hash) {
        return Ok((hash, None));
    }
    let effect = Effect::Wanted {
        body,
        hash,
        before: sent,
        wish: Aim::Put,
        first: known.link.is_none(),
        doubt: known.target_ahead && known.link.is_none_or(|row| row.doubtful),
        level,
    };
    Ok((hash, Some(effect)))
}

/// The key of a row. Where each is a record of its own it is what the file is known by, and the line.
fn key_of(row: &FileRow, progress: &Progress) -> Key {
    match (row.key.trim().is_empty(), progress.content.get(..12)) {
        (_, Some(content)) => Key(format!("{}#{}@{content}", progress.name, row.line)),
        (true, None) => Key(format!("{}#{}", progress.name, row.line)),
        (false, None) => Key(row.key.clone()),
    }
}

fn key_hash(key: &Key) -> u64 {
    Hash::of(key.0.as_bytes()).0 as u64
}

fn rejected(progress: &Progress) -> Outcome {
    let first = progress.errors.first();
    let first = first
        .map(|(line, why)| format!("line {line}: {why}"))
        .unwrap_or_default();
    let told = match progress.failed {
        1 => first,
        failed => format!("{failed} of {} rows cannot be taken; the first: {first}", progress.rows),
    };
    let report = report(&progress.name, "", &progress.errors, progress.failed);
    Outcome::Rejected { told, report }
}

/// As its reader refused it.
pub(super) fn refused(name: &str, line: Option<u64>, why: String) -> Outcome {
    let told = match line {
        Some(line) => format!("line {line}: {why}"),
        None => why,
    };
    rejected_for(name, told, &[])
}

pub(super) fn rejected_for(name: &str, told: String, errors: &[(u64, String)]) -> Outcome {
    let shown = if errors.is_empty() { told.as_str() } else { "" };
    let report = report(name, shown, errors, errors.len() as u64);
    Outcome::Rejected { told, report }
}

/// What stands beside a rejected file: each line and its reason.
fn report(name: &str, told: &str, errors: &[(u64, String)], failed: u64) -> String {
    let mut text = format!("{name} was rejected, and nothing of it took effect.\nCorrect it and drop it again.\n\n");
    if !told.is_empty() {
        text.push_str(told);
        text.push('\n');
    }
    for (line, why) in errors {
        text.push_str(&format!("line {line}: {why}\n"));
    }
    let more = failed.saturating_sub(errors.len() as u64);
    if more > 0 {
        text.push_str(&format!("… and {more} more\n"));
    }
    text
}

fn held(flows: &[Flow], progress: &Progress, last: Option<&LastApplied>) -> Option<String> {
    if progress.mode == FileMode::Delta {
        return None;
    }
    let none = Watch::default();
    let guarded = flows.iter().filter(|flow| flow.guards);
    let told = guarded.filter_map(|flow| {
        let watch = progress.watches.get(&flow.name).unwrap_or(&none);
        watch.verdict(progress.rows, last.map(|last| last.rows))
    });
    let told = told.into_iter().next()?;
    Some(format!(
        "held, nothing was changed: {told}; if that is right, `failures retry` lets it take effect, and `failures discard` refuses it"
    ))
}

async fn hash_of(mut reading: Box<dyn Reading>) -> anyhow::Result<String> {
    let mut hasher = Sha256::new();
    while let Some(part) = reading.next().await? {
        hasher.update(&part);
    }
    Ok(hex(&hasher.finalize()))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
