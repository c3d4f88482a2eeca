//! The names of the files that are written, from a template such as `orders-{timestamp}-{batch}.csv`.
//! A name is made of the template and our own counter and clock only, never of what a record says.
//!
//! `{timestamp}` is `YYYYMMDDTHHMMSSmmmZ` (UTC) at the opening of the batch, `{batch}` its number with
//! at least 8 digits. Names of one template sort in order of writing up to batch 99,999,999.

use contract::settings::nearest;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// The longest name, in bytes; leaves room for the temporary form in every file system.
const NAME_BYTES_MAX: usize = 100;
const BATCH_DIGITS_MIN: usize = 8;
/// Digits of the greatest `u64`.
const BATCH_DIGITS_MAX: usize = 20;
const STAMP_SHAPE: &str = "00000000T000000000Z";
const PLACEHOLDERS: [&str; 2] = ["timestamp", "batch"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Literal(String),
    Timestamp,
    Batch,
}

/// Whether a name may be used in a folder: `^[A-Za-z0-9._-]{1,100}$`, and no hidden file.
pub(super) fn is_safe(name: &str) -> bool {
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.starts_with('.') && name.bytes().all(is_plain)
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

impl Template {
    /// Reads a template; the error says what would do.
    pub(super) fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (literal, tail) = rest.split_at(rest.find('{').unwrap_or(rest.len()));
            if let Some(odd) = literal.chars().find(|c| !u8::try_from(*c).is_ok_and(is_plain)) {
                return Err(format!(
                    "a file name holds only A-Z a-z 0-9 . _ - and placeholders, not {odd:?}"
                ));
            }
            if !literal.is_empty() {
                pieces.push(Piece::Literal(literal.to_owned()));
            }
            let Some(tail) = tail.strip_prefix('{') else { break };
            let (name, tail) = tail
                .split_once('}')
                .ok_or("a placeholder lacks its closing `}`".to_owned())?;
            pieces.push(placeholder(name)?);
            rest = tail;
        }
        let template = Template(pieces);
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), String> {
        let count = |piece: &Piece| self.0.iter().filter(|p| *p == piece).count();
        if count(&Piece::Batch) == 0 {
            return Err("the name needs {batch}, or two files would have one name".to_owned());
        }
        if count(&Piece::Batch) > 1 || count(&Piece::Timestamp) > 1 {
            return Err("a placeholder may stand only once".to_owned());
        }
        if let Some(Piece::Literal(start)) = self.0.first()
            && start.starts_with(['.', '-'])
        {
            return Err("a name may not start with `.` (hidden) or `-` (taken for an option)".to_owned());
        }
        if let Some(Piece::Literal(end)) = self.0.last()
            && end.to_ascii_lowercase().ends_with(".part")
        {
            return Err("`.part` marks files that are not complete; choose another ending".to_owned());
        }
        if self.length(BATCH_DIGITS_MAX) > NAME_BYTES_MAX {
            return Err(format!("a name may have at most {NAME_BYTES_MAX} characters"));
        }
        Ok(())
    }

    pub(super) fn name(&self, opened: Timestamp, batch: u64) -> String {
        let mut name = String::with_capacity(NAME_BYTES_MAX);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => name.push_str(text),
                Piece::Timestamp => name.push_str(&stamp(opened)),
                Piece::Batch => name.push_str(&format!("{batch:0BATCH_DIGITS_MIN$}")),
            }
        }
        name
    }

    /// The batch number in a name that [`Template::name`] made; `None` for every other name.
    pub(super) fn number_of(&self, name: &str) -> Option<u64> {
        if !is_safe(name) {
            return None;
        }
        let digits = name.len().checked_sub(self.length(0))?;
        let (mut rest, mut batch) = (name, None);
        for piece in &self.0 {
            rest = match piece {
                Piece::Literal(text) => rest.strip_prefix(text.as_str())?,
                Piece::Timestamp => {
                    let (stamp, tail) = rest.split_at_checked(STAMP_SHAPE.len())?;
                    is_stamp(stamp).then_some(tail)?
                }
                Piece::Batch => {
                    let (number, tail) = rest.split_at_checked(digits)?;
                    batch = Some(batch_number(number)?);
                    tail
                }
            };
        }
        batch
    }

    /// Whether a file of one template could be taken for one of the other, also where a file system
    /// does not tell capitals from small letters.
    pub(super) fn confusable(&self, other: &Template) -> bool {
        let lengths = BATCH_DIGITS_MIN..=BATCH_DIGITS_MAX;
        lengths.clone().any(|mine| {
            let shape = self.shape(mine);
            lengths
                .clone()
                .filter(|theirs| other.length(*theirs) == shape.len())
                .any(|theirs| {
                    let others = other.shape(theirs);
                    shape
                        .iter()
                        .zip(&others)
                        .all(|(a, b)| a.iter().any(|byte| b.contains(byte)))
                })
        })
    }

    /// The bytes that may stand at each place of a name with so many batch digits.
    fn shape(&self, batch_digits: usize) -> Vec<Vec<u8>> {
        let any_digit = || (b'0'..=b'9').collect::<Vec<u8>>();
        let mut places = Vec::with_capacity(NAME_BYTES_MAX);
        for piece in &self.0 {
            match piece {
                Piece::Literal(text) => places.extend(text.bytes().map(|b| vec![b.to_ascii_lowercase()])),
                Piece::Timestamp => places.extend(STAMP_SHAPE.bytes().map(|b| match b {
                    b'0' => any_digit(),
                    letter => vec![letter.to_ascii_lowercase()],
                })),
                Piece::Batch => places.extend((0..batch_digits).map(|n| match n {
                    0 if batch_digits > BATCH_DIGITS_MIN => (b'1'..=b'9').collect(),
                    _ => any_digit(),
                })),
            }
        }
        places
    }

    fn length(&self, batch_digits: usize) -> usize {
        let lengths = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) => text.len(),
            Piece::Timestamp => STAMP_SHAPE.len(),
            Piece::Batch => batch_digits,
        });
        lengths.sum()
    }
}

fn placeholder(name: &str) -> Result<Piece, String> {
    match name {
        "timestamp" => Ok(Piece::Timestamp),
        "batch" => Ok(Piece::Batch),
        _ => Err(match nearest(name, PLACEHOLDERS.into_iter()) {
            Some(near) => format!("unknown placeholder {{{name}}}; did you mean {{{near}}}?"),
            None => format!("unknown placeholder {{{name}}}; known here: {{timestamp}}, {{batch}}"),
        }),
    }
}

fn stamp(at: Timestamp) -> String {
    let at = TimeZone::UTC.to_datetime(at);
    format!(
        "{:04}{:02}{:02}T{:02}{:02}{:02}{:03}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second(),
        at.millisecond()
    )
}

fn is_stamp(text: &str) -> bool {
    let shaped = text.bytes().zip(STAMP_SHAPE.bytes()).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        letter => byte == letter,
    });
    let number = |from: usize, to: usize| text.get(from..to).and_then(|part| part.parse::<i8>().ok());
    let real = || {
        let year = text.get(0..4)?.parse().ok()?;
        let (month, day) = (number(4, 6)?, number(6, 8)?);
        DateTime::new(year, month, day, number(9, 11)?, number(11, 13)?, number(13, 15)?, 0).ok()
    };
    text.len() == STAMP_SHAPE.len() && shaped && real().is_some()
}

fn batch_number(text: &str) -> Option<u64> {
    let padded = text.len() == BATCH_DIGITS_MIN || (text.len() > BATCH_DIGITS_MIN && !text.starts_with('0'));
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    (padded && digits).then(|| text.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn template(text: &str) -> Template {
        Template::parse(text).unwrap()
    }

    #[test]
    fn names_sort_in_order_of_writing_and_give_their_number_back() {
        let orders = template("orders-{timestamp}-{batch}.csv");
        let at: Timestamp = "2026-11-23T15:07:09.042Z".parse().unwrap();
        assert_eq!(orders.name(at, 7), "orders-20261123T150709042Z-00000007.csv");
        let names: Vec<String> = [0_i64, 1, 999, 1_000, 86_400_000]
            .iter()
            .zip([7, 8, 9, 10, 100])
            .map(|(ms, batch)| orders.name(at + jiff::SignedDuration::from_millis(*ms), batch))
            .collect();
        assert!(names.is_sorted());
        let numbers: Vec<_> = names.iter().filter_map(|name| orders.number_of(name)).collect();
        assert_eq!(numbers, [7, 8, 9, 10, 100]);
        assert_eq!(orders.number_of(&orders.name(at, u64::MAX)), Some(u64::MAX));
    }

    #[test]
    fn sf_23_only_exactly_our_own_names_have_a_number() {
        let orders = template("orders-{timestamp}-{batch}.csv");
        for name in [
            "orders-20261123T150709042Z-0000007.csv",
            "orders-20261123T150709042Z-000000007.csv",
            "orders-20261123T150709042Z-+0000007.csv",
            "orders-20261323T150709042Z-00000007.csv",
            "orders-20261123T250709042Z-00000007.csv",
            "orders-20261123t150709042z-00000007.csv",
            "orders-20261123T150709042Z-00000007.csv.bak",
            "../orders-20261123T150709042Z-00000007.csv",
            ".orders-20261123T150709042Z-00000007.csv.part",
            "orders-20261123T150709042Z-00000007.csv\n",
            "orders-20261123T150709042Z-৭৭৭৭৭৭৭৭.csv",
            "orders-.csv",
            "",
        ] {
            assert_eq!(orders.number_of(name), None, "{name:?}");
        }
    }

    #[test]
    fn sf_23_bad_templates_say_what_would_do() {
        for (text, part) in [
            ("orders.csv", "needs {batch}"),
            ("orders-{timestamp}.csv", "needs {batch}"),
            ("{batch}-{batch}.csv", "only once"),
            ("orders-{bach}.csv", "did you mean {batch}?"),
            ("orders-{order_number}-{batch}.csv", "known here: {timestamp}, {batch}"),
            ("orders-{batch.csv", "closing"),
            ("out/orders-{batch}.csv", "not '/'"),
            ("..\\{batch}.csv", "not '\\\\'"),
            ("orders {batch}.csv", "not ' '"),
            ("অর্ডার-{batch}.csv", "holds only"),
            (".orders-{batch}.csv", "may not start"),
            ("-{batch}.csv", "may not start"),
            ("orders-{batch}.part", ".part"),
            (&format!("{}-{{batch}}.csv", "x".repeat(90)), "at most 100"),
            ("", "needs {batch}"),
        ] {
            let message = Template::parse(text).unwrap_err();
            assert!(message.contains(part), "{text}: {message}");
        }
    }

    #[test]
    fn templates_that_could_make_one_name_are_told() {
        for (a, b, same) in [
            ("a-{batch}.csv", "a-{batch}.csv", true),
            ("a-{batch}.csv", "A-{batch}.csv", true),
            ("a-{batch}.csv", "b-{batch}.csv", false),
            ("a-{batch}.csv", "a-1{batch}.csv", true),
            ("a-{batch}.csv", "a-0{batch}.csv", false),
            ("a-{batch}.csv", "a-{timestamp}-{batch}.csv", false),
            (
                "orders-{timestamp}-{batch}.csv",
                "returns-{timestamp}-{batch}.csv",
                false,
            ),
        ] {
            assert_eq!(template(a).confusable(&template(b)), same, "{a} {b}");
            assert_eq!(template(b).confusable(&template(a)), same, "{b} {a}");
        }
    }
}
