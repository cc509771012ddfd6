//! Credentials on their way out (placeholders) and back (masking).

use std::collections::{BTreeMap, BTreeSet};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD},
};
use secrecy::{ExposeSecret, SecretString};

/// What stands where a server echoed a credential.
const MASK: &str = "[masked]";

/// Shorter values are not searched for in responses: they would be found everywhere by chance, and
/// keep no secret.
const SHORTEST: usize = 4;

/// Why a placeholder was not replaced.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PlaceholderError {
    /// `{{` without `}}`.
    Unclosed,
    /// The manifest does not declare the credential.
    Undeclared(String),
    /// The binding does not hold it.
    NotHeld(String),
}

/// Puts credentials in the place of `{{name}}`. None if there was no placeholder.
pub(crate) fn fill(
    text: &str,
    declared: &BTreeSet<String>,
    held: &BTreeMap<String, SecretString>,
) -> Result<Option<SecretString>, PlaceholderError> {
    let Some((start, mut rest)) = text.split_once("{{") else {
        return Ok(None);
    };
    let mut filled = start.to_owned();
    loop {
        let (name, after) = rest.split_once("}}").ok_or(PlaceholderError::Unclosed)?;
        filled.push_str(find(name, declared, held)?.expose_secret());
        let Some((between, next)) = after.split_once("{{") else {
            filled.push_str(after);
            return Ok(Some(filled.into()));
        };
        filled.push_str(between);
        rest = next;
    }
}

/// A credential that is both declared and held.
pub(crate) fn find<'a>(
    name: &str,
    declared: &BTreeSet<String>,
    held: &'a BTreeMap<String, SecretString>,
) -> Result<&'a SecretString, PlaceholderError> {
    if !declared.contains(name) {
        return Err(PlaceholderError::Undeclared(name.to_owned()));
    }
    held.get(name)
        .ok_or_else(|| PlaceholderError::NotHeld(name.to_owned()))
}

/// Finds credentials in what a server sends back.
///
/// It catches what servers do without malice: echo a header, quote it in JSON or a URL, or show the
/// base64 or hexadecimal of something that contains it. A server that was granted the credential and
/// wants to tell the plugin can always do so; choose whom to grant.
pub(crate) struct Mask {
    patterns: Option<AhoCorasick>,
}

impl Mask {
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = &'a SecretString>) -> Self {
        let mut forms = BTreeSet::new();
        for secret in secrets
            .map(ExposeSecret::expose_secret)
            .filter(|s| s.len() >= SHORTEST)
        {
            forms.insert(secret.to_owned());
            forms.insert(url::form_urlencoded::byte_serialize(secret.as_bytes()).collect());
            forms.insert(
                serde_json::Value::from(secret)
                    .to_string()
                    .trim_matches('"')
                    .to_owned(),
            );
            forms.insert(hex::encode(secret));
            forms.insert(hex::encode_upper(secret));
            forms.insert(STANDARD.encode(secret));
            forms.insert(URL_SAFE.encode(secret));
            for offset in 0..3 {
                forms.insert(within_base64(secret, offset, &STANDARD_NO_PAD));
                forms.insert(within_base64(secret, offset, &URL_SAFE_NO_PAD));
            }
        }
        forms.retain(|form| form.len() >= SHORTEST);
        let patterns = (!forms.is_empty())
            .then(|| {
                AhoCorasick::builder()
                    .match_kind(MatchKind::LeftmostLongest)
                    .build(&forms)
                    .ok()
            })
            .flatten();
        Self { patterns }
    }

    /// The same bytes with every credential masked.
    pub(crate) fn apply(&self, bytes: Vec<u8>) -> Vec<u8> {
        match &self.patterns {
            Some(patterns) if patterns.is_match(&bytes) => {
                patterns.replace_all_bytes(&bytes, &vec![MASK; patterns.patterns_len()])
            }
            _ => bytes,
        }
    }
}

/// The characters that base64 of anything has where `secret` begins `offset` bytes (modulo 3) into it:
/// those that depend on the secret alone.
fn within_base64(secret: &str, offset: usize, engine: &impl Engine) -> String {
    let mut bytes = vec![0; offset];
    bytes.extend_from_slice(secret.as_bytes());
    let shared_with_before = [0, 2, 3][offset];
    let wholly_known = bytes.len() * 8 / 6;
    let text = engine.encode(bytes);
    text[shared_with_before..wholly_known].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held() -> BTreeMap<String, SecretString> {
        [
            ("key".to_owned(), "s3cret/\"v+lue".into()),
            ("id".to_owned(), "AKID12".into()),
        ]
        .into()
    }

    fn declared() -> BTreeSet<String> {
        ["key".to_owned(), "id".to_owned(), "spare".to_owned()].into()
    }

    #[test]
    fn placeholders_are_replaced() {
        let filled = |text| {
            fill(text, &declared(), &held()).map(|s| s.map(|s| s.expose_secret().to_owned()))
        };
        assert_eq!(filled("Bearer x"), Ok(None));
        assert_eq!(
            filled("id={{id}}, key={{key}};"),
            Ok(Some("id=AKID12, key=s3cret/\"v+lue;".to_owned()))
        );
        assert_eq!(filled("{{id"), Err(PlaceholderError::Unclosed));
        assert_eq!(
            filled("{{other}}"),
            Err(PlaceholderError::Undeclared("other".into()))
        );
        assert_eq!(
            filled("{{spare}}"),
            Err(PlaceholderError::NotHeld("spare".into()))
        );
    }

    #[test]
    fn every_usual_form_of_a_credential_is_masked() {
        let mask = Mask::new(held().values());
        let secret = "s3cret/\"v+lue";
        let echoes = [
            format!("a {secret} b"),
            format!(
                "q={}&",
                url::form_urlencoded::byte_serialize(secret.as_bytes()).collect::<String>()
            ),
            serde_json::json!({ "echo": secret }).to_string(),
            hex::encode(secret),
            STANDARD.encode(secret),
            STANDARD.encode(format!("user:{secret}:tail")),
            STANDARD.encode(format!("users:{secret}:tail")),
            STANDARD.encode(format!("userss:{secret}:tail")),
            URL_SAFE.encode(format!("x{secret}")),
        ];
        for echo in echoes {
            let masked = String::from_utf8(mask.apply(echo.clone().into_bytes())).unwrap();
            assert!(masked.contains(MASK), "{echo} -> {masked}");
            assert!(!masked.contains("s3cret"), "{echo} -> {masked}");
        }
    }

    #[test]
    fn what_is_no_credential_stays() {
        let mask = Mask::new(held().values());
        assert_eq!(mask.apply(b"nothing to see".to_vec()), b"nothing to see");
        let short: [SecretString; 1] = ["ab".into()];
        assert_eq!(Mask::new(short.iter()).apply(b"abab".to_vec()), b"abab");
    }
}
