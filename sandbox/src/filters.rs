//! `POST /orders/filters`: reads its body. A filter it cannot handle is ignored without a word, as on the platform.

use serde_json::{Map, Value};

use crate::fields::int;
use crate::page::{Filter, Query, Test};
use crate::resource::Column;

pub(crate) fn read(body: &Map<String, Value>, limit_max: usize) -> Query {
    let count = |name: &str, default: usize| {
        let number = body
            .get(name)
            .and_then(int)
            .and_then(|number| usize::try_from(number).ok());
        number.unwrap_or(default).max(1)
    };
    let list = |name: &str| body.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let excluded = list("exclude_metafields");
    let excluded = excluded.iter().filter_map(|named| {
        let (namespace, key) = (named.get("namespace")?.as_str()?, named.get("key")?.as_str()?);
        Some(Test::WithoutMetafield(format!("{namespace}.{key}")))
    });
    let tests = list("filters").iter().filter_map(test).chain(excluded).collect();
    let ascending = body.get("order").and_then(Value::as_str);
    Query {
        page: count("page", 1),
        limit: count("limit", 50).clamp(1, limit_max.max(1)),
        descending: !ascending.is_some_and(|order| order.eq_ignore_ascii_case("asc")),
        filter: Filter {
            sort: match body.get("sort").and_then(Value::as_str) {
                Some("updated_at") => Column::Updated,
                Some("grand_total") => Column::GrandTotal,
                _ => Column::Created,
            },
            between: None,
            tests,
        },
    }
}

/// `None` for a pair of data type and operator, or a column, that is not handled.
fn test(filter: &Value) -> Option<Test> {
    let word = |name: &str| filter.get(name).and_then(Value::as_str);
    match (word("dataType")?, word("type")?, word("name")?) {
        ("select", "is", name) => {
            let values = filter.get("value")?.as_array()?;
            let texts = || values.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            match name {
                "order_status" => Some(Test::StatusIn(texts())),
                "courier" => Some(Test::CourierIn(texts())),
                "order_id" => Some(Test::IdIn(values.iter().filter_map(int).collect())),
                _ => None,
            }
        }
        ("text", "is_not_empty", "tracking_code") => Some(Test::HasTracking),
        ("text", "is_not_empty", "courier") => Some(Test::HasCourier),
        _ => None,
    }
}
