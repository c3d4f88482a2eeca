//! Reads a filter's text and decides whether it may run: its size and nesting before anything
//! recursive sees it, then every call by name. What passes ends, needs a bounded stack, and cannot
//! see anything but its record and the named tables.

use std::ops::Range;

use contract::Number;
use contract::settings::nearest;
use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::{Lexer, Parser};
use jaq_core::path::Part;

use crate::mistakes::{bare_text, lex_error, parse_error};
use crate::{CompileError, Env, known};

pub(crate) const SOURCE_BYTES_MAX: usize = 8 << 10;
/// Brackets within brackets.
const BRACKETS_MAX: usize = 32;
/// What may stand between the outermost and the innermost place of a filter: bounds every recursion.
const NESTING_MAX: usize = 256;

pub(crate) type Tree<'s> = Term<&'s str>;

pub(crate) fn range(source: &str, part: &str) -> Range<usize> {
    let start = (part.as_ptr() as usize)
        .saturating_sub(source.as_ptr() as usize)
        .min(source.len());
    start..(start + part.len()).min(source.len())
}

pub(crate) fn read<'s>(source: &'s str, env: &Env) -> Result<Tree<'s>, CompileError> {
    let whole = 0..source.len();
    let refuse = |message: String| {
        Err(CompileError {
            message,
            at: whole.clone(),
            hint: None,
        })
    };
    if source.trim().is_empty() {
        let hint = Some("`.` is the whole input, `null` is nothing, `.name` is a field".to_owned());
        return Err(CompileError {
            message: "the filter is empty".to_owned(),
            at: whole,
            hint,
        });
    }
    if source.len() > SOURCE_BYTES_MAX {
        return refuse(format!("the filter is longer than {SOURCE_BYTES_MAX} bytes"));
    }
    if brackets(source) > BRACKETS_MAX {
        return refuse(format!("the filter nests more than {BRACKETS_MAX} brackets"));
    }
    let tokens = Lexer::new(source).lex().map_err(|errors| lex_error(source, &errors))?;
    if nesting(&tokens) > NESTING_MAX {
        return refuse(format!(
            "the filter is nested too deeply: more than {NESTING_MAX} parts in one another"
        ));
    }
    let tree = Parser::new(&tokens).parse(|parser| parser.term()).map_err(|errors| {
        let found = errors.first().map(|(expected, found)| (expected.as_str(), *found));
        parse_error(source, found, env)
    })?;
    Guard {
        source,
        env,
        vars: match env.refs.is_empty() {
            true => vec!["$record"],
            false => vec!["$record", "$refs"],
        },
    }
    .term(&tree, false)?;
    Ok(tree)
}

/// The deepest nesting of brackets, found without recursion; text in strings does not count.
fn brackets(source: &str) -> usize {
    let (mut stack, mut deepest) = (Vec::new(), 0);
    let mut chars = source.chars();
    while let Some(c) = chars.next() {
        match (c, stack.last() == Some(&'"')) {
            ('"', true) => drop(stack.pop()),
            ('\\', true) if chars.next() == Some('(') => stack.push('('),
            (_, true) => {}
            ('#', false) => skip_comment(&mut chars),
            ('"' | '(' | '[' | '{', false) => stack.push(c),
            (')' | ']' | '}', false) => drop(stack.pop()),
            _ => {}
        }
        deepest = deepest.max(stack.len());
    }
    deepest
}

/// To the end of the line, or of the next one where an odd number of backslashes ends this one.
fn skip_comment(chars: &mut std::str::Chars<'_>) {
    let mut odd = false;
    for c in chars.by_ref() {
        match c {
            '\n' if !odd => return,
            '\\' => odd = !odd,
            '\r' => {}
            _ => odd = false,
        }
    }
}

/// How deep parser, compiler and interpreter can go, reckoned high: every token but a separator
/// counts as a level until the separator, and every separated part counts as one.
fn nesting(tokens: &[Token<&str>]) -> usize {
    let (mut deepest, mut parts, mut run) = (0, 0, 0);
    for Token(text, token) in tokens {
        run += 1;
        let inner = match token {
            Tok::Block(inner) => nesting(inner) + 1,
            Tok::Str(pieces) => {
                let inner = pieces.iter().map(|piece| match piece {
                    StrPart::Term(token) => nesting(std::slice::from_ref(token)),
                    _ => 0,
                });
                pieces.len() + inner.max().unwrap_or(0)
            }
            _ => 0,
        };
        deepest = deepest.max(parts + run + inner);
        if matches!(*text, "," | ";") {
            (parts, run) = (parts + 1, 0);
        }
    }
    deepest
}

pub(crate) struct Guard<'s, 'e> {
    source: &'s str,
    pub(crate) env: &'e Env,
    vars: Vec<&'s str>,
}

pub(crate) type Checked = Result<(), CompileError>;

impl<'s> Guard<'s, '_> {
    pub(crate) fn error(&self, part: &str, message: String, hint: Option<String>) -> Checked {
        Err(CompileError {
            message,
            at: range(self.source, part),
            hint,
        })
    }

    fn refuse(&self, part: &str, what: &str, why: &str) -> Checked {
        let at = match self.source.find(part) {
            Some(found) if range(self.source, part) == (0..0) => &self.source[found..found + part.len()],
            _ => part,
        };
        self.error(at, format!("{what} is not allowed here: {why}"), None)
    }

    fn all<'t>(&mut self, terms: impl IntoIterator<Item = &'t Tree<'s>>, path: bool) -> Checked
    where
        's: 't,
    {
        terms.into_iter().try_for_each(|term| self.term(term, path))
    }

    /// `path`: the term tells places to change, which a `reduce` would do by recursion.
    fn term(&mut self, term: &Tree<'s>, path: bool) -> Checked {
        match term {
            Term::Id => Ok(()),
            Term::Recurse => {
                let at = self
                    .source
                    .find("..")
                    .map_or(self.source, |at| &self.source[at..at + 2]);
                self.refuse(at, "`..`", "name the fields you want; values may be deep")
            }
            Term::Num(text) => match Number::parse(text) {
                Ok(_) => Ok(()),
                Err(error) => self.error(text, error.to_string(), None),
            },
            Term::Str(format, parts) => self.text(*format, parts),
            Term::Arr(inner) => self.all(inner.as_deref(), false),
            Term::Neg(inner) => self.term(inner, false),
            Term::Obj(fields) => fields.iter().try_for_each(|(key, value)| {
                self.term(key, false)?;
                self.all(value, false)
            }),
            Term::BinOp(left, op, right) => self.operation(left, op, right, path),
            Term::Label(name, _) => self.refuse(name, "`label`", "use `first` or `limit`"),
            Term::Break(name) => self.refuse(name, "`break`", "use `first` or `limit`"),
            Term::Fold(kind, list, pattern, args) => self.fold(kind, list, pattern, args, path),
            Term::TryCatch(inner, catch) => {
                self.term(inner, path)?;
                self.all(catch.as_deref(), false)
            }
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.term(condition, false)?;
                    self.term(then, path)?;
                }
                self.all(otherwise.as_deref(), path)
            }
            Term::Def(defs, _) => {
                let name = defs.first().map_or(self.source, |def| def.name);
                self.refuse(name, "`def`", "a function of one's own can call itself for ever")
            }
            Term::Call(name, args) => self.call(name, args, path),
            Term::Var(name) => self.var(name),
            Term::Path(start, parts) => {
                self.term(start, path)?;
                if let (Term::Var(refs @ "$refs"), Some((Part::Index(index), _))) = (&**start, parts.0.first()) {
                    self.reference(refs, index)?;
                }
                for (part, _) in &parts.0 {
                    match part {
                        Part::Index(index) => self.term(index, false)?,
                        Part::Range(from, to) => self.all(from.iter().chain(to), false)?,
                    }
                }
                Ok(())
            }
        }
    }

    fn text(&mut self, format: Option<&'s str>, parts: &[StrPart<&'s str, Tree<'s>>]) -> Checked {
        if let Some(format) = format {
            self.call(format, &[], false)?;
        }
        parts.iter().try_for_each(|part| match part {
            StrPart::Term(term) => self.term(term, false),
            _ => Ok(()),
        })
    }

    fn operation(&mut self, left: &Tree<'s>, op: &BinaryOp<&'s str>, right: &Tree<'s>, path: bool) -> Checked {
        match op {
            BinaryOp::Pipe(Some(pattern)) => {
                self.term(left, false)?;
                self.bound(pattern, |guard| guard.term(right, path))
            }
            BinaryOp::Pipe(None) | BinaryOp::Comma | BinaryOp::Alt => {
                self.term(left, path)?;
                self.term(right, path)
            }
            BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateMath(_) | BinaryOp::UpdateAlt => {
                self.term(left, true)?;
                self.term(right, false)
            }
            BinaryOp::Or | BinaryOp::And | BinaryOp::Math(_) | BinaryOp::Cmp(_) => {
                self.term(left, false)?;
                self.term(right, false)
            }
        }
    }

    fn fold(
        &mut self,
        kind: &'s str,
        list: &Tree<'s>,
        pattern: &Pattern<&'s str>,
        args: &[Tree<'s>],
        path: bool,
    ) -> Checked {
        if kind != "reduce" {
            return self.refuse(kind, "`foreach`", "use `reduce`");
        }
        if path {
            return self.refuse(kind, "`reduce` as a place to change", "write the place itself");
        }
        let [start, update] = args else {
            return self.error(
                kind,
                "`reduce` is written `reduce .list[] as $x (start; update)`".to_owned(),
                None,
            );
        };
        self.term(list, false)?;
        self.term(start, false)?;
        self.bound(pattern, |guard| guard.term(update, false))
    }

    /// With the variables of a pattern in scope.
    fn bound(&mut self, pattern: &Pattern<&'s str>, check: impl FnOnce(&mut Self) -> Checked) -> Checked {
        let before = self.vars.len();
        self.pattern(pattern)?;
        let checked = check(self);
        self.vars.truncate(before);
        checked
    }

    fn pattern(&mut self, pattern: &Pattern<&'s str>) -> Checked {
        match pattern {
            Pattern::Var(name) => {
                self.vars.push(name);
                Ok(())
            }
            Pattern::Arr(items) => items.iter().try_for_each(|item| self.pattern(item)),
            Pattern::Obj(fields) => fields.iter().try_for_each(|(key, item)| {
                self.term(key, false)?;
                self.pattern(item)
            }),
        }
    }

    fn var(&self, name: &'s str) -> Checked {
        if self.vars.contains(&name) {
            return Ok(());
        }
        match name {
            "$refs" => {
                let hint =
                    "`$refs` is known in the `map` of a flow that has `requires`, such as `requires: [customers]`"
                        .to_owned();
                self.error(name, "`$refs` is not known here".to_owned(), Some(hint))
            }
            "$ENV" | "$__prog_args" | "$__loc__" => {
                self.refuse(name, &format!("`{name}`"), "a filter sees its record and nothing else")
            }
            _ => {
                let near = nearest(name, self.vars.iter().copied()).map(|near| format!("did you mean `{near}`?"));
                self.error(name, format!("unknown variable `{name}`"), near)
            }
        }
    }

    fn call(&mut self, name: &'s str, args: &[Tree<'s>], path: bool) -> Checked {
        if name.starts_with('@') {
            return match known::FORMATS.contains(&name) {
                true => Ok(()),
                false => {
                    let hint = format!("known formats: {}", known::FORMATS.join(", "));
                    self.error(name, format!("unknown format `{name}`"), Some(hint))
                }
            };
        }
        if let Some(why) = known::refused(name) {
            return self.refuse(name, &format!("`{name}`"), why);
        }
        let Some(arities) = known::arities(name) else {
            return self.unknown(name, args.is_empty());
        };
        if !arities.contains(&args.len()) {
            let wanted: Vec<String> = arities.iter().map(usize::to_string).collect();
            let message = format!("`{name}` takes {} arguments, not {}", wanted.join(" or "), args.len());
            let hint = (args.len() > 1).then(|| "arguments are separated by `;`".to_owned());
            return self.error(name, message, hint);
        }
        self.table(name, args)?;
        // `del` names places; the others that pass paths on do so with their last argument.
        let places = name == "del" || (path && matches!(name, "first" | "last" | "limit" | "skip" | "nth"));
        self.all(args, places)
    }

    fn unknown(&self, name: &'s str, alone: bool) -> Checked {
        let near = nearest(name, known::FUNCTIONS.iter().map(|(name, _)| *name));
        let mut hints = Vec::new();
        if let Some(near) = near {
            hints.push(format!("did you mean `{near}`?"));
        }
        let small = !name.chars().any(|c| c.is_ascii_uppercase());
        if alone && small && near.is_none() {
            hints.push(format!("a field is written `.{name}`"));
        }
        if alone && (near.is_none() || !small) {
            let whole = bare_text(self.source).unwrap_or_else(|| format!("a literal text is written '\"{name}\"'"));
            hints.push(whole);
        }
        let hint = (!hints.is_empty()).then(|| hints.join("; "));
        self.error(name, format!("unknown function `{name}`"), hint)
    }
}

/// The text of a string without interpolation.
pub(crate) fn literal(term: &Tree<'_>) -> Option<String> {
    let Term::Str(None, parts) = term else { return None };
    let mut text = String::new();
    for part in parts {
        match part {
            StrPart::Str(part) => text.push_str(part),
            StrPart::Char(c) => text.push(*c),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}
