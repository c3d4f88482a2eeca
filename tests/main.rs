//! All tests of the whole program, as one binary.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod admin;
mod crash;
mod daemon;
mod daemon_crash;
mod dropped;
mod house;
mod pushes;
mod reading;
mod regress;
mod rest;
mod stock;
mod story;
mod support;
mod system;
mod webhook;
