//! How many connections there may be, in all and from one address. Where there are too many, the one that has been
//! silent longest makes room: whoever has something to say gets in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

/// Connections in all; fewer where the process may open few files.
const CONNECTIONS_MAX: usize = 512;
/// The part of them that one address may have that is no proxy of ours.
const SHARE_OF_ADDRESS: usize = 2;
/// The part of the process's files that connections may take.
const SHARE_OF_FILES: u64 = 4;

/// Stands for "in the middle of a request".
const BUSY: u64 = u64::MAX;

/// One connection, as others see it.
#[derive(Debug)]
pub(super) struct Door {
    address: IpAddr,
    is_proxy: bool,
    /// When it fell silent, as a number that only grows; `BUSY`: it is in the middle of a request.
    silent_since: AtomicU64,
    turns: Arc<AtomicU64>,
    /// Cancelled to make room for another connection.
    pub(super) leave: CancellationToken,
}

impl Default for Door {
    fn default() -> Door {
        Door {
            address: IpAddr::from([127, 0, 0, 1]),
            is_proxy: false,
            silent_since: AtomicU64::new(0),
            turns: Arc::default(),
            leave: CancellationToken::new(),
        }
    }
}

impl Door {
    pub(super) fn busy(&self) {
        self.silent_since.store(BUSY, Ordering::Relaxed);
    }

    /// It waits for the peer to say something. One that waits already goes on waiting since then.
    pub(super) fn idle(&self) {
        if self.silent_since.load(Ordering::Relaxed) == BUSY {
            let turn = self.turns.fetch_add(1, Ordering::Relaxed);
            self.silent_since.store(turn, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
pub(super) struct Doors {
    most: usize,
    most_each: usize,
    turns: Arc<AtomicU64>,
    open: Mutex<HashMap<u64, Arc<Door>>>,
    numbers: AtomicU64,
}

/// Held as long as the connection is open.
pub(super) struct Inside {
    doors: Arc<Doors>,
    number: u64,
    pub(super) door: Arc<Door>,
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.doors.locked().remove(&self.number);
    }
}

impl Doors {
    pub(super) fn new() -> Arc<Doors> {
        let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let files = files.map_or(CONNECTIONS_MAX, |files| {
            usize::try_from(files / SHARE_OF_FILES).unwrap_or(CONNECTIONS_MAX)
        });
        let most = files.clamp(8, CONNECTIONS_MAX);
        Doors::of(most, most / SHARE_OF_ADDRESS)
    }

    fn of(most: usize, most_each: usize) -> Arc<Doors> {
        Arc::new(Doors {
            most,
            most_each,
            turns: Arc::default(),
            open: Mutex::default(),
            numbers: AtomicU64::new(0),
        })
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Arc<Door>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a connection in. `None`: there are too many, and every one of them is at work.
    pub(super) fn enter(self: &Arc<Doors>, address: IpAddr, is_proxy: bool) -> Option<Inside> {
        let address = holder(address);
        let mut open = self.locked();
        let from_there = |door: &Door| !door.is_proxy && door.address == address;
        let own = open.values().filter(|door| from_there(door)).count();
        if !is_proxy && own >= self.most_each {
            make_room(&mut open, from_there)?;
        }
        if open.len() >= self.most {
            make_room(&mut open, |_| true)?;
        }
        let door = Arc::new(Door {
            address,
            is_proxy,
            silent_since: AtomicU64::new(self.turns.fetch_add(1, Ordering::Relaxed)),
            turns: self.turns.clone(),
            leave: CancellationToken::new(),
        });
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        open.insert(number, door.clone());
        Some(Inside {
            doors: self.clone(),
            number,
            door,
        })
    }

    /// Sends away who says nothing, as when files have run out.
    pub(super) fn clear_silent(&self) {
        let silent = |door: &&Arc<Door>| door.silent_since.load(Ordering::Relaxed) != BUSY;
        self.locked()
            .values()
            .filter(silent)
            .for_each(|door| door.leave.cancel());
    }

    /// Waits until nobody is inside any more, or for so long.
    pub(super) async fn empty(&self, within: Duration) {
        let steps = within.as_millis() / 10;
        for _ in 0..steps {
            if self.locked().is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Who has an IPv6 address has 2^64 of them (RFC 6177), and counts as one all the same.
fn holder(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from(u128::from(address) >> 64 << 64).into(),
    }
}

fn make_room(open: &mut HashMap<u64, Arc<Door>>, among: impl Fn(&Door) -> bool) -> Option<()> {
    let silent = open.iter().filter(|(_, door)| among(door));
    let silent = silent.map(|(number, door)| (door.silent_since.load(Ordering::Relaxed), *number));
    let (_, longest) = silent.filter(|(since, _)| *since != BUSY).min()?;
    open.remove(&longest)?.leave.cancel();
    Some(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn address(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn wh_17_the_one_that_has_been_silent_longest_makes_room() {
        let doors = Doors::of(3, 3);
        let inside: Vec<Inside> = (0..3).map(|n| doors.enter(address(n), false).unwrap()).collect();
        inside[0].door.busy();
        inside[0].door.idle();
        let fourth = doors.enter(address(9), false).unwrap();
        let left: Vec<bool> = inside.iter().map(|one| one.door.leave.is_cancelled()).collect();
        assert_eq!(left, [false, true, false], "the first spoke since then");
        assert!(!fourth.door.leave.is_cancelled());
    }

    #[test]
    fn wh_17_whoever_is_at_work_stays_and_the_newcomer_is_sent_away() {
        let doors = Doors::of(2, 2);
        let inside: Vec<Inside> = (0..2).map(|n| doors.enter(address(n), false).unwrap()).collect();
        inside.iter().for_each(|one| one.door.busy());
        assert!(doors.enter(address(9), false).is_none());
        inside[1].door.idle();
        assert!(doors.enter(address(9), false).is_some());
    }

    #[test]
    fn wh_17_one_address_takes_its_share_only_and_a_proxy_stands_for_many() {
        let doors = Doors::of(10, 2);
        let hostile: Vec<Inside> = (0..5).filter_map(|_| doors.enter(address(1), false)).collect();
        let still: Vec<&Inside> = hostile.iter().filter(|one| !one.door.leave.is_cancelled()).collect();
        assert_eq!((hostile.len(), still.len()), (5, 2));
        let proxied: Vec<Inside> = (0..5).map(|_| doors.enter(address(2), true).unwrap()).collect();
        assert!(proxied.iter().all(|one| !one.door.leave.is_cancelled()));
    }

    #[test]
    fn wh_17_whoever_has_a_whole_network_of_addresses_has_one_share() {
        let doors = Doors::of(10, 2);
        let from = |network: u16, n: u16| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, n, n]);
        let hostile: Vec<Inside> = (0..5).filter_map(|n| doors.enter(from(1, n), false)).collect();
        let other = doors.enter(from(2, 0), false).unwrap();
        let still = hostile.iter().filter(|one| !one.door.leave.is_cancelled());
        assert_eq!((still.count(), other.door.leave.is_cancelled()), (2, false));
    }

    #[test]
    fn a_connection_that_ends_leaves_its_place() {
        let doors = Doors::of(1, 1);
        let inside = doors.enter(address(1), false).unwrap();
        inside.door.busy();
        assert!(doors.enter(address(1), false).is_none());
        drop(inside);
        assert!(doors.enter(address(1), false).is_some());
    }
}
