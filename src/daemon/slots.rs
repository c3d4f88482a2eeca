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
        self.cron.as_ref()?;
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::str::FromStr;

    use super::*;

    const MINUTE: Stamp = 60_000;
    const DAY: Stamp = 86_400_000;

    fn slot(cron: &str, served: Option<Stamp>) -> Slot {
        Slot::new("f", Some(Cron::from_str(cron).unwrap()), served)
    }

    fn at(text: &str) -> Stamp {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    /// Looks every so often from one time to another, and serves what is due. The times that were served.
    fn served(slot: &mut Slot, zone: &TimeZone, from: Stamp, to: Stamp, every: Stamp) -> Vec<Stamp> {
        let mut served = Vec::new();
        let mut now = from;
        while now <= to {
            if let Some(at) = slot.due(now, zone) {
                slot.serve(at);
                served.push(at);
            }
            now += every;
        }
        served
    }

    #[test]
    fn a_flow_that_never_ran_is_due_at_once_and_a_manual_one_never() {
        let now = at("2026-05-05T10:03:00Z");
        assert_eq!(slot("*/10 * * * *", None).due(now, &TimeZone::UTC), Some(now));
        assert_eq!(Slot::new("f", None, None).due(now, &TimeZone::UTC), None);
        assert_eq!(Slot::new("f", None, None).next(now, &TimeZone::UTC), None);
    }

    #[test]
    fn times_that_were_missed_are_made_up_once() {
        let mut slot = slot("*/10 * * * *", Some(at("2026-05-05T10:00:00Z")));
        let now = at("2026-05-07T12:34:00Z");
        assert_eq!(slot.due(now, &TimeZone::UTC), Some(at("2026-05-07T12:30:00Z")));
        slot.serve(at("2026-05-07T12:30:00Z"));
        assert_eq!(slot.due(now + MINUTE, &TimeZone::UTC), None);
        assert_eq!(slot.next(now, &TimeZone::UTC), Some(at("2026-05-07T12:40:00Z")));
    }

    #[test]
    fn sy_12_a_daily_run_at_a_time_that_does_not_exist_or_exists_twice_comes_once_a_day() {
        for (place, cron) in [
            ("Europe/Berlin", "30 2 * * *"),
            ("America/New_York", "30 1 * * *"),
            ("America/New_York", "30 2 * * *"),
            ("Australia/Lord_Howe", "45 1 * * *"),
            ("Asia/Dhaka", "0 0 * * *"),
        ] {
            let zone = zone(place);
            let start = at("2026-01-01T12:00:00Z");
            let mut slot = slot(cron, Some(start));
            let days = 365;
            let times = served(&mut slot, &zone, start, start + days * DAY, 5 * MINUTE);
            assert_eq!(times.len(), 365, "{cron} in {place}");
            let apart = times.windows(2).map(|pair| pair[1] - pair[0]);
            for gap in apart {
                assert!(
                    (22 * 3_600_000..=26 * 3_600_000).contains(&gap),
                    "{cron} in {place}: {gap} ms"
                );
            }
        }
    }

    #[test]
    fn sy_12_a_run_every_ten_minutes_keeps_its_pace_over_both_changes_of_the_clock() {
        let zone = zone("Europe/Berlin");
        let start = at("2026-01-01T12:00:00Z");
        let mut slot = slot("*/10 * * * *", Some(start));
        let times = served(&mut slot, &zone, start, start + 365 * DAY, MINUTE);
        assert_eq!(times.len(), 365 * 144);
    }

    #[test]
    fn sy_11_a_clock_that_is_set_back_or_forward_neither_stops_nor_repeats_a_schedule() {
        let utc = TimeZone::UTC;
        let mut slot = slot("*/10 * * * *", Some(at("2026-05-05T10:00:00Z")));
        // Ten years ahead: one run; back again: the next at its next time, not ten years later.
        assert_eq!(
            slot.due(at("2036-05-05T10:05:00Z"), &utc),
            Some(at("2036-05-05T10:00:00Z"))
        );
        slot.serve(at("2036-05-05T10:00:00Z"));
        assert_eq!(slot.due(at("2026-05-05T10:06:00Z"), &utc), None);
        assert_eq!(
            slot.due(at("2026-05-05T10:10:00Z"), &utc),
            Some(at("2026-05-05T10:10:00Z"))
        );
        slot.serve(at("2026-05-05T10:10:00Z"));
        // To 1970 and on.
        assert_eq!(slot.due(at("1970-01-01T00:00:30Z"), &utc), None);
        assert_eq!(
            slot.due(at("1970-01-01T00:10:00Z"), &utc),
            Some(at("1970-01-01T00:10:00Z"))
        );
    }
}
