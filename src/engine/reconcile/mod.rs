//! Whether a target that takes records one by one holds what this state says it does; and, if that is asked for, the
//! way back. Where the state may be wrong is at the target only: it was restored from a copy, or somebody changed or
//! removed a record there. What is repaired takes the normal way out, a record that is unknown is only told of, and
//! nothing is ever removed.

mod account;
mod look;

use contract::{Abilities, Cursor, Error, Fault, Hash, Key, Progress, Target};

pub use account::{Account, Finding, Ids, Repair, Skip, Skipped};

use self::account::Verdict;
use self::look::{Listing, Looked};
use super::records::RecordFlow;
use super::{Engine, Flow};
use crate::store::{Mend, Remedy, Whose};

/// Records looked at in one go.
const BATCH: usize = 32;
/// Ids of a listing that are counted in one go.
const IDS_AT_ONCE: usize = 2_000;
/// A listing of more than this is refused: each id takes some 50 bytes of a temporary file.
const LISTED_MAX: u64 = 2_000_000;
/// What a repair may do unless it is told otherwise: so many, or one in a hundred if that is more.
const REPAIRS: u64 = 50;

/// What is to be done about what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aftermath {
    /// It is told.
    Tell,
    /// It is repaired, where it is not more than this; `None`: than is usual.
    Repair { at_most: Option<u64> },
}

impl Engine {
    /// Looks at everything that the target of a flow should hold. Trouble of the source or the target is in the
    /// account; an error is one of the state, or the run was stopped.
    pub async fn reconcile(&mut self, flow: &Flow, aftermath: Aftermath) -> anyhow::Result<Account> {
        let Target::Records(records) = &flow.to else {
            anyhow::bail!("{} takes files", flow.target);
        };
        let flow = RecordFlow::new(flow, records);
        let mut account = Account {
            flow: flow.name.clone(),
            feed: flow.feed.clone(),
            target: flow.target.clone(),
            abilities: flow.to.abilities(),
            ..Account::default()
        };
        account.cannot = why_not(&flow, account.abilities);
        if account.cannot.is_some() {
            return Ok(account);
        }
        // Two at once would look into one listing.
        let lane = self.lanes.of(&format!("reconcile {}", flow.name));
        let _walk = lane.walk().await;
        let done = self.reconcile_in(&flow, aftermath, &mut account).await;
        self.leave();
        let cleared = self.store.clear_listed(&flow.name).await;
        if let Err(error) = done {
            account.error = Some(error.downcast::<Error>()?.to_string());
        }
        cleared?;
        Ok(account)
    }

    async fn reconcile_in(
        &mut self,
        flow: &RecordFlow,
        aftermath: Aftermath,
        account: &mut Account,
    ) -> anyhow::Result<()> {
        if aftermath != Aftermath::Tell {
            // What a repair before this one put into the outbox, and was killed then, goes first.
            self.settle().await?;
        }
        account.held = self.store.sent_count(&flow.course()).await?;
        let limit = match aftermath {
            Aftermath::Tell => 0,
            Aftermath::Repair { at_most } => at_most.unwrap_or(REPAIRS.max(account.held / 100)),
        };
        let listing = self.list(flow).await?;
        let (wanted, keys) = self.survey(flow, listing, limit, account).await?;
        if listing != Listing::Without {
            self.count_listed(flow, account).await?;
        }
        if aftermath == Aftermath::Tell {
            return Ok(());
        }
        let mut repair = Repair {
            wanted,
            at_most: limit,
            refused: wanted > limit,
            repaired: 0,
            left: wanted,
        };
        account.repair = Some(repair);
        if wanted == 0 || repair.refused {
            return Ok(());
        }
        for batch in keys.chunks(BATCH) {
            self.mend(flow, batch, listing).await?;
        }
        self.settle().await?;
        // What kept it from delivering, unless that has passed.
        let trouble = self.ledger.get(&flow.name).and_then(|ledger| ledger.errors().next());
        account.error = trouble.map(str::to_owned);
        repair.repaired = self.verify(flow, &keys).await?;
        repair.left = wanted.saturating_sub(repair.repaired);
        account.repair = Some(repair);
        Ok(())
    }

    /// Takes down the ids of all that the target lists. Where nothing else can confirm that a record is missing, one
    /// that is not listed is looked for in a second listing: while records move, a page may leave one out.
    async fn list(&self, flow: &RecordFlow) -> anyhow::Result<Listing> {
        let can = flow.to.abilities();
        self.store.clear_listed(&flow.name).await?;
        if !can.list {
            return Ok(Listing::Without);
        }
        let began = self.clock.now();
        let count = self.list_once(flow, 0).await?;
        if !can.compare && !can.find && self.store.is_any_unlisted(&flow.course(), began).await? {
            self.list_once(flow, count).await?;
        }
        Ok(Listing::From(began))
    }

    async fn list_once(&self, flow: &RecordFlow, known: u64) -> anyhow::Result<u64> {
        let mut count = known;
        let mut after: Option<Cursor> = None;
        loop {
            self.check_stop()?;
            let part = flow.to.list(after.as_ref()).await?;
            count += self.store.put_listed(&flow.name, &part.ids).await?;
            self.progress(flow, "listing", count, None);
            if count > LISTED_MAX {
                let doing = format!("listing {}", flow.target);
                let told = format!("it has more than {LISTED_MAX} records");
                let error = Error::new(Fault::Rejected, doing, told);
                return Err(error.hint("let `params` of `list` choose fewer").into());
            }
            after = match part.next {
                Some(next) => Some(next),
                None => return Ok(count),
            };
        }
    }

    /// Goes over all that the target should hold. Answers with how many of it can be repaired, and which; more than
    /// `limit` are not remembered, because nothing is done about them.
    async fn survey(
        &mut self,
        flow: &RecordFlow,
        listing: Listing,
        limit: u64,
        account: &mut Account,
    ) -> anyhow::Result<(u64, Vec<Key>)> {
        let mut after = Key(String::new());
        let (mut wanted, mut keys) = (0, Vec::new());
        let mut ours = Ids::default();
        let mut seen = 0;
        loop {
            self.check_stop()?;
            let batch = self.store.sent_after(&flow.course(), &after, BATCH).await?;
            let Some(last) = batch.last() else { break };
            after = last.key.clone();
            for id in batch.iter().filter_map(|sent| sent.id.as_ref()) {
                ours.add(id);
            }
            seen += batch.len() as u64;
            for looked in self.look_at(flow, batch, listing).await? {
                account.note(&looked.sent, &looked.verdict);
                if remedy(flow, &looked).is_some() {
                    wanted += 1;
                    if wanted <= limit {
                        keys.push(looked.sent.key);
                    }
                }
            }
            self.progress(flow, "comparing", seen, Some(account.held));
        }
        // What came or went meanwhile is counted as it was met.
        account.held = seen;
        if listing != Listing::Without {
            account.ids = Some((ours, Ids::default()));
        }
        Ok((wanted, keys))
    }

    /// Counts what is listed: of the flow's own records, and of nobody's.
    async fn count_listed(&mut self, flow: &RecordFlow, account: &mut Account) -> anyhow::Result<()> {
        // With the turn at the target no call is under way, so that what was created meanwhile is known.
        let lane = self.lanes.of(&flow.target);
        let _turn = lane.turn().await;
        account.extra = Some(0);
        let mut after = Key(String::new());
        loop {
            let part = self.store.listed_after(&flow.course(), &after, IDS_AT_ONCE).await?;
            let Some((last, _)) = part.last() else { return Ok(()) };
            after = last.clone();
            for (id, whose) in part {
                if whose != Whose::Other
                    && let Some((_, theirs)) = &mut account.ids
                {
                    theirs.add(&id);
                }
                if whose == Whose::Nobodys {
                    account.note_extra(id);
                }
            }
        }
    }

    /// Looks at these records once more, and puts what is still not as it should be to be sent.
    async fn mend(&mut self, flow: &RecordFlow, keys: &[Key], listing: Listing) -> anyhow::Result<()> {
        self.check_stop()?;
        let batch = self.store.sent_of(&flow.course(), keys).await?;
        let looked = self.look_at(flow, batch, listing).await?;
        let mends: Vec<Mend> = looked
            .into_iter()
            .filter_map(|looked| {
                let how = remedy(flow, &looked)?;
                let want = looked.want?;
                Some(Mend {
                    sent: looked.sent,
                    want,
                    how,
                })
            })
            .collect();
        self.store.mend(&flow.course(), &mends).await?;
        Ok(())
    }

    /// How many of the records are now as they should be.
    async fn verify(&mut self, flow: &RecordFlow, keys: &[Key]) -> anyhow::Result<u64> {
        let can = flow.to.abilities();
        let listing = match can.compare || can.find {
            true => Listing::Without,
            false => self.list(flow).await?,
        };
        let mut equal = 0;
        for keys in keys.chunks(BATCH) {
            self.check_stop()?;
            let batch = self.store.sent_of(&flow.course(), keys).await?;
            for looked in self.look_at(flow, batch, listing).await? {
                equal += u64::from(matches!(looked.verdict, Verdict::Equal | Verdict::Unlisted));
            }
        }
        Ok(equal)
    }

    fn progress(&self, flow: &Flow, what: &str, seen: u64, total: Option<u64>) {
        self.voice.progress(&flow.name, what, Progress { seen, total });
    }
}

/// What can be done about a record that is not as it should be.
fn remedy(flow: &RecordFlow, looked: &Looked) -> Option<Remedy> {
    looked.want.as_ref()?;
    let can = flow.to.abilities();
    match &looked.verdict {
        Verdict::Missing => {
            let sent = &looked.sent;
            let dead = sent
                .id
                .as_ref()
                .map_or_else(|| format!("{} {}", sent.hash.hex(), sent.at), |id| id.0.clone());
            let generation = Hash::of(dead.as_bytes()).hex();
            let idempotency = flow.key_of_lost(&sent.key, &generation);
            // Where the search is not the only witness, it was asked once just now. A trusted key asks for one look
            // in all, which is still to come.
            let has_other = can.list || (can.compare && sent.id.is_some());
            let looked = u32::from(has_other && !can.trusts_key);
            Some(Remedy::Create {
                generation,
                search: can.find.then_some((idempotency, looked)),
            })
        }
        Verdict::Different { found: Some(id), .. } => Some(Remedy::Adopt {
            id: id.clone(),
            update: can.update,
        }),
        Verdict::Different { found: None, .. } => can.update.then_some(Remedy::Update),
        Verdict::Equal | Verdict::Unlisted | Verdict::Skipped(..) => None,
    }
}

/// Why a flow cannot be reconciled; `None`: it can.
fn why_not(flow: &Flow, can: Abilities) -> Option<String> {
    if can.list || can.compare || can.find {
        return None;
    }
    Some(format!(
        "{} cannot be asked what it holds: give its `push` a `list` (what is missing or unknown is found), a `read` with \
         `compare` (what is missing or different), or a `find` (what is missing)",
        flow.target
    ))
}
