//! One call to a target that takes records one by one, and what is to be made of its answer. Sees the target
//! and the versions it was given, never the state file: what it comes to is recorded by who asked.

use std::sync::Arc;
use std::time::Duration;

use contract::{Abilities, Clock, Difference, Error, Fault, Key, Push, Receipt, RecordTarget, Stamp, Unknown};

use super::proof::{Proof, prove};
use crate::store::{Call, End, Ended, Said, Version, unanswered};

/// Tries of a record that the target refuses, and the pauses between them.
const REFUSALS_MAX: u32 = 3;
const REFUSED_DELAYS_MS: [Stamp; 2] = [2_000, 10_000];
/// So often a call may go unanswered while the target answers others, before a person looks at its record.
const UNANSWERED_MAX: u32 = 3;
/// The first pause before an unanswered call is simply repeated; it doubles.
const REPEAT_MS: Stamp = 2_000;
/// The pause after a look that was refused.
const LOOK_AGAIN_MS: Stamp = 30_000;

/// How a call is to be judged: what the target can do, and how it stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    pub(super) abilities: Abilities,
    pub(super) unknown: Unknown,
    pub(super) now: Stamp,
    /// The target leaves calls unanswered in a row: no record is to blame for that.
    pub(super) in_trouble: bool,
    /// Whether a refused record may be tried again, or tries are used up for now.
    pub(super) retries: bool,
}

impl Terms {
    /// Looks that have to find nothing before an unanswered create is sent again, or given up after its last try.
    /// Where the key is trusted the first look comes at once, so that two more, after the wait, have to confirm
    /// that it will not be carried out any more.
    pub(super) fn looks(&self, attempts: u32) -> u32 {
        match self.abilities.trusts_key {
            false => 2,
            true if attempts < UNANSWERED_MAX => 1,
            true => 3,
        }
    }

    /// When something is done about a create that went unanswered just now; `None`: only a person can.
    pub(super) fn create_due(&self) -> Option<Stamp> {
        match (self.abilities.find, self.abilities.trusts_key) {
            (_, true) => Some(self.now),
            (true, false) => Some(self.now.saturating_add(millis(self.unknown.wait))),
            (false, false) => None,
        }
    }
}

/// A call to be made.
#[derive(Debug)]
pub(super) enum Calling {
    Create(Vec<(Version, Push)>),
    Update(Version, Push),
    Cancel(Version, Push),
    Look(Version),
}

/// What came of a call.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) ended: Vec<Ended>,
    /// Versions that the target turned out to have already.
    pub(super) known: u64,
    /// The target as a whole is in trouble.
    pub(super) trouble: Option<Error>,
    /// It gave an answer.
    pub(super) answered: bool,
    /// It asked for a try again of a record that it had refused.
    pub(super) retried: u64,
    /// Whether what was created can be found.
    pub(super) proof: Proof,
}

pub(super) fn millis(time: Duration) -> Stamp {
    Stamp::try_from(time.as_millis()).unwrap_or(Stamp::MAX)
}

impl Calling {
    pub(super) fn versions(&self) -> Vec<&Version> {
        match self {
            Calling::Create(pushes) => pushes.iter().map(|(version, _)| version).collect(),
            Calling::Update(version, _) | Calling::Cancel(version, _) | Calling::Look(version) => vec![version],
        }
    }

    fn kind(&self) -> Call {
        match self {
            Calling::Create(_) | Calling::Look(_) => Call::Create,
            Calling::Update(..) => Call::Update,
            Calling::Cancel(..) => Call::Cancel,
        }
    }

    /// The versions of a call that is not made after all.
    pub(super) fn unmade(self) -> Vec<Ended> {
        let call = self.kind();
        let ended = |version| ended(version, call, not_made(version));
        self.versions().into_iter().map(ended).collect()
    }

    /// The versions of a call that a dry run showed.
    pub(super) fn shown(self) -> Vec<Ended> {
        let call = self.kind();
        let id = |version: &Version| version.held.as_ref().and_then(|held| held.id.clone());
        let ended = |version| ended(version, call, done(id(version), 0));
        self.versions().into_iter().map(ended).collect()
    }

    /// `unproven`: what is created has to be looked for, by this clock.
    pub(super) async fn make(
        self,
        to: Arc<dyn RecordTarget>,
        terms: impl Fn() -> Terms + Send + Sync,
        unproven: Option<Arc<dyn Clock>>,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        match self {
            Calling::Create(pushes) => create(to.as_ref(), pushes, &terms, unproven.as_deref(), &mut outcome).await,
            Calling::Update(version, push) => {
                if let Some(id) = id_of(to.as_ref(), &version, Call::Update, &terms, &mut outcome).await {
                    let answer = to.update(&id, &push).await;
                    update(to.as_ref(), &version, &push, &id, answer, &terms, &mut outcome).await;
                }
            }
            Calling::Cancel(version, push) => {
                if let Some(id) = id_of(to.as_ref(), &version, Call::Cancel, &terms, &mut outcome).await {
                    let answer = to.cancel(&id, &push).await;
                    cancel(&version, &id, answer, &terms(), &mut outcome);
                }
            }
            Calling::Look(version) => {
                let answer = to.find(&version.record).await;
                look(&version, answer, &terms(), &mut outcome);
            }
        }
        outcome
    }
}

async fn create(
    to: &dyn RecordTarget,
    pushes: Vec<(Version, Push)>,
    terms: &(impl Fn() -> Terms + Sync),
    unproven: Option<&dyn Clock>,
    outcome: &mut Outcome,
) {
    let (versions, pushes): (Vec<Version>, Vec<Push>) = pushes.into_iter().unzip();
    let mut answers = to.create(&pushes).await.into_iter();
    for (version, push) in versions.iter().zip(&pushes) {
        // An answer too few is none.
        let answer = answers.next().unwrap_or_else(|| {
            let fault = Fault::Transient { reached: true };
            Err(Error::new(fault, "creating a record", "its answer is missing"))
        });
        let end = match answer {
            Ok(receipt) => {
                outcome.answered = true;
                if let Some(clock) = unproven {
                    outcome.proof = prove(to, push, &receipt, clock).await;
                }
                done(receipt.id, 0)
            }
            Err(error) => match error.fault {
                Fault::Conflict => conflict(to, version, &error, terms, outcome).await,
                Fault::Rejected => rejected_create(to, version, error, terms, outcome).await,
                Fault::Transient { reached: true } => {
                    let end = unsure_create(version, &error, &terms());
                    outcome.trouble = Some(error);
                    end
                }
                Fault::Transient { reached: false } | Fault::Throttled { .. } | Fault::Denied => {
                    let end = not_made(version);
                    outcome.trouble = Some(error);
                    end
                }
            },
        };
        outcome.ended.push(ended(version, Call::Create, end));
    }
}

/// It was not carried out, so nothing is held against the record. An earlier try may have been all the same.
fn not_made(version: &Version) -> End {
    match &version.doubt {
        Some(doubt) => End::Unsure {
            due_at: 0,
            looked: doubt.looked,
            counts: false,
            said: Said::default(),
        },
        None => back(Said::default()),
    }
}

fn unsure_create(version: &Version, error: &Error, terms: &Terms) -> End {
    let said = said(error);
    let tried = version.attempts + u32::from(!terms.in_trouble);
    match terms.create_due() {
        None => parked(true, said.because(unanswered(&error.answer))),
        // Where looking decides, the looks come first.
        Some(_) if !terms.abilities.find && tried > 2 * UNANSWERED_MAX => {
            let reason = format!("unanswered {tried} times although the target answers otherwise: {error}");
            parked(true, said.because(reason))
        }
        Some(due_at) => End::Unsure {
            due_at: match terms.abilities.find {
                true => due_at,
                false => terms.now.saturating_add(delay(version.attempts)),
            },
            looked: 0,
            counts: !terms.in_trouble,
            said,
        },
    }
}

/// The target says that it has one like it. Ours is as good as created; another's is left alone.
async fn conflict(
    to: &dyn RecordTarget,
    version: &Version,
    error: &Error,
    terms: &(impl Fn() -> Terms + Sync),
    outcome: &mut Outcome,
) -> End {
    let abilities = terms().abilities;
    outcome.answered = true;
    // It looked by itself before it said so.
    if abilities.levels {
        return parked(false, said(error));
    }
    if !abilities.find {
        let reason = format!("{error}; without `find` it cannot be told whose record that is");
        return parked(version.doubt.is_some(), said(error).because(reason));
    }
    let found = match to.find(&version.record).await {
        Ok(found) => found,
        Err(failed) => return look_failed(version, error, failed, &terms(), outcome),
    };
    let Some(found) = found else {
        let reason = format!("{error}; and `find` finds no record like it there");
        return parked(false, said(error).because(reason));
    };
    let Some(id) = found.id.clone().filter(|_| abilities.compare) else {
        // Whoever asked before and got no answer knows whose it is.
        if version.doubt.is_some() {
            outcome.known += 1;
            return done(found.id, 0);
        }
        let reason = format!("{error}; without `read` and `compare` it cannot be told whose record that is");
        return parked(false, said(error).because(reason));
    };
    match to.compare(&id, &version.record).await {
        Ok(Some(differences)) if differences.is_empty() => {
            outcome.known += 1;
            done(Some(id), 0)
        }
        Ok(Some(differences)) => {
            let reason = format!(
                "the target has another record in its place, {}: {}",
                id.0,
                told(&differences)
            );
            parked(false, said(error).because(reason))
        }
        Ok(None) => {
            let reason = format!("{error}; `find` finds {}, and `read` does not", id.0);
            parked(false, said(error).because(reason))
        }
        Err(failed) => look_failed(version, error, failed, &terms(), outcome),
    }
}

/// The call was answered, and looking whose record is in its way was not: it is sent again later, which does
/// no harm.
fn look_failed(version: &Version, error: &Error, failed: Error, terms: &Terms, outcome: &mut Outcome) -> End {
    if is_trouble(failed.fault) {
        outcome.trouble = Some(failed);
        return match &version.doubt {
            Some(_) => not_made(version),
            None => back(said(error)),
        };
    }
    refused(version, failed, terms, outcome)
}

async fn rejected_create(
    to: &dyn RecordTarget,
    version: &Version,
    error: Error,
    terms: &(impl Fn() -> Terms + Sync),
    outcome: &mut Outcome,
) -> End {
    outcome.answered = true;
    let abilities = terms().abilities;
    if version.doubt.is_none() {
        return refused(version, error, &terms(), outcome);
    }
    // The reason may be that the first try did arrive.
    if abilities.find {
        match to.find(&version.record).await {
            Ok(Some(found)) => {
                outcome.known += 1;
                return done(found.id, 0);
            }
            Ok(None) => {}
            Err(failed) => return look_failed(version, &error, failed, &terms(), outcome),
        }
    } else if !abilities.trusts_key {
        let reason = format!("an earlier try went unanswered, and now: {error}");
        return parked(true, said(&error).because(reason));
    }
    refused(version, error, &terms(), outcome)
}

fn refused(version: &Version, error: Error, terms: &Terms, outcome: &mut Outcome) -> End {
    let tried = version.attempts as usize;
    let delay = REFUSED_DELAYS_MS.get(tried).filter(|_| terms.retries);
    match delay {
        Some(delay) if version.attempts + 1 < REFUSALS_MAX => {
            outcome.retried += 1;
            End::Back {
                due_at: terms.now.saturating_add(*delay),
                counts: true,
                said: said(&error),
            }
        }
        _ => parked(false, said(&error)),
    }
}

/// The target's id of a record that it has. Where it never told, it is looked for.
async fn id_of(
    to: &dyn RecordTarget,
    version: &Version,
    call: Call,
    terms: &(impl Fn() -> Terms + Sync),
    outcome: &mut Outcome,
) -> Option<Key> {
    if let Some(id) = version.held.as_ref().and_then(|held| held.id.clone()) {
        return Some(id);
    }
    let end = if terms().abilities.find {
        match to.find(&version.record).await {
            Ok(Some(Receipt { id: Some(id) })) => return Some(id),
            Ok(_) => {
                outcome.answered = true;
                let reason = "it was sent, and `find` does not find it at the target".to_owned();
                parked(false, Said::default().because(reason))
            }
            Err(error) if is_trouble(error.fault) => {
                outcome.trouble = Some(error);
                not_made(version)
            }
            Err(error) => refused(version, error, &terms(), outcome),
        }
    } else {
        let reason = "it was sent, but its id at the target is not known, and there is no `find`".to_owned();
        parked(false, Said::default().because(reason))
    };
    outcome.ended.push(ended(version, call, end));
    None
}

async fn update(
    to: &dyn RecordTarget,
    version: &Version,
    push: &Push,
    id: &Key,
    answer: Result<Receipt, Error>,
    terms: &(impl Fn() -> Terms + Sync),
    outcome: &mut Outcome,
) {
    let end = match answer {
        Ok(receipt) => {
            outcome.answered = true;
            done(receipt.id.or_else(|| Some(id.clone())), settles_at(version, &terms()))
        }
        Err(error) if error.fault == Fault::Conflict && terms().abilities.compare => {
            outcome.answered = true;
            match to.compare(id, &push.record).await {
                Ok(Some(differences)) if differences.is_empty() => {
                    done(Some(id.clone()), settles_at(version, &terms()))
                }
                Ok(Some(differences)) => {
                    let reason = format!("{error}; the target has {}", told(&differences));
                    parked(false, said(&error).because(reason))
                }
                Ok(None) => parked(false, said(&error)),
                Err(failed) => look_failed(version, &error, failed, &terms(), outcome),
            }
        }
        Err(error) => repeated(version, error, &terms(), outcome),
    };
    outcome.ended.push(ended(version, Call::Update, end));
}

fn cancel(version: &Version, id: &Key, answer: Result<(), Error>, terms: &Terms, outcome: &mut Outcome) {
    let end = match answer {
        Ok(()) => {
            outcome.answered = true;
            done(Some(id.clone()), settles_at(version, terms))
        }
        // An earlier try arrived.
        Err(error) if error.fault == Fault::Conflict && version.doubt.is_some() => {
            outcome.answered = true;
            done(Some(id.clone()), settles_at(version, terms))
        }
        Err(error) => repeated(version, error, terms, outcome),
    };
    outcome.ended.push(ended(version, Call::Cancel, end));
}

/// An update or a cancel that failed. Carrying it out twice does no harm.
fn repeated(version: &Version, error: Error, terms: &Terms, outcome: &mut Outcome) -> End {
    match error.fault {
        Fault::Transient { reached: true } => {
            let tried = version.attempts + u32::from(!terms.in_trouble);
            let end = if tried > 2 * UNANSWERED_MAX {
                let reason = format!("unanswered {tried} times although the target answers otherwise: {error}");
                parked(false, said(&error).because(reason))
            } else {
                End::Unsure {
                    due_at: terms.now.saturating_add(delay(version.attempts)),
                    looked: 0,
                    counts: !terms.in_trouble,
                    said: said(&error),
                }
            };
            outcome.trouble = Some(error);
            end
        }
        Fault::Transient { reached: false } | Fault::Throttled { .. } | Fault::Denied => {
            outcome.trouble = Some(error);
            not_made(version)
        }
        Fault::Rejected => {
            outcome.answered = true;
            refused(version, error, terms, outcome)
        }
        Fault::Conflict => {
            outcome.answered = true;
            parked(false, said(&error))
        }
    }
}

/// What a look for an unanswered create came to.
fn look(version: &Version, answer: Result<Option<Receipt>, Error>, terms: &Terms, outcome: &mut Outcome) {
    let looked = version.doubt.as_ref().map_or(0, |doubt| doubt.looked);
    let still = |due_at: Stamp, looked: u32, counts: bool, said: Said| End::Unsure {
        due_at,
        looked,
        counts,
        said,
    };
    let end = match answer {
        Ok(Some(found)) => {
            outcome.answered = true;
            outcome.known += 1;
            done(found.id, 0)
        }
        Ok(None) => {
            outcome.answered = true;
            let looked = looked + 1;
            if looked < terms.looks(version.attempts) {
                let pause = match terms.abilities.trusts_key && looked == 1 {
                    true => terms.unknown.wait,
                    false => terms.unknown.recheck,
                };
                let due_at = terms.now.saturating_add(millis(pause));
                still(due_at, looked, false, Said::default())
            } else if version.attempts >= UNANSWERED_MAX {
                let reason = format!(
                    "sent {} times without an answer, and it is not at the target: {}",
                    version.attempts, version.said.reason
                );
                parked(false, version.said.clone().because(reason))
            } else {
                still(terms.now, looked, false, Said::default())
            }
        }
        Err(error) if is_trouble(error.fault) => {
            outcome.trouble = Some(error);
            still(terms.now, looked, false, Said::default())
        }
        Err(error) if version.attempts < UNANSWERED_MAX => {
            outcome.answered = true;
            still(terms.now.saturating_add(LOOK_AGAIN_MS), looked, true, said(&error))
        }
        Err(error) => {
            outcome.answered = true;
            let reason = format!("it may be at the target or not, and looking for it fails: {error}");
            parked(true, said(&error).because(reason))
        }
    };
    outcome.ended.push(ended(version, Call::Create, end));
}

/// Nothing else is sent of the record while an unanswered call may still be carried out.
fn settles_at(version: &Version, terms: &Terms) -> Stamp {
    match version.doubt {
        Some(_) => terms.now.saturating_add(millis(terms.unknown.wait)),
        None => 0,
    }
}

fn delay(attempts: u32) -> Stamp {
    REPEAT_MS << attempts.min(5)
}

fn is_trouble(fault: Fault) -> bool {
    match fault {
        Fault::Transient { .. } | Fault::Throttled { .. } | Fault::Denied => true,
        Fault::Rejected | Fault::Conflict => false,
    }
}

pub(super) fn told(differences: &[Difference]) -> String {
    let one = |difference: &Difference| {
        format!(
            "{} {} instead of {}",
            difference.field,
            difference.theirs.to_json(),
            difference.ours.to_json()
        )
    };
    differences.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn said(error: &Error) -> Said {
    let (request, answer) = match &error.exchange {
        Some(exchange) => (Some(exchange.request.clone()), Some(exchange.answer.clone())),
        None => (None, None),
    };
    Said {
        reason: error.to_string(),
        request,
        answer,
    }
}

impl Said {
    fn because(mut self, reason: String) -> Said {
        self.reason = reason;
        self
    }
}

fn done(id: Option<Key>, settles_at: Stamp) -> End {
    End::Done { id, settles_at }
}

fn back(said: Said) -> End {
    End::Back {
        due_at: 0,
        counts: false,
        said,
    }
}

fn parked(unsure: bool, said: Said) -> End {
    End::Parked { unsure, said }
}

fn ended(version: &Version, call: Call, end: End) -> Ended {
    Ended {
        id: version.id,
        key: version.key.clone(),
        hash: version.hash,
        stamp: version.stamp,
        call,
        end,
    }
}
