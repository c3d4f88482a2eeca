//! Paths with `{placeholders}`, filled from a record. What is filled in must never leave its place in the path:
//! it is percent-encoded, and what a server might read as a way up is refused.

use contract::{Malformed, Value};
use reqwest::Url;

use super::jq::scalar;

/// A path below the base URL, such as `/sales-orders/{id}/cancel`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// The names to follow from the record on.
    Field(Vec<String>),
}

impl Place {
    pub(super) fn parse(text: &str) -> Result<Place, String> {
        if !text.starts_with('/') {
            return Err("expected a path that begins with / and counts from base_url".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            let (literal, from) = rest.split_at(at);
            parts.push(Part::Literal(literal.to_owned()));
            let inner = from.strip_prefix('{').and_then(|from| from.split_once('}'));
            let (name, after) = inner.ok_or("expected a `{name}` with both of its braces")?;
            parts.push(Part::Field(names(name)?));
            rest = after;
        }
        parts.push(Part::Literal(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Literal(text) if text.is_empty()));
        let literal: String = parts.iter().map(Part::shape).collect();
        if literal.contains(['?', '#']) {
            return Err("expected a path alone: what follows the `?` goes into `params`".to_owned());
        }
        if let Some(odd) = literal.chars().find(|c| c.is_control() || *c == '\\') {
            return Err(format!("expected a path without {odd:?}"));
        }
        if literal[1..].split('/').any(is_way_up) {
            return Err("expected a path without `.` and `..` in it".to_owned());
        }
        let encoded = parts.into_iter().map(|part| match part {
            Part::Literal(text) => Part::Literal(encoded(&text)),
            field => field,
        });
        Ok(Place(encoded.collect()))
    }

    /// The names of the record's fields that the path needs.
    pub(super) fn fields(&self) -> impl Iterator<Item = String> {
        self.0.iter().filter_map(|part| match part {
            Part::Field(names) => Some(names.join(".")),
            Part::Literal(_) => None,
        })
    }

    /// The address below the base. `id` stands for `{id}` where the target's own id is known.
    pub(super) fn url(&self, base: &Url, record: &Value, id: Option<&str>) -> Result<Url, Malformed> {
        let mut path = base.path().trim_end_matches('/').to_owned();
        for part in &self.0 {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Field(names) => {
                    let text = match id {
                        Some(id) if names.len() == 1 && names[0] == "id" => id.to_owned(),
                        _ => field(record, names)?,
                    };
                    push_encoded(&text, &names.join("."), &mut path)?;
                }
            }
        }
        let mut url = base.clone();
        url.set_path(&path);
        // Whatever a parser makes of it, it stays where it was meant to be.
        if url.path() != path {
            let said = format!("the path would become another one: {}", url.path());
            return Err(Malformed(said));
        }
        Ok(url)
    }
}

impl Part {
    /// The literal text, with a letter for what is filled in.
    fn shape(&self) -> &str {
        match self {
            Part::Literal(text) => text,
            Part::Field(_) => "x",
        }
    }
}

fn names(text: &str) -> Result<Vec<String>, String> {
    let names: Vec<String> = text.split('.').map(str::to_owned).collect();
    let good =
        |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    match names.iter().all(good) {
        true => Ok(names),
        false => Err("expected a field's name in the braces, such as {id} or {customer.id}".to_owned()),
    }
}

/// What may stand in a path stays: RFC 3986's `pchar`, the slash, and escapes. A blank or a letter of another
/// script is written as it must be.
fn encoded(text: &str) -> String {
    let mut path = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/%".contains(&byte) {
            true => path.push(char::from(byte)),
            false => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path
}

fn field(record: &Value, names: &[String]) -> Result<String, Malformed> {
    let mut at = record;
    for name in names {
        at = at.get(name).unwrap_or(&Value::Null);
    }
    let (path, kind) = (names.join("."), at.kind());
    match scalar(at.clone()) {
        Ok(Some(text)) => Ok(text),
        Ok(None) => Err(Malformed(format!(
            "the path needs {{{path}}}, which the record does not have"
        ))),
        Err(()) => Err(Malformed(format!("the path needs {{{path}}}, which is {kind}"))),
    }
}

fn push_encoded(text: &str, name: &str, path: &mut String) -> Result<(), Malformed> {
    let refuse = |why: &str| Err(Malformed(format!("{{{name}}} cannot stand in a path: it {why}")));
    if text.is_empty() {
        return refuse("is empty");
    }
    if text.chars().any(char::is_control) {
        return refuse("holds a control character");
    }
    // Servers and proxies on the way may undo escapes more than once.
    let undone = text.to_ascii_lowercase().replace("%25", "%");
    let undone = undone.replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\");
    if undone.split(['/', '\\']).any(is_way_up) {
        return refuse("would lead out of it");
    }
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            path.push(char::from(byte));
        } else {
            path.push_str(&format!("%{byte:02X}"));
        }
    }
    Ok(())
}

fn is_way_up(segment: &str) -> bool {
    matches!(segment, "." | "..") || {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base() -> Url {
        Url::parse("https://erp.example.com/api").unwrap()
    }

    fn url(place: &str, record: &str, id: Option<&str>) -> Result<String, String> {
        let record = Value::parse(record).unwrap();
        let url = Place::parse(place).unwrap().url(&base(), &record, id);
        url.map(String::from).map_err(|error| error.0)
    }

    #[test]
    fn placeholders_are_filled_and_encoded() {
        for (place, record, id, expected) in [
            ("/orders", "{}", None, "https://erp.example.com/api/orders"),
            (
                "/orders/{id}",
                "{}",
                Some("17"),
                "https://erp.example.com/api/orders/17",
            ),
            (
                "/orders/{id}/cancel",
                r#"{"id":9}"#,
                Some("A/1 ä"),
                "https://erp.example.com/api/orders/A%2F1%20%C3%A4/cancel",
            ),
            (
                "/c/{customer.id}-{no}",
                r#"{"customer":{"id":5},"no":"00 7"}"#,
                None,
                "https://erp.example.com/api/c/5-00%207",
            ),
            (
                "/p/{sku}",
                r#"{"sku":"50%"}"#,
                None,
                "https://erp.example.com/api/p/50%25",
            ),
        ] {
            assert_eq!(url(place, record, id).unwrap(), expected);
        }
    }

    #[test]
    fn a_path_of_the_config_may_be_written_as_people_do() {
        assert_eq!(
            url("/resource/Sales Order/{id}/ä", "{}", Some("1")).unwrap(),
            "https://erp.example.com/api/resource/Sales%20Order/1/%C3%A4"
        );
    }

    #[test]
    fn what_would_leave_the_path_is_refused() {
        for bad in [
            "..",
            ".",
            "",
            "../x",
            "a/../../b",
            "..\\x",
            "%2e%2e",
            "%252e%252e/x",
            "a\nb",
            "x/..",
        ] {
            let mut record = String::from(r#"{"sku":"#);
            contract::write_text(bad, &mut record);
            record.push('}');
            assert!(url("/p/{sku}", &record, None).is_err(), "{bad:?}");
            assert!(url("/p/{id}", "{}", Some(bad)).is_err(), "{bad:?}");
        }
        for (record, part) in [
            ("{}", "does not have"),
            (r#"{"sku":[1]}"#, "is a list"),
            (r#"{"sku":null}"#, "not have"),
        ] {
            let error = url("/p/{sku}", record, None).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn paths_that_are_none_are_refused_when_they_are_read() {
        for bad in [
            "orders",
            "",
            "/a?b=1",
            "/a#b",
            "/a/{",
            "/a/}",
            "/a/{}",
            "/a/{x y}",
            "/a/../b",
            "/a/%2E%2e",
            "/a\\b",
            "/a\nb",
        ] {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        /// Whatever stands in a record, the address has the template's own segments and host.
        #[test]
        fn er_no_value_leaves_its_place(text in any::<String>(), also in "[./\\\\%2eEfF5cC]{0,12}") {
            for text in [text, also] {
                let place = Place::parse("/orders/{id}/lines").unwrap();
                if let Ok(url) = place.url(&base(), &Value::Null, Some(&text)) {
                    prop_assert_eq!(url.host_str(), Some("erp.example.com"));
                    let segments: Vec<&str> = url.path_segments().unwrap().collect();
                    prop_assert_eq!(segments.len(), 4);
                    prop_assert_eq!((segments[0], segments[1], segments[3]), ("api", "orders", "lines"));
                    prop_assert!(url.query().is_none() && url.fragment().is_none());
                    let bytes: Vec<u8> = unescaped(segments[2]);
                    prop_assert_eq!(String::from_utf8(bytes).unwrap(), text);
                }
            }
        }
    }

    fn unescaped(text: &str) -> Vec<u8> {
        let mut bytes = text.bytes();
        let mut plain = Vec::new();
        while let Some(byte) = bytes.next() {
            let byte = match byte {
                b'%' => {
                    let hex = [bytes.next().unwrap(), bytes.next().unwrap()];
                    u8::from_str_radix(std::str::from_utf8(&hex).unwrap(), 16).unwrap()
                }
                byte => byte,
            };
            plain.push(byte);
        }
        plain
    }
}
