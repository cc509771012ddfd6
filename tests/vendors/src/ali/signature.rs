//! The stand-in's own ACS3-HMAC-SHA256, the signature version 3 of the documentation.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use super::state::{Refusal, State, refuse};
use crate::{
    front::Call,
    text::{escape, pairs},
};

impl State {
    /// Checks the signature over what arrived.
    pub(super) fn authenticate(&mut self, authority: &str, call: &Call) -> Result<(), Refusal> {
        let header = |name: &str| call.header(name);
        if header("host") != authority {
            return refuse("InvalidHost", "The host header is not this server's.");
        }
        if header("x-acs-version") != "2015-01-09" {
            return refuse(
                "InvalidVersion",
                "Specified parameter Version is not valid.",
            );
        }
        let digest = hex::encode(Sha256::digest(&call.body));
        if header("x-acs-content-sha256") != digest {
            return refuse(
                "ContentSha256Mismatch",
                "The body does not have the announced hash.",
            );
        }
        let fields = header("authorization")
            .strip_prefix("ACS3-HMAC-SHA256 ")
            .map(|fields| {
                let fields = fields.split(',').filter_map(|field| field.split_once('='));
                fields.collect::<BTreeMap<_, _>>()
            });
        let Some(fields) = fields else {
            return refuse(
                "IncompleteSignature",
                "There is no ACS3-HMAC-SHA256 authorization.",
            );
        };
        let field = |name: &str| fields.get(name).copied().unwrap_or_default();
        if field("Credential") != self.access_key_id {
            return refuse(
                "InvalidAccessKeyId.NotFound",
                "Specified access key is not found.",
            );
        }
        let names: Vec<&str> = field("SignedHeaders").split(';').collect();
        let must = [
            "host",
            "x-acs-action",
            "x-acs-content-sha256",
            "x-acs-date",
            "x-acs-signature-nonce",
            "x-acs-version",
        ];
        if !names.is_sorted() || !must.iter().all(|name| names.contains(name)) {
            return refuse(
                "IncompleteSignature",
                "Not all headers that must be signed are.",
            );
        }

        let mut query: Vec<String> = pairs(&call.query)
            .iter()
            .map(|(name, value)| format!("{}={}", escape(name), escape(value)))
            .collect();
        query.sort();
        let mut canonical = vec![call.method.to_string(), call.path.clone(), query.join("&")];
        canonical.extend(
            names
                .iter()
                .map(|name| format!("{name}:{}", header(name).trim())),
        );
        canonical.extend([String::new(), names.join(";"), digest]);
        let hashed = hex::encode(Sha256::digest(canonical.join("\n")));
        let mut mac =
            Hmac::<Sha256>::new_from_slice(self.secret.as_bytes()).expect("any key length");
        mac.update(format!("ACS3-HMAC-SHA256\n{hashed}").as_bytes());
        if field("Signature") != hex::encode(mac.finalize().into_bytes()) {
            let message = format!(
                "Specified signature does not match our calculation. server string to sign is:ACS3-HMAC-SHA256\n{hashed}"
            );
            return refuse("SignatureDoesNotMatch", &message);
        }
        if !self
            .nonces
            .insert(header("x-acs-signature-nonce").to_owned())
        {
            return refuse(
                "SignatureNonceUsed",
                "Specified signature nonce was used already.",
            );
        }
        Ok(())
    }
}
