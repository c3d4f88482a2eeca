//! Keeps a token from lying open in the state file: it is sealed with a key made of the configured secret, so
//! that a copy of the file alone is worth nothing.

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 12;
const SALT: &[u8] = b"selorax-sync state";
const PURPOSE: &[u8] = b"tokens of a connector";

struct Key;

impl KeyType for Key {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

/// `None` only where the machine has no randomness to give.
pub(super) fn seal(secret: &SecretString, text: &str) -> Option<String> {
    let mut bytes = text.as_bytes().to_vec();
    let nonce = key(secret)?.seal_in_place_append_tag(Aad::empty(), &mut bytes).ok()?;
    let mut all = nonce.as_ref().to_vec();
    all.append(&mut bytes);
    Some(STANDARD.encode(all))
}

/// `None` for what was sealed with another secret, or changed.
pub(super) fn open(secret: &SecretString, sealed: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(sealed).ok()?;
    if bytes.len() < NONCE_BYTES {
        return None;
    }
    let mut body = bytes.split_off(NONCE_BYTES);
    let nonce = Nonce::try_assume_unique_for_key(&bytes).ok()?;
    let open = key(secret)?.open_in_place(nonce, Aad::empty(), &mut body).ok()?;
    String::from_utf8(open.to_vec()).ok()
}

fn key(secret: &SecretString) -> Option<RandomizedNonceKey> {
    let extracted = Salt::new(HKDF_SHA256, SALT).extract(secret.expose_secret().as_bytes());
    let mut bytes = [0; KEY_BYTES];
    extracted.expand(&[PURPOSE], Key).ok()?.fill(&mut bytes).ok()?;
    RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_secret_opens_it() {
        let sealed = seal(&"s3cret".into(), "a token").unwrap();
        assert!(!sealed.contains("token"));
        assert_ne!(sealed, seal(&"s3cret".into(), "a token").unwrap());
        assert_eq!(open(&"s3cret".into(), &sealed).as_deref(), Some("a token"));
        assert_eq!(open(&"another".into(), &sealed), None);
        for bad in ["", "AAAA", "not base64!", &sealed[4..]] {
            assert_eq!(open(&"s3cret".into(), bad), None, "{bad}");
        }
    }
}
