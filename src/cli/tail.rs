//! `tail`: what is being delivered, live. Looks at the state file only, so it shows what any process that
//! works with it delivers.

use std::path::Path;
use std::time::Duration;

use super::Usage;
use super::output::local;
use crate::config::Mode;
use crate::store::{Delivered, Store};
use crate::work::load;

const LOOK_EVERY: Duration = Duration::from_millis(300);

pub(super) async fn tail(path: &Path, flow: Option<&str>, lines: u32) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    if let Some(name) = flow
        && !config.flows.iter().any(|flow| flow.name == name)
    {
        return Err(Usage(format!("there is no flow `{name}`")).into());
    }
    let show = |delivered: &Delivered, skip: usize| {
        for key in delivered.keys.iter().skip(skip) {
            let at = local(delivered.at, &config.timezone);
            outln!("{at}  {}  {}  {}", delivered.flow, key.0, delivered.name);
        }
    };
    let mut store = None;
    let mut last = None;
    loop {
        if store.is_none() {
            store = Store::look(&config.state_path).await?;
        }
        if let Some(store) = &store {
            match last {
                None => {
                    let upto = store.last_delivery().await?;
                    let latest = store.delivered_last(flow, upto, lines).await?;
                    last = Some(upto);
                    let rows: usize = latest.iter().map(|delivered| delivered.keys.len()).sum();
                    let mut skip = rows.saturating_sub(usize::try_from(lines)?);
                    for delivered in &latest {
                        show(delivered, skip);
                        skip = skip.saturating_sub(delivered.keys.len());
                    }
                }
                Some(seen) => {
                    for delivered in store.delivered_since(flow, seen).await? {
                        show(&delivered, 0);
                        last = Some(delivered.number);
                    }
                }
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
