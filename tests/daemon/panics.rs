//! SY-20: something inside the daemon panics. It starts again, the cause is visible, nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contract::settings::Settings;
use contract::{
    Connector, Cursor, Error, Finding, Key, Malformed, Pass, Raw, RealClock, Record, Row, Seams, Source, Stamp, Step,
    Use, Window,
};

use super::inside::Inside;
use super::rig::setup;
use crate::support::{Desk, Shop};

/// How many calls of each kind are still to panic.
#[derive(Debug, Default)]
struct Bombs {
    now: AtomicUsize,
    change: AtomicUsize,
    history: AtomicUsize,
}

fn strike(bombs: &AtomicUsize, what: &str) {
    let left = bombs.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
    assert!(left.is_err(), "a bomb in {what}");
}

/// The store's settings, connector and source, with bombs in them.
#[derive(Debug)]
struct Mined<T: ?Sized> {
    bombs: Arc<Bombs>,
    inner: Arc<T>,
}

impl Settings for Mined<dyn Settings> {
    fn connect(&self, seams: &Seams) -> Result<Arc<dyn Connector>, Error> {
        let inner = self.inner.connect(seams)?;
        let bombs = self.bombs.clone();
        Ok(Arc::new(Mined { bombs, inner }))
    }
    fn sources(&self) -> Vec<String> {
        self.inner.sources()
    }
    fn targets(&self) -> Vec<String> {
        self.inner.targets()
    }
}

#[async_trait]
impl Connector for Mined<dyn Connector> {
    async fn probe(&self) -> Vec<Finding> {
        self.inner.probe().await
    }
    fn source(&self, resource: &str) -> Option<Arc<dyn Source>> {
        let inner = self.inner.source(resource)?;
        let bombs = self.bombs.clone();
        Some(Arc::new(Mined { bombs, inner }))
    }
    async fn rest(&self) {
        self.inner.rest().await;
    }
}

#[async_trait]
impl Source for Mined<dyn Source> {
    async fn now(&self) -> Result<Cursor, Error> {
        strike(&self.bombs.now, "the look at the present");
        self.inner.now().await
    }
    fn later(&self, a: Cursor, b: Cursor) -> Cursor {
        self.inner.later(a, b)
    }
    fn earlier(&self, a: Cursor, b: Cursor) -> Cursor {
        self.inner.earlier(a, b)
    }
    fn settled(&self, cursor: &Cursor) -> Cursor {
        self.inner.settled(cursor)
    }
    fn stamp(&self, cursor: &Cursor) -> Option<Stamp> {
        self.inner.stamp(cursor)
    }
    fn back(&self, cursor: &Cursor, by: Duration) -> Cursor {
        self.inner.back(cursor, by)
    }
    fn changes(&self, since: &Cursor, purpose: Use) -> Box<dyn Pass> {
        let pass = self.inner.changes(since, purpose);
        Box::new(MinedPass(self.bombs.clone(), pass, false))
    }
    fn history(&self, window: Window, resume: Option<&Cursor>) -> Box<dyn Pass> {
        let pass = self.inner.history(window, resume);
        Box::new(MinedPass(self.bombs.clone(), pass, true))
    }
    async fn read(&self, key: &Key, purpose: Use) -> Result<Option<Row>, Error> {
        self.inner.read(key, purpose).await
    }
    fn decode(&self, body: Raw, single: bool) -> Result<Record, Malformed> {
        self.inner.decode(body, single)
    }
    async fn ping(&self) -> Result<(), Error> {
        self.inner.ping().await
    }
}

struct MinedPass(Arc<Bombs>, Box<dyn Pass>, bool);

#[async_trait]
impl Pass for MinedPass {
    async fn step(&mut self) -> Result<Step, Error> {
        let step = self.1.step().await?;
        match self.2 {
            true => strike(&self.0.history, "the walk"),
            false => strike(&self.0.change, "the pass"),
        }
        Ok(step)
    }
}

#[test]
fn sy_20_a_worker_that_panics_starts_again_and_nothing_is_lost() {
    let shop = Shop::of(400);
    let desk = Desk::with(&shop, setup());
    let bombs = Arc::new(Bombs::default());
    bombs.now.store(1, Ordering::SeqCst);
    bombs.history.store(2, Ordering::SeqCst);
    bombs.change.store(1, Ordering::SeqCst);
    let planted = bombs.clone();
    let inside = Inside::start(&desk, &shop, Arc::new(RealClock::default()), move |config| {
        let inner = config.connectors["store"].clone();
        let mined: Mined<dyn Settings> = Mined {
            bombs: planted.clone(),
            inner,
        };
        config.connectors.insert("store".to_owned(), Arc::new(mined));
    });
    inside.until("all orders", || desk.rows() == 400);
    for left in [&bombs.now, &bombs.history, &bombs.change] {
        assert_eq!(left.load(Ordering::SeqCst), 0, "a bomb did not go off");
    }
    // A job that panics is told so; the daemon lives on.
    bombs.change.store(1, Ordering::SeqCst);
    desk.run(&["--once"])
        .ends(1)
        .says(&["the job broke down: a bomb in the pass"]);
    shop.world().advance(Duration::from_secs(60));
    shop.world().insert_orders(3);
    desk.run(&["--once"]).ends(0);
    inside.stop();
    desk.check(&shop);
}

#[test]
fn sy_20_the_cause_of_a_panic_is_in_the_status() {
    let shop = Shop::of(40);
    let desk = Desk::with(&shop, setup());
    let bombs = Arc::new(Bombs::default());
    bombs.now.store(usize::MAX, Ordering::SeqCst);
    let planted = bombs.clone();
    let inside = Inside::start(&desk, &shop, Arc::new(RealClock::default()), move |config| {
        let inner = config.connectors["store"].clone();
        let mined: Mined<dyn Settings> = Mined {
            bombs: planted.clone(),
            inner,
        };
        config.connectors.insert("store".to_owned(), Arc::new(mined));
    });
    inside.until("the cause", || {
        let status = desk.run(&["status"]).ends(0).out;
        status.contains("broke down and was started again: a bomb in the look at the present")
    });
    desk.run(&["status", "--check"]).ends(3);
    bombs.now.store(0, Ordering::SeqCst);
    inside.until("all orders", || desk.rows() == 40);
    inside.until("a clean status", || desk.run(&["status", "--check"]).code == Some(0));
    inside.stop();
    desk.check(&shop);
}
