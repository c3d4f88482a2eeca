//! Times and lines as people and scripts read them.

use contract::Stamp;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A stamp for people, in the store's time zone.
pub fn local(stamp: Stamp, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(stamp) {
        Ok(time) => time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// A stamp for scripts: RFC 3339, UTC.
pub fn utc(stamp: Stamp) -> String {
    Timestamp::from_millisecond(stamp).map_or_else(|_| "?".to_owned(), |time| time.to_string())
}

/// Seconds as a person says them.
pub fn span(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{seconds} s"),
        60..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// One line, at most so long, without control characters.
pub fn line(text: &str, most: usize) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut told: String = clean.take(most).collect();
    if told.chars().count() == most && text.chars().count() > most {
        told.pop();
        told.push('…');
    }
    told
}
