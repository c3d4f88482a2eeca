//! Problems as a person reads them: place, path, message, the line itself with a mark under the word,
//! and a hint. Never shows a secret, whether it was filled in or is written in the file.

use std::fmt;

use contract::settings::{Problem, Problems, Span};

/// Problems or warnings of one config file, in the order of the file.
#[derive(Clone, Default)]
pub struct Report {
    file: String,
    lines: Vec<String>,
    problems: Vec<Problem>,
}

/// A config that must not run. Its text is every problem with its place.
#[derive(Clone, Debug)]
pub struct Broken(pub Report);

const WIDTH: usize = 120;
/// Words that name a secret wherever they stand in a key.
const SECRETIVE: [&str; 7] = [
    "secret",
    "token",
    "passw",
    "passphrase",
    "private_key",
    "api_key",
    "credential",
];

impl Report {
    /// Takes the file's name as the user gave it and its text; keeps no line that has no problem.
    pub(super) fn new(file: &str, text: &str, found: &Problems, warnings: bool, values: &[String]) -> Self {
        let source = if warnings { found.warnings() } else { found.0.as_slice() };
        let mut problems: Vec<Problem> = source.to_vec();
        for problem in &mut problems {
            problem.message = cleaned(&problem.message, values);
            problem.hint = problem.hint.take().map(|hint| cleaned(&hint, values));
        }
        problems.sort_by(|a, b| (a.span, &a.path, &a.message).cmp(&(b.span, &b.path, &b.message)));
        // A problem in what several aliases name is one problem.
        problems.dedup_by(|a, b| a.span == b.span && a.message == b.message);
        let lines: Vec<&str> = text.lines().collect();
        let shown = |problem: &Problem| {
            let line = lines
                .get(problem.span.line.wrapping_sub(1))
                .copied()
                .unwrap_or_default();
            excerpt(line, problem.span, found.secrets())
        };
        Self {
            file: file.to_owned(),
            lines: problems.iter().map(shown).collect(),
            problems,
        }
    }

    /// A report without a file's text, of one problem.
    pub(super) fn of(file: &str, message: String, hint: Option<String>) -> Self {
        let problem = Problem {
            span: Span::default(),
            path: String::new(),
            message,
            hint,
        };
        Self {
            file: file.to_owned(),
            lines: vec![String::new()],
            problems: vec![problem],
        }
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    pub fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (problem, line) in self.problems.iter().zip(&self.lines) {
            f.write_str(&self.file)?;
            if problem.span != Span::default() {
                write!(f, ":{}:{}", problem.span.line, problem.span.column)?;
            }
            if !problem.path.is_empty() {
                write!(f, ": {}", problem.path)?;
            }
            writeln!(f, ": {}", problem.message)?;
            f.write_str(line)?;
            if let Some(hint) = &problem.hint {
                writeln!(f, "       = {hint}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.problems.len();
        write!(f, "{}{count} problem{}", self.0, if count == 1 { "" } else { "s" })
    }
}

impl std::error::Error for Broken {}

/// A message without anything that was filled in from outside. Short values are left: `22` is in many words.
fn cleaned(message: &str, values: &[String]) -> String {
    values
        .iter()
        .filter(|value| value.len() >= 6)
        .fold(message.to_owned(), |text, value| text.replace(value.as_str(), "…"))
}

/// The source line with a mark under the word at the place.
fn excerpt(line: &str, span: Span, secrets: &[Span]) -> String {
    if line.is_empty() {
        return String::new();
    }
    let masked = masked(line, span, secrets);
    // A tab or a control character would move the mark or the terminal.
    let chars: Vec<char> = masked.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let column = span.column.saturating_sub(1).min(chars.len());
    let first = column.saturating_sub(WIDTH / 2);
    let window: String = chars.iter().skip(first).take(WIDTH).collect();
    let (cut, pad) = match first {
        0 => ("", column),
        _ => ("…", column - first + 1),
    };
    let room = (first + WIDTH).min(chars.len()).saturating_sub(column);
    let word = word_length(&chars[column..]).clamp(1, room.max(1));
    format!(
        "{:>5} | {cut}{}\n      | {}{}\n",
        span.line,
        window.trim_end(),
        " ".repeat(pad),
        "^".repeat(word)
    )
}

fn word_length(chars: &[char]) -> usize {
    match chars.first() {
        Some(quote @ ('"' | '\'')) => match chars[1..].iter().position(|c| c == quote) {
            Some(end) => end + 2,
            None => 1,
        },
        Some('$') => chars.iter().position(|c| *c == '}').map_or(1, |end| end + 1),
        _ => chars
            .iter()
            .position(|c| c.is_whitespace() || matches!(c, ':' | ',' | ']' | '}' | '[' | '{'))
            .unwrap_or(chars.len()),
    }
}

/// The line without the secrets that are written in it. Where it is not sure, it hides more.
fn masked(line: &str, span: Span, secrets: &[Span]) -> String {
    let mut chars: Vec<char> = line.chars().collect();
    let known = secrets.iter().filter(|secret| secret.line == span.line);
    let mut starts: Vec<usize> = known.map(|secret| secret.column.saturating_sub(1)).collect();
    starts.extend(secretive(&chars));
    for start in starts {
        let end = value_end(&chars, start);
        let value: String = chars.get(start..end).unwrap_or_default().iter().collect();
        let outside = value.trim_matches(['"', '\'', ' ']);
        // What only names a secret may be seen: it is what the user must look at.
        if !(outside.starts_with("${") && outside.ends_with('}')) {
            chars.get_mut(start..end).unwrap_or_default().fill('*');
        }
    }
    chars.into_iter().collect()
}

/// Where the values of keys begin whose names sound like secrets.
fn secretive(chars: &[char]) -> Vec<usize> {
    let mut starts = Vec::new();
    for (n, _) in chars.iter().enumerate().filter(|(_, c)| **c == ':') {
        let name: String = chars[..n]
            .iter()
            .rev()
            .take_while(|c| !matches!(c, ' ' | ',' | '{'))
            .collect();
        let name: String = name.chars().rev().collect::<String>().to_lowercase();
        if SECRETIVE.iter().any(|word| name.contains(word)) {
            let blanks = chars[n + 1..].iter().take_while(|c| **c == ' ').count();
            starts.push(n + 1 + blanks);
        }
    }
    starts
}

fn value_end(chars: &[char], start: usize) -> usize {
    let rest = chars.get(start..).unwrap_or_default();
    let length = match rest.first() {
        Some(quote @ ('"' | '\'')) => rest[1..].iter().position(|c| c == quote).map(|end| end + 2),
        Some('$') => rest.iter().position(|c| *c == '}').map(|end| end + 1),
        // Inside braces a value ends at a comma; elsewhere a comma is part of it.
        _ if chars[..start.min(chars.len())].contains(&'{') => rest.iter().position(|c| matches!(c, ',' | '}')),
        _ => None,
    };
    length.map_or(chars.len(), |length| start + length)
}
