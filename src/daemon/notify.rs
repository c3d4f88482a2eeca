//! Tells systemd how it goes (sd_notify(3)): one datagram to the socket that it named, if it named one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

pub(super) fn ready() {
    tell("READY=1");
}

pub(super) fn stopping() {
    tell("STOPPING=1");
}

fn tell(message: &str) {
    let Some(name) = crate::config::notify_socket() else {
        return;
    };
    if let Err(error) = send(&name, message) {
        tracing::debug!("telling systemd {message}: {error}");
    }
}

/// A name that begins with `@` is in the abstract namespace.
fn send(name: &std::ffi::OsStr, message: &str) -> std::io::Result<()> {
    let address = match name.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    UnixDatagram::unbound()?.send_to_addr(message.as_bytes(), &address)?;
    Ok(())
}
