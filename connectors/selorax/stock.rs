//! Stock levels and movements on their way into the store: read, written, read back. It must never write what it did
//! not just read the ground of, never make a movement twice, and never call done what the store does not show.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use contract::{
    Abilities, Act, Clock, Cursor, Difference, Error, Fault, Key, Listed, Malformed, Memory, Number, Push, Receipt,
    RecordTarget, Stamp, Unknown, Use, Value,
};
use tokio::sync::{Mutex, MutexGuard};

use super::api::Api;
use super::catalogue::{Catalogue, Spot, Variant};
use super::level::{Want, wanted};
use super::movement::{Movement, Movements, Seen, State};
use super::request::{Form, Ready, with};

/// Writes in a row after which the store showed something else: the template is wrong, not the records.
const WRONG_IN_A_ROW: u32 = 3;
/// How long the store may still be at work on a call that it did not answer.
const AT_WORK: Duration = Duration::from_secs(60);
/// SKUs share this many locks.
const LOCKS: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct StockSettings {
    pub(super) set: Form,
    pub(super) adjust: Form,
}

#[derive(Debug)]
pub(super) struct Stock {
    api: Arc<Api>,
    settings: StockSettings,
    catalogue: Catalogue,
    memory: Arc<dyn Memory>,
    clock: Arc<dyn Clock>,
    concurrency: usize,
    wrong: AtomicU32,
    locks: Vec<Mutex<()>>,
}

/// A variant and its level, with the other levels of its product.
struct Ground {
    spot: Spot,
    level: i64,
    all: Vec<Variant>,
}

/// What the store shows after a write.
enum Shown {
    AsWanted,
    /// Somebody else moved it since.
    MovedOn(i64),
    /// What to tell of it.
    Wrong(String),
}

impl Stock {
    pub(super) fn new(
        api: &Arc<Api>,
        settings: &StockSettings,
        catalogue: Catalogue,
        (memory, clock): (&Arc<dyn Memory>, &Arc<dyn Clock>),
        concurrency: usize,
    ) -> Stock {
        Stock {
            api: api.clone(),
            settings: settings.clone(),
            catalogue,
            memory: memory.clone(),
            clock: clock.clone(),
            concurrency,
            wrong: AtomicU32::new(0),
            locks: (0..LOCKS).map(|_| Mutex::default()).collect(),
        }
    }

    async fn write(&self, push: &Push, again: bool) -> Result<Receipt, Error> {
        let (sku, want) = wanted(&push.record, push.sold)
            .map_err(|error| Error::new(Fault::Rejected, "writing stock into the store", error.0))?;
        self.still_trusted()?;
        let _alone = self.alone(&sku).await;
        let sku_id = match want {
            Want::Level(level) => self.set(push, &sku, level).await?,
            Want::Move(_) if again => {
                let why = "it was made before, and now has other figures or is to be made once more; a movement is \
                           made once";
                return Err(Error::new(Fault::Conflict, format!("moving the stock of SKU {sku}"), why).hint(
                    "give each movement a key of its own at the source (`primary_key`), or set the level right in the \
                     store by hand; then `failures discard`",
                ));
            }
            Want::Move(delta) => self.adjust(push, &sku, delta).await?,
        };
        Ok(Receipt { id: Some(Key(sku_id)) })
    }

    /// One call at a time about one SKU, whichever flow it comes from.
    async fn alone(&self, sku: &str) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        sku.hash(&mut hasher);
        let at = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or(0);
        self.locks[at].lock().await
    }

    async fn set(&self, push: &Push, sku: &str, level: i64) -> Result<String, Error> {
        let doing = format!("setting the stock of SKU {sku} to {level}");
        let ground = self.ground(sku, &doing).await?;
        let sku_id = ground.spot.sku_id.clone();
        if !self.is_newest(&sku_id, push.stamp).await {
            tracing::info!("{doing}: left out, because something newer was written before");
            return Ok(sku_id);
        }
        if ground.level == level {
            return Ok(sku_id);
        }
        let ready = self.ready_set(&push.record, &ground.spot, level);
        let ready = ready.map_err(|error| Error::new(Fault::Rejected, &doing, error.0))?;
        let mut told = String::new();
        let mut before = ground;
        // What somebody else wrote in between is set right once.
        for _ in 0..2 {
            self.api.write(&ready, &doing, Use::Stock).await?;
            let now = after_write(self.ground(sku, &doing).await)?;
            match shown(&before, &now, level) {
                Shown::AsWanted => {
                    self.wrong.store(0, Ordering::Relaxed);
                    return Ok(sku_id);
                }
                Shown::MovedOn(there) => {
                    tracing::info!("{doing}: it is {there} already, as pieces were sold meanwhile");
                    self.wrong.store(0, Ordering::Relaxed);
                    return Ok(sku_id);
                }
                Shown::Wrong(why) => told = why,
            }
            before = now;
        }
        Err(self.not_as_wanted(&doing, "set", &ready, told))
    }

    async fn adjust(&self, push: &Push, sku: &str, delta: i64) -> Result<String, Error> {
        let doing = format!("moving the stock of SKU {sku} by {delta}");
        let ground = self.ground(sku, &doing).await?;
        let sku_id = ground.spot.sku_id.clone();
        let mut kept = self.movements(&sku_id, &doing)?;
        if let Some(other) = kept.open_but(&push.idempotency).cloned() {
            self.settle_by_look(&mut kept, &sku_id, &other, ground.level, &doing)
                .await?;
        }
        if let Some(known) = kept.get(&push.idempotency).cloned() {
            if known.state == State::Done {
                return Ok(sku_id);
            }
            self.settle_by_look(&mut kept, &sku_id, &known, ground.level, &doing)
                .await?;
            match kept.get(&push.idempotency).map(|known| known.state) {
                Some(State::Done) => return Ok(sku_id),
                Some(_) => return Err(undecided(&doing, &known, ground.level)),
                None => {}
            }
        }
        if delta == 0 {
            return Ok(sku_id);
        }
        if kept.is_full() {
            let why = "too many movements of this SKU wait for a person";
            return Err(Error::new(Fault::Rejected, doing, why).hint("look at `failures list`"));
        }
        let ready = self.ready_adjust(&push.record, &ground.spot, delta);
        let ready = ready.map_err(|error| Error::new(Fault::Rejected, &doing, error.0))?;
        let movement = Movement {
            key: push.idempotency.clone(),
            before: ground.level,
            delta,
            at: self.clock.now(),
            state: State::Open,
        };
        kept.put(movement.clone());
        self.keep(&sku_id, &kept).await;
        if let Err(error) = self.api.write(&ready, &doing, Use::Stock).await {
            if error.fault != (Fault::Transient { reached: true }) {
                // Known not to be made: the next try begins afresh.
                kept.remove(&movement.key);
                self.keep(&sku_id, &kept).await;
            }
            return Err(error);
        }
        let now = after_write(self.ground(sku, &doing).await)?;
        let is_still = movement.seen(now.level) == Seen::NotMade;
        kept.settle(&movement.key, if is_still { State::Parked } else { State::Done });
        self.keep(&sku_id, &kept).await;
        if is_still {
            let why = moved_instead(&ground, &now, ground.level.saturating_add(delta));
            let why = why.unwrap_or_else(|| format!("the store said yes, and shows {} as before", now.level));
            return Err(self.not_as_wanted(&doing, "adjust", &ready, why));
        }
        if movement.seen(now.level) == Seen::Unclear {
            tracing::info!(
                "{doing}: from {} it came to {}, as others moved it meanwhile",
                movement.before,
                now.level
            );
        }
        self.wrong.store(0, Ordering::Relaxed);
        Ok(sku_id)
    }

    /// Decides about a movement whose call was not answered. While the store may still be at work, nobody decides.
    async fn settle_by_look(
        &self,
        kept: &mut Movements,
        sku_id: &str,
        movement: &Movement,
        level: i64,
        doing: &str,
    ) -> Result<(), Error> {
        match movement.seen(level) {
            Seen::Made => kept.settle(&movement.key, State::Done),
            Seen::NotMade => {
                let wait = i64::try_from(AT_WORK.as_millis()).unwrap_or(i64::MAX);
                let left = movement
                    .at
                    .saturating_add(wait)
                    .saturating_sub(self.clock.now())
                    .clamp(0, wait);
                if left > 0 && movement.state == State::Open {
                    let retry_after = Some(Duration::from_millis(left.unsigned_abs()));
                    let why = "an earlier call about it was not answered, and may still be carried out";
                    return Err(Error::new(Fault::Throttled { retry_after }, doing, why));
                }
                kept.remove(&movement.key);
            }
            Seen::Unclear => kept.settle(&movement.key, State::Parked),
        }
        self.keep(sku_id, kept).await;
        Ok(())
    }

    fn movements(&self, sku_id: &str, doing: &str) -> Result<Movements, Error> {
        let text = self.memory.get(&format!("moves:{sku_id}"));
        Movements::parse(text.as_deref()).ok_or_else(|| {
            let why = "what the state file has about earlier movements of it cannot be read";
            Error::new(Fault::Rejected, doing, why).hint("set its level right in the store by hand")
        })
    }

    async fn keep(&self, sku_id: &str, kept: &Movements) {
        self.memory.put(&format!("moves:{sku_id}"), kept.text()).await;
    }

    /// Whether nothing newer was written. From here on nothing older is.
    async fn is_newest(&self, sku_id: &str, stamp: Option<Stamp>) -> bool {
        let Some(stamp) = stamp else { return true };
        let name = format!("level:{sku_id}");
        let last: Option<Stamp> = self.memory.get(&name).and_then(|text| text.parse().ok());
        if last.is_some_and(|last| last > stamp) {
            return false;
        }
        self.memory.put(&name, stamp.to_string()).await;
        true
    }

    /// The variant with this SKU, as the store shows it now. The index may be behind, once.
    async fn ground(&self, sku: &str, doing: &str) -> Result<Ground, Error> {
        for _ in 0..2 {
            let spot = self.catalogue.find(sku).await?;
            let Some(all) = self.catalogue.variants(&spot.product, doing).await? else {
                continue;
            };
            let Some(own) = all
                .iter()
                .find(|one| one.sku_id == spot.sku_id && one.sku.as_deref() == Some(sku))
            else {
                continue;
            };
            let Some(level) = own.quantity else {
                let why = format!(
                    "the store shows no level for variant {} of product {}",
                    spot.sku_id, spot.product.0
                );
                return Err(Error::new(Fault::Rejected, doing, why).hint("switch its stock keeping on in the store"));
            };
            return Ok(Ground { spot, level, all });
        }
        let why = "the variant that had this SKU has it no more";
        Err(Error::new(Fault::Rejected, doing, why).hint("give a variant this SKU in the store; then `failures retry`"))
    }

    fn ready_set(&self, record: &Value, spot: &Spot, level: i64) -> Result<Ready, Malformed> {
        ready(&self.settings.set, record, spot, ("quantity", level))
    }

    fn ready_adjust(&self, record: &Value, spot: &Spot, delta: i64) -> Result<Ready, Malformed> {
        ready(&self.settings.adjust, record, spot, ("delta", delta))
    }

    fn still_trusted(&self) -> Result<(), Error> {
        match self.wrong.load(Ordering::Relaxed) >= WRONG_IN_A_ROW {
            true => Err(Error::new(Fault::Denied, "writing stock into the store", STOPPED).hint(CHECK)),
            false => Ok(()),
        }
    }

    /// The store said yes and shows something else. Several times in a row that is the template's fault.
    fn not_as_wanted(&self, doing: &str, which: &str, ready: &Ready, why: String) -> Error {
        let wrong = self.wrong.fetch_add(1, Ordering::Relaxed) + 1;
        let request = format!("{} {}\n\n{}", ready.method, ready.path, ready.body);
        let error = match wrong >= WRONG_IN_A_ROW {
            true => Error::new(Fault::Denied, doing, format!("{why}; {STOPPED}")).hint(CHECK),
            false => Error::new(Fault::Rejected, doing, why.clone()).hint(format!(
                "check store.inventory.{which}: the store's API may want another body, such as other names"
            )),
        };
        error.exchange(request, format!("200, and afterwards: {why}"))
    }
}

const STOPPED: &str = "three writes in a row had another effect than they should, so no more stock is written";
const CHECK: &str = "check store.inventory.set and .adjust (method, path, body) against the store's API, look at the \
                     stock of the SKUs named in the log, and restart";

fn ready(form: &Form, record: &Value, spot: &Spot, figure: (&'static str, i64)) -> Result<Ready, Malformed> {
    let number = |id: &str| Number::parse(id).map(Value::Number);
    let fields = [
        ("product_id", number(&spot.product.0)?),
        ("sku_id", number(&spot.sku_id)?),
        (figure.0, Value::Number(figure.1.into())),
    ];
    form.ready(
        &with(record, &fields),
        &[("product_id", &spot.product.0), ("sku_id", &spot.sku_id)],
    )
}

/// What stands there could not be read after a write: whether it was carried out is not known.
fn after_write<T>(answer: Result<T, Error>) -> Result<T, Error> {
    answer.map_err(|mut error| {
        if matches!(error.fault, Fault::Transient { .. } | Fault::Throttled { .. }) {
            error.fault = Fault::Transient { reached: true };
        }
        error
    })
}

fn shown(before: &Ground, now: &Ground, level: i64) -> Shown {
    if now.level == level {
        return Shown::AsWanted;
    }
    if let Some(other) = moved_instead(before, now, level) {
        return Shown::Wrong(other);
    }
    // Fewer than were written, and not what was there before: it was written, and then some were sold. To write it
    // again would bring back what is gone.
    if now.level < level && now.level != before.level {
        return Shown::MovedOn(now.level);
    }
    Shown::Wrong(format!("{level} was asked for, and the store shows {}", now.level))
}

/// Another variant of the product that has now what this one should have.
fn moved_instead(before: &Ground, now: &Ground, level: i64) -> Option<String> {
    if now.level != before.level {
        return None;
    }
    let was = |id: &str| {
        before
            .all
            .iter()
            .find(|one| one.sku_id == id)
            .and_then(|one| one.quantity)
    };
    let mut others = now.all.iter().filter(|one| one.sku_id != now.spot.sku_id);
    let other = others.find(|one| one.quantity != was(&one.sku_id) && one.quantity == Some(level))?;
    Some(format!(
        "variant {} was meant, which still has {}, and variant {} of the same product was changed to {level} instead",
        now.spot.sku_id, now.level, other.sku_id
    ))
}

fn undecided(doing: &str, movement: &Movement, level: i64) -> Error {
    let why = format!(
        "a call went unanswered, and the store does not show whether it was carried out: it was {} before, {} would be \
         there after it, and there is {level}",
        movement.before,
        movement.after()
    );
    Error::new(Fault::Conflict, doing, why)
        .hint("set its level right in the store by hand, then `failures discard`; it is never sent again blindly")
}

#[async_trait]
impl RecordTarget for Stock {
    /// A level may be written twice, and a movement knows by itself whether it was made: the key can be trusted.
    fn abilities(&self) -> Abilities {
        Abilities {
            update: true,
            trusts_key: true,
            levels: true,
            batch: 1,
            ..Abilities::default()
        }
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    /// The newest level may follow at once: each is read back.
    fn unknown(&self) -> Unknown {
        Unknown {
            wait: Duration::from_secs(5),
            recheck: Duration::from_secs(5),
        }
    }

    async fn create(&self, pushes: &[Push]) -> Vec<Result<Receipt, Error>> {
        let mut answers = Vec::with_capacity(pushes.len());
        for push in pushes {
            answers.push(self.write(push, false).await);
        }
        answers
    }

    async fn update(&self, _id: &Key, push: &Push) -> Result<Receipt, Error> {
        self.write(push, true).await
    }

    async fn cancel(&self, _id: &Key, push: &Push) -> Result<(), Error> {
        Err(impossible("cancelling", push))
    }

    async fn find(&self, _record: &Value) -> Result<Option<Receipt>, Error> {
        Ok(None)
    }

    async fn compare(&self, _id: &Key, record: &Value) -> Result<Option<Vec<Difference>>, Error> {
        let refused = |error: Malformed| Error::new(Fault::Rejected, "comparing a stock level", error.0);
        let (sku, want) = wanted(record, 0).map_err(refused)?;
        let doing = format!("reading the stock of SKU {sku}");
        let there = self.ground(&sku, &doing).await?.level;
        let Want::Level(level) = want else {
            return Ok(Some(Vec::new()));
        };
        let difference = Difference {
            field: "quantity".to_owned(),
            ours: Value::Number(level.into()),
            theirs: Value::Number(there.into()),
        };
        Ok(Some(if level == there { Vec::new() } else { vec![difference] }))
    }

    fn cancels(&self, _canonical: &Value) -> Result<bool, Malformed> {
        Ok(false)
    }

    async fn list(&self, _after: Option<&Cursor>) -> Result<Listed, Error> {
        Ok(Listed::default())
    }

    /// Where the index was never made, the ids stand in braces.
    fn show(&self, act: Act<'_>) -> Result<String, Malformed> {
        let push = match act {
            Act::Create([push, ..]) | Act::Update(_, push) | Act::Cancel(_, push) => push,
            Act::Create([]) => return Ok(String::new()),
        };
        let (sku, want) = wanted(&push.record, push.sold)?;
        let known = self.catalogue.known(&sku);
        let spot = known.clone().unwrap_or_else(|| Spot {
            product: Key("0".to_owned()),
            sku_id: "0".to_owned(),
        });
        let ready = match want {
            Want::Level(level) => self.ready_set(&push.record, &spot, level),
            Want::Move(delta) => self.ready_adjust(&push.record, &spot, delta),
        };
        let line = self.api.curl(&ready?);
        Ok(match known {
            Some(_) => line,
            None => format!("{line}  # SKU {sku}: its ids, here 0, are looked up before it is sent"),
        })
    }
}

fn impossible(what: &str, push: &Push) -> Error {
    let why = "stock levels cannot be cancelled";
    Error::new(Fault::Rejected, format!("{what} {}", push.key.0), why)
}
