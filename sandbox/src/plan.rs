//! Decides which of the ordered faults strike a request, and counts the ones that really did.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use crate::fault::{Fault, Kind, Length, Match, Rule, When};
use crate::resource::Resource;

/// What the rules look at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) kind: Kind,
    pub(crate) resource: Option<Resource>,
    pub(crate) record: Option<i64>,
    pub(crate) page: Option<usize>,
}

impl Facts {
    pub(crate) fn order(&self) -> Option<i64> {
        self.record.filter(|_| self.resource == Some(Resource::Orders))
    }
}

/// A rule somebody ordered, of the platform or of the ERP.
pub(crate) trait Ordered: Clone {
    /// What it looks at in a request.
    type Facts;
    /// What goes wrong.
    type What: serde::Serialize;

    fn is_for(&self, facts: &Self::Facts) -> bool;
    fn when(&self) -> When;
    fn what(&self) -> &Self::What;
    fn name(&self) -> &str;
}

impl Ordered for Rule {
    type Facts = Facts;
    type What = Fault;

    fn is_for(&self, facts: &Facts) -> bool {
        matches(&self.on, facts)
    }

    fn when(&self) -> When {
        self.when
    }

    fn what(&self) -> &Fault {
        &self.what
    }

    fn name(&self) -> &str {
        &self.name
    }
}

/// A rule as it stands, with its counters.
#[derive(Clone, Debug)]
pub struct RuleState<R = Rule> {
    pub id: u64,
    pub rule: R,
    /// Requests that matched.
    pub seen: u64,
    /// Times it really changed an answer.
    pub fired: u64,
}

struct Entry<R> {
    id: u64,
    rule: Arc<R>,
    seen: u64,
    fired: u64,
}

/// The rules in force, in the order they were given.
pub(crate) struct Rules<R> {
    entries: Vec<Entry<R>>,
    /// Counts of rules that were taken away, so that a test can ask afterwards.
    gone: Vec<(u64, u64)>,
    next_id: u64,
    rng: Rng,
}

impl<R: Ordered> Rules<R> {
    pub(crate) fn new(seed: u64) -> Rules<R> {
        Rules {
            entries: Vec::new(),
            gone: Vec::new(),
            next_id: 1,
            rng: Rng::with_seed(seed ^ 0x0fau64),
        }
    }

    pub(crate) fn add(&mut self, rule: R) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        self.entries.push(Entry {
            id,
            rule: Arc::new(rule),
            seen: 0,
            fired: 0,
        });
        id
    }

    pub(crate) fn remove(&mut self, id: Option<u64>) {
        for entry in self.entries.extract_if(.., |entry| id.is_none_or(|id| id == entry.id)) {
            self.gone.push((entry.id, entry.fired));
        }
    }

    pub(crate) fn fired(&self, id: u64) -> u64 {
        let here = self
            .entries
            .iter()
            .find(|entry| entry.id == id)
            .map(|entry| entry.fired);
        here.or_else(|| self.gone.iter().find(|gone| gone.0 == id).map(|gone| gone.1))
            .unwrap_or(0)
    }

    pub(crate) fn states(&self) -> Vec<RuleState<R>> {
        let state = |entry: &Entry<R>| RuleState {
            id: entry.id,
            rule: R::clone(&entry.rule),
            seen: entry.seen,
            fired: entry.fired,
        };
        self.entries.iter().map(state).collect()
    }

    /// Counts the request at every rule it matches and returns the faults that are due.
    pub(crate) fn plan(&mut self, facts: &R::Facts) -> Plan<R> {
        let mut due = Vec::new();
        for entry in &mut self.entries {
            if !entry.rule.is_for(facts) {
                continue;
            }
            entry.seen += 1;
            if is_due(entry.rule.when(), entry.seen, entry.fired, &mut self.rng) {
                due.push(Due {
                    id: entry.id,
                    rule: Arc::clone(&entry.rule),
                });
            }
        }
        Plan { due, used: Vec::new() }
    }

    /// Counts the faults that struck and names them for the request log.
    pub(crate) fn credit(&mut self, plan: Plan<R>) -> Option<String> {
        let mut names = Vec::new();
        for entry in &mut self.entries {
            if plan.used.contains(&entry.id) {
                entry.fired += 1;
                names.push(if entry.rule.name().is_empty() {
                    kind_name(entry.rule.what())
                } else {
                    entry.rule.name().to_owned()
                });
            }
        }
        (!names.is_empty()).then(|| names.join("+"))
    }
}

fn matches(on: &Match, facts: &Facts) -> bool {
    on.method
        .as_ref()
        .is_none_or(|method| method.eq_ignore_ascii_case(&facts.method))
        && on.path.as_ref().is_none_or(|path| facts.path.starts_with(path))
        && (on.kind == Kind::Any || on.kind == facts.kind)
        && (on.resource.is_none() || on.resource == facts.resource)
        && (on.record.is_none() || on.record == facts.record)
        && (on.order.is_none() || on.order == facts.order())
        && (on.page.is_none() || on.page == facts.page)
}

fn is_due(when: When, seen: u64, fired: u64, rng: &mut Rng) -> bool {
    match when {
        When::Always => true,
        When::Times(times) => fired < times,
        When::Nth(nth) => seen == nth,
        When::Every(nth) => nth > 0 && seen.is_multiple_of(nth),
        When::After { skip, times } => seen > skip && fired < times,
        When::Percent(percent) => rng.u32(0..100) < percent,
    }
}

/// `Fault::Truncate {…}` is `truncate`.
fn kind_name(fault: &impl serde::Serialize) -> String {
    match serde_json::to_value(fault) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// One fault that is due, and the rule it comes from.
pub(crate) struct Due<R> {
    pub(crate) id: u64,
    rule: Arc<R>,
}

impl<R> Clone for Due<R> {
    fn clone(&self) -> Due<R> {
        Due {
            id: self.id,
            rule: Arc::clone(&self.rule),
        }
    }
}

impl<R: Ordered> Due<R> {
    pub(crate) fn fault(&self) -> &R::What {
        self.rule.what()
    }
}

impl Due<Rule> {
    /// Whether the record the fault names (`None` = any) is of this kind: a bare id is an order's.
    pub(crate) fn names(&self, resource: Resource, id: Option<i64>) -> bool {
        match self.rule.on.resource {
            Some(named) => named == resource,
            None => id.is_none() || resource == Resource::Orders,
        }
    }
}

/// The faults due for one request; each is used at most once and only then counts as fired.
pub(crate) struct Plan<R = Rule> {
    due: Vec<Due<R>>,
    used: Vec<u64>,
}

impl<R: Ordered> Plan<R> {
    /// Nothing goes wrong.
    pub(crate) fn none() -> Plan<R> {
        Plan {
            due: Vec::new(),
            used: Vec::new(),
        }
    }

    /// The first due fault `pick` takes.
    pub(crate) fn take<T>(&mut self, pick: impl Fn(&R::What) -> Option<T>) -> Option<T> {
        let (id, taken) = self
            .due
            .iter()
            .find_map(|due| pick(due.fault()).map(|taken| (due.id, taken)))?;
        self.mark(id);
        Some(taken)
    }

    /// All due faults, with the ids to mark them by.
    pub(crate) fn due(&self) -> Vec<Due<R>> {
        self.due.clone()
    }

    pub(crate) fn mark(&mut self, id: u64) {
        if !self.used.contains(&id) {
            self.used.push(id);
        }
    }
}

impl Plan<Rule> {
    /// `kind` is what the request wanted.
    pub(crate) fn take_wire(&mut self, kind: Kind) -> Wire {
        let delay = self.take(|fault| match fault {
            Fault::Delay { ms } => Some(Duration::from_millis(*ms)),
            _ => None,
        });
        let way = self.take(|fault| match fault {
            Fault::ResetBefore => Some(Way::ResetBefore),
            Fault::AnswerLost if kind == Kind::Write => Some(Way::ResetBefore),
            Fault::ResetAfter { bytes } => Some(Way::ResetAfter(*bytes)),
            Fault::Truncate { bytes, length } => Some(Way::Truncate(*bytes, *length)),
            Fault::LongLength { extra } => Some(Way::LongLength(*extra)),
            Fault::Hang => Some(Way::Hang),
            Fault::Drip { bytes_per_second } => Some(Way::Drip(*bytes_per_second)),
            Fault::GzipBomb { bytes } => Some(Way::GzipBomb(*bytes)),
            _ => None,
        });
        Wire {
            delay,
            way: way.unwrap_or(Way::Whole),
        }
    }
}

/// How an answer travels.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) delay: Option<Duration>,
    pub(crate) way: Way,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Whole,
    ResetBefore,
    ResetAfter(usize),
    Truncate(usize, Length),
    LongLength(usize),
    Hang,
    Drip(usize),
    GzipBomb(u64),
}

impl Wire {
    pub(crate) const SOUND: Wire = Wire {
        delay: None,
        way: Way::Whole,
    };
}
