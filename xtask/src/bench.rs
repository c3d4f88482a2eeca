//! What a backfill, a push and a webhook cost, against the least that they could cost. Figures are told and judge nothing: a
//! machine is never the same twice, so what counts are the ratios of one run.

mod desk;
mod disk;
mod idle;
mod probe;
mod push;
mod running;
mod tell;
mod webhooks;

use std::process::Command;

use anyhow::Context;

use crate::{cargo, stage, target};
use desk::{Desk, Shop};
use probe::Cost;

pub(crate) use probe::watch;

const ORDERS: [usize; 2] = [20_000, 200_000];
const RUNS: usize = 3;

/// Who reads the pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    /// Parses them, nothing else.
    Parser,
    /// Parses them and writes the same columns.
    Bare,
    Daemon,
}

impl Reader {
    const ALL: [Reader; 3] = [Reader::Parser, Reader::Bare, Reader::Daemon];

    fn name(self) -> &'static str {
        match self {
            Reader::Parser => "serde_json alone",
            Reader::Bare => "bare reader",
            Reader::Daemon => "selorax-sync",
        }
    }

    fn command(self, shop: &Shop, desk: &Desk) -> Command {
        let mut command = Command::new(program(if self == Reader::Daemon { "selorax-sync" } else { "bare" }));
        match self {
            Reader::Parser => command.args(["parse", &shop.url, &shop.token]),
            Reader::Bare => command.args(["write", &shop.url, &shop.token]).arg(&desk.folder),
            Reader::Daemon => command.arg("--config").arg(&desk.config).arg("--backfill"),
        };
        command
    }
}

/// `cargo xtask bench [ORDERS …]`, or `push [ORDERS]`, or `webhooks [EVENTS]`
pub(crate) fn run(args: &[String]) -> anyhow::Result<()> {
    match args {
        [name, args @ ..] if name == "webhooks" => {
            build()?;
            webhooks::run(args)
        }
        [name, args @ ..] if name == "push" => {
            build()?;
            push::run(args)
        }
        args => backfill(args),
    }
}

fn build() -> anyhow::Result<()> {
    stage::run(cargo(&[
        "build",
        "--release",
        "--locked",
        "-p",
        "selorax-sync",
        "-p",
        "bench",
    ]))
}

fn backfill(args: &[String]) -> anyhow::Result<()> {
    let sizes: Vec<usize> = match args {
        [] => ORDERS.to_vec(),
        args => {
            let sizes = args.iter().map(|arg| arg.parse());
            sizes
                .collect::<Result<_, _>>()
                .context("orders are given as whole numbers")?
        }
    };
    build()?;
    tell::head();
    for orders in sizes {
        let shop = Shop::open(&program("selorax-sync"), orders)?;
        let mut costs: Vec<(Reader, Vec<Cost>)> = Reader::ALL.map(|reader| (reader, Vec::new())).into();
        // In turns, so that a noisy minute falls on all three.
        for _ in 0..RUNS {
            for (reader, costs) in &mut costs {
                let desk = Desk::lay(&shop)?;
                let cost = probe::measure(reader.command(&shop, &desk)).with_context(|| reader.name())?;
                desk.check(*reader == Reader::Daemon, orders)?;
                costs.push(cost);
            }
        }
        tell::table(orders, &costs);
        tell::idle(&idle::measure(&program("selorax-sync"), &shop, orders)?);
    }
    Ok(())
}

fn program(name: &str) -> std::path::PathBuf {
    target().join("release").join(name)
}
