//! The Alibaba plugin in the daemon, against a stand-in that checks every signature itself.

use portolan_tests::{AliRecord, AliStub, Client, Cluster, built_plugins, eventually};
use serde_json::{Value, json};

use crate::dns::{bind, cluster_with_plugins, in_sync, status_says, want_accepted};

const ZONE: &str = "example.com";
const KEY_ID: &str = "LTAI-of-a-test";
const SECRET: &str = "the-secret-of-a-test-account";

fn binding(server: &AliStub, secret: &str) -> Value {
    json!({
        "plugin": "alidns",
        "settings": {"endpoint": server.url()},
        "credentials": {"access-key-id": KEY_ID, "access-key-secret": secret},
        "hosts": [server.url()],
        "zones": [ZONE],
    })
}

async fn bound() -> (Cluster, Client, AliStub) {
    let server = AliStub::start(KEY_ID, SECRET, &[ZONE]).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(cluster.follower().await);
    bind(&client, "ali", &binding(&server, SECRET)).await;
    (cluster, client, server)
}

/// A record set of the name `www` on a line.
fn www(line: &str, values: &[&str]) -> Value {
    json!({"name": "www", "type": "A", "line": line, "ttl": 600, "values": values})
}

/// Waits until the records of a name are exactly these lines and values.
async fn holds(server: &AliStub, rr: &str, wanted: &[(&str, &str)]) {
    let mut wanted: Vec<(String, String)> = wanted
        .iter()
        .map(|(line, value)| ((*line).into(), (*value).into()))
        .collect();
    wanted.sort();
    eventually(&format!("{rr} holds {wanted:?}"), async || {
        let records = server
            .records()
            .into_iter()
            .filter(|record| record.rr == rr);
        let mut found: Vec<_> = records.map(|record| (record.line, record.value)).collect();
        found.sort();
        if found == wanted {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await;
}

#[tokio::test]
async fn each_line_is_a_record_set_of_its_own() {
    let (_cluster, client, server) = bound().await;
    let foreign = AliRecord {
        line: "edu".into(),
        ..AliRecord::new("www", "A", "192.0.2.99")
    };
    server.insert(foreign);

    let both = json!([
        www("default", &["192.0.2.1"]),
        www("CT", &["192.0.2.2", "192.0.2.3"])
    ]);
    want_accepted(&client, ZONE, both).await;
    let edu = ("edu", "192.0.2.99");
    let default = ("default", "192.0.2.1");
    let telecom = [("telecom", "192.0.2.2"), ("telecom", "192.0.2.3")];
    holds(&server, "www", &[edu, default, telecom[0], telecom[1]]).await;
    in_sync(&client, ZONE).await;

    let moved = json!([www("default", &["192.0.2.1"]), www("CT", &["192.0.2.4"])]);
    want_accepted(&client, ZONE, moved).await;
    holds(&server, "www", &[edu, default, ("telecom", "192.0.2.4")]).await;

    want_accepted(&client, ZONE, json!([www("default", &["192.0.2.1"])])).await;
    holds(&server, "www", &[edu, default]).await;
    in_sync(&client, ZONE).await;
}

#[tokio::test]
async fn a_change_by_hand_is_put_back_in_place_and_keeps_what_is_not_ours() {
    let (_cluster, client, server) = bound().await;
    want_accepted(
        &client,
        ZONE,
        json!([www("default", &["192.0.2.1"]), www("CU", &["192.0.2.2"])]),
    )
    .await;
    holds(
        &server,
        "www",
        &[("default", "192.0.2.1"), ("unicom", "192.0.2.2")],
    )
    .await;
    in_sync(&client, ZONE).await;

    let unicom = server
        .records()
        .into_iter()
        .find(|record| record.line == "unicom")
        .unwrap();
    server.edit(&unicom.id, |record| {
        record.value = "203.0.113.7".into();
        record.remark = Some("moved by hand".into());
    });
    holds(
        &server,
        "www",
        &[("default", "192.0.2.1"), ("unicom", "192.0.2.2")],
    )
    .await;
    let after = server
        .records()
        .into_iter()
        .find(|record| record.id == unicom.id);
    let after = after.expect("the record was changed in place, not made anew");
    assert_eq!((after.line.as_str(), after.ttl), ("unicom", 600));
    assert_eq!(after.remark.as_deref(), Some("moved by hand"));

    server.remove(&unicom.id);
    holds(
        &server,
        "www",
        &[("default", "192.0.2.1"), ("unicom", "192.0.2.2")],
    )
    .await;
}

#[tokio::test]
async fn throttling_and_lost_answers_end_in_the_wanted_state_without_duplicates() {
    let (_cluster, client, server) = bound().await;
    server.fail_next("AddDomainRecord", 400, "Throttling.User");
    server.fail_after_next("AddDomainRecord", 503, "ServiceUnavailable");
    let names = ["a", "b", "c"];
    let records: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "type": "A", "ttl": 600, "values": ["192.0.2.1"]}))
        .collect();
    want_accepted(&client, ZONE, json!(records)).await;
    for name in names {
        holds(&server, name, &[("default", "192.0.2.1")]).await;
    }
    in_sync(&client, ZONE).await;
    assert_eq!(server.records().len(), names.len());
}

#[tokio::test]
async fn a_wrong_secret_is_told_with_the_vendors_words_and_never_shown() {
    let server = AliStub::start(KEY_ID, SECRET, &[ZONE]).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(0);
    let wrong = "a-secret-that-is-not-the-accounts";
    bind(&client, "ali", &binding(&server, wrong)).await;
    want_accepted(&client, ZONE, json!([www("default", &["192.0.2.1"])])).await;
    let status = status_says(&client, ZONE, &["SignatureDoesNotMatch"])
        .await
        .to_string();
    assert!(!status.contains(wrong), "{status}");
    assert_eq!(server.records(), []);
    for member in &cluster.members {
        assert!(
            !member.log().contains(wrong),
            "member {} logged the secret",
            member.id()
        );
    }

    bind(&client, "ali", &binding(&server, SECRET)).await;
    holds(&server, "www", &[("default", "192.0.2.1")]).await;
}
