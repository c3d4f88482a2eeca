//! Whose turn it is: at most one caller is at the gate, and who comes next is chosen when it leaves. Uses
//! that wait get turns by their shares (start-time fair queueing); within one use it is first come, first
//! served. A turn must never be lost: whoever is dropped, waiting or at the gate, passes it on.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use contract::Use;
use tokio::sync::oneshot;

const USES: usize = 4;

/// How far a use's own time moves with each turn: 300 over its share of 50, 20, 15 and 15 hundredths.
const STRIDES: [u64; USES] = [6, 15, 20, 20];

fn place(purpose: Use) -> usize {
    match purpose {
        Use::Ring => 0,
        Use::Stock => 1,
        Use::Feed => 2,
        Use::History => 3,
    }
}

#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    at_gate: Option<u64>,
    asked: u64,
    lines: [Line; USES],
    /// The time at which the last one was let in. A use that comes back starts here: being idle saves up nothing.
    now: u64,
}

#[derive(Debug, Default)]
struct Line {
    /// In the order they came.
    waiting: BTreeMap<u64, oneshot::Sender<()>>,
    /// When, in shared time, its next turn begins.
    next: u64,
}

/// A place in a line, and then at the gate. Dropping it leaves either.
#[derive(Debug)]
pub(super) struct Turn<'t> {
    turns: &'t Turns,
    number: u64,
    place: usize,
}

impl Turns {
    /// Waits until the gate is this caller's alone.
    pub(super) async fn take(&self, purpose: Use) -> Turn<'_> {
        let (turn, called) = self.line_up(place(purpose));
        // The other end is dropped only where this turn is, so there is no error to be had.
        called.await.ok();
        turn
    }

    fn line_up(&self, place: usize) -> (Turn<'_>, oneshot::Receiver<()>) {
        let (call, called) = oneshot::channel();
        let mut state = self.state();
        state.asked += 1;
        let (number, now) = (state.asked, state.now);
        let line = &mut state.lines[place];
        if line.waiting.is_empty() {
            line.next = line.next.max(now);
        }
        line.waiting.insert(number, call);
        state.call_next();
        let turn = Turn {
            turns: self,
            number,
            place,
        };
        (turn, called)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn call_next(&mut self) {
        if self.at_gate.is_some() {
            return;
        }
        let waiting = self.lines.iter_mut().zip(STRIDES);
        let first = waiting
            .filter(|(line, _)| !line.waiting.is_empty())
            .min_by_key(|(line, _)| line.next);
        let Some((line, stride)) = first else { return };
        let Some((number, call)) = line.waiting.pop_first() else {
            return;
        };
        self.now = line.next;
        line.next += stride;
        self.at_gate = Some(number);
        // One that is being dropped right now cannot hear it; its turn's drop comes next and passes the gate on.
        call.send(()).ok();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.turns.state();
        if state.at_gate == Some(self.number) {
            state.at_gate = None;
            state.call_next();
        } else {
            state.lines[self.place].waiting.remove(&self.number);
        }
    }
}

#[cfg(test)]
impl Turns {
    /// Nobody waits and nobody is at the gate.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.at_gate.is_none() && state.lines.iter().all(|line| line.waiting.is_empty())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::RefCell;

    use futures::FutureExt;

    use super::*;

    const ALL: [Use; USES] = [Use::Ring, Use::Stock, Use::Feed, Use::History];

    /// How many of so many turns each use gets, when these always have some waiting.
    async fn served(busy: &[Use], turns: usize) -> [usize; USES] {
        let gate = Turns::default();
        let counts = RefCell::new([0; USES]);
        let left = RefCell::new(turns);
        let caller = |purpose: Use| {
            let (gate, counts, left) = (&gate, &counts, &left);
            async move {
                loop {
                    let turn = gate.take(purpose).await;
                    if *left.borrow() == 0 {
                        return;
                    }
                    *left.borrow_mut() -= 1;
                    counts.borrow_mut()[place(purpose)] += 1;
                    tokio::task::yield_now().await;
                    drop(turn);
                }
            }
        };
        let callers = busy.iter().flat_map(|purpose| [caller(*purpose), caller(*purpose)]);
        futures::future::join_all(callers).await;
        assert!(gate.is_idle());
        counts.into_inner()
    }

    #[tokio::test]
    async fn uses_that_all_wait_get_their_shares() {
        let counts = served(&ALL, 2_000).await;
        println!("of 2,000 turns: {counts:?}");
        for (count, share) in counts.into_iter().zip([1_000, 400, 300, 300_usize]) {
            assert!(count.abs_diff(share) <= 40, "{counts:?}");
        }
    }

    #[tokio::test]
    async fn what_a_use_does_not_need_goes_to_the_others_by_their_shares() {
        let shares = [50, 20, 15, 15_usize];
        for a in 0..USES {
            assert_eq!(served(&[ALL[a]], 100).await[a], 100);
            for b in a + 1..USES {
                let counts = served(&[ALL[a], ALL[b]], 2_000).await;
                let expected = 2_000 * shares[a] / (shares[a] + shares[b]);
                println!("{:?} and {:?}: {counts:?}", ALL[a], ALL[b]);
                assert!(counts[a].abs_diff(expected) <= 40, "{counts:?}");
                assert_eq!(counts[a] + counts[b], 2_000);
            }
        }
    }

    /// Turns of these uses, all lined up, in the order the gate calls them.
    fn order(gate: &Turns, lined_up: Vec<(Turn<'_>, oneshot::Receiver<()>)>) -> Vec<usize> {
        let mut lined_up = lined_up;
        let mut called = Vec::new();
        while !lined_up.is_empty() {
            let at = gate.state().at_gate.unwrap();
            let n = lined_up.iter().position(|(turn, _)| turn.number == at).unwrap();
            let (turn, call) = lined_up.swap_remove(n);
            assert_eq!(call.now_or_never(), Some(Ok(())));
            called.push(turn.place);
        }
        called
    }

    #[test]
    fn a_ring_goes_before_a_thousand_that_can_wait() {
        let gate = Turns::default();
        let mut waiting: Vec<_> = (0..1_000).map(|_| gate.line_up(place(Use::History))).collect();
        for _ in 0..300 {
            waiting.remove(0);
        }
        let ring = gate.line_up(place(Use::Ring));
        waiting.push(ring);
        let called = order(&gate, waiting);
        assert_eq!(
            called[..3],
            [3, 0, 3],
            "behind the one at the gate, and before all others"
        );
    }

    #[test]
    fn being_idle_saves_up_nothing_and_being_lent_to_costs_nothing_later() {
        let gate = Turns::default();
        // History has the gate for itself for long …
        for _ in 0..500 {
            drop(gate.line_up(place(Use::History)));
        }
        // … and then stock comes with many at once.
        let mut waiting: Vec<_> = (0..200).map(|_| gate.line_up(place(Use::History))).collect();
        waiting.extend((0..200).map(|_| gate.line_up(place(Use::Stock))));
        let called = order(&gate, waiting);
        let stock = called[..70].iter().filter(|place| **place == 1).count();
        assert!(
            (38..=42).contains(&stock),
            "{stock} of the first 70 are stock's: 4 in 7 are its due"
        );
    }

    #[test]
    fn within_a_use_it_is_first_come_first_served() {
        let gate = Turns::default();
        let waiting: Vec<_> = (0..50).map(|_| gate.line_up(place(Use::Feed))).collect();
        let numbers: Vec<u64> = waiting.iter().map(|(turn, _)| turn.number).collect();
        let mut seen = Vec::new();
        for (turn, call) in waiting {
            assert_eq!(call.now_or_never(), Some(Ok(())));
            seen.push(turn.number);
        }
        assert_eq!(seen, numbers);
        assert!(gate.is_idle());
    }
}
