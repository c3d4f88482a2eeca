//! Everything outside the process that a connector may touch besides its own network: the clock
//! and a little durable memory. Tests put their own in.

use std::time::{Duration, Instant};

use async_trait::async_trait;

/// Milliseconds since 1970-01-01 UTC.
pub type Stamp = i64;

#[async_trait]
pub trait Clock: std::fmt::Debug + Send + Sync {
    /// Wall-clock time. Only for showing and for stamps; never for measuring how long something took.
    fn now(&self) -> Stamp;
    /// Time since an arbitrary start; never goes back.
    fn monotonic(&self) -> Duration;
    async fn sleep(&self, duration: Duration);
}

#[derive(Debug)]
pub struct RealClock(Instant);

impl Default for RealClock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

/// A few named texts that outlive the process, one set a connector.
#[async_trait]
pub trait Memory: std::fmt::Debug + Send + Sync {
    fn get(&self, name: &str) -> Option<String>;
    /// Durable when it returns. A memory that cannot be written is reported by the next state transaction.
    async fn put(&self, name: &str, value: String);
}

#[async_trait]
impl Clock for RealClock {
    fn now(&self) -> Stamp {
        jiff::Timestamp::now().as_millisecond()
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
