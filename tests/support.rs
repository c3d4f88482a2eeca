//! What the tests of the whole program share: a pretend store, a desk with a config where the real
//! binary is run, and a checker that looks at the outside only.

mod check;
mod daemon;
mod desk;
mod disk;
mod erp;
mod run;
mod shop;

pub(crate) use check::{complaints, names, paisa, rows};
pub(crate) use daemon::STOPS_WITHIN;
pub(crate) use desk::{Desk, Setup};
pub(crate) use disk::Mount;
pub(crate) use erp::{CREATE, Erp, ErpSetup, FIND, READ, UPDATE};
pub(crate) use run::{Outcome, Running};
pub(crate) use shop::{Covered, Shop, options};

/// Every secret of every test holds this word, and nothing that leaves the program may.
pub(crate) const CANARY: &str = "CANARY";
