//! Licences, bans and sources of the crates in the tree, and the advisories against them where their
//! database can be had.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{needs, root, stage, target};

const VERSION: &str = "0.20.2";

pub(crate) fn check() -> anyhow::Result<()> {
    let tool = provide()?;
    stage::run(deny(
        &tool,
        &["check", "--hide-inclusion-graph", "bans", "licenses", "sources"],
    ))?;
    let fetched = deny(&tool, &["fetch", "db"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if fetched.success() {
        return stage::run(deny(&tool, &["check", "--disable-fetch", "advisories"]));
    }
    println!("!! ADVISORIES NOT CHECKED: their database cannot be fetched here.");
    println!("!! Where it can: cargo deny check advisories");
    Ok(())
}

fn deny(tool: &PathBuf, args: &[&str]) -> Command {
    let mut deny = Command::new(tool);
    deny.args(args).current_dir(root());
    deny
}

/// cargo-deny as it is installed, else of our own making, kept beside what cargo builds.
fn provide() -> anyhow::Result<PathBuf> {
    if let Some(installed) = needs::find("cargo-deny") {
        return Ok(installed);
    }
    let tools = target().join("tools");
    let own = tools.join("bin/cargo-deny");
    if !own.is_file() {
        println!("installing cargo-deny {VERSION}; once, it takes a few minutes");
        // Without optimisation: it builds in a fraction of the time and checks this tree in a second.
        let mut install = crate::cargo(&["install", "cargo-deny", "--locked", "--debug", "--version", VERSION]);
        install
            .arg("--root")
            .arg(&tools)
            .env("CARGO_PROFILE_DEV_DEBUG", "false");
        stage::run(install)?;
    }
    Ok(own)
}
