//! The pretend platform's state behind one lock: the shop, its clock, the faults, the request log.

use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use tokio::sync::Notify;

use crate::fault::Rule;
use crate::hooks::Hooks;
use crate::journal::{Event, Truth};
use crate::movement::{Movement, Moving};
use crate::options::{Access, Options};
use crate::plan::{RuleState, Rules};
use crate::requests::{Log, Request, busiest};
use crate::resource::Resource;
use crate::shop::Shop;
use crate::time::Time;
use crate::view::Seen;

type Hook = Box<dyn FnMut(&World, Resource, usize) + Send>;

/// Everything a test can see and change while the sandbox answers. All methods are cheap and never wait for a client.
pub struct World {
    inner: Mutex<Inner>,
    hook: Mutex<Option<Hook>>,
    connections: AtomicUsize,
    /// Wakes the courier.
    changed: Notify,
}

/// The locked state. When it is let go, subscribers are told of what changed.
pub(crate) struct Guard<'a> {
    inner: MutexGuard<'a, Inner>,
    changed: &'a Notify,
}

impl Deref for Guard<'_> {
    type Target = Inner;

    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl DerefMut for Guard<'_> {
    fn deref_mut(&mut self) -> &mut Inner {
        &mut self.inner
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.inner.fan_out() {
            self.changed.notify_one();
        }
    }
}

pub(crate) struct Inner {
    pub(crate) options: Options,
    pub(crate) access: Access,
    pub(crate) time: Time,
    pub(crate) shop: Shop,
    pub(crate) rules: Rules<Rule>,
    pub(crate) log: Log,
    pub(crate) moving: Option<Moving>,
    pub(crate) seen: Seen,
    /// When the answered requests of the rate window came.
    pub(crate) window: VecDeque<Instant>,
    pub(crate) metafield_window: VecDeque<Instant>,
    pub(crate) hooks: Hooks,
    /// For what only an answer's look depends on.
    pub(crate) rng: Rng,
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
            seen: Seen::default(),
            window: VecDeque::new(),
            metafield_window: VecDeque::new(),
            hooks: Hooks::new(options),
            rng: Rng::with_seed(options.seed.wrapping_add(1)),
            options: options.clone(),
            time,
        };
        Ok(World {
            inner: Mutex::new(inner),
            hook: Mutex::new(None),
            connections: AtomicUsize::new(0),
            changed: Notify::new(),
        })
    }

    pub(crate) fn lock(&self) -> Guard<'_> {
        Guard {
            // A panic of one request must not make every later one panic too.
            inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner),
            changed: &self.changed,
        }
    }

    /// Waits until something changed that deliveries may depend on.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    pub(crate) fn announce(&self) {
        self.changed.notify_one();
    }

    /// World time, ms since 1970.
    pub fn now_ms(&self) -> i64 {
        self.lock().time.now_ms()
    }

    pub fn set_clock(&self, ms: i64) {
        self.lock().time.set(ms);
        self.announce();
    }

    /// The world's clock goes on so many times as fast as real time; 0 stops it.
    pub fn set_clock_speed(&self, factor: u32) {
        self.lock().time.set_factor(factor);
        self.announce();
    }

    pub fn advance(&self, by: Duration) {
        self.lock()
            .time
            .advance(i64::try_from(by.as_millis()).unwrap_or(i64::MAX));
        self.announce();
    }

    /// Everything that happened to orders since the start, the first stock included, oldest first.
    pub fn truth(&self) -> Vec<Truth> {
        self.lock().shop.journal.events().filter_map(Truth::of).collect()
    }

    /// Everything that happened to any record since the start, the first stock included, oldest first.
    pub fn events(&self) -> Vec<Event> {
        self.lock().shop.journal.events().cloned().collect()
    }

    /// Writes the truth log so far, one JSON object a line.
    pub fn write_truth(&self, path: &Path) -> io::Result<()> {
        let lines: Vec<String> = self.events().iter().map(Event::json).collect();
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
    pub fn after_each_list(&self, mut hook: impl FnMut(&World, usize) + Send + 'static) {
        self.set_hook(Box::new(move |world, _, page| hook(world, page)));
    }

    /// The same for the lists of one kind of record; one hook at a time.
    pub fn after_each_list_of(&self, only: Resource, mut hook: impl FnMut(&World, usize) + Send + 'static) {
        self.set_hook(Box::new(move |world, resource, page| {
            if resource == only {
                hook(world, page);
            }
        }));
    }

    fn set_hook(&self, hook: Hook) {
        *self.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    pub(crate) fn run_hook(&self, resource: Resource, page: usize) {
        // Taken out while it runs, so that it can set another one.
        let taken = self.hook.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut hook) = taken {
            hook(self, resource, page);
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
