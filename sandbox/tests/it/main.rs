//! The sandbox over real loopback sockets, as a client meets it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod client;
mod control;
mod customers;
mod data_faults;
mod goods;
mod paging;
mod resources;
mod truth;
mod wire_faults;
