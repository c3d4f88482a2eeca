//! selorax-sync keeps a SeloraX store and the merchant's ERP or accounting system in step.

pub mod store;
