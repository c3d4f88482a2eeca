//! What an event costs that is on the disk before it is answered: the daemon's receiver, beside one that does nothing
//! else and one that keeps nothing, called in the same way in the same run.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::desk::{Desk, Shop};
use super::running::Running;
use super::{RUNS, disk, program, tell};

/// Events of one load: enough of them for a clock that counts in hundredths of a second.
const EVENTS: usize = 20_000;
const EVENTS_MIN: usize = 1_000;
const WARM_EVENTS: usize = 2_000;
const FLOOD_SECONDS: u64 = 20;
pub(super) const CONNECTIONS: [usize; 2] = [16, 64];
/// What the events are about; the daemon reads about one of them a second.
const ORDERS: usize = 500;
const SECRET: &str = "whsec_benchbenchbenchbenchbenchbench";
const PATH: &str = "/webhooks/selorax";
const CONFIG: &str = include_str!("webhooks.yaml");
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Who receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiver {
    /// Verifies and parses.
    Nothing,
    /// The same, and one commit for all that wait.
    Bare,
    Daemon,
}

impl Receiver {
    pub(super) const ALL: [Receiver; 3] = [Receiver::Nothing, Receiver::Bare, Receiver::Daemon];

    pub(super) fn name(self) -> &'static str {
        match self {
            Receiver::Nothing => "axum, without storage",
            Receiver::Bare => "axum, bare",
            Receiver::Daemon => "selorax-sync",
        }
    }

    fn command(self, address: SocketAddr, desk: &Desk) -> Command {
        let mut command = Command::new(program(match self {
            Receiver::Daemon => "selorax-sync",
            _ => "hooks",
        }));
        match self {
            Receiver::Nothing => command.args(["none", &address.to_string(), SECRET]),
            Receiver::Bare => command.args(["bare", &address.to_string(), SECRET]).arg(&desk.folder),
            Receiver::Daemon => command.arg("--config").arg(&desk.config).args(["--quiet", "run"]),
        };
        command
    }
}

/// What one load came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// Events a second.
    pub(super) rate: u64,
    /// Microseconds to an answer: half of them, 99 of 100, all.
    pub(super) half: u64,
    pub(super) most: u64,
    pub(super) all: u64,
    /// The receiver's processor time for an event, in tenths of a microsecond.
    pub(super) each: u64,
}

pub(super) type Loads = Vec<(Receiver, usize, Vec<Load>)>;

/// `cargo xtask bench webhooks [EVENTS]`
pub(super) fn run(args: &[String]) -> anyhow::Result<()> {
    let events: usize = match args {
        [] => EVENTS,
        [events] => events.parse().context("events are given as a whole number")?,
        _ => anyhow::bail!("usage: cargo xtask bench webhooks [EVENTS]"),
    };
    anyhow::ensure!(events >= EVENTS_MIN, "fewer than {EVENTS_MIN} events tell nothing");
    let shop = Shop::open(&program("selorax-sync"), ORDERS)?;
    let mut loads: Loads = Vec::new();
    for receiver in Receiver::ALL {
        loads.extend(CONNECTIONS.map(|connections| (receiver, connections, Vec::new())));
    }
    let mut syncs = Vec::new();
    // In turns, so that a noisy minute falls on all of them.
    for _ in 0..RUNS {
        for receiver in Receiver::ALL {
            let measured = measure(receiver, &shop, events, &mut syncs).with_context(|| receiver.name())?;
            let own = loads.iter_mut().filter(|(known, ..)| *known == receiver);
            own.zip(measured).for_each(|((.., loads), load)| loads.push(load));
        }
    }
    tell::webhooks(events, &loads, &mut syncs);
    tell::flood(FLOOD_SECONDS, &flood(&shop)?);
    Ok(())
}

/// What good calls got beside a crowd of bad ones: how many were answered, microseconds to half of the answers, to 99
/// of 100 and to the slowest, forged calls that were refused, and silent connections that were left open at the end.
fn flood(shop: &Shop) -> anyhow::Result<[u64; 6]> {
    let (address, _running, _desk) = start(Receiver::Daemon, shop, &mut Vec::new())?;
    let seconds = FLOOD_SECONDS.to_string();
    told(&["flood", &address.to_string(), PATH, SECRET, &seconds])
}

/// A load with each number of connections, on a receiver that has kept nothing before.
fn measure(receiver: Receiver, shop: &Shop, events: usize, syncs: &mut Vec<Duration>) -> anyhow::Result<Vec<Load>> {
    let (address, running, _desk) = start(receiver, shop, syncs)?;
    call(address, CONNECTIONS[0], WARM_EVENTS)?;
    let mut loads = Vec::new();
    for connections in CONNECTIONS {
        let before = running.ticks()?;
        let [rate, half, most, all] = call(address, connections, events)?;
        let ticks = running.ticks()? - before;
        loads.push(Load {
            rate,
            half,
            most,
            all,
            each: ticks * 100_000 / events as u64,
        });
    }
    Ok(loads)
}

/// A receiver that listens.
fn start(receiver: Receiver, shop: &Shop, syncs: &mut Vec<Duration>) -> anyhow::Result<(SocketAddr, Running, Desk)> {
    let address = free_address()?;
    let config = CONFIG.replace("LISTEN", &address.to_string()).replace("SECRET", SECRET);
    let desk = Desk::with(shop, &config)?;
    syncs.extend(disk::syncs(&desk.folder)?);
    let mut running = Running::start(receiver.command(address, &desk))?;
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        running.is_alive()?;
        anyhow::ensure!(began.elapsed() < READY_WITHIN, "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((address, running, desk))
}

/// What the caller tells: calls a second, and microseconds to an answer.
fn call(address: SocketAddr, connections: usize, events: usize) -> anyhow::Result<[u64; 4]> {
    let (connections, events) = (connections.to_string(), events.to_string());
    told(&["load", &address.to_string(), PATH, SECRET, &connections, &events])
}

fn told<const N: usize>(args: &[&str]) -> anyhow::Result<[u64; N]> {
    let output = Command::new(program("hooks"))
        .args(args)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()?;
    anyhow::ensure!(output.status.success(), "the caller failed: {}", output.status);
    let told = String::from_utf8(output.stdout)?;
    let numbers: Vec<u64> = told.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let numbers = <[u64; N]>::try_from(numbers);
    numbers.map_err(|_| anyhow::anyhow!("the caller said {told:?}"))
}

fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
