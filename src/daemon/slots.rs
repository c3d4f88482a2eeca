//! Which flows are due by their schedule. A time that was missed is made up once, however many were; a
//! clock that is set back or forward neither stops a schedule nor runs it twice for one time.

use contract::Stamp;
use croner::Cron;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) flow: String,
    /// `None`: only when it is asked for.
    cron: Option<Cron>,
    /// The latest time of the schedule that was served; `None`: it never ran.
    served: Option<Stamp>,
}

impl Slot {
    pub(super) fn new(flow: &str, cron: Option<Cron>, served: Option<Stamp>) -> Slot {
        Slot {
            flow: flow.to_owned(),
            cron,
            served,
        }
    }

    /// The time that is due to be served: the latest of the schedule, if it was not. A flow that never ran is due
    /// at once.
    pub(super) fn due(&mut self, now: Stamp, zone: &TimeZone) -> Option<Stamp> {
        let Some(served) = self.served else { return Some(now) };
        let latest = self.latest(now, zone)?;
        if served > now {
            // The clock was set back. What lies between was served already; go on from here.
            self.served = Some(latest);
            return None;
        }
        (latest > served).then_some(latest)
    }

    pub(super) fn serve(&mut self, slot: Stamp) {
        self.served = Some(slot);
    }

    pub(super) fn next(&self, now: Stamp, zone: &TimeZone) -> Option<Stamp> {
        let now = zoned(now, zone)?;
        let next = self.cron.as_ref()?.find_next_occurrence(&now, false).ok()?;
        Some(next.timestamp().as_millisecond())
    }

    fn latest(&self, now: Stamp, zone: &TimeZone) -> Option<Stamp> {
        let now = zoned(now, zone)?;
        let latest = self.cron.as_ref()?.find_previous_occurrence(&now, true).ok()?;
        Some(latest.timestamp().as_millisecond())
    }
}

fn zoned(stamp: Stamp, zone: &TimeZone) -> Option<Zoned> {
    Some(Timestamp::from_millisecond(stamp).ok()?.to_zoned(zone.clone()))
}
