//! Which names in a folder are files of a resource: `stock*.csv`, and with `{order}` also which of two is newer. A
//! pattern must never match a name that is not safe to work with.

use super::name::is_safe;
use contract::Placed;

const STARS_MAX: usize = 5;
/// Digits of a number that orders files; a time to the millisecond has 17.
const ORDER_DIGITS_MAX: usize = 18;
const ORDER: &str = "{order}";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    One(u8),
    AnyOne,
    Any,
    /// A date, a time or a number: digits, with `-`, `_`, `T` and `Z` between and behind them.
    Order,
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Pattern, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            if let Some(tail) = rest.strip_prefix(ORDER) {
                pieces.push(Piece::Order);
                rest = tail;
                continue;
            }
            rest = &rest[c.len_utf8()..];
            pieces.push(match c {
                '*' => Piece::Any,
                '?' => Piece::AnyOne,
                '{' => return Err("the only placeholder here is {order}".to_owned()),
                'A'..='Z' | 'a'..='z' | '0'..='9' | '.' | '_' | '-' => Piece::One(c as u8),
                odd => {
                    return Err(format!(
                        "a file name holds only A-Z a-z 0-9 . _ - (and here * ? and {{order}}), not {odd:?}"
                    ));
                }
            });
        }
        let count = |piece: Piece| pieces.iter().filter(|own| **own == piece).count();
        match () {
            () if pieces.is_empty() => Err("expected a pattern such as stock*.csv".to_owned()),
            () if count(Piece::Order) > 1 => Err("{order} may stand only once".to_owned()),
            () if count(Piece::Any) > STARS_MAX => Err(format!("a pattern has at most {STARS_MAX} `*`")),
            () if pieces.first() == Some(&Piece::One(b'.')) => Err("hidden files are never read".to_owned()),
            () => Ok(Pattern(pieces)),
        }
    }

    pub(super) fn placed(&self, name: &str) -> Placed {
        if !is_safe(name) {
            return Placed::Foreign;
        }
        match matches(&self.0, name.as_bytes()) {
            None => Placed::Foreign,
            Some(None) => Placed::ByTime,
            Some(Some(order)) => Placed::By(order),
        }
    }
}

/// Whether it matches, and what `{order}` stands for.
fn matches(pieces: &[Piece], name: &[u8]) -> Option<Option<i64>> {
    let Some((piece, pieces)) = pieces.split_first() else {
        return name.is_empty().then_some(None);
    };
    match piece {
        Piece::One(byte) => matches(pieces, name.strip_prefix(&[*byte])?),
        Piece::AnyOne => matches(pieces, name.get(1..)?),
        Piece::Any => (0..=name.len()).find_map(|n| matches(pieces, &name[n..])),
        Piece::Order => {
            let is_part = |byte: &u8| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'T' | b'Z');
            let most = name.iter().position(|byte| !is_part(byte)).unwrap_or(name.len());
            // As much as possible, so that no digit of it is left to a `*`.
            (1..=most).rev().find_map(|n| {
                let order = order(&name[..n])?;
                matches(pieces, &name[n..]).map(|_| Some(order))
            })
        }
    }
}

fn order(text: &[u8]) -> Option<i64> {
    let digits: String = text
        .iter()
        .filter(|byte| byte.is_ascii_digit())
        .map(|byte| char::from(*byte))
        .collect();
    let begins = text.first().is_some_and(u8::is_ascii_digit);
    (begins && digits.len() <= ORDER_DIGITS_MAX).then(|| digits.parse().ok())?
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sf_27_a_name_is_ours_and_may_say_its_order() {
        let stock = Pattern::parse("stock*.csv").unwrap();
        let ordered = Pattern::parse("stock-{order}.csv").unwrap();
        for (name, by_star, by_order) in [
            ("stock.csv", Placed::ByTime, Placed::Foreign),
            ("stock-7.csv", Placed::ByTime, Placed::By(7)),
            (
                "stock-20261126T101500Z.csv",
                Placed::ByTime,
                Placed::By(20_261_126_101_500),
            ),
            ("stock-2026-11-26.csv", Placed::ByTime, Placed::By(20_261_126)),
            ("stock-x.csv", Placed::ByTime, Placed::Foreign),
            ("stock-1234567890123456789.csv", Placed::ByTime, Placed::Foreign),
            ("restock.csv", Placed::Foreign, Placed::Foreign),
            (".stock.csv", Placed::Foreign, Placed::Foreign),
            ("stock/../x.csv", Placed::Foreign, Placed::Foreign),
            ("stock a.csv", Placed::Foreign, Placed::Foreign),
        ] {
            assert_eq!(
                (stock.placed(name), ordered.placed(name)),
                (by_star, by_order),
                "{name}"
            );
        }
    }

    #[test]
    fn a_bad_pattern_says_what_would_do() {
        for (text, part) in [
            ("", "such as stock*.csv"),
            ("in/*.csv", "not '/'"),
            ("stock-{date}.csv", "{order}"),
            ("{order}-{order}", "only once"),
            ("******", "at most 5"),
            (".x*", "hidden"),
        ] {
            assert!(Pattern::parse(text).unwrap_err().contains(part), "{text}");
        }
    }
}
