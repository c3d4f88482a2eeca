//! `tail`: what is being delivered, live. Looks at the state file only, so it shows what any process that
//! works with it delivers.

use std::path::Path;
use std::time::Duration;

use super::Usage;
use crate::config::Mode;
use crate::store::{Delivered, Store};
use crate::work::{load, local};

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
            outln!("{at}  {}  {}  {}", delivered.flow, key.0, delivered.what);
        }
    };
    let mut store = None;
    let mut mark = None;
    loop {
        if store.is_none() {
            store = Store::look(&config.state_path).await?;
        }
        if let Some(store) = &store {
            let seen = match mark {
                Some(seen) => seen,
                None => {
                    let seen = store.delivery_mark().await?;
                    let latest = store.delivered_lately(flow, seen, lines).await?;
                    let rows: usize = latest.iter().map(|delivered| delivered.keys.len()).sum();
                    let mut skip = rows.saturating_sub(usize::try_from(lines)?);
                    for delivered in &latest {
                        show(delivered, skip);
                        skip = skip.saturating_sub(delivered.keys.len());
                    }
                    seen
                }
            };
            let (news, seen) = store.delivered_after(flow, seen).await?;
            news.iter().for_each(|delivered| show(delivered, 0));
            mark = Some(seen);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
