//! Alerts reach people (A22), and a copy of the state is one to go on from (A15).

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::rig::{daemon, settled, setup, stop};
use crate::support::{Desk, Setup, Shop};

/// A server on loopback that keeps what it was told.
struct Sink {
    port: u16,
    told: Arc<Mutex<Vec<String>>>,
}

impl Sink {
    fn open(serve: fn(TcpStream) -> Option<String>) -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = told.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(text) = serve(stream) {
                    kept.lock().unwrap().push(text);
                }
            }
        });
        Sink { port, told }
    }

    fn told(&self) -> Vec<String> {
        self.told.lock().unwrap().clone()
    }

    fn count(&self, part: &str) -> usize {
        self.told().iter().filter(|text| text.contains(part)).count()
    }
}

/// Takes one POST.
fn http(stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
    reader.get_mut().write_all(answer).ok()?;
    String::from_utf8(body).ok()
}

/// Takes one mail.
fn smtp(stream: TcpStream) -> Option<String> {
    let mut reader = BufReader::new(stream);
    let say = |reader: &mut BufReader<TcpStream>, text: &str| reader.get_mut().write_all(text.as_bytes()).ok();
    say(&mut reader, "220 here\r\n")?;
    let (mut mail, mut is_data) = (String::new(), false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            break;
        }
        if is_data {
            is_data = line != ".\r\n";
            match is_data {
                true => mail.push_str(&line),
                false => say(&mut reader, "250 taken\r\n")?,
            }
        } else if line.starts_with("DATA") {
            is_data = true;
            say(&mut reader, "354 go on\r\n")?;
        } else if line.starts_with("QUIT") {
            say(&mut reader, "221 bye\r\n")?;
            break;
        } else {
            say(&mut reader, "250 here\r\n")?;
        }
    }
    Some(mail)
}

/// `low_disk` is what makes an alert, and takes it back.
fn config(webhook: u16, mail: u16, file: &str, low_disk: &str) -> Setup {
    let mut setup = setup();
    setup.webhooks = format!(
        r#"alerts:
  low_disk: {low_disk}
  trouble_after: 0s
  to:
    chat: {{type: webhook, url: "http://127.0.0.1:{webhook}/hook/CANARY-IN-URL"}}
    mail: {{type: email, server: 127.0.0.1, port: {mail}, security: none, from: sync@example.com, to: [ops@example.com]}}
    page: {{type: command, run: [/bin/sh, -c, "cat >> {file}"]}}
"#
    );
    setup
}

#[test]
fn a22_each_is_told_once_across_restarts_and_of_the_end() {
    let shop = Shop::of(5);
    let (chat, mail) = (Sink::open(http), Sink::open(smtp));
    let mut desk = Desk::with(&shop, setup());
    let file = desk.path("paged");
    let shown = file.display().to_string();
    let paged = || std::fs::read_to_string(&file).unwrap_or_default();
    desk.setup = config(chat.port, mail.port, &shown, "1000000GiB");
    desk.configure();
    let mut running = daemon(&desk);
    running.until("all three told", || {
        chat.count("alert: low-disk") == 1 && mail.count("alert: low-disk") == 1 && paged().contains("alert: low-disk")
    });
    desk.run(&["status", "--check"]).ends(3);
    stop(running);
    let mut running = daemon(&desk);
    // Proof that the herald was at work again is the end, which comes by a reload.
    desk.setup = config(chat.port, mail.port, &shown, "0");
    desk.configure();
    running.signal("HUP");
    running.until("all three told of the end", || {
        chat.count("over: low-disk") == 1 && mail.count("over: low-disk") == 1 && paged().contains("over: low-disk")
    });
    stop(running);
    // The pretend store's clock is its own, so that of this machine is another alert.
    assert_eq!(
        (chat.count("low-disk"), mail.count("low-disk")),
        (2, 2),
        "{:?}",
        chat.told()
    );
    assert_eq!(paged().matches("alert: low-disk").count(), 1);
}

#[test]
fn a22_one_that_refuses_is_told_once_it_takes_it_and_its_address_is_never_shown() {
    let shop = Shop::of(5);
    let mail = Sink::open(smtp);
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let mut desk = Desk::with(&shop, setup());
    let file = desk.path("paged").display().to_string();
    desk.setup = config(port, mail.port, &file, "0");
    desk.configure();
    let outcome = desk.run(&["alert", "test"]).ends(1);
    for part in ["chat: NOT told: it cannot be reached", "mail: told", "page: told"] {
        assert!(outcome.out.contains(part), "{part:?} is not in {}", outcome.out);
    }
    assert!(!outcome.out.contains("CANARY-IN-URL") && !outcome.err.contains("CANARY-IN-URL"));
    assert_eq!(mail.count("selorax-sync: test"), 1);
    assert!(std::fs::read_to_string(&file).unwrap().contains("selorax-sync: test"));
    desk.run(&["alert", "test", "nobody"]).ends(2).says(&["no `nobody`"]);
}

#[test]
fn a15_a_backup_beside_a_daemon_is_gone_on_from_with_nothing_lost_or_twice() {
    let shop = Shop::of(60);
    let desk = Desk::with(&shop, setup());
    let running = settled(&desk, &shop);
    let copy = desk.path("copy.db");
    let copied = copy.display().to_string();
    desk.run(&["backup", &copied]).ends(0);
    desk.run(&["backup", &copied]).ends(1).says(&["there already"]);
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    // What happens after the backup is in the target's files, and unknown to the copy.
    shop.world().advance(Duration::from_secs(60));
    for id in shop.some_ids(7) {
        shop.world()
            .update_order(id, |order| order.status = "shipped".to_owned());
    }
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    let before = desk.rows();
    stop(running);
    for end in ["", "-wal", "-shm", ".seal"] {
        std::fs::remove_file(desk.path(&format!("state.db{end}"))).ok();
    }
    std::fs::rename(&copy, desk.state()).unwrap();
    desk.run(&["--once"]).ends(0);
    desk.check(&shop);
    assert_eq!(
        desk.rows(),
        before,
        "what was delivered since the backup is not delivered again"
    );
}

#[test]
fn a24_explain_tells_the_file_of_an_order_and_says_when_it_knows_nothing() {
    let shop = Shop::of(5);
    let desk = Desk::new(&shop);
    desk.run(&["--backfill"]).ends(0);
    let id = shop.some_ids(1)[0].to_string();
    let outcome = desk.run(&["explain", &id, "--json"]).ends(0);
    assert!(
        outcome.out.contains("\"file\"") && outcome.out.contains("orders-"),
        "{}",
        outcome.out
    );
    desk.run(&["explain", "no-such"]).ends(1).says(&["knows nothing"]);
}
