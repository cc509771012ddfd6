//! Probes of real servers, all on loopback.

mod commands;
mod https;
mod plain;
mod servers;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use serde_json::Value;

use super::{ProbeFailure, ProbeOptions, Probed, Prober};
use crate::check::Check;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Longer than any answer takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(30);
/// For servers that never answer.
const IMPATIENCE: Duration = Duration::from_millis(200);

fn prober() -> Prober {
    Prober::new(ProbeOptions::default()).unwrap()
}

fn check(given: Value) -> Check {
    let check: Check = serde_json::from_value(given).unwrap();
    assert_eq!(check.validate(), Ok(()));
    check
}

/// Asks patiently and answers why the target is down, or nothing if it is up.
async fn why_down(prober: &Prober, given: Value) -> Option<String> {
    why_down_within(prober, given, PATIENCE).await
}

async fn why_down_within(prober: &Prober, given: Value, timeout: Duration) -> Option<String> {
    match prober.probe(HERE, &check(given), timeout).await {
        Ok(Probed { took }) => {
            assert!(took <= timeout);
            None
        }
        Err(ProbeFailure::Down(why)) => Some(why),
        Err(ProbeFailure::Unable(why)) => panic!("could not look: {why}"),
    }
}

async fn why_unable(prober: &Prober, address: IpAddr, given: Value) -> String {
    match prober.probe(address, &check(given), PATIENCE).await {
        Err(ProbeFailure::Unable(why)) => why,
        other => panic!("it could look: {other:?}"),
    }
}

#[test]
fn options_that_cannot_be_are_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    let command = |name: &str, line: &[&str]| ProbeOptions {
        commands: [(
            name.to_owned(),
            line.iter().map(ToString::to_string).collect(),
        )]
        .into(),
        ..ProbeOptions::default()
    };
    let authority = |file: &std::path::Path| ProbeOptions {
        extra_ca_file: Some(file.to_owned()),
        ..ProbeOptions::default()
    };
    let cases = [
        (command("lag", &[]), "`commands.lag`: names no program"),
        (command("lag", &[""]), "`commands.lag`: names no program"),
        (command("a b", &["x"]), "`a b` cannot name a command"),
        (authority(&empty), "holds no certificate in PEM"),
        (authority(&dir.path().join("missing")), "No such file"),
    ];
    for (options, words) in cases {
        let error = Prober::new(options).err().unwrap().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn options_are_read_from_a_configuration() {
    let options: ProbeOptions = serde_json::from_value(serde_json::json!({
        "commands": {"lag": ["/usr/bin/lag", "--max", "5"]}
    }))
    .unwrap();
    assert_eq!(options.commands["lag"][0], "/usr/bin/lag");
    assert_eq!(options.probes_at_once, 256);
    assert!(serde_json::from_str::<ProbeOptions>(r#"{"command": {}}"#).is_err());
}
