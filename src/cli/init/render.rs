//! The text of the config file. Whatever a person typed is quoted, so that no answer can become YAML.

use secrecy::ExposeSecret;

use super::answers::{Answers, Keeping, Kept};

/// How secrets stand in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// As they are kept.
    AsKept,
    /// By the names of variables, whatever is asked for: a text to be judged holds no secret.
    Names,
}

pub(super) fn yaml(answers: &Answers, shown: Shown) -> String {
    let mut credentials = String::new();
    for (key, kept) in answers.credentials.parts() {
        if let Some(kept) = kept {
            let keeping = match shown {
                Shown::Names => Keeping::Env,
                Shown::AsKept => answers.keeping,
            };
            credentials.push_str(&format!("  {key}: {}\n", reference(key, kept, keeping)));
        }
    }
    let writes: String = answers.resources.iter().map(|resource| resource.write()).collect();
    let flows: Vec<String> = answers
        .resources
        .iter()
        .map(|resource| resource.flow_yaml(&quoted(&answers.schedule), &quoted(&answers.initial)))
        .collect();
    format!(
        "# selorax-sync. Every key and what it means: docs/config.md. After a change: selorax-sync check
# Relative paths count from this file's folder.

version: 1

state:
  path: ./state.db              # what has been delivered and what is still to be; keep it

store:                          # the SeloraX side
  url: {url}
  store_id: {store_id}
{credentials}  # rate_limit: 60/min          # for everything that calls the store together
  # burst: 10                   # calls that may go out at once after a quiet time
  # concurrency: 2              # calls under way at once
  # timezone: Asia/Dhaka        # of schedules, and of dates in files and reports
  # overlap: 10m                # how far back each scan reaches behind what is already known

connectors:
  files:
    type: csv
    location: {location}
    # dialect:                  # as the program that reads the files wants them
    #   delimiter: \",\"          # , ; | or tab
    #   encoding: utf-8         # utf-8, utf-8-bom, utf-16le or windows-1252
    #   line_ending: lf         # lf or crlf
    resources:
{writes}
flows:
{flows}",
        url = quoted(&answers.url),
        store_id = number(&answers.store_id),
        location = quoted(&answers.location),
        flows = flows.join("\n"),
    )
}

/// The path of the file that keeps this part, from the config's folder.
pub(super) fn secret_file(key: &str) -> String {
    format!("secrets/{key}")
}

fn reference(key: &str, kept: &Kept, keeping: Keeping) -> String {
    match (kept, keeping) {
        (Kept::Named(name), _) => format!("${{{name}}}"),
        (Kept::Value { name, .. }, Keeping::Env) => format!("${{{name}}}"),
        (Kept::Value { .. }, Keeping::File) => format!("${{file:./{}}}", secret_file(key)),
        // A `${` in it is meant as it stands.
        (Kept::Value { value, .. }, Keeping::Inline) => quoted(&value.expose_secret().replace("${", "$${")),
    }
}

/// A number stays plain; anything else is quoted, and refused by the config's reader.
fn number(text: &str) -> String {
    let text = text.trim();
    match !text.is_empty() && text.len() < 30 && text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// A double-quoted text, as JSON and YAML both have it.
fn quoted(text: &str) -> String {
    let mut told = String::with_capacity(text.len() + 2);
    told.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => told.extend(['\\', c]),
            c if u32::from(c) < 0x20 || u32::from(c) == 0x7f => told.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{85}' | '\u{2028}' | '\u{2029}' | '\u{feff}' => told.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => told.push(c),
        }
    }
    told.push('"');
    told
}
