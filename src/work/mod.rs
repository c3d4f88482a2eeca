//! What a person can ask for, and the parts it is carried out with: the same in a command of its own and
//! in the daemon. It prints nothing itself; whoever asked is told through a `Voice`.

mod failed;
mod job;
mod parts;
mod reconcile;
mod standing;
pub mod subscriptions;
mod summary;
mod words;

pub use failed::{failure_json, flow_of, no_failure};
pub use job::{Job, Told, discard, perform, told};
pub use parts::{Manner, Parts, bind, choose, load, visit};
pub use standing::{Condition, FlowStanding, Standing, Upkeep, day_told};
pub use summary::grouped;
pub use words::{line, local, span, utc};

/// Done, all delivered.
pub const DONE: u8 = 0;
/// Could not do it.
pub const FAILED: u8 = 1;
/// The command line or the config is wrong.
pub const MISUSED: u8 = 2;
/// Finished, but some records wait or are in `failures`.
pub const UNFINISHED: u8 = 3;

/// The person asked for something that there is not.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);
