//! Reading a config file: a tree of nodes that know their places, and a reader that takes typed
//! values out of it, collects every problem instead of stopping at the first, and can describe
//! what it would accept. One read function per type is the only definition of that type's keys:
//! checking, defaults and the JSON Schema all come from it.
//!
//! Two rules for a read function. It asks for every field before its first `?`: a field that was
//! not asked for is an unknown key to the user and missing from the schema. And it reports nothing
//! about a field that came back as `None`: where that was wrong, the reader has already said so.

mod field;
mod near;
mod reader;
mod units;

use std::any::Any;
use std::sync::Arc;

pub use field::Field;
pub use near::nearest;
pub use reader::{Problem, Problems, Reader};
pub use units::{Rate, https_or_loopback, parse_duration};

use crate::{Connector, Error, Seams};

/// A place in the config file, both counted from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    pub line: usize,
    pub column: usize,
}

#[derive(Clone, PartialEq)]
pub struct Node {
    pub span: Span,
    pub kind: Kind,
}

#[derive(Clone, PartialEq)]
pub enum Kind {
    Scalar {
        text: String,
        /// Written without quotes, so that `5`, `true` and `null` mean a number, a boolean and nothing.
        plain: bool,
        /// The text, or a part of it, came from outside the file. No message may show it.
        secret: bool,
        /// The text names something outside the file that is not there now. It reads as absent,
        /// and nobody complains.
        unresolved: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Name, Node)>),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Name {
    pub text: String,
    pub span: Span,
}

/// Typed settings of a connector, ready to be connected.
pub trait Settings: std::fmt::Debug + Send + Sync + Any {
    fn connect(&self, seams: &Seams) -> Result<Arc<dyn Connector>, Error>;
    /// Resources that flows may take `from` here.
    fn sources(&self) -> Vec<String>;
    /// Resources that flows may send `to` here.
    fn targets(&self) -> Vec<String>;
    /// Whether its targets take records one by one.
    fn takes_records(&self) -> bool {
        false
    }
    /// Whether the other side says what became of what is written to this resource.
    fn is_acknowledged(&self, _resource: &str) -> bool {
        false
    }
    /// How often the other side is called at the most, where that is limited; for `status`.
    fn rate_limit(&self) -> Option<Rate> {
        None
    }
}

impl Node {
    /// The value under a key, where this is a map that has it.
    pub fn get(&self, name: &str) -> Option<&Node> {
        match &self.kind {
            Kind::Map(fields) => fields.iter().find(|(key, _)| key.text == name).map(|(_, node)| node),
            _ => None,
        }
    }

    /// Whether nothing was given: no value, `null`, or an interpolation whose default is empty (`${NAME:-}`).
    pub fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, secret: true, .. } => text.is_empty() && !self.is_unresolved(),
            Kind::Scalar { text, plain: true, .. } => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Whether the value comes from outside the file and is not there now.
    pub fn is_unresolved(&self) -> bool {
        matches!(&self.kind, Kind::Scalar { unresolved: true, .. })
    }

    /// How a message names this node. Never the content of a secret.
    pub fn shown(&self) -> String {
        match &self.kind {
            Kind::Scalar { secret: true, .. } => "an interpolated value".to_owned(),
            _ if self.is_null() => "nothing".to_owned(),
            Kind::Scalar { text, plain: false, .. } => format!("the text \"{}\"", clip(text)),
            Kind::Scalar { text, .. } => format!("`{}`", clip(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a map of keys".to_owned(),
        }
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{} ", self.span.line, self.span.column)?;
        match &self.kind {
            Kind::Scalar { .. } => f.write_str(&self.shown()),
            Kind::List(items) => f.debug_list().entries(items).finish(),
            Kind::Map(fields) => f
                .debug_map()
                .entries(fields.iter().map(|(name, node)| (&name.text, node)))
                .finish(),
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        clip(name)
    } else {
        format!("{path}.{}", clip(name))
    }
}

/// As much of a text as a message can bear, on one line.
fn clip(text: &str) -> String {
    let mut clipped: String = text.chars().take(60).collect();
    if clipped.len() < text.len() {
        clipped.push('…');
    }
    clipped.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests;
