//! The switches that a test throws.

use std::time::Duration;

use portolan_tests::{Kvrocks, KvrocksOptions, Port, RespClient};

use super::*;

#[tokio::test]
async fn a_killed_node_executes_nothing_more_and_returns_on_its_port() {
    let port = Port::reserve();
    let options = KvrocksOptions {
        port: Some(port.number()),
        ..KvrocksOptions::default()
    };
    let node = Kvrocks::network().start_with(options).await;
    assert_eq!(node.addr(), port.address());
    let mut client = node.client().await;
    assert_eq!(client.call(&["PING"]).await.text(), "PONG");
    node.kill();
    assert!(client.try_call(&["PING"]).await.is_err());
    node.restart().await;
    assert!(client.try_call(&["PING"]).await.is_err());
    assert_eq!(ask(&node, &["PING"]).await, "PONG");
    assert_eq!(node.commands(), ["PING", "PING"]);
    node.forget_commands();
    assert!(node.commands().is_empty());
    assert_eq!(node.crashes(), 0);
}

#[tokio::test]
async fn a_dropped_node_is_gone() {
    let net = Kvrocks::network();
    let node = net.start().await;
    let address = node.addr();
    drop(node);
    eventually(
        "nothing listens there",
        async || match RespClient::connect(&address).await {
            Ok(_) => Err("it does"),
            Err(_) => Ok(()),
        },
    )
    .await;
}

#[tokio::test]
async fn connections_are_refused_while_replication_goes_on() {
    let net = Kvrocks::network();
    let (one, two) = master_and_replica(&net).await;
    let mut open = two.client().await;
    two.refuse_connections().await;
    assert!(RespClient::connect(&two.addr()).await.is_err());
    assert!(open.try_call(&["PING"]).await.is_err());
    one.put("foo", "1");
    holds(&two, "foo", Some("1")).await;
    two.accept_connections().await;
    assert_eq!(ask(&two, &["PING"]).await, "PONG");
}

#[tokio::test]
async fn a_hung_node_takes_connections_and_answers_later() {
    let node = Kvrocks::network().start().await;
    node.set_hung(true);
    let mut client = node.client().await;
    client.send(&["PING"]).await.unwrap();
    let patience = Duration::from_millis(50);
    let answer = tokio::time::timeout(patience, client.receive()).await;
    assert!(answer.is_err(), "{answer:?}");
    node.set_hung(false);
    assert_eq!(client.receive().await.unwrap().text(), "PONG");
}

#[tokio::test]
async fn a_loading_node_says_so() {
    let node = Kvrocks::network().start().await;
    node.set_loading(true);
    let reply = ask(&node, &["CLUSTERX", "VERSION"]).await;
    assert_eq!(reply, "LOADING kvrocks is restoring the db from backup");
    assert!(ask(&node, &["INFO"]).await.contains("kvrocks_version"));
    node.set_loading(false);
    assert_eq!(ask(&node, &["CLUSTERX", "VERSION"]).await, "-1");
}

#[tokio::test]
async fn a_setnodes_can_be_carried_out_without_a_reply() {
    let node = Kvrocks::network().start().await;
    node.drop_next_setnodes_reply();
    let line = master(1, &node, "0-16383");
    let command = ["CLUSTERX", "SETNODES", &line, "1"];
    assert!(node.client().await.try_call(&command).await.is_err());
    assert_eq!(node.topology_version(), 1);
    assert_eq!(ask(&node, &command).await, "OK");
}
