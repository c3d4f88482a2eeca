//! The daemon inside the test's process, with a clock that the test owns.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use contract::{Clock, Stamp};
use selorax_sync::config::{self, Config, Mode};
use selorax_sync::daemon::{self, Start};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::support::{Desk, Setup, Shop, names};

/// Runs so many times as fast as real time, and its wall clock can be set.
#[derive(Debug)]
pub(super) struct Fast {
    factor: u32,
    started: Instant,
    wall_ms: AtomicI64,
}

impl Fast {
    pub(super) fn new(start: Stamp, factor: u32) -> Arc<Fast> {
        Arc::new(Fast {
            factor,
            started: Instant::now(),
            wall_ms: AtomicI64::new(start),
        })
    }

    /// Sets the wall clock forward or back; time goes on as before.
    pub(super) fn jump(&self, ms: i64) {
        self.wall_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for Fast {
    fn now(&self) -> Stamp {
        let gone = i64::try_from(self.monotonic().as_millis()).unwrap();
        self.wall_ms.load(Ordering::SeqCst) + gone
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed() * self.factor
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration / self.factor).await;
    }
}

pub(super) struct Inside {
    thread: Option<JoinHandle<anyhow::Result<()>>>,
    stop: CancellationToken,
}

impl Inside {
    /// Starts the daemon over the desk's config, which `change` may put its hands on.
    pub(super) fn start(
        desk: &Desk,
        shop: &Shop,
        clock: Arc<dyn Clock>,
        change: impl Fn(&mut Config) + Send + Sync + 'static,
    ) -> Inside {
        let stop = CancellationToken::new();
        let (path, id) = (desk.path("sync.yaml"), shop.world().access().client_id);
        let env = move |name: &str| (name == "SX_CLIENT_ID").then(|| id.clone());
        let start = Start {
            load: Box::new(move || {
                let mut config = config::load(&path, Mode::Full, &env)?;
                change(&mut config);
                Ok(config)
            }),
            clock,
            stop: stop.clone(),
            reload: Arc::new(Notify::new()),
        };
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()?;
            runtime.block_on(daemon::run(start))
        });
        Inside {
            thread: Some(thread),
            stop,
        }
    }

    pub(super) fn stop(mut self) {
        self.stop.cancel();
        self.thread.take().unwrap().join().unwrap().unwrap();
    }

    /// Waits until something is so while the daemon lives.
    #[track_caller]
    pub(super) fn until(&self, what: &str, is_so: impl FnMut() -> bool) {
        self.until_within(Duration::from_secs(60), what, is_so);
    }

    #[track_caller]
    pub(super) fn until_within(&self, limit: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
        let started = Instant::now();
        while !is_so() {
            let lives = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
            assert!(lives, "the daemon ended before {what}");
            assert!(started.elapsed() < limit, "{what} did not come");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

/// Orders, with a schedule of every ten minutes.
fn every_ten_minutes() -> Setup {
    Setup {
        flow: "    schedule: \"*/10 * * * *\"\n".to_owned(),
        max_records: 50,
        // Looks further back than a pass would be counted as passes.
        store: "  upkeep: {deep_every: 0s, sweep_every: 0s}\n".to_owned(),
        ..Setup::default()
    }
}

fn desk_of(shop: &Shop) -> Desk {
    Desk::with(shop, every_ten_minutes())
}

/// How often the newest changes were asked for, from the first page on.
fn passes(shop: &Shop) -> usize {
    let requests = shop.world().requests();
    let first = |request: &&sandbox::Request| {
        request.page == Some(1)
            && request.query.contains("updated_at")
            && !request.query.contains("since")
            && request.query.contains("limit=250")
    };
    requests.iter().filter(first).count()
}

#[test]
fn a_flow_runs_at_every_time_of_its_schedule_and_missed_ones_are_made_up_once() {
    let shop = Shop::of(30);
    let desk = desk_of(&shop);
    let clock = Fast::new(shop.world().now_ms(), 600);
    let inside = Inside::start(&desk, &shop, clock.clone(), |_| {});
    inside.until("the first files", || !names(&desk.out()).is_empty());
    shop.world().clear_requests();
    let started = clock.now();
    inside.until("three hours", || clock.now() - started > 10_800_000);
    let found = passes(&shop);
    assert!(
        (16..=19).contains(&found),
        "{found} passes in three hours, where 18 were due"
    );
    inside.stop();
    // Seven hours during which nothing ran, and no time for another slot after that.
    clock.jump(7 * 3_600_000);
    let slow = Fast::new(clock.now(), 1);
    shop.world().clear_requests();
    let inside = Inside::start(&desk, &shop, slow, |_| {});
    inside.until("the pass that was missed", || passes(&shop) > 0);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(passes(&shop), 1);
    inside.stop();
    desk.check(&shop);
}

#[test]
fn sy_11_a_wall_clock_that_jumps_stops_nothing_loses_nothing_and_doubles_nothing() {
    let shop = Shop::of(60);
    let desk = desk_of(&shop);
    let clock = Fast::new(shop.world().now_ms(), 600);
    let inside = Inside::start(&desk, &shop, clock.clone(), |_| {});
    inside.until("the first files", || desk.rows() == 60);
    let (hour, day) = (3_600_000, 86_400_000);
    let back_to_1970 = -clock.now();
    for jump in [
        -hour,
        day,
        -day,
        10 * 365 * day,
        -10 * 365 * day,
        back_to_1970,
        -back_to_1970,
    ] {
        shop.world().advance(Duration::from_secs(3600));
        let rows = desk.rows();
        shop.world().insert_orders(4);
        clock.jump(jump);
        // Two times of the schedule later at the latest, and the time that a file may wait to fill.
        inside.until("four new orders", || desk.rows() >= rows + 4);
        assert_eq!(desk.rows(), rows + 4, "after a jump of {jump} ms");
    }
    inside.stop();
    desk.check(&shop);
}
