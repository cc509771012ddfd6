//! Hetzner's own client and the plugin work in the same zone of the stand-in. What the client
//! understands of it, and does there, is what makes the stand-in worth testing against.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::{path::Path, process::Command};

use bench::{ZONE, bench, commented};
use portolan_plugin::{
    dns::{Error, Outcome},
    sets::same,
    testing::{set, update},
};
use portolan_vendors::HetznerRrSet;
use serde_json::{Value, json};

/// Runs the client against a server, and answers what it saw.
fn client(url: &str, token: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/run.sh");
    let mut command = Command::new(&script);
    command.args(["hetzner", &format!("{url}/v1"), token, ZONE]);
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} failed (it needs python3 with venv): {said}",
        script.display()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_and_the_plugin_understand_each_other_in_one_zone() {
    let bench = bench().await;
    // More than a page of the client's, which asks for 50.
    for n in 0..120 {
        bench
            .service()
            .insert(HetznerRrSet::new(&format!("n{n}"), "A", &["192.0.2.7"]));
    }
    bench
        .service()
        .insert(commented("www", "A", &[("192.0.2.1", "first")]));

    let (url, token) = (bench.front.url(), bench.service().token());
    let saw = tokio::task::spawn_blocking(move || client(&url, token));
    let saw = saw.await.unwrap();
    assert_eq!(saw["zones"], json!([ZONE, "example.net", "copied.example"]));
    assert_eq!(saw["ids"].as_array().unwrap().len(), 123);
    assert_eq!(
        saw["www"],
        json!({
            "id": "www/A", "ttl": null, "labels": {}, "protected": false,
            "records": [["192.0.2.1", "first"]],
        })
    );
    assert_eq!(
        saw["made"],
        json!({
            "id": "made/TXT", "ttl": 300, "labels": {}, "protected": false,
            "records": [["\"b\"", "second"], ["\"c\"", ""]],
        })
    );
    assert_eq!(
        saw["refused"],
        json!({
            "twice": "uniqueness_error", "short ttl": "invalid_input", "upper case": "invalid_input",
            "no address": "invalid_input", "protected": "protected", "gone": "not_found",
            "copied": "incorrect_zone_mode", "token": "unauthorized",
        })
    );

    // What the client did is what the plugin reads, and what it preserves.
    let mut made = set("made.example.com", "TXT", &["\"b\"", "\"c\""]);
    made.ttl = 300;
    assert!(same(&bench.only("made.example.com"), &made));
    let standing = bench.only("www.example.com");
    assert_eq!(standing.ttl, 120);
    let mut moved = set("www.example.com", "A", &["192.0.2.2"]);
    moved.ttl = 120;
    let change = || vec![update(standing.clone(), moved.clone())];
    let results = bench.apply(change());
    assert!(matches!(results[0], Err(Error::Conflict(_))), "{results:?}");
    bench
        .service()
        .edit("www", "A", |rrset| rrset.protected = false);
    assert_eq!(bench.apply(change()), [Ok(Outcome::Applied)]);
    assert_eq!(bench.records("www", "A"), ["192.0.2.2 (rack 1)"]);
    let labels = bench.service().rrset("www", "A").unwrap().labels;
    assert_eq!(labels["team"], "ops");
}
