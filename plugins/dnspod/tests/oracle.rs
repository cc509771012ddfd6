//! The vendor's own SDK as the oracle of signatures: for generated requests, what it signed and what we
//! would sign must be the same, octet by octet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use portolan_dnspod::tc3::Unsigned;
use portolan_plugin::{Host, testing::TestHost};
use portolan_vendors::oracle;
use serde::Deserialize;

/// One line of what `tests/oracle/dnspod.py` writes.
#[derive(Deserialize)]
struct Vector {
    method: String,
    target: String,
    content_type: String,
    host: String,
    seconds: u64,
    body: String,
    canonical_request: String,
    authorization: String,
    secret_id: String,
    secret_key: String,
}

#[test]
fn generated_requests_are_signed_as_the_official_sdk_signs_them() {
    let vectors: Vec<Vector> = oracle::vectors("dnspod", env!("CARGO_TARGET_TMPDIR"));
    for part in [
        "\\u", "é", "\"\"", " ", "+", "~", "*", "%", "\\\\", "\\\"", "\\n", "{}",
    ] {
        assert!(
            vectors.iter().any(|vector| vector.body.contains(part)),
            "no `{part}` among the bodies"
        );
    }
    vectors.iter().for_each(check);
}

fn check(vector: &Vector) {
    assert_eq!((&*vector.method, &*vector.target), ("POST", "/"));
    let unsigned = Unsigned {
        content_type: &vector.content_type,
        authority: &vector.host,
        service: "dnspod",
        seconds: vector.seconds,
        body: vector.body.as_bytes(),
    };
    assert_eq!(unsigned.canonical_request(), vector.canonical_request);
    let host = TestHost::on_loopback().credential("key", &vector.secret_key);
    let signature = host.hmac(&unsigned.chain("key")).unwrap();
    assert_eq!(
        unsigned.authorization(&vector.secret_id, &signature),
        vector.authorization
    );
}
