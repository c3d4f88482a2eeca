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

/// A rule as it stands, with its counters.
#[derive(Clone, Debug)]
pub struct RuleState {
    pub id: u64,
    pub rule: Rule,
    /// Requests that matched.
    pub seen: u64,
    /// Times it really changed an answer.
    pub fired: u64,
}

struct Entry {
    id: u64,
    rule: Rule,
    what: Arc<Fault>,
    seen: u64,
    fired: u64,
}

/// The rules in force, in the order they were given.
pub(crate) struct Rules {
    entries: Vec<Entry>,
    /// Counts of rules that were taken away, so that a test can ask afterwards.
    gone: Vec<(u64, u64)>,
    next_id: u64,
    rng: Rng,
}

impl Rules {
    pub(crate) fn new(seed: u64) -> Rules {
        Rules {
            entries: Vec::new(),
            gone: Vec::new(),
            next_id: 1,
            rng: Rng::with_seed(seed ^ 0x0fau64),
        }
    }

    pub(crate) fn add(&mut self, rule: Rule) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        let what = Arc::new(rule.what.clone());
        self.entries.push(Entry {
            id,
            rule,
            what,
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

    pub(crate) fn states(&self) -> Vec<RuleState> {
        let state = |entry: &Entry| RuleState {
            id: entry.id,
            rule: entry.rule.clone(),
            seen: entry.seen,
            fired: entry.fired,
        };
        self.entries.iter().map(state).collect()
    }

    /// Counts the request at every rule it matches and returns the faults that are due.
    pub(crate) fn plan(&mut self, facts: &Facts) -> Plan {
        let mut due = Vec::new();
        for entry in &mut self.entries {
            if !matches(&entry.rule.on, facts) {
                continue;
            }
            entry.seen += 1;
            if is_due(entry.rule.when, entry.seen, entry.fired, &mut self.rng) {
                due.push(Due {
                    id: entry.id,
                    resource: entry.rule.on.resource,
                    fault: Arc::clone(&entry.what),
                });
            }
        }
        Plan { due, used: Vec::new() }
    }

    /// Counts the faults that struck and names them for the request log.
    pub(crate) fn credit(&mut self, plan: Plan) -> Option<String> {
        let mut names = Vec::new();
        for entry in &mut self.entries {
            if plan.used.contains(&entry.id) {
                entry.fired += 1;
                names.push(if entry.rule.name.is_empty() {
                    kind_name(&entry.what)
                } else {
                    entry.rule.name.clone()
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
fn kind_name(fault: &Fault) -> String {
    match serde_json::to_value(fault) {
        Ok(serde_json::Value::String(name)) => name,
        Ok(serde_json::Value::Object(members)) => members.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// One fault that is due, and the rule it comes from.
#[derive(Clone)]
pub(crate) struct Due {
    pub(crate) id: u64,
    resource: Option<Resource>,
    pub(crate) fault: Arc<Fault>,
}

impl Due {
    /// Whether the record the fault names (`None` = any) is of this kind: a bare id is an order's.
    pub(crate) fn names(&self, resource: Resource, id: Option<i64>) -> bool {
        match self.resource {
            Some(named) => named == resource,
            None => id.is_none() || resource == Resource::Orders,
        }
    }
}

/// The faults due for one request; each is used at most once and only then counts as fired.
pub(crate) struct Plan {
    due: Vec<Due>,
    used: Vec<u64>,
}

impl Plan {
    /// The first due fault `pick` takes.
    pub(crate) fn take<T>(&mut self, pick: impl Fn(&Fault) -> Option<T>) -> Option<T> {
        let (id, taken) = self
            .due
            .iter()
            .find_map(|due| pick(&due.fault).map(|taken| (due.id, taken)))?;
        self.mark(id);
        Some(taken)
    }

    /// All due faults, with the ids to mark them by.
    pub(crate) fn due(&self) -> Vec<Due> {
        self.due.clone()
    }

    pub(crate) fn mark(&mut self, id: u64) {
        if !self.used.contains(&id) {
            self.used.push(id);
        }
    }

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
