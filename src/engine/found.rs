//! Meeting the targets at the start of a run: batches left in the middle are finished, and files that
//! this state knows nothing of are taken note of. Such files mean that the state is older than its
//! target, or new: a backup was put back, or the state file was lost. What they hold is not sent again.
//!
//! The comparison is by rows. Known limit: a record that went from A to B and back to A while the state
//! was lost is taken for the first A, and the second is not sent.

use std::collections::HashMap;

use contract::{Hash, Malformed, Target};

use super::files::FileFlow;
use super::{Engine, Flow};
use crate::store::Ready;

impl Engine {
    pub async fn meet_targets(&mut self) -> anyhow::Result<()> {
        for flow in self.flows.clone() {
            let Target::Files(files) = &flow.to else { continue };
            if let Err(error) = self.meet(&FileFlow::new(&flow, files)).await {
                self.stop_target(&flow, error).await?;
            }
        }
        Ok(())
    }

    async fn meet(&mut self, flow: &FileFlow) -> anyhow::Result<()> {
        let lane = self.lanes.of(&flow.target);
        let _turn = lane.turn().await;
        if !self.store.found_rows(&flow.target).await?.is_empty() {
            self.ahead.insert(flow.target.clone());
        }
        if self.dry {
            return self.finish_batches(flow).await;
        }
        let place = flow.files.place();
        let known = self.store.batch_names(&flow.target).await?;
        let mut unknown: Vec<(u64, String)> = Vec::new();
        for name in place.list().await? {
            if !known.contains(&name)
                && let Some(number) = flow.files.number_of(&name)
            {
                unknown.push((number, name));
            }
        }
        self.finish_batches(flow).await?;
        self.clear_staged(flow).await?;
        unknown.sort();
        if unknown.is_empty() {
            return Ok(());
        }
        self.voice.say(&format!(
            "{}: {} files in {} are not in the state file; what they hold is not sent again",
            flow.name,
            unknown.len(),
            place.describe()
        ));
        self.store.start_epoch().await?;
        for (number, name) in unknown {
            let bytes = place.read(&name).await?;
            let rows = match flow.files.rows_of(&bytes) {
                Ok(rows) => rows,
                Err(Malformed(why)) => {
                    tracing::warn!(file = name, "cannot be compared with what is to be sent: {why}");
                    Vec::new()
                }
            };
            self.store.found(&flow.target, &name, number, &rows).await?;
        }
        self.ahead.insert(flow.target.clone());
        Ok(())
    }

    /// With all batches finished, no temporary file of ours should be left. One of an unknown name was never
    /// recorded as staged, so its versions go out under a name to come. One of a finished batch contradicts
    /// that it is gone: the folder was another one then, such as an empty mount point, so it is published now.
    async fn clear_staged(&self, flow: &FileFlow) -> anyhow::Result<()> {
        let place = flow.files.place();
        let known = self.store.batch_names(&flow.target).await?;
        let (done, mut unknown): (Vec<String>, Vec<String>) =
            place.staged().await?.into_iter().partition(|name| known.contains(name));
        unknown.retain(|name| flow.files.number_of(name).is_some());
        place.discard(&unknown).await?;
        for name in done {
            tracing::warn!(file = name, "was taken for published and is not; it is published now");
            place.publish(&name).await?;
        }
        Ok(())
    }

    /// Whether the target holds rows that this state does not account for.
    pub(super) fn ahead(&self, flow: &Flow) -> bool {
        self.ahead.contains(&flow.target)
    }

    pub(super) async fn found_rows_if(&self, flow: &Flow, ready: &[Ready]) -> anyhow::Result<HashMap<Hash, i64>> {
        if ready.iter().any(|version| version.doubt) {
            self.store.found_rows(&flow.target).await
        } else {
            Ok(HashMap::new())
        }
    }
}

/// Takes a version's rows out of what was found, if all of them are there.
pub(super) fn takes_all(found: &mut HashMap<Hash, i64>, rows: &[Hash]) -> bool {
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        match found.get_mut(row) {
            Some(n) if *n > 0 => {
                *n -= 1;
                taken.push(row);
            }
            _ => {
                for row in taken {
                    *found.entry(*row).or_default() += 1;
                }
                return false;
            }
        }
    }
    true
}
