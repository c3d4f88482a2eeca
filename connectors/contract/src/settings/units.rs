//! Numbers with units as people write them: times, sizes and rates. Nothing here knows of files or keys.

use std::time::Duration;

/// How many calls in how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub calls: u32,
    pub per: Duration,
}

impl Rate {
    /// The time one call is worth.
    pub fn period(self) -> Duration {
        self.per / self.calls
    }
}

/// Plain HTTP is for this machine alone: anywhere else it would show credentials and data to whoever listens. The host
/// as it stands in the URL, an IPv6 address in its brackets.
pub fn https_or_loopback(scheme: &str, host: &str) -> Result<(), String> {
    let address = host.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match scheme {
        "https" => Ok(()),
        "http" if is_here => Ok(()),
        "http" => Err("expected https: plain http is for loopback addresses only".to_owned()),
        _ => Err("expected an https URL".to_owned()),
    }
}

pub(super) fn parse_rate(text: &str) -> Result<Rate, String> {
    let wrong = || "expected a rate such as 10/s, 60/min or 1000/h".to_owned();
    let (calls, unit) = text.split_once('/').ok_or_else(wrong)?;
    let calls: u32 = calls.trim().parse().map_err(|_| wrong())?;
    let per = match unit.trim() {
        "s" => 1,
        "min" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    if calls == 0 || calls > 1_000_000 {
        return Err("expected a rate of 1 to 1000000 calls".to_owned());
    }
    Ok(Rate {
        calls,
        per: Duration::from_secs(per),
    })
}

/// Takes `500ms`, `30s`, `10m`, `2h` or `7d`, and gives the time, or what would do instead.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a time such as 500ms, 30s, 10m, 2h or 7d".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let number: u64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let (factor, unit) = match text[unit_at..].trim() {
        "ms" => (1, "ms"),
        "s" => (1_000, "s"),
        "m" | "min" => (60_000, "m"),
        "h" => (3_600_000, "h"),
        "d" => (86_400_000, "d"),
        _ => return Err(wrong()),
    };
    match number.checked_mul(factor) {
        Some(ms) if ms <= 3660 * 86_400_000 => Ok(Duration::from_millis(ms)),
        _ => Err(format!("a time of {number}{unit} is too long")),
    }
}

pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || "expected a size such as 512KiB, 1MiB or 1048576".to_owned();
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..unit_at].parse().map_err(|_| wrong())?;
    let factor: u64 = match text[unit_at..].trim() {
        "" | "B" => 1,
        "KiB" | "K" => 1 << 10,
        "MiB" | "M" => 1 << 20,
        "GiB" | "G" => 1 << 30,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        _ => return Err(wrong()),
    };
    number.checked_mul(factor).ok_or_else(wrong)
}
