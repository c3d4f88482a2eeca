//! `alert test`: tells each of those whom the config names, and what came of it. It touches no state.

use std::path::Path;

use clap::Subcommand;

use super::{DONE, FAILED, Usage};
use crate::config::{Mode, Notice};
use crate::work::load;

#[derive(Debug, Subcommand)]
pub(super) enum AlertCommand {
    /// Send a test to each, or to this one; exits with 1 if one was not told
    Test { name: Option<String> },
}

impl AlertCommand {
    pub(super) async fn run(self, path: &Path) -> anyhow::Result<u8> {
        let AlertCommand::Test { name: only } = self;
        let config = load(path, Mode::Full)?;
        let channels = &config.alerts.channels;
        if let Some(only) = &only
            && channels.iter().all(|(name, _)| name != only)
        {
            return Err(Usage(format!("the config has no `{only}` in alerts.to")).into());
        }
        if channels.is_empty() {
            return Err(Usage("the config names nobody in alerts.to".to_owned()).into());
        }
        let notice = Notice {
            subject: "selorax-sync: test".to_owned(),
            text: "This is a test. Alerts arrive here when data does not flow.\n".to_owned(),
        };
        let mut code = DONE;
        for (name, channel) in channels
            .iter()
            .filter(|(name, _)| only.as_ref().is_none_or(|only| only == name))
        {
            match channel.send(&notice).await {
                Ok(()) => outln!("{name}: told"),
                Err(why) => {
                    outln!("{name}: NOT told: {why}");
                    code = FAILED;
                }
            }
        }
        Ok(code)
    }
}
