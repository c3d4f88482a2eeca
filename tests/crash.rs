//! Runs that are killed, and disks and files that fail under them. Afterwards the same command must
//! bring the files to what the shop's truth says, with nothing lost and nothing twice.

pub(crate) mod calls;
mod damage;
mod full;
mod kills;
mod restore;
mod taken;
