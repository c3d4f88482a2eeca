//! One run of a program, watched with a time limit.

use std::fs::File;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::CANARY;

/// How often a run is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Far beyond what any run here takes; one that hangs must not hang the tests.
const LIMIT: Duration = Duration::from_secs(240);

#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
    started: Instant,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
    pub(crate) took: Duration,
}

impl Running {
    /// Output goes to files named after `log`, so that no pipe can fill up and hold the program.
    pub(crate) fn start(mut command: Command, log: PathBuf) -> Running {
        let out = File::create(log.with_extension("out")).unwrap();
        let err = File::create(log.with_extension("err")).unwrap();
        command.stdin(Stdio::null()).stdout(out).stderr(err);
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("starting {:?}: {error}", command.get_program()));
        Running {
            child,
            log,
            started: Instant::now(),
        }
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits until something is so while the run goes on; fails when the run ends first.
    pub(crate) fn until(&mut self, what: &str, mut is_so: impl FnMut() -> bool) {
        while !is_so() {
            assert!(!self.has_ended(), "the run ended before {what}: {}", self.said("err"));
            assert!(
                self.started.elapsed() < LIMIT,
                "{what} did not come: {}",
                self.said("err")
            );
            std::thread::sleep(LOOK);
        }
    }

    /// Waits until this is on its stderr.
    pub(crate) fn until_said(&mut self, part: &str) {
        self.until_said_times(part, 1);
    }

    pub(crate) fn until_said_times(&mut self, part: &str, times: usize) {
        let log = self.log.with_extension("err");
        let said = || {
            String::from_utf8_lossy(&std::fs::read(&log).unwrap_or_default())
                .matches(part)
                .count()
        };
        self.until(part, || said() >= times);
    }

    /// Lets it run for so long, or until it ends.
    pub(crate) fn let_run(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.has_ended() {
            std::thread::sleep(LOOK.min(until.saturating_duration_since(Instant::now())));
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub(crate) fn kill(mut self) -> Outcome {
        self.child.kill().unwrap();
        self.wait()
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill").args([&format!("-{name}"), &id]).status();
        assert!(kill.unwrap().success(), "cannot send {name} to {id}");
    }

    pub(crate) fn wait(mut self) -> Outcome {
        while !self.has_ended() {
            if self.started.elapsed() > LIMIT {
                self.child.kill().unwrap();
                panic!("still running after {LIMIT:?}: {}", self.said("err"));
            }
            std::thread::sleep(LOOK);
        }
        let status = self.child.wait().unwrap();
        let outcome = Outcome {
            code: status.code(),
            signal: status.signal(),
            out: self.said("out"),
            err: self.said("err"),
            took: self.started.elapsed(),
        };
        assert!(!outcome.out.contains(CANARY), "a secret on stdout: {}", outcome.out);
        assert!(!outcome.err.contains(CANARY), "a secret on stderr: {}", outcome.err);
        outcome
    }

    /// What it has written so far to `out` or `err`.
    pub(crate) fn said(&self, stream: &str) -> String {
        let bytes = std::fs::read(self.log.with_extension(stream)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended already, which is most often so.
        if self.child.kill().is_ok() {
            self.child.wait().ok();
        }
    }
}

impl Outcome {
    /// Ended by itself with this code.
    #[track_caller]
    pub(crate) fn ends(self, code: i32) -> Outcome {
        let Outcome { out, err, signal, .. } = &self;
        assert_eq!(
            self.code,
            Some(code),
            "signal {signal:?}\n--- stdout\n{out}\n--- stderr\n{err}"
        );
        self
    }

    /// Said all of this on stderr.
    #[track_caller]
    pub(crate) fn says(self, parts: &[&str]) -> Outcome {
        for part in parts {
            assert!(self.err.contains(part), "{part:?} is not in:\n{}", self.err);
        }
        self
    }
}
