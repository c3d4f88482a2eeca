//! The daemon under kills, signals, and a system that fails it. Afterwards the files must hold what the
//! shop's truth says, with nothing lost and nothing twice.

mod calls;
mod clock;
mod disk;
mod kills;
mod signals;
mod system;
