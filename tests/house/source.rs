//! A source file as the rules look at it: code without comments, texts and tests, and the texts apart.

pub(super) struct Source {
    pub(super) path: String,
    /// As long as the file; what is no code is blank.
    code: String,
    /// The string literals, with the line that each begins on.
    pub(super) texts: Vec<(usize, String)>,
}

/// Whether a file holds tests and nothing else.
pub(super) fn is_test(path: &str) -> bool {
    path.starts_with("tests/") || path.contains("/tests/") || path.ends_with("/tests.rs")
}

impl Source {
    pub(super) fn read(path: &str, text: &str) -> Source {
        let text = without_tests(text);
        let chars: Vec<char> = text.chars().collect();
        let mut split = Split {
            code: String::with_capacity(text.len()),
            texts: Vec::new(),
            line: 1,
        };
        let mut at = 0;
        while at < chars.len() {
            at += split.step(&chars[at..]);
        }
        Source {
            path: path.to_owned(),
            code: split.code,
            texts: split.texts,
        }
    }

    /// What stands right behind `head::` where `head` begins a path.
    pub(super) fn after(&self, head: &str) -> Vec<(usize, String)> {
        self.paths(head, begins_path)
    }

    /// What stands right behind `head::` anywhere in a path.
    pub(super) fn within(&self, head: &str) -> Vec<(usize, String)> {
        self.paths(head, |_| true)
    }

    fn paths(&self, head: &str, fits: impl Fn(&str) -> bool) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        for (at, _) in self.code.match_indices(head) {
            let (before, behind) = (&self.code[..at], &self.code[at + head.len()..]);
            if before.ends_with(is_word) || !fits(before) {
                continue;
            }
            let line = before.matches('\n').count() + 1;
            if let Some(rest) = behind.strip_prefix("::") {
                found.extend(firsts(rest).into_iter().map(|name| (line, name)));
            }
        }
        found
    }
}

/// Whether a name behind this text is the first of its path; a chain of `super` has no first.
fn begins_path(before: &str) -> bool {
    match before.strip_suffix("::") {
        Some(outer) => outer.ends_with("super") || !outer.ends_with(|c| is_word(c) || c == '>'),
        None => true,
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The first names of what stands behind `::`: one, those of a group in braces, or `*`.
fn firsts(rest: &str) -> Vec<String> {
    let word = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
        if text.starts_with('*') {
            "*".to_owned()
        } else {
            text[..end].to_owned()
        }
    };
    let Some(group) = rest.strip_prefix('{') else {
        return vec![word(rest)];
    };
    let (mut names, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            ',' if depth == 0 => {
                names.push(word(&group[start..at]));
                start = at + 1;
            }
            '}' if depth == 0 => {
                names.push(word(&group[start..at]));
                break;
            }
            '}' => depth -= 1,
            _ => {}
        }
    }
    names
}

/// Tests within a file stand at its end.
fn without_tests(text: &str) -> &str {
    let mut from = 0;
    while let Some(found) = text[from..].find("#[cfg(test)]\n") {
        let rest = &text[from + found..];
        let module = rest.lines().find(|line| !line.trim_start().starts_with("#["));
        if module.is_some_and(|line| line.starts_with("mod ") && line.ends_with('{')) {
            return &text[..from + found];
        }
        from += found + 1;
    }
    text
}

struct Split {
    code: String,
    texts: Vec<(usize, String)>,
    line: usize,
}

impl Split {
    /// Takes the next piece and answers how long it is.
    fn step(&mut self, rest: &[char]) -> usize {
        let starts = |with: &str| with.chars().enumerate().all(|(n, c)| rest.get(n) == Some(&c));
        if starts("//") {
            let length = rest.iter().position(|c| *c == '\n').unwrap_or(rest.len());
            return self.blank(&rest[..length]);
        }
        if starts("/*") {
            return self.blank(&rest[..comment(rest)]);
        }
        if let Some((open, close)) = text(rest, self.code.ends_with(is_word)) {
            let inner: String = rest[open..close.start].iter().collect();
            self.texts.push((self.line, inner));
            return self.blank(&rest[..close.end]);
        }
        if let Some(length) = character(rest) {
            return self.blank(&rest[..length]);
        }
        self.line += usize::from(rest[0] == '\n');
        self.code.push(rest[0]);
        1
    }

    fn blank(&mut self, what: &[char]) -> usize {
        for c in what {
            self.line += usize::from(*c == '\n');
            self.code.push(if *c == '\n' { '\n' } else { ' ' });
        }
        what.len()
    }
}

fn comment(rest: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match (rest[at], rest.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// A string literal: where its text begins, and where its closing quote stands.
fn text(rest: &[char], in_word: bool) -> Option<(usize, std::ops::Range<usize>)> {
    let mut open = 0;
    let mut raw = false;
    while !in_word && open < 2 && matches!(rest.get(open), Some('b' | 'c' | 'r')) {
        raw |= rest[open] == 'r';
        open += 1;
    }
    let hashes = rest[open..].iter().take_while(|c| **c == '#').count();
    if rest.get(open + hashes) != Some(&'"') || (hashes > 0 && !raw) {
        return None;
    }
    open += hashes + 1;
    let mut at = open;
    while at < rest.len() {
        match rest[at] {
            '\\' if !raw => at += 2,
            '"' if rest[at + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return Some((open, at..at + 1 + hashes));
            }
            _ => at += 1,
        }
    }
    Some((open, rest.len()..rest.len()))
}

/// A character literal, as opposed to a lifetime.
fn character(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', ..] => Some(rest[3..].iter().position(|c| *c == '\'')? + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

#[test]
fn code_and_texts_are_told_apart() {
    let text = "let a = \"x // y\\\"\"; // \"no\"\nlet b = r#\"SELECT \"1\"\"#; /* crate::x /* */ */\nlet c: &'a str = f('\"', '\\'', b'\\\\');\nlet d = \"end\";";
    let source = Source::read("src/x.rs", text);
    let texts: Vec<_> = source.texts.iter().map(|(line, text)| (*line, text.as_str())).collect();
    assert_eq!(texts, [(1, "x // y\\\""), (2, "SELECT \"1\""), (4, "end")]);
    assert!(source.code.contains("let c: &'a str = f("));
    assert!(!source.code.contains("crate"));
}
