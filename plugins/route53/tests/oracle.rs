//! AWS's own SDK as the oracle of signatures: for generated requests, what it signed and what we would
//! sign must be the same, octet by octet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::collections::BTreeMap;

use portolan_plugin::{Algorithm, HmacChain, Host, signing::Moment, testing::TestHost};
use portolan_route53::sigv4::{PREFIX, Scope, Unsigned};
use portolan_vendors::oracle;
use serde::Deserialize;

/// One line of what `tests/oracle/route53.py` writes.
#[derive(Deserialize)]
struct Vector {
    method: String,
    path: String,
    query: Vec<(String, String)>,
    headers: BTreeMap<String, String>,
    body: String,
    seconds: u64,
    region: String,
    canonical_request: String,
    authorization: String,
    access_key_id: String,
    secret: String,
}

#[test]
fn generated_requests_are_signed_as_the_official_sdk_signs_them() {
    let vectors: Vec<Vector> = oracle::vectors("route53", env!("CARGO_TARGET_TMPDIR"));
    let queries = vectors.iter().flat_map(|vector| &vector.query);
    oracle::assert_odd(queries.map(|(_, value)| value));
    assert!(vectors.iter().any(|vector| !vector.body.is_empty()));
    assert!(vectors.iter().any(|vector| vector.path.contains('%')));
    vectors.iter().for_each(check);
}

fn check(vector: &Vector) {
    // In reverse, so that putting them in order is on us.
    let query: Vec<(&str, String)> = vector
        .query
        .iter()
        .rev()
        .map(|(name, value)| (name.as_str(), value.clone()))
        .collect();
    let headers = vector
        .headers
        .iter()
        .rev()
        .map(|(name, value)| (name.as_str(), value.clone()));
    let unsigned = Unsigned::new(
        &vector.method,
        &vector.path,
        &query,
        headers.collect(),
        vector.body.as_bytes(),
    );
    assert_eq!(unsigned.canonical_request(), vector.canonical_request);

    let scope = Scope {
        moment: Moment::at(vector.seconds),
        region: &vector.region,
        service: "route53",
    };
    let host = TestHost::on_loopback().credential("secret", &vector.secret);
    let signature = host
        .hmac(&HmacChain {
            credential: "secret".to_owned(),
            algorithm: Algorithm::HmacSha256,
            prefix: PREFIX.to_owned(),
            suffix: String::new(),
            steps: scope.steps(unsigned.string_to_sign(&scope)),
        })
        .unwrap();
    assert_eq!(
        unsigned.authorization(&vector.access_key_id, &scope, &signature),
        vector.authorization
    );
}
