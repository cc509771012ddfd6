//! The vendor's own client as a witness: it understands the stand-in, and the plugin reads what it wrote.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests, in which it is allowed"
)]

use std::{fs, path::Path, process::Command};

use portolan_digitalocean::DigitalOcean;
use portolan_plugin::{
    Provider,
    dns::{Outcome, RecordSet},
    sets::same,
    settings,
    testing::{TestHost, set, update},
};
use portolan_vendors::{DigitalOcean as Service, DoRecord, Front, Vendor};
use serde_json::{Value, json};

const ZONE: &str = "example.com";

#[tokio::test(flavor = "multi_thread")]
async fn the_official_client_and_the_plugin_understand_the_same_service() {
    let front = Front::start(Service::with_zones(&[
        ZONE,
        "a.example",
        "b.example",
        "c.example",
    ]))
    .await;
    for n in 0..7 {
        let record = DoRecord::new(&format!("old{n}"), "A", "192.0.2.1");
        front.service().insert(record);
    }
    let seen = witness(&front).await;

    // What the client saw.
    assert_eq!(
        seen["domains"],
        json!([ZONE, "a.example", "b.example", "c.example"])
    );
    assert_eq!(seen["before"].as_array().map(Vec::len), Some(7));
    let created = seen["created"].as_array().unwrap();
    let data: Vec<&str> = created
        .iter()
        .map(|record| record["data"].as_str().unwrap())
        .collect();
    assert_eq!(
        data,
        [
            "192.0.2.10",
            "192.0.2.11",
            "2001:db8::10",
            "@",
            "mail.example.net",
            "v=spf1 -all",
            "ns1.example.net",
            "ca.example",
            "sip.example.net",
            "192.0.2.12",
        ]
    );
    assert_eq!(created[9]["ttl"], 1800, "the default");
    assert_eq!(seen["after"].as_array().map(Vec::len), Some(7 + 9));
    let named = seen["named"].as_array().unwrap();
    let named: Vec<(&str, u64)> = named
        .iter()
        .map(|record| {
            (
                record["data"].as_str().unwrap(),
                record["ttl"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(named, [("192.0.2.20", 900), ("192.0.2.11", 900)]);
    assert_eq!(
        seen["errors"],
        json!({
            "dot": [422, "unprocessable_entity"],
            "clash": [422, "unprocessable_entity"],
            "gone": [404, "not_found"],
            "zone": [404, "not_found"],
            "token": [401, "unauthorized"],
        })
    );

    // What the plugin reads of it, and makes of it.
    let binding = front.binding();
    let provider: DigitalOcean = settings(&binding.settings.to_string()).unwrap();
    let host = TestHost::on_loopback().credential("token", &binding.credentials["token"]);
    let read = provider.read(&host, ZONE, None, None).unwrap().sets;
    let ttl = |ttl: u32, set: RecordSet| RecordSet { ttl, ..set };
    let addresses = set("pydo.example.com", "A", &["192.0.2.20", "192.0.2.11"]);
    let wanted = [
        ttl(900, addresses.clone()),
        set("pydo.example.com", "AAAA", &["2001:db8::10"]),
        set("alias.example.com", "CNAME", &["example.com"]),
        set("example.com", "MX", &["10 mail.example.net"]),
        set("example.com", "TXT", &["\"v=spf1 -all\""]),
        set("sub.example.com", "NS", &["ns1.example.net"]),
        set("example.com", "CAA", &["0 issue \"ca.example\""]),
        set(
            "_sip._tcp.example.com",
            "SRV",
            &["1 2 5060 sip.example.net"],
        ),
    ];
    assert_eq!(read.len(), 7 + wanted.len());
    let standing = |wanted: &RecordSet| {
        let found = read.iter().find(|set| set.key == wanted.key);
        found.unwrap().clone()
    };
    for set in &wanted {
        assert!(same(&standing(set), set), "{:?}", standing(set));
    }
    let change = update(standing(&addresses), addresses);
    let results = provider.apply(&host, ZONE, vec![change]).unwrap();
    assert_eq!(results, [Ok(Outcome::Applied)]);
}

/// Lets the client loose on the service.
async fn witness(front: &Front<Service>) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/oracle/run.sh");
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("digitalocean.json");
    let mut command = Command::new(&script);
    command
        .args(["digitalocean", &front.url(), front.service().token()])
        .arg(&out);
    let output = tokio::task::spawn_blocking(move || command.output());
    let output = output.await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} failed (it needs python3 with venv): {said}",
        script.display()
    );
    serde_json::from_str(&fs::read_to_string(&out).unwrap()).unwrap()
}
