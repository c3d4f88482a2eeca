//! Records on their way to a target that takes them one by one, against a pretend one that keeps a log of
//! what it really did.

mod away;
mod back;
mod erp;
mod rig;
mod truth;

pub(crate) use rig::{Quiet, VirtualClock};
