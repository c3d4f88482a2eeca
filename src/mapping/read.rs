//! Reading `where`, `each`, `map` and `requires` from the config: every text is a filter that is compiled here, and what
//! cannot be compiled is told at its place in the file. No record is seen here.

use contract::settings::{Kind, Node, Reader, Span};
use contract::{Name, Number, Value};
use filter::{CompileError, Env, Filter};

use super::{Leaf, Tree, clip};

/// Reading in progress.
pub(super) struct Read<'p, 'r, 'e> {
    pub(super) flow: &'p mut Reader<'r>,
    pub(super) env: &'e Env,
    pub(super) failed: bool,
}

impl Read<'_, '_, '_> {
    /// `where` and `each`: one filter.
    pub(super) fn single(&mut self, node: &Node, path: &str) -> Option<Leaf> {
        match &node.kind {
            Kind::Scalar { .. } if node.is_null() || node.is_unresolved() => None,
            Kind::Scalar { .. } => self.leaf(node, path),
            Kind::List(_) | Kind::Map(_) => {
                self.problem(
                    node.span,
                    path,
                    format!("expected a jq filter, found {}", node.shown()),
                    None,
                );
                None
            }
        }
    }

    pub(super) fn tree(&mut self, node: &Node, path: &str) -> Option<Tree> {
        match &node.kind {
            // What a missing interpolation would be is another's complaint.
            _ if node.is_null() || node.is_unresolved() => Some(Tree::Literal(Value::Null)),
            Kind::Scalar {
                text,
                plain: true,
                secret: false,
                ..
            } => match literal(text) {
                Some(value) => Some(Tree::Literal(value)),
                None => self.leaf(node, path).map(Tree::Filter),
            },
            Kind::Scalar { .. } => self.leaf(node, path).map(Tree::Filter),
            Kind::List(items) => {
                let items = items.iter().enumerate();
                let trees: Vec<_> = items
                    .map(|(at, item)| self.tree(item, &format!("{path}[{at}]")))
                    .collect();
                trees.into_iter().collect::<Option<_>>().map(Tree::List)
            }
            Kind::Map(fields) if fields.is_empty() => {
                let hint = "leave `map` out to send the record as it is".to_owned();
                self.problem(node.span, path, "the map has no keys".to_owned(), Some(hint));
                None
            }
            Kind::Map(fields) => {
                let trees: Vec<_> = fields
                    .iter()
                    .map(|(name, node)| {
                        let tree = self.tree(node, &format!("{path}.{}", name.text));
                        tree.map(|tree| (Name::new(&name.text), tree))
                    })
                    .collect();
                trees.into_iter().collect::<Option<_>>().map(Tree::Map)
            }
        }
    }

    fn leaf(&mut self, node: &Node, path: &str) -> Option<Leaf> {
        match &node.kind {
            Kind::Scalar { text, .. } => self.leaf_of(text, node, path, self.env),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// A filter that stands at this node, or that its value stands for.
    pub(super) fn leaf_of(&mut self, text: &str, node: &Node, path: &str, env: &Env) -> Option<Leaf> {
        let Kind::Scalar { secret, .. } = &node.kind else {
            return None;
        };
        match Filter::compile(text, env) {
            Ok(filter) => {
                for warning in filter.warnings().iter().filter(|_| !secret) {
                    let span = place(node, warning.at.start);
                    let message = format!("{} in the filter `{}`", warning.message, clip(text));
                    let path = self.place_name(path);
                    self.flow.warning_on(span, path, message, warning.hint.clone());
                }
                Some(Leaf {
                    path: path.to_owned(),
                    filter,
                    secret: *secret,
                })
            }
            Err(_) if *secret => {
                let message = format!("{} is no jq filter that may be used here", node.shown());
                self.problem(node.span, path, message, None);
                None
            }
            Err(CompileError { message, at, hint }) => {
                let message = format!("{message} in the filter `{}`", clip(text));
                self.problem(place(node, at.start), path, message, hint);
                None
            }
        }
    }

    pub(super) fn problem(&mut self, span: Span, path: &str, message: String, hint: Option<String>) {
        self.failed = true;
        let path = self.place_name(path);
        self.flow.problem_on(span, path, message, hint);
    }

    /// `flows.orders.map.total`
    pub(super) fn place_name(&self, path: &str) -> String {
        match self.flow.path() {
            "" => path.to_owned(),
            flow => format!("{flow}.{path}"),
        }
    }
}

/// The place of a byte of a scalar's text. Exact on one line without escapes; else the scalar's own.
fn place(node: &Node, at: usize) -> Span {
    let Kind::Scalar {
        text,
        plain,
        secret: false,
        ..
    } = &node.kind
    else {
        return node.span;
    };
    let quote = usize::from(!*plain);
    match text.get(..at) {
        Some(before) if !text.contains('\n') => Span {
            line: node.span.line,
            column: node.span.column + quote + before.chars().count(),
        },
        _ => node.span,
    }
}

/// What an unquoted scalar means by itself: a number with its digits, `true` or `false`.
fn literal(text: &str) -> Option<Value> {
    match text {
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => Number::parse(text).ok().map(Value::Number),
    }
}
