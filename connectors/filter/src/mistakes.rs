//! Says what is wrong with a text that is no filter, and what would do.

use jaq_core::load::lex::{Expect, Token};

use crate::guard::range;
use crate::val::excerpt;
use crate::{CompileError, Env, known};

pub(crate) fn lex_error(source: &str, errors: &[(Expect<&str>, &str)]) -> CompileError {
    let (what, at) = match errors.first() {
        Some((expected, rest)) => (expected.as_str(), range(source, rest)),
        None => ("something else", 0..source.len()),
    };
    let found = source[at.start..].chars().next();
    let end = at.start + found.map_or(0, char::len_utf8);
    let found = found.map_or("the end".to_owned(), |c| format!("`{c}`"));
    let hint = found
        .contains('\'')
        .then(|| "texts in filters stand in double quotes".to_owned());
    CompileError {
        message: format!("expected {what}, found {found}"),
        at: at.start..end,
        hint: hint.or_else(|| bare_text(source)),
    }
}

pub(crate) fn parse_error(source: &str, found: Option<(&str, Option<&Token<&str>>)>, env: &Env) -> CompileError {
    let (expected, found) = found.unwrap_or(("something else", None));
    let at = found.map_or(source.len()..source.len(), |token| range(source, token.as_str()));
    let found = found.map_or("the end".to_owned(), |token| {
        format!("`{}`", excerpt(token.as_str(), 30))
    });
    let first = source
        .trim()
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .next();
    let unknown = first.is_some_and(|word| {
        !word.is_empty()
            && known::arities(word).is_none()
            && known::refused(word).is_none()
            && !env.tables.contains_key(word)
    });
    let keyword = matches!(first, Some("if" | "try" | "reduce" | "foreach" | "def" | "label"));
    CompileError {
        message: format!("expected {expected}, found {found}"),
        at,
        hint: (unknown && !keyword).then(|| bare_text(source)).flatten(),
    }
}

/// Somebody wrote `Cash on delivery` and meant the text.
pub(crate) fn bare_text(source: &str) -> Option<String> {
    let text = source.trim();
    let word = text.starts_with(|c: char| c.is_alphabetic() || c.is_ascii_digit())
        && text.chars().all(|c| c.is_alphanumeric() || " _-/:#&'’".contains(c));
    word.then(|| format!("a literal text is written '\"{}\"'", excerpt(text, 40)))
}
