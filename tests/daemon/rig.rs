//! A daemon of the real binary at a desk.

use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use crate::support::{Desk, Running, Setup, Shop};

/// So rarely that in a test a flow runs only at its start, and when it is asked to.
pub(super) const HARDLY_EVER: &str = "    schedule: \"0 0 1 1 *\"\n";

pub(super) fn setup() -> Setup {
    Setup {
        flow: HARDLY_EVER.to_owned(),
        ..Setup::default()
    }
}

pub(super) fn socket(desk: &Desk) -> PathBuf {
    desk.path("state.db.sock")
}

/// Starts the daemon and waits until it takes commands.
pub(super) fn daemon(desk: &Desk) -> Running {
    let mut running = desk.start(&["run"]);
    // One that lies there may be left over: somebody must listen.
    running.until("the control socket", || UnixStream::connect(socket(desk)).is_ok());
    running
}

/// A daemon that has done all there was to do at its start.
pub(super) fn settled(desk: &Desk, shop: &Shop) -> Running {
    let running = daemon(desk);
    desk.run(&["--backfill"]).ends(0);
    desk.check(shop);
    running
}

/// Ends it in order.
pub(super) fn stop(running: Running) {
    running.signal("TERM");
    running.wait().ends(0);
}
