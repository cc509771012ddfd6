//! The six traps for a controller, each reproduced.

use portolan_tests::{Kvrocks, KvrocksOptions};

use super::*;

const REPLICATION: &[&str] = &["INFO", "replication"];

#[tokio::test]
async fn trap_1_setslot_with_an_unknown_id_crashes_the_node_later() {
    let net = Kvrocks::network();
    let (one, _two) = two_masters(&net).await;
    let mut client = one.client().await;
    let command = ["CLUSTERX", "SETSLOT", "0", "NODE", &id(9), "2"];
    let reply = client.call(&command).await.text();
    assert_eq!(reply, "ERR No this node in the cluster");
    assert_eq!(client.call(&["PING"]).await.text(), "PONG");
    assert!(client.try_call(&["CLUSTER", "NODES"]).await.is_err());
    assert_eq!((one.is_running(), one.crashes()), (false, 1));

    one.restart().await;
    assert_eq!(one.topology_version(), 1);
    let nodes = ask(&one, &["CLUSTER", "NODES"]).await;
    assert!(nodes.contains("myself"), "{nodes}");
}

#[tokio::test]
async fn trap_2_slots_missing_from_a_topology_keep_their_owner() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    let lines = [master(1, &one, "0-5000"), master(2, &two, "8192-16383")];
    push(&one, 1, &lines, 2).await;
    assert_eq!(ask(&one, &["SET", "bar", "1"]).await, "OK");
    says(&one, &["CLUSTER", "NODES"], " connected 0-8191\n").await;
    says(&one, &["CLUSTER", "INFO"], "cluster_slots_assigned:16384").await;
}

#[tokio::test]
async fn trap_3_an_old_master_without_the_new_topology_takes_writes() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    let lines = [replica(1, &one, 2), master(2, &two, "0-16383")];
    push(&two, 2, &lines, 2).await;
    assert_eq!(ask(&one, &["SET", "foo", "old"]).await, "OK");
    assert_eq!(ask(&two, &["SET", "foo", "new"]).await, "OK");
    // A restart does not tell it either.
    one.restart().await;
    assert_eq!(ask(&one, &["SET", "foo", "older"]).await, "OK");
}

/// Two nodes that both took one write as master, after which the first was demoted.
async fn diverged(net: &Kvrocks, rsid_psync: bool) -> (KvrocksNode, KvrocksNode) {
    let options = KvrocksOptions {
        rsid_psync,
        ..KvrocksOptions::default()
    };
    let one = net.start_with(options.clone()).await;
    let two = net.start_with(options).await;
    let before = [master(1, &one, "0-16383"), replica(2, &two, 1)];
    push(&one, 1, &before, 1).await;
    push(&two, 2, &before, 1).await;
    assert_eq!(ask(&one, &["SET", "shared", "1"]).await, "OK");
    holds(&two, "shared", Some("1")).await;
    net.cut(&one, &two);
    assert_eq!(ask(&one, &["SET", "stale", "1"]).await, "OK");
    let after = [replica(1, &one, 2), master(2, &two, "0-16383")];
    push(&two, 2, &after, 2).await;
    assert_eq!(ask(&two, &["SET", "fresh", "1"]).await, "OK");
    net.heal(&one, &two);
    push(&one, 1, &after, 2).await;
    says(&one, REPLICATION, "master_link_status:up").await;
    (one, two)
}

#[tokio::test]
async fn trap_4_a_demoted_master_keeps_a_stale_key_at_an_equal_offset() {
    let net = Kvrocks::network();
    let (one, two) = diverged(&net, false).await;
    says(&two, REPLICATION, "offset=2,lag=0").await;
    says(&one, REPLICATION, "slave_repl_offset:2").await;
    assert_eq!(ask(&two, &["SET", "later", "1"]).await, "OK");
    holds(&one, "later", Some("1")).await;
    assert_eq!(one.value("stale").as_deref(), Some("1"));
    assert_eq!(one.value("fresh"), None);
}

#[tokio::test]
async fn trap_4_is_none_with_rsid_psync() {
    let net = Kvrocks::network();
    let (one, two) = diverged(&net, true).await;
    holds(&one, "fresh", Some("1")).await;
    assert_eq!(one.value("stale"), None);
    assert_eq!(one.keys(), two.keys());
}

#[tokio::test]
async fn trap_4_is_none_for_a_master_that_was_ahead() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    net.cut(&one, &two);
    one.put("stale", "1");
    let lines = [replica(1, &one, 2), master(2, &two, "0-16383")];
    push(&two, 2, &lines, 2).await;
    push(&one, 1, &lines, 2).await;
    net.heal(&one, &two);
    holds(&one, "stale", None).await;
}

#[tokio::test]
async fn trap_5_a_replica_dropped_from_the_topology_keeps_replicating() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    let lines = [master(1, &one, "0-16383")];
    push(&one, 1, &lines, 2).await;
    push(&two, 2, &lines, 2).await;
    assert_eq!(ask(&one, &["SET", "foo", "1"]).await, "OK");
    holds(&two, "foo", Some("1")).await;
    says(&two, REPLICATION, "role:slave").await;
}

#[tokio::test]
async fn trap_6_a_slot_moved_without_migration_leaves_its_data_behind() {
    let net = Kvrocks::network();
    let (one, two) = two_masters(&net).await;
    assert_eq!(ask(&one, &["SET", "bar", "1"]).await, "OK");
    let lines = [master(1, &one, "0-5000"), master(2, &two, "5001-16383")];
    push(&one, 1, &lines, 2).await;
    push(&two, 2, &lines, 2).await;
    let moved = ask(&one, &["GET", "bar"]).await;
    assert_eq!(moved, format!("MOVED 5061 {}", two.addr()));
    assert_eq!(two.client().await.call(&["GET", "bar"]).await, Resp::Nil);
    assert_eq!(one.value("bar").as_deref(), Some("1"));
}
