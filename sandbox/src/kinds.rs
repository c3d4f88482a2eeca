//! One ready-made rule of every kind of fault, so that a test can order each of them and ask afterwards what struck.

use crate::fault::{Fault, Length, Rule};
use crate::movement::{Moment, Movement};
use crate::presets::PRESETS;
use crate::splice::Splice;
use crate::world::World;

impl World {
    /// One rule of every kind of fault, each with a name of its own. They strike at every request they fit until
    /// [`Rule::when`] says otherwise; [`Rule::of`] narrows them to one kind of record. Waits are short and bodies small.
    pub fn fault_kinds() -> Vec<Rule> {
        let mut kinds: Vec<Rule> = PRESETS
            .iter()
            .filter_map(|name| Fault::preset(name).map(|what| Rule::any(what).named(name)))
            .collect();
        kinds.extend(answers());
        kinds.extend(data());
        kinds.extend(writes());
        kinds
    }

    /// The movement that goes with them: one of each change before every page.
    pub fn restless(moves_max: usize) -> Movement {
        Movement {
            moves_max,
            moment: Moment::Before,
            ..Movement::default()
        }
    }
}

/// Faults of the answer and of the wire.
fn answers() -> Vec<Rule> {
    let truncated = |length| Fault::Truncate { bytes: 100, length };
    let all = [
        ("redirect", Fault::redirect(307, "http://127.0.0.1:9/")),
        ("reset-before", Fault::ResetBefore),
        ("reset-after", Fault::ResetAfter { bytes: 100 }),
        ("truncated-told", truncated(Length::Whole)),
        ("truncated-json", truncated(Length::Cut)),
        ("truncated-untold", truncated(Length::Absent)),
        ("long-length", Fault::LongLength { extra: 10 }),
        ("hang", Fault::Hang),
        (
            "drip",
            Fault::Drip {
                bytes_per_second: 20_000,
            },
        ),
        ("delay", Fault::Delay { ms: 200 }),
        ("gzip-bomb", Fault::GzipBomb { bytes: 64 << 20 }),
        ("pad-page", Fault::PadPage { bytes: 40 << 20 }),
    ];
    all.map(|(name, what)| Rule::any(what).named(name)).to_vec()
}

/// Faults of what a list or a detail says.
fn data() -> Vec<Rule> {
    let splice = |splice| Fault::Splice { order: None, splice };
    let lists = [
        ("pad-rows", Fault::PadRows { bytes: 300 << 10 }),
        ("repeat-page", Fault::RepeatPreviousPage),
        ("empty-page", Fault::EmptyPage),
        ("clamp-limit", Fault::ClampLimit { rows: 5 }),
        ("last-page-for-ever", Fault::LastPageForEver),
        ("wrong-total", Fault::WrongTotal { total: Some(0) }),
        ("no-total", Fault::WrongTotal { total: None }),
    ];
    let any = [
        ("stale-copy", Fault::StaleCopy { lag_ms: 20_000 }),
        (
            "hide-young",
            Fault::HideYoung {
                order: None,
                age_ms: 20_000,
            },
        ),
        (
            "splice-unknown",
            splice(Splice::member("never_heard_of", r#"{"a":[1,null]}"#)),
        ),
        ("splice-no-stamp", splice(Splice::drop("updated_at"))),
        (
            "splice-no-row",
            splice(Splice::Row {
                json: "null".to_owned(),
            }),
        ),
    ];
    let lists = lists.map(|(name, what)| Rule::list(what).named(name));
    let any = any.map(|(name, what)| Rule::any(what).named(name));
    lists.into_iter().chain(any).collect()
}

fn writes() -> Vec<Rule> {
    let all = [
        ("answer-lost", Fault::AnswerLost),
        ("write-refused", Fault::WriteRefused),
        ("write-ignored", Fault::WriteIgnored),
        ("write-failed-written", Fault::WriteFailed { written: true }),
        ("write-failed-unwritten", Fault::WriteFailed { written: false }),
    ];
    all.map(|(name, what)| Rule::write(what).named(name)).to_vec()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A new kind of fault does not compile here until it has a number, and then it must have a ready-made rule.
    fn number(fault: &Fault) -> usize {
        match fault {
            Fault::Answer(_) => 0,
            Fault::Body(_) => 1,
            Fault::Header { .. } => 2,
            Fault::ResetBefore => 3,
            Fault::ResetAfter { .. } => 4,
            Fault::Truncate { .. } => 5,
            Fault::LongLength { .. } => 6,
            Fault::Hang => 7,
            Fault::Drip { .. } => 8,
            Fault::Delay { .. } => 9,
            Fault::GzipBomb { .. } => 10,
            Fault::PadPage { .. } => 11,
            Fault::PadRows { .. } => 12,
            Fault::RepeatPreviousPage => 13,
            Fault::EmptyPage => 14,
            Fault::ClampLimit { .. } => 15,
            Fault::LastPageForEver => 16,
            Fault::WrongTotal { .. } => 17,
            Fault::StaleCopy { .. } => 18,
            Fault::HideYoung { .. } => 19,
            Fault::Splice { .. } => 20,
            Fault::AnswerLost => 21,
            Fault::WriteRefused => 22,
            Fault::WriteIgnored => 23,
            Fault::WriteFailed { .. } => 24,
        }
    }

    #[test]
    fn every_kind_is_there_under_a_name_of_its_own() {
        let kinds = World::fault_kinds();
        let found: BTreeSet<usize> = kinds.iter().map(|rule| number(&rule.what)).collect();
        assert_eq!(found, (0..=24).collect());
        let names: BTreeSet<&str> = kinds.iter().map(|rule| rule.name.as_str()).collect();
        assert_eq!(names.len(), kinds.len());
        assert!(!names.contains(""));
    }
}
