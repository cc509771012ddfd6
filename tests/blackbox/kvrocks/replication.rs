//! Replicas follow their master, over links that a test cuts and holds.

use portolan_tests::{Kvrocks, KvrocksOptions};

use super::*;

const INFO: &[&str] = &["INFO", "replication"];

#[tokio::test]
async fn a_replica_copies_its_master_and_reads_with_readonly() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    assert_eq!(ask(&one, &["SET", "foo", "1"]).await, "OK");
    holds(&two, "foo", Some("1")).await;
    assert_eq!(two.sequence(), 1);

    let moved = format!("MOVED 12182 {}", one.addr());
    let mut client = two.client().await;
    assert_eq!(client.call(&["GET", "foo"]).await.text(), moved);
    client.call(&["READONLY"]).await;
    assert_eq!(client.call(&["GET", "foo"]).await.text(), "1");
    assert_eq!(client.call(&["SET", "foo", "2"]).await.text(), moved);
}

#[tokio::test]
async fn both_ends_report_the_link() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    says(&two, INFO, "master_link_status:up").await;
    let info = ask(&two, INFO).await;
    for line in [
        "role:slave\r\nmaster_host:127.0.0.1\r\n",
        &format!("master_port:{}\r\n", one.port()),
        "master_sync_in_progress:0\r\n",
        "\r\nmaster_last_io_seconds_ago:",
        "slave_repl_offset:0\r\n",
        "master_repl_offset:0\r\n",
    ] {
        assert!(info.contains(line), "{info}");
    }
    let role = two.client().await.call(&["ROLE"]).await;
    let port = one.port().to_string();
    assert_eq!(
        texts(&role),
        ["slave", "127.0.0.1", &port, "connected", "0"]
    );

    net.hold_replication(&two);
    one.put("a", "1");
    one.put("b", "2");
    let lagging = format!("slave0:ip=127.0.0.1,port={},offset=0,lag=2", two.port());
    says(&one, INFO, &lagging).await;
    says(&two, INFO, "master_link_status:up").await;
    net.release_replication(&two);
    says(&one, INFO, "offset=2,lag=0").await;
    let role = one.client().await.call(&["ROLE"]).await;
    assert_eq!(texts(&role)[..2], ["master", "2"]);
}

#[tokio::test]
async fn a_cut_link_is_down_until_it_is_healed() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    says(&two, INFO, "master_link_status:up").await;
    net.cut(&one, &two);
    says(&two, INFO, "master_link_status:down").await;
    says(&one, INFO, "connected_slaves:0").await;
    one.put("a", "1");
    net.heal(&one, &two);
    holds(&two, "a", Some("1")).await;
}

#[tokio::test]
async fn a_killed_master_takes_the_link_down_and_its_restart_brings_it_back() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    says(&two, INFO, "master_link_status:up").await;
    one.kill();
    says(&two, INFO, "master_link_status:down").await;
    let info = ask(&two, &["CLUSTER", "INFO"]).await;
    assert!(info.contains("cluster_state:ok"), "{info}");
    one.restart().await;
    says(&two, INFO, "master_link_status:up").await;
    two.restart().await;
    says(&two, INFO, "master_link_status:up").await;
}

#[tokio::test]
async fn replication_needs_the_masters_password() {
    let net = Kvrocks::network();
    let secret = KvrocksOptions {
        password: "secret".into(),
        ..KvrocksOptions::default()
    };
    let (one, two) = (net.start_with(secret).await, net.start().await);
    let lines = [master(1, &one, "0-16383"), replica(2, &two, 1)];
    push(&two, 2, &lines, 1).await;
    says(&two, INFO, "master_link_status:down").await;
    let command = ["CONFIG", "SET", "masterauth", "secret"];
    assert_eq!(ask(&two, &command).await, "OK");
    says(&two, INFO, "master_link_status:up").await;
}

#[tokio::test]
async fn a_promoted_replica_takes_writes_and_the_demoted_master_follows_it() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    one.put("foo", "1");
    holds(&two, "foo", Some("1")).await;
    let lines = [replica(1, &one, 2), master(2, &two, "0-16383")];
    push(&two, 2, &lines, 2).await;
    assert_eq!(ask(&two, &["SET", "foo", "2"]).await, "OK");
    push(&one, 1, &lines, 2).await;
    holds(&one, "foo", Some("2")).await;
    assert_eq!(one.follows(), Some(two.port()));
}
