//! Reading a store that misbehaves: every fault of its API, by the id of the catalogue, against the real
//! connector, the real engine and, where an exit code matters, the real binary.

mod broken;
mod denied;
mod large;
mod late;
mod odd;
pub(crate) mod others;
mod pages;
mod pauses;
mod rig;
mod secure;
mod turns;
mod words;
