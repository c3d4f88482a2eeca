//! Movements of stock that are on their way or were made, one list a SKU: what a level was before, so that a look can
//! tell whether a call that nobody answered was carried out. It must never lead to a movement being made twice.

use contract::Stamp;
use serde_json::{Value as Json, json};

/// So many that are over are remembered.
const OVER_KEPT: usize = 8;
/// So many that a person has to look after; no more are made of that SKU then.
const PARKED_MAX: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Maybe on the wire.
    Open,
    Done,
    /// Nobody can tell whether it was made.
    Parked,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Movement {
    pub(super) key: String,
    pub(super) before: i64,
    pub(super) delta: i64,
    pub(super) at: Stamp,
    pub(super) state: State,
}

/// What a look at the level says about a movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Made,
    NotMade,
    Unclear,
}

impl Movement {
    pub(super) fn after(&self) -> i64 {
        self.before.saturating_add(self.delta)
    }

    pub(super) fn seen(&self, level: i64) -> Seen {
        match level {
            level if level == self.after() => Seen::Made,
            level if level == self.before => Seen::NotMade,
            _ => Seen::Unclear,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Movements(Vec<Movement>);

impl Movements {
    /// `None`: what was kept cannot be read, and then nobody knows what is under way.
    pub(super) fn parse(text: Option<&str>) -> Option<Movements> {
        let Some(text) = text else {
            return Some(Movements::default());
        };
        let kept: Vec<Json> = serde_json::from_str(text).ok()?;
        let movement = |kept: &Json| {
            Some(Movement {
                key: kept[0].as_str()?.to_owned(),
                before: kept[1].as_i64()?,
                delta: kept[2].as_i64()?,
                at: kept[3].as_i64()?,
                state: match kept[4].as_str()? {
                    "done" => State::Done,
                    "parked" => State::Parked,
                    _ => State::Open,
                },
            })
        };
        kept.iter().map(movement).collect::<Option<_>>().map(Movements)
    }

    pub(super) fn text(&self) -> String {
        let word = |state| match state {
            State::Open => "open",
            State::Done => "done",
            State::Parked => "parked",
        };
        let kept = self.0.iter();
        let kept = kept.map(|one| json!([one.key, one.before, one.delta, one.at, word(one.state)]));
        Json::Array(kept.collect()).to_string()
    }

    pub(super) fn get(&self, key: &str) -> Option<&Movement> {
        self.0.iter().find(|one| one.key == key)
    }

    /// One that is on its way and is not this one.
    pub(super) fn open_but(&self, key: &str) -> Option<&Movement> {
        self.0.iter().find(|one| one.state == State::Open && one.key != key)
    }

    pub(super) fn is_full(&self) -> bool {
        self.0.iter().filter(|one| one.state == State::Parked).count() >= PARKED_MAX
    }

    pub(super) fn put(&mut self, movement: Movement) {
        self.remove(&movement.key);
        self.0.push(movement);
        let over = self.0.iter().filter(|one| one.state == State::Done).count();
        let mut surplus = over.saturating_sub(OVER_KEPT);
        self.0.retain(|one| {
            let goes = one.state == State::Done && surplus > 0;
            surplus -= usize::from(goes);
            !goes
        });
    }

    pub(super) fn settle(&mut self, key: &str, state: State) {
        if let Some(one) = self.get(key).cloned() {
            self.put(Movement { state, ..one });
        }
    }

    pub(super) fn remove(&mut self, key: &str) {
        self.0.retain(|one| one.key != key);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn one(key: &str, state: State) -> Movement {
        Movement {
            key: key.to_owned(),
            before: 10,
            delta: -3,
            at: 5,
            state,
        }
    }

    #[test]
    fn st_03_a_look_tells_what_became_of_a_movement() {
        let movement = one("a", State::Open);
        let seen = [7, 10, 9, 4].map(|level| movement.seen(level));
        assert_eq!(seen, [Seen::Made, Seen::NotMade, Seen::Unclear, Seen::Unclear]);
    }

    #[test]
    fn movements_are_kept_and_only_those_that_are_over_are_forgotten() {
        let mut all = Movements::default();
        all.put(one("open", State::Open));
        all.put(one("parked", State::Parked));
        for n in 0..20 {
            all.put(one(&format!("{n}"), State::Done));
        }
        let again = Movements::parse(Some(&all.text())).unwrap();
        assert_eq!(again, all);
        assert_eq!(all.0.len(), 2 + OVER_KEPT);
        assert!(all.get("0").is_none() && all.get("19").is_some() && all.get("parked").is_some());
        assert_eq!(all.open_but("x").unwrap().key, "open");
        assert!(all.open_but("open").is_none());
        assert!(Movements::parse(Some("{")).is_none());
        assert!(Movements::parse(Some(r#"[["a",1]]"#)).is_none());
    }
}
