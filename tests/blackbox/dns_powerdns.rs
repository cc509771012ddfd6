//! A WebAssembly plugin that holds no credential changes a real zone, as `dig` sees it.

use std::collections::BTreeMap;
use std::process::Command;

use portolan_tests::{
    Client, Cluster, Hold, HoldingProxy, PowerDns, RecordSet, built_plugins, dig, eventually,
    files_containing,
};
use serde_json::{Value, json};

use crate::dns::{
    bind, cluster_with_plugins, in_sync, planned, status_says, want, want_accepted, want_nothing,
    zone_status,
};

const ZONE: &str = "example.test";

/// A binding of this server, reached through `address`.
fn binding(server: &PowerDns, address: &str) -> Value {
    json!({
        "plugin": "powerdns",
        "settings": {"url": format!("http://{address}")},
        "credentials": {"api-key": server.key()},
        "hosts": [format!("http://{address}")],
        "zones": [ZONE],
    })
}

/// A group that is bound to a PowerDNS with one foreign record.
async fn bound() -> (Cluster, PowerDns) {
    let server = PowerDns::start(ZONE).await;
    server
        .replace("by-hand.example.test", "A", 60, &["192.0.2.99"])
        .await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    bind(
        &cluster.client(0),
        "home",
        &binding(&server, &server.api_address()),
    )
    .await;
    (cluster, server)
}

fn foreign_stands(sets: &BTreeMap<(String, String), RecordSet>) {
    let foreign = sets.get(&("by-hand.example.test".to_owned(), "A".to_owned()));
    let wanted = RecordSet {
        ttl: 60,
        values: vec!["192.0.2.99".to_owned()],
    };
    assert_eq!(foreign, Some(&wanted), "the foreign record was touched");
}

async fn dig_sees(server: &PowerDns, name: &str, rtype: &str, wanted: &[&str]) {
    eventually(
        &format!("dig {name} {rtype} finds {wanted:?}"),
        async || {
            let found = dig(server.dns_address(), name, rtype);
            if found == wanted {
                Ok(())
            } else {
                Err(format!("{found:?}"))
            }
        },
    )
    .await;
}

fn a(name: &str, ttl: u32, values: &[&str]) -> Value {
    json!({"name": name, "type": "A", "ttl": ttl, "values": values})
}

#[tokio::test]
async fn records_come_change_and_go_as_dig_sees_it() {
    let (cluster, server) = bound().await;
    let client = cluster.client(cluster.follower().await);
    let texts = json!({"name": "@", "type": "TXT", "ttl": 300, "values": ["\"v=spf1 -all\""]});
    let mail = json!({"name": "@", "type": "MX", "ttl": 300, "values": ["10 mail.example.test"]});
    let alias =
        json!({"name": "alias", "type": "CNAME", "ttl": 300, "values": ["www.example.test"]});
    let www = a("www", 300, &["192.0.2.1", "192.0.2.2"]);
    want_accepted(&client, ZONE, json!([www, texts, mail, alias])).await;
    dig_sees(
        &server,
        "www.example.test",
        "A",
        &["192.0.2.1", "192.0.2.2"],
    )
    .await;
    dig_sees(&server, "example.test", "TXT", &["\"v=spf1 -all\""]).await;
    dig_sees(&server, "example.test", "MX", &["10 mail.example.test."]).await;
    dig_sees(
        &server,
        "alias.example.test",
        "CNAME",
        &["www.example.test."],
    )
    .await;
    in_sync(&client, ZONE).await;
    assert_eq!(planned(&client, ZONE).await, Vec::<String>::new());

    let changed = a("www", 60, &["192.0.2.2", "192.0.2.3"]);
    want_accepted(&client, ZONE, json!([changed, texts])).await;
    dig_sees(
        &server,
        "www.example.test",
        "A",
        &["192.0.2.2", "192.0.2.3"],
    )
    .await;
    dig_sees(&server, "example.test", "MX", &[]).await;
    dig_sees(&server, "alias.example.test", "CNAME", &[]).await;
    dig_sees(&server, "example.test", "TXT", &["\"v=spf1 -all\""]).await;
    assert_eq!(
        server
            .record_set("www.example.test", "A")
            .await
            .unwrap()
            .ttl,
        60
    );

    // Nothing at all is so seldom meant that it has to be said twice.
    let emptied = want(&client, ZONE, json!([])).await;
    assert_eq!(emptied.status, 422, "{}", emptied.body);
    assert!(emptied.body.contains("allow_empty"), "{}", emptied.body);
    want_nothing(&client, ZONE).await;
    dig_sees(&server, "www.example.test", "A", &[]).await;
    dig_sees(&server, "example.test", "TXT", &[]).await;
    in_sync(&client, ZONE).await;
    let left = server.record_sets().await;
    foreign_stands(&left);
    assert_eq!(left.len(), 1, "{left:?}");
}

#[tokio::test]
async fn a_plan_shows_what_would_be_done_and_does_nothing() {
    let server = PowerDns::start(ZONE).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(cluster.follower().await);
    // No write reaches the server: all is still to be done.
    let proxy = HoldingProxy::start(&server.api_address(), "PATCH", Hold::Request).await;
    bind(&client, "home", &binding(&server, proxy.address())).await;
    want_accepted(&client, ZONE, json!([a("www", 300, &["192.0.2.1"])])).await;
    proxy.holding().await;
    assert_eq!(planned(&client, ZONE).await, ["create www.example.test A"]);
    assert_eq!(server.record_sets().await.len(), 0);

    proxy.release();
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
    in_sync(&client, ZONE).await;
    assert_eq!(planned(&client, ZONE).await, Vec::<String>::new());
}

#[tokio::test]
async fn changes_by_hand_are_put_back_counted_and_logged() {
    let (cluster, server) = bound().await;
    let client = cluster.client(0);
    want_accepted(&client, ZONE, json!([a("www", 300, &["192.0.2.1"])])).await;
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
    in_sync(&client, ZONE).await;

    server
        .replace("www.example.test", "A", 300, &["203.0.113.7"])
        .await;
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
    server.delete("www.example.test", "A").await;
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
    server
        .replace("www.example.test", "A", 5, &["192.0.2.1"])
        .await;
    eventually("the TTL is put back", async || {
        let set = server.record_set("www.example.test", "A").await;
        if set.as_ref().is_some_and(|set| set.ttl == 300) {
            Ok(())
        } else {
            Err(format!("{set:?}"))
        }
    })
    .await;
    foreign_stands(&server.record_sets().await);

    let leader = cluster.leader().await;
    eventually("three repairs are counted", async || {
        let status = zone_status(&cluster.client(leader), ZONE).await?;
        let repaired = status["drift_repaired"].as_u64().unwrap_or(0);
        if repaired >= 3 {
            Ok(())
        } else {
            Err(status.to_string())
        }
    })
    .await;
    let metrics = cluster.client(leader).get("/metrics").await.body;
    let counted = metrics
        .lines()
        .any(|line| line.contains("drift") && !line.starts_with('#') && !line.ends_with(" 0"));
    assert!(counted, "no counter of drift in the leader's metrics");
    let log = cluster.members[leader].log();
    assert!(
        log.lines()
            .any(|line| line.contains("www.example.test") && line.contains("put back")),
        "nothing in the leader's log says that drift was put back"
    );
}

#[tokio::test]
async fn what_stands_there_and_is_not_ours_is_refused_until_it_is_adopted() {
    let (cluster, server) = bound().await;
    let client = cluster.client(2);
    let same_name = a("by-hand", 300, &["192.0.2.1"]);
    want_accepted(
        &client,
        ZONE,
        json!([same_name, a("www", 300, &["192.0.2.1"])]),
    )
    .await;
    // The refusal of one keeps the other from nothing.
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
    status_says(&client, ZONE, &["by-hand.example.test", "adopt"]).await;
    foreign_stands(&server.record_sets().await);

    let mut adopted = same_name.clone();
    adopted["adopt"] = json!(true);
    want_accepted(
        &client,
        ZONE,
        json!([adopted, a("www", 300, &["192.0.2.1"])]),
    )
    .await;
    dig_sees(&server, "by-hand.example.test", "A", &["192.0.2.1"]).await;
    in_sync(&client, ZONE).await;
}

#[tokio::test]
async fn a_plugin_without_grant_is_denied_and_told_what_would_grant_it() {
    let server = PowerDns::start(ZONE).await;
    let cluster = cluster_with_plugins(&built_plugins()).await;
    let client = cluster.client(0);
    let mut ungranted = binding(&server, &server.api_address());
    ungranted["hosts"] = json!([]);
    bind(&client, "home", &ungranted).await;
    want_accepted(&client, ZONE, json!([a("www", 300, &["192.0.2.1"])])).await;

    let address = server.api_address();
    let status = status_says(&client, ZONE, &["powerdns", &address, "curl "]).await;
    let plan = client.get(&format!("/api/v1/dns/plan?zone={ZONE}")).await;
    assert!(
        plan.body.contains(&address) && plan.body.contains("curl "),
        "{}",
        plan.body
    );
    assert_eq!(
        dig(server.dns_address(), "www.example.test", "A"),
        Vec::<String>::new()
    );

    // The command, as an operator would paste it into a shell.
    let said = status["error"]
        .as_str()
        .unwrap_or_else(|| panic!("no error in {status}"));
    let command = &said[said.find("curl ").expect("a curl command")..];
    let run = Command::new("sh").args(["-c", command]).output().unwrap();
    let answered = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(run.status.success(), "{command}: {answered}");
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;
}

#[tokio::test]
async fn a_credential_is_never_shown_logged_or_stored_in_the_clear() {
    let (mut cluster, server) = bound().await;
    let client = cluster.client(1);
    want_accepted(&client, ZONE, json!([a("www", 300, &["192.0.2.1"])])).await;
    dig_sees(&server, "www.example.test", "A", &["192.0.2.1"]).await;

    for path in [
        "/api/v1/dns/providers",
        "/api/v1/dns/providers/home",
        "/api/v1/dns/status",
        "/api/v1/dns/plan",
        "/api/v1/plugins",
        "/read-all",
        "/metrics",
    ] {
        let reply = client.get(path).await;
        assert_eq!(reply.status, 200, "{path}: {}", reply.body);
        assert!(
            !reply.body.contains(server.key()),
            "{path} shows the credential"
        );
    }
    let shown = client.get("/api/v1/dns/providers/home").await.json();
    assert_eq!(shown["plugin"], "powerdns");
    let names: Vec<&String> = shown["credentials"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["api-key"]);

    // A wrong one is not shown either, in the error that it leads to.
    let wrong = "another-secret-that-nobody-should-see";
    let mut mistaken = binding(&server, &server.api_address());
    mistaken["credentials"]["api-key"] = json!(wrong);
    bind(&client, "home", &mistaken).await;
    let status = status_says(&client, ZONE, &["401"]).await.to_string();
    assert!(!status.contains(wrong), "{status}");

    cluster.all_caught_up().await;
    // All is on disk when a member has stopped.
    for member in &mut cluster.members {
        assert!(member.stop().await.success());
        for secret in [server.key(), wrong] {
            let files = files_containing(member.data(), secret);
            assert!(files.is_empty(), "the credential stands in {files:?}");
            assert!(!member.log().contains(secret), "the credential was logged");
        }
        // The search itself finds what is there.
        assert!(!files_containing(member.data(), "www").is_empty());
    }
}

#[tokio::test]
async fn a_leader_killed_in_the_middle_of_an_apply_leaves_no_trace() {
    const RECORDS: usize = 120;
    let server = PowerDns::start(ZONE).await;
    server
        .replace("by-hand.example.test", "A", 60, &["192.0.2.99"])
        .await;
    let cluster_client = async |cluster: &Cluster| cluster.client(cluster.follower().await);
    let mut cluster = cluster_with_plugins(&built_plugins()).await;
    let proxy = HoldingProxy::start(&server.api_address(), "PATCH", Hold::Answer).await;
    let client = cluster_client(&cluster).await;
    bind(&client, "home", &binding(&server, proxy.address())).await;

    let names: Vec<String> = (0..RECORDS)
        .map(|number| format!("host-{number:03}"))
        .collect();
    let records: Vec<Value> = names
        .iter()
        .map(|name| a(name, 300, &["192.0.2.1"]))
        .collect();
    want_accepted(&client, ZONE, json!(records)).await;
    // The server has acted on a part of the changes; the leader never hears of it.
    proxy.holding().await;
    let done = server.record_sets().await.len() - 1;
    assert!(done > 0, "no change has reached the server yet");
    let leader = cluster.leader().await;
    cluster.members[leader].kill9();
    proxy.release();

    let client = cluster_client(&cluster).await;
    in_sync(&client, ZONE).await;
    let sets = server.record_sets().await;
    foreign_stands(&sets);
    assert_eq!(sets.len(), RECORDS + 1);
    for name in names {
        let set = &sets[&(format!("{name}.{ZONE}"), "A".to_owned())];
        assert_eq!(
            *set,
            RecordSet {
                ttl: 300,
                values: vec!["192.0.2.1".to_owned()]
            }
        );
    }

    // What was half done is known to be ours: it goes when it is no longer wanted.
    cluster.restart_all().await;
    want_nothing(&client, ZONE).await;
    eventually("all of ours is gone", async || {
        match server.record_sets().await.len() {
            1 => Ok(()),
            left => Err(format!("{left} record sets stand")),
        }
    })
    .await;
    foreign_stands(&server.record_sets().await);
}

#[tokio::test]
async fn wrong_records_are_refused_with_their_place() {
    let (cluster, _server) = bound().await;
    let client = cluster.client(1);
    let good = a("www", 300, &["192.0.2.1"]);
    for (record, at) in [
        (a("www", 0, &["192.0.2.1"]), "records[1].ttl"),
        (a("a..b", 300, &["192.0.2.1"]), "records[1].name"),
        (a("mail", 300, &["not-an-address"]), "records[1].values[0]"),
        (a("mail", 300, &[]), "records[1].values"),
    ] {
        let reply = want(&client, ZONE, json!([good, record])).await;
        assert_eq!(reply.status, 422, "{}", reply.body);
        assert!(reply.body.contains(at), "no {at} in {}", reply.body);
    }
    let nobody = want(&client, "unbound.test", json!([good])).await;
    assert!(nobody.status < 500, "{} {}", nobody.status, nobody.body);
    refused(
        &client,
        "other",
        json!({"plugin": "no-such-plugin"}),
        "no-such-plugin",
    )
    .await;
    refused(
        &client,
        "other",
        json!({"plugin": "powerdns", "hosts": ["ftp://a"]}),
        "hosts",
    )
    .await;
    refused(
        &client,
        "other",
        json!({"plugin": "powerdns", "zons": []}),
        "zons",
    )
    .await;
}

async fn refused(client: &Client, name: &str, binding: Value, part: &str) {
    let reply = client
        .put(&format!("/api/v1/dns/providers/{name}"), &binding)
        .await;
    assert!(
        (400..500).contains(&reply.status),
        "{} {}",
        reply.status,
        reply.body
    );
    assert!(reply.body.contains(part), "no {part:?} in {}", reply.body);
}
