//! What is written into the store, against the pretend store on loopback with its log of the truth.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod rig;
mod status;
mod stock;
