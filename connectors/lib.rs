//! Every connector of selorax-sync, one folder each. Connectors see `contract` (and `filter`), and
//! nothing of the daemon.

pub mod csv;
mod http;
pub mod notice;
mod rest;
mod selorax;

/// The list. A new connector is one folder and one line here.
pub const ALL: &[contract::Factory] = &[selorax::FACTORY, csv::FACTORY, rest::FACTORY];
