//! Plain paths (`.customer.phone`, `.lines[0].sku?`, and either with `| tostring`) read straight
//! from the record. Most mapped fields are such, and they need no interpreter.

use std::borrow::Cow;

use contract::{Fields, Value};
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part};

use crate::RunError;
use crate::guard::{Tree, literal};
use crate::val::Val;

#[derive(Debug)]
pub(crate) struct Plain {
    steps: Vec<Step>,
    as_text: bool,
}

#[derive(Debug)]
struct Step {
    to: To,
    optional: bool,
}

#[derive(Debug)]
enum To {
    Field(String),
    Item(i64),
}

static NULL: Value = Value::Null;

impl Plain {
    /// `None` for a filter that only the interpreter can run.
    pub(crate) fn of(tree: &Tree<'_>) -> Option<Plain> {
        let (path, as_text) = match tree {
            Term::BinOp(path, BinaryOp::Pipe(None), last) => match &**last {
                Term::Call("tostring", args) if args.is_empty() => (&**path, true),
                _ => return None,
            },
            path => (path, false),
        };
        let steps = match path {
            Term::Id => Vec::new(),
            Term::Path(start, parts) if matches!(**start, Term::Id) => {
                parts.0.iter().map(Step::of).collect::<Option<_>>()?
            }
            _ => return None,
        };
        Some(Plain { steps, as_text })
    }

    /// The value, or `None` where a `?` found nothing to look into. What is there already is not copied.
    pub(crate) fn run<'v>(&self, input: &'v Value) -> Result<Option<Cow<'v, Value>>, RunError> {
        let mut value = input;
        for step in &self.steps {
            value = match step.take(value) {
                Some(value) => value,
                None if step.optional => return Ok(None),
                None => return Err(step.refusal(value)),
            };
        }
        Ok(Some(match (self.as_text, value) {
            (false, value) | (true, value @ Value::Text(_)) => Cow::Borrowed(value),
            (true, Value::Number(number)) => Cow::Owned(Value::text(number.as_str())),
            (true, other) => Cow::Owned(Value::text(other.to_json())),
        }))
    }
}

impl Step {
    fn of((part, opt): &(Part<Tree<'_>>, Opt)) -> Option<Step> {
        let Part::Index(index) = part else { return None };
        let to = match index {
            Term::Num(text) => To::Item(text.parse().ok()?),
            Term::Neg(inner) => match &**inner {
                Term::Num(text) => To::Item(-text.parse::<i64>().ok()?),
                _ => return None,
            },
            other => To::Field(literal(other)?),
        };
        Some(Step {
            to,
            optional: matches!(opt, Opt::Optional),
        })
    }

    fn take<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        match (value, &self.to) {
            (Value::Null, _) => Some(&NULL),
            (Value::Map(fields), To::Field(name)) => Some(Fields::get(fields, name).unwrap_or(&NULL)),
            (Value::List(items), To::Item(at)) => {
                let at = match *at < 0 {
                    true => items.len().checked_sub(at.unsigned_abs() as usize),
                    false => Some(*at as usize),
                };
                Some(at.and_then(|at| items.get(at)).unwrap_or(&NULL))
            }
            _ => None,
        }
    }

    fn refusal(&self, value: &Value) -> RunError {
        let index = match &self.to {
            To::Field(name) => Val::Text(name.as_str().into()),
            To::Item(at) => Val::from(*at as isize),
        };
        RunError::new(&format!("cannot index {} with {index}", Val::from(value)))
    }
}
