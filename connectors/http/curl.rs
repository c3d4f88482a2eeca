//! A request as a person would try it in a shell. Whoever shows it masks the secrets.

use reqwest::{Method, Url};

/// The command line; each part stands in quotes, so that a shell takes it as it is.
pub(crate) fn curl<'h>(
    method: &Method,
    url: &Url,
    headers: impl Iterator<Item = (&'h str, &'h str)>,
    body: Option<&str>,
) -> String {
    let mut line = format!("curl -X {method} {}", quoted(url.as_str()));
    for (name, value) in headers {
        line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    if let Some(body) = body {
        line.push_str(&format!(" --data-binary {}", quoted(body)));
    }
    line
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
