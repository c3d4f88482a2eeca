//! The `Link` header, as far as it tells the next page.

use reqwest::header::LINK;

use crate::http::Answer;

/// `Link: <https://…>; rel="next"` (RFC 8288).
pub(super) fn next_link(answer: &Answer) -> Option<String> {
    let all = answer
        .headers
        .get_all(LINK)
        .iter()
        .filter_map(|link| link.to_str().ok());
    all.flat_map(links)
        .find_map(|(url, rel)| rel.split_ascii_whitespace().any(|rel| rel == "next").then_some(url))
}

fn links(header: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut rest = header;
    while let Some((_, from)) = rest.split_once('<') {
        let Some((url, after)) = from.split_once('>') else {
            break;
        };
        // The parameters go on to a comma that is not in quotes.
        let mut quoted = false;
        let end = after.find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (params, next) = after.split_at(end.unwrap_or(after.len()));
        let rel = params.split(';').find_map(|param| {
            let (name, value) = param.trim().split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("rel")
                .then(|| value.trim().trim_matches('"').to_ascii_lowercase())
        });
        found.push((url.to_owned(), rel.unwrap_or_default()));
        rest = next;
    }
    found
}
