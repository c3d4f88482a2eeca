//! The platform's signature: HMAC-SHA256 under the whole secret, over the timestamp, a dot and the raw body.

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

pub(crate) const SIGNATURE: &str = "x-selorax-signature";
pub(crate) const TIMESTAMP: &str = "x-selorax-timestamp";

#[derive(Clone)]
pub(crate) struct Secret(Hmac<Sha256>);

impl Secret {
    pub(crate) fn new(text: &str) -> anyhow::Result<Secret> {
        Ok(Secret(Hmac::new_from_slice(text.as_bytes())?))
    }

    fn over(&self, timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(timestamp);
        mac.update(b".");
        mac.update(body);
        mac
    }

    pub(crate) fn sign(&self, timestamp: &str, body: &str) -> String {
        let digest = self.over(timestamp.as_bytes(), body.as_bytes()).finalize().into_bytes();
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256={hex}")
    }

    /// In constant time, as the daemon does.
    pub(crate) fn has_signed(&self, signature: &[u8], timestamp: &[u8], body: &[u8]) -> bool {
        let digest = signature.strip_prefix(b"sha256=").and_then(digest);
        digest.is_some_and(|digest| self.over(timestamp, body).verify_slice(&digest).is_ok())
    }
}

fn digest(hex: &[u8]) -> Option<[u8; 32]> {
    if hex.len() != 64 {
        return None;
    }
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const BODY: &str = r#"{"event_id":"550e8400-e29b-41d4-a716-446655440000","event_topic":"order.status_changed","store_id":22,"timestamp":"2024-02-28T10:00:00.000Z","data":{"order_id":1234,"status":"confirmed","previous_status":"pending"}}"#;
    const SIGNED: &str = "sha256=405f8e2a4ff783393ea60dc56f9ac294187389836d175d347a3211b4821f98c3";

    #[test]
    fn signs_and_verifies_as_the_platform_does() {
        let secret = Secret::new(&format!("whsec_{}", "0".repeat(64))).unwrap();
        let time = "1709107200";
        assert_eq!(secret.sign(time, BODY), SIGNED);
        assert!(secret.has_signed(SIGNED.as_bytes(), time.as_bytes(), BODY.as_bytes()));
        assert!(!secret.has_signed(SIGNED.as_bytes(), b"1709107201", BODY.as_bytes()));
        assert!(!secret.has_signed(&SIGNED.as_bytes()[7..], time.as_bytes(), BODY.as_bytes()));
    }
}
