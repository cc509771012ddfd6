//! The signature SDK-HMAC-SHA256, as the vendor's guide to signing API requests describes it.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};

use crate::front::Call;
use crate::text::{escape, pairs, unescape};

/// Is the request signed with this key? The error says what is wrong.
pub(super) fn check(
    call: &Call,
    authority: &str,
    access_key: &str,
    secret_key: &str,
) -> Result<(), String> {
    if call.header("host") != authority {
        return Err(format!("host {} is not served here", call.header("host")));
    }
    let date = call.header("x-sdk-date");
    let well_formed = date.len() == 16 && date.as_bytes()[8] == b'T' && date.ends_with('Z');
    if !well_formed {
        return Err("header X-Sdk-Date should be like 20060102T150405Z".to_owned());
    }
    let fields: BTreeMap<&str, &str> = call
        .header("authorization")
        .strip_prefix("SDK-HMAC-SHA256 ")
        .ok_or("Unauthorized: no SDK-HMAC-SHA256 authorization")?
        .split(", ")
        .filter_map(|field| field.split_once('='))
        .collect();
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    if field("Access") != access_key {
        return Err(format!("ak {} not exist", field("Access")));
    }
    let names: Vec<&str> = field("SignedHeaders").split(';').collect();
    if !names.is_sorted() || !["host", "x-sdk-date"].iter().all(|n| names.contains(n)) {
        return Err("not all headers that must be signed are, in order".to_owned());
    }

    let mut path: String = call
        .path
        .split('/')
        .map(|part| escape(&unescape(part)))
        .collect::<Vec<_>>()
        .join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    let mut query: Vec<(String, String)> = pairs(&call.query)
        .into_iter()
        .map(|(name, value)| (escape(&name), escape(&value)))
        .collect();
    query.sort();
    let query: Vec<String> = query
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let mut canonical = vec![call.method.to_string(), path, query.join("&")];
    for name in &names {
        canonical.push(format!("{name}:{}", call.header(name).trim()));
    }
    canonical.extend([
        String::new(),
        names.join(";"),
        hex::encode(Sha256::digest(&call.body)),
    ]);
    let hashed = hex::encode(Sha256::digest(canonical.join("\n")));

    let mut mac = Hmac::<Sha256>::new_from_slice(secret_key.as_bytes()).expect("any key length");
    mac.update(format!("SDK-HMAC-SHA256\n{date}\n{hashed}").as_bytes());
    if field("Signature") == hex::encode(mac.finalize().into_bytes()) {
        Ok(())
    } else {
        let shown = canonical.join("|");
        Err(format!(
            "Verify authorization failed, canonicalRequest: {shown}"
        ))
    }
}
