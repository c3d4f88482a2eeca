//! Files that somebody drops: found, waited for until they are complete, read whole, and only then taken. A file
//! must never have an effect before all of it was read, nor twice, nor after a newer one.
//!
//! | killed | what is on disk | what happens next |
//! |---|---|---|
//! | while it is read | the file as it was seen, and rows that do not count | it is read again from its beginning |
//! | while it takes effect | rows that are left | they go on from there; the file is not needed any more |
//! | before it is put away | its verdict | it is put away |

mod acks;
mod amounts;
mod guard;
mod stage;
mod tally;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use contract::{Acks, After, Away, Cursor, Entry, Fault, FileMode, FileSource, Key, Place, Placed};

use self::stage::Outcome;
use super::{Engine, Flow};
use crate::store::{Coverage, Dropped, FileState, Keep, Note, Store, Verdict};

/// Rows that take effect in one transaction.
const ROWS_AT_ONCE: usize = 1_000;
/// A name that is made longer must still be a name.
const NAME_BYTES_MAX: usize = 80;
/// Names tried for a file that is put away where another has its name.
const NAMES_MAX: u32 = 20;
const ARCHIVE: &str = "archive";
const REJECTED: &str = "rejected";

impl Engine {
    pub fn files_of(&self, feed: &str) -> Option<Arc<dyn FileSource>> {
        let flow = self.flows.iter().find(|flow| flow.feed == feed)?;
        flow.source.files()
    }

    /// A file is taken for all flows of its feed, whichever of them this run is for.
    fn takers(&self, feed: &str) -> Vec<Flow> {
        let all = self.flows.iter().chain(&self.neighbours);
        let target = feed.strip_suffix(acks::SUFFIX);
        all.filter(|flow| flow.feed == feed || target == Some(&flow.target))
            .cloned()
            .collect()
    }

    /// Takes the files that are complete. A run that a person waits for waits until those that lie there are.
    pub async fn take_files(&mut self, feed: &str) -> anyhow::Result<()> {
        let Some(files) = self.files_of(feed) else {
            return Ok(());
        };
        let most = files.terms().settle + self.patience.wait;
        let mut waited = Duration::ZERO;
        loop {
            let next = self.look_at_files(feed).await?;
            let Some(next) = next.filter(|next| !self.patience.leaves_walks && waited + *next <= most) else {
                return Ok(());
            };
            let next = next.max(Duration::from_millis(20));
            self.pause(next).await?;
            waited += next;
        }
    }

    /// One look at the folder. Tells in how long a file may be complete that is not yet.
    pub async fn look_at_files(&mut self, feed: &str) -> anyhow::Result<Option<Duration>> {
        let Some(files) = self.files_of(feed) else {
            return Ok(None);
        };
        self.enter(feed).await?;
        let looked = self.look(feed, &files, None).await;
        self.leave();
        looked
    }

    async fn look(
        &mut self,
        feed: &str,
        files: &Arc<dyn FileSource>,
        acks: Option<&Acks>,
    ) -> anyhow::Result<Option<Duration>> {
        let mut trouble = None;
        self.hear(feed).await?;
        for file in self.store.dropped(feed, &[]).await? {
            if matches!(file.state, FileState::Staged | FileState::Closing) {
                self.finish(feed, files, file, &mut trouble).await?;
            }
        }
        let all = files.place().entries().await?;
        let present: BTreeSet<String> = all.iter().map(|entry| entry.name.clone()).collect();
        let entries: Vec<Entry> = all
            .into_iter()
            .filter(|entry| files.placed(&entry.name) != Placed::Foreign)
            .collect();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        let known = self.store.dropped(feed, &names).await?;
        let gone = known.iter().filter(|file| {
            matches!(file.state, FileState::Seen | FileState::Waiting | FileState::Held)
                && !present.contains(&file.entry.name)
        });
        let gone: Vec<i64> = gone.map(|file| file.id).collect();
        if !gone.is_empty() {
            self.store.forget_files(feed, &gone).await?;
        }
        let known: BTreeMap<String, Dropped> = known.into_iter().map(|file| (file.entry.name.clone(), file)).collect();
        let now = self.clock.now();
        let settle = files.terms().settle;
        let (mut seen, mut ready, mut next) = (Vec::new(), Vec::new(), None::<Duration>);
        for entry in entries {
            let left = match known.get(&entry.name) {
                Some(file) if matches!(file.state, FileState::Staged | FileState::Closing) => continue,
                Some(file) if file.entry == entry && file.state == FileState::Seen && file.seen_at <= now => {
                    let age = Duration::from_millis(u64::try_from(now - file.seen_at).unwrap_or_default());
                    let left = settle.saturating_sub(age);
                    let is_marked = files.marker(&entry.name).is_none_or(|marker| present.contains(&marker));
                    if left.is_zero() && is_marked {
                        ready.push((place_of(files, file), file.clone()));
                    }
                    if left.is_zero() { continue } else { left }
                }
                Some(file) if file.entry == entry && file.state != FileState::Seen => continue,
                _ => {
                    seen.push(entry);
                    settle
                }
            };
            next = Some(next.map_or(left, |next| next.min(left)));
        }
        if !seen.is_empty() {
            self.store.see_files(feed, &seen).await?;
        }
        ready.sort_by(|(a, x), (b, y)| (a, &x.entry.name).cmp(&(b, &y.entry.name)));
        for (placed, file) in ready {
            self.check_stop()?;
            self.take_file(feed, files, acks, file, placed, &mut trouble).await?;
        }
        match trouble {
            Some(error) => Err(error),
            None => Ok(next),
        }
    }

    /// What persons said about files since the last look.
    async fn hear(&mut self, feed: &str) -> anyhow::Result<()> {
        let known = self.store.dropped(feed, &[]).await?;
        for wish in self.store.file_wishes(feed).await? {
            let held = known
                .iter()
                .find(|file| file.entry.name == wish.name && file.state == FileState::Held);
            match held {
                Some(_) if !wish.refused => self.store.approve_file(feed, &wish.name).await?,
                // A refusal is kept before the wish for it goes: killed between the two it is told as refused.
                Some(file) => {
                    let told = "it was held for a person, who refused it";
                    self.store.close_file(feed, file, Verdict::Rejected, told, told).await?;
                    self.store.drop_wish(feed, &wish.name).await?;
                }
                None => {
                    let latest = self.store.dropped(feed, &[&wish.name]).await?;
                    let rejected = latest
                        .into_iter()
                        .rfind(|file| file.entry.name == wish.name && file.verdict == Some(Verdict::Rejected));
                    match rejected.filter(|_| !wish.refused) {
                        Some(file) => self.store.park_file(feed, &wish.name, &file.told).await?,
                        None => self.store.drop_wish(feed, &wish.name).await?,
                    }
                }
            }
        }
        Ok(())
    }

    async fn take_file(
        &mut self,
        feed: &str,
        files: &Arc<dyn FileSource>,
        acks: Option<&Acks>,
        mut file: Dropped,
        placed: (i64, bool),
        trouble: &mut Option<anyhow::Error>,
    ) -> anyhow::Result<()> {
        let name = file.entry.name.clone();
        let last = self.store.last_applied(feed, placed.1).await?;
        let is_snapshot = files.terms().mode == FileMode::Snapshot;
        if let Some(newer) = last.as_ref().filter(|last| is_snapshot && placed.0 < last.placed) {
            let told = format!(
                "it is older than {}, which took effect before it: nothing was changed",
                newer.name
            );
            return self
                .close(feed, files, file, (Verdict::Older, told, String::new()), trouble)
                .await;
        }
        let outcome = match acks {
            None => self.stage(feed, files, &file, placed, last).await?,
            Some(acks) => {
                let target = feed.strip_suffix(acks::SUFFIX).unwrap_or(feed);
                self.acknowledge(acks, &file, target).await?
            }
        };
        match outcome {
            Outcome::Acknowledged(told) => {
                (file.verdict, file.told, file.state) = (Some(Verdict::Applied), told, FileState::Closing);
                self.finish(feed, files, file, trouble).await?;
            }
            Outcome::Changed => {
                let now = files.place().entry(&name).await?;
                self.store.see_files(feed, now.as_slice()).await?;
            }
            Outcome::Incomplete(told) => {
                self.say_of_file(feed, &name, "waits", &told).await?;
                self.store.wait_file(file.id, &told).await?;
            }
            Outcome::Held(told) => {
                self.say_of_file(feed, &name, "held", &told).await?;
                self.store.hold_file(feed, &file, &told).await?;
            }
            Outcome::Same(told) => {
                self.close(feed, files, file, (Verdict::Same, told, String::new()), trouble)
                    .await?;
            }
            Outcome::Rejected { told, report } => {
                let told = format!("nothing of it took effect: {told}");
                self.close(feed, files, file, (Verdict::Rejected, told, report), trouble)
                    .await?;
            }
            Outcome::Staged { rows, changed } => {
                (file.rows, file.changed, file.state) = (rows, changed, FileState::Staged);
                self.finish(feed, files, file, trouble).await?;
            }
        }
        Ok(())
    }

    /// Puts a file away without effect.
    async fn close(
        &mut self,
        feed: &str,
        files: &Arc<dyn FileSource>,
        mut file: Dropped,
        (verdict, told, report): (Verdict, String, String),
        trouble: &mut Option<anyhow::Error>,
    ) -> anyhow::Result<()> {
        self.store.close_file(feed, &file, verdict, &told, &report).await?;
        (file.verdict, file.state) = (Some(verdict), FileState::Closing);
        (file.told, file.report) = (told, report);
        self.finish(feed, files, file, trouble).await
    }

    /// Lets a file that was read take effect, or goes on with that, and puts it away. Trouble with the folder is left
    /// for the end of the look: what other files say does not wait for it.
    async fn finish(
        &mut self,
        feed: &str,
        files: &Arc<dyn FileSource>,
        mut file: Dropped,
        trouble: &mut Option<anyhow::Error>,
    ) -> anyhow::Result<()> {
        if file.state == FileState::Staged {
            self.apply(feed, &mut file).await?;
        }
        match self.put_away(files, &mut file).await {
            Ok(()) => {
                let (what, told) = match file.verdict {
                    Some(Verdict::Rejected) => ("rejected", file.told.clone()),
                    Some(Verdict::Older | Verdict::Same) => ("skipped", file.told.clone()),
                    Some(Verdict::Applied) | None if file.told.is_empty() => ("taken", counts(&file)),
                    Some(Verdict::Applied) | None => ("taken", file.told.clone()),
                };
                self.say_of_file(feed, &file.entry.name, what, &told).await?;
                self.store.file_done(file.id).await
            }
            Err(error) => {
                let error = error.downcast::<contract::Error>()?;
                trouble.get_or_insert(error.into());
                Ok(())
            }
        }
    }

    async fn apply(&mut self, feed: &str, file: &mut Dropped) -> anyhow::Result<()> {
        loop {
            self.check_stop()?;
            let rows = self.store.staged_rows(file.id, ROWS_AT_ONCE).await?;
            let stamp = Some(file.entry.modified.unwrap_or(file.seen_at));
            let Some(keep) = Keep::of_rows(file.id, stamp, rows) else {
                break;
            };
            self.keep(&keep).await?;
        }
        let mut keep = Keep::default();
        for flow in self.takers(feed) {
            if self.store.watermark(&flow.name).await?.is_some() {
                let position = Cursor(format!("{} of {}", file.entry.name, utc(file.entry.modified)));
                keep.cursors
                    .push(Store::live(&flow.name, position, Coverage::default()));
            }
        }
        self.keep(&keep).await?;
        self.store.file_applied(feed, file.id).await?;
        (file.verdict, file.state) = (Some(Verdict::Applied), FileState::Closing);
        Ok(())
    }

    /// What became of a file is told and kept for `status`.
    async fn say_of_file(&self, feed: &str, name: &str, what: &'static str, told: &str) -> anyhow::Result<()> {
        self.voice.say(&format!("{feed}: {name} {what}: {told}"));
        let note = |flow: Flow| Note {
            flow: flow.name,
            key: Some(Key(name.to_owned())),
            what,
            detail: told.to_owned(),
        };
        let notes = self.takers(feed).into_iter().map(note).collect();
        let keep = Keep {
            notes,
            ..Keep::default()
        };
        self.store.keep(&keep).await
    }

    async fn put_away(&self, files: &Arc<dyn FileSource>, file: &mut Dropped) -> anyhow::Result<()> {
        if self.dry {
            return Ok(());
        }
        let (place, name) = (files.place(), file.entry.name.clone());
        let folder = match (file.verdict, files.terms().after) {
            (Some(Verdict::Rejected), _) => REJECTED,
            (_, After::Archive) => ARCHIVE,
            (_, After::Keep) => return Ok(()),
            (_, After::Delete) => {
                let away = place.remove(&file.entry).await?;
                return self.remove_marker(files, &place, &name, away).await;
            }
        };
        let mut tries = 0;
        let away = loop {
            if file.away.is_empty() {
                file.away = away_name(&name, None, 0);
            }
            match place.put_away(&file.entry, folder, &file.away).await {
                Err(error) if error.fault == Fault::Conflict && tries < NAMES_MAX => {
                    tries += 1;
                    file.away = away_name(&name, Some(self.clock.now()), tries);
                    self.store.name_away(file.id, &file.away).await?;
                }
                away => break away?,
            }
        };
        if file.verdict == Some(Verdict::Rejected) {
            let report = format!("{}.error.txt", file.away);
            let text = if file.report.is_empty() {
                &file.told
            } else {
                &file.report
            };
            place.note(REJECTED, &report, text.as_bytes()).await?;
        }
        self.remove_marker(files, &place, &name, away).await
    }

    /// A marker is of no use without its file, and would vouch for the next one of that name.
    async fn remove_marker(
        &self,
        files: &Arc<dyn FileSource>,
        place: &Arc<dyn Place>,
        name: &str,
        away: Away,
    ) -> anyhow::Result<()> {
        if away == Away::Changed {
            return Ok(());
        }
        if let Some(marker) = files.marker(name)
            && let Some(entry) = place.entry(&marker).await?
        {
            place.remove(&entry).await?;
        }
        Ok(())
    }
}

fn counts(file: &Dropped) -> String {
    format!("{} rows, {} changes", file.rows, file.changed)
}

fn utc(at: Option<i64>) -> String {
    let at = at.and_then(|at| jiff::Timestamp::from_second(at.div_euclid(1000)).ok());
    at.map_or("unknown time".to_owned(), |at| at.to_string())
}

/// Which of two files is newer: the greater one. And whether its name says so.
fn place_of(files: &Arc<dyn FileSource>, file: &Dropped) -> (i64, bool) {
    match files.placed(&file.entry.name) {
        Placed::By(order) => (order, true),
        Placed::ByTime | Placed::Foreign => (file.entry.modified.unwrap_or(file.seen_at), false),
    }
}

/// The name it keeps, or one that nobody else has.
fn away_name(name: &str, now: Option<i64>, n: u32) -> String {
    let (stem, ending) = match name.rsplit_once('.') {
        Some((stem, ending)) if ending.len() <= 8 => (stem, format!(".{ending}")),
        _ => (name, String::new()),
    };
    let Some(now) = now else {
        return match name.len() <= NAME_BYTES_MAX + 8 {
            true => name.to_owned(),
            false => format!("{}{ending}", stem.get(..NAME_BYTES_MAX).unwrap_or(stem)),
        };
    };
    let stem = stem.get(..NAME_BYTES_MAX - 30).unwrap_or(stem);
    let stamp = jiff::Timestamp::from_millisecond(now).map(|at| at.strftime("%Y%m%dT%H%M%SZ").to_string());
    format!("{stem}-{}-{n}{ending}", stamp.unwrap_or_default())
}
