//! The vendor's own SDK as the oracle of signatures: for generated requests, what it signed and what we
//! would sign must be the same, octet by octet.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use portolan_alidns::acs3::{Unsigned, empty_body};
use portolan_plugin::{Algorithm, HmacChain, Host, testing::TestHost};
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
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/run.sh");
    let vectors = Path::new(env!("CARGO_TARGET_TMPDIR")).join("alidns-vectors.jsonl");
    let output = Command::new(&script).arg(&vectors).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} failed (it needs python3 with venv): {said}",
        script.display()
    );

    let text = fs::read_to_string(&vectors).unwrap();
    let vectors: Vec<Vector> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(vectors.len() >= 200, "only {} vectors", vectors.len());
    let any = |has: fn(&str) -> bool| {
        vectors
            .iter()
            .flat_map(|v| &v.query)
            .any(|(_, value)| has(value))
    };
    assert!(any(str::is_empty), "no empty value among the vectors");
    assert!(
        any(|value| !value.is_ascii()),
        "nothing beyond ASCII among the vectors"
    );
    for mark in [' ', '+', '~', '*', '%'] {
        assert!(
            vectors
                .iter()
                .flat_map(|v| &v.query)
                .any(|(_, value)| value.contains(mark)),
            "no `{mark}`"
        );
    }
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
