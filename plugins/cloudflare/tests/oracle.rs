//! The vendor's own client as a witness of the stand-in, and what it wrote as the provider reads it.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

mod bench;

use std::{path::Path, process::Command};

use bench::{TOKEN, ZONE, bench};
use portolan_plugin::{
    dns::Outcome,
    sets::same,
    testing::{set, update},
};
use portolan_vendors::CloudflareRecord;

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_understands_the_stand_in_and_the_provider_reads_what_it_wrote() {
    let bench = bench().await;
    bench.stub.insert(CloudflareRecord {
        proxied: true,
        ..CloudflareRecord::new("proxied.example.com", "A", "192.0.2.7")
    });
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/run.sh");
    let output = Command::new(&script)
        .arg("cloudflare")
        .arg(format!("{}/client/v4", bench.stub.url()))
        .args([TOKEN, ZONE])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{} failed (it needs python3 with venv): {}",
        script.display(),
        String::from_utf8_lossy(&output.stderr)
    );

    let sets = bench.read(None);
    let expected = [
        set(
            "_sip._tcp.example.com",
            "SRV",
            &["1 2 5060 sip.example.com"],
        ),
        set("example.com", "CAA", &["0 issue \"ca.example\""]),
        set("example.com", "MX", &["10 mail.example.com"]),
        set("example.com", "TXT", &["\"v=spf1 -all\""]),
        set("proxied.example.com", "A", &["192.0.2.7"]),
        set("witness.example.com", "A", &["192.0.2.4"]),
    ];
    let ttls = [600, 600, 600, 1, 1, 600];
    assert_eq!(sets.len(), expected.len());
    for ((found, mut wanted), ttl) in sets.iter().zip(expected).zip(ttls) {
        wanted.ttl = ttl;
        assert_eq!(found.key, wanted.key);
        assert!(same(found, &wanted), "{found:?} is not {wanted:?}");
    }

    let mut moved = sets[5].clone();
    moved.values[0].content = "192.0.2.5".to_owned();
    let results = bench.apply(vec![update(sets[5].clone(), moved)]);
    assert_eq!(results, [Ok(Outcome::Applied)]);
}
