//! Writes JSON text by hand, so that money keeps its two decimals and fields their order; it never goes through a float.

use std::fmt::Write as _;

/// Appends `text` as a JSON string.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // Almost no text has anything to escape, so whole runs are copied.
    while let Some(at) = rest
        .bytes()
        .position(|byte| byte < 0x20 || byte == b'"' || byte == b'\\')
    {
        let (run, special) = rest.split_at(at);
        out.push_str(run);
        let (byte, tail) = special.split_at(1);
        match byte {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            "\n" => out.push_str("\\n"),
            "\r" => out.push_str("\\r"),
            "\t" => out.push_str("\\t"),
            other => other.bytes().for_each(|byte| push(out, format_args!("\\u{byte:04x}"))),
        }
        rest = tail;
    }
    out.push_str(rest);
    out.push('"');
}

/// Appends an amount of paisa as taka with two decimals: `146000` is `1460.00`.
pub(crate) fn push_money(out: &mut String, paisa: i64) {
    let sign = if paisa < 0 { "-" } else { "" };
    let whole = paisa.unsigned_abs();
    push(out, format_args!("{sign}{}.{:02}", whole / 100, whole % 100));
}

/// Milliseconds since 1970 as the platform writes them: `2025-06-15T10:30:00.000Z`.
pub(crate) fn stamp(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => "0000-00-00T00:00:00.000Z".to_owned(),
    }
}

/// Writing to a `String` cannot fail; this says so once.
pub(crate) fn push(out: &mut String, what: std::fmt::Arguments<'_>) {
    if out.write_fmt(what).is_err() {
        out.push_str("null");
    }
}

/// Writes the members of one JSON object.
pub(crate) struct Members<'a> {
    out: &'a mut String,
    first: bool,
}

impl<'a> Members<'a> {
    pub(crate) fn open(out: &'a mut String) -> Members<'a> {
        out.push('{');
        Members { out, first: true }
    }

    pub(crate) fn close(self) {
        self.out.push('}');
    }

    /// Writes the name, which must need no escapes, and hands out the place for the value.
    pub(crate) fn name(&mut self, name: &str) -> &mut String {
        if !self.first {
            self.out.push(',');
        }
        self.first = false;
        self.out.push('"');
        self.out.push_str(name);
        self.out.push_str("\":");
        self.out
    }

    pub(crate) fn raw(&mut self, name: &str, json: &str) {
        self.name(name).push_str(json);
    }

    /// For a name that was not chosen here.
    pub(crate) fn foreign(&mut self, name: &str, json: &str) {
        let mut escaped = String::new();
        push_text(&mut escaped, name);
        // `raw` sets the quotes itself.
        self.raw(escaped.get(1..escaped.len() - 1).unwrap_or(name), json);
    }

    pub(crate) fn int(&mut self, name: &str, value: i64) {
        push(self.name(name), format_args!("{value}"));
    }

    pub(crate) fn int_or_null(&mut self, name: &str, value: Option<i64>) {
        match value {
            Some(value) => self.int(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        push_text(self.name(name), value);
    }

    pub(crate) fn text_or_null(&mut self, name: &str, value: Option<&str>) {
        match value {
            Some(value) => self.text(name, value),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn money(&mut self, name: &str, paisa: i64) {
        push_money(self.name(name), paisa);
    }

    pub(crate) fn stamp(&mut self, name: &str, ms: i64) {
        let text = stamp(ms);
        self.text(name, &text);
    }

    pub(crate) fn money_or_null(&mut self, name: &str, paisa: Option<i64>) {
        match paisa {
            Some(paisa) => self.money(name, paisa),
            None => self.raw(name, "null"),
        }
    }

    pub(crate) fn stamp_or_null(&mut self, name: &str, ms: Option<i64>) {
        match ms {
            Some(ms) => self.stamp(name, ms),
            None => self.raw(name, "null"),
        }
    }
}
