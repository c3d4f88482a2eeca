//! As a service of systemd: when it is ready, and when it is about to end.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use super::rig::setup;
use crate::support::{Desk, Shop};

fn told(socket: &UnixDatagram) -> String {
    let mut message = [0; 256];
    let length = socket.recv(&mut message).unwrap();
    String::from_utf8_lossy(&message[..length]).into_owned()
}

#[test]
fn systemd_is_told_when_it_is_ready_and_when_it_ends() {
    let shop = Shop::of(20);
    let desk = Desk::with(&shop, setup());
    let path = desk.path("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut command = desk.command(&["run"]);
    command.env("NOTIFY_SOCKET", &path);
    let running = desk.launch(command);
    assert_eq!(told(&socket), "READY=1");
    // Ready means that it takes commands.
    desk.run(&["--once"]).ends(0);
    running.signal("TERM");
    assert_eq!(told(&socket), "STOPPING=1");
    running.wait().ends(0);
}

#[test]
fn a_state_file_in_a_deep_folder_has_its_socket_too() {
    let shop = Shop::of(20);
    let mut desk = Desk::with(&shop, setup());
    // The system takes no more than 107 bytes for the path of a socket.
    let deep = ["a-folder-with-a-long-name"; 6].join("/");
    desk.setup.state = format!("./{deep}/state.db");
    desk.configure();
    let mut running = desk.start(&["run"]);
    running.until("the socket", || desk.path(&format!("{deep}/state.db.sock")).exists());
    let before = shop.world().request_count();
    let told = desk.run(&["--once"]).ends(0);
    assert!(told.err.is_empty(), "{}", told.err);
    assert!(shop.world().request_count() > before);
    desk.run(&["failures", "retry", "--all"]).ends(0);
    running.signal("TERM");
    running.wait().ends(0);
}
