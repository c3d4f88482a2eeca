//! Programs that the tests start. What is missing is installed from Debian's packages by root, and
//! named with its command for everyone else: a test must never pass because it could not run.

use std::path::PathBuf;
use std::process::Command;

use crate::stage;

/// A program, and the Debian package that it comes in.
const NEEDS: [(&str, &str); 6] = [
    // System calls are counted, made to fail, and cut off by a kill.
    ("strace", "strace"),
    // A process is run as another user, on a small disk of its own, and sent signals.
    ("setpriv", "util-linux"),
    ("mount", "mount"),
    ("kill", "procps"),
    // A daemon is run while its clock jumps.
    ("faketime", "faketime"),
    // The unit files are checked by the tool that reads them.
    ("systemd-analyze", "systemd"),
];

pub(crate) fn provide() -> anyhow::Result<()> {
    let missing = NEEDS.iter().filter(|(program, _)| find(program).is_none());
    let mut missing: Vec<&str> = missing.map(|(_, package)| *package).collect();
    // A real ERP is installed for its test, and Debian's python alone makes no environment for it.
    if !makes_environments() {
        missing.push("python3-venv");
    }
    if missing.is_empty() {
        return Ok(());
    }
    let packages = missing.join(" ");
    if !is_root() || find("apt-get").is_none() {
        anyhow::bail!("the tests need {packages}\nhint: sudo apt-get install --no-install-recommends {packages}");
    }
    println!("installing {packages}");
    stage::run(apt(&["update", "-qq"]))?;
    let mut install = apt(&["install", "-qq", "--yes", "--no-install-recommends"]);
    install.args(missing);
    stage::run(install)
}

fn apt(args: &[&str]) -> Command {
    let mut apt = Command::new("apt-get");
    apt.args(args).env("DEBIAN_FRONTEND", "noninteractive");
    apt
}

pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

fn makes_environments() -> bool {
    let python = Command::new("python3").args(["-c", "import ensurepip, venv"]).output();
    python.is_ok_and(|python| python.status.success())
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.trim_ascii() == b"0")
}
