//! Tryton, the ERP that one of the tests fills for real: installed into the target folder, with a database that the
//! test copies. What is there and made from the same files is left as it is.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Context;

use crate::{root, stage, target};

/// What `tests/tryton/setup.py` gives the test as its key.
const KEY: &str = "0123456789abcdef0123456789abcdef";
const MODULES: [&str; 3] = ["sale", "stock", "account_invoice"];

pub(crate) fn provide() -> anyhow::Result<()> {
    let folder = target().join("tryton");
    let source = root().join("tests/tryton");
    let requirements = fs::read_to_string(source.join("requirements.txt")).context("reading its requirements")?;
    let setup = fs::read_to_string(source.join("setup.py")).context("reading its setup")?;
    // The folder too: its programs name it, so they work nowhere else.
    let made_from = format!("{}\n{requirements}\n{setup}\n{KEY}\n{MODULES:?}", folder.display());
    let ready = folder.join("ready");
    if fs::read_to_string(&ready).is_ok_and(|before| before == made_from) && works(&folder) {
        return Ok(());
    }
    println!("installing Tryton into {}", folder.display());
    if folder.exists() {
        fs::remove_dir_all(&folder).context("removing an older Tryton")?;
    }
    fs::create_dir_all(&folder)?;
    install(&folder, &source)?;
    fill(&folder, &source)?;
    // Last of all: what was broken off before is begun anew.
    fs::write(&ready, made_from)?;
    Ok(())
}

/// Not where the machine's Python has become another one.
fn works(folder: &Path) -> bool {
    let mut python = Command::new(folder.join("venv/bin/python"));
    let outcome = python.args(["-c", "import trytond, lxml.etree"]).output();
    outcome.is_ok_and(|outcome| outcome.status.success())
}

fn install(folder: &Path, source: &Path) -> anyhow::Result<()> {
    let venv = folder.join("venv");
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&venv);
    stage::run(make)?;
    let mut pip = Command::new(venv.join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-deps",
        "--requirement",
    ]);
    pip.arg(source.join("requirements.txt"));
    stage::run(pip)
}

fn fill(folder: &Path, source: &Path) -> anyhow::Result<()> {
    let config = folder.join("trytond.conf");
    fs::write(
        &config,
        format!("[database]\nuri = sqlite://\npath = {}\n", folder.display()),
    )?;
    // Its commands want the file to be there.
    fs::write(folder.join("erp.sqlite"), "")?;
    let password = folder.join("password");
    fs::write(&password, "for-the-tests-only")?;
    let mut admin = Command::new(folder.join("venv/bin/trytond-admin"));
    admin.arg("-c").arg(&config).args([
        "-d",
        "erp",
        "--activate-dependencies",
        "--email",
        "admin@example.com",
        "-u",
    ]);
    admin.args(MODULES).env("TRYTONPASSFILE", &password);
    stage::run(admin)?;
    let mut setup = Command::new(folder.join("venv/bin/python"));
    setup.arg(source.join("setup.py")).arg("erp").arg(&config).arg(KEY);
    stage::run(setup)
}
