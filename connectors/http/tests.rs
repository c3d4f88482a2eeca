//! The gate in virtual time: shares, dropped callers, and the circuit with its probes.

mod rig;

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use contract::{Clock, Error, Fault, Memory, Use};
use fastrand::Rng;

use super::circuit::Part;
use super::circuit::Probing;
use rig::{Notes, a_minute, down, probing, remembering, rig};

const LONG: Duration = Duration::from_secs(30 * 86_400);
const SECOND: Duration = Duration::from_secs(1);
const ALL: [Use; 4] = [Use::Ring, Use::Stock, Use::Feed, Use::History];

#[tokio::test]
async fn saturated_uses_share_the_pace_and_nobody_waits_long() {
    let rig = rig(a_minute(60), 2, LONG);
    let sent = Mutex::new(Vec::new());
    let caller = |purpose: Use| {
        let (rig, sent) = (&rig, &sent);
        async move {
            loop {
                let before = rig.clock.monotonic();
                let leave = rig.gate.enter(purpose, LONG, false, "asking").await.unwrap();
                if sent.lock().unwrap().len() >= 2_000 {
                    return;
                }
                let now = rig.clock.monotonic();
                sent.lock().unwrap().push((purpose, now, now - before));
                rig.clock.sleep(Duration::from_millis(700)).await;
                drop(leave);
            }
        }
    };
    futures::future::join_all(ALL.iter().flat_map(|purpose| (0..3).map(|_| caller(*purpose)))).await;
    let sent = sent.into_inner().unwrap();
    let shares = ALL.map(|purpose| sent.iter().filter(|(of, ..)| *of == purpose).count());
    let waits = ALL.map(|purpose| {
        sent.iter()
            .filter(|(of, ..)| *of == purpose)
            .map(|sent| sent.2)
            .max()
            .unwrap()
    });
    let took = sent.last().unwrap().1;
    println!(
        "of {} requests in {took:?}: {shares:?}; longest waits {waits:?}",
        sent.len()
    );
    for (count, share) in shares.into_iter().zip([1_000, 400, 300, 300_usize]) {
        assert!(count.abs_diff(share) <= 40, "{shares:?}");
    }
    assert!(waits.iter().all(|wait| *wait < 30 * SECOND), "{waits:?}");
    // The pace is what bounds it: a request a second and the burst.
    assert!(took >= 1_990 * SECOND && took < 2_100 * SECOND, "{took:?}");
}

#[tokio::test]
async fn a_ring_waits_for_one_other_however_many_wait() {
    let rig = rig(a_minute(60), 2, LONG);
    let served = Mutex::new(Vec::new());
    let ask = |purpose: Use, after: Duration| {
        let (rig, served) = (&rig, &served);
        async move {
            rig.clock.sleep(after).await;
            rig.ask(purpose, Duration::ZERO, Ok(())).await.unwrap();
            served.lock().unwrap().push((purpose, rig.clock.monotonic()));
        }
    };
    let rings_at = Duration::from_millis(40_300);
    let history = (0..200).map(|_| ask(Use::History, Duration::ZERO));
    futures::future::join(futures::future::join_all(history), ask(Use::Ring, rings_at)).await;
    let served = served.into_inner().unwrap();
    let (_, at) = served.iter().find(|(purpose, _)| *purpose == Use::Ring).unwrap();
    assert!(*at < rings_at + 2 * SECOND, "{at:?}");
}

/// Drops what it holds once that had to wait so many times.
struct DropsAfter<F> {
    inner: Option<Pin<Box<F>>>,
    waits: usize,
}

impl<F: Future> Future for DropsAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<F::Output>> {
        let inner = self.inner.as_mut().unwrap();
        if let Poll::Ready(output) = inner.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if self.waits == 0 {
            self.inner = None;
            return Poll::Ready(None);
        }
        self.waits -= 1;
        Poll::Pending
    }
}

/// A hundred callers, of whom many are dropped wherever they stand, at a peer that is down now and then.
async fn dropping(seed: u64) {
    let mut rng = Rng::with_seed(seed);
    let concurrency = rng.usize(1..4);
    let rig = rig(a_minute(6_000), concurrency, LONG);
    let under_way = Mutex::new((0_usize, 0_usize));
    let callers = (0..100).map(|_| {
        let (purpose, after, takes) = (
            ALL[rng.usize(0..4)],
            Duration::from_millis(rng.u64(0..400)),
            Duration::from_millis(rng.u64(0..30)),
        );
        let result = if rng.u8(0..10) < 7 { down() } else { Ok(()) };
        let waits = if rng.bool() { rng.usize(0..60) } else { usize::MAX };
        let (rig, under_way) = (&rig, &under_way);
        let caller = async move {
            rig.clock.sleep(after).await;
            let leave = rig.gate.enter(purpose, LONG, false, "asking").await.unwrap();
            let probe = leave.part == Part::Probe;
            let out = Out::of(under_way, probe);
            assert!(out.counts().0 <= concurrency, "seed {seed}: more than may be under way");
            assert!(out.counts().1 <= 1, "seed {seed}: more than one probe");
            rig.clock.sleep(takes).await;
            rig.gate.circuit.learn(leave.part, &result).await;
        };
        DropsAfter {
            inner: Some(Box::pin(caller)),
            waits,
        }
    });
    let callers = futures::future::join_all(callers.collect::<Vec<_>>());
    let ended = tokio::time::timeout(Duration::from_secs(60), callers).await;
    let ended = ended.unwrap_or_else(|_| panic!("seed {seed}: somebody waits for ever"));
    assert!(ended.iter().any(Option::is_none) && ended.iter().any(Option::is_some));
    assert!(
        rig.gate.is_idle(concurrency),
        "seed {seed}: something was not given back"
    );
    rig.ask(Use::History, Duration::ZERO, Ok(())).await.unwrap();
}

struct Out<'u>(&'u Mutex<(usize, usize)>, bool);

impl Out<'_> {
    fn of(under_way: &Mutex<(usize, usize)>, probe: bool) -> Out<'_> {
        let mut counts = under_way.lock().unwrap();
        counts.0 += 1;
        counts.1 += usize::from(probe);
        Out(under_way, probe)
    }

    fn counts(&self) -> (usize, usize) {
        *self.0.lock().unwrap()
    }
}

impl Drop for Out<'_> {
    fn drop(&mut self) {
        let mut counts = self.0.lock().unwrap();
        counts.0 -= 1;
        counts.1 -= usize::from(self.1);
    }
}

#[tokio::test]
async fn callers_that_are_dropped_anywhere_leave_the_gate_to_the_others() {
    for seed in 0..300 {
        dropping(seed).await;
    }
}

#[tokio::test]
async fn a_peer_that_is_down_gets_one_probe_at_a_time_and_ever_fewer() {
    let rig = rig(a_minute(60_000), 4, LONG);
    rig.fail(4).await;
    assert!(!rig.gate.circuit.is_open());
    rig.fail(1).await;
    assert!(rig.gate.circuit.is_open());
    assert!(
        rig.gate.describe().contains("circuit open for 0 s after 5 failures"),
        "{}",
        rig.gate.describe()
    );

    let back_at = rig.clock.monotonic() + Duration::from_secs(3_600);
    let under_way = Mutex::new((0, 0));
    let asked = Mutex::new(Vec::new());
    let caller = |n: usize| {
        let (rig, under_way, asked) = (&rig, &under_way, &asked);
        async move {
            loop {
                let leave = rig.gate.enter(ALL[n % 4], LONG, false, "asking").await.unwrap();
                let out = Out::of(under_way, leave.part == Part::Probe);
                let now = rig.clock.monotonic();
                asked.lock().unwrap().push((now, leave.part, out.counts()));
                rig.clock.sleep(Duration::from_millis(300)).await;
                let result = if now < back_at { down() } else { Ok(()) };
                rig.gate.circuit.learn(leave.part, &result).await;
                if result.is_ok() {
                    return;
                }
            }
        }
    };
    futures::future::join_all((0..40).map(caller)).await;
    let asked = asked.into_inner().unwrap();
    let probes: Vec<Duration> = asked
        .iter()
        .filter(|asked| asked.1 == Part::Probe)
        .map(|asked| asked.0)
        .collect();
    // All but the last were answered by nobody; while the circuit is open nobody else is under way.
    let outage = &asked[..probes.len()];
    assert!(
        outage
            .iter()
            .all(|(_, part, counts)| *part == Part::Probe && *counts == (1, 1))
    );
    let gaps: Vec<Duration> = probes.windows(2).map(|pair| pair[1] - pair[0]).collect();
    println!("{} probes in an hour of outage", probes.len());
    assert!((80..220).contains(&probes.len()), "{} probes", probes.len());
    assert!(gaps.iter().all(|gap| *gap <= Duration::from_millis(60_400)), "{gaps:?}");
    let (early, late) = (gaps[..3].iter().sum::<Duration>(), gaps[8..20].iter().sum::<Duration>());
    assert!(early < 15 * SECOND && late > 120 * SECOND, "{early:?} {late:?}");
    // The first answer lets all others go, at the usual pace.
    assert!(!rig.gate.circuit.is_open());
    assert_eq!(asked.len() - probes.len(), 39);
    assert!(rig.clock.monotonic() < back_at + 62 * SECOND);
    assert_eq!(rig.told().len(), 2, "{:?}", rig.told());
    assert!(rig.told()[0].starts_with("open since ") && rig.told()[1] == "closed");
}

/// Whoever waits, and whether they have asked before: nobody is let through before the minute is over.
#[tokio::test]
async fn er_07_a_peer_that_is_away_for_a_day_is_asked_at_most_once_a_minute() {
    let rig = probing(
        Probing::EachMinute,
        a_minute(60_000),
        4,
        Duration::from_secs(30),
        Arc::default(),
    );
    let ends_at = Duration::from_secs(86_400);
    let sent = Mutex::new(Vec::new());
    let caller = |asked: bool| {
        let (rig, sent) = (&rig, &sent);
        async move {
            while rig.clock.monotonic() < ends_at {
                let deadline = rig.clock.monotonic() + Duration::from_secs(30);
                match rig.gate.enter(Use::Ring, deadline, asked, "asking").await {
                    Ok(leave) => {
                        sent.lock().unwrap().push(rig.clock.monotonic());
                        rig.gate.circuit.learn(leave.part, &down()).await;
                    }
                    Err(error) => {
                        assert_eq!(error.fault, Fault::Transient { reached: false });
                        rig.clock.sleep(2 * SECOND).await;
                    }
                }
            }
        }
    };
    futures::future::join_all([true, false, true, false].map(caller)).await;
    let sent = sent.into_inner().unwrap();
    let probes = &sent[5..];
    assert!((1_300..=1_441).contains(&probes.len()), "{} probes", probes.len());
    // One comes soon after the five that failed, in case it was a hiccup.
    let gaps = probes.windows(2).map(|pair| pair[1] - pair[0]);
    assert!(gaps.min().unwrap() >= Duration::from_secs(60));
}

#[tokio::test]
async fn whoever_cannot_wait_for_the_probe_is_told_at_once() {
    let rig = rig(a_minute(60_000), 2, Duration::from_millis(200));
    rig.fail(5).await;
    let mut refused = 0;
    for _ in 0..200 {
        let before = rig.clock.monotonic();
        let error = rig.ask(Use::Feed, Duration::ZERO, down()).await.unwrap_err();
        assert!(rig.clock.monotonic() - before <= Duration::from_millis(200));
        if error.fault == (Fault::Transient { reached: false }) {
            refused += 1;
            assert!(error.answer.contains("the last with: the peer answered 503"), "{error}");
            rig.clock.sleep(Duration::from_millis(500)).await;
        }
    }
    assert!((150..200).contains(&refused), "{refused} of 200 were told at once");
}

#[tokio::test]
async fn a_call_that_was_not_sent_yet_gets_its_probe_however_long_another_address_fails() {
    let patience = Duration::from_secs(30);
    let rig = rig(a_minute(60_000), 2, patience);
    let ends_at = Duration::from_secs(3_600);
    let rounds = Mutex::new((0, 0));
    let broken = async {
        while rig.clock.monotonic() < ends_at {
            let deadline = rig.clock.monotonic() + patience;
            let mut asked = false;
            while let Ok(leave) = rig.gate.enter(Use::Feed, deadline, asked, "asking").await {
                asked = true;
                rig.gate.circuit.learn(leave.part, &down()).await;
            }
            rounds.lock().unwrap().0 += 1;
            rig.clock.sleep(5 * SECOND).await;
        }
    };
    let healthy = async {
        while rig.clock.monotonic() < ends_at {
            rig.clock.sleep(60 * SECOND).await;
            rig.ask(Use::Feed, Duration::ZERO, Ok(())).await.unwrap();
            rounds.lock().unwrap().1 += 1;
        }
    };
    futures::future::join(broken, healthy).await;
    let (broken, healthy) = rounds.into_inner().unwrap();
    assert!(broken >= 20 && healthy >= 30, "{broken} and {healthy} rounds");
}

#[tokio::test]
async fn any_answer_in_between_counts_from_nothing_and_a_refusal_is_an_answer() {
    let rig = rig(a_minute(60_000), 2, LONG);
    let answers = [
        Ok(()),
        Err(Error::new(Fault::Rejected, "asking", "422")),
        Err(Error::new(Fault::Denied, "asking", "403").status(403)),
        Err(Error::new(Fault::Throttled { retry_after: None }, "asking", "429")),
    ];
    for answer in answers {
        rig.fail(4).await;
        rig.ask(Use::Feed, Duration::ZERO, answer).await.ok();
    }
    assert!(!rig.gate.circuit.is_open());
    rig.fail(4).await;
    // A certificate that is not accepted says nothing of the peer.
    let certificate = Err(Error::new(Fault::Denied, "asking", "certificate"));
    rig.ask(Use::Feed, Duration::ZERO, certificate).await.unwrap_err();
    rig.fail(1).await;
    assert!(rig.gate.circuit.is_open());
    assert_eq!(rig.told().len(), 1);
    rig.ask(Use::Feed, Duration::ZERO, Ok(())).await.unwrap();
    assert!(!rig.gate.circuit.is_open());
}

#[tokio::test]
async fn an_answer_that_was_under_way_closes_the_circuit_for_those_who_wait() {
    let rig = rig(a_minute(60_000), 4, LONG);
    // It answers before the first probe is due.
    let slow = rig.ask(Use::Feed, Duration::from_millis(40), Ok(()));
    let others = async {
        rig.fail(5).await;
        assert!(rig.gate.circuit.is_open());
        let part = rig.ask(Use::Ring, Duration::ZERO, Ok(())).await.unwrap();
        (part, rig.clock.monotonic())
    };
    let (_, (part, at)) = futures::future::join(slow, others).await;
    assert!(!rig.gate.circuit.is_open());
    assert_eq!(part, Part::OneOfMany);
    assert!(at < Duration::from_millis(50), "{at:?}");
}

#[tokio::test]
async fn a_new_process_starts_closed_and_corrects_what_the_old_one_left() {
    let notes: Arc<Notes> = Arc::default();
    let old = remembering(a_minute(60_000), 2, LONG, notes.clone());
    old.clock.sleep(7 * SECOND).await;
    old.fail(5).await;
    let left = notes.get("circuit").unwrap();
    assert!(left.starts_with("open since "), "{left}");

    let new = remembering(a_minute(60_000), 2, LONG, notes.clone());
    assert!(!new.gate.circuit.is_open());
    // Nothing has come through since, so it still counts from then.
    new.fail(5).await;
    assert_eq!(notes.get("circuit").unwrap(), left);
    let third = remembering(a_minute(60_000), 2, LONG, notes.clone());
    assert_eq!(
        third.ask(Use::Feed, Duration::ZERO, Ok(())).await.unwrap(),
        Part::OneOfMany
    );
    assert_eq!(notes.get("circuit").unwrap(), "closed");
}
