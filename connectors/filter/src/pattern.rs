//! What matching a regular expression costs. The engine runs in time pattern × text, and a pattern
//! like `(a{99}){99}` is far larger than it looks, so its size is reckoned before it is built.

use crate::meter;
use crate::val::{Error, Val};

const STATES_MAX: usize = 2_000;

/// Pays for matching a pattern over a text, once or, with the flag `g`, again and again.
pub(crate) fn pay(text: &Val, pattern: &Val, flags: &Val) -> Result<(), Error> {
    let (Some(text), Some(pattern)) = (text.as_text(), pattern.as_text()) else {
        return Err(Error::str(format_args!(
            "cannot match {text} with the pattern {pattern}: both must be strings"
        )));
    };
    let states = states(pattern);
    if states > STATES_MAX {
        return Err(Error::str(
            "the pattern repeats too much: it comes to more than 2000 states",
        ));
    }
    // Building costs a few steps a state, matching one visit a state and character.
    meter::spend(10 + states);
    meter::spend(states.saturating_mul(text.len() / 16 + 1));
    let endless = pattern.contains(['*', '+']) || pattern.contains(",}");
    if endless && flags.as_text().is_some_and(|flags| flags.contains('g')) {
        // `(a.*z)|a` reads on to the end of the text after each of its matches.
        meter::spend(states.saturating_mul(text.len().saturating_mul(text.len()) / 256));
    }
    Ok(())
}

/// At least as many states as the pattern has: atoms, each as often as its counts say.
fn states(pattern: &str) -> usize {
    let mut groups = vec![0usize];
    let mut last = 0usize;
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '(' => groups.push(0),
            ')' if groups.len() > 1 => {
                last = groups.pop().unwrap_or(0).max(1);
                add(&mut groups, last);
            }
            '{' => {
                let counts: String = std::iter::from_fn(|| chars.next_if(|c| *c != '}')).collect();
                let most = counts
                    .split(',')
                    .filter_map(|n| n.trim().parse().ok())
                    .max()
                    .unwrap_or(1usize);
                let more = last.saturating_mul(most.saturating_sub(1));
                add(&mut groups, more);
                last = last.saturating_add(more);
            }
            c => {
                if c == '\\' {
                    chars.next();
                }
                last = 1;
                add(&mut groups, 1);
            }
        }
    }
    groups.into_iter().fold(0, usize::saturating_add)
}

fn add(groups: &mut [usize], states: usize) {
    if let Some(group) = groups.last_mut() {
        *group = group.saturating_add(states);
    }
}
