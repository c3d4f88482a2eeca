//! The program as a daemon: started until it answers, asked beside, told to stop.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::{Desk, Outcome, Running, Setup};

/// The promise: told to stop, it has ended by then.
pub(crate) const STOPS_WITHIN: Duration = Duration::from_secs(10);

impl Setup {
    /// A flow with a schedule, as a daemon needs it. The times of the schedule hardly come within a test: the first
    /// pass is due at the start, further ones are asked for.
    pub(crate) fn scheduled() -> Setup {
        Setup {
            flow: "    schedule: \"* * * * *\"\n".to_owned(),
            ..Setup::default()
        }
    }
}

impl Desk {
    /// The daemon, once it answers.
    pub(crate) fn daemon(&self) -> Running {
        self.daemon_by(self.command(&["run"]))
    }

    /// The daemon as this command starts it, once it answers.
    pub(crate) fn daemon_by(&self, command: Command) -> Running {
        let mut daemon = self.launch(command);
        daemon.until("the daemon's answer", || self.answers());
        daemon
    }

    /// The daemon under strace, once it answers. What is started is the daemon itself, so that signals meet it.
    pub(crate) fn traced_daemon(&self, trace: &str, inject: Option<&str>) -> Running {
        self.daemon_by(self.traced_command(&["-D"], trace, inject, &["run"]))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        let mut name = self.state().into_os_string();
        name.push(".sock");
        name.into()
    }

    /// Whether a daemon answers at the socket beside the state file.
    pub(crate) fn answers(&self) -> bool {
        let asked = || -> std::io::Result<bool> {
            let mut stream = UnixStream::connect(self.socket())?;
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            stream.write_all(b"\"ping\"\n")?;
            let mut line = String::new();
            Ok(BufReader::new(stream).read_line(&mut line)? > 0)
        };
        asked().unwrap_or(false)
    }

    /// Asks the daemon for passes until nothing is left to do.
    #[track_caller]
    pub(crate) fn settle_beside(&self) {
        let mut told = String::new();
        for _ in 0..5 {
            let outcome = self.run(&["--once"]);
            if outcome.code == Some(0) {
                return;
            }
            told = format!("{:?}: {}{}", outcome.code, outcome.out, outcome.err);
        }
        panic!("it does not come to rest: {told}");
    }
}

impl Running {
    /// SIGTERM to a daemon: it ends well, and in time.
    #[track_caller]
    pub(crate) fn stop(self) -> Outcome {
        self.signal("TERM");
        self.stops()
    }

    /// A daemon that was told to stop just now ends well, and in time.
    #[track_caller]
    pub(crate) fn stops(self) -> Outcome {
        let told = Instant::now();
        let outcome = self.wait();
        let took = told.elapsed();
        assert!(took < STOPS_WITHIN, "it took {took:?} to stop: {}", outcome.err);
        outcome.ends(0)
    }
}
