//! Whether the other side holds what a record says.

use contract::{Difference, Malformed, Number, Value};

use super::jq::Named;

/// The fields in which the answer is not what the mapped record says.
pub(super) fn differences(compare: &Named, record: &Value, answer: &Value) -> Result<Vec<Difference>, Malformed> {
    let mut found = Vec::new();
    for (field, template) in compare.iter() {
        let theirs = template.fill(answer, record)?;
        let mut ours = record;
        for name in field.split('.') {
            ours = ours.get(name).unwrap_or(&Value::Null);
        }
        if !same(ours, &theirs) {
            found.push(Difference {
                field: field.clone(),
                ours: ours.clone(),
                theirs,
            });
        }
    }
    Ok(found)
}

/// Numbers by their worth, also where one side writes them as texts; everything else as it is.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Map(a), Value::Map(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| same(a, b)))
        }
        (Value::Number(a), Value::Number(b)) => a == b || equal(a, b),
        (Value::Number(number), Value::Text(text)) | (Value::Text(text), Value::Number(number)) => {
            Number::parse(text.trim()).is_ok_and(|other| equal(number, &other))
        }
        (a, b) => a == b,
    }
}

fn equal(a: &Number, b: &Number) -> bool {
    match (a.decimal(), b.decimal()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}
