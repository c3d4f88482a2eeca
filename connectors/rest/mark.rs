//! How far a feed was read: the newest value of its cursor field. Kept as the other side wrote it, compared as what
//! it is, and written back in the way it came. Must never step over a value that was not seen.

use std::cmp::Ordering;
use std::time::Duration;

use contract::{Stamp, Value};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use rust_decimal::Decimal;

use super::jq::scalar;

/// What the cursor field holds, and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// A time in RFC 3339, or the same without a zone; as it comes.
    Time,
    /// Seconds, or thousandths of them, since 1970.
    Unix,
    UnixMs,
    Date,
    Number,
    /// Compared letter by letter.
    Text,
    Pattern(String),
}

/// How marks of one feed are read and written.
#[derive(Clone, Debug)]
pub(super) struct Marks {
    pub(super) format: Format,
    /// Of times that name none.
    pub(super) timezone: TimeZone,
    /// Each pass looks back so far behind its mark.
    pub(super) lag: Duration,
    /// Whether asking from a value on brings the records that have it.
    pub(super) inclusive: bool,
}

/// A value, comparable.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Order {
    Time(Timestamp),
    Number(Decimal),
    Text(String),
}

impl Format {
    pub(super) fn parse(text: &str) -> Result<Format, String> {
        Ok(match text {
            "time" => Format::Time,
            "unix" => Format::Unix,
            "unix_ms" => Format::UnixMs,
            "date" => Format::Date,
            "number" => Format::Number,
            "text" => Format::Text,
            pattern if pattern.contains('%') => Format::Pattern(pattern.to_owned()),
            _ => {
                let all = "time, unix, unix_ms, date, number, text or a pattern such as \"%d.%m.%Y %H:%M:%S\"";
                return Err(format!("expected {all}"));
            }
        })
    }
}

impl Marks {
    /// The value as a mark; `None` for what is none, which moves nothing.
    pub(super) fn of(&self, value: Value) -> Option<String> {
        let text = scalar(value).ok().flatten()?;
        self.order(&text).map(|_| text)
    }

    /// The time that a mark says, where it is one.
    pub(super) fn stamp(&self, mark: &str) -> Option<Stamp> {
        match self.order(mark)? {
            Order::Time(time) => Some(time.as_millisecond()),
            Order::Number(_) | Order::Text(_) => None,
        }
    }

    /// No mark at all is before every mark.
    pub(super) fn compare(&self, a: &str, b: &str) -> Ordering {
        match (self.order(a), self.order(b)) {
            (Some(Order::Time(a)), Some(Order::Time(b))) => a.cmp(&b),
            (Some(Order::Number(a)), Some(Order::Number(b))) => a.cmp(&b),
            (Some(Order::Text(a)), Some(Order::Text(b))) => a.cmp(&b),
            (a, b) => a.is_some().cmp(&b.is_some()),
        }
    }

    /// What to ask for: everything from this mark on, and what may have come to light late.
    pub(super) fn ask_from(&self, mark: &str) -> Value {
        let mut from = self.back(mark, self.lag);
        if !self.inclusive {
            from = self.step_down(&from);
        }
        match self.format {
            Format::Unix | Format::UnixMs | Format::Number => {
                contract::Number::parse(&from).map_or_else(|_| Value::text(&from), Value::Number)
            }
            _ => Value::Text(from),
        }
    }

    /// The mark that lies so much time before this one; what is no time has no such mark.
    pub(super) fn back(&self, mark: &str, by: Duration) -> String {
        let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::MAX);
        match self.order(mark) {
            Some(Order::Time(time)) if !by.is_zero() => {
                let earlier = time.checked_sub(by).unwrap_or(Timestamp::MIN);
                self.write(earlier, mark)
            }
            _ => mark.to_owned(),
        }
    }

    /// The next smaller value, for an address that leaves out the value it is asked from.
    fn step_down(&self, mark: &str) -> String {
        match self.order(mark) {
            Some(Order::Time(time)) => {
                let unit = match (&self.format, fraction_of(mark)) {
                    (Format::Date, _) => SignedDuration::from_hours(24),
                    (Format::UnixMs, _) => SignedDuration::from_millis(1),
                    (Format::Time, digits @ 1..=3) => SignedDuration::from_nanos(10_i64.pow(9 - digits)),
                    (Format::Time, 4..) => SignedDuration::from_micros(1),
                    _ => SignedDuration::from_secs(1),
                };
                self.write(time.checked_sub(unit).unwrap_or(Timestamp::MIN), mark)
            }
            Some(Order::Number(number)) => (number - Decimal::ONE).to_string(),
            Some(Order::Text(_)) | None => mark.to_owned(),
        }
    }

    fn order(&self, text: &str) -> Option<Order> {
        let text = text.trim();
        if text.is_empty() {
            return None;
        }
        let time = match &self.format {
            Format::Number => return Decimal::from_str_exact(text).ok().map(Order::Number),
            Format::Text => return Some(Order::Text(text.to_owned())),
            Format::Time => self.time(text)?,
            Format::Unix => {
                let millis = Decimal::from_str_exact(text).ok()?.checked_mul(Decimal::ONE_THOUSAND)?;
                Timestamp::from_millisecond(i64::try_from(millis.trunc()).ok()?).ok()?
            }
            Format::UnixMs => Timestamp::from_millisecond(text.split('.').next()?.parse().ok()?).ok()?,
            Format::Date => self.local(
                text.parse::<jiff::civil::Date>()
                    .ok()?
                    .to_datetime(jiff::civil::Time::midnight()),
            )?,
            Format::Pattern(pattern) => {
                let broken = jiff::fmt::strtime::parse(pattern, text).ok()?;
                match broken.to_timestamp() {
                    Ok(time) => time,
                    Err(_) => {
                        let day = broken.to_date().ok()?;
                        let time = broken.to_time().unwrap_or(jiff::civil::Time::midnight());
                        self.local(day.to_datetime(time))?
                    }
                }
            }
        };
        Some(Order::Time(time))
    }

    fn time(&self, text: &str) -> Option<Timestamp> {
        if let Ok(time) = text.parse::<Timestamp>() {
            return Some(time);
        }
        self.local(text.parse::<DateTime>().ok()?)
    }

    fn local(&self, time: DateTime) -> Option<Timestamp> {
        // Of an hour that comes twice the first one counts: looking back too far loses nothing.
        self.timezone
            .to_ambiguous_zoned(time)
            .earlier()
            .ok()
            .map(|zoned| zoned.timestamp())
    }

    /// The time, written in the way that the other side wrote another one.
    fn write(&self, time: Timestamp, like: &str) -> String {
        let zoned = time.to_zoned(self.timezone.clone());
        match &self.format {
            Format::Unix => time.as_second().to_string(),
            Format::UnixMs => time.as_millisecond().to_string(),
            Format::Date => zoned.date().to_string(),
            Format::Pattern(pattern) => {
                jiff::fmt::strtime::format(pattern, &zoned).unwrap_or_else(|_| time.to_string())
            }
            Format::Time => written_like(time, &zoned, like.trim()),
            Format::Number | Format::Text => like.to_owned(),
        }
    }
}

/// Digits behind the second.
fn fraction_of(text: &str) -> u32 {
    let behind = text.split_once('.').map_or("", |(_, behind)| behind);
    let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
    u32::try_from(digits).unwrap_or(9)
}

fn written_like(time: Timestamp, zoned: &jiff::Zoned, like: &str) -> String {
    let has_zone = like.parse::<Timestamp>().is_ok();
    let civil = if has_zone {
        time.to_zoned(TimeZone::UTC).datetime()
    } else {
        zoned.datetime()
    };
    let between = if like.contains('T') || like.contains('t') {
        'T'
    } else {
        ' '
    };
    let digits = fraction_of(like).min(9);
    let mut text = format!("{}{between}", civil.date());
    if !like.contains(':') {
        return civil.date().to_string();
    }
    text.push_str(&format!(
        "{:02}:{:02}:{:02}",
        civil.hour(),
        civil.minute(),
        civil.second()
    ));
    if digits > 0 {
        let nanos = format!("{:09}", civil.subsec_nanosecond());
        text.push('.');
        text.push_str(&nanos[..digits as usize]);
    }
    match has_zone {
        true if like.ends_with(['Z', 'z']) => text.push('Z'),
        true => text.push_str("+00:00"),
        false => {}
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn marks(format: &str, zone: &str) -> Marks {
        Marks {
            format: Format::parse(format).unwrap(),
            timezone: TimeZone::get(zone).unwrap(),
            lag: Duration::ZERO,
            inclusive: true,
        }
    }

    #[test]
    fn a_mark_is_written_back_in_the_way_it_came() {
        for (format, mark, back) in [
            ("time", "2026-11-01T10:00:00Z", "2026-11-01T09:50:00Z"),
            ("time", "2026-11-01T10:00:00.250Z", "2026-11-01T09:50:00.250Z"),
            ("time", "2026-11-01T10:00:00+06:00", "2026-11-01T03:50:00+00:00"),
            ("time", "2026-11-01 10:00:00.123456", "2026-11-01 09:50:00.123456"),
            ("time", "2026-11-01T10:00:00", "2026-11-01T09:50:00"),
            ("unix", "1793527200", "1793526600"),
            ("unix_ms", "1793527200123", "1793526600123"),
            ("date", "2026-11-01", "2026-10-31"),
            ("%d.%m.%Y %H:%M", "01.11.2026 10:00", "01.11.2026 09:50"),
            ("number", "17", "17"),
            ("text", "abc", "abc"),
        ] {
            let marks = marks(format, "UTC");
            assert_eq!(marks.back(mark, Duration::from_secs(600)), back, "{format} {mark}");
        }
    }

    #[test]
    fn values_are_compared_as_what_they_are() {
        for (format, small, large) in [
            ("time", "2026-11-01T10:00:00+06:00", "2026-11-01T05:00:00Z"),
            ("time", "", "2026-11-01T05:00:00Z"),
            ("number", "9", "10"),
            ("number", "9.5", "9.50001"),
            ("text", "10", "9"),
            ("unix", "99", "100"),
        ] {
            assert_eq!(
                marks(format, "UTC").compare(small, large),
                Ordering::Less,
                "{small} {large}"
            );
        }
    }

    #[test]
    fn an_address_that_leaves_its_value_out_is_asked_from_one_less() {
        for (format, mark, asked) in [
            ("time", "2026-11-01T10:00:00Z", r#""2026-11-01T09:59:59Z""#),
            ("time", "2026-11-01T10:00:00.000Z", r#""2026-11-01T09:59:59.999Z""#),
            ("time", "2026-11-01 10:00:00.000000", r#""2026-11-01 09:59:59.999999""#),
            ("number", "17", "16"),
            ("unix", "1793527200", "1793527199"),
            ("date", "2026-11-01", r#""2026-10-31""#),
        ] {
            let marks = Marks {
                inclusive: false,
                ..marks(format, "UTC")
            };
            assert_eq!(marks.ask_from(mark).to_json(), asked, "{format} {mark}");
        }
    }

    #[test]
    fn sy_12_a_time_without_a_zone_is_the_one_that_was_said() {
        let dhaka = marks("time", "Asia/Dhaka");
        assert_eq!(
            dhaka.stamp("2026-11-01 10:00:00"),
            marks("time", "UTC").stamp("2026-11-01T04:00:00Z")
        );
        let berlin = marks("time", "Europe/Berlin");
        // This hour comes twice; the first of both is meant.
        assert_eq!(
            berlin.stamp("2026-10-25 02:30:00"),
            marks("time", "UTC").stamp("2026-10-25T00:30:00Z")
        );
        assert_eq!(
            berlin.back("2026-10-25 03:10:00", Duration::from_secs(3600)),
            "2026-10-25 02:10:00"
        );
    }
}
