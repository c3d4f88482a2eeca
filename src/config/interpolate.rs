//! `${…}` in scalars, filled in after parsing, so that no content can become YAML. What was filled in
//! is marked secret and never appears in a message; the file's own line, with the `${…}`, does.
//!
//! `${` is taken in every scalar, filters included: jq writes `$name` and has no `${`. A literal `${`
//! is written `$${`. A default ends at the first `}`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use contract::settings::{Kind, Node, Problem, Problems, Span};

use super::{Env, Mode};

/// A secret is a line, a key or a certificate.
const FILE_BYTES_MAX: u64 = 64 << 10;

/// What interpolation needs to know, and what it filled in.
pub(super) struct Interpolation<'a> {
    pub(super) base: &'a Path,
    pub(super) text: &'a str,
    pub(super) mode: Mode,
    pub(super) env: Env<'a>,
    /// Everything that was filled in, so that a message that repeats it can be cleaned.
    pub(super) values: Vec<String>,
    files: BTreeMap<String, Result<String, Missing>>,
}

/// Why a value is not there.
#[derive(Clone)]
struct Missing {
    why: String,
    hint: Option<String>,
}

impl Missing {
    fn new(why: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            hint: Some(hint.into()),
        }
    }
}

const FORMS: &str =
    "the forms are ${NAME}, ${NAME:-default}, ${file:PATH} and ${cred:NAME}; a literal `${` is written `$${`";

impl<'a> Interpolation<'a> {
    pub(super) fn new(base: &'a Path, text: &'a str, mode: Mode, env: Env<'a>) -> Self {
        Self {
            base,
            text,
            mode,
            env,
            values: Vec::new(),
            files: BTreeMap::new(),
        }
    }

    /// Fills in a tree in place. `path` is the node's own.
    pub(super) fn fill(&mut self, node: &mut Node, path: &str, problems: &mut Problems) {
        let span = node.span;
        match &mut node.kind {
            Kind::List(items) => {
                for (n, item) in items.iter_mut().enumerate() {
                    self.fill(item, &format!("{path}[{n}]"), problems);
                }
            }
            Kind::Map(fields) => {
                for (name, child) in fields {
                    let dot = if path.is_empty() { "" } else { "." };
                    let short: String = name.text.chars().take(60).collect();
                    self.fill(child, &format!("{path}{dot}{short}"), problems);
                }
            }
            Kind::Scalar {
                text,
                secret,
                unresolved,
                ..
            } => match self.filled(text, span, path, problems) {
                Filled::Same => {}
                Filled::Text { content, outside } => {
                    *text = content;
                    *secret = outside;
                }
                Filled::Missing => {
                    text.clear();
                    (*secret, *unresolved) = (true, true);
                }
            },
        }
    }

    fn filled(&mut self, text: &str, span: Span, path: &str, problems: &mut Problems) -> Filled {
        if !text.contains("${") {
            return Filled::Same;
        }
        let (mut content, mut rest) = (String::new(), text);
        let (mut outside, mut missing) = (false, false);
        while let Some(start) = rest.find("${") {
            if let Some(literal) = rest[..start].strip_suffix('$') {
                content.push_str(literal);
                content.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            content.push_str(&rest[..start]);
            let inner = &rest[start + 2..];
            let (name, after) = match inner.find('}') {
                Some(end) => (&inner[..end], &inner[end + 1..]),
                None => (inner, ""),
            };
            let value = match rest.contains('}') && inner.contains('}') {
                true => self.value(name),
                false => Err(Unmet::Wrong(Missing::new("`${` without its `}`", FORMS))),
            };
            match value {
                Ok(value) => {
                    content.push_str(&value);
                    outside = true;
                    self.values.push(value);
                }
                Err(unmet) => {
                    missing = true;
                    let written = &rest[..rest.len() - after.len()][start..];
                    self.unmet(unmet, written, span, path, problems);
                }
            }
            rest = after;
        }
        content.push_str(rest);
        match missing {
            true => Filled::Missing,
            false => Filled::Text { content, outside },
        }
    }

    fn unmet(&self, unmet: Unmet, written: &str, span: Span, path: &str, problems: &mut Problems) {
        let missing = match unmet {
            Unmet::Absent(_) if self.mode == Mode::Offline => return,
            Unmet::Absent(missing) | Unmet::Wrong(missing) => missing,
        };
        problems.0.push(Problem {
            span: self.place_of(written, span),
            path: path.to_owned(),
            message: missing.why,
            hint: missing.hint,
        });
    }

    /// The place of an interpolation in its line, where it is in the line its scalar begins in.
    fn place_of(&self, written: &str, span: Span) -> Span {
        let line = self.text.lines().nth(span.line.saturating_sub(1)).unwrap_or_default();
        let before = line
            .chars()
            .take(span.column.saturating_sub(1))
            .map(char::len_utf8)
            .sum();
        let found = line.get(before..).and_then(|tail| tail.find(written));
        match found {
            Some(offset) => Span {
                line: span.line,
                column: line[..before + offset].chars().count() + 1,
            },
            None => span,
        }
    }

    fn value(&mut self, name: &str) -> Result<String, Unmet> {
        if let Some(path) = name.strip_prefix("file:") {
            return self.file(path).map_err(Unmet::Absent);
        }
        if let Some(name) = name.strip_prefix("cred:") {
            return self.credential(name);
        }
        let (name, default) = match name.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (name, None),
        };
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            let why = "not an interpolation this file knows".to_owned();
            return Err(Unmet::Wrong(Missing::new(why, FORMS)));
        }
        match ((self.env)(name), default) {
            (Some(value), _) if !value.is_empty() => Ok(value),
            (_, Some(default)) => Ok(default.to_owned()),
            (Some(_), None) => Err(Unmet::Absent(Missing::new(
                format!("the environment variable {name} is set but empty"),
                format!("give it a value, or write ${{{name}:-}} where none will do"),
            ))),
            (None, None) => Err(Unmet::Absent(Missing::new(
                format!("the environment variable {name} is not set"),
                format!("set it, or write ${{{name}:-default}}"),
            ))),
        }
    }

    fn credential(&mut self, name: &str) -> Result<String, Unmet> {
        if name.is_empty() || name.contains('/') || name == "." || name == ".." {
            let why = "a credential's name is a file name, without a folder";
            return Err(Unmet::Wrong(Missing::new(why, FORMS)));
        }
        let Some(folder) = (self.env)("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty()) else {
            let why = format!("the credential {name} is not there: CREDENTIALS_DIRECTORY is not set");
            let hint = format!("systemd sets it for a unit with LoadCredential={name}:PATH");
            return Err(Unmet::Absent(Missing::new(why, hint)));
        };
        let path = Path::new(&folder).join(name);
        // The folder is the service manager's, readable by this service alone.
        content_of(&path, false).map_err(Unmet::Absent)
    }

    fn file(&mut self, path: &str) -> Result<String, Missing> {
        let full = self.base.join(path);
        let read = || content_of(&full, true);
        self.files.entry(path.to_owned()).or_insert_with(read).clone()
    }
}

enum Filled {
    Same,
    Text { content: String, outside: bool },
    Missing,
}

enum Unmet {
    /// It may be there elsewhere or later.
    Absent(Missing),
    /// It is written wrongly, and is so in every mode.
    Wrong(Missing),
}

/// A file's content without its trailing newline.
fn content_of(path: &Path, guarded: bool) -> Result<String, Missing> {
    let shown = path.display();
    let failed = |error: std::io::Error| Missing {
        why: format!("the file {shown} cannot be read: {error}"),
        hint: None,
    };
    // Asked before opening: to open a pipe is to wait for its other end.
    let about = std::fs::metadata(path).map_err(failed)?;
    if !about.is_file() {
        return Err(Missing::new(format!("{shown} is not a file"), "name a regular file"));
    }
    if guarded {
        guard(path, &about)?;
    }
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("the file {shown} has more than {FILE_BYTES_MAX} bytes");
        return Err(Missing { why, hint: None });
    }
    let Ok(text) = String::from_utf8(bytes) else {
        let why = format!("the file {shown} is not UTF-8 text");
        return Err(Missing { why, hint: None });
    };
    let text = text.strip_suffix('\n').unwrap_or(&text);
    let text = text.strip_suffix('\r').unwrap_or(text);
    if text.is_empty() {
        return Err(Missing {
            why: format!("the file {shown} is empty"),
            hint: None,
        });
    }
    Ok(text.to_owned())
}

/// A secret that others can read is not one, and one that others can write is theirs.
fn guard(path: &Path, about: &std::fs::Metadata) -> Result<(), Missing> {
    use std::os::unix::fs::PermissionsExt;
    let mode = about.permissions().mode() & 0o777;
    let who = match (mode & 0o007, mode & 0o020) {
        (0, 0) => return Ok(()),
        (0, _) => "its group can write it",
        _ => "everyone on this machine can reach it",
    };
    let shown = path.display();
    Err(Missing::new(
        format!("the file {shown} has mode {mode:04o}: {who}"),
        format!("run: chmod 600 {shown}"),
    ))
}
