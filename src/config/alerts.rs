//! `alerts:`, who is told when data does not flow, and from when on that is so. Nothing here sends anything.

use std::time::Duration;

pub use connectors::notice::{Channel, Notice};
use contract::settings::Reader;

use super::sections::well_named;

#[derive(Clone, Debug)]
pub struct Alerts {
    /// By name; empty: nobody is told.
    pub channels: Vec<(String, Channel)>,
    /// What stands is told again after this. Zero: never.
    pub remind_every: Duration,
    /// A flow's trouble is an alert once it has lasted this long.
    pub trouble_after: Duration,
    /// Records that wait longer are an alert.
    pub backlog_after: Duration,
    /// Less room on the disk of the state file is an alert.
    pub low_disk: u64,
}

pub(super) fn read(file: &mut Reader<'_>) -> Option<Alerts> {
    file.field("alerts", "who is told when data does not flow, and from when on")
        .section(|section| {
            let channels = section
                .field("to", "who is told, by a name of your choice")
                .map_of(|name, reader| {
                    well_named(reader, &name.text, name.span);
                    Channel::read(reader)
                });
            let remind_every = section
                .field("remind_every", "what stands is told again after this; 0s: never")
                .default("24h")
                .duration();
            let trouble_after = section
                .field(
                    "trouble_after",
                    "a flow's trouble is an alert once it has lasted this long",
                )
                .default("2m")
                .duration();
            let backlog_after = section
                .field("backlog_after", "records that wait longer than this are an alert")
                .default("1h")
                .duration();
            let low_disk = section
                .field(
                    "low_disk",
                    "less room than this on the disk of the state file is an alert",
                )
                .default("256MiB")
                .size();
            Some(Alerts {
                channels,
                remind_every: remind_every?,
                trouble_after: trouble_after?,
                backlog_after: backlog_after?,
                low_disk: low_disk?,
            })
        })
}
