//! What no message may repeat. Peers echo what they are sent, in error pages and in redirects; tokens that are
//! fetched while the program runs belong here before they are used.

use std::sync::{Arc, PoisonError, RwLock};

use secrecy::{ExposeSecret, SecretString};

/// Shorter ones would mask half of every message, and are no secrets.
const LEAST: usize = 4;
/// Tokens end and are replaced; so many of those that were fetched last are masked.
const FETCHED_MAX: usize = 16;

#[derive(Clone, Debug, Default)]
pub(crate) struct Secrets(Arc<RwLock<Known>>);

#[derive(Debug, Default)]
struct Known {
    given: Vec<SecretString>,
    fetched: Vec<SecretString>,
}

impl Secrets {
    pub(crate) fn new(given: Vec<SecretString>) -> Secrets {
        let fetched = Vec::new();
        Secrets(Arc::new(RwLock::new(Known { given, fetched })))
    }

    /// Takes note of one that was learnt just now.
    pub(crate) fn learn(&self, secret: SecretString) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let same = |other: &SecretString| other.expose_secret() == secret.expose_secret();
        if known.given.iter().chain(&known.fetched).any(same) {
            return;
        }
        if known.fetched.len() == FETCHED_MAX {
            known.fetched.remove(0);
        }
        known.fetched.push(secret);
    }

    /// The text with `***` wherever a secret stands, as it is or as addresses and JSON spell it.
    pub(crate) fn mask(&self, text: &str) -> String {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut masked = text.to_owned();
        // The longest first: one may be a part of another.
        let mut all: Vec<&str> = known
            .given
            .iter()
            .chain(&known.fetched)
            .map(|s| s.expose_secret())
            .collect();
        all.retain(|secret| secret.len() >= LEAST);
        all.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        for secret in all {
            for spelling in spellings(secret) {
                if masked.contains(&spelling) {
                    masked = masked.replace(&spelling, "***");
                }
            }
        }
        masked
    }
}

fn spellings(secret: &str) -> Vec<String> {
    let mut json = String::new();
    contract::write_text(secret, &mut json);
    let json = json.trim_matches('"').to_owned();
    let form: String = {
        let mut url = reqwest::Url::parse("http://x/").ok();
        if let Some(url) = &mut url {
            url.query_pairs_mut().append_pair("", secret);
        }
        let query = url.as_ref().and_then(|url| url.query()).unwrap_or_default();
        query.trim_start_matches('=').to_owned()
    };
    let percent = form.replace('+', "%20");
    let mut all = vec![secret.to_owned(), json, form, percent];
    all.retain(|spelling| spelling.len() >= LEAST);
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_masked_however_it_is_spelt() {
        let secrets = Secrets::new(vec!["top \"secret\"/1".into(), "abc".into(), "abcdef".into()]);
        secrets.learn("abcdefgh".into());
        for (told, shown) in [
            ("x top \"secret\"/1 y", "x *** y"),
            (r#"{"t":"top \"secret\"/1"}"#, r#"{"t":"***"}"#),
            ("a=top+%22secret%22%2F1&b", "a=***&b"),
            ("a/top%20%22secret%22%2F1/b", "a/***/b"),
            ("abcdefgh abcdef abc", "*** *** abc"),
        ] {
            assert_eq!(secrets.mask(told), shown);
        }
    }

    #[test]
    fn only_the_last_of_the_fetched_ones_are_kept() {
        let secrets = Secrets::new(vec!["given-by-hand".into()]);
        for n in 0..100 {
            secrets.learn(format!("token-{n:03}").into());
        }
        assert_eq!(secrets.mask("given-by-hand token-000 token-099"), "*** token-000 ***");
    }
}
