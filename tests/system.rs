//! The program as a guest of its system: its rate, its locks, its signals, its commands and exit codes.

mod commands;
mod failures;
mod flows;
mod guest;
mod init;
mod rate;
mod upgrade;
mod webhooks;
