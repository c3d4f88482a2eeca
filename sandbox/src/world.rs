//! The pretend platform's state behind one lock: the shop, its clock, the faults, the request log.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::fault::Rule;
use crate::make::whole_second;
use crate::movement::{Movement, Moving, change_any};
use crate::options::{Access, Clock, Options};
use crate::order::Order;
use crate::page::Selected;
use crate::plan::{RuleState, Rules};
use crate::requests::{Log, Request, busiest};
use crate::shop::{Shop, Truth};

type Hook = Box<dyn FnMut(&World, usize) + Send>;

/// Everything a test can see and change while the sandbox answers. All methods are cheap and never wait for a client.
pub struct World {
    inner: Mutex<Inner>,
    hook: Mutex<Option<Hook>>,
    connections: AtomicUsize,
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) access: Access,
    pub(crate) time: Time,
    pub(crate) shop: Shop,
    pub(crate) rules: Rules,
    pub(crate) log: Log,
    pub(crate) moving: Option<Moving>,
    pub(crate) selected: Selected,
    /// Of the list page sent last: for a fault that repeats it.
    pub(crate) last_rows: Vec<Arc<Order>>,
    /// When the answered requests of the rate window came.
    pub(crate) window: VecDeque<Instant>,
    /// For what only an answer's look depends on.
    pub(crate) rng: Rng,
}

/// World time: `base_ms`, plus the time since then if it runs.
pub(crate) struct Time {
    base_ms: i64,
    since: Option<Instant>,
}

impl Time {
    fn new(clock: Clock) -> Time {
        match clock {
            Clock::Fixed(ms) => Time {
                base_ms: ms,
                since: None,
            },
            Clock::Running(ms) => Time {
                base_ms: ms,
                since: Some(Instant::now()),
            },
            Clock::Real => Time {
                base_ms: jiff::Timestamp::now().as_millisecond(),
                since: Some(Instant::now()),
            },
        }
    }

    pub(crate) fn now_ms(&self) -> i64 {
        let gone = self.since.map_or(0, |since| {
            i64::try_from(since.elapsed().as_millis()).unwrap_or(i64::MAX)
        });
        self.base_ms.saturating_add(gone)
    }

    pub(crate) fn advance(&mut self, ms: i64) {
        self.base_ms = self.base_ms.saturating_add(ms);
    }

    fn set(&mut self, ms: i64) {
        self.base_ms = ms;
        self.since = self.since.map(|_| Instant::now());
    }
}

impl World {
    pub(crate) fn new(options: &Options) -> io::Result<World> {
        let time = Time::new(options.clock);
        let inner = Inner {
            access: Access::of(options),
            shop: Shop::new(options, time.now_ms())?,
            rules: Rules::new(options.seed),
            log: Log::default(),
            moving: None,
            selected: Selected::default(),
            last_rows: Vec::new(),
            window: VecDeque::new(),
            rng: Rng::with_seed(options.seed.wrapping_add(1)),
            options: options.clone(),
            time,
        };
        Ok(World {
            inner: Mutex::new(inner),
            hook: Mutex::new(None),
            connections: AtomicUsize::new(0),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic of one request must not make every later one panic too.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// World time, ms since 1970.
    pub fn now_ms(&self) -> i64 {
        self.lock().time.now_ms()
    }

    pub fn set_clock(&self, ms: i64) {
        self.lock().time.set(ms);
    }

    pub fn advance(&self, by: Duration) {
        self.lock()
            .time
            .advance(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
    }

    /// A random order created now, after `edit`; both stamps are the world's now unless `edit` sets others.
    /// An id that is taken is replaced. Returns the id.
    pub fn insert_order(&self, edit: impl FnOnce(&mut Order)) -> i64 {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let mut order = inner.shop.maker.order(now_ms, now_ms);
        edit(&mut order);
        inner.shop.insert(order, now_ms)
    }

    /// So many random orders created now.
    pub fn insert_orders(&self, count: usize) -> Vec<i64> {
        (0..count).map(|_| self.insert_order(|_| {})).collect()
    }

    /// Changes an order and stamps it with the world's now. False if there is no such order.
    pub fn update_order(&self, id: i64, edit: impl FnOnce(&mut Order)) -> bool {
        self.edit(id, |order, now_ms| {
            edit(order);
            order.updated_ms = whole_second(now_ms);
        })
    }

    /// Changes an order and leaves `updated_ms` to `edit`: a change the platform does not stamp, or any odd stamp.
    pub fn update_order_quietly(&self, id: i64, edit: impl FnOnce(&mut Order)) -> bool {
        self.edit(id, |order, _| edit(order))
    }

    /// So many random changes of random orders, stamped.
    pub fn update_any(&self, count: usize) {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        for _ in 0..count {
            change_any(&mut inner.shop, now_ms);
        }
    }

    pub fn delete_order(&self, id: i64) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        inner.shop.remove(id, now_ms)
    }

    /// Gives `count` random orders this `updated_at` (ms since 1970); returns their ids.
    pub fn tie_updated(&self, count: usize, stamp_ms: i64) -> Vec<i64> {
        self.tie(count, |order| order.updated_ms = whole_second(stamp_ms))
    }

    /// Gives `count` random orders this `created_at` (ms since 1970); `updated_at` stays. Returns their ids.
    pub fn tie_created(&self, count: usize, stamp_ms: i64) -> Vec<i64> {
        self.tie(count, |order| order.created_ms = whole_second(stamp_ms))
    }

    fn tie(&self, count: usize, stamp: impl Fn(&mut Order)) -> Vec<i64> {
        let mut inner = self.lock();
        let mut ids: Vec<i64> = inner.shop.sorted().into_keys().collect();
        inner.rng.shuffle(&mut ids);
        ids.truncate(count);
        drop(inner);
        for id in &ids {
            self.update_order_quietly(*id, &stamp);
        }
        ids
    }

    fn edit(&self, id: i64, edit: impl FnOnce(&mut Order, i64)) -> bool {
        let mut inner = self.lock();
        let now_ms = inner.time.now_ms();
        let Some(mut order) = inner.shop.get(id).map(|order| order.as_ref().clone()) else {
            return false;
        };
        edit(&mut order, now_ms);
        order.id = id;
        inner.shop.replace(order, now_ms)
    }

    pub fn order(&self, id: i64) -> Option<Arc<Order>> {
        self.lock().shop.get(id).cloned()
    }

    pub fn order_count(&self) -> usize {
        self.lock().shop.all().count()
    }

    /// What the shop holds now, by id: what a client that missed nothing would have.
    pub fn final_orders(&self) -> BTreeMap<i64, Arc<Order>> {
        self.lock().shop.sorted()
    }

    /// Everything that happened since the start, the first stock included, oldest first.
    pub fn truth(&self) -> Vec<Truth> {
        self.lock().shop.truth().cloned().collect()
    }

    /// Writes the truth log so far, one JSON object a line.
    pub fn write_truth(&self, path: &Path) -> io::Result<()> {
        let lines: Vec<String> = self.truth().iter().map(Truth::json).collect();
        std::fs::write(path, lines.join("\n") + "\n")
    }

    /// Lets the shop change around each list answer until the movement's cap is reached.
    pub fn move_each_list_answer(&self, movement: Movement) {
        self.lock().moving = Some(Moving {
            movement,
            left: movement.moves_max,
        });
    }

    /// Changes the movement has still to make; 0 = the shop stands still.
    pub fn moves_left(&self) -> usize {
        self.lock().moving.as_ref().map_or(0, |moving| moving.left)
    }

    /// Called after each list answer is made and before it is sent, with the page number: for changes at an exact place.
    pub fn after_each_list(&self, hook: impl FnMut(&World, usize) + Send + 'static) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(hook));
    }

    pub(crate) fn run_hook(&self, page: usize) {
        // Taken out while it runs, so that it can set another one.
        let taken = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut hook) = taken {
            hook(self, page);
            self.hook
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(hook);
        }
    }

    /// Puts a fault in force and returns the id to count and remove it by.
    pub fn fault(&self, rule: Rule) -> u64 {
        self.lock().rules.add(rule)
    }

    /// How often the rule really changed an answer; counts stay after it is removed.
    pub fn fired(&self, rule: u64) -> u64 {
        self.lock().rules.fired(rule)
    }

    pub fn faults(&self) -> Vec<RuleState> {
        self.lock().rules.states()
    }

    pub fn remove_fault(&self, rule: u64) {
        self.lock().rules.remove(Some(rule));
    }

    pub fn clear_faults(&self) {
        self.lock().rules.remove(None);
    }

    pub fn access(&self) -> Access {
        self.lock().access.clone()
    }

    /// Revokes, rotates or narrows the credentials from the next request on.
    pub fn set_access(&self, edit: impl FnOnce(&mut Access)) {
        edit(&mut self.lock().access);
    }

    /// The requests since the log was last cleared, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        self.lock().log.all().to_vec()
    }

    pub fn request_count(&self) -> usize {
        self.lock().log.all().len()
    }

    pub fn clear_requests(&self) {
        self.lock().log.clear();
    }

    /// The most requests in any window of this length.
    pub fn busiest(&self, window: Duration) -> usize {
        busiest(self.lock().log.all(), window)
    }

    /// The first request that came after this moment.
    pub fn first_after(&self, at: Instant) -> Option<Request> {
        self.lock().log.all().iter().find(|request| request.at > at).cloned()
    }

    /// Connections accepted since the start.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count_connection(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }
}
