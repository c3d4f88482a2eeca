//! `check`: the config, and with `--connect` what it points at.

use std::path::Path;

use super::{DONE, FAILED};
use crate::config::{Config, Mode};
use crate::work;

pub(super) async fn check(path: &Path, connect: bool) -> anyhow::Result<u8> {
    let config = work::load(path, Mode::Full)?;
    Ok(told(&config, connect).await)
}

/// What is good about a config and, where asked for, what it points at.
pub(super) async fn told(config: &Config, connect: bool) -> u8 {
    for flow in &config.flows {
        outln!("ok  flow {}: {} to {}", flow.name, flow.from, flow.to);
    }
    outln!(
        "ok  {}: {} flows, {} connectors",
        config.path.display(),
        config.flows.len(),
        config.connectors.len()
    );
    if !connect {
        return DONE;
    }
    let mut code = DONE;
    for name in config.connectors.keys() {
        let connector = match work::visit(config, name).await {
            Ok(connector) => connector,
            Err(error) => {
                outln!("FAILED  {name}: {error:#}");
                code = FAILED;
                continue;
            }
        };
        for finding in connector.probe().await {
            match finding.result {
                Ok(told) => outln!("ok  {name}: {}: {told}", finding.what),
                Err(error) if finding.optional => outln!("note  {name}: {}: {error}", finding.what),
                Err(error) => {
                    outln!("FAILED  {name}: {}: {error}", finding.what);
                    code = FAILED;
                }
            }
        }
    }
    code
}
