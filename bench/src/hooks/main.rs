//! The limits that the receiver of webhooks is measured against, and the caller that measures all of them alike. The
//! receivers do as little as can be done, and take no short cut that the daemon could not take too: a call is verified
//! over its raw body, parsed, and answered only when its event is on the disk.
//!
//! `hooks bare ADDR SECRET FOLDER` keeps events in a SQLite file, all that wait in one transaction. `hooks none ADDR
//! SECRET` keeps nothing. `hooks load ADDR PATH SECRET CONNECTIONS EVENTS` calls one of them, or the daemon, and tells
//! calls a second and the microseconds to an answer: half of them, 99 of 100, the slowest. `hooks flood ADDR PATH SECRET
//! SECONDS` calls beside a crowd of strangers.

mod flood;
mod kept;
mod load;
mod serve;
mod signed;

use std::path::Path;

use anyhow::Context;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args.as_slice() {
        ["bare", address, secret, folder] => serving()?.block_on(serve::bare(address, secret, Path::new(folder))),
        ["none", address, secret] => serving()?.block_on(serve::none(address, secret)),
        ["load", address, path, secret, connections, events] => {
            let whole = |text: &str| text.parse().context("connections and events are whole numbers");
            let load = load::Load {
                address: address.parse()?,
                path: (*path).to_owned(),
                secret: (*secret).to_owned(),
                connections: whole(connections)?,
                events: whole(events)?,
            };
            // One thread, so that as little as can be is taken from the receiver.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            println!("{}", runtime.block_on(load.run())?);
            Ok(())
        }
        ["flood", address, path, secret, seconds] => {
            let seconds = seconds.parse().context("seconds are a whole number")?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            println!(
                "{}",
                runtime.block_on(flood::run(address.parse()?, path, secret, seconds))?
            );
            Ok(())
        }
        _ => anyhow::bail!(
            "usage: hooks bare ADDR SECRET FOLDER | hooks none ADDR SECRET | hooks load ADDR PATH SECRET CONNECTIONS EVENTS \
             | hooks flood ADDR PATH SECRET SECONDS"
        ),
    }
}

/// As many threads as the daemon has.
fn serving() -> std::io::Result<tokio::runtime::Runtime> {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build()
}
