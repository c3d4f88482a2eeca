//! What people and scripts read on stdout.

use std::io::Write;

use contract::Stamp;
use jiff::Timestamp;

use super::DONE;

/// Writes a line to stdout; a reader that has gone away does not matter to what was done.
pub(super) fn write_line(line: std::fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap_or_default();
}

pub(super) fn print_json(value: &serde_json::Value) -> anyhow::Result<u8> {
    outln!("{}", serde_json::to_string_pretty(value)?);
    Ok(DONE)
}

/// This machine's time, to tell how long ago something was.
pub(super) fn now() -> Stamp {
    Timestamp::now().as_millisecond()
}
