//! Webhooks of the real program over real sockets: what it answers, what it keeps, and what comes of it.

mod burst;
mod http;
mod kills;
mod order;
mod rig;
