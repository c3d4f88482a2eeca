//! Whether a target can be searched for what was created there. Everything that is done about a call that went
//! unanswered rests on it, and there are targets that cut a reference, change its case or trim it. So the first record
//! that a run creates is looked for before the next one is sent. No record is ever made for the sake of it.

use std::time::Duration;

use contract::{Clock, Push, Receipt, RecordTarget, Target};

use super::records::RecordFlow;
use super::{Engine, Flow};

/// What became of the look: found, or why what is created there will not be found. `None`: the target did not say.
pub(super) type Proof = Option<Result<(), String>>;

fn alert_of(flow: &str) -> String {
    format!("search-{flow}")
}

/// Looks for a record that was created just now.
pub(super) async fn prove(to: &dyn RecordTarget, push: &Push, receipt: &Receipt, clock: &dyn Clock) -> Proof {
    let created = receipt.id.as_ref();
    let of_key = match created {
        Some(id) => format!("record {} was created there as {}", push.key.0, id.0),
        None => format!("record {} was created there", push.key.0),
    };
    // A search may lag behind a little.
    let recheck = to.unknown().recheck;
    for after in [Duration::ZERO, recheck / 10, recheck] {
        clock.sleep(after).await;
        let other = match to.find(&push.record).await {
            Ok(Some(found)) => match (created, found.id) {
                (Some(created), Some(found)) if *created != found => found,
                _ => return Some(Ok(())),
            },
            Ok(None) => continue,
            Err(error) if error.fault == contract::Fault::Rejected => {
                return Some(Err(format!("{of_key}, and looking for it is refused: {error}")));
            }
            Err(_) => return None,
        };
        return Some(Err(format!(
            "{of_key}, and `find` answers with {}: it looks for too little",
            other.0
        )));
    }
    Some(Err(format!(
        "{of_key}, and `find` does not find it{}",
        theirs(to, push, receipt).await
    )))
}

/// What the target made of the fields that can be compared.
async fn theirs(to: &dyn RecordTarget, push: &Push, receipt: &Receipt) -> String {
    let Some(id) = receipt.id.as_ref().filter(|_| to.abilities().compare) else {
        return String::new();
    };
    match to.compare(id, &push.record).await {
        Ok(Some(differences)) if !differences.is_empty() => {
            format!("; it has {}", super::calls::told(&differences))
        }
        _ => String::new(),
    }
}

impl Engine {
    /// Whether the next create has to be alone, and looked for.
    pub(super) fn is_unproven(&self, flow: &RecordFlow) -> bool {
        let is_proven = self.ledger.get(&flow.name).is_some_and(|ledger| ledger.proven);
        flow.to.abilities().find && !is_proven
    }

    /// What was said of a search that the config does not have any more stands no longer.
    pub(super) async fn forget_search(&self, flow: &Flow) -> anyhow::Result<()> {
        if !matches!(&flow.to, Target::Records(to) if to.abilities().find) {
            self.store.calm(&alert_of(&flow.name)).await?;
        }
        Ok(())
    }

    /// A target that cannot be searched gets nothing more from this run: an answer that is lost would leave a record
    /// that nobody finds, and a second one beside it.
    pub(super) async fn proved(&mut self, flow: &RecordFlow, proof: Result<(), String>) -> anyhow::Result<()> {
        let alert = alert_of(&flow.name);
        let Err(why) = proof else {
            self.ledger(&flow.name).proven = true;
            self.store.calm(&alert).await?;
            return Ok(());
        };
        let told = format!(
            "{why}. Nothing more is sent until the reference arrives unchanged and `find` looks for it: compare its length, \
             case and blanks there with what the mapping makes. The next start, or the next --once, tries again with the \
             next record"
        );
        tracing::error!(flow = flow.name, "{told}");
        let ledger = self.ledger(&flow.name);
        ledger.target_error = Some(told.clone());
        ledger.target_rest = None;
        self.store.raise(&alert, &told).await?;
        self.store.failed(&flow.name, &told).await
    }
}
