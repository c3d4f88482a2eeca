//! The connector against a server on loopback that does as it is told, and writes down what it was asked.

mod auth;
mod pages;
mod pushing;
mod rig;
mod secrecy;
mod settings;
