//! The sandbox over real loopback sockets, as a client meets it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod access;
mod client;
mod control;
mod customers;
mod data_faults;
mod erp;
mod goods;
mod kinds;
mod metafields;
mod paging;
mod receiver;
mod resources;
mod truth;
mod webhooks;
mod wire_faults;
mod writes;
