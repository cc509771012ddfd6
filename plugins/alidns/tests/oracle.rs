//! The vendor's own SDK as the oracle of signatures: for generated requests, what it signed and what we
//! would sign must be the same, octet by octet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::collections::BTreeMap;

use portolan_alidns::acs3::{Unsigned, empty_body};
use portolan_plugin::{Algorithm, HmacChain, Host, testing::TestHost};
use portolan_vendors::oracle;
use serde::Deserialize;

/// One line of what `tests/oracle/alidns.py` writes.
#[derive(Deserialize)]
struct Vector {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    canonical_request: String,
    authorization: String,
    access_key_id: String,
    secret: String,
}

#[test]
fn generated_requests_are_signed_as_the_official_sdk_signs_them() {
    let vectors: Vec<Vector> = oracle::vectors("alidns", env!("CARGO_TARGET_TMPDIR"));
    let queries = vectors.iter().flat_map(|vector| &vector.query);
    oracle::assert_odd(queries.map(|(_, value)| value));
    vectors.iter().for_each(check);
}

fn check(vector: &Vector) {
    assert_eq!(vector.path, "/");
    assert_eq!(vector.headers["x-acs-content-sha256"], empty_body());
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
    let unsigned = Unsigned::new(&vector.method, query.collect(), headers.collect());
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
        unsigned.authorization(&vector.access_key_id, &signature),
        vector.authorization
    );
}
