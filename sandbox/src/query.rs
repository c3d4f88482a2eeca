//! Reads the query of a list request: defaults, clamps and what the strict mode complains about instead.

use crate::page::{Filter, Query, Test};
use crate::resource::Column;

/// The decoded query parameters of a request, and how exact they must be.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) pairs: &'a [(String, String)],
    pub(crate) limit_max: usize,
    /// Turns silent corrections into a complaint.
    pub(crate) strict: bool,
}

/// What a list can be asked.
pub(crate) struct Grammar {
    /// The first one is the default, descending.
    pub(crate) sorts: &'static [(&'static str, Column)],
    /// The column `since` and `until` mean; without it they are ignored.
    pub(crate) since: Option<Column>,
    pub(crate) until: Option<Column>,
}

impl<'a> Asked<'a> {
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.pairs
            .iter()
            .find(|pair| pair.0 == name)
            .map(|pair| pair.1.as_str())
    }

    /// A value that `read` understands; without one, or with one it does not understand, `None`.
    pub(crate) fn read<T>(&self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
        match self.value(name).map(|text| read(text.trim())) {
            Some(None) if self.strict => Err(wrong(name)),
            other => Ok(other.flatten()),
        }
    }

    fn count(&self, name: &str, default: usize) -> Result<usize, String> {
        match self.value(name).map(|text| text.trim().parse::<i64>()) {
            None => Ok(default),
            Some(Ok(number)) if number >= 1 => Ok(usize::try_from(number).unwrap_or(usize::MAX)),
            Some(_) if self.strict => Err(wrong(name)),
            Some(Ok(_)) => Ok(1),
            Some(Err(_)) => Ok(default),
        }
    }
}

fn wrong(name: &str) -> String {
    format!("Invalid value for {name}")
}

impl Query {
    pub(crate) fn read(asked: &Asked<'_>, grammar: &Grammar, tests: Vec<Test>) -> Result<Query, String> {
        let page = asked.count("page", 1)?;
        let limit = asked.count("limit", 50)?;
        if asked.strict && limit > asked.limit_max {
            return Err(wrong("limit"));
        }
        let first = grammar.sorts.first().map_or(Column::Created, |sort| sort.1);
        let sort = asked.read("sort", |text| read_sort(grammar.sorts, text))?;
        let (column, descending) = sort.unwrap_or((first, true));
        Ok(Query {
            page,
            limit: limit.clamp(1, asked.limit_max.max(1)),
            descending,
            filter: Filter {
                sort: column,
                between: between(asked, grammar)?,
                tests,
            },
        })
    }
}

fn between(asked: &Asked<'_>, grammar: &Grammar) -> Result<Option<(Column, i64, i64)>, String> {
    let time = |name: &str, column: Option<Column>| match column {
        Some(column) => Ok::<_, String>(asked.read(name, read_stamp)?.map(|ms| (column, ms))),
        None => Ok(None),
    };
    let since = time("since", grammar.since)?;
    let until = time("until", grammar.until)?;
    Ok(match (since, until) {
        (None, None) => None,
        (Some((column, low)), None) => Some((column, low, i64::MAX)),
        (Some((column, low)), Some((_, high))) => Some((column, low, high)),
        (None, Some((column, high))) => Some((column, i64::MIN, high)),
    })
}

/// `column`, `column:asc` or `column:desc`; without direction descending.
fn read_sort(sorts: &[(&str, Column)], text: &str) -> Option<(Column, bool)> {
    let (name, direction) = text.split_once(':').unwrap_or((text, "desc"));
    let column = sorts.iter().find(|sort| sort.0 == name)?.1;
    match direction.to_ascii_lowercase().as_str() {
        "asc" => Some((column, false)),
        "desc" => Some((column, true)),
        _ => None,
    }
}

/// A time with zone, or a date alone, read as midnight UTC.
pub(crate) fn read_stamp(text: &str) -> Option<i64> {
    // A `+` that was not escaped in a query arrives as a space.
    let text = text.trim().replace(' ', "+");
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_millisecond());
    }
    let day: jiff::civil::Date = text.parse().ok()?;
    Some(day.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond())
}

/// Taka with at most two decimals, from its digits.
pub(crate) fn read_paisa(text: &str) -> Option<i64> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.len() > 2 || whole.is_empty() || !(whole.to_owned() + part).bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part: i64 = format!("{part:0<2}").parse().ok()?;
    whole
        .parse::<i64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(part)?
        .checked_mul(sign)
}
