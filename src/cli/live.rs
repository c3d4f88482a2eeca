//! The part of the demo in which the daemon is at work, on a clock that runs faster than the day.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use contract::{Clock, RealClock, Stamp};
use sandbox::World;
use tokio_util::sync::CancellationToken;

use super::{DONE, run};
use crate::config::Mode;
use crate::daemon::{self, Start};
use crate::store::{Mark, Store};
use crate::work::{Job, load, local};

/// Ten minutes of the shop's day pass in a second.
pub(super) const FACTOR: u32 = 600;
const TICK: Duration = Duration::from_millis(100);
/// Something happens in the shop every so many ticks, so many times.
const TICKS_APART: u32 = 8;
const EVENTS: u32 = 15;

/// Starts at this machine's time and hurries on.
#[derive(Debug)]
struct Hurried {
    real: RealClock,
    start: Stamp,
}

#[async_trait]
impl Clock for Hurried {
    fn now(&self) -> Stamp {
        let gone = i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX);
        self.start.saturating_add(gone)
    }

    fn monotonic(&self) -> Duration {
        self.real.monotonic() * FACTOR
    }

    async fn sleep(&self, duration: Duration) {
        self.real.sleep(duration / FACTOR).await;
    }
}

/// Runs the daemon while the shop sells, and shows what it delivers; at the end one command beside it.
pub(super) async fn show(path: &Path, world: &World) -> anyhow::Result<u8> {
    let real = RealClock::default();
    let start = real.now();
    let clock: Arc<dyn Clock> = Arc::new(Hurried { real, start });
    beside(path, clock.clone(), sell(path, world, clock.as_ref())).await
}

/// How long the whole way of one event may take before the demo says that something is wrong.
const ARRIVES_WITHIN: Duration = Duration::from_secs(30);

/// The daemon on the clock of the wall, and a store that calls it: from a signed event to the row in the file.
pub(super) async fn ring(path: &Path, world: &World) -> anyhow::Result<u8> {
    let clock: Arc<dyn Clock> = Arc::new(RealClock::default());
    world.set_clock_speed(1);
    world.set_clock(clock.now());
    beside(path, clock.clone(), call(path, world, clock.as_ref())).await
}

/// Runs the daemon for as long as something is done beside it.
async fn beside(
    path: &Path,
    clock: Arc<dyn Clock>,
    doing: impl Future<Output = anyhow::Result<u8>>,
) -> anyhow::Result<u8> {
    let stop = CancellationToken::new();
    let config = path.to_owned();
    let daemon = daemon::run(Start {
        load: Box::new(move || load(&config, Mode::Full)),
        clock,
        stop: stop.clone(),
        reload: Arc::default(),
    });
    let shop = async {
        let code = doing.await;
        stop.cancel();
        code
    };
    let (ended, code) = tokio::join!(daemon, shop);
    ended?;
    code
}

async fn call(path: &Path, world: &World, clock: &dyn Clock) -> anyhow::Result<u8> {
    let outline = load(path, Mode::Offline)?;
    let mut looked = 0;
    while !daemon::is_up(&outline.state_path).await {
        looked += 1;
        anyhow::ensure!(looked < 200, "the daemon does not come up");
        tokio::time::sleep(TICK).await;
    }
    let store = Store::look(&outline.state_path)
        .await?
        .context("there is no state file")?;
    // Its first pass, and what else it begins with.
    tokio::time::sleep(TICK * 20).await;
    for nth in 0..3 {
        let mut seen = store.delivery_mark().await?;
        let ids = world.insert_orders(1);
        let began = clock.monotonic();
        let new: Vec<String> = ids.iter().map(i64::to_string).collect();
        outln!("   order {} is new; the store signs an event and calls", new.join(", "));
        let mut arrived = false;
        while !arrived {
            anyhow::ensure!(
                clock.monotonic() - began < ARRIVES_WITHIN,
                "event {nth} leads to no row"
            );
            tokio::time::sleep(TICK / 5).await;
            let (news, upto) = store.delivered_after(None, seen).await?;
            seen = upto;
            for delivered in news {
                arrived |= delivered.keys.iter().any(|key| new.contains(&key.0));
                if arrived {
                    let took = (clock.monotonic() - began).as_secs_f32();
                    outln!("   its row is in {} after {took:.1} s", delivered.what);
                }
            }
        }
    }
    Ok(DONE)
}

async fn sell(path: &Path, world: &World, clock: &dyn Clock) -> anyhow::Result<u8> {
    let outline = load(path, Mode::Offline)?;
    world.set_clock(clock.now());
    world.set_clock_speed(FACTOR);
    let mut store = None;
    let mut seen = Mark::default();
    let ids: Vec<i64> = world.final_orders().into_keys().collect();
    for tick in 0..TICKS_APART * EVENTS {
        if tick % TICKS_APART == 0 {
            event(world, &ids, tick / TICKS_APART);
        }
        tokio::time::sleep(TICK).await;
        if store.is_none() && daemon::is_up(&outline.state_path).await {
            store = Store::look(&outline.state_path).await?;
            if let Some(store) = &store {
                seen = store.delivery_mark().await?;
            }
        }
        if let Some(store) = &store {
            let (news, upto) = store.delivered_after(None, seen).await?;
            seen = upto;
            for delivered in news {
                let at = local(delivered.at, &outline.timezone);
                let keys: Vec<&str> = delivered.keys.iter().map(|key| key.0.as_str()).collect();
                outln!("   {at}  delivered {}  in {}", keys.join(", "), delivered.what);
            }
        }
    }
    super::demo::heading("7. selorax-sync --once beside the daemon, which then does not wait for its time");
    event(world, &ids, 1);
    let job = Job::Once {
        flows: Vec::new(),
        wait: Duration::from_secs(5),
        dry: false,
    };
    Ok(run::job(path, &job).await)
}

fn event(world: &World, ids: &[i64], number: u32) {
    let at = usize::try_from(number).unwrap_or(0) * 7;
    match (number % 3, ids.get(at % ids.len().max(1))) {
        (0, Some(id)) => {
            world.update_order(*id, |order| order.status = "delivered".to_owned());
            outln!("   order {id} is now delivered");
        }
        _ => {
            for id in world.insert_orders(1) {
                outln!("   order {id} is new");
            }
        }
    }
}
