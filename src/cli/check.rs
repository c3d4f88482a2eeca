//! `check`: the config, and with `--connect` what it points at.

use std::path::Path;

use super::{DONE, FAILED, setup};
use crate::config::Mode;

pub(super) async fn check(path: &Path, connect: bool) -> anyhow::Result<u8> {
    let config = setup::load(path, Mode::Full)?;
    for flow in &config.flows {
        println!("ok  flow {}: {} to {}", flow.name, flow.from, flow.to);
    }
    println!(
        "ok  {}: {} flows, {} connectors",
        path.display(),
        config.flows.len(),
        config.connectors.len()
    );
    if !connect {
        return Ok(DONE);
    }
    let mut code = DONE;
    for name in config.connectors.keys() {
        let connector = match setup::visit(&config, name).await {
            Ok(connector) => connector,
            Err(error) => {
                println!("FAILED  {name}: {error:#}");
                code = FAILED;
                continue;
            }
        };
        for finding in connector.probe().await {
            match finding.result {
                Ok(told) => println!("ok  {name}: {}: {told}", finding.what),
                Err(error) if finding.optional => println!("note  {name}: {}: {error}", finding.what),
                Err(error) => {
                    println!("FAILED  {name}: {}: {error}", finding.what);
                    code = FAILED;
                }
            }
        }
    }
    Ok(code)
}
