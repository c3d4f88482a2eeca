//! Customers as a resource, guests included, and their canonical record. `since` is about creation and
//! there is no `until`. A row of the list is the whole record.

use contract::{Fields, Malformed, Record, Value};

use super::read::{first, id_value, money, named, text_of, time, whole, yes_or_no};
use super::resource::{Resource, Shape, Since};

pub(super) const SHAPE: Shape = Shape {
    path: "customers",
    scope: "read:customers",
    one: "customer",
    all: "customers",
    whose: "customers'",
    ids: &["user_id", "customer_id", "id"],
    wrapper: "customer",
    control: &["total_spent"],
    // Hidden otherwise, and most orders are theirs.
    params: &[("include_guests", "true")],
    since: Since::Created,
};

#[derive(Debug)]
pub(super) struct Customers;

impl Resource for Customers {
    fn shape(&self) -> &'static Shape {
        &SHAPE
    }

    fn decode(&self, value: Value, _single: bool) -> Result<Record, Malformed> {
        decode(value)
    }
}

fn decode(raw: Value) -> Result<Record, Malformed> {
    if !matches!(raw, Value::Map(_)) {
        return Err(Malformed(format!(
            "the customer is {} instead of an object",
            raw.kind()
        )));
    }
    let customer = SHAPE.inner(&raw);
    let mut flags = Vec::new();
    let text =
        |name: &str, names: &[&str]| first(customer, names).map_or(Ok(Value::Null), |value| text_of(value, name));
    let mut fields = Fields::with_capacity(12);
    fields.push("id", id_value(first(customer, SHAPE.ids), "user_id")?);
    fields.push("name", text("name", &["name", "customer_name"])?);
    fields.push("email", text("email", &["email", "customer_email"])?);
    fields.push("phone", text("phone", &["phone", "customer_phone"])?);
    fields.push(
        "address",
        address(first(customer, &["address_json", "address"]), &mut flags),
    );
    fields.push("is_guest", yes_or_no(first(customer, &["is_guest"]), "is_guest")?);
    fields.push(
        "total_orders",
        whole(first(customer, &["total_orders", "orders_count"]), "total_orders")?,
    );
    let spent = first(customer, &["total_spent"]).map(money).transpose();
    let spent = spent.map_err(|error| named("total_spent", error))?;
    fields.push("total_spent", spent.map_or(Value::Null, Value::Number));
    for name in ["created_at", "updated_at"] {
        fields.push(name, time(first(customer, &[name]), name, &mut flags));
    }
    fields.push("raw", raw);
    Ok(Record::Whole {
        value: Value::Map(fields),
        flags,
    })
}

/// An object, or one written as JSON text. Plain text stands under the name that the platform's own objects
/// have for the street.
fn address(value: Option<&Value>, flags: &mut Vec<String>) -> Value {
    let plain = |text: &str| Value::Map([("address".into(), Value::from(text))].into_iter().collect());
    match value {
        None => Value::Null,
        Some(Value::Map(_)) => value.cloned().unwrap_or_default(),
        Some(Value::Text(text)) if text.trim().is_empty() => Value::Null,
        Some(Value::Text(text)) => match Value::parse(text) {
            Ok(object @ Value::Map(_)) => object,
            Ok(Value::Null) => Value::Null,
            _ => plain(text),
        },
        Some(other) => {
            flags.push(format!("its address is {} instead of an object", other.kind()));
            Value::Null
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn field(json: &str, name: &str) -> Result<String, String> {
        match decode(Value::parse(json).unwrap()) {
            Ok(Record::Whole { value, .. }) => Ok(value.get(name).unwrap().to_json()),
            Ok(other) => panic!("{other:?}"),
            Err(error) => Err(error.0),
        }
    }

    #[test]
    fn a_customer_as_documented() {
        let json = r#"{"user_id":301,"store_id":22,"name":"রহিম  উদ্দিন","email":null,"phone":"01712345678",
            "address_json":{"address":"123 Main St","city":"Dhaka"},"is_guest":0,"total_orders":12,"total_spent":18500.50,
            "created_at":"2025-01-10T08:00:00.000Z","updated_at":"2025-06-15T10:30:00.000Z"}"#;
        let Record::Whole { value, flags } = decode(Value::parse(json).unwrap()).unwrap() else {
            panic!("not whole")
        };
        let Value::Map(fields) = &value else {
            panic!("{value:?}")
        };
        let names: Vec<&str> = fields.names().collect();
        let expected = "id name email phone address is_guest total_orders total_spent created_at updated_at raw";
        assert_eq!(names, expected.split(' ').collect::<Vec<_>>());
        let told: Vec<String> = fields.iter().take(10).map(|(_, value)| value.to_json()).collect();
        let expected = r#"301 "রহিম  উদ্দিন" null "01712345678" {"address":"123 Main St","city":"Dhaka"} false 12 18500.50 "2025-01-10T08:00:00.000Z" "2025-06-15T10:30:00.000Z""#;
        assert_eq!(told.join(" "), expected);
        assert!(flags.is_empty());
    }

    #[test]
    fn odd_fields_are_read_for_what_they_are_or_refused() {
        let cases = [
            (r#"{"customer_id":"0301"}"#, "id", Ok("301")),
            (r#"{"customer":{"id":7},"x":1}"#, "id", Ok("7")),
            (r#"{"user_id":9007199254740993}"#, "id", Ok("9007199254740993")),
            (
                r#"{"user_id":1,"address_json":"{\"city\":\"Dhaka\"}"}"#,
                "address",
                Ok(r#"{"city":"Dhaka"}"#),
            ),
            (r#"{"user_id":1,"address_json":""}"#, "address", Ok("null")),
            (r#"{"user_id":1,"address_json":"null"}"#, "address", Ok("null")),
            (r#"{"user_id":1,"address_json":null,"address":{}}"#, "address", Ok("{}")),
            (
                r#"{"user_id":1,"address_json":" House 1"}"#,
                "address",
                Ok(r#"{"address":" House 1"}"#),
            ),
            (
                r#"{"user_id":1,"address_json":"{broken"}"#,
                "address",
                Ok(r#"{"address":"{broken"}"#),
            ),
            (r#"{"user_id":1,"address_json":[1]}"#, "address", Ok("null")),
            (r#"{"user_id":1,"is_guest":"1"}"#, "is_guest", Ok("true")),
            (r#"{"user_id":1,"is_guest":true}"#, "is_guest", Ok("true")),
            (r#"{"user_id":1,"is_guest":"false"}"#, "is_guest", Ok("false")),
            (r#"{"user_id":1}"#, "is_guest", Ok("null")),
            (
                r#"{"user_id":1,"is_guest":2}"#,
                "is_guest",
                Err("is_guest: expected 0 or 1, found 2"),
            ),
            (r#"{"user_id":1,"total_orders":"12"}"#, "total_orders", Ok("12")),
            (r#"{"user_id":1,"total_orders":12.0}"#, "total_orders", Ok("12")),
            (
                r#"{"user_id":1,"total_orders":1.5}"#,
                "total_orders",
                Err("whole number"),
            ),
            (r#"{"user_id":1,"total_spent":"0.10"}"#, "total_spent", Ok("0.10")),
            (
                r#"{"user_id":1,"total_spent":"1,000"}"#,
                "total_spent",
                Err("total_spent: "),
            ),
            (r#"{"user_id":1,"phone":1712345678}"#, "phone", Ok(r#""1712345678""#)),
            (r#"{"user_id":1,"created_at":"0000-00-00"}"#, "created_at", Ok("null")),
            (
                r#"{"user_id":1,"created_at":"2025-06-15 10:30:00"}"#,
                "created_at",
                Ok(r#""2025-06-15T10:30:00.000Z""#),
            ),
        ];
        for (json, name, expected) in cases {
            match (field(json, name), expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected, "{json}"),
                (Err(found), Err(part)) => assert!(found.contains(part), "{json}: {found}"),
                (found, expected) => panic!("{json}: {found:?} instead of {expected:?}"),
            }
        }
    }
}
