//! selorax-sync keeps a SeloraX store and the merchant's ERP or accounting system in step.

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod decide;
pub mod engine;
pub mod mapping;
pub mod store;
pub mod webhook;
pub mod work;
