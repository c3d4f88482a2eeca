//! Good calls beside bad ones: connections that say nothing, and others that send what nobody signed. Told is what the
//! good ones got, in microseconds to an answer, and how many of each were answered.

use std::net::SocketAddr;
use std::time::{Duration, Instant, UNIX_EPOCH};

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::time::{MissedTickBehavior, interval};

use crate::load::{Line, event, percentile, request};
use crate::signed::Secret;

const SILENT: usize = 1_000;
const FORGERS: usize = 50;
/// Calls a second, of all that are of a kind together.
const FORGED_A_SECOND: usize = 5_000;
const GOOD_A_SECOND: usize = 50;
/// In which each forger sends what falls to it.
const TICK: Duration = Duration::from_millis(20);
const REFUSED: &str = "HTTP/1.1 401";

pub(crate) async fn run(address: SocketAddr, path: &str, secret: &str, seconds: u64) -> anyhow::Result<String> {
    // Whoever is sent away to make room comes back no more; the others hold their places.
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(address).await.context("connecting")?);
    }
    let until = Instant::now() + Duration::from_secs(seconds);
    let forged = request(
        address,
        path,
        &Secret::new("whsec_not_the_one_that_it_has")?,
        &now()?,
        &event(0, 0),
    );
    let forgers = (0..FORGERS).map(|_| forge(address, forged.clone(), until));
    let forged = futures::future::try_join_all(forgers);
    let (mut waits, refused) = tokio::try_join!(good(address, path, secret, until), forged)?;
    let refused: usize = refused.into_iter().sum();
    let held = silent.iter().filter(|stream| is_open(stream)).count();
    waits.sort_unstable();
    let at = |percent| percentile(&waits, percent);
    Ok(format!(
        "{} {} {} {} {refused} {held}",
        waits.len(),
        at(50),
        at(99),
        at(100)
    ))
}

/// How long each good call took, from when it was due: what had to wait for the one before counts too.
async fn good(address: SocketAddr, path: &str, secret: &str, until: Instant) -> anyhow::Result<Vec<Duration>> {
    let mut waits = Vec::new();
    let (secret, load) = (Secret::new(secret)?, fastrand::u32(..));
    let mut turns = interval(Duration::from_secs(1) / u32::try_from(GOOD_A_SECOND)?);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut n = 0;
    while Instant::now() < until {
        let due = turns.tick().await;
        let call = request(address, path, &secret, &now()?, &event(load, n));
        n += 1;
        // One that comes anew each time, as a proxy's or the platform's may.
        let stream = TcpStream::connect(address).await;
        let mut line = Line::new(stream.context("a good caller was not let in")?);
        line.call(&call).await.context("a good call was not taken")?;
        waits.push(due.elapsed());
    }
    Ok(waits)
}

fn now() -> anyhow::Result<String> {
    Ok(UNIX_EPOCH.elapsed()?.as_secs().to_string())
}

fn is_open(stream: &TcpStream) -> bool {
    let read = stream.try_read(&mut [0; 1]);
    read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

async fn forge(address: SocketAddr, request: Vec<u8>, until: Instant) -> anyhow::Result<usize> {
    let each = FORGED_A_SECOND * usize::try_from(TICK.as_millis())? / 1_000 / FORGERS;
    let mut turns = interval(TICK);
    turns.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut line = Line::new(TcpStream::connect(address).await?);
    let mut refused = 0;
    while Instant::now() < until {
        turns.tick().await;
        for _ in 0..each.max(1) {
            // Sent away, it comes again, as such people do.
            match line.answered(&request).await {
                Ok(head) if head.starts_with(REFUSED) => refused += 1,
                Ok(head) => anyhow::bail!("a forged call was answered: {head}"),
                Err(_) => line = Line::new(TcpStream::connect(address).await?),
            }
        }
    }
    Ok(refused)
}
