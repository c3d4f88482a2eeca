//! All tests of the whole program, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod house;
mod reading;
mod crash;
mod system;
mod story;
mod support;
