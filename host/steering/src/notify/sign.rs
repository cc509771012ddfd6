//! The signatures of DingTalk's and Feishu's bots. Both hash the same words, each with another part
//! as the key.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, Mac};
use sha2::Sha256;

/// DingTalk, "custom robot security settings": the text is timestamp, new line and secret, the key
/// the secret. `timestamp` is in milliseconds, and must be within an hour of theirs.
pub(super) fn dingtalk(timestamp_ms: u64, secret: &str) -> String {
    let text = format!("{timestamp_ms}\n{secret}");
    BASE64.encode(hmac_sha256(secret.as_bytes(), text.as_bytes()))
}

/// Feishu, "custom bot usage guide": the key is timestamp, new line and secret, the text is empty.
/// `timestamp` is in seconds, and must be within an hour of theirs.
pub(super) fn feishu(timestamp_s: u64, secret: &str) -> String {
    let key = format!("{timestamp_s}\n{secret}");
    BASE64.encode(hmac_sha256(key.as_bytes(), b""))
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> Vec<u8> {
    // HMAC takes keys of any length (RFC 2104), so this never fails.
    Hmac::<Sha256>::new_from_slice(key)
        .map(|mac| mac.chain_update(text).finalize().into_bytes().to_vec())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac`, as the services' own examples do it.
    #[test]
    fn signatures_are_those_of_the_services_examples() {
        assert_eq!(
            dingtalk(1_577_262_236_757, "this is secret"),
            "hmPWwU+7lVdm3ZZz0r9tSfx0L4Q26jWOZr9+Gs6EZQM="
        );
        assert_eq!(
            feishu(1_599_360_473, "demo"),
            "l1N0gAcBjdwBvGm1xMjOF0XSyaLRpR7tuO5dHfhAYc8="
        );
    }
}
