//! What a flow makes of a record: whether it is sent (`where`), how many rows it is (`each`), and
//! what stands in them (`map`). Compiled once when the config is read. Pure: it sees the record, what
//! the target calls the records that it `requires`, and the named tables, never the clock, the
//! environment or another record.

mod read;
mod requires;

use std::borrow::Cow;

use contract::settings::Reader;
use contract::{Fields, Hash, Key, Malformed, Name, Value, write_text};
use filter::{Env, Filter, Subject};
use serde_json::json;

use read::Read;
pub use requires::{Keys, Reference};

/// Characters of a filter that a message shows.
const SHOWN_CHARS: usize = 80;

/// `where`, `each`, `map` and `requires` of one flow.
#[derive(Debug)]
pub struct Mapping {
    requires: Vec<Reference>,
    admits: Option<Leaf>,
    each: Option<Leaf>,
    map: Option<Tree>,
    columns: Option<Vec<String>>,
    print: Hash,
}

#[derive(Debug)]
enum Tree {
    Filter(Leaf),
    Literal(Value),
    List(Vec<Tree>),
    Map(Vec<(Name, Tree)>),
}

impl Tree {
    fn any_leaf(&self, test: &dyn Fn(&Leaf) -> bool) -> bool {
        match self {
            Tree::Filter(leaf) => test(leaf),
            Tree::Literal(_) => false,
            Tree::List(items) => items.iter().any(|item| item.any_leaf(test)),
            Tree::Map(fields) => fields.iter().any(|(_, tree)| tree.any_leaf(test)),
        }
    }
}

/// One filter and where it stands: `map.lines[0].sku`.
#[derive(Debug)]
struct Leaf {
    path: String,
    filter: Filter,
    /// Parts of it came from outside the file; no message may show it.
    secret: bool,
}

impl Mapping {
    /// Reads `where`, `each`, `map` and `requires`. Every filter that cannot be compiled is a problem at its place
    /// in the file, arithmetic on money a warning; with any problem the answer is `None`.
    pub fn read(flow: &mut Reader<'_>, env: &Env) -> Option<Mapping> {
        let filter = json!({"type": "string", "description": "a jq filter"});
        let wanted = flow.field("where", "a jq filter that says which records are sent; default all");
        let wanted = wanted.raw(filter.clone());
        let each = flow.field("each", "a jq filter that gives one row per value, such as .lines[]");
        let each = each.raw(filter);
        let map = flow.field(
            "map",
            "what is sent: every text in it is a jq filter; default the record itself",
        );
        let map = map.raw(json!({}));
        let requires = flow.field(
            "requires",
            "resources whose records have to be at the target before those that refer to them; their ids there are `$refs`",
        );
        let requires = requires.raw(requires::schema());
        let mut read = Read {
            flow,
            env,
            failed: false,
        };
        let admits = wanted.and_then(|node| read.single(node, "where"));
        let each = each.and_then(|node| read.single(node, "each"));
        let requires = requires.map(|node| read.requires(node)).unwrap_or_default();
        let with_refs = Env {
            refs: requires.iter().map(|reference| reference.resource.clone()).collect(),
            ..env.clone()
        };
        read.env = &with_refs;
        let tree = map.and_then(|node| read.tree(node, "map"));
        let failed = read.failed;
        let columns = match &tree {
            Some(Tree::Map(fields)) => Some(fields.iter().map(|(name, _)| name.to_string()).collect()),
            _ => None,
        };
        let print = print(admits.as_ref(), each.as_ref(), tree.as_ref(), &requires, env);
        (!failed).then_some(Mapping {
            requires,
            admits,
            each,
            map: tree,
            columns,
            print,
        })
    }

    /// Whether one record becomes several rows.
    pub fn makes_rows(&self) -> bool {
        self.each.is_some()
    }

    /// Whether a field of the record may be asked for: its name stands in some filter, or a filter takes the
    /// record as it is.
    pub fn mentions(&self, field: &str) -> bool {
        let asks = |leaf: &Leaf| {
            let source = leaf.filter.source().trim();
            matches!(source, "." | "$record") || source.contains(field)
        };
        let in_map = self.map.as_ref().is_none_or(|map| map.any_leaf(&asks));
        let in_keys = self.requires.iter().any(|reference| asks(&reference.leaf));
        in_map || in_keys || self.admits.iter().chain(&self.each).any(asks)
    }

    /// Fields of the record that `map` takes as they are, such as `.sku` or `.sku | tostring`: without them its rows
    /// make no sense.
    pub fn needs(&self) -> Vec<String> {
        let mut needs = std::cell::RefCell::new(Vec::new());
        if self.each.is_none()
            && let Some(map) = &self.map
        {
            map.any_leaf(&|leaf| {
                let source = leaf.filter.source();
                let field = source
                    .split('|')
                    .next()
                    .and_then(|first| first.trim().strip_prefix('.'));
                let is_name = |field: &&str| {
                    !field.is_empty()
                        && field.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                        && !source.contains("//")
                };
                needs.borrow_mut().extend(field.filter(is_name).map(str::to_owned));
                false
            });
        }
        std::mem::take(needs.get_mut())
    }

    /// The keys of `map` in their order, where `map` is a map.
    pub fn columns(&self) -> Option<&[String]> {
        self.columns.as_deref()
    }

    /// Changes when the filters, their order or a table they look into change.
    pub fn print(&self) -> Hash {
        self.print
    }

    /// Whether `where` holds: anything but `false`, `null` and no value at all.
    pub fn admits(&self, record: &Value) -> Result<bool, Malformed> {
        let Some(leaf) = &self.admits else { return Ok(true) };
        let record = Subject::new(record);
        Ok(!matches!(leaf.one(&record, &record)?, Value::Null | Value::Bool(false)))
    }

    /// What its records refer to.
    pub fn requires(&self) -> &[Reference] {
        &self.requires
    }

    /// The keys that a record refers to, in the order of `requires`.
    pub fn keys(&self, record: &Value) -> Result<Vec<Keys>, Malformed> {
        let record = Subject::new(record);
        self.requires.iter().map(|reference| reference.keys(&record)).collect()
    }

    /// `$refs` for these keys; `id` is what the target calls a record.
    pub fn refs(&self, keys: &[Keys], id: impl Fn(&Reference, &Key) -> Option<Key>) -> Value {
        requires::refs(&self.requires, keys, id)
    }

    /// As [`Mapping::apply`], the rows as the JSON list that they are stored as.
    pub fn apply_as_json(&self, record: &Value, refs: &Value) -> Result<String, Malformed> {
        let whole = Subject::with_refs(record, refs);
        let elements = match &self.each {
            None => None,
            Some(each) => Some(each.all(&whole, &whole)?),
        };
        let mut out = String::with_capacity(1024);
        out.push('[');
        match &elements {
            None => self.write_row(&whole, &whole, &mut out)?,
            Some(elements) => {
                for (n, element) in elements.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.write_row(&Subject::new(element), &whole, &mut out)?;
                }
            }
        }
        out.push(']');
        Ok(out)
    }

    /// The rows of a record: one, or one per value of `each`. Without `map` they pass unchanged.
    /// `refs`: what `$refs` is.
    pub fn apply(&self, record: &Value, refs: &Value) -> Result<Vec<Value>, Malformed> {
        let whole = Subject::with_refs(record, refs);
        let Some(each) = &self.each else {
            return Ok(vec![self.row(&whole, &whole)?]);
        };
        each.all(&whole, &whole)?
            .iter()
            .map(|element| self.row(&Subject::new(element), &whole))
            .collect()
    }

    fn row(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Value, Malformed> {
        match &self.map {
            Some(tree) => tree.value(input, record),
            None => Ok(input.value().clone()),
        }
    }
}

impl Mapping {
    fn write_row(&self, input: &Subject<'_>, record: &Subject<'_>, out: &mut String) -> Result<(), Malformed> {
        match &self.map {
            Some(tree) => tree.write(input, record, out),
            None => {
                input.value().write_json(out);
                Ok(())
            }
        }
    }
}

impl Tree {
    /// As [`Tree::value`], written down as it comes.
    fn write(&self, input: &Subject<'_>, record: &Subject<'_>, out: &mut String) -> Result<(), Malformed> {
        match self {
            Tree::Filter(leaf) => leaf.view(input, record)?.write_json(out),
            Tree::Literal(value) => value.write_json(out),
            Tree::List(items) => {
                out.push('[');
                for (n, item) in items.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    item.write(input, record, out)?;
                }
                out.push(']');
            }
            Tree::Map(fields) => {
                out.push('{');
                for (n, (name, tree)) in fields.iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    write_text(name, out);
                    out.push(':');
                    tree.write(input, record, out)?;
                }
                out.push('}');
            }
        }
        Ok(())
    }

    fn value(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Value, Malformed> {
        match self {
            Tree::Filter(leaf) => leaf.one(input, record),
            Tree::Literal(value) => Ok(value.clone()),
            Tree::List(items) => {
                let items = items.iter().map(|item| item.value(input, record));
                Ok(Value::List(items.collect::<Result<_, _>>()?))
            }
            Tree::Map(fields) => {
                let mut row = Fields::with_capacity(fields.len());
                for (name, tree) in fields {
                    row.push(name.clone(), tree.value(input, record)?);
                }
                Ok(Value::Map(row))
            }
        }
    }

    /// As a value that is equal for equal trees and different for different ones.
    fn shape(&self, env: &Env, tables: &mut Vec<String>) -> Value {
        match self {
            Tree::Filter(leaf) => leaf.shape(env, tables),
            Tree::Literal(value) => Value::List(vec![Value::from("literal"), value.clone()]),
            Tree::List(items) => {
                let shapes = items.iter().map(|item| item.shape(env, tables));
                Value::List(std::iter::once(Value::from("list")).chain(shapes).collect())
            }
            Tree::Map(fields) => {
                let shapes = fields
                    .iter()
                    .flat_map(|(name, tree)| [Value::from(name.as_str()), tree.shape(env, tables)]);
                Value::List(std::iter::once(Value::from("map")).chain(shapes).collect())
            }
        }
    }
}

impl Leaf {
    fn one(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Value, Malformed> {
        let value = self.filter.one_on(input, record);
        value.map_err(|error| self.failed(&error.message))
    }

    fn view<'v>(&self, input: &Subject<'v>, record: &Subject<'_>) -> Result<Cow<'v, Value>, Malformed> {
        let value = self.filter.view_on(input, record);
        value.map_err(|error| self.failed(&error.message))
    }

    fn all(&self, input: &Subject<'_>, record: &Subject<'_>) -> Result<Vec<Value>, Malformed> {
        let values = self.filter.run_on(input, record);
        values.map_err(|error| self.failed(&error.message))
    }

    fn failed(&self, message: &str) -> Malformed {
        match self.secret {
            true => Malformed(format!("{}: {message}", self.path)),
            false => Malformed(format!("{}: {}: {message}", self.path, clip(self.filter.source()))),
        }
    }

    fn shape(&self, env: &Env, tables: &mut Vec<String>) -> Value {
        let source = self.filter.source();
        let literal = source.split("lookup").skip(1).all(|rest| {
            rest.trim_start()
                .strip_prefix('(')
                .is_some_and(|rest| rest.trim_start().starts_with('"'))
        });
        if source.contains("lookup") {
            // A name that is reckoned at run time, or written with escapes, may be any table's.
            let any = !literal || source.contains('\\');
            let used = env.tables.keys().filter(|name| any || source.contains(name.as_str()));
            tables.extend(used.cloned());
        }
        Value::List(vec![Value::from("filter"), Value::from(source)])
    }
}

/// A fingerprint of what the mapping is, so that records are looked at again when it changes.
fn print(admits: Option<&Leaf>, each: Option<&Leaf>, map: Option<&Tree>, requires: &[Reference], env: &Env) -> Hash {
    let mut tables = Vec::new();
    let mut parts = vec![Value::from(1)];
    for leaf in [admits, each] {
        parts.push(leaf.map_or(Value::Null, |leaf| leaf.shape(env, &mut tables)));
    }
    parts.push(map.map_or(Value::Null, |tree| tree.shape(env, &mut tables)));
    for reference in requires {
        parts.extend([
            Value::from(reference.resource.as_str()),
            reference.leaf.shape(env, &mut tables),
        ]);
    }
    tables.sort();
    tables.dedup();
    for name in tables {
        let Some(table) = env.tables.get(&name) else { continue };
        let entries = table
            .entries
            .iter()
            .map(|(key, value)| (key.clone().into(), value.clone()));
        let default = table.default.iter().cloned().collect();
        parts.extend([Value::text(name), Value::Map(entries.collect()), Value::List(default)]);
    }
    Hash::of(Value::List(parts).to_json().as_bytes())
}

fn clip(text: &str) -> String {
    let text = text.trim_end();
    match text.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
