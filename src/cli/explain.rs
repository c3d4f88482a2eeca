//! `explain RECORD`: what the state knows of one record, and `backup PATH`, a copy of that state. Both look only.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::output::{line, local, print_json, utc};
use super::{DONE, FAILED};
use crate::config::Mode;
use crate::store::{Store, back_up};
use crate::work::load;

const DETAIL_CHARS: usize = 400;

pub(super) async fn explain(path: &Path, record: &str, json: bool) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let facts = match Store::look(&config.state_path).await? {
        Some(store) => store.story(record).await?,
        None => Vec::new(),
    };
    if json {
        let facts: Vec<Json> = facts
            .iter()
            .map(|fact| {
                json!({"at": utc(fact.at), "place": fact.place, "key": fact.key, "what": fact.what, "detail": fact.detail})
            })
            .collect();
        print_json(&json!({"record": record, "facts": facts}))?;
    } else {
        for fact in &facts {
            let at = local(fact.at, &config.timezone);
            let detail = line(&fact.detail, DETAIL_CHARS);
            outln!("{at}  {}  {}  {}  {detail}", fact.place, fact.key, fact.what);
        }
    }
    if facts.is_empty() {
        eprintln!("the state knows nothing of `{record}`, neither by the store's key nor by a target's id");
        return Ok(FAILED);
    }
    Ok(DONE)
}

pub(super) async fn backup(path: &Path, to: &Path) -> anyhow::Result<u8> {
    let config = load(path, Mode::Offline)?;
    let bytes = back_up(&config.state_path, to).await?;
    outln!("{}: {bytes} bytes, checked", to.display());
    Ok(DONE)
}
