//! YAML text to a tree of nodes that know their places. It takes any bytes and never fails without
//! saying where; it knows nothing of the keys.
//!
//! The tree is built from the parser's events, since only they tell quoted from plain text and give
//! a place for every key. One syntax error ends the reading: what follows it would be guesswork.

use std::collections::HashMap;

use contract::settings::{Kind, Name, Node, Problem, Problems, Span};
use granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Tag};

use super::source::{START, at, end_of};

/// Nodes with every alias counted as often as it is used, so that a few lines cannot become gigabytes.
const NODES_MAX: usize = 50_000;
const TEXT_BYTES_MAX: usize = 4 << 20;
/// Collections within collections. Everything that walks the tree may recurse this deep.
const DEPTH_MAX: usize = 64;

/// Gives the tree of the first document, or nothing after a syntax error; problems go to `problems`.
pub(super) fn tree_of(text: &str, problems: &mut Problems) -> Option<Node> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = DEPTH_MAX;
    options.block_nesting_limit = DEPTH_MAX;
    let mut builder = Builder::new(problems);
    for event in Parser::new_from_str_with_options(text, options) {
        match event {
            Ok((event, span)) => {
                if builder
                    .take(event, place(span.start), span.tag_start.map(place))
                    .is_err()
                {
                    return None;
                }
            }
            Err(error) => {
                let problem = syntax(&error, text);
                builder.problems.0.push(problem);
                return None;
            }
        }
    }
    let root = builder.root.take();
    if root.as_ref().is_none_or(Node::is_null) {
        let hint = Some("begin with `version: 1`; sync.yaml.example shows the rest".to_owned());
        problems.0.push(at(START, "the file has no content".to_owned(), hint));
        return None;
    }
    root
}

fn place(marker: granit_parser::Marker) -> Span {
    Span {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

fn syntax(error: &ScanError, text: &str) -> Problem {
    let mut span = place(*error.marker());
    // At the end of the file the parser may stand behind the last line; the last line is what to look at.
    let end = end_of(text.trim_end());
    if span.line > end.line {
        span = end;
    }
    let hint = match error.kind() {
        ErrorKind::RecursionLimitExceeded => Some(format!("a config nests at most {DEPTH_MAX} deep")),
        _ if tab_indents(text, span.line) => Some("indent with spaces: YAML allows no tabs there".to_owned()),
        _ => None,
    };
    at(span, format!("this is not YAML: {}", error.info()), hint)
}

fn tab_indents(text: &str, line: usize) -> bool {
    let mut near = text.lines().skip(line.saturating_sub(2)).take(2);
    near.any(|line| line.trim_start_matches(' ').starts_with('\t'))
}

/// The budget is used up; the problem is reported.
struct Refused;

/// An anchored node, and what each use of it costs.
struct Anchor {
    node: Node,
    weight: Weight,
}

#[derive(Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
    depth: usize,
}

/// A collection whose end has not come yet.
struct Open {
    span: Span,
    anchor: usize,
    weight: Weight,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map {
        fields: Vec<(Name, Node)>,
        merged: Vec<Node>,
        key: Key,
    },
}

enum Key {
    Awaited,
    Read(Name),
    Merge,
    /// Not a text, and reported; its value is dropped.
    Unusable,
}

struct Builder<'p> {
    problems: &'p mut Problems,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchor>,
    spent: Weight,
    root: Option<Node>,
    documents: usize,
}

impl<'p> Builder<'p> {
    fn new(problems: &'p mut Problems) -> Self {
        Self {
            problems,
            open: Vec::new(),
            anchors: HashMap::new(),
            spent: Weight::default(),
            root: None,
            documents: 0,
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span, tag_at: Option<Span>) -> Result<(), Refused> {
        let tag_at = tag_at.unwrap_or(span);
        if let Event::DocumentStart(..) = event {
            self.documents += 1;
            if self.documents == 2 {
                let hint = Some("remove the `---` and what follows it, or join the two".to_owned());
                self.report(
                    span,
                    "a second YAML document begins here; a config is one".to_owned(),
                    hint,
                );
            }
        }
        if self.documents != 1 {
            return Ok(());
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = self.style_of(style, tag.as_deref(), tag_at);
                self.scalar(text.into_owned(), plain, anchor, span)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tagged(tag.as_deref(), "seq", tag_at);
                self.begin(anchor, span, Content::List(Vec::new()));
                Ok(())
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tagged(tag.as_deref(), "map", tag_at);
                let (fields, merged, key) = (Vec::new(), Vec::new(), Key::Awaited);
                self.begin(anchor, span, Content::Map { fields, merged, key });
                Ok(())
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn report(&mut self, span: Span, message: String, hint: Option<String>) {
        let path = self.path();
        self.problems.0.push(Problem {
            span,
            path,
            message,
            hint,
        });
    }

    /// Where the next node belongs.
    fn path(&self) -> String {
        let mut path = String::new();
        for open in &self.open {
            match &open.content {
                Content::List(items) => path.push_str(&format!("[{}]", items.len())),
                Content::Map {
                    key: Key::Read(name), ..
                } => {
                    if !path.is_empty() {
                        path.push('.');
                    }
                    path.extend(name.text.chars().take(60));
                }
                Content::Map { .. } => {}
            }
        }
        path
    }

    /// Whether a scalar counts as plain. `!!str 5` is a text though it has no quotes.
    fn style_of(&mut self, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> bool {
        let text = tag.is_some_and(|tag| tag.is_yaml_core_schema() && tag.suffix() == "str");
        if !text {
            self.tagged(tag, "", span);
        }
        style == ScalarStyle::Plain && !text
    }

    fn tagged(&mut self, tag: Option<&Tag>, usual: &str, span: Span) {
        if let Some(tag) = tag
            && !(tag.is_yaml_core_schema() && tag.suffix() == usual)
        {
            let hint = Some("remove it, and put a text that looks like something else in quotes".to_owned());
            self.report(span, format!("the tag `{tag}` means nothing here"), hint);
        }
    }

    fn scalar(&mut self, text: String, plain: bool, anchor: usize, span: Span) -> Result<(), Refused> {
        let weight = Weight {
            nodes: 1,
            bytes: text.len(),
            depth: 0,
        };
        let kind = Kind::Scalar {
            text,
            plain,
            secret: false,
            unresolved: false,
        };
        self.place(Node { span, kind }, anchor, weight)
    }

    fn begin(&mut self, anchor: usize, span: Span, content: Content) {
        let weight = Weight {
            nodes: 1,
            bytes: 0,
            depth: 1,
        };
        // A collection where a key should be is reported when it ends.
        self.open.push(Open {
            span,
            anchor,
            weight,
            content,
        });
    }

    fn end(&mut self) -> Result<(), Refused> {
        let Some(open) = self.open.pop() else { return Ok(()) };
        let kind = match open.content {
            Content::List(items) => Kind::List(items),
            Content::Map { mut fields, merged, .. } => {
                for node in merged {
                    self.merge(&mut fields, node);
                }
                Kind::Map(fields)
            }
        };
        self.place(Node { span: open.span, kind }, open.anchor, open.weight)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Refused> {
        let Some(Anchor { node, weight }) = self.anchors.remove(&anchor) else {
            self.report(span, "an alias to the very thing it stands in".to_owned(), None);
            return Err(Refused);
        };
        // Checked before the copy is made.
        self.spend(weight, span)?;
        let kind = node.kind.clone();
        self.anchors.insert(anchor, Anchor { node, weight });
        self.attach(Node { span, kind }, weight)
    }

    fn place(&mut self, node: Node, anchor: usize, weight: Weight) -> Result<(), Refused> {
        let own = Weight {
            nodes: 1,
            bytes: if weight.depth == 0 { weight.bytes } else { 0 },
            depth: weight.depth,
        };
        self.spend(own, node.span)?;
        if anchor != 0 {
            // The copy kept for aliases counts too.
            self.spend(weight, node.span)?;
            let node = node.clone();
            self.anchors.insert(anchor, Anchor { node, weight });
        }
        self.attach(node, weight)
    }

    fn spend(&mut self, weight: Weight, span: Span) -> Result<(), Refused> {
        self.spent.nodes += weight.nodes;
        self.spent.bytes += weight.bytes;
        let why = if self.spent.nodes > NODES_MAX {
            format!("more than {NODES_MAX} values, aliases counted as often as they are used")
        } else if self.spent.bytes > TEXT_BYTES_MAX {
            format!("more than {TEXT_BYTES_MAX} bytes of text, aliases counted as often as they are used")
        } else if self.open.len() + weight.depth > DEPTH_MAX {
            format!("nested more than {DEPTH_MAX} deep")
        } else {
            return Ok(());
        };
        self.report(span, why, None);
        Err(Refused)
    }

    /// Puts a finished node into the collection it stands in.
    fn attach(&mut self, mut node: Node, weight: Weight) -> Result<(), Refused> {
        let Some(mut parent) = self.open.pop() else {
            self.root = Some(node);
            return Ok(());
        };
        parent.weight.nodes += weight.nodes;
        parent.weight.bytes += weight.bytes;
        parent.weight.depth = parent.weight.depth.max(weight.depth + 1);
        match &mut parent.content {
            Content::List(items) => items.push(node),
            Content::Map { fields, merged, key } => match std::mem::replace(key, Key::Awaited) {
                Key::Awaited => *key = self.key_of(node, fields),
                Key::Read(name) => {
                    // A block of lines is best named by its key, not by its first line.
                    if node.span.line > name.span.line && !matches!(node.kind, Kind::Scalar { .. }) {
                        node.span = name.span;
                    }
                    fields.push((name, node));
                }
                Key::Merge => merged.push(node),
                Key::Unusable => {}
            },
        }
        self.open.push(parent);
        Ok(())
    }

    fn key_of(&mut self, node: Node, fields: &[(Name, Node)]) -> Key {
        let span = node.span;
        let shown = node.shown();
        let Kind::Scalar { text, plain, .. } = node.kind else {
            let hint = Some("put a text that begins with `{` or `[` in quotes".to_owned());
            self.report(span, format!("a key must be a text, found {shown}"), hint);
            return Key::Unusable;
        };
        if plain && text == "<<" {
            return Key::Merge;
        }
        if let Some((first, _)) = fields.iter().find(|(name, _)| name.text == text) {
            let line = first.span.line;
            let shown: String = text.chars().take(60).collect();
            let hint = Some("remove one of the two".to_owned());
            let message = format!("the key `{shown}` is here a second time; the first is in line {line}");
            self.report(span, message, hint);
            return Key::Unusable;
        }
        Key::Read(Name { text, span })
    }

    /// `<<: *base`: the keys of another map, where this one does not have them itself.
    fn merge(&mut self, fields: &mut Vec<(Name, Node)>, node: Node) {
        let (span, shown) = (node.span, node.shown());
        match node.kind {
            Kind::Map(others) => {
                for (name, node) in others {
                    if !fields.iter().any(|(have, _)| have.text == name.text) {
                        fields.push((name, node));
                    }
                }
            }
            Kind::List(nodes) if nodes.iter().all(|node| matches!(node.kind, Kind::Map(_))) => {
                nodes.into_iter().for_each(|node| self.merge(fields, node));
            }
            _ => {
                let message = format!("`<<` takes a map of keys or a list of them, found {shown}");
                self.report(span, message, None);
            }
        }
    }
}
