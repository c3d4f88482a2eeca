//! Files that others drop: what is taken, what is refused and with which words, and that nothing is taken twice.

mod acks;
mod kills;
mod large;
mod refused;
mod rig;
mod taken;
