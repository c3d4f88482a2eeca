//! Delivering: what is ready goes to its target, a file at a time or a record at a time. A target in trouble
//! stops its own flow only.

use std::time::Duration;

use contract::Target;

use super::Engine;
use super::files::FileFlow;
use super::records::RecordFlow;

/// How much a run does for one flow of records before it looks after the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Portion {
    /// All that is due.
    All,
    /// What can be begun in this time.
    For(Duration),
}

/// The portion of a run that has other things to do as well.
const SOME: Portion = Portion::For(Duration::from_secs(1));

impl Engine {
    /// Delivers what is ready, for each flow. `close`: files also of what does not fill one yet, and all records
    /// that are due.
    pub async fn deliver_all(&mut self, close: bool) -> anyhow::Result<()> {
        let portion = if close { Portion::All } else { SOME };
        let mut flows = self.flows.clone();
        flows.sort_by_key(|flow| flow.depth);
        for flow in flows {
            if !self.delivers(&flow) || self.is_target_down(&flow.name) {
                continue;
            }
            match &flow.to {
                Target::Files(files) => {
                    let flow = FileFlow::new(&flow, files);
                    self.deliver_files(&flow, close).await?;
                    self.look_for_acks(&flow).await?;
                }
                Target::Records(records) => {
                    self.deliver_records(&RecordFlow::new(&flow, records), portion).await?;
                }
            }
        }
        Ok(())
    }
}
