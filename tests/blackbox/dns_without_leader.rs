//! A member that is left alone, without a leader, goes on answering DNS queries.

use std::net::SocketAddr;
use std::process::Command;

use portolan_tests::{Client, Cluster, Setup, eventually};
use serde_json::json;

use crate::dns::{bind, want_accepted};

const ZONE: &str = "lone.test";
const NAME: &str = "www.lone.test";
/// What everybody gets.
const DEFAULT: &str = "192.0.2.1";
/// What the networks of China Telecom get.
const CT: &str = "192.0.2.2";
/// Which networks those are: the file of `make run`.
const LINES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/lines.txt");

/// What a client finds: its options for `dig`, and the answer.
const ANSWERS: [(&[&str], &str); 6] = [
    (&["+notcp"], DEFAULT),
    (&["+tcp"], DEFAULT),
    (&["+notcp", "+subnet=203.0.113.0/24"], CT),
    (&["+tcp", "+subnet=203.0.113.0/24"], CT),
    // Of a line that has no record, and of none.
    (&["+notcp", "+subnet=198.51.100.0/24"], DEFAULT),
    (&["+tcp", "+subnet=192.0.2.0/24"], DEFAULT),
];

/// What `dig` prints; why it failed, if it did.
fn dig(server: SocketAddr, name: &str, options: &[&str]) -> Result<String, String> {
    let mut command = Command::new("dig");
    command.args(["+short", "+tries=1", "+time=5"]);
    command.arg(format!("@{}", server.ip()));
    command.args(["-p", &server.port().to_string(), name, "A"]);
    let output = command.args(options).output().expect("run dig");
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match output.status.success() {
        true => Ok(said),
        false => Err(said),
    }
}

/// The first answer that is not as it should be.
fn all_answered(server: SocketAddr) -> Result<(), String> {
    for (options, wanted) in ANSWERS {
        let found = dig(server, NAME, options);
        if found.as_deref() != Ok(wanted) {
            return Err(format!("{options:?}: {found:?} and not {wanted}"));
        }
    }
    Ok(())
}

/// Whether a member finds that nobody leads: it is not ready, and takes no writes.
async fn has_no_leader(client: &Client) -> Result<(), String> {
    let ready = client.send("GET", "/readyz", &[], "").await?;
    if ready.status == 200 {
        return Err(format!("it is ready: {}", ready.body));
    }
    let metrics = client.send("GET", "/metrics", &[], "").await?;
    if !metrics.body.contains("portolan_raft_has_leader 0\n") {
        return Err("its metrics tell of a leader".to_owned());
    }
    match client.write("key", "value").await {
        Err(_) => Ok(()),
        Ok(()) => Err("it takes writes".to_owned()),
    }
}

#[tokio::test]
async fn a_member_without_a_leader_answers_also_after_a_restart() {
    let setup = Setup {
        config: format!("[dns]\nlines = {LINES:?}\n"),
        dns: true,
        ..Setup::default()
    };
    let mut cluster = Cluster::start_with(setup).await;
    let client = cluster.client(0);
    let local = json!({"plugin": "local", "zones": [ZONE]});
    bind(&client, "here", &local).await;
    let record = |line: &str, address: &str| {
        json!({
            "name": "www", "type": "A", "line": line, "ttl": 60, "values": [address],
        })
    };
    let records = json!([record("default", DEFAULT), record("CT", CT)]);
    want_accepted(&client, ZONE, records).await;
    for member in &cluster.members {
        let server = member.dns_address();
        eventually(&format!("{server} answers"), async || all_answered(server)).await;
    }

    // Only one that followed is left.
    let survivor = cluster.follower().await;
    for index in cluster.running() {
        if index != survivor {
            cluster.members[index].kill9();
        }
    }
    let client = cluster.client(survivor);
    let server = cluster.members[survivor].dns_address();
    let what = "the survivor finds that nobody leads";
    eventually(what, async || has_no_leader(&client).await).await;
    assert_eq!(all_answered(server), Ok(()));
    assert_eq!(
        dig(server, &format!("nothing.{ZONE}"), &[]).as_deref(),
        Ok("")
    );

    // It starts again, and nobody is there to ask.
    cluster.members[survivor].kill9();
    assert!(
        all_answered(server).is_err(),
        "nobody else answers in its place"
    );
    cluster.members[survivor].start();
    cluster.members[survivor].listening().await;
    eventually("it answers again", async || all_answered(server)).await;
    assert_eq!(has_no_leader(&client).await, Ok(()));
    assert_eq!(all_answered(server), Ok(()));
}
