//! The vendor's own SDK as the oracle of signatures: for generated requests, what it signed and what we
//! would sign must be the same, octet by octet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::collections::BTreeMap;

use portolan_huaweicloud::sdk_hmac::Unsigned;
use portolan_plugin::{Algorithm, HmacChain, Host, testing::TestHost};
use portolan_vendors::oracle;
use serde::Deserialize;

/// One line of what `tests/oracle/huaweicloud.py` writes.
#[derive(Deserialize)]
struct Vector {
    method: String,
    path: Vec<String>,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: String,
    canonical_request: String,
    authorization: String,
    access_key: String,
    secret: String,
}

#[test]
fn generated_requests_are_signed_as_the_official_sdk_signs_them() {
    let vectors: Vec<Vector> = oracle::vectors("huaweicloud", env!("CARGO_TARGET_TMPDIR"));
    oracle::assert_odd(vectors.iter().flat_map(|vector| {
        let values = vector.query.iter().map(|(_, value)| value);
        vector.path.iter().chain(values)
    }));
    assert!(vectors.iter().any(|vector| !vector.body.is_empty()));
    vectors.iter().for_each(check);
}

fn check(vector: &Vector) {
    let path: Vec<&str> = vector.path.iter().map(String::as_str).collect();
    // In reverse, so that putting them in order is on us.
    let query = vector
        .query
        .iter()
        .rev()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let headers = vector
        .headers
        .iter()
        .rev()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let unsigned = Unsigned::new(
        &vector.method,
        &path,
        query.collect(),
        headers.collect(),
        vector.body.as_bytes(),
    );
    assert_eq!(unsigned.canonical_request(), vector.canonical_request);

    let host = TestHost::on_loopback().credential("secret", &vector.secret);
    let signature = host
        .hmac(&HmacChain {
            credential: "secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: String::new(),
            suffix: String::new(),
            steps: vec![unsigned.string_to_sign().into_bytes()],
        })
        .unwrap();
    assert_eq!(
        unsigned.authorization(&vector.access_key, &signature),
        vector.authorization
    );
}
