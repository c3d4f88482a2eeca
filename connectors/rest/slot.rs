//! Where a listing's numbers and marks go: into a query parameter, or to a place in the body.

use contract::{Fields, Name, Value};

/// Where a value goes: a query parameter, or a place in the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Query(String),
    Body(Vec<Step>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Name(String),
    At(usize),
}

impl Slot {
    pub(super) fn parse(text: &str) -> Result<Slot, String> {
        let Some(path) = text.strip_prefix('.') else {
            return match text.is_empty() {
                true => Err("expected the name of a query parameter, or .a.path in the body".to_owned()),
                false => Ok(Slot::Query(text.to_owned())),
            };
        };
        let mut steps = Vec::new();
        for part in path.split('.') {
            let (name, rest) = part.split_at(part.find('[').unwrap_or(part.len()));
            if !name.is_empty() {
                steps.push(Step::Name(name.to_owned()));
            }
            for index in rest.split_terminator(']') {
                let index = index.strip_prefix('[').and_then(|index| index.parse().ok());
                steps.push(Step::At(index.ok_or("expected a path such as .params.args[0]")?));
            }
        }
        match steps.is_empty() {
            true => Err("expected a path such as .params.offset".to_owned()),
            false => Ok(Slot::Body(steps)),
        }
    }

    /// Puts the value where it belongs.
    pub(super) fn put(&self, value: Value, params: &mut Vec<(String, String)>, body: &mut Option<Value>) {
        match self {
            Slot::Query(name) => {
                params.retain(|(known, _)| known != name);
                params.push((name.clone(), super::jq::text_of(value)));
            }
            Slot::Body(steps) => *body = Some(with(body.take().unwrap_or_default(), steps, value)),
        }
    }
}

/// The value with another one at a place in it; what is not there yet is made.
fn with(within: Value, steps: &[Step], value: Value) -> Value {
    let Some((step, rest)) = steps.split_first() else {
        return value;
    };
    match (step, within) {
        (Step::At(at), within) => {
            let mut items = match within {
                Value::List(items) => items,
                _ => Vec::new(),
            };
            if items.len() <= *at {
                items.resize((*at).min(100) + 1, Value::Null);
            }
            if let Some(item) = items.get_mut(*at) {
                *item = with(std::mem::take(item), rest, value);
            }
            Value::List(items)
        }
        (Step::Name(name), within) => {
            let mut fields = Fields::default();
            let mut old = Value::Null;
            let mut place = None;
            if let Value::Map(members) = within {
                for (n, (key, member)) in members.iter().enumerate() {
                    if key == name {
                        old = member.clone();
                        place = Some(n);
                    }
                    fields.push(Name::new(key), member.clone());
                }
            }
            let new = with(old, rest, value);
            match place {
                None => {
                    fields.push(Name::new(name), new);
                    Value::Map(fields)
                }
                Some(place) => {
                    let mut replaced = Fields::with_capacity(fields.len());
                    let mut new = Some(new);
                    for (n, (key, member)) in fields.iter().enumerate() {
                        let member = if n == place {
                            new.take().unwrap_or_default()
                        } else {
                            member.clone()
                        };
                        replaced.push(Name::new(key), member);
                    }
                    Value::Map(replaced)
                }
            }
        }
    }
}
