//! The daemon: what it does by itself, commands beside it, reloads, and trouble inside it.

mod alerts;
mod beside;
mod care;
mod day;
mod inside;
mod notable;
mod panics;
mod reload;
mod rig;
mod service;
mod upkeep;
